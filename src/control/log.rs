//! What a sensor says while it runs: one line for each change, whatever the traffic.

use std::io;
use std::io::Stderr;
use std::io::Write;
use std::io::stderr;

use tracing::Level;
use tracing_subscriber::fmt;

use crate::model::plain::plain_lines;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Level, message, fields: for people, and for a journal that knows the time.
    Text,
    /// A JSON object a line, with the time.
    Json,
}

/// Writes lines for people: what in them would steer a terminal is escaped.
struct Plain(Stderr);

impl Write for Plain {
    /// Takes whole lines, as they come here.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(lines);
        self.0.write_all(plain_lines(&text).as_bytes()).map(|()| lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
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
        LogFormat::Text => lines.without_time().with_writer(|| Plain(stderr())).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
