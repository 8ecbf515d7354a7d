//! Markings: who may see an indicator (TLP) and what may be done with it (PAP), as tags say.
//!
//! Spec:   FIRST TLP 2.0 (1.0's WHITE is CLEAR); MISP taxonomies `tlp` and `PAP`

use crate::model::observation::names;

names! {
    /// Traffic light protocol, the freest first.
    Tlp {
        /// Anyone may see it.
        Clear = "CLEAR",
        /// The community.
        Green = "GREEN",
        /// The organisation and its clients.
        Amber = "AMBER",
        /// The organisation.
        AmberStrict = "AMBER+STRICT",
        /// Whoever was told.
        Red = "RED",
    }
}

names! {
    /// Permissible actions protocol, the freest first.
    Pap {
        /// Anything.
        Clear = "CLEAR",
        /// Active ones, as blocking, too.
        Green = "GREEN",
        /// Passive ones; asking others, too.
        Amber = "AMBER",
        /// Ones that nobody outside can notice.
        Red = "RED",
    }
}

impl Tlp {
    /// Returns the strictest of some tags.
    pub fn strictest<'t>(tags: impl IntoIterator<Item = &'t str>) -> Option<Self> {
        tags.into_iter().filter_map(|tag| light("tlp", tag, Self::ALL, Self::name)).max()
    }

    /// Returns the one of a name, as `amber`.
    pub fn from_word(word: &str) -> Option<Self> {
        named(word, Self::ALL, Self::name)
    }
}

impl Pap {
    /// Returns the strictest of some tags.
    pub fn strictest<'t>(tags: impl IntoIterator<Item = &'t str>) -> Option<Self> {
        tags.into_iter().filter_map(|tag| light("pap", tag, Self::ALL, Self::name)).max()
    }
}

fn light<T: Copy>(
    namespace: &str,
    tag: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Option<T> {
    let (space, word) = tag.split_once(':')?;
    space.eq_ignore_ascii_case(namespace).then(|| named(word, all, name))?
}

fn named<T: Copy>(word: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Option<T> {
    let word = if word.eq_ignore_ascii_case("white") { "CLEAR" } else { word };
    all.iter().copied().find(|one| name(*one).eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_light_wins() {
        for (tags, tlp, pap) in [
            (&["tlp:white", "TLP:AMBER", "PAP:RED"][..], Some(Tlp::Amber), Some(Pap::Red)),
            (
                &["tlp:amber", "tlp:amber+strict", "pap:green"],
                Some(Tlp::AmberStrict),
                Some(Pap::Green),
            ),
            (&["tlp:clear", "PAP:WHITE"], Some(Tlp::Clear), Some(Pap::Clear)),
            (&["type:OSINT", "tlp:unclear", "x:red"], None, None),
        ] {
            assert_eq!(Tlp::strictest(tags.iter().copied()), tlp);
            assert_eq!(Pap::strictest(tags.iter().copied()), pap);
        }
        assert_eq!(Tlp::from_word("Amber+Strict"), Some(Tlp::AmberStrict));
        assert_eq!(Tlp::from_word("pink"), None);
    }
}
