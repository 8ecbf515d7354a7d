//! Big text files in blocks of whole records, so that all cores can read one file.
//!
//! A block ends where a record does: at a line end, for CSV at one outside quotes. A quote that
//! never closes costs its line: the lines after it are read each on its own, and the end says so.

use rayon::iter::ParallelBridge;
use rayon::iter::ParallelIterator;
use std::io;
use std::io::Read;

use crate::control::intel::Fault;
use crate::control::intel::input::Stream;
use crate::control::intel::ledger::Spot;

/// Bytes of one block: small enough that a block for each core is nothing, large enough that
/// hand-over is.
const BLOCK_BYTES: usize = 1 << 20;

/// Bytes of one record; a quote that never closes must not swallow a feed.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// Whole records.
#[derive(Debug)]
pub struct Block {
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// 1-based line of the first.
    pub line: u64,
}

/// Tells where the last whole record ends, as a length; `None` when none does.
pub type Border = fn(&[u8]) -> Option<usize>;

/// Gives each block to `each`: on all cores, or one after the other where the order counts.
/// `line` is that of the stream's first byte.
///
/// # Errors
/// The first error of reading, or what had to be left out; everything else was given.
pub fn each_block(
    stream: Stream,
    line: u64,
    border: Border,
    parallel: bool,
    each: impl Fn(Block) + Sync,
) -> Result<(), Fault> {
    let blocks = Blocks {
        read: stream.into_read(),
        border,
        carry: Vec::new(),
        line,
        next: Next::Read,
        inside_line: false,
        torn: Torn::default(),
    };
    let one = |block: Result<Block, Fault>| block.map(&each);
    if parallel { blocks.par_bridge().try_for_each(one) } else { { blocks }.try_for_each(one) }
}

/// Returns the length up to the last line end.
pub fn line_border(bytes: &[u8]) -> Option<usize> {
    memchr::memrchr(b'\n', bytes).map(|at| at + 1)
}

struct Blocks<R> {
    read: R,
    border: Border,
    carry: Vec<u8>,
    line: u64,
    next: Next,
    /// The rest of the line is that of one too long.
    inside_line: bool,
    torn: Torn,
}

/// What is to do.
enum Next {
    Read,
    /// All was read, or all that can be.
    Tell(io::Result<()>),
    Nothing,
}

/// Lines that were left out.
#[derive(Default)]
struct Torn {
    first: u64,
    lines: u64,
}

impl<R: Read> Iterator for Blocks<R> {
    type Item = Result<Block, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Nothing => None,
            Next::Tell(Err(error)) => Some(Err(error.into())),
            Next::Tell(Ok(())) => self.torn.fault().map(Err),
            Next::Read => Some(Ok(self.block())),
        }
    }
}

impl<R: Read> Blocks<R> {
    fn block(&mut self) -> Block {
        let mut bytes = std::mem::take(&mut self.carry);
        let end = loop {
            let want = BLOCK_BYTES.saturating_sub(bytes.len()).max(BLOCK_BYTES / 4);
            bytes.reserve(want);
            let read = self.read.by_ref().take(want as u64).read_to_end(&mut bytes);
            self.skip_line(&mut bytes);
            match read {
                // What a reader that breaks has given of a record may be any part of it.
                Err(error) => {
                    self.next = Next::Tell(Err(error));
                    break (self.border)(&bytes).unwrap_or(0);
                }
                Ok(read) if read < want => {
                    self.next = Next::Tell(Ok(()));
                    self.end_last(&mut bytes);
                    break bytes.len();
                }
                Ok(_) => {}
            }
            match (self.border)(&bytes) {
                Some(end) => break self.go_on(end),
                None if bytes.len() > RECORD_BYTES_MAX => {
                    let lines = line_border(&bytes);
                    self.inside_line = lines.is_none();
                    let rest = bytes.split_off(lines.unwrap_or(bytes.len()));
                    bytes = self.mended(&bytes);
                    let end = bytes.len();
                    bytes.extend(rest);
                    break self.go_on(end);
                }
                None => {}
            }
        };
        self.carry = bytes.split_off(end);
        let line = self.line;
        self.line += lines_in(&bytes);
        Block { bytes, line }
    }

    fn go_on(&mut self, end: usize) -> usize {
        self.next = Next::Read;
        end
    }

    /// Empties the rest of a line too long.
    fn skip_line(&mut self, bytes: &mut Vec<u8>) {
        if self.inside_line {
            let end = memchr::memchr(b'\n', bytes);
            self.inside_line = end.is_none();
            bytes.drain(..end.unwrap_or(bytes.len()));
        }
    }

