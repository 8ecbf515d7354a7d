//! Bounds on what JSON keeps in memory until it ends: its reader keeps a string, and something for
//! each level that is open, also of what is skipped.

use std::io;
use std::io::Read;

use crate::model::limits::JSON_LEVELS_MAX;
use crate::model::limits::JSON_STRING_BYTES_MAX;

/// Reads JSON, and fails inside a string that is too long, or too many levels deep.
#[derive(Debug)]
pub struct Bounded<R> {
    read: R,
    inside: bool,
    escaped: bool,
    string_bytes: usize,
    levels: usize,
}

impl<R: Read> Bounded<R> {
    /// Begins outside strings.
    pub fn new(read: R) -> Self {
        Self { read, inside: false, escaped: false, string_bytes: 0, levels: 0 }
    }

    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while let Some((_, after)) = rest.split_first() {
            if std::mem::take(&mut self.escaped) {
                rest = after;
                continue;
            }
            let mark =
                if self.inside { memchr::memchr2(b'"', b'\\', rest) } else { self.outside(rest)? };
            let (head, tail) = rest.split_at(mark.map_or(rest.len(), |at| at + 1));
            self.string_bytes += if self.inside { head.len() } else { 0 };
            if self.string_bytes > JSON_STRING_BYTES_MAX {
                return Err(io::Error::other("a string of more than 80 MiB"));
            }
            match head.last() {
                Some(b'\\') if self.inside => self.escaped = true,
                Some(b'"') => (self.inside, self.string_bytes) = (!self.inside, 0),
                _ => {}
            }
            rest = tail;
        }
        Ok(())
    }

    /// Returns where the next string begins, and counts the levels before it.
    fn outside(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'"' => return Ok(Some(at)),
                b'[' | b'{' => self.levels += 1,
                b']' | b'}' => self.levels = self.levels.saturating_sub(1),
                _ => {}
            }
            if self.levels > JSON_LEVELS_MAX {
                return Err(io::Error::other("lists and objects in more than 4,096 levels"));
            }
        }
        Ok(None)
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.read.read(bytes)?;
        self.look(bytes.get(..read).unwrap_or_default())?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn ends(json: impl Read) -> bool {
        io::copy(&mut Bounded::new(json), &mut io::sink()).is_ok()
    }

    fn repeat(text: &str, bytes: usize) -> Cursor<String> {
        Cursor::new(text.repeat(bytes / text.len()))
    }

    #[test]
    fn levels_end() {
        let all = JSON_LEVELS_MAX;
        for (open, close) in [("[", "]"), ("{\"[\":", "}")] {
            let deep = [open.repeat(all), close.repeat(all)].concat().repeat(3);
            assert!(ends(Cursor::new(deep)), "{open}");
            assert!(!ends(Cursor::new(open.repeat(all + 1))), "{open}");
        }
    }

    #[test]
    fn only_one_string_that_never_ends_fails() {
        let long = JSON_STRING_BYTES_MAX + 4096;
        for short in ["\"x\",", "[7], \\", "\"a\\\"\\\\\"", "\"\","] {
            assert!(ends(repeat(short, long)), "{short}");
        }
        for endless in ["x", "\\\"", "\\\\", "x \\\""] {
            let bytes = 2 * long;
            assert!(!ends(Cursor::new("[\"").chain(repeat(endless, bytes))), "{endless}");
        }
    }
}
