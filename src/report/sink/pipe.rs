//! A sensor's standard output: a reader that takes nothing holds nobody up.

use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use crate::report::sink::Sink;
use crate::report::sink::SinkError;
use crate::report::sink::pour;
use crate::report::sink::pour::is_stall;
use crate::report::sink::pour::pour;

/// Writes lines to a pipe that blocks, without being stuck in it.
#[derive(Debug)]
pub struct Pipe {
    out: File,
    name: &'static str,
    /// Bytes of the next delivery that were taken already.
    ahead: usize,
    patience: Duration,
}

impl Pipe {
    /// Returns one that writes to standard output.
    ///
    /// # Errors
    ///
    /// `Broken` when there is none.
    pub fn stdout() -> Result<Self, SinkError> {
        let name = "standard output";
        let broken = |source| SinkError::Broken { path: PathBuf::from(name), source };
        let out = io::stdout().as_fd().try_clone_to_owned().map_err(broken)?;
        Ok(Self::new(File::from(out), name, pour::PATIENCE))
    }

    /// Returns one that writes to a file.
    pub(super) fn new(out: File, name: &'static str, patience: Duration) -> Self {
        Self { out, name, ahead: 0, patience }
    }
}

impl Sink for Pipe {
    fn deliver(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        let rest = lines.get(self.ahead..).unwrap_or_default();
        let (taken, poured) = pour(&mut self.out, rest, pour::PIECE_BYTES, self.patience);
        self.ahead += taken;
        match poured {
            Ok(()) => {
                self.ahead = self.ahead.saturating_sub(lines.len());
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(SinkError::Closed),
            Err(source) if is_stall(&source) => {
                Err(SinkError::Peer { peer: format!("whoever reads {}", self.name), source })
            }
            Err(source) => Err(SinkError::Broken { path: PathBuf::from(self.name), source }),
        }
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        // nothing is held back here, and a pipe cannot be synced
        Ok(())
    }
}
