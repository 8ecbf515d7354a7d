//! One object of a bundle: what we keep of its fields, of whatever type it is.
//!
//! Spec:   STIX 2.1 §3.2 (common properties), §4.4 (grouping), §4.7 (indicator), §4.16 (report),
//!         §7.2 (markings); misp-stix (`x-misp-attribute`, `x-misp-object`)
//! Reads:  one JSON object, its fields in any order
//! Yields: texts, empty where a field is absent or of another shape
//! Bounds: the texts themselves; lists, `limits::JSON_TAGS_BYTES_MAX`; attributes of an object of
//!         MISP, `limits::JSON_OBJECT_BYTES_MAX`; `REFS_MAX`
//! Leaves: what `Key` does not name

use std::fmt::Formatter;
use std::fmt::Result as Written;

use serde::de::Deserialize;
use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

use crate::control::intel::json::AttributeParts;
use crate::control::intel::json::Flag;
use crate::control::intel::json::Kept;
use crate::control::intel::json::parts::Scalar;
use crate::control::intel::json::parts::TAG_END;
use crate::control::intel::json::parts::Tags;
use crate::control::intel::json::parts::keys;
use crate::control::intel::json::parts::lenient;
use crate::control::intel::json::parts::skip;
use crate::control::intel::json::parts::skip_map;
use crate::control::intel::json::parts::skip_seq;
use crate::control::intel::stix::version::OBJECTS_MAX;
use crate::control::intel::stix::version::key;

/// Types of objects that say what is bad.
pub(in crate::control::intel) const TOLD: &[&str] =
    &["indicator", "x-misp-attribute", "x-misp-object"];

/// Objects that the reports of one bundle refer to, as many as it may have; 16 bytes each of one
/// report, 20 of all, doubled while they grow.
pub(super) const REFS_MAX: usize = OBJECTS_MAX;

/// The type of an indicator of what is not bad.
const BENIGN: &str = "benign";

/// What MISP labels an event with, beside its tags.
const EVENT: &str = "Threat-Report";

keys! {
    Kind = "type",
    Id = "id",
    Name = "name",
    Description = "description",
    Pattern = "pattern",
    PatternType = "pattern_type",
    Created = "created",
    Modified = "modified",
    Revoked = "revoked",
    ValidFrom = "valid_from",
    ValidUntil = "valid_until",
    Confidence = "confidence",
    CreatedBy = "created_by_ref",
    Markings = "object_marking_refs",
    Granular = "granular_markings",
    Labels = "labels",
    Types = "indicator_types",
    Definition = "definition" | "extensions" | "x_opencti_definition",
    MispType = "x_misp_type",
    MispValue = "x_misp_value",
    MispComment = "x_misp_comment",
    MispName = "x_misp_name",
    MispAttributes = "x_misp_attributes",
    Objects = "objects",
    Refs = "object_refs",
    Published = "published",
    Context = "context",
}

/// One object's kept fields.
#[derive(Debug, Default)]
pub(super) struct Object {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) pattern: String,
    pub(super) pattern_type: String,
    pub(super) created: String,
    pub(super) modified: String,
    pub(super) revoked: Flag,
    pub(super) valid_from: String,
    pub(super) valid_until: String,
    pub(super) confidence: String,
    pub(super) created_by: String,
    /// Ids of markings, of the whole and of parts of it, each with `TAG_END`.
    pub(super) markings: String,
    /// Labels, each with `TAG_END`.
    pub(super) labels: String,
    /// Indicator types, each with `TAG_END`.
    pub(super) types: String,
    /// What a marking says of itself.
    pub(super) light: String,
    pub(super) misp_type: String,
    pub(super) misp_value: String,
    pub(super) misp_name: String,
    /// Attributes of an object of MISP.
    pub(super) kept: Kept,
    /// Keys of the objects that a report refers to, of those that say what is bad.
    pub(super) refs: Vec<u128>,
    /// When a report was published.
    pub(super) published: String,
    /// Why a grouping was made.
    pub(super) context: String,
}

