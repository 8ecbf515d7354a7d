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
}

/// The tag of an attribute whose time is over by MISP's models.
pub const DECAYED: &str = "tapsieve:decayed";

/// What the tag of a number of sightings begins with; the number follows in quotes.
pub const SIGHTINGS: &str = "tapsieve:sightings=";

/// The same, of sightings as a false positive.
pub const FALSE_POSITIVES: &str = "tapsieve:false-positives=";

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
        let seen = || number(SIGHTINGS).map(Self::Sightings);
        lists.or_else(seen).or_else(|| number(FALSE_POSITIVES).map(Self::FalsePositives))
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
    fn marks_are_told_from_tags() {
        for (tag, mark) in [
            ("tapsieve:decayed", Some(Mark::Decayed)),
            ("tapsieve:warninglist-downgrade=\"A b\"", Some(Mark::Downgraded("A b"))),
            ("tapsieve:warninglist-inform=\"x\"", Some(Mark::Informed("x"))),
            ("tapsieve:sightings=\"7\"", Some(Mark::Sightings(7))),
            ("tapsieve:false-positives=\"1\"", Some(Mark::FalsePositives(1))),
            ("tlp:red", None),
        ] {
            assert_eq!(Mark::of(tag), mark);
            assert_eq!(is_reserved(tag), mark.is_some(), "{tag}");
        }
        assert!(!is_reserved(CANARY_TAG));
    }
}
