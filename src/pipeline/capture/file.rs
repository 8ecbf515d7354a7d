//! Files, directories, globs and standard input, read in the order of their first frame as one
//! stream.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
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
pub use crate::pipeline::capture::listing::FileId;
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
    repeated: Vec<String>,
    ids: BTreeSet<FileId>,
    bytes_total: Option<u64>,
    bytes_read: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
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
    /// Finds all captures that `inputs` name and puts them in the order of their first frame, then
    /// name.
    /// What is of no use is among the `damages`.
    pub fn open(inputs: &[impl AsRef<OsStr>], filter: Option<Filter>) -> Self {
        let (bytes_read, stop) = (Arc::default(), Arc::default());
        let Listing { entries, damages, repeated, ids, .. } =
            Listing::new(inputs, &bytes_read, &stop);
        let inputs_damaged = u64::try_from(damages.len()).unwrap_or(u64::MAX);
        let counters = Counters { inputs_damaged, ..Counters::default() };
        Self {
            names: entries.iter().map(|entry| entry.name.clone()).collect(),
            bytes_total: entries
                .iter()
                .try_fold(0, |sum: u64, entry| Some(sum.saturating_add(entry.bytes?))),
            waiting: entries.into_iter(),
            current: None,
            next: 0,
            damages,
            repeated,
            ids,
            bytes_read,
            stop,
            counters,
            filter,
            last: FrameId::default(),
        }
    }

    /// Returns the names in the order of reading: `FrameId::file` is the index. Empty: nothing
    /// usable was given.
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

    /// Returns the bytes of all files as they lie on disk; `None` when an input's size is unknown
    /// (a pipe).
    pub fn bytes_total(&self) -> Option<u64> {
        self.bytes_total
    }

    /// Returns the gauge of bytes read so far, of those of `bytes_total`.
    pub fn bytes_read(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.bytes_read)
    }

    /// Returns what ends the reading when it is set: pipes at once, files at the next block.
    pub fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Returns names that lead to a file that has another name among the inputs, too; it is read
    /// once.
    pub fn repeated(&self) -> &[String] {
        &self.repeated
    }

    /// Returns the files that are read.
    pub fn ids(&self) -> &BTreeSet<FileId> {
        &self.ids
    }

    /// Opens the next input that can be opened.
    fn advance(&mut self) -> Option<Current> {
        loop {
            let Entry { name, bytes, content, .. } = self.waiting.next()?;
            let file = self.next;
            let bytes_read = self.bytes_read.load(Ordering::Relaxed);
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
                    let bytes_read_after = bytes.map(|bytes| bytes_read.saturating_add(bytes));
                    return Some(Current { name, reading, held, bytes_read_after });
                }
                Err(trouble) => {
                    add(&mut self.counters.inputs_damaged, 1);
                    self.damages.push(Damage { name, trouble });
                }
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
    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn fill(&mut self, block: &mut Block) -> State {
        loop {
            let stopped = self.stop.load(Ordering::Relaxed);
            let next = if stopped { None } else { self.current.take().or_else(|| self.advance()) };
            let Some(mut current) = next else {
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
            add(&mut self.counters.inputs_damaged, u64::from(trouble.is_some()));
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::atomic::Ordering;

    use super::Files;
    use crate::model::block::Block;
    use crate::model::packet::FrameId;
    use crate::pipeline::capture::Source;
    use crate::pipeline::capture::State;
    use crate::pipeline::capture::filter::Filter;
    use crate::pipeline::capture::order::Order;
    use crate::pipeline::capture::samples;

    /// Reads `inputs`, each under `directory`, to the end: frames as "name#number" and damages as
    /// lines.
    fn read(directory: &Path, inputs: &[&str]) -> (Vec<String>, Vec<String>, Files) {
        let place = |input: &&str| directory.join(input).to_string_lossy().into_owned();
        let mut files = Files::open(&inputs.iter().map(place).collect::<Vec<_>>(), None);
        let mut block = Block::new(0);
        let mut frames = Vec::new();
        let mut last = FrameId::default();
        loop {
            block.clear();
            let state = files.fill(&mut block);
            assert!(block.frames.iter().all(|frame| last < frame.id && frame.id <= block.last));
            last = block.last;
            let names = block.frames.iter().map(|frame| {
                assert_eq!(frame.id.file(), block.last.file());
                let name = Path::new(files.name(frame.id.file())).strip_prefix(directory).unwrap();
                format!("{}#{}", name.display(), frame.id.number())
            });
            frames.extend(names);
            if state == State::Ended {
                let start = format!("{}/", directory.display());
                let line = |damage: &dyn ToString| damage.to_string().replace(&start, "");
                let damages = files.damages().iter().map(|damage| line(damage)).collect();
                return (frames, damages, files);
            }
        }
    }

    fn capture(secs: u64, frames: u64) -> Vec<u8> {
        let frame = |n| ((secs + n) * 1_000_000_000, vec![n as u8; 10], 10);
        let frames = (0..frames).map(frame).collect::<Vec<_>>();
        samples::pcap(Order::Little, 0xa1b2_c3d4, 0, &frames)
    }

    fn check(made: &[(&str, Vec<u8>)], inputs: &[&str], frames: &[&str], damages: &[&str]) {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in made {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let (read_frames, read_damages, files) = read(directory.path(), inputs);
        assert_eq!((read_frames, read_damages), (to_strings(frames), to_strings(damages)));
        let total = files.bytes_total().unwrap();
        assert_eq!(files.bytes_read().load(Ordering::Relaxed), total);
        assert_eq!(files.counters().captured_packets, frames.len() as u64);
    }

    fn to_strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| String::from(*word)).collect()
    }

    #[test]
    fn files_follow_each_other_by_their_first_frame_then_name() {
        let made = [
            ("a.pcap", capture(300, 2)),
            ("b.pcap", samples::gzip(&capture(100, 1))),
            ("empty-of-frames.pcap", capture(0, 0)),
            ("c.pcap", samples::pcapng(Order::Big, &[(200_000_000_000, vec![1], 1)])),
            ("0.pcap", samples::zstd(&capture(200, 1))),
        ];
        let inputs = ["a.pcap", "empty-of-frames.pcap", "c.pcap", "b.pcap", "0.pcap"];
        let frames = ["b.pcap#1", "0.pcap#1", "c.pcap#1", "a.pcap#1", "a.pcap#2"];
        check(&made, &inputs, &frames, &[]);
    }

    #[test]
    fn directories_give_the_captures_in_them() {
        let made = [
            ("in/z/deep/x", capture(1, 1)),
            ("in/y.txt", b"hello".to_vec()),
            ("in/nothing.pcap", Vec::new()),
            ("in/a", capture(2, 1)),
            ("in/cut.pcap", capture(3, 1)[..20].to_vec()),
        ];
        let damages = ["in/cut.pcap: cut in its header: 20 of 24 bytes are there"];
        check(&made, &["in"], &["in/z/deep/x#1", "in/a#1"], &damages);
    }

    #[test]
    fn globs_are_expanded_unless_a_file_has_that_name() {
        let made = [
            ("a1.pcap", capture(1, 1)),
            ("a2.pcap", capture(2, 1)),
            ("b1.pcap", capture(3, 1)),
            ("[ab]1.pcap", capture(4, 1)),
        ];
        check(&made, &["a*.pcap"], &["a1.pcap#1", "a2.pcap#1"], &[]);
        check(&made, &["[ab]1.pcap"], &["[ab]1.pcap#1"], &[]);
        check(&made, &["?[12].pcap"], &["a1.pcap#1", "a2.pcap#1", "b1.pcap#1"], &[]);
    }

    #[test]
    fn each_bad_input_has_its_line_and_the_rest_is_read() {
        let mut torn = capture(5, 3);
        torn.truncate(24 + 2 * 26 + 20);
        let made = [
            ("good.pcap", capture(9, 1)),
            ("empty.pcap", Vec::new()),
            ("text.pcap", b"a,b,c\n1,2,3\n".to_vec()),
            ("torn.pcap", torn),
            ("none/notes.txt", b"x".to_vec()),
        ];
        let inputs = [
            "missing.pcap",
            "m*.pcap",
            "empty.pcap",
            "text.pcap",
            "torn.pcap",
            "none",
            "good.pcap",
        ];
        let damages = [
            "missing.pcap: no such file: check the path",
            "m*.pcap: no file matches this pattern: check it, and quote it for the shell",
            "empty.pcap: empty: nothing was captured into it",
            "text.pcap: not a capture but text: give pcap or pcapng, plain or in gzip, zstd or lz4",
            "none: a directory without captures: none of its 1 files is pcap or pcapng",
            "torn.pcap: cut after frame 2 at byte 76: 20 of 26 bytes are there",
        ];
        check(&made, &inputs, &["torn.pcap#1", "torn.pcap#2", "good.pcap#1"], &damages);
    }

    #[test]
    fn a_pipe_is_read_once_and_ordered_among_files() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        fs::write(directory.path().join("late"), capture(9, 1)).unwrap();
        fs::write(directory.path().join("early"), capture(1, 1)).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let mut bytes = capture(2, 100_000);
        bytes.truncate(bytes.len() - 1);
        let writer = std::thread::spawn(move || fs::write(pipe, bytes).unwrap());
        let (frames, damages, files) = read(directory.path(), &["late", "pipe", "early"]);
        writer.join().unwrap();
        assert_eq!(frames.len(), 2 + 99_999);
        assert_eq!((&frames[0][..], &frames[1][..]), ("early#1", "pipe#1"));
        assert_eq!(frames[100_000], "late#1");
        let cut = "pipe: cut after frame 99999 at byte 2599998: 25 of 26 bytes are there";
        assert_eq!(damages, [cut]);
        assert_eq!(files.bytes_total(), None);
    }

    #[test]
    fn a_file_that_vanishes_before_its_turn_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pcap");
        fs::write(&path, capture(1, 1)).unwrap();
        let mut files = Files::open(&[path.to_string_lossy().into_owned()], None);
        fs::remove_file(path).unwrap();
        assert_eq!(files.fill(&mut Block::new(0)), State::Ended);
        assert_eq!(files.damages().len(), 1);
    }

    #[test]
    fn what_a_filter_drops_is_counted_and_moves_the_watermark() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.pcap");
        fs::write(&path, capture(1, 5)).unwrap();
        let filter = Filter::new("tcp port 80").unwrap();
        let mut files = Files::open(&[path.to_string_lossy().into_owned()], Some(filter));
        let mut block = Block::new(0);
        assert_eq!(files.fill(&mut block), State::More);
        assert_eq!((block.frames.len(), block.last), (0, FrameId::new(0, 5)));
        assert_eq!(files.counters().skipped_filter, 5);
        assert_eq!(files.counters().captured_packets, 0);
    }
}
