//! What was wrong with an input: one line that says what, where and what to do.

use std::io;

/// One input that was damaged, cut or of no use; whatever it held before that was used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {trouble}")]
pub struct Damage {
    /// The input as the user gave it, or its path under the directory given.
    pub name: String,
    /// What is wrong with it.
    pub trouble: Trouble,
}

/// What can be wrong with an input; offsets count the bytes of the capture, decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nothing has that name.
    #[error("no such file: check the path")]
    Missing,
    /// A pattern that names nothing.
    #[error("no file matches this pattern: check it, and quote it for the shell")]
    NoMatch,
    /// It cannot be opened, or not be read from its first byte.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It has no byte.
    #[error("empty: nothing was captured into it")]
    Empty,
    /// Its first bytes are of no format that we read.
    #[error("not a capture but {0}: give pcap or pcapng, plain or in gzip, zstd or lz4")]
    Alien(&'static str),
    /// No file of a directory is a capture.
    #[error("a directory without captures: none of its {files} files is pcap or pcapng")]
    NoCaptures {
        /// Files looked at.
        files: u64,
    },
    /// It ends before its first record.
    #[error("cut in its header: {there} of {needed} bytes are there")]
    CutHeader {
        /// Bytes there.
        there: u64,
        /// Bytes that should be there, at least.
        needed: u64,
    },
    /// It ends in the middle of a record.
    #[error("cut after frame {frame} at byte {at}: {there} of {needed} bytes are there")]
    Cut {
        /// The last whole frame.
        frame: u64,
        /// Where the cut record begins.
        at: u64,
        /// Bytes of it that are there.
        there: u64,
        /// Bytes that should be there, at least.
        needed: u64,
    },
    /// A record contradicts itself; nothing behind it can be found.
    #[error("damaged after frame {frame} at byte {at}: {flaw}; what is before it was used")]
    Broken {
        /// The last whole frame.
        frame: u64,
        /// Where the record begins.
        at: u64,
        /// What it says.
        flaw: Flaw,
    },
    /// Reading or decompressing stopped.
    #[error("cannot be read after frame {frame} at byte {at}: {why}; what is before it was used")]
    Stopped {
        /// The last whole frame.
        frame: u64,
        /// Bytes that were read.
        at: u64,
        /// The system's or the decompressor's words.
        why: String,
    },
}

/// How a record of a capture contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A version whose layout nobody described.
    #[error("version {major}.{minor} is not one that we read")]
    Version {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// A pcap record that claims more bytes than any capture program writes.
    #[error("the record header says {0} bytes")]
    RecordBytes(u32),
    /// A pcapng block whose length is impossible.
    #[error("the block header says {0} bytes")]
    BlockBytes(u32),
    /// A pcapng block whose second length differs from the first.
    #[error("the block ends with another length than it begins with")]
    Trailer,
    /// A pcapng block too short for the fields of its type, or for the packet that it claims.
    #[error("the block is shorter than what it says to hold")]
    Fields,
    /// A pcapng section whose byte order nobody described.
    #[error("the section header names no byte order")]
    ByteOrder,
    /// A packet of an interface that its section does not describe.
    #[error("the packet is of interface {0}, which the section does not describe")]
    Interface(u32),
    /// More interfaces than `INTERFACES_MAX`.
    #[error("the section describes too many interfaces")]
    Interfaces,
}

/// Returns the system's words for an error.
#[allow(clippy::disallowed_methods, reason = "once for each file that cannot be read")]
pub(super) fn words(error: &io::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::Damage;
    use super::Flaw;
    use super::Trouble;

    fn check(trouble: Trouble, line: &str) {
        let damage = Damage { name: String::from("a.pcap"), trouble };
        assert_eq!(damage.to_string(), format!("a.pcap: {line}"));
    }

    #[test]
    fn lines_say_what_and_where() {
        check(Trouble::Missing, "no such file: check the path");
        check(
            Trouble::Cut { frame: 17, at: 12_345, there: 40, needed: 66 },
            "cut after frame 17 at byte 12345: 40 of 66 bytes are there",
        );
        check(
            Trouble::Broken { frame: 2, at: 99, flaw: Flaw::RecordBytes(4_000_000_000) },
            "damaged after frame 2 at byte 99: the record header says 4000000000 bytes; \
             what is before it was used",
        );
    }
}
