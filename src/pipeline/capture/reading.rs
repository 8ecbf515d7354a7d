//! One open file: its bytes into blocks, cut records carried from one block to the next.

use std::io;
use std::io::Read;

use crate::model::block::Block;
use crate::model::bytes::narrow;
use crate::model::limits::BLOCK_BYTES;
use crate::model::limits::COMPRESSION_DEPTH_MAX;
use crate::pipeline::capture::COMPRESSIONS;
use crate::pipeline::capture::FORMATS;
use crate::pipeline::capture::Input;
use crate::pipeline::capture::Place;
use crate::pipeline::capture::Stop;
use crate::pipeline::capture::Walk;
use crate::pipeline::capture::damage::Flaw;
use crate::pipeline::capture::damage::Trouble;
use crate::pipeline::capture::damage::words;

/// First bytes looked at to tell formats: the longest mark that is known has eight.
const HEAD_BYTES: usize = 8;

/// One file being read.
pub(super) struct Reading {
    /// Index that its frames name.
    pub(super) file: u32,
    /// Bytes asked for at once, at most; small while only the first frame is wanted.
    pub(super) read_bytes_max: usize,
    /// Frames left out as too long, since last taken.
    pub(super) oversized: u64,
    input: Input,
    walk: Box<dyn Walk>,
    /// Bytes read and not walked: a cut record, or what a full block had no room for.
    carried: Vec<u8>,
    /// Where the bytes not walked yet begin in the content.
    at: u64,
    /// The record being passed over.
    passed: Passed,
    /// Bytes of the record that was not whole.
    needed_bytes: usize,
    /// Whether `carried` may hold whole records.
    pending: bool,
}

/// What came of a `fill`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// There may be more.
    More,
    /// That was all.
    Ended,
    /// That was all that can be used.
    Damaged(Trouble),
}

impl Reading {
    /// Tells format and compression of `input` by its first bytes.
    pub(super) fn open(mut input: Input) -> Result<Self, Trouble> {
        for _depth in 0..=COMPRESSION_DEPTH_MAX {
            let (head, whole) = peek(input).map_err(|error| unreadable(&error))?;
            if head.is_empty() {
                return Err(Trouble::Empty);
            }
            if let Some(format) = FORMATS.iter().find(|format| (format.looks)(&head)) {
                return Ok(Self::new(whole, (format.walk)()));
            }
            match COMPRESSIONS.iter().find(|compression| (compression.looks)(&head)) {
                Some(compression) => {
                    input = (compression.open)(whole).map_err(|error| unreadable(&error))?;
                }
                None => return Err(Trouble::Alien(likeness(&head))),
            }
        }
        Err(Trouble::Alien("something compressed over and over"))
    }

    fn new(input: Input, walk: Box<dyn Walk>) -> Self {
        Self {
            file: 0,
            read_bytes_max: usize::MAX,
            oversized: 0,
            input,
            walk,
            carried: Vec::with_capacity(BLOCK_BYTES),
            at: 0,
            passed: Passed::default(),
            needed_bytes: 0,
            pending: false,
        }
    }

    /// Fills a cleared block: carried bytes first, then what one read gives; more reads only while
    /// no frame is whole.
    pub(super) fn fill(&mut self, block: &mut Block) -> Filled {
        let mut filled = self.carried.len();
        if let Some(front) = block.bytes.get_mut(..filled) {
            front.copy_from_slice(&self.carried);
        }
        self.carried.clear();
        loop {
            if !self.pending {
                match self.read(&mut block.bytes, filled) {
                    Ok(0) => return self.end(filled),
                    Ok(n) => filled = filled.saturating_add(n),
                    Err(error) => {
                        let (frame, at, why) = (self.walk.number(), self.at, words(&error));
                        return Filled::Damaged(Trouble::Stopped { frame, at, why });
                    }
                }
            }
            let walked = match self.walk(block, filled) {
                Ok(walked) => walked,
                Err(flaw) => {
                    let (frame, at) = (self.walk.number(), self.at);
                    return Filled::Damaged(Trouble::Broken { frame, at, flaw });
                }
            };
            if !block.frames.is_empty() {
                let rest = block.bytes.get(walked..filled).unwrap_or_default();
                self.carried.extend_from_slice(rest);
                return Filled::More;
            }
            block.bytes.copy_within(walked..filled, 0);
            filled = filled.saturating_sub(walked);
        }
    }

