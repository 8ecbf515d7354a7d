//! Where alert lines go: one file per sink.

pub(in crate::report) mod appended;
pub mod file;
pub mod pipe;
pub mod rolling;
pub mod stdout;
pub mod stream;
mod pour;
#[cfg(test)]
mod contract;

use std::io;
use std::path::PathBuf;

/// Takes lines.
///
/// `deliver` and `finish` are all that a replay needs. The other methods are for a sensor, which
/// tries again what failed: after an error its next delivery begins with the very bytes that
/// failed (perhaps more of them, perhaps fewer), so a sink may have taken their beginning.
pub trait Sink: Send {
    /// Delivers whole lines, each with its line end.
    ///
    /// # Errors
    ///
    /// `Closed`: nobody listens any more; the others: this sink stops, and says so.
    fn deliver(&mut self, lines: &[u8]) -> Result<(), SinkError>;

    /// Makes everything delivered visible under its final name, and safe.
    ///
    /// # Errors
    ///
    /// As `deliver`.
    fn finish(&mut self) -> Result<(), SinkError>;

    /// Looks after itself; called several times a second, alerts or not.
    ///
    /// # Errors
    ///
    /// As `deliver`.
    fn tend(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Opens its file or connection anew: whoever rotates files has moved it.
    ///
    /// # Errors
    ///
    /// As `deliver`.
    fn reopen(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Tells whether what was delivered is as safe as this sink makes it: a spool may forget it.
    fn is_settled(&self) -> bool {
        true
    }

    /// Returns what it counted.
    fn counts(&self) -> Counts {
        Counts::default()
    }

    /// Hands over what was delivered to a peer that may have died before it read it, and was not
    /// sent again.
    fn unsure(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// What a sink counts for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were made after the first.
    pub reconnects: u64,
    /// Alerts that were sent again over another connection.
    pub resent: u64,
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
    /// A peer that cannot be reached, or takes nothing: try again.
    #[error("cannot send to {peer}: {source}")]
    Peer {
        /// Who.
        peer: String,
        /// Why.
        source: io::Error,
    },
}

/// Counts lines.
pub(in crate::report) fn lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}
