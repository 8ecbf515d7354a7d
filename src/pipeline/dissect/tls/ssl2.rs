//! SSL 2.0 hellos: the client's, which old clients send to TLS servers too, and the server's with
//! its certificate.
//!
//! Spec:   RFC 5246 E.2 (client hello); SSL 2.0 draft-hickman §2.5 (server hello)
//! Reads:  the first record of a side
//! Yields: the server's certificate
//! Bounds: a record has at most 32,767 bytes
//! Leaves: fingerprints: JA3 and JA4 know no such hello

use crate::model::bytes::Cursor;
use crate::model::bytes::narrow;
use crate::pipeline::dissect::Guess;
use crate::pipeline::dissect::tls::record::Lack;

/// First bit of a record header of two bytes.
pub(super) const MARK: u8 = 0x80;

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 4;
/// SSL 2.0's version.
const SSL2: u16 = 0x0002;
/// `X509_CERTIFICATE`.
const X509: u8 = 1;

/// Bytes up to the end of a client hello's fixed fields, with the record header.
const CLIENT_HEAD_BYTES: usize = 11;
/// Bytes up to the end of a server hello's fixed fields, with the record header.
const SERVER_HEAD_BYTES: usize = 13;

/// Judges the first bytes of a side.
pub(super) fn probe(bytes: &[u8]) -> Guess {
    match Hello::parse(bytes) {
        Ok(_) => Guess::Yes,
        Err(Lack::More(_)) => Guess::Maybe,
        Err(Lack::Never) => Guess::No,
    }
}

/// Reads a hello and tells the certificate in it; returns its bytes.
pub(super) fn read(bytes: &[u8], certificate: impl FnOnce(&[u8])) -> Result<u32, Lack> {
    let hello = Hello::parse(bytes)?;
    if hello.certificate_len > 0 {
        let lack = hello.len.saturating_sub(bytes.len());
        let body = bytes.get(..hello.len).ok_or(Lack::More(lack))?;
        let mut c = Cursor::new(body);
        let _head = c.take(SERVER_HEAD_BYTES);
        certificate(c.take(hello.certificate_len).ok_or(Lack::Never)?);
    }
    Ok(narrow(hello.len))
}

struct Hello {
    /// Bytes with the record header.
    len: usize,
    certificate_len: usize,
}

impl Hello {
    fn parse(bytes: &[u8]) -> Result<Self, Lack> {
        let mut c = Cursor::new(bytes);
        // each byte of the head may tell that it is none
        let lack = Lack::More(1);
        let len = usize::from(c.u16().ok_or(lack)? & 0x7fff);
        match c.u8().ok_or(lack)? {
            CLIENT_HELLO => {
                let version = c.u16().ok_or(lack)?;
                let lens = [c.u16().ok_or(lack)?, c.u16().ok_or(lack)?, c.u16().ok_or(lack)?];
                let known = version == SSL2 || version >> 8 == 3;
                Self::fitting(known, len, CLIENT_HEAD_BYTES, lens, 0)
            }
            SERVER_HELLO => {
                let _session_id_hit = c.u8().ok_or(lack)?;
                let kind = c.u8().ok_or(lack)?;
                let version = c.u16().ok_or(lack)?;
                let lens = [c.u16().ok_or(lack)?, c.u16().ok_or(lack)?, c.u16().ok_or(lack)?];
                let certificate_len = if kind == X509 { usize::from(lens[0]) } else { 0 };
                Self::fitting(version == SSL2, len, SERVER_HEAD_BYTES, lens, certificate_len)
            }
            _ => Err(Lack::Never),
        }
    }

    /// Makes a hello whose parts fill its record.
    fn fitting(
        known: bool,
        len: usize,
        head: usize,
        lens: [u16; 3],
        certificate_len: usize,
    ) -> Result<Self, Lack> {
        let len = len.saturating_add(2);
        let sum = lens.iter().fold(head, |sum, n| sum.saturating_add(usize::from(*n)));
        if known && sum == len { Ok(Self { len, certificate_len }) } else { Err(Lack::Never) }
    }
}

#[cfg(test)]
mod tests {
    use super::probe;
    use super::read;
    use crate::pipeline::dissect::Guess;
    use crate::pipeline::dissect::tls::record::Lack;

    /// Version 3.1, one cipher, no session id, a challenge of four bytes.
    const CLIENT: &[u8] = &[0x80, 16, 1, 3, 1, 0, 3, 0, 0, 0, 4, 0, 0, 4, 1, 2, 3, 4];
    /// A certificate of three bytes, one cipher, a connection id of two bytes.
    const SERVER: &[u8] =
        &[0x80, 19, 4, 0, 1, 0, 2, 0, 3, 0, 3, 0, 2, b'd', b'e', b'r', 1, 0, 128, 8, 8];

    fn check(bytes: &[u8], expected: Result<u32, Lack>, certificate: &[u8]) {
        let mut told = Vec::new();
        assert_eq!(read(bytes, |der| told = der.to_vec()), expected, "{bytes:02x?}");
        assert_eq!(told, certificate);
    }

    #[test]
    fn hellos_are_read() {
        check(CLIENT, Ok(18), b"");
        check(SERVER, Ok(21), b"der");
        check(&CLIENT[..11], Ok(18), b"");
        check(&SERVER[..20], Err(Lack::More(1)), b"");
    }

    #[test]
    fn every_cut_is_survived() {
        for (hello, head) in [(CLIENT, 11), (SERVER, 13)] {
            for n in 0..hello.len() {
                let expected = if n < head { Guess::Maybe } else { Guess::Yes };
                assert_eq!(probe(&hello[..n]), expected, "{n}");
            }
        }
    }

    #[test]
    fn parts_that_do_not_fill_the_record_are_no_hello() {
        for at in [1, 2, 3, 6, 8, 10] {
            let mut odd = CLIENT.to_vec();
            odd[at] += 40;
            check(&odd, Err(Lack::Never), b"");
        }
    }
}
