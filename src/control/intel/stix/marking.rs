//! Markings: who may see an indicator, and what may be done with it, as tags that MISP knows.
//!
//! Spec:   STIX 2.1 §7.2.1.4 and STIX 2.0 part 1 §4.1.4 (the four markings of TLP 1, known by id);
//!         the extension for TLP 2.0 (five, known by id)
//! Reads:  ids of marking definitions; what a definition in the bundle says of itself
//! Yields: `tlp:…` and `pap:…` tags
//! Bounds: those of the texts
//! Leaves: statements of other kinds, as copyrights; which part of an object a granular marking is
//!         of: it counts for the whole

/// The markings that have the same id everywhere.
const KNOWN: &[(&str, &str)] = &[
    ("marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9", "tlp:white"),
    ("marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da", "tlp:green"),
    ("marking-definition--f88d31f6-486f-44da-b317-01333bde0b82", "tlp:amber"),
    ("marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed", "tlp:red"),
    ("marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487", "tlp:clear"),
    ("marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb", "tlp:green"),
    ("marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421", "tlp:amber"),
    ("marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003", "tlp:amber+strict"),
    ("marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1", "tlp:red"),
];

/// Returns the tag of a marking that has the same id everywhere.
pub(super) fn known(id: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(known, _)| *known == id).map(|(_, tag)| *tag)
}

/// Returns the tag that a definition's text is, as `TLP:AMBER+STRICT` or `PAP:RED`.
pub(super) fn of_text(text: &str) -> Option<String> {
    let tag = text.trim().to_lowercase();
    let (space, light) = tag.split_once(':')?;
    let is_light = matches!(light, "white" | "clear" | "green" | "amber" | "amber+strict" | "red");
    (is_light && matches!(space, "tlp" | "pap")).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::marking::Tlp;

    #[test]
    fn every_known_marking_is_a_light() {
        for (id, tag) in KNOWN {
            assert!(Tlp::strictest([*tag]).is_some(), "{tag}");
            assert_eq!(known(id), Some(*tag));
        }
        assert_eq!(known("marking-definition--00000000-0000-4000-8000-000000000000"), None);
    }

    #[test]
    fn a_definition_says_what_it_is() {
        for (text, tag) in [
            ("TLP:AMBER+STRICT", Some("tlp:amber+strict")),
            (" PAP:RED", Some("pap:red")),
            ("Copyright 2026: Example", None),
            ("tlp:pink", None),
            ("red", None),
        ] {
            assert_eq!(of_text(text).as_deref(), tag, "{text}");
        }
    }
}
