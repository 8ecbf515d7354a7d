//! JA4: what a ClientHello offers, told in 36 characters that do not depend on the order of its extensions.
//!
//! Spec:   FoxIO JA4 technical details, the TLS client fingerprint (BSD-3-Clause part); RFC 8701 (values left out)
//! Reads:  a ClientHello
//! Yields: `ja4`
//! Bounds: lists of `FEW` values are sorted in a small space, longer ones in one that holds the longest list
//! Leaves: the raw and the unsorted forms, DTLS

use crate::pipeline::dissect::tls::hello::ALPN;
use crate::pipeline::dissect::tls::hello::ClientHello;
use crate::pipeline::dissect::tls::hello::SERVER_NAME;
use crate::pipeline::dissect::tls::hello::is_grease;
use crate::pipeline::dissect::tls::pen::Pen;
use crate::pipeline::dissect::tls::pen::hex_digit;
use sha2::Sha256;

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

/// Returns the first and last character, of the value's hexadecimal form if one of them is not alphanumeric.
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
