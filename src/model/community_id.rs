//! Community id: one short name for a flow that many tools compute alike.
//!
//! Spec:   Community ID specification v1 (seed 0)
//! Reads:  a flow's key; the text of an indicator
//! Yields: 20 bytes; text `1:` and base 64 (RFC 4648 §4)
//! Leaves: ICMP, whose type and code a flow's key does not hold: it has no id

use std::fmt;

use sha1::Digest;
use sha1::Sha1;

use crate::model::address::Address;
use crate::model::flow::FlowKey;
use crate::model::packet::protocol;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const TEXT_BYTES: usize = 28;

/// The SHA-1 of a flow's five-tuple.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommunityId(pub [u8; 20]);

impl CommunityId {
    /// Returns the id of a flow, seed 0; `None` for ICMP.
    pub fn of(key: &FlowKey) -> Option<Self> {
        if matches!(key.protocol, protocol::ICMP | protocol::ICMPV6) {
            return None;
        }
        let mut sha1 = Sha1::new();
        sha1.update([0, 0]);
        for end in [key.low, key.high] {
            match Address::as_v4(end) {
                Some(v4) => sha1.update(v4),
                None => sha1.update(end.0),
            }
        }
        sha1.update([key.protocol, 0]);
        if matches!(key.protocol, protocol::TCP | protocol::UDP | protocol::SCTP) {
            sha1.update(key.low_port.to_be_bytes());
            sha1.update(key.high_port.to_be_bytes());
        }
        Some(Self(sha1.finalize().into()))
    }

    /// Reads the text `1:` and 28 characters of base 64.
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.strip_prefix("1:")?.strip_suffix('=')?;
        let (quads, rest) = text.as_bytes().as_chunks::<4>();
        let [x, y, z] = *rest else { return None };
        let padded = [x, y, z, b'A'];
        let mut id = [0; 20];
        let mut octets = id.iter_mut();
        for quad in quads.iter().chain([&padded]) {
            let [a, b, c, d] = quad.map(|byte| ALPHABET.iter().position(|&letter| letter == byte));
            let bits = u32::try_from((a? << 18) | (b? << 12) | (c? << 6) | d?).ok()?;
            let [_, one, two, three] = bits.to_be_bytes();
            for byte in [one, two, three] {
                match octets.next() {
                    Some(octet) => *octet = byte,
                    None if byte == 0 => {}
                    None => return None,
                }
            }
        }
        (octets.next().is_none() && text.len() < TEXT_BYTES).then_some(Self(id))
    }
}

impl fmt::Display for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("1:")?;
        let (triples, rest) = self.0.as_chunks::<3>();
        for &[a, b, c] in triples {
            letters(f, u32::from_be_bytes([0, a, b, c]), 4)?;
        }
        match *rest {
            [a, b] => letters(f, u32::from_be_bytes([0, a, b, 0]), 3)?,
            _ => return Err(fmt::Error),
        }
        f.write_str("=")
    }
}

impl fmt::Debug for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Writes the first `count` of the four letters of 24 bits.
fn letters(f: &mut fmt::Formatter<'_>, bits: u32, count: usize) -> fmt::Result {
    for shift in [18, 12, 6, 0].into_iter().take(count) {
        let at = usize::try_from((bits >> shift) & 63).unwrap_or_default();
        let letter = ALPHABET.get(at).copied().unwrap_or_default();
        fmt::Write::write_char(f, char::from(letter))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::CommunityId;
    use crate::model::flow::FlowKey;
    use crate::model::flow::Vlans;

    fn check(src: (&str, u16), dst: (&str, u16), protocol: u8, expected: &str) {
        let end =
            |(ip, port): (&str, u16)| (ip.parse::<IpAddr>().expect("an address").into(), port);
        for (one, two) in [(src, dst), (dst, src)] {
            let (key, _) = FlowKey::new(end(one), end(two), protocol, Vlans::default());
            let id = CommunityId::of(&key);
            let id = id.expect("a protocol with an id");
            assert_eq!(format!("{id}"), expected);
            assert_eq!(CommunityId::from_text(expected), Some(id));
        }
    }

    /// Values of the specification's baseline.
    #[test]
    fn baseline() {
        check(
            ("128.232.110.120", 34855),
            ("66.35.250.204", 80),
            6,
            "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        );
        check(("192.168.1.52", 54585), ("8.8.8.8", 53), 17, "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
    }

    #[test]
    fn text_that_is_none() {
        for text in [
            "",
            "1:",
            "2:LQU9qZlK+B5F3KDmev6m5PMibrg=",
            "1:LQU9qZlK+B5F3KDmev6m5PMibrg",
            "1:LQU9qZlK+B5F3KDmev6m5PMibrj=",
            "1:LQU9qZlK+B5F3KDmev6m5PMib=",
            "1:LQU9qZlK+B5F3KDmev6m5PMibrgAAAA=",
        ] {
            assert_eq!(CommunityId::from_text(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_and_bytes_agree(bytes in any::<[u8; 20]>()) {
            let id = CommunityId(bytes);
            prop_assert_eq!(CommunityId::from_text(&format!("{id}")), Some(id));
        }
    }
}
