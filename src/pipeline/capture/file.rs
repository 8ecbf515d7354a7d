//! Files, directories, globs and standard input, read in the order of their first frame as one stream.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::model::block::Block;
use crate::model::bytes::index;
use crate::model::counters::Counters;
use crate::model::packet::Frame;
use crate::model::packet::FrameId;
use crate::pipeline::capture::Source;
use crate::pipeline::capture::State;
use crate::pipeline::capture::damage::Damage;
use crate::pipeline::capture::damage::Trouble;
use crate::pipeline::capture::filter::Filter;
use crate::pipeline::capture::gauge::Gauged;
use crate::pipeline::capture::listing::Content;
use crate::pipeline::capture::listing::Entry;
use crate::pipeline::capture::listing::Listing;
use crate::pipeline::capture::listing::open;
use crate::pipeline::capture::reading::Filled;
use crate::pipeline::capture::reading::Reading;

/// The inputs of a replay. Each is opened when its turn comes, so thousands need one descriptor.
pub struct Files {
    names: Arc<[String]>,
    waiting: std::vec::IntoIter<Entry>,
    current: Option<Current>,
    /// Index of the next that is opened.
    next: u32,
    damages: Vec<Damage>,
    passed_over: u64,
    bytes_total: Option<u64>,
    bytes_read: Arc<AtomicU64>,
    counters: Counters,
    filter: Option<Filter>,
    last: FrameId,
}

/// The input that is being read.
struct Current {
    name: String,
    reading: Reading,
    /// What was read of it while its first frame was looked for.
    held: Option<(Block, Filled)>,
    /// What the gauge says when it has been read.
    bytes_read_after: Option<u64>,
}

impl Files {
    /// Finds all captures that `inputs` name and puts them in the order of their first frame, then name.
    /// What is of no use is among the `damages`.
    pub fn open(inputs: &[String], filter: Option<Filter>) -> Self {
        let bytes_read = Arc::default();
        let Listing { entries, damages, passed_over, .. } = Listing::new(inputs, &bytes_read);
        Self {
            names: entries.iter().map(|entry| entry.name.clone()).collect(),
            bytes_total: entries
                .iter()
                .try_fold(0, |sum: u64, entry| Some(sum.saturating_add(entry.bytes?))),
            waiting: entries.into_iter(),
            current: None,
            next: 0,
            damages,
            passed_over,
            bytes_read,
            counters: Counters::default(),
            filter,
            last: FrameId::default(),
        }
    }

    /// Returns the names in the order of reading: `FrameId::file` is the index. Empty: nothing usable was given.
    pub fn names(&self) -> Arc<[String]> {
        Arc::clone(&self.names)
    }

    /// Returns the name of one input.
    pub fn name(&self, file: u32) -> &str {
        self.names.get(index(file)).map_or("", String::as_str)
    }

    /// Returns what was wrong so far; complete when the source has ended.
    pub fn damages(&self) -> &[Damage] {
        &self.damages
    }

    /// Returns the bytes of all files as they lie on disk; `None` when an input's size is unknown (a pipe).
    pub fn bytes_total(&self) -> Option<u64> {
        self.bytes_total
    }

    /// Returns the gauge of bytes read so far, of those of `bytes_total`.
    pub fn bytes_read(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.bytes_read)
    }

    /// Returns what capture counted: frames and bytes handed over, frames left out.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Returns how many files in directories are no captures.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Opens the next input that can be opened.
    fn advance(&mut self) -> Option<Current> {
        loop {
            let Entry { name, bytes, content, .. } = self.waiting.next()?;
            let file = self.next;
            self.next = self.next.saturating_add(1);
            let opened = match content {
                Content::Opened(opened) => Ok((opened.reading, Some((opened.held, opened.filled)))),
                Content::Path(path) => open(&path).and_then(|inner| {
                    let gauge = Arc::clone(&self.bytes_read);
                    Ok((Reading::open(Box::new(Gauged { inner, gauge }))?, None))
                }),
            };
            match opened {
                Ok((mut reading, held)) => {
                    reading.file = file;
                    let before = self.bytes_read.load(Ordering::Relaxed);
                    let bytes_read_after = bytes.map(|bytes| before.saturating_add(bytes));
                    return Some(Current { name, reading, held, bytes_read_after });
                }
                Err(trouble) => self.damages.push(Damage { name, trouble }),
            }
        }
    }

    /// Sieves and counts the frames of a filled block.
    fn account(&mut self, block: &mut Block, oversized: u64) {
        if let Some(frame) = block.frames.last() {
            self.last = frame.id;
        }
        block.last = self.last;
        if let Some(filter) = &mut self.filter {
            add(&mut self.counters.skipped_filter, filter.sieve(block));
        }
        add(&mut self.counters.skipped_oversized, oversized);
        let captured_bytes = |frame: &Frame| u64::from(frame.captured_bytes);
        add(&mut self.counters.captured_bytes, block.frames.iter().map(captured_bytes).sum());
        let frames = u64::try_from(block.frames.len()).unwrap_or(u64::MAX);
        add(&mut self.counters.captured_packets, frames);
    }
}

impl Source for Files {
    fn fill(&mut self, block: &mut Block) -> State {
        loop {
            let Some(mut current) = self.current.take().or_else(|| self.advance()) else {
                block.last = self.last;
                return State::Ended;
            };
            let filled = current.fill(block);
            self.account(block, std::mem::take(&mut current.reading.oversized));
            let trouble = match filled {
                Filled::More => {
                    self.current = Some(current);
                    return State::More;
                }
                Filled::Ended => None,
                Filled::Damaged(trouble) => Some(trouble),
            };
            current.close(trouble, &mut self.damages, &self.bytes_read);
            if !block.frames.is_empty() {
                return State::More;
            }
        }
    }
}

impl Current {
    fn fill(&mut self, block: &mut Block) -> Filled {
        let Some((held, filled)) = self.held.take() else {
            return self.reading.fill(block);
        };
        let end = |frame: &Frame| index(frame.at.saturating_add(frame.captured_bytes));
        let end = held.frames.last().map_or(0, end);
        if let (Some(to), Some(from)) = (block.bytes.get_mut(..end), held.bytes.get(..end)) {
            to.copy_from_slice(from);
        }
        let file = self.reading.file;
        let placed = |frame: Frame| Frame { id: FrameId::new(file, frame.id.number()), ..frame };
        block.frames.extend(held.frames.into_iter().map(placed));
        filled
    }

    fn close(self, trouble: Option<Trouble>, damages: &mut Vec<Damage>, bytes_read: &AtomicU64) {
        if let Some(trouble) = trouble {
            damages.push(Damage { name: self.name, trouble });
        }
        if let Some(after) = self.bytes_read_after {
            bytes_read.fetch_max(after, Ordering::Relaxed);
        }
    }
}

fn add(counter: &mut u64, n: u64) {
    *counter = counter.saturating_add(n);
}
