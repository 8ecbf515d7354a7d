//! A file that is appended to, and how much of it is safe.
//!
//! After a sync that failed, Linux takes what it could not write for written: the next sync
//! succeeds, and the bytes are not there (fsync(2), "NOTES"). So what was written since the last
//! good sync is kept here, and after one that failed it is written again, at its old place, before
//! the next. Nothing is taken until that is done.

use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::io::Write;
use std::os::unix::fs::FileExt;

use nix::fcntl::FcntlArg;
use nix::fcntl::OFlag;
use nix::fcntl::fcntl;

/// Bytes that may wait to be synced, as they are kept in memory, too.
const UNSYNCED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A file of whole lines, open to be appended to.
#[derive(Debug)]
pub(in crate::report) struct Appended {
    file: File,
    /// Bytes of all whole lines.
    bytes: u64,
    /// How many of them, from the start, a sync has made safe, or need not.
    safe: u64,
    /// The others; `None`: they need not be made safe.
    unsynced: Option<Vec<u8>>,
    /// A sync failed, or half a write is at its end, and that was not mended since.
    is_spoilt: bool,
}

impl Appended {
    /// Takes a file that was opened to be appended to and ends with a whole line.
    pub(in crate::report) fn new(file: File, is_made_safe: bool) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        let unsynced = is_made_safe.then(Vec::new);
        Ok(Self { file, bytes, safe: bytes, unsynced, is_spoilt: false })
    }

    /// Returns how long it is.
    pub(in crate::report) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns what the system knows of it, and learns how long it is: someone may have cut it.
    pub(in crate::report) fn look(&mut self) -> io::Result<Metadata> {
        let about = self.file.metadata()?;
        self.bytes = about.len();
        self.safe = self.safe.min(self.bytes);
        Ok(about)
    }

    /// Adds whole lines: all or nothing.
    pub(in crate::report) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let unsynced = self.unsynced.as_ref().map_or(0, Vec::len);
        if self.is_spoilt || unsynced > UNSYNCED_BYTES_MAX {
            self.sync()?;
        }
        if let Err(error) = self.file.write_all(lines) {
            // what was written of it would be there twice when it is tried again
            self.is_spoilt = self.file.set_len(self.bytes).is_err();
            return Err(error);
        }
        self.bytes += lines.len() as u64;
        match &mut self.unsynced {
            Some(unsynced) => unsynced.extend_from_slice(lines),
            None => self.safe = self.bytes,
        }
        Ok(())
    }

    /// Makes safe what was added, where it is to be.
    pub(in crate::report) fn sync(&mut self) -> io::Result<()> {
        self.mend()?;
        let Some(unsynced) = self.unsynced.as_mut().filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        self.is_spoilt = true;
        self.file.sync_data()?;
        self.is_spoilt = false;
        self.safe = self.bytes;
        unsynced.clear();
        Ok(())
    }

    /// Writes again what is not safe, and cuts what is after it, where something failed.
    pub(in crate::report) fn mend(&mut self) -> io::Result<()> {
        if !self.is_spoilt {
            return Ok(());
        }
        self.look()?;
        let unsynced = self.unsynced.as_deref().unwrap_or_default();
        // with O_APPEND, Linux appends whatever the place (pwrite(2), "BUGS")
        fcntl(&self.file, FcntlArg::F_SETFL(OFlag::empty()))?;
        let written = self.file.write_all_at(unsynced, self.safe);
        fcntl(&self.file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
        written?;
        self.bytes = self.safe + unsynced.len() as u64;
        self.file.set_len(self.bytes)?;
        self.is_spoilt = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::fs::OpenOptions;
    use std::path::Path;

    use super::*;

    fn open(path: &Path, is_made_safe: bool) -> Appended {
        let file = OpenOptions::new().append(true).create(true).open(path).expect("opened");
        Appended::new(file, is_made_safe).expect("a file")
    }

    /// Two lines are safe and one is not; what a disk and others do then; what is there after it
    /// was mended and another line was added.
    fn check(is_made_safe: bool, spoil: impl FnOnce(&File), expected: &str) {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("lines");
        fs::write(&path, "one\n").expect("written");
        let mut appended = open(&path, is_made_safe);
        appended.append(b"two\n").expect("added");
        appended.sync().expect("synced");
        appended.append(b"three\n").expect("added");
        spoil(&OpenOptions::new().write(true).open(&path).expect("opened"));
        appended.is_spoilt = true;
        appended.append(b"four\n").expect("added");
        assert_eq!(fs::read_to_string(&path).expect("text"), expected);
        assert_eq!(appended.bytes(), expected.len() as u64);
        // and goes on at the end
        appended.append(b"five\n").expect("added");
        let expected = format!("{expected}five\n");
        assert_eq!(fs::read_to_string(&path).expect("text"), expected);
    }

    #[test]
    fn what_a_failed_sync_lost_is_written_again() {
        let all = "one\ntwo\nthree\nfour\n";
        check(true, |_| (), all);
        check(true, |file| file.write_all_at(&[0; 6], 8).expect("zeroed"), all);
        check(true, |file| file.set_len(8).expect("cut"), all);
        check(true, |file| file.write_all_at(b"hal", 14).expect("torn"), all);
        // someone cut it: what was safe is his
        check(true, |file| file.set_len(0).expect("cut"), "three\nfour\n");
        check(false, |file| file.write_all_at(b"hal", 14).expect("torn"), all);
        check(false, |file| file.set_len(0).expect("cut"), "four\n");
    }
}