    /// Walks the first `filled` bytes; returns how many of them are done with.
    fn walk(&mut self, block: &mut Block, filled: usize) -> Result<usize, Flaw> {
        let mut done: usize = 0;
        loop {
            done = done.saturating_add(self.pass(filled.saturating_sub(done)));
            let bytes = block.bytes.get(done..filled).unwrap_or_default();
            let place = Place { file: self.file, at: narrow(done) };
            let (walked, stop) = self.walk.walk(bytes, place, &mut block.frames);
            done = done.saturating_add(walked);
            self.at = self.at.saturating_add(u64::from(narrow(walked)));
            self.pending = stop == Stop::Full;
            match stop {
                Stop::Full => return Ok(done),
                Stop::Short(needed_bytes) => {
                    self.needed_bytes = needed_bytes;
                    return Ok(done);
                }
                Stop::Broken(flaw) => return Err(flaw),
                Stop::Skip(bytes) => self.passed = Passed { bytes, left: bytes },
                Stop::Oversized(bytes) => {
                    self.oversized = self.oversized.saturating_add(1);
                    self.passed = Passed { bytes, left: bytes };
                }
            }
        }
    }

    /// Passes over what is left of a record, at most `there` bytes; returns how many.
    fn pass(&mut self, there: usize) -> usize {
        let n = there.min(usize::try_from(self.passed.left).unwrap_or(usize::MAX));
        let n_bytes = u64::try_from(n).unwrap_or(u64::MAX);
        self.passed.left = self.passed.left.saturating_sub(n_bytes);
        self.at = self.at.saturating_add(n_bytes);
        n
    }

    /// Reads once, behind the bytes that are there.
    fn read(&mut self, bytes: &mut [u8], filled: usize) -> io::Result<usize> {
        let end = filled.saturating_add(self.read_bytes_max).min(bytes.len());
        let room = bytes.get_mut(filled..end).unwrap_or_default();
        loop {
            match self.input.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Judges the end of the file, with `there` bytes that are no whole record.
    fn end(&self, there: usize) -> Filled {
        let there = u64::from(narrow(there));
        let needed = u64::from(narrow(self.needed_bytes));
        let Passed { bytes, left } = self.passed;
        let passed = bytes.saturating_sub(left);
        let frame = self.walk.number();
        Filled::Damaged(match (left, there, self.at) {
            (0, 0, 1..) => return Filled::Ended,
            (0, _, 0) => Trouble::CutHeader { there, needed },
            (0, _, at) => Trouble::Cut { frame, at, there, needed },
            (_, _, at) => {
                Trouble::Cut { frame, at: at.saturating_sub(passed), there: passed, needed: bytes }
            }
        })
    }
}

/// A record that is passed over: its bytes, and how many of them are still to come.
#[derive(Clone, Copy, Default)]
struct Passed {
    bytes: u64,
    left: u64,
}

/// Reads the first bytes and puts them back.
fn peek(mut input: Input) -> io::Result<(Vec<u8>, Input)> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let head_bytes = u64::from(narrow(HEAD_BYTES));
    input.by_ref().take(head_bytes).read_to_end(&mut head)?;
    let whole = io::Cursor::new(head.clone()).chain(input);
    Ok((head, Box::new(whole)))
}

/// Says what something looks like that is no capture.
fn likeness(head: &[u8]) -> &'static str {
    const MARKS: &[(&[u8], &str)] = &[
        (b"snoop\0\0\0", "a snoop capture"),
        (b"GMBU", "a Network Monitor capture"),
        (b"\xfd7zXZ", "xz"),
        (b"BZh", "bzip2"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x7fELF", "a program"),
        (b"%PDF", "a PDF document"),
        (b"SQLite", "a database"),
        (b"{", "JSON"),
        (b"[", "JSON"),
        (b"<", "XML or HTML"),
    ];
    let mark = MARKS.iter().find(|(mark, _)| head.starts_with(mark));
    let text = head.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    match mark {
        Some((_, name)) => name,
        None if text => "text",
        None => "something unknown",
    }
}

fn unreadable(error: &io::Error) -> Trouble {
    Trouble::Unreadable(words(error))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::io::Read;

    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::prelude::prop_assert;
    use proptest::prelude::prop_assert_eq;
    use proptest::proptest;

    use crate::pipeline::capture::damage::Trouble;
    use crate::pipeline::capture::order::Order;
    use crate::pipeline::capture::samples;

    /// Fails once its bytes are read.
    struct Failing(io::Cursor<Vec<u8>>);

    impl Read for Failing {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            match self.0.read(out)? {
                0 => Err(io::Error::other("the disk is on fire")),
                n => Ok(n),
            }
        }
    }

