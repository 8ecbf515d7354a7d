//! Text of others as people may read it: what would steer a terminal, or show one thing and be
//! another, is written as an escape.
//!
//! Spec:   Unicode 16, general categories Cc, Cf, Zl and Zp; UAX #9 §2 (directional formatting)

use std::borrow::Cow;

/// Characters that are not seen and change what is: Cf, Zl, Zp and the fillers, in order.
const UNSEEN: &[(char, char)] = &[
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Tells whether a character steers or is not seen.
pub fn is_unseen(c: char) -> bool {
    c.is_control() || UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// Tells whether a character turns the direction of what stands beside it (UAX #9 §2).
pub fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2066}'..='\u{2069}')
}

/// Returns a text on one line, with all that steers or is not seen as an escape, `\u{202e}`.
pub fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, is_unseen)
}

/// The same of several lines, whose ends stay.
pub fn plain_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && is_unseen(c))
}

fn escaped(text: &str, is_bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_bad(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_escaped_and_all_else_is_as_it_was() {
        for (text, want) in [
            ("évil.example → 悪", "évil.example → 悪"),
            ("\u{1b}[31mred\u{7}", r"\u{1b}[31mred\u{7}"),
            ("a\tb\r\n", r"a\tb\r\n"),
            ("\u{9b}2J", r"\u{9b}2J"),
            ("d\u{202e}gnp.exe", r"d\u{202e}gnp.exe"),
            ("\u{2066}\u{200b}\u{feff}\u{2028}", r"\u{2066}\u{200b}\u{feff}\u{2028}"),
            ("\u{e0041}", r"\u{e0041}"),
        ] {
            assert_eq!(plain(text), want);
        }
        assert_eq!(plain_lines("a\nb\u{1b}\n"), "a\nb\\u{1b}\n");
        assert!(UNSEEN.is_sorted());
    }
}
