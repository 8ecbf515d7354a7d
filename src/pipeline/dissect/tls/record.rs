//! TLS records, and the handshake bytes inside them as one stream without the record headers.
//!
//! Spec:   RFC 8446 §5.1, RFC 5246 §6.2.1, RFC 6101 §5.2.1 (records); RFC 6520 §3 (heartbeat)
//! Reads:  one side's bytes from a place inside or between records
//! Yields: nothing: whole handshake messages and certificates for those who read them
//! Bounds: `limits::TLS_MESSAGE_BYTES_MAX`, `FILLERS_MAX`
//! Leaves: decryption, DTLS

use crate::model::bytes::Cursor;
use crate::model::bytes::narrow;
use crate::model::limits::TLS_MESSAGE_BYTES_MAX;

/// Bytes of a record header: content type, version (2), length (2).
pub(super) const HEADER_BYTES: usize = 5;

/// Bytes of a record's body: 2^14 of text and what the cipher adds, RFC 5246 §6.2.3.
const BODY_BYTES_MAX: u16 = 16_384 + 2_048;

/// Records without handshake bytes that are passed over between two parts of one message; OpenSSL
/// endures 32 empty ones. Without a bound, looking for the rest of a message again and again would
/// be quadratic work.
const FILLERS_MAX: u32 = 32;

/// A record's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// What the body is.
    pub(super) content: Content,
    /// Bytes of the body.
    pub(super) len: u16,
}

/// What a record's body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Content {
    /// From here on the side's records are encrypted (TLS 1.3 sends it without meaning).
    ChangeCipherSpec,
    /// A warning or the reason of an end.
    Alert,
    /// Part of a handshake message, or several messages.
    Handshake,
    /// Encrypted.
    ApplicationData,
    /// A sign of life.
    Heartbeat,
}

impl Record {
    /// Reads a header; `None` when no TLS or SSL 3.0 record begins so.
    pub(super) fn parse(header: [u8; HEADER_BYTES]) -> Option<Self> {
        let [kind, major, minor, high, low] = header;
        let content = match kind {
            20 => Content::ChangeCipherSpec,
            21 => Content::Alert,
            22 => Content::Handshake,
            23 => Content::ApplicationData,
            24 => Content::Heartbeat,
            _ => return None,
        };
        let len = u16::from_be_bytes([high, low]);
        let sane = major == 3 && minor <= 4 && len <= BODY_BYTES_MAX;
        sane.then_some(Self { content, len })
    }
}

/// Why bytes cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lack {
    /// At least so many more bytes must be shown.
    More(usize),
    /// They will not come: the bytes are encrypted or no records.
    Never,
}

/// Handshake bytes of one side from some place on, as far as they are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload<'a> {
    cursor: Cursor<'a>,
    /// Body bytes of the open handshake record that are still ahead, shown or not.
    record_left: u16,
}

impl<'a> Payload<'a> {
    /// Returns the payload at the first of `bytes`, where `record_left` bytes of an open record are
    /// ahead. What lies further ahead than a message may be long is not looked at.
    pub(super) fn new(bytes: &'a [u8], record_left: u16) -> Self {
        let window = bytes.get(..TLS_MESSAGE_BYTES_MAX).unwrap_or(bytes);
        Self { cursor: Cursor::new(window), record_left }
    }

    /// Returns the number of shown bytes that lie ahead, record headers included.
    pub(super) fn len(self) -> usize {
        self.cursor.len()
    }

    /// Returns the number of bytes ahead in the open record.
    pub(super) fn record_left(self) -> u16 {
        self.record_left
    }

