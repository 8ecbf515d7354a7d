//! The line or header that a load balancer puts before a stream to tell the real client.
//!
//! Spec:   PROXY protocol, 2.1 (version 1) and 2.2 (version 2)
//! Reads:  the first bytes of a side
//! Yields: nothing: the protocol behind it is what counts
//! Bounds: 107 bytes of version 1, 16 and 65,535 of version 2
//! Leaves: the addresses it tells

use crate::model::bytes::Cursor;

const LINE: &[u8] = b"PROXY ";
const LINE_BYTES_MAX: usize = 107;
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Returns how many bytes of the front are a whole preamble.
pub(super) fn preamble(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(LINE) {
        let line = bytes.get(..bytes.len().min(LINE_BYTES_MAX))?;
        let end = line.windows(2).position(|pair| pair == b"\r\n")?;
        return Some(end.saturating_add(2));
    }
    let mut c = Cursor::new(bytes.strip_prefix(SIGNATURE)?);
    let _version_family = c.u16()?;
    c.vec16()?;
    Some(bytes.len().saturating_sub(c.len()))
}

/// Tells whether more bytes could complete a preamble.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let begins = |whole: &[u8]| whole.starts_with(bytes) || bytes.starts_with(whole);
    let line = begins(LINE) && bytes.len() < LINE_BYTES_MAX;
    line || (begins(SIGNATURE) && preamble(bytes).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], whole: Option<usize>) {
        assert_eq!(preamble(bytes), whole);
        for cut in 0..whole.unwrap_or(0) {
            assert_eq!(preamble(&bytes[..cut]), None);
            assert!(may_begin(&bytes[..cut]));
        }
    }

    #[test]
    fn preambles_end_where_they_say() {
        check(b"PROXY TCP4 9.9.9.9 8.8.8.8 56324 443\r\n\x16\x03", Some(38));
        check(b"PROXY UNKNOWN\r\n", Some(15));
        check(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0cABCDEFGHIJKLrest", Some(28));
        check(b"GET / HTTP/1.1\r\n", None);
        assert!(!may_begin(b"GET / "));
        assert!(!may_begin(&[b"PROXY ".as_slice(), &[b'x'; 200]].concat()));
    }
}
