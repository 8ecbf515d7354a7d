//! `[[sink]]`: where alerts go.

use std::path::PathBuf;

use crate::control::config::reader::Section;

/// Where alerts go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkConfig {
    /// Standard output.
    Stdout,
    /// A file that is appended to.
    File {
        /// Its name.
        path: PathBuf,
        /// Size after which another is begun, in MiB; 0: never.
        rotate_mebibytes: u32,
        /// Age after which another is begun, in hours; 0: never.
        rotate_hours: u32,
        /// Old ones that are kept.
        keep: u32,
    },
}

/// Tells whether two sinks would write to one place.
pub(super) fn same_place(one: &SinkConfig, other: &SinkConfig) -> bool {
    match (one, other) {
        (SinkConfig::Stdout, SinkConfig::Stdout) => true,
        (SinkConfig::File { path: one, .. }, SinkConfig::File { path: other, .. }) => one == other,
        _ => false,
    }
}

/// Reads one `[[sink]]`.
pub(super) fn sink(mut section: Section<'_, '_>) -> Option<SinkConfig> {
    let sink = match section.required_text("type").as_str() {
        "stdout" => Some(SinkConfig::Stdout),
        "file" => Some(SinkConfig::File {
            path: PathBuf::from(section.required_text("path")),
            rotate_mebibytes: section.number("rotate_mebibytes", 100, 0..=1_000_000),
            rotate_hours: section.number("rotate_hours", 24, 0..=8_760),
            keep: section.number("keep", 30, 1..=10_000),
        }),
        "" => None,
        other => {
            section.note("type", format!("`{other}` is none: \"file\" and \"stdout\" are"));
            return None;
        }
    };
    section.end();
    sink
}
