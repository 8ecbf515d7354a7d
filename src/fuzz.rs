//! Fuzz targets by name. The entries, and what they assert, lie beside the code that they fuzz;
//! their seeds and the inputs that once broke something lie in `tests/fuzz/` and are replayed here
//! by every test run, with the stable compiler.

use std::sync::OnceLock;

use crate::control::intel;
use crate::pipeline::capture;
use crate::pipeline::decode;
use crate::pipeline::dissect;

/// A fuzz entry: any bytes, no panic.
type Entry = fn(&[u8]);

/// The entries beside `dissect`, by the name of their folder in `tests/fuzz/`.
const ENTRIES: &[(&str, Entry)] =
    &[("decode", decode), ("capture", capture), ("feed", feed), ("compiled", compiled)];

/// Reads bytes with the dissector that the environment variable `PROTO` names, else with the one
/// that knows them.
///
/// # Panics
/// When no dissector has that name.
pub fn dissect(data: &[u8]) {
    static ENTRY: OnceLock<Entry> = OnceLock::new();
    let chosen = || {
        let name = std::env::var("PROTO").unwrap_or_else(|_| String::from("any"));
        let entry = dissect::fuzz::PROTOCOLS.iter().find(|(known, _)| *known == name);
        entry.unwrap_or_else(|| panic!("PROTO={name}: no such dissector")).1
    };
    ENTRY.get_or_init(chosen)(data);
}

/// Reads bytes as a frame.
pub fn decode(data: &[u8]) {
    decode::fuzz::fuzz(data);
}

/// Reads bytes as a capture file.
pub fn capture(data: &[u8]) {
    capture::fuzz::fuzz(data);
}

/// Reads bytes as a file of indicators.
pub fn feed(data: &[u8]) {
    intel::fuzz::fuzz(data);
}

/// Reads bytes as a compiled set.
pub fn compiled(data: &[u8]) {
    intel::compiled::fuzz::fuzz(data);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::ENTRIES;
    use super::Entry;
    use crate::pipeline::dissect;

    fn entries() -> Vec<(String, Entry)> {
        let named = |(name, entry): &(&str, Entry)| (String::from(*name), *entry);
        let dissectors = dissect::fuzz::PROTOCOLS.iter();
        let dissectors = dissectors.map(|(name, entry)| (format!("dissect-{name}"), *entry));
        ENTRIES.iter().map(named).chain(dissectors).collect()
    }

    /// Runs `entry` on every file of `tests/fuzz/KIND/NAME`; returns how many there were.
    fn replay(kind: &str, name: &str, entry: Entry) -> usize {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(kind).join(name);
        let Ok(files) = fs::read_dir(folder) else { return 0 };
        let paths = files.map(|file| file.expect("entry").path());
        paths.map(|path| entry(&fs::read(path).expect("file"))).count()
    }

    #[test]
    fn every_target_has_seeds_and_survives_them() {
        for (name, entry) in entries() {
            assert!(replay("corpus", &name, entry) > 0, "tests/fuzz/corpus/{name}: no seed");
        }
    }

    #[test]
    fn what_once_broke_something_is_survived() {
        for (name, entry) in entries() {
            replay("crashes", &name, entry);
        }
    }

    #[test]
    fn no_seed_is_without_its_target() {
        let names: Vec<String> = entries().into_iter().map(|(name, _)| name).collect();
        for kind in ["corpus", "crashes"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(kind);
            let Ok(files) = fs::read_dir(folder) else { continue };
            for file in files {
                let name = file.expect("entry").file_name().to_string_lossy().into_owned();
                assert!(names.contains(&name), "tests/fuzz/{kind}/{name}: no such target");
            }
        }
    }

    /// Damaged seeds: what a fuzzer tries first, in every test run.
    #[test]
    fn cut_and_flipped_seeds_are_survived() {
        for (name, entry) in entries() {
            let folder =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(&name);
            let mut paths: Vec<_> = fs::read_dir(folder)
                .expect("seeds")
                .map(|file| file.expect("entry").path())
                .collect();
            paths.sort();
            for path in paths.iter().take(4) {
                let bytes = fs::read(path).expect("file");
                let step = (bytes.len() / 16).max(1);
                for at in (0..bytes.len()).step_by(step) {
                    entry(&bytes[..at]);
                    let mut flipped = bytes.clone();
                    flipped[at] ^= 0xff;
                    entry(&flipped);
                }
            }
        }
    }
}
