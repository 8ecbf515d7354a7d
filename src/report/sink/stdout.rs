//! Standard output: data for the next program of a pipe.

use std::io;
use std::io::ErrorKind;
use std::io::Write;
use std::path::PathBuf;

use crate::report::sink::Sink;
use crate::report::sink::SinkError;

/// Writes to standard output, whole lines at a time.
#[derive(Debug, Default)]
pub struct Stdout;

impl Sink for Stdout {
    fn deliver(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        let mut out = io::stdout().lock();
        out.write_all(lines).and_then(|()| out.flush()).map_err(error)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        io::stdout().lock().flush().map_err(error)
    }
}

fn error(source: io::Error) -> SinkError {
    match source.kind() {
        ErrorKind::BrokenPipe => SinkError::Closed,
        _ => SinkError::Broken { path: PathBuf::from("standard output"), source },
    }
}
