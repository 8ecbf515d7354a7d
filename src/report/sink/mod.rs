//! Where alert lines go: one file per sink.

pub mod file;
pub mod rolling;
pub mod stdout;

use std::io;
use std::path::PathBuf;

/// Takes lines.
pub trait Sink: Send {
    /// Delivers whole lines, each with its line end.
    ///
    /// # Errors
    ///
    /// `Closed`: nobody listens any more; `Broken`: this sink stops, and says so.
    fn deliver(&mut self, lines: &[u8]) -> Result<(), SinkError>;

    /// Makes everything delivered visible under its final name.
    ///
    /// # Errors
    ///
    /// As `deliver`.
    fn finish(&mut self) -> Result<(), SinkError>;
}

/// Why a sink cannot go on, by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The reader went away on purpose, as `head` does: end quietly.
    #[error("nobody reads the output any more")]
    Closed,
    /// The output cannot be written: say so, exit 1.
    #[error("cannot write {}: {source}", path.display())]
    Broken {
        /// What was being written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