    /// Reads `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Lack> {
        let mut bytes = [0; N];
        self.copy(&mut bytes)?;
        Ok(bytes)
    }

    /// Shows `n` bytes in one piece, and moves behind them: where they lie if one record holds
    /// them, else joined.
    pub(super) fn show<R>(&mut self, n: usize, read: impl FnOnce(&[u8]) -> R) -> Result<R, Lack> {
        let start = *self;
        self.pieces(n, |_| {})?;
        if n <= usize::from(start.record_left) {
            Ok(read(start.cursor.rest().get(..n).ok_or(Lack::Never)?))
        } else {
            start.joined(n, read)
        }
    }

    #[cold]
    #[inline(never)]
    fn joined<R>(mut self, n: usize, read: impl FnOnce(&[u8]) -> R) -> Result<R, Lack> {
        let mut space = [0; TLS_MESSAGE_BYTES_MAX];
        let bytes = space.get_mut(..n).ok_or(Lack::Never)?;
        self.copy(bytes)?;
        Ok(read(bytes))
    }

    fn copy(&mut self, mut to: &mut [u8]) -> Result<(), Lack> {
        self.pieces(to.len(), |piece| {
            if let Some((head, tail)) = std::mem::take(&mut to).split_at_mut_checked(piece.len()) {
                head.copy_from_slice(piece);
                to = tail;
            }
        })
    }

    /// Moves behind `n` bytes, piece by piece.
    fn pieces(&mut self, n: usize, mut each: impl FnMut(&[u8])) -> Result<(), Lack> {
        let mut left = n;
        while left > 0 {
            self.open()?;
            let here = left.min(usize::from(self.record_left));
            // what goes on in another record is looked at again with that record's header
            let more = left.min(here.saturating_add(HEADER_BYTES));
            let lack = more.saturating_sub(self.cursor.len());
            each(self.cursor.take(here).ok_or(Lack::More(lack.max(1)))?);
            left = left.saturating_sub(here);
            self.record_left = self.record_left.saturating_sub(narrow16(here));
        }
        Ok(())
    }

    /// Moves to the next handshake byte.
    fn open(&mut self) -> Result<(), Lack> {
        let mut fillers = 0_u32;
        while self.record_left == 0 {
            let mut c = self.cursor;
            let lack = HEADER_BYTES.saturating_sub(c.len());
            let header = c.array().ok_or(Lack::More(lack))?;
            let record = Record::parse(header).ok_or(Lack::Never)?;
            let lack = usize::from(record.len).saturating_sub(c.len());
            match record.content {
                Content::Handshake => self.record_left = record.len,
                Content::ApplicationData => return Err(Lack::Never),
                Content::ChangeCipherSpec | Content::Alert | Content::Heartbeat => {
                    c.take(usize::from(record.len)).ok_or(Lack::More(lack))?;
                }
            }
            self.cursor = c;
            fillers = fillers.saturating_add(1);
            if fillers > FILLERS_MAX {
                return Err(Lack::Never);
            }
        }
        Ok(())
    }
}

fn narrow16(n: usize) -> u16 {
    u16::try_from(narrow(n)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::Lack;
    use super::Payload;

    fn check(bytes: &[u8], record_left: u16, n: usize, expected: Result<&[u8], Lack>) {
        let mut payload = Payload::new(bytes, record_left);
        let shown = payload.show(n, <[u8]>::to_vec);
        assert_eq!(shown.as_deref(), expected.as_ref().copied(), "{bytes:02x?}");
    }

    #[test]
    fn pieces_are_joined_over_records_and_what_lies_between() {
        let alert = [21, 3, 1, 0, 2, 1, 112];
        let empty = [22, 3, 1, 0, 0];
        let split = [&b"ab"[..], &alert, &empty, &[22, 3, 1, 0, 3], b"cde"].concat();
        check(&split, 2, 2, Ok(b"ab"));
        check(&split, 2, 4, Ok(b"abcd"));
        check(&split, 2, 5, Ok(b"abcde"));
        check(&split, 2, 6, Err(Lack::More(5)));
        check(&split[..split.len() - 1], 2, 5, Err(Lack::More(1)));
        check(b"ab", 9, 5, Err(Lack::More(3)));
    }

    #[test]
    fn what_never_comes_is_told() {
        check(&[b'a', 23, 3, 3, 0, 1, 0], 1, 2, Err(Lack::Never));
        check(b"aGET / HTTP/1.1", 1, 2, Err(Lack::Never));
        check(&[b'a', 22, 3, 3, 0xff, 0xff, 0], 1, 2, Err(Lack::Never));
    }

    #[test]
    fn fillers_are_bounded() {
        let with =
            |empty: usize| [[22, 3, 1, 0, 0].repeat(empty), vec![22, 3, 1, 0, 1, b'a']].concat();
        check(&with(31), 0, 1, Ok(b"a"));
        check(&with(32), 0, 1, Err(Lack::Never));
    }
}
