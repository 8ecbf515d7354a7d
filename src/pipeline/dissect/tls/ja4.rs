//! JA4: what a ClientHello offers, told in 36 characters that do not depend on the order of its
//! extensions.
//!
//! Spec:   FoxIO JA4 technical details, the TLS client fingerprint (BSD-3-Clause part); RFC 8701
//!         (values left out)
//! Reads:  a ClientHello
//! Yields: `ja4`
//! Bounds: lists of `FEW` values are sorted in a small space, longer ones in one that holds the
//!         longest list
//! Leaves: the raw and the unsorted forms, DTLS

use sha2::Sha256;

use crate::pipeline::dissect::tls::hello::ALPN;
use crate::pipeline::dissect::tls::hello::ClientHello;
use crate::pipeline::dissect::tls::hello::SERVER_NAME;
use crate::pipeline::dissect::tls::hello::is_grease;
use crate::pipeline::dissect::tls::pen::Pen;
use crate::pipeline::dissect::tls::pen::hex_digit;

/// Bytes of a fingerprint: `t13d1516h2_8daaf6152771_e5627efa2ab1`.
pub const JA4_BYTES: usize = 36;

/// Values of a list that usual clients do not exceed.
const FEW: usize = 256;

/// Values of the longest list: one with a 16-bit length in bytes.
const MANY: usize = 32_767;

/// Hexadecimal digits of a hash that are shown.
const HASH_DIGITS: usize = 12;

/// What carried the hello.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// TLS over TCP.
    Tcp,
    /// QUIC.
    Quic,
}

/// Returns a hello's JA4.
pub fn fingerprint(hello: ClientHello<'_>, transport: Transport) -> [u8; JA4_BYTES] {
    let ciphers = hello.ciphers().filter(|value| !is_grease(*value));
    let extensions = hello.extensions().map(|(id, _)| id).filter(|id| !is_grease(*id));
    let hashed = extensions.clone().filter(|id| *id != SERVER_NAME && *id != ALPN);
    let named = extensions.clone().any(|id| id == SERVER_NAME);

    let mut text = [b'_'; JA4_BYTES];
    let parts: [&[u8]; 6] = [
        match transport {
            Transport::Tcp => b"t",
            Transport::Quic => b"q",
        },
        version(hello),
        if named { b"d" } else { b"i" },
        &count(ciphers.clone()),
        &count(extensions),
        &protocol(hello.protocol().unwrap_or_default()),
    ];
    let head = parts.into_iter().flatten().chain(b"_");
    let ciphers = hash(ciphers, std::iter::empty());
    let extensions = hash(hashed, hello.signature_algorithms());
    let tail = ciphers.iter().chain(b"_").chain(&extensions);
    text.iter_mut().zip(head.chain(tail)).for_each(|(place, byte)| *place = *byte);
    text
}

