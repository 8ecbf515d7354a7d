//! One file of a spool: whole lines, appended.

use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;

use crate::report::sink::appended::Appended;

/// Bytes of a line, at most: as of a torn one in a file of alerts.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    /// Bytes of whole lines.
    pub(super) bytes: u64,
    /// Lines that were not sent.
    pub(super) lines: u64,
    /// Open to be appended to.
    out: Option<Appended>,
    /// Open to be read.
    read: Option<File>,
}

/// Returns the segments in a folder, by number.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        let is_segment = path.extension().is_some_and(|extension| extension == "jsonl");
        if let (true, Ok(number)) = (is_segment, stem.parse()) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

impl Segment {
    /// Begins one.
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let path = folder.join(format!("{number:020}.jsonl"));
        let out = OpenOptions::new().append(true).create_new(true).open(&path)?;
        let out = Some(Appended::new(out, true)?);
        Ok(Self { number, path, bytes: 0, lines: 0, out, read: None })
    }

    /// Opens one that an earlier sensor left, whose first `from` bytes were sent; cuts a torn last
    /// line. Returns where a line begins there, and how many bytes were cut.
    pub(super) fn open(number: u64, path: PathBuf, from: u64) -> io::Result<(Self, u64, u64)> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let (mut bytes, mut lines, mut all) = (0, 0, 0);
        let mut from_line = 0;
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let n = reader.read_until(b'\n', &mut line)? as u64;
            all += n;
            if line.last() != Some(&b'\n') {
                break;
            }
            bytes += n;
            if bytes <= from {
                from_line = bytes;
            } else {
                lines += 1;
            }
        }
        if all > bytes {
            file.set_len(bytes)?;
            file.sync_all()?;
        }
        let segment = Self { number, path, bytes, lines, out: None, read: None };
        Ok((segment, from_line, all - bytes))
    }

    pub(super) fn is_open(&self) -> bool {
        self.out.is_some()
    }

    /// Adds whole lines: all or nothing.
    pub(super) fn append(&mut self, lines: &[u8], count: u64) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        out.append(lines)?;
        self.bytes += lines.len() as u64;
        self.lines += count;
        Ok(())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Appended::sync)
    }

    /// Ends the writing.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.sync()?;
        self.out = None;
        Ok(())
    }

    /// Reads whole lines: about `bytes`, or one longer line.
    pub(super) fn read(&mut self, from: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.out.as_mut().map_or(Ok(()), Appended::mend)?;
        let file = match self.read.take() {
            Some(file) => file,
            None => File::open(&self.path)?,
        };
        let left = usize::try_from(self.bytes.saturating_sub(from)).unwrap_or(usize::MAX);
        let mut want = bytes.min(left);
        loop {
            let mut read = vec![0; want];
            file.read_exact_at(&mut read, from)?;
            let whole = memchr::memrchr(b'\n', &read).map_or(0, |at| at + 1);
            if whole > 0 || want == left || want >= LINE_BYTES_MAX {
                // what has no end is one damaged line
                read.truncate(if whole > 0 { whole } else { want });
                self.read = Some(file);
                return Ok(read);
            }
            want = (want * 2).min(left);
        }
    }
}
