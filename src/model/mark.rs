//! Marks: what is said here of an attribute beside what MISP says of it, kept among its tags as
//! machine tags of a namespace that no feed can use.

use crate::model::canary::CANARY_TAG;

/// What all marks begin with.
const NAMESPACE: &str = "tapsieve:";

/// What a mark says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mark<'t> {
    /// A warninglist of that name has the value; its alerts claim low confidence.
    Downgraded(&'t str),
    /// A warninglist of that name has the value.
    Informed(&'t str),
    /// By all of MISP's decaying models its time is over.
    Decayed,
    /// So many have seen it.
    Sightings(u32),
    /// So many call it a false positive.
    FalsePositives(u32),
    /// So sure is its source, from 0 to 100.
    Confidence(u32),
    /// Its source says that it counts until then: RFC 3339.
    ValidUntil(&'t str),
}

/// The tag of an attribute whose time is over by MISP's models.
pub const DECAYED: &str = "tapsieve:decayed";

/// What the tag of a number of sightings begins with; the number follows in quotes.
pub const SIGHTINGS: &str = "tapsieve:sightings=";

/// The same, of sightings as a false positive.
pub const FALSE_POSITIVES: &str = "tapsieve:false-positives=";

/// The same, of how sure a source is.
pub const CONFIDENCE: &str = "tapsieve:confidence=";

/// The same, of when an indicator ends.
pub const VALID_UNTIL: &str = "tapsieve:valid-until=";

/// What the tags of warninglists begin with; the name follows in quotes.
pub const DOWNGRADED: &str = "tapsieve:warninglist-downgrade=";

/// The same, of those that only inform.
pub const INFORMED: &str = "tapsieve:warninglist-inform=";

impl<'t> Mark<'t> {
    /// Reads a tag; `None` where it is MISP's.
    pub fn of(tag: &'t str) -> Option<Self> {
        if tag == DECAYED {
            return Some(Self::Decayed);
        }
        let quoted = |from: &str| tag.strip_prefix(from).map(|name| name.trim_matches('"'));
        let number = |from: &str| quoted(from).and_then(|digits| digits.parse().ok());
        let lists = quoted(DOWNGRADED).map(Self::Downgraded);
        let lists = lists.or_else(|| quoted(INFORMED).map(Self::Informed));
        let numbers = number(SIGHTINGS)
            .map(Self::Sightings)
            .or_else(|| number(FALSE_POSITIVES).map(Self::FalsePositives))
            .or_else(|| number(CONFIDENCE).map(Self::Confidence));
        lists.or(numbers).or_else(|| quoted(VALID_UNTIL).map(Self::ValidUntil))
    }
}

/// What the marks among an attribute's tags say together; of several of a kind the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Said<'t> {
    /// A warninglist has the value, and claims low confidence.
    pub is_downgraded: bool,
    /// Its time is over by MISP's models.
    pub is_decayed: bool,
    /// So many have seen it.
    pub sightings: Option<u32>,
    /// So many call it a false positive.
    pub false_positives: Option<u32>,
    /// So sure is its source, from 0 to 100.
    pub confidence: Option<u8>,
    /// Its source says that it counts until then: RFC 3339.
    pub valid_until: Option<&'t str>,
}

impl<'t> Said<'t> {
    /// Reads the marks among tags.
    pub fn of(tags: impl IntoIterator<Item = &'t str>) -> Self {
        let mut said = Self::default();
        for mark in tags.into_iter().filter_map(Mark::of) {
            match mark {
                Mark::Downgraded(_) => said.is_downgraded = true,
                Mark::Informed(_) => {}
                Mark::Decayed => said.is_decayed = true,
                Mark::Sightings(n) => said.sightings = Some(n),
                Mark::FalsePositives(n) => said.false_positives = Some(n),
                Mark::Confidence(n) => said.confidence = u8::try_from(n).ok(),
                Mark::ValidUntil(time) => said.valid_until = Some(time),
            }
        }
        said
    }
}

/// Tells whether a tag is in our namespace, where a feed has no say.
pub fn is_reserved(tag: &str) -> bool {
    tag.starts_with(NAMESPACE) && tag != CANARY_TAG
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_say_together() {
        let tags = [
            "tlp:red",
            "tapsieve:decayed",
            "tapsieve:sightings=\"7\"",
            "tapsieve:confidence=\"85\"",
            "tapsieve:warninglist-downgrade=\"A\"",
            "tapsieve:warninglist-inform=\"B\"",
            "tapsieve:valid-until=\"2026-01-01T00:00:00Z\"",
        ];
        let want = Said {
            is_downgraded: true,
            is_decayed: true,
            sightings: Some(7),
            false_positives: None,
            confidence: Some(85),
            valid_until: Some("2026-01-01T00:00:00Z"),
        };
        assert_eq!(Said::of(tags), want);
        assert_eq!(Said::of(["tapsieve:warninglist-inform=\"B\""]), Said::default());
    }

    #[test]
    fn marks_are_told_from_tags() {
        for (tag, mark) in [
            ("tapsieve:decayed", Some(Mark::Decayed)),
            ("tapsieve:warninglist-downgrade=\"A b\"", Some(Mark::Downgraded("A b"))),
            ("tapsieve:warninglist-inform=\"x\"", Some(Mark::Informed("x"))),
            ("tapsieve:sightings=\"7\"", Some(Mark::Sightings(7))),
            ("tapsieve:false-positives=\"1\"", Some(Mark::FalsePositives(1))),
            ("tapsieve:confidence=\"85\"", Some(Mark::Confidence(85))),
            (
                "tapsieve:valid-until=\"2026-01-01T00:00:00Z\"",
                Some(Mark::ValidUntil("2026-01-01T00:00:00Z")),
            ),
            ("tlp:red", None),
        ] {
            assert_eq!(Mark::of(tag), mark);
            assert_eq!(is_reserved(tag), mark.is_some(), "{tag}");
        }
        assert!(!is_reserved(CANARY_TAG));
    }
}
