//! UUIDs of attributes, events and organisations.
//!
//! Spec:   RFC 9562 §4 (text form)
//! Reads:  36 characters, hex in either case
//! Yields: 16 bytes; all zero is none
//! Bounds: the text's own length

use std::fmt;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;

/// Sixteen bytes; all zero stands for none.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, FromBytes, IntoBytes, Immutable,
)]
#[repr(transparent)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// Reads the text form; anything else is none.
    pub fn from_text(text: &str) -> Self {
        Self::read(text.trim().as_bytes()).unwrap_or_default()
    }

    /// Reads the one of an id of STIX, as `indicator--…`; anything else is none.
    pub fn of_id(id: &str) -> Self {
        Self::from_text(id.rsplit_once("--").map_or("", |(_, uuid)| uuid))
    }

    /// Tells whether there is one.
    pub fn is_some(self) -> bool {
        self != Self::default()
    }

    fn read(text: &[u8]) -> Option<Self> {
        let dash = |i: usize| matches!(i, 8 | 13 | 18 | 23);
        let shaped = text.iter().enumerate().all(|(i, &byte)| (byte == b'-') == dash(i));
        if text.len() != 36 || !shaped {
            return None;
        }
        let mut digits = text.iter().filter(|&&byte| byte != b'-');
        let mut digit = || char::from(*digits.next()?).to_digit(16);
        let mut uuid = [0; 16];
        for byte in &mut uuid {
            *byte = u8::try_from((digit()? << 4) | digit()?).ok()?;
        }
        Some(Self(uuid))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let dash = if matches!(i, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Uuid;

    #[test]
    fn texts_read_back() {
        let text = "2d72a64d-a1bc-5bf6-915e-215bdbf26eaf";
        assert_eq!(Uuid::from_text(text).to_string(), text);
        assert_eq!(Uuid::from_text(&text.to_uppercase()).to_string(), text);
        for bad in [
            "",
            "2d72a64d",
            "2d72a64da1bc5bf6915e215bdbf26eaf2222",
            "zd72a64d-a1bc-5bf6-915e-215bdbf26eaf",
            "2d72a64d-a1bc-5bf6-915e-215bdbf26e-f",
        ] {
            assert!(!Uuid::from_text(bad).is_some(), "{bad}");
        }
    }
}