    /// Mends the last record where no line end makes it whole.
    fn end_last(&mut self, bytes: &mut Vec<u8>) {
        let whole = (self.border)(bytes).unwrap_or(0);
        let mut last = bytes.split_off(whole);
        last.push(b'\n');
        if (self.border)(&last) == Some(last.len()) {
            last.pop();
        } else {
            let line = self.line;
            self.line += lines_in(bytes);
            last = self.mended(&last);
            self.line = line;
        }
        bytes.extend(last);
    }

    /// Returns the lines that are records by themselves, the others emptied and counted.
    fn mended(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut mended = Vec::with_capacity(bytes.len());
        for (line, number) in bytes.split_inclusive(|&byte| byte == b'\n').zip(self.line..) {
            if (self.border)(line) == Some(line.len()) {
                mended.extend(line);
            } else {
                self.torn.add(number);
                mended.extend(line.ends_with(b"\n").then_some(b'\n'));
            }
        }
        mended
    }
}

impl Torn {
    fn add(&mut self, line: u64) {
        if self.lines == 0 {
            self.first = line;
        }
        self.lines += 1;
    }

    fn fault(&self) -> Option<Fault> {
        let what = match self.lines {
            0 => return None,
            1 => "a quote that never closes, or a line over 1 MiB: left out".to_owned(),
            n => format!("quotes that never close, or lines over 1 MiB: {n} lines left out"),
        };
        Some(Fault { spot: Spot::Line(self.first), what })
    }
}

/// Returns the number of line ends.
pub fn lines_in(bytes: &[u8]) -> u64 {
    bytes
        .chunks(255)
        .map(|chunk| {
            let n: u8 = chunk.iter().map(|&byte| u8::from(byte == b'\n')).sum();
            u64::from(n)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::Mutex;

    use super::*;
    use crate::control::intel::input::Broken;

    fn blocks(text: &[u8], border: Border, parallel: bool) -> Vec<(u64, Vec<u8>)> {
        let (found, fault) = read(Cursor::new(text.to_vec()), border, parallel);
        assert_eq!(fault, None);
        found
    }

    fn read(
        from: impl Read + Send + 'static,
        border: Border,
        parallel: bool,
    ) -> (Vec<(u64, Vec<u8>)>, Option<String>) {
        let stream = Stream::new(from).expect("a first byte");
        let found = Mutex::new(Vec::new());
        let each = |block: Block| found.lock().expect("whole").push((block.line, block.bytes));
        let fault = each_block(stream, 1, border, parallel, each).err();
        let mut found = found.into_inner().expect("whole");
        found.sort();
        (found, fault.map(|fault| format!("{}: {}", fault.spot, fault.what)))
    }

    #[test]
    fn blocks_join_to_the_whole_and_end_at_lines() {
        let text = (0..300_000).map(|n| format!("line {n}\n")).collect::<String>() + "no end";
        let found = blocks(text.as_bytes(), line_border, true);
        assert!(found.len() > 2);
        assert_eq!(found, blocks(text.as_bytes(), line_border, false));
        let joined = found.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect::<Vec<_>>();
        assert_eq!(joined, text.as_bytes());
        for (line, bytes) in &found {
            assert!(bytes.starts_with(format!("line {}\n", line - 1).as_bytes()), "line {line}");
        }
    }

    #[test]
    fn a_line_that_never_ends_is_left_out() {
        let long = "x".repeat(5 * RECORD_BYTES_MAX / 2);
        let text = format!("one\n{long}\ntwo\n");
        let (found, fault) = read(Cursor::new(text), line_border, false);
        assert_eq!(found.concat_bytes(), b"one\n\ntwo\n");
        assert!(fault.is_some_and(|fault| fault.starts_with("line 2: ")));
        let (found, fault) = read(Cursor::new(long), line_border, false);
        assert_eq!((found.concat_bytes(), fault.is_some()), (Vec::new(), true));
    }

    #[test]
    fn what_came_before_a_broken_end_counts() {
        let text = "a line\n".repeat(400_000) + "half a l";
        for (parallel, text) in [(true, text.as_str()), (false, "a line\nhalf a l")] {
            let broken = Cursor::new(text.to_owned()).chain(Broken::new(io::Error::other("cut")));
            let (found, fault) = read(broken, line_border, parallel);
            assert_eq!(found.concat_bytes().len(), text.len() - "half a l".len());
            assert_eq!(fault.as_deref(), Some("file: cut"));
        }
    }

    trait Concat {
        fn concat_bytes(&self) -> Vec<u8>;
    }

    impl Concat for Vec<(u64, Vec<u8>)> {
        fn concat_bytes(&self) -> Vec<u8> {
            self.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect()
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(blocks(b"", line_border, false).iter().all(|(_, bytes)| bytes.is_empty()));
    }
}