fn version(hello: ClientHello<'_>) -> &'static [u8] {
    let highest = hello.versions().filter(|version| !is_grease(*version)).max();
    match highest.unwrap_or(hello.version) {
        0x0304 => b"13",
        0x0303 => b"12",
        0x0302 => b"11",
        0x0301 => b"10",
        0x0300 => b"s3",
        0x0002 => b"s2",
        _ => b"00",
    }
}

fn count(values: impl Iterator<Item = u16>) -> [u8; 2] {
    let n = u8::try_from(values.take(99).count()).unwrap_or(99);
    [hex_digit(n / 10), hex_digit(n % 10)]
}

/// Returns the first and last character, of the value's hexadecimal form if one of them is not
/// alphanumeric.
fn protocol(value: &[u8]) -> [u8; 2] {
    match (value.first(), value.last()) {
        (Some(first), Some(last))
            if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() =>
        {
            [*first, *last]
        }
        (Some(first), Some(last)) => [hex_digit(first >> 4), hex_digit(*last)],
        _ => *b"00",
    }
}

/// Hashes the sorted values and, behind them, the unsorted ones.
fn hash(
    values: impl Iterator<Item = u16> + Clone,
    unsorted: impl Iterator<Item = u16>,
) -> [u8; HASH_DIGITS] {
    let mut space = [0; FEW];
    if values.clone().nth(FEW).is_some() {
        return hash_many(values, unsorted);
    }
    hash_in(&mut space, values, unsorted)
}

#[cold]
#[inline(never)]
fn hash_many(
    values: impl Iterator<Item = u16>,
    unsorted: impl Iterator<Item = u16>,
) -> [u8; HASH_DIGITS] {
    hash_in(&mut [0; MANY], values, unsorted)
}

fn hash_in(
    space: &mut [u16],
    values: impl Iterator<Item = u16>,
    unsorted: impl Iterator<Item = u16>,
) -> [u8; HASH_DIGITS] {
    let n = space.iter_mut().zip(values).map(|(place, value)| *place = value).count();
    let sorted = space.get_mut(..n).unwrap_or_default();
    if sorted.is_empty() {
        return [b'0'; HASH_DIGITS];
    }
    sorted.sort_unstable();
    let mut pen = Pen::<Sha256>::new();
    list(&mut pen, b"", sorted.iter().copied());
    list(&mut pen, b"_", unsorted.filter(|value| !is_grease(*value)));
    let mut text = [b'0'; HASH_DIGITS];
    let digest = pen.finish();
    let digits = digest.as_ref().iter().flat_map(|byte| [byte >> 4, *byte]);
    text.iter_mut().zip(digits).for_each(|(place, digit)| *place = hex_digit(digit));
    text
}

fn list(pen: &mut Pen<Sha256>, mut before: &'static [u8], values: impl Iterator<Item = u16>) {
    for value in values {
        pen.text(before);
        pen.hex(value);
        before = b",";
    }
}

#[cfg(test)]
mod tests {
    use super::FEW;
    use super::Transport;
    use super::fingerprint;
    use crate::pipeline::dissect::tls::hello::ClientHello;
    use crate::pipeline::dissect::tls::hello::tests::client;
    use crate::pipeline::dissect::tls::hello::tests::list16;

    fn check(version: u16, ciphers: &[u16], extensions: &[(u16, Vec<u8>)], ja4: &str) {
        let body = client(version, ciphers, extensions);
        let hello = ClientHello::parse(&body).expect("whole");
        let text = fingerprint(hello, Transport::Tcp);
        assert_eq!(String::from_utf8_lossy(&text), ja4);
        let quic = fingerprint(hello, Transport::Quic);
        assert_eq!((quic[0], &quic[1..]), (b'q', &text[1..]));
    }

    /// The example of the specification, as sent by a browser: GREASE among the values.
    fn example() -> (Vec<u16>, Vec<(u16, Vec<u8>)>) {
        let ciphers = vec![
            0x3a3a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
            0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
        ];
        let ids = [
            0xdada, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023,
            0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015, 0x2a2a,
        ];
        let signatures = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0a0a, 0x0806, 0x0601];
        let body = |id| match id {
            0x000d => list16(&signatures),
            0x0010 => b"\x00\x0c\x02h2\x08http/1.1".to_vec(),
            0x002b => vec![6, 0x6a, 0x6a, 3, 4, 3, 3],
            _ => vec![],
        };
        (ciphers, ids.map(|id| (id, body(id))).to_vec())
    }

    #[test]
    fn the_example_of_the_specification_holds() {
        let (ciphers, mut extensions) = example();
        check(0x0303, &ciphers, &extensions, "t13d1516h2_8daaf6152771_e5627efa2ab1");
        extensions.reverse();
        check(0x0303, &ciphers, &extensions, "t13d1516h2_8daaf6152771_e5627efa2ab1");
        for (id, body) in &mut extensions {
            if *id == 0x000d {
                body.clear();
            }
        }
        check(0x0303, &ciphers, &extensions, "t13d1516h2_8daaf6152771_6d807ffa2a79");
    }

    #[test]
    fn empty_lists_are_told_by_zeros() {
        check(0x0301, &[], &[], "t10i000000_000000000000_000000000000");
        let hidden = [(0, vec![]), (16, vec![])];
        check(0x0300, &[0x0a0a], &hidden, "ts3d000200_000000000000_000000000000");
    }

    #[test]
    fn versions_have_two_characters() {
        let with = |versions: &[u8]| [(43, [&[versions.len() as u8], versions].concat())];
        let tail = "i000100_000000000000_a8a4d9e3b9e6";
        for (legacy, versions, name) in [
            (0x0303, &[3, 1, 3, 4, 3, 3][..], "t13"),
            (0x0303, &[0xfa, 0xfa, 3, 2], "t11"),
            (0x0303, &[0xfa, 0xfa], "t12"),
            (0x0303, &[0x7f, 0x1c, 3, 3], "t00"),
            (0x0002, &[], "ts2"),
        ] {
            let body = client(legacy, &[], &with(versions));
            let text = fingerprint(ClientHello::parse(&body).expect("whole"), Transport::Tcp);
            assert_eq!(&text[..3], name.as_bytes());
            assert_eq!(text.len(), 3 + tail.len());
        }
    }

    #[test]
    fn protocols_have_two_characters() {
        for (protocol, shown) in [
            (&b""[..], "00"),
            (b"h2", "h2"),
            (b"http/1.1", "h1"),
            (b"x", "xx"),
            (&[0xab], "ab"),
            (&[0xab, 0xcd], "ad"),
            (&[0x30, 0xab], "3b"),
            (&[0x30, 0x31, 0xab, 0xcd], "3d"),
            (&[0x30, 0xab, 0xcd, 0x31], "01"),
            (b"h-", "6d"),
        ] {
            assert_eq!(super::protocol(protocol), shown.as_bytes(), "{protocol:02x?}");
        }
    }

    #[test]
    fn long_lists_are_sorted_too_and_counted_to_99() {
        for n in [98, 99, 100, FEW, FEW + 1, 5_000] {
            let mut ciphers: Vec<u16> =
                (0x2000..).take(n).filter(|value| !super::is_grease(*value)).collect();
            let count = ciphers.len().min(99);
            let body = client(0x0303, &ciphers, &[]);
            let sorted = fingerprint(ClientHello::parse(&body).expect("whole"), Transport::Tcp);
            ciphers.reverse();
            let body = client(0x0303, &ciphers, &[]);
            let hello = ClientHello::parse(&body).expect("whole");
            assert_eq!(fingerprint(hello, Transport::Tcp), sorted);
            assert_eq!(&sorted[4..6], format!("{count:02}").as_bytes());
        }
    }
}
