//! Digests and fingerprints in one canonical form: bytes, read from hex or from the wire's text.
//!
//! Spec:   RFC 4648 §8 (base 16); JA4 technical details (JA4 of a TLS client: `a_b_c`)
//! Reads:  hexadecimal text of feeds, either case, with `:`, `-` or spaces between; JA4 text of
//!         feeds and of the wire
//! Yields: 16, 20 or 32 bytes; 36 bytes of JA4
//! Bounds: the digest's own length

use std::fmt;

/// A digest's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Digest {
    /// 16 bytes.
    Md5([u8; 16]),
    /// 20 bytes.
    Sha1([u8; 20]),
    /// 32 bytes.
    Sha256([u8; 32]),
}

impl Digest {
    /// Reads an MD5 digest in hex.
    pub fn md5(text: &str) -> Option<Self> {
        hex(text).map(Self::Md5)
    }

    /// Reads a SHA-1 digest in hex.
    pub fn sha1(text: &str) -> Option<Self> {
        hex(text).map(Self::Sha1)
    }

    /// Reads a SHA-256 digest in hex.
    pub fn sha256(text: &str) -> Option<Self> {
        hex(text).map(Self::Sha256)
    }

    /// Returns the digest's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Md5(bytes) => bytes,
            Self::Sha1(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads exactly `N` bytes in hex, either case; `:`, `-` and white space between digits are left
/// out.
pub fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_gap = |c: &char| matches!(c, ':' | '-') || c.is_whitespace();
    let mut digits = text.chars().filter(|c| !is_gap(c)).map(|c| c.to_digit(16));
    let mut bytes = [0; N];
    for byte in &mut bytes {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from((high << 4) | low).ok()?;
    }
    digits.next().is_none().then_some(bytes)
}

/// A JA4 fingerprint of a TLS client: 10 characters, `_`, 12 hex digits, `_`, 12 hex digits; lower
/// case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ja4(pub [u8; Ja4::BYTES]);

impl Ja4 {
    /// Length of the text.
    pub const BYTES: usize = 36;

    /// Reads the text, of a feed or of an observation, in either case.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        let mut ja4: [u8; Self::BYTES] = text.try_into().ok()?;
        ja4.make_ascii_lowercase();
        let (a, hashes) = ja4.split_first_chunk::<10>()?;
        let [transport, v1, v2, sni, c1, c2, e1, e2, _, _] = *a;
        let hash_ok = |part: &[u8]| part.len() == 12 && part.iter().all(u8::is_ascii_hexdigit);
        let mut parts = hashes.strip_prefix(b"_")?.splitn(2, |&byte| byte == b'_');
        let form_ok = b"tqd".contains(&transport)
            && [v1, v2].iter().all(u8::is_ascii_alphanumeric)
            && b"di".contains(&sni)
            && [c1, c2, e1, e2].iter().all(u8::is_ascii_digit)
            && a.iter().all(u8::is_ascii_graphic)
            && parts.next().is_some_and(hash_ok)
            && parts.next().is_some_and(hash_ok);
        form_ok.then_some(Self(ja4))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Ja4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Digest;
    use super::Ja4;

    fn check(text: &str, expected: Option<&str>) {
        let read = Digest::sha1(text);
        let shown = read.map(|digest| format!("{digest}"));
        assert_eq!(shown.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn hex_in_all_spellings() {
        let plain = "aabbccddeeff00112233445566778899aabbccdd";
        check(plain, Some(plain));
        check("AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD", Some(plain));
        check("aabbccdd eeff0011 22334455 66778899 aabbccdd", Some(plain));
        check("aabbccddeeff00112233445566778899aabbccd", None);
        check("aabbccddeeff00112233445566778899aabbccddee", None);
        check("gabbccddeeff00112233445566778899aabbccdd", None);
        check("", None);
        assert_eq!(Digest::md5(plain), None);
    }

    #[test]
    fn ja4_of_clients_alone() {
        let ja4 = |text: &str| Ja4::from_text(text.as_bytes()).map(|ja4| ja4.as_str().to_owned());
        let plain = "t13d1516h2_8daaf6152771_e5627efa2ab1";
        assert_eq!(ja4(plain).as_deref(), Some(plain));
        assert_eq!(ja4("T13D1516H2_8DAAF6152771_E5627EFA2AB1").as_deref(), Some(plain));
        assert_eq!(
            ja4("q13i0310h3_55b375c5d22e_cd85d2d88918").as_deref(),
            Some("q13i0310h3_55b375c5d22e_cd85d2d88918")
        );
        for bad in [
            "JA4",
            "",
            "x13d1516h2_8daaf6152771_e5627efa2ab1",
            "t13d1516h2_8daaf61527711e5627efa2ab1_",
            "t13x1516h2_8daaf6152771_e5627efa2ab1",
            "t13d1516h2_8daaf6152771_e5627efa2abz",
        ] {
            assert_eq!(ja4(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn text_and_bytes_agree(bytes in any::<[u8; 32]>()) {
            let digest = Digest::Sha256(bytes);
            prop_assert_eq!(Digest::sha256(&format!("{digest}")), Some(digest));
            prop_assert_eq!(Digest::sha256(&format!("{digest}").to_uppercase()), Some(digest));
        }
    }
}
