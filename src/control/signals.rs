//! Signals: the first ends a run in order, the second at once.

use std::io::Result;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::flag;

/// The signal that ended a run, if one did.
#[derive(Clone, Debug, Default)]
pub struct Stopped(Arc<AtomicUsize>);

impl Stopped {
    /// Returns the signal's name.
    pub fn by(&self) -> Option<&'static str> {
        match i32::try_from(self.0.load(Ordering::Relaxed)) {
            Ok(SIGINT) => Some("SIGINT"),
            Ok(SIGTERM) => Some("SIGTERM"),
            _ => None,
        }
    }
}

/// Sets `stop` at SIGINT or SIGTERM from now on; a second one kills, with the exit code of shells.
///
/// # Errors
///
/// When the system refuses a handler.
pub fn stop_on_signals(stop: &Arc<AtomicBool>) -> Result<Stopped> {
    let stopped = Stopped::default();
    for signal in [SIGINT, SIGTERM] {
        // in this order: the shutdown looks at `stop` before the same signal sets it
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(stop))?;
        flag::register(signal, Arc::clone(stop))?;
        flag::register_usize(signal, Arc::clone(&stopped.0), usize::try_from(signal).unwrap_or(0))?;
    }
    Ok(stopped)
}
