//! What a sensor says while it runs: one line for each change, whatever the traffic.

use std::io::stderr;

use tracing::Level;
use tracing_subscriber::fmt;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Level, message, fields: for people, and for a journal that knows the time.
    Text,
    /// A JSON object a line, with the time.
    Json,
}

/// Sends what is said to standard error from now on.
pub fn start(format: LogFormat) {
    // who closes standard error hears nothing, and nothing else comes of it
    let lines = fmt()
        .with_max_level(Level::INFO)
        .with_target(false)
        .with_ansi(false)
        .with_writer(stderr)
        .log_internal_errors(false);
    match format {
        LogFormat::Text => lines.without_time().init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
