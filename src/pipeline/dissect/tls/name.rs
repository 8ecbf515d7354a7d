//! Names as TLS carries them, in the form that users see: lower case, no final dot, odd bytes as `\ddd`.

use crate::model::limits::NAME_TEXT_BYTES_MAX;

/// Octets of a name; RFC 1035 §2.3.4 allows 255. A longer one is not a name.
const NAME_BYTES_MAX: usize = NAME_TEXT_BYTES_MAX / 4;

/// Writes a name's text to `space`; `None` when it is empty or too long to be a name.
pub fn sni_text<'a>(name: &[u8], space: &'a mut [u8; NAME_TEXT_BYTES_MAX]) -> Option<&'a [u8]> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return None;
    }
    let mut len = 0_usize;
    for byte in name {
        let (text, n) = escape(*byte);
        let end = len.saturating_add(n);
        space.get_mut(len..end)?.copy_from_slice(text.get(..n)?);
        len = end;
    }
    space.get(..len)
}

/// Returns a byte's text and its length. A backslash is told by number, so that no other name has the same text.
fn escape(byte: u8) -> ([u8; 4], usize) {
    match byte {
        b'\\' | 0..0x20 | 0x7f.. => {
            let digits = [byte / 100, byte / 10 % 10, byte % 10].map(|digit| digit | b'0');
            let [hundreds, tens, ones] = digits;
            ([b'\\', hundreds, tens, ones], 4)
        }
        _ => ([byte.to_ascii_lowercase(), 0, 0, 0], 1),
    }
}

#[cfg(test)]
mod tests {
    use super::NAME_BYTES_MAX;
    use super::NAME_TEXT_BYTES_MAX;
    use super::sni_text;

    fn check(name: &[u8], expected: Option<&str>) {
        let mut space = [0; NAME_TEXT_BYTES_MAX];
        let text = sni_text(name, &mut space).map(|text| std::str::from_utf8(text).expect("ASCII"));
        assert_eq!(text, expected);
    }

    #[test]
    fn names_have_one_text() {
        check(b"WWW.Example.ORG.", Some("www.example.org"));
        check(b"a b", Some("a b"));
        check(b"a\0\xe9\\", Some(r"a\000\233\092"));
        check(b"", None);
        check(b".", None);
    }

    #[test]
    fn the_longest_name_fits_with_every_octet_escaped() {
        check(&[0xff; NAME_BYTES_MAX], Some(&r"\255".repeat(NAME_BYTES_MAX)));
        check(&[b'a'; NAME_BYTES_MAX + 1], None);
    }
}
