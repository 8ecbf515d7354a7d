//! Domain names in one canonical form: lower case, no final dot, odd bytes escaped.
//!
//! Spec:   RFC 1035 §2.3.4, §3.1 (labels), §5.1 (`\ddd`, `\.`, `\\`); RFC 4343 §3 (case); UTS 46 §4
//! Reads:  labels of a packet, names that a packet carries as text, names of feeds
//! Yields: the one form that indicators and observations are compared in
//! Bounds: `limits::NAME_TEXT_BYTES_MAX`

use std::fmt;
use std::hash::Hash;
use std::hash::Hasher;

use crate::model::bytes::Cursor;
use crate::model::limits::NAME_TEXT_BYTES_MAX;
use crate::model::plain::is_unseen;

/// Octets of one label, RFC 1035 §2.3.4.
pub const LABEL_BYTES_MAX: usize = 63;

/// Octets of a whole name on the wire, lengths and the root included, RFC 1035 §2.3.4.
pub const NAME_WIRE_BYTES_MAX: usize = 255;

const _: () = assert!(NAME_TEXT_BYTES_MAX >= 4 * NAME_WIRE_BYTES_MAX);

/// A name in its canonical form; on the stack, about 1 KiB.
#[derive(Clone)]
pub struct Domain {
    bytes: [u8; NAME_TEXT_BYTES_MAX],
    len: usize,
}

impl Domain {
    /// Returns the root: no label yet.
    pub fn root() -> Self {
        Self { bytes: [0; NAME_TEXT_BYTES_MAX], len: 0 }
    }

    /// Reads labels with their lengths, uncompressed, up to the root or the end of `wire`.
    /// The root, a length above 63 and a name above 255 octets are `None`.
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        let mut name = Self::root();
        let mut c = Cursor::new(wire);
        while !c.is_empty() {
            let label = c.vec8()?;
            if label.is_empty() {
                break;
            }
            let octets = wire.len().saturating_sub(c.len()).saturating_add(1);
            if octets > NAME_WIRE_BYTES_MAX {
                return None;
            }
            name.push(label.rest())?;
        }
        (!name.is_root()).then_some(name)
    }

    /// Reads a name that traffic carries as text (SNI, `Host`, certificates): never converted.
    /// Dots part labels, every other byte stands for itself, and a label may be of any length:
    /// what was sent is what is seen. Dots alone, or more than the form holds, is `None`.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        let mut name = Self::root();
        let end = text.iter().rposition(|&byte| byte != b'.')?;
        for (i, label) in text.get(..=end)?.split(|&byte| byte == b'.').enumerate() {
            if i > 0 {
                name.put(b'.')?;
            }
            name.escape(label)?;
        }
        Some(name)
    }

    /// Reads a name as people write it in feeds: trimmed, Unicode to A-labels, escapes read.
    ///
    /// # Errors
    /// What is no name, and why.
    pub fn from_feed(text: &str) -> Result<Self, BadName> {
        let text = text.trim();
        if text.is_ascii() {
            return Self::from_presentation(text.as_bytes());
        }
        if text.contains('\\') {
            return Err(BadName::Escape);
        }
        // IDNA drops some that are not seen; joiners it judges itself (RFC 5892 appendix A)
        let is_joiner = |c: char| matches!(c, '\u{200c}' | '\u{200d}');
        if text.chars().any(|c| is_unseen(c) && !c.is_ascii() && !is_joiner(c)) {
            return Err(BadName::Unseen);
        }
        let ascii = idna::domain_to_ascii(text).map_err(|_| BadName::Idna)?;
        Self::from_presentation(ascii.as_bytes())
    }

    /// Forgets the labels.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Adds a label behind those there are; an empty one, a longer one than 63 octets, or one that
    /// does not fit is `None`.
    pub fn push(&mut self, label: &[u8]) -> Option<()> {
        if label.is_empty() || label.len() > LABEL_BYTES_MAX {
            return None;
        }
        if self.len > 0 {
            self.put(b'.')?;
        }
        self.escape(label)
    }

    /// Returns the canonical text: ASCII alone.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Returns the canonical text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Tells whether there is no label.
    pub fn is_root(&self) -> bool {
        self.len == 0
    }

    /// Returns the name, then each parent, on label borders.
    pub fn parents(&self) -> impl Iterator<Item = &[u8]> {
        parents(self.as_bytes())
    }

    fn from_presentation(text: &[u8]) -> Result<Self, BadName> {
        let mut name = Self::root();
        let mut label = Label::default();
        let mut octets = 1_usize;
        let mut c = Cursor::new(text);
        loop {
            let byte = c.u8();
            match byte {
                Some(b'.') | None => {
                    if label.len == 0 && (byte.is_some() || name.is_root()) {
                        return Err(BadName::Empty);
                    }
                    octets = octets.saturating_add(label.len).saturating_add(1);
                    if label.len > 0 {
                        name.push(label.as_bytes()).ok_or(BadName::Long)?;
                    }
                    label.len = 0;
                }
                Some(b'\\') => label.put(escaped(&mut c).ok_or(BadName::Escape)?)?,
                Some(b) if is_foreign(b) => return Err(BadName::Character(b)),
                Some(b) => label.put(b)?,
            }
            if octets > NAME_WIRE_BYTES_MAX {
                return Err(BadName::Long);
            }
            if byte.is_none() {
                return Ok(name);
            }
        }
    }

    fn escape(&mut self, label: &[u8]) -> Option<()> {
        for &byte in label {
            match byte {
                b'.' | b'\\' => {
                    self.put(b'\\')?;
                    self.put(byte)?;
                }
                b' '..=b'~' => self.put(byte.to_ascii_lowercase())?,
                _ => {
                    self.put(b'\\')?;
                    self.put(digit(byte / 100))?;
                    self.put(digit(byte / 10 % 10))?;
                    self.put(digit(byte % 10))?;
                }
            }
        }
        Some(())
    }

    fn put(&mut self, byte: u8) -> Option<()> {
        *self.bytes.get_mut(self.len)? = byte;
        self.len = self.len.saturating_add(1);
        Some(())
    }
}

