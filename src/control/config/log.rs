//! `[log]`: how the sensor says what changes.

use crate::control::config::reader::Section;
use crate::control::log::LogFormat;

const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

/// Reads `[log]`.
pub(super) fn log(mut section: Section<'_, '_>) -> LogFormat {
    let format = section.choice("format", FORMATS).unwrap_or(LogFormat::Text);
    section.end();
    format
}
