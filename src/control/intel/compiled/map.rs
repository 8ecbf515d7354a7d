//! Maps a file into memory: the one unsafe call that compiled sets need.
#![allow(unsafe_code, reason = "a map is only as constant as its file")]

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

/// Maps a file, to be read only.
///
/// # Errors
/// The file cannot be opened or mapped, or is no regular one.
pub(super) fn map(path: &Path) -> io::Result<Arc<Mmap>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file: give a compiled set's path"));
    }
    // SAFETY: the bytes must not change while they are mapped. Sets are written to a new file that
    // is renamed over the old one and never changed again (`store.rs`), and the map keeps the old
    // file alive. The map is private to the kernel's page cache and ourselves, read-only, and its
    // bytes are only ever read as plain numbers, for which any value is good, with every look-up
    // bounded by its table: should someone else write into the file all the same, answers are
    // wrong; should he cut it, the kernel ends the program (SIGBUS). Both are his doing, as writing
    // into the program's own file would be, and documented at the head of `mod.rs`.
    let map = unsafe { Mmap::map(&file) }?;
    Ok(Arc::new(map))
}
