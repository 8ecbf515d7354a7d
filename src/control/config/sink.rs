//! `[[sink]]`: where alerts go.

use std::path::PathBuf;

use crate::control::config::reader::Section;

/// Characters of a sink's name: it is the name of a thread, of a folder, and a label.
const NAME_CHARS_MAX: usize = 32;

/// Bytes of the path of a socket, as the kernel has it (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Kinds of sinks.
const TYPES: &str = "\"file\", \"stdout\", \"unix\" and \"tcp\" are";

/// Where alerts go, and what that is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkConfig {
    /// Its name in metrics and messages, and that of its spool; no two are alike.
    pub name: String,
    /// Where they go.
    pub to: Destination,
}

/// Where alerts go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
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
        /// Seconds after which what is new is synced; 0: never.
        sync_secs: u32,
    },
    /// A socket in the file system that someone listens on.
    Unix {
        /// Its name.
        path: PathBuf,
    },
    /// A host and port.
    Tcp {
        /// As `host:port`.
        address: String,
    },
}

impl Destination {
    /// Returns its type as the configuration has it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::File { .. } => "file",
            Self::Unix { .. } => "unix",
            Self::Tcp { .. } => "tcp",
        }
    }

    /// Tells whether alerts would be there twice.
    fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { path: one, .. }, Self::File { path: other, .. }) => one == other,
            _ => self == other,
        }
    }
}

/// A sink as it was read: its place in the text, and its name if it has one.
type Read = (usize, Option<String>, Destination);

/// Reads every `[[sink]]`; none is standard output.
pub(super) fn sinks(all: &mut Section<'_, '_>) -> Vec<SinkConfig> {
    let read: Vec<Read> = all.tables("sink", sink).into_iter().flatten().collect();
    let mut sinks: Vec<SinkConfig> = Vec::new();
    let given: Vec<&String> = read.iter().filter_map(|(_, name, _)| name.as_ref()).collect();
    for (at, name, to) in &read {
        if sinks.iter().any(|other| other.to.is_same_place(to)) {
            all.note_at(*at, "two [[sink]] with one place: its alerts would be there twice");
        }
        let is_taken = |name: &String| sinks.iter().any(|other| other.name == *name);
        let name = match name {
            Some(name) => {
                if is_taken(name) {
                    all.note_at(*at, format!("two [[sink]] named `{name}`: name one otherwise"));
                }
                name.clone()
            }
            None => numbered(to.type_name(), |name| is_taken(name) || given.contains(&name)),
        };
        sinks.push(SinkConfig { name, to: to.clone() });
    }
    if sinks.is_empty() {
        sinks.push(SinkConfig { name: "stdout".to_owned(), to: Destination::Stdout });
    }
    sinks
}

/// Returns a name, or that with the first number that is free.
fn numbered(name: &str, is_taken: impl Fn(&String) -> bool) -> String {
    let names = std::iter::once(name.to_owned()).chain((2..).map(|n| format!("{name}-{n}")));
    let mut free = names.skip_while(|name| is_taken(name));
    free.next().unwrap_or_default()
}

/// Reads one `[[sink]]`.
fn sink(mut section: Section<'_, '_>) -> Option<Read> {
    let at = section.at();
    let name = section.optional_text("name");
    if name.as_deref().is_some_and(|name| !is_name(name)) {
        let what = format!("up to {NAME_CHARS_MAX} of a-z, 0-9, `-` and `_` are wanted");
        section.note("name", what);
    }
    let to = match section.required_text("type").as_str() {
        "stdout" => Some(Destination::Stdout),
        "file" => Some(Destination::File {
            path: PathBuf::from(section.required_text("path")),
            rotate_mebibytes: section.number("rotate_mebibytes", 100, 0..=1_000_000),
            rotate_hours: section.number("rotate_hours", 24, 0..=8_760),
            keep: section.number("keep", 30, 1..=10_000),
            sync_secs: section.number("sync_secs", 1, 0..=3_600),
        }),
        "unix" => Some(Destination::Unix { path: socket(&mut section) }),
        "tcp" => Some(Destination::Tcp { address: address(&mut section) }),
        "" => None,
        other => {
            section.note("type", format!("`{other}` is none: {TYPES}"));
            return None;
        }
    };
    section.end();
    Some((at, name, to?))
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(fits)
}

fn socket(section: &mut Section<'_, '_>) -> PathBuf {
    let path = section.required_text("path");
    if path.len() > SOCKET_PATH_BYTES_MAX {
        let what = format!("a socket's path has at most {SOCKET_PATH_BYTES_MAX} bytes");
        section.note("path", what);
    }
    PathBuf::from(path)
}

fn address(section: &mut Section<'_, '_>) -> String {
    let address = section.required_text("address");
    let parts = address.rsplit_once(':');
    let is_sound = parts.is_some_and(|(host, port)| {
        let is_bare = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
        !host.is_empty() && is_bare && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if !address.is_empty() && !is_sound {
        let what = "a host with a port is wanted, as \"logs.example:5170\" or \"[::1]:5170\"";
        section.note("address", what);
    }
    address
}
