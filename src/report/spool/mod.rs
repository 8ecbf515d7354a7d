//! Alerts that wait on disk for a sink that does not take them: a folder of segments.
//!
//! ```text
//! lock                        held by the sensor that uses it
//! position                    "SEGMENT OFFSET\n": what is before it was sent; written by rename
//! 00000000000000000007.jsonl  whole lines, appended; removed when all of it was sent
//! ```
//!
//! After a crash a torn last line is cut, and what was sent since `position` was written is sent
//! again: each alert at least once. What is no alert (a damaged disk) is left out and counted. The
//! newest lines are refused at the bound.

mod segment;

use std::collections::VecDeque;
use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;

use crate::report::sink::file;
use crate::report::sink::file::ALERT_START;
use crate::report::spool::segment::Segment;

/// Bytes of one segment, at most: what is sent frees the disk in such steps.
const SEGMENT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Segments in a spool at its bound, at least.
const SEGMENTS_MIN: u64 = 8;

/// Number of a segment that none reaches in a sensor's life.
const SEGMENTS_MAX: u64 = 1 << 60;

/// Bytes read at once, unless a line is longer.
const READ_BYTES: usize = 128 * 1024;

/// A folder that is no spool, or cannot be used as one.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the spool {}: {source}", path.display())]
pub struct SpoolError {
    /// The folder.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Why lines were not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The bound.
    Full,
    /// The disk.
    Broken(io::Error),
}

/// Lines from the front.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Front {
    /// Whole lines.
    pub(super) lines: Vec<u8>,
    /// How many.
    pub(super) count: u64,
    /// Lines that were left out among them, as they are no alerts.
    pub(super) damaged: u64,
    /// Bytes of all that on disk.
    pub(super) bytes: u64,
}

/// One sink's alerts on disk.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    bytes_max: u64,
    /// The first is being read, the last written.
    segments: VecDeque<Segment>,
    /// Sent whole, not yet removed.
    sent: Vec<Segment>,
    /// Bytes of the first segment that were sent.
    offset: u64,
    /// Number of the next segment.
    next: u64,
    /// What `position` says.
    told: (u64, u64),
    /// Bytes that a crash left half-written, at the start.
    cut: u64,
    _lock: File,
}

