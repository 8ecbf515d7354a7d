//! What a text of a feed says of a time or a flag, as MISP writes it or others do, in one place.
//!
//! Spec:   RFC 3339; of ISO 8601 dates, and dates with a time of day; MISP's seconds since 1970
//! Leaves: what may be read in two ways, as `01/02/2026`, or as a date of digits alone

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::model::time::Timestamp;

/// The last year that a [`Timestamp`] holds; MySQL, STIX and people write 9999 for no end.
const YEAR_MAX: i16 = 2553;

/// Returns a time, in UTC where it names no zone; 0 where there is none, `None` where it cannot be
/// read or is before 1970.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match (text.bytes().all(|byte| byte == b'0'), text.len()) {
            (true, _) => Some(Timestamp(0)),
            // 1973 to 2286: shorter ones are dates, longer ones no seconds
            (false, 9 | 10) => text.parse().ok().map(|secs| Timestamp::new(secs, 0)),
            _ => None,
        };
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return since_1970(time);
    }
    let bare = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let is_plain = |c: char| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | ' ' | 'T' | 't');
    let time = bare.parse::<DateTime>().ok().filter(|_| bare.chars().all(is_plain))?;
    if time.year() > YEAR_MAX {
        return Some(Timestamp(u64::MAX));
    }
    since_1970(TimeZone::UTC.to_timestamp(time).ok()?)
}

/// Returns what a word says of a flag; `None` where it is no such word.
pub(super) fn flag(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text.trim()));
    if is(&["1", "1.0", "true", "t", "yes", "y", "on"]) {
        return Some(true);
    }
    is(&["0", "0.0", "false", "f", "no", "n", "off"]).then_some(false)
}

fn since_1970(time: jiff::Timestamp) -> Option<Timestamp> {
    let nanos = u128::try_from(time.as_nanosecond()).ok()?;
    Some(Timestamp(u64::try_from(nanos).unwrap_or(u64::MAX)))
}

/// Returns what is known of a time; 0 where nothing is.
pub(super) fn known(text: &str) -> Timestamp {
    time(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::intel::catalog::written;

    #[test]
    fn times_are_read_where_they_are_plain() {
        for (text, want) in [
            ("2020-01-01T10:00:00+02:00", "2020-01-01T08:00:00Z"),
            ("2020-01-01T10:00:00.5+0000", "2020-01-01T10:00:00.5Z"),
            ("2020-01-01T10:00:00-05", "2020-01-01T15:00:00Z"),
            (" 2020-01-01T10:00:00Z ", "2020-01-01T10:00:00Z"),
            ("2020-01-01 10:00:00Z", "2020-01-01T10:00:00Z"),
            ("2020-01-01", "2020-01-01T00:00:00Z"),
            ("2020-01-01 10:00:00", "2020-01-01T10:00:00Z"),
            ("2020-01-01T10:00:00", "2020-01-01T10:00:00Z"),
            ("2020-01-01 10:00", "2020-01-01T10:00:00Z"),
            ("1577836800", "2020-01-01T00:00:00Z"),
        ] {
            assert_eq!(time(text).and_then(written).as_deref(), Some(want), "{text}");
        }
        for never in ["9999-12-31T23:59:59Z", "9999-12-31", "9000-01-01T00:00:00Z"] {
            assert_eq!(time(never), Some(Timestamp(u64::MAX)), "{never}");
        }
        for none in ["", " ", "0", "0000"] {
            assert_eq!(time(none), Some(Timestamp(0)), "{none:?}");
        }
        for wrong in [
            "2025-13-45",
            "20260901",
            "1577836800000",
            "01/02/2026",
            "yesterday",
            "1969-12-31",
            "0000-00-00 00:00:00",
            "2020-01-01T10:00:00[Europe/Paris]",
            "2020-01-01T10:00:00 CET",
            "-1",
        ] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn flags_are_words_of_any_case() {
        for (text, want) in [
            ("1", Some(true)),
            (" TRUE ", Some(true)),
            ("Y", Some(true)),
            ("on", Some(true)),
            ("0", Some(false)),
            ("0.0", Some(false)),
            ("N", Some(false)),
            ("Off", Some(false)),
            ("f", Some(false)),
            ("", None),
            ("maybe", None),
            ("2", None),
        ] {
            assert_eq!(flag(text), want, "{text}");
        }
    }
}
