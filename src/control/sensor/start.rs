//! What is looked at before anything is opened: what would hang, or take the host down.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::control::cli::Failure;
use crate::control::config::Config;
use crate::pipeline::capture::live::LiveSettings;

/// Refuses rings that the host's memory cannot hold, and feeds that cannot be read again.
///
/// # Errors
///
/// `Usage`, with what to change.
pub(super) fn fits(config: &Config) -> Result<(), Failure> {
    let ring =
        |capture: &LiveSettings| u64::from(capture.ring_mebibytes) * u64::from(capture.threads);
    let wanted: u64 = config.captures.iter().map(ring).sum();
    if let Some(free) = free_mebibytes().filter(|free| wanted > *free) {
        return Err(Failure::Usage(format!(
            "rings of {wanted} MiB are wanted, {free} MiB are free: give a smaller \
             `ring_mebibytes`, or fewer `threads`"
        )));
    }
    let odd = config.intel.iter().find(|path| is_odd(path));
    odd.map_or(Ok(()), |path| Err(Failure::Usage(not_again(path))))
}

/// Returns the first feed that cannot be read again and again: opening it could wait for ever.
pub(super) fn odd_feed(feeds: &[PathBuf]) -> Option<String> {
    feeds.iter().find(|path| is_odd(path)).map(|path| not_again(path))
}

/// Returns the folder that a name is in.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

fn is_odd(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir())
}

fn not_again(path: &Path) -> String {
    format!("{}: a pipe or device: a sensor reads its feeds again and again", path.display())
}

fn free_mebibytes() -> Option<u64> {
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    let line = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes >> 10)
}
