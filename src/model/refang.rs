//! Undoes what people do to a value so that nobody clicks on it, and the dirt of copying.

use std::borrow::Cow;

/// How dots, colons and the like are taken apart, and what they were; longer forms first.
const DEFANGED: &[(&str, &str)] = &[
    ("[://]", "://"),
    ("[:]//", "://"),
    ("[dot]", "."),
    ("(dot)", "."),
    ("{dot}", "."),
    ("[.]", "."),
    ("(.)", "."),
    ("{.}", "."),
    ("[:]", ":"),
    ("[/]", "/"),
    ("\\.", "."),
];

/// Schemes as they are disarmed, and what they were.
const SCHEMES: &[(&str, &str)] =
    &[("hxxps", "https"), ("hxxp", "http"), ("h**ps", "https"), ("h**p", "http")];

/// Returns the value without white space, quotes and invisible characters around it.
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_dirt)
}

/// Returns the value trimmed and as it was before it was defanged.
pub fn refang(text: &str) -> Cow<'_, str> {
    let text = trim(text);
    let plain = |b: u8| b.is_ascii() && !b"[({\\".contains(&b);
    let mut clean = Cow::Borrowed(text);
    if !text.bytes().all(plain) {
        clean = Cow::Owned(join(text));
    }
    match SCHEMES.iter().find_map(|(from, to)| Some((strip_scheme(&clean, from)?, to))) {
        Some((rest, to)) => Cow::Owned([to, rest].concat()),
        None => clean,
    }
}

fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(scheme.len())?;
    (head.eq_ignore_ascii_case(scheme) && rest.starts_with(':')).then_some(rest)
}

/// Copies the text without invisible characters, each defanged form replaced.
fn join(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    'text: while let Some(first) = rest.chars().next() {
        for (from, to) in DEFANGED {
            let head = rest.get(..from.len()).filter(|head| head.eq_ignore_ascii_case(from));
            if let Some(tail) = head.and_then(|_| rest.get(from.len()..)) {
                clean.push_str(to);
                rest = tail;
                continue 'text;
            }
        }
        if !is_invisible(first) {
            clean.push(first);
        }
        rest = rest.get(first.len_utf8()..).unwrap_or_default();
    }
    clean
}

fn is_dirt(c: char) -> bool {
    c.is_whitespace()
        || is_invisible(c)
        || matches!(c, '"' | '\'' | '`' | '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}')
}

/// Zero-width characters, the byte order mark, direction marks and other characters without a
/// glyph.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{2064}' | '\u{feff}')
        || (c.is_control() && !c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::refang;

    fn check(text: &str, expected: &str) {
        assert_eq!(refang(text), expected, "{text:?}");
    }

    #[test]
    fn defanged_values() {
        check("203[.]0[.]113[.]11", "203.0.113.11");
        check("evil(dot)example", "evil.example");
        check("evil[DOT]example", "evil.example");
        check("evil(.)ex{.}am\\.ple", "evil.ex.am.ple");
        check("hxxp://evil[.]example/x", "http://evil.example/x");
        check("hxxps[:]//evil.example/", "https://evil.example/");
        check("hXXpS[://]evil.example", "https://evil.example");
        check("hxxp.example", "hxxp.example");
        check("http://[2001:db8::50]/x", "http://[2001:db8::50]/x");
        check("http://evil.example/a(b)[1]{2}", "http://evil.example/a(b)[1]{2}");
    }

    #[test]
    fn dirt_around_and_inside() {
        check(" 203.0.113.12 ", "203.0.113.12");
        check("\u{feff}evil.example\r\n", "evil.example");
        check("\u{201c}evil.example\u{201d}", "evil.example");
        check("\"evil.example\"", "evil.example");
        check("ev\u{200b}il.exam\u{ad}ple", "evil.example");
        check("evil.example # comment", "evil.example # comment");
        check("  ", "");
    }

    #[test]
    fn clean_values_are_not_copied() {
        assert!(matches!(refang(" https://evil.example/a?b=c "), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in any::<String>()) {
            let clean = refang(&text);
            prop_assert!(clean.len() <= text.len());
        }
    }
}