impl Spool {
    /// Makes the folder that spools are to be in.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn make_folder(folder: &Path) -> Result<(), SpoolError> {
        make(folder).map_err(|source| SpoolError { path: folder.to_owned(), source })
    }

    /// Opens a folder, which is made where it is missing, and mends what a crash left half-written.
    ///
    /// # Errors
    ///
    /// When it cannot be made, read or mended, or another tapsieve writes it.
    pub fn open(folder: &Path, bytes_max: u64) -> Result<Self, SpoolError> {
        Self::read(folder, bytes_max)
            .map_err(|source| SpoolError { path: folder.to_owned(), source })
    }

    fn read(folder: &Path, bytes_max: u64) -> io::Result<Self> {
        make(folder)?;
        let lock = File::create(folder.join("lock"))?;
        file::lock(&lock)?;
        let list = segment::list(folder)?;
        let after = list.last().map_or(SEGMENTS_MAX, |(number, _)| number.saturating_add(1));
        let told = position(&folder.join("position")).filter(|told| told.0 <= after);
        let told = told.unwrap_or_default();
        let (mut segments, mut cut) = (VecDeque::new(), 0);
        let (mut offset, mut next) = (0, told.0);
        for (number, path) in list {
            next = next.max(number.saturating_add(1));
            if number < told.0 {
                fs::remove_file(path)?;
                continue;
            }
            let from = if number == told.0 { told.1 } else { 0 };
            let (segment, from, torn) = Segment::open(number, path, from)?;
            cut += torn;
            if segments.is_empty() {
                offset = from;
            }
            segments.push_back(segment);
        }
        let folder = folder.to_owned();
        let sent = Vec::new();
        let mut spool =
            Self { folder, bytes_max, segments, sent, offset, next, told, cut, _lock: lock };
        spool.drop_sent();
        Ok(spool)
    }

    /// Returns its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns how many bytes a crash had left half-written; they were cut.
    pub fn cut_bytes(&self) -> u64 {
        self.cut
    }

    /// Returns how many lines wait.
    pub fn waiting(&self) -> u64 {
        self.segments.iter().map(|segment| segment.lines).sum()
    }

    /// Returns the bytes that it takes on disk, and how many it may.
    pub fn bytes(&self) -> (u64, u64) {
        let all = self.sent.iter().chain(&self.segments);
        (all.map(|segment| segment.bytes).sum(), self.bytes_max)
    }

    /// Adds whole lines at the end.
    pub(super) fn append(&mut self, lines: &[u8], count: u64) -> Result<(), Refusal> {
        if self.bytes().0 + lines.len() as u64 > self.bytes_max {
            return Err(Refusal::Full);
        }
        let segment_bytes = (self.bytes_max / SEGMENTS_MIN).min(SEGMENT_BYTES_MAX);
        let has_room = |segment: &Segment| segment.is_open() && segment.bytes < segment_bytes;
        if !self.segments.back().is_some_and(has_room) {
            self.begin().map_err(Refusal::Broken)?;
        }
        let Some(last) = self.segments.back_mut() else { return Ok(()) };
        last.append(lines, count).map_err(Refusal::Broken)
    }

    /// Begins a segment.
    fn begin(&mut self) -> io::Result<()> {
        if let Some(last) = self.segments.back_mut() {
            last.close()?;
        }
        let segment = Segment::create(&self.folder, self.next)?;
        self.next = self.next.saturating_add(1);
        if let Err(error) = File::open(&self.folder).and_then(|folder| folder.sync_all()) {
            // a name that may not be there tomorrow is no place for alerts
            let _why = fs::remove_file(&segment.path);
            return Err(error);
        }
        if self.segments.is_empty() {
            self.offset = 0;
        }
        self.segments.push_back(segment);
        Ok(())
    }

    /// Makes safe what was added.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.segments.back_mut().map_or(Ok(()), Segment::sync)
    }

    /// Returns lines from the front; they stay until `advance`. `None`: nothing waits.
    pub(super) fn front(&mut self) -> io::Result<Option<Front>> {
        let Some(first) = self.segments.front_mut() else { return Ok(None) };
        first.read(self.offset, READ_BYTES).map(|read| Some(front(&read)))
    }

    /// Gives up the segment at the front, which cannot be read; returns how many lines it held.
    pub(super) fn give_up(&mut self) -> u64 {
        let lines = self.segments.front().map_or(0, |segment| segment.lines);
        self.drop_first();
        lines
    }

    /// Notes that bytes and lines from the front were sent.
    pub(super) fn advance(&mut self, bytes: u64, lines: u64) {
        self.offset += bytes;
        let Some(first) = self.segments.front_mut() else { return };
        first.lines = first.lines.saturating_sub(lines);
        self.drop_sent();
    }

    fn drop_sent(&mut self) {
        while self.segments.front().is_some_and(|first| self.offset >= first.bytes) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        self.sent.extend(self.segments.pop_front());
        self.offset = 0;
    }

    /// Forgets on disk what was sent.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        let first = self.segments.front().map_or(self.next, |segment| segment.number);
        let now = (first, self.offset);
        if now != self.told {
            let new = self.folder.join("position.new");
            let mut file = File::create(&new)?;
            file.write_all(format!("{} {}\n", now.0, now.1).as_bytes())?;
            file.sync_data()?;
            fs::rename(new, self.folder.join("position"))?;
            self.told = now;
        }
        while let Some(segment) = self.sent.pop() {
            // one that stays is removed at the next start
            let _why = fs::remove_file(&segment.path);
        }
        Ok(())
    }
}

fn make(folder: &Path) -> io::Result<()> {
    // alerts tell who was hit by what: nobody else's business
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Reads where a spool begins; what is none means its first byte: all is sent again.
fn position(path: &Path) -> Option<(u64, u64)> {
    let text = fs::read_to_string(path).ok()?;
    let (segment, offset) = text.strip_suffix('\n')?.split_once(' ')?;
    Some((segment.parse().ok()?, offset.parse().ok()?))
}

/// Leaves out what is no alert.
fn front(read: &[u8]) -> Front {
    let mut front = Front { lines: Vec::new(), count: 0, damaged: 0, bytes: read.len() as u64 };
    for line in read.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(ALERT_START) && line.ends_with(b"}\n") {
            front.lines.extend_from_slice(line);
            front.count += 1;
        } else {
            front.damaged += 1;
        }
    }
    front
}

#[cfg(test)]
mod tests;
