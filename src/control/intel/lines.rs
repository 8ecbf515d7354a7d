//! Big text files in blocks of whole records, so that all cores can read one file.
//!
//! A block ends where a record does: at a line end, for CSV at one outside quotes.

use rayon::iter::ParallelBridge;
use rayon::iter::ParallelIterator;
use std::io;
use std::io::Read;

use crate::control::intel::input::Stream;

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
///
/// # Errors
/// The first error of reading; blocks before it were given.
pub fn each_block(
    stream: Stream,
    border: Border,
    parallel: bool,
    each: impl Fn(Block) + Sync,
) -> io::Result<()> {
    let blocks =
        Blocks { read: stream.into_read(), border, carry: Vec::new(), line: 1, ended: false };
    let one = |block: io::Result<Block>| block.map(&each);
    if parallel { blocks.par_bridge().try_for_each(one) } else { { blocks }.try_for_each(one) }
}

/// Returns the length up to the last line end.
pub fn line_border(bytes: &[u8]) -> Option<usize> {
    bytes.iter().rposition(|&byte| byte == b'\n').map(|at| at + 1)
}

struct Blocks<R> {
    read: R,
    border: Border,
    carry: Vec<u8>,
    line: u64,
    ended: bool,
}

impl<R: Read> Iterator for Blocks<R> {
    type Item = io::Result<Block>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let mut bytes = std::mem::take(&mut self.carry);
        let mut border = None;
        while !self.ended && border.is_none() {
            let want = BLOCK_BYTES.saturating_sub(bytes.len()).max(BLOCK_BYTES / 4);
            bytes.reserve(want);
            match self.read.by_ref().take(want as u64).read_to_end(&mut bytes) {
                Ok(read) => self.ended = read < want,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
            border = match (self.border)(&bytes) {
                _ if self.ended => Some(bytes.len()),
                None if bytes.len() > RECORD_BYTES_MAX => line_border(&bytes).or(Some(bytes.len())),
                border => border,
            };
        }
        self.carry = bytes.split_off(border.unwrap_or(bytes.len()));
        let line = self.line;
        self.line += lines_in(&bytes);
        Some(Ok(Block { bytes, line }))
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
    use super::*;
    use std::io::Cursor;
    use std::sync::Mutex;

    fn blocks(text: &[u8], border: Border, parallel: bool) -> Vec<(u64, Vec<u8>)> {
        let stream = Stream::new(Cursor::new(text.to_vec())).expect("memory");
        let found = Mutex::new(Vec::new());
        let each = |block: Block| found.lock().expect("whole").push((block.line, block.bytes));
        each_block(stream, border, parallel, each).expect("memory");
        let mut found = found.into_inner().expect("whole");
        found.sort();
        found
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
    fn a_record_that_never_ends_is_cut_at_a_line() {
        let text = "a line\n".repeat(1_000_000);
        let found = blocks(text.as_bytes(), |_| None, false);
        assert!(found.iter().all(|(_, bytes)| bytes.len() <= RECORD_BYTES_MAX + BLOCK_BYTES));
        assert_eq!(found.iter().map(|(_, bytes)| bytes.len()).sum::<usize>(), text.len());
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(blocks(b"", line_border, false).iter().all(|(_, bytes)| bytes.is_empty()));
    }
}