impl Default for Domain {
    fn default() -> Self {
        Self::root()
    }
}

impl PartialEq for Domain {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Domain {}

impl Hash for Domain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a feed's text is no name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadName {
    /// Nothing there, or nothing between two dots.
    #[error("a label is empty")]
    Empty,
    /// A label above 63 octets, or the whole above 255.
    #[error("a label is longer than 63 octets, or the name longer than 255")]
    Long,
    /// A byte that shows that the text is something else: a URL, an address, a list.
    #[error("{:?} does not belong in a name", char::from(*.0))]
    Character(u8),
    /// A backslash that no character and no three decimal digits up to 255 follow, or beside
    /// Unicode.
    #[error("a backslash escapes nothing")]
    Escape,
    /// A character that is not seen, or turns the direction of what is.
    #[error("a character in it is not seen, or turns its direction")]
    Unseen,
    /// Unicode that IDNA refuses.
    #[error("not an international domain name")]
    Idna,
}

/// Returns a canonical name, then each parent, on label borders; an escaped dot is none.
pub fn parents(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = (!name.is_empty()).then_some(name);
    std::iter::from_fn(move || {
        let this = rest?;
        rest = after_border(this);
        Some(this)
    })
}

fn after_border(name: &[u8]) -> Option<&[u8]> {
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next(),
            b'.' => return Some(bytes.as_slice()),
            _ => {}
        }
    }
    None
}

/// One label of a feed's name while its escapes are read.
struct Label {
    bytes: [u8; LABEL_BYTES_MAX],
    len: usize,
}

impl Default for Label {
    fn default() -> Self {
        Self { bytes: [0; LABEL_BYTES_MAX], len: 0 }
    }
}

impl Label {
    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn put(&mut self, byte: u8) -> Result<(), BadName> {
        *self.bytes.get_mut(self.len).ok_or(BadName::Long)? = byte;
        self.len = self.len.saturating_add(1);
        Ok(())
    }
}

