//! Memory: a file read where it lies, and a heap that gives back what it does not need. The two
//! unsafe calls outside the packet ring.
#![allow(unsafe_code, reason = "a map is only as constant as its file; settings of the C library")]

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

/// Bytes of an allocation from which on it is a map of its own. Tables of a set have more; what a
/// packet or an alert needs has less.
#[cfg(target_env = "gnu")]
const OWN_MAP_BYTES: libc::c_int = 256 * 1024;

/// Has the C library's heap give large allocations back as soon as they are freed. By itself it
/// raises the size from which it does (`malloc(3)`, `M_MMAP_THRESHOLD`) to that of the largest that
/// was ever freed, so that a sensor's heap would grow with the first dozens of its reloads.
pub fn give_back_at_once() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) takes two numbers, locks the heap while it changes its own settings, and
    // may be called at any time; what it refuses is left as it was.
    let _as_before_where_refused = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MAP_BYTES) };
}

/// Maps a file, to be read only.
///
/// # Errors
/// The file cannot be opened or mapped, or is no regular one.
pub fn map(path: &Path) -> io::Result<Arc<Mmap>> {
    // to open a pipe could wait for ever
    let is_file = std::fs::metadata(path)?.is_file();
    let file = if is_file { Some(File::open(path)?) } else { None };
    let Some(file) = file.filter(|file| file.metadata().is_ok_and(|about| about.is_file())) else {
        return Err(io::Error::other("not a regular file: give a compiled set's path"));
    };
    // SAFETY: the bytes must not change while they are mapped. Sets are written to a new file that
    // is renamed over the old one and never changed again (`intel/compiled/store.rs`), and the map
    // keeps the old file alive. The map is private to the kernel's page cache and ourselves, read-
    // only, and its bytes are only ever read as plain numbers, for which any value is good, with
    // every look-up bounded by its table: should someone else write into the file all the same,
    // answers are wrong; should he cut it, the kernel ends the program (SIGBUS). Both are his
    // doing, as writing into the program's own file would be, and documented at the head of
    // `intel/compiled/mod.rs`.
    let map = unsafe { Mmap::map(&file) }?;
    Ok(Arc::new(map))
}