    fn check(bytes: &[u8], trouble: &Trouble) {
        assert_eq!(samples::read(bytes, usize::MAX).1.as_ref(), Some(trouble));
    }

    #[test]
    fn what_is_no_capture() {
        check(b"", &Trouble::Empty);
        check(b"\n", &Trouble::Alien("text"));
        check(b"hello, world", &Trouble::Alien("text"));
        check(b"{\"Event\": {}}", &Trouble::Alien("JSON"));
        check(b"snoop\0\0\0\0\0\0\x02", &Trouble::Alien("a snoop capture"));
        check(b"\x7fELF\x02\x01\x01\0\0", &Trouble::Alien("a program"));
        check(&[0; 100], &Trouble::Alien("something unknown"));
        check(&[0xd4, 0xc3], &Trouble::Alien("something unknown"));
    }

    #[test]
    fn a_failing_read_keeps_what_came_before() {
        let frames = samples::three();
        let mut bytes = samples::pcap(Order::Little, 0xa1b2_c3d4, 0, &frames);
        bytes.truncate(bytes.len() - 1);
        let (read, trouble, _) = samples::read_from(Failing(io::Cursor::new(bytes)), 50);
        assert_eq!(read.len(), 2);
        let why = String::from("the disk is on fire");
        assert_eq!(trouble, Some(Trouble::Stopped { frame: 2, at: 67, why }));
    }

    proptest! {
        #[test]
        fn every_format_gives_the_same_frames(
            frames in
                vec((0..4_000_000_000_000_000_u64, vec(any::<u8>(), 0..300), any::<u32>()), 0..30),
            read_bytes_max in 1..5_000_usize,
        ) {
            let frames = frames.into_iter().map(|(time, bytes, wire)| (time * 1_000, bytes, wire));
            let frames = frames.collect::<Vec<_>>();
            for order in [Order::Little, Order::Big] {
                let micros = samples::pcap(order, 0xa1b2_c3d4, 0, &frames);
                for file in [
                    samples::pcap(order, 0xa1b2_3c4d, 0, &frames),
                    samples::pcap(order, 0xa1b2_cd34, 8, &frames),
                    samples::pcapng(order, &frames),
                    samples::gzip(&micros),
                    samples::zstd(&micros),
                    samples::lz4(&micros),
                    micros,
                ] {
                    let (read, trouble, _) = samples::read(&file, read_bytes_max);
                    prop_assert!(read.iter().map(|(_, _, told)| told).eq(&frames));
                    let numbers = read.iter().map(|(_, number, _)| *number);
                    prop_assert!(numbers.eq(1..=frames.len() as u64));
                    prop_assert_eq!(trouble, None);
                }
            }
        }

        #[test]
        fn a_cut_gives_a_prefix(
            sizes in vec(0..400_usize, 1..20),
            cut in any::<u16>(),
            read_bytes_max in 1..3_000_usize,
        ) {
            let frame = |(n, bytes)| (n as u64 * 1_000, vec![n as u8; bytes], 1_500);
            let frames = sizes.into_iter().enumerate().map(frame).collect::<Vec<_>>();
            for file in [
                samples::pcap(Order::Little, 0xa1b2_c3d4, 0, &frames),
                samples::pcapng(Order::Big, &frames),
            ] {
                let cut = usize::from(cut) % file.len();
                let (read, _, _) = samples::read(&file[..cut], read_bytes_max);
                prop_assert!(read.len() < frames.len());
                prop_assert!(read.iter().map(|(_, _, told)| told).eq(&frames[..read.len()]));
            }
        }

        #[test]
        fn any_bytes_behind_a_magic_are_survived(
            magic in 0..4_usize,
            bytes in vec(any::<u8>(), 0..600),
            read_bytes_max in 1..700_usize,
        ) {
            let start = match magic {
                0 => samples::pcap(Order::Little, 0xa1b2_c3d4, 0, &samples::three()),
                1 => samples::pcap(Order::Big, 0xa1b2_cd34, 8, &[]),
                2 => samples::pcapng(Order::Little, &samples::three()),
                _ => samples::section(Order::Big),
            };
            let file = [start, bytes].concat();
            let (read, _, _) = samples::read(&file, read_bytes_max);
            prop_assert!(read.len() * 12 <= file.len());
        }
    }
}