impl Object {
    /// Forgets everything but its memory.
    pub(super) fn clear(&mut self) {
        let texts = [&mut self.kind, &mut self.id, &mut self.name, &mut self.description];
        texts.into_iter().for_each(String::clear);
        let texts = [&mut self.pattern, &mut self.pattern_type, &mut self.created];
        texts.into_iter().for_each(String::clear);
        let texts = [&mut self.modified, &mut self.valid_from, &mut self.valid_until];
        texts.into_iter().for_each(String::clear);
        let texts = [&mut self.confidence, &mut self.created_by, &mut self.markings];
        texts.into_iter().for_each(String::clear);
        let texts = [&mut self.labels, &mut self.light, &mut self.misp_type, &mut self.misp_value];
        texts.into_iter().for_each(String::clear);
        let texts = [&mut self.misp_name, &mut self.published, &mut self.context, &mut self.types];
        texts.into_iter().for_each(String::clear);
        self.refs.clear();
        self.kept = Kept::default();
        self.revoked = Flag(None);
    }

    /// Reads the fields of an object that are wanted.
    pub(super) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        mut map: A,
        wants: fn(Key) -> bool,
    ) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            let text = match key {
                key if !wants(key) => {
                    skip(&mut map)?;
                    continue;
                }
                Key::Kind => &mut self.kind,
                Key::Id => &mut self.id,
                Key::Name => &mut self.name,
                Key::Description | Key::MispComment => &mut self.description,
                Key::Pattern => &mut self.pattern,
                Key::PatternType => &mut self.pattern_type,
                Key::Created => &mut self.created,
                Key::Modified => &mut self.modified,
                Key::ValidFrom => &mut self.valid_from,
                Key::ValidUntil => &mut self.valid_until,
                Key::Confidence => &mut self.confidence,
                Key::CreatedBy => &mut self.created_by,
                Key::MispType => &mut self.misp_type,
                Key::MispValue => &mut self.misp_value,
                Key::MispName => &mut self.misp_name,
                Key::Published => &mut self.published,
                Key::Context => &mut self.context,
                Key::Revoked => {
                    self.revoked = map.next_value()?;
                    continue;
                }
                Key::Markings => {
                    map.next_value_seed(Tags(&mut self.markings))?;
                    continue;
                }
                Key::Granular => {
                    map.next_value_seed(Granular(&mut self.markings))?;
                    continue;
                }
                Key::Types => {
                    map.next_value_seed(Tags(&mut self.types))?;
                    continue;
                }
                Key::Labels => {
                    map.next_value_seed(Tags(&mut self.labels))?;
                    continue;
                }
                Key::MispAttributes => {
                    map.next_value_seed(Parts(&mut self.kept))?;
                    continue;
                }
                Key::Refs => {
                    map.next_value_seed(Refs(&mut self.refs))?;
                    continue;
                }
                Key::Definition => {
                    map.next_value_seed(Light(&mut self.light))?;
                    continue;
                }
                Key::Objects | Key::Other => {
                    skip(&mut map)?;
                    continue;
                }
            };
            map.next_value_seed(Scalar(text))?;
        }
        Ok(())
    }

    /// Returns what MISP says of an attribute in a label, as the `domain` of `misp:type="domain"`.
    pub(super) fn misp(&self, what: &str) -> Option<&str> {
        self.labels().find_map(|label| misp_label(label, what))
    }

    /// Tells whether MISP made it, of an attribute or an object.
    pub(super) fn is_misp(&self) -> bool {
        ["type", "name"].into_iter().any(|what| self.misp(what).is_some())
    }

    /// Puts the name before the description, where another title stands in its place.
    pub(super) fn name_in_description(&mut self) {
        if self.name.is_empty() || self.description == self.name {
            return;
        }
        let between = if self.description.is_empty() { "" } else { ": " };
        self.description = format!("{}{between}{}", self.name, self.description);
    }

    /// Tells whether its maker calls it benign, and nothing else: STIX 2.0 says so in a label.
    pub(super) fn is_benign(&self) -> bool {
        let texts = if self.types.is_empty() { &self.labels } else { &self.types };
        let mut types = texts.split_terminator(TAG_END).map(str::trim).peekable();
        types.peek().is_some() && types.all(|ty| ty.eq_ignore_ascii_case(BENIGN))
    }

    /// Returns the labels and indicator types.
    pub(super) fn labels(&self) -> impl Iterator<Item = &str> {
        [&self.labels, &self.types].into_iter().flat_map(|texts| texts.split_terminator(TAG_END))
    }

    /// Returns the labels that are tags: MISP's notes of its own fields are none.
    pub(super) fn tags(&self) -> impl Iterator<Item = &str> {
        const FIELDS: &[&str] = &["type", "category", "to_ids", "name", "meta-category", "tool"];
        let is_field = |label: &&str| FIELDS.iter().any(|field| misp_label(label, field).is_some());
        // MISP gives it to each of its events
        let is_event = self.misp("tool").is_some();
        self.labels().filter(move |label| !(is_field(label) || is_event && *label == EVENT))
    }
}