fn escaped(c: &mut Cursor<'_>) -> Option<u8> {
    let first = c.u8()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let digits = [first, c.u8()?, c.u8()?];
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

fn is_foreign(byte: u8) -> bool {
    !byte.is_ascii_graphic() || b"/:@?#[]<>()\"',;|*".contains(&byte)
}

fn digit(value: u8) -> u8 {
    b'0'.saturating_add(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, wire: &[u8], expected: Option<&str>) {
        let from_text = Domain::from_text(text.as_bytes());
        let from_wire = Domain::from_wire(wire);
        assert_eq!(from_text.as_ref().map(Domain::as_str), expected, "text {text:?}");
        assert_eq!(from_wire.as_ref().map(Domain::as_str), expected, "wire {wire:?}");
    }

    #[test]
    fn both_doors_agree() {
        check("Example.ORG.", b"\x07Example\x03ORG\0", Some("example.org"));
        check("a", b"\x01a", Some("a"));
        check("A b.\x01\u{e4}", b"\x03A b\x03\x01\xc3\xa4\0", Some(r"a b.\001\195\164"));
        check(r"a\b.c", b"\x03a\\b\x01c\0", Some(r"a\\b.c"));
        check("", b"\0", None);
        check("..", b"", None);
    }

    #[test]
    fn wire_that_is_no_name() {
        for wire in [&b"\x05ab"[..], b"\x40aaaa\0", &[b"\x3f".as_slice(), &[b'a'; 62]].concat()] {
            assert_eq!(Domain::from_wire(wire), None, "{wire:?}");
        }
        let longest = [b"\x01a".repeat(127), vec![0]].concat();
        assert_eq!(longest.len(), NAME_WIRE_BYTES_MAX);
        assert!(Domain::from_wire(&longest).is_some());
        let octets =
            [[&[63][..], &[0xff; 63]].concat().repeat(3), vec![61], vec![0xff; 61], vec![0]];
        let widest = Domain::from_wire(&octets.concat()).expect("255 octets");
        assert_eq!(widest.as_bytes().len(), 4 * 250 + 3);
        assert_eq!(Domain::from_wire(&[octets.concat(), vec![0]].concat()), Some(widest));
        assert_eq!(Domain::from_wire(&b"\x01a".repeat(129)), None);
    }

    #[test]
    fn text_is_seen_as_sent() {
        let text = |bytes: &[u8]| Domain::from_text(bytes).map(|name| name.as_str().to_owned());
        assert_eq!(text(b"a..b..").as_deref(), Some("a..b"));
        assert_eq!(text(b".a").as_deref(), Some(".a"));
        assert_eq!(text(&[b'A'; 80]), Some("a".repeat(80)));
        assert_eq!(text(&[b'A'; NAME_TEXT_BYTES_MAX]), Some("a".repeat(NAME_TEXT_BYTES_MAX)));
        assert_eq!(text(&[b'A'; NAME_TEXT_BYTES_MAX + 1]), None);
        assert_eq!(text(&[0xff; NAME_TEXT_BYTES_MAX / 4 + 1]), None);
    }

    #[test]
    fn feeds_are_cleaned_or_told_why_not() {
        let check = |text: &str, expected: Result<&str, BadName>| {
            let name = Domain::from_feed(text);
            assert_eq!(name.as_ref().map(Domain::as_str).map_err(|e| *e), expected, "{text:?}");
        };
        check(" Evil.Example. ", Ok("evil.example"));
        check("bücher.example", Ok("xn--bcher-kva.example"));
        check("straße.example", Ok("xn--strae-oqa.example"));
        check("πύλη。example", Ok("xn--sxaho6c.example"));
        check("xn--not-punycode-at-all-.example", Ok("xn--not-punycode-at-all-.example"));
        check("_dmarc.a-b.example", Ok("_dmarc.a-b.example"));
        check(r"j\228ger\.x.\e\\", Ok(r"j\228ger\.x.e\\"));
        check("", Err(BadName::Empty));
        check(".", Err(BadName::Empty));
        check("a..b", Err(BadName::Empty));
        check("a..", Err(BadName::Empty));
        check("a.example/x", Err(BadName::Character(b'/')));
        check("*.example", Err(BadName::Character(b'*')));
        check("a b", Err(BadName::Character(b' ')));
        check(r"a\25", Err(BadName::Escape));
        check(r"a\256", Err(BadName::Escape));
        check(r"a\", Err(BadName::Escape));
        check(r"ä\046b", Err(BadName::Escape));
        check(&"a".repeat(63), Ok(&"a".repeat(63)));
        check(&"a".repeat(64), Err(BadName::Long));
        check(&format!("{}a", "a.".repeat(126)), Ok(&format!("{}a", "a.".repeat(126))));
        check(&format!("{}aa", "a.".repeat(126)), Err(BadName::Long));
        check("a\u{0}ä", Err(BadName::Character(0)));
        for unseen in ["d\u{202e}bidi.org", "a\u{200b}b.org", "\u{feff}a.org", "a\u{ad}b.org"] {
            check(unseen, Err(BadName::Unseen));
        }
        check("نامه\u{200c}ای.com", Ok("xn--mgba3gch31f060k.com"));
    }

    #[test]
    fn parents_stand_on_borders() {
        let check = |name: &str, expected: &[&str]| {
            let found: Vec<_> = parents(name.as_bytes()).map(String::from_utf8_lossy).collect();
            assert_eq!(found, expected);
        };
        check("", &[]);
        check("a", &["a"]);
        check("a.bc.d", &["a.bc.d", "bc.d", "d"]);
        check(r"a\.b.c", &[r"a\.b.c", "c"]);
        check(r"a\\.c", &[r"a\\.c", "c"]);
        check(r"a\046b.c", &[r"a\046b.c", "c"]);
    }

    fn labels() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let byte = prop_oneof![any::<u8>(), proptest::sample::select(b"aZ09-_.\\ ".to_vec())];
        prop::collection::vec(prop::collection::vec(byte, 1..=LABEL_BYTES_MAX), 1..8)
            .prop_filter("255 octets", |ls| ls.iter().map(|l| l.len() + 1).sum::<usize>() < 255)
    }

    fn wire(labels: &[Vec<u8>]) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in labels {
            wire.push(u8::try_from(label.len()).expect("63 at most"));
            wire.extend_from_slice(label);
        }
        wire.push(0);
        wire
    }

    proptest! {
        #[test]
        fn wire_and_text_agree(labels in labels()) {
            let dotless = labels.iter().all(|label| !label.contains(&b'.'));
            let name = Domain::from_wire(&wire(&labels)).expect("within the limits");
            if dotless {
                let text = Domain::from_text(&labels.join(&b'.'));
                prop_assert_eq!(text.as_ref(), Some(&name));
            }
            prop_assert_eq!(name.parents().count(), labels.len());
            for (i, parent) in name.parents().enumerate() {
                let tail = Domain::from_wire(&wire(&labels[i..])).expect("shorter");
                prop_assert_eq!(parent, tail.as_bytes());
            }
        }

        #[test]
        fn what_is_printed_reads_back(labels in labels()) {
            let belongs = |byte: u8| match byte {
                b' '..=b'~' if is_foreign(byte) => b'x',
                _ => byte,
            };
            let labels: Vec<Vec<u8>> =
                labels.iter().map(|l| l.iter().copied().map(belongs).collect()).collect();
            let name = Domain::from_wire(&wire(&labels)).expect("within the limits");
            prop_assert_eq!(Domain::from_feed(name.as_str()), Ok(name));
        }

        #[test]
        fn anything_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".*") {
            let feed = Domain::from_feed(&text).ok();
            for name in [Domain::from_wire(&bytes), Domain::from_text(&bytes), feed] {
                let ascii = name.is_none_or(|name| !name.is_root() && name.as_str().is_ascii());
                prop_assert!(ascii);
            }
        }
    }
}
