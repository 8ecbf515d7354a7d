//! `[spool]`: where alerts wait on disk for sinks that do not take them.

use std::path::PathBuf;

use crate::control::config::reader::Section;

/// What one sink's spool may hold, in MiB: every start reads it all.
const MEBIBYTES_MAX: u32 = 65_536;

/// Where alerts wait, in a folder for each sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolConfig {
    /// The folder of all.
    pub path: PathBuf,
    /// What each sink's may hold, in MiB.
    pub mebibytes: u32,
}

/// Reads `[spool]`.
pub(super) fn spool(mut section: Section<'_, '_>) -> SpoolConfig {
    let path = PathBuf::from(section.required_text("path"));
    let mebibytes = section.number("mebibytes", 256, 1..=MEBIBYTES_MAX);
    section.end();
    SpoolConfig { path, mebibytes }
}