fn misp_label<'l>(label: &'l str, what: &str) -> Option<&'l str> {
    let value = label.strip_prefix("misp:")?.strip_prefix(what)?.strip_prefix('=')?;
    Some(value.trim_matches('"'))
}

/// Keeps the attributes of an object of MISP.
struct Parts<'k>(&'k mut Kept);

impl<'de> DeserializeSeed<'de> for Parts<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Parts<'_> {
    type Value = ();
    lenient!("attributes", text);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Parts(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut parts = AttributeParts::default();
        parts.read(&mut map)?;
        self.0.keep(parts).ok_or_else(|| Error::custom("an object of more than 64 MiB"))
    }
}

/// Adds the markings of parts of an object to those of the whole.
struct Granular<'s>(&'s mut String);

impl<'de> DeserializeSeed<'de> for Granular<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Granular<'_> {
    type Value = ();
    lenient!("markings of parts", text);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Granular(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "marking_ref" => map.next_value_seed(Tags(&mut *self.0))?,
                _ => skip(&mut map)?,
            }
        }
        Ok(())
    }
}

/// Keeps the keys of objects that a report refers to.
struct Refs<'r>(&'r mut Vec<u128>);

impl<'de> DeserializeSeed<'de> for Refs<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Refs<'_> {
    type Value = ();
    lenient!("references");

    fn visit_str<E: Error>(self, id: &str) -> Result<(), E> {
        let is_told = id.split_once("--").is_some_and(|(kind, _)| TOLD.contains(&kind));
        // one beyond the bound shows that there are more
        if is_told && self.0.len() <= REFS_MAX {
            self.0.push(key(id));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Refs(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        skip_map(map)
    }
}

/// Finds what a marking says of itself, in its definition or in an extension.
struct Light<'s>(&'s mut String);

impl<'de> DeserializeSeed<'de> for Light<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Light<'_> {
    type Value = ();
    lenient!("a marking", list);

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.clear();
        self.0.push_str(text);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let space = match key.as_str() {
                "tlp" | "tlp_2_0" => "tlp:",
                "pap" => "pap:",
                "statement" => "",
                _ => {
                    map.next_value_seed(Inner(&mut *self.0))?;
                    continue;
                }
            };
            let mut light = String::new();
            map.next_value_seed(Scalar(&mut light))?;
            *self.0 = format!("{space}{light}");
        }
        Ok(())
    }
}

/// Something within a definition: only objects may hold more.
struct Inner<'s>(&'s mut String);

impl<'de> DeserializeSeed<'de> for Inner<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inner<'_> {
    type Value = ();
    lenient!("a part of a marking", text, list);

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        Light(self.0).visit_map(map)
    }
}
