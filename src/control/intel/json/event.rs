//! The walk over events: answers hold events, events hold attributes and objects, objects hold
//! attributes.
//!
//! Spec:   MISP core format §2 (Event, Attribute, Object, Orgc, Tag)
//! Reads:  one JSON value, keys in any order (PyMISP sorts them, so an event's title may follow its
//!         attributes)
//! Yields: attributes, each with its object and event, and events that are over
//! Bounds: kept fields of one object's attributes, `limits::JSON_OBJECT_BYTES_MAX`; `DEPTH_MAX`
//! Leaves: what `Key` does not name

use std::fmt::Formatter;
use std::fmt::Result as Written;

use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

use crate::control::intel::Sibling;
use crate::control::intel::json::DEPTH_MAX;
use crate::control::intel::json::answer::List;
use crate::control::intel::json::answer::One;
use crate::control::intel::json::composite::Telling;
use crate::control::intel::json::parts::Key;
use crate::control::intel::json::parts::Scalar;
use crate::control::intel::json::parts::lenient;
use crate::control::intel::json::parts::skip;
use crate::control::intel::json::parts::skip_seq;
use crate::control::intel::json::record::AttributeParts;
use crate::control::intel::json::record::Kept;
use crate::control::intel::json::record::ObjectParts;
use crate::control::intel::json::record::Story;

/// What is wrong with an attribute of an answer.
const NO_TYPE: &str = "an attribute without `type`";

/// Takes what a walk finds.
pub trait Teller {
    /// Takes an attribute whose object is whole; its event may be told by and by.
    fn attribute(&mut self, found: &Found<'_>, owner: &mut Owner);

    /// Takes the rest of an event or answer, which is over.
    fn end(&mut self, owner: &Owner);
}

/// An attribute that was found.
#[derive(Debug)]
pub struct Found<'f> {
    /// Its fields.
    pub parts: &'f AttributeParts,
    /// Its object's; empty where it is in none.
    pub object: &'f ObjectParts,
    /// What the object says of it elsewhere.
    pub sibling: Sibling<'f>,
}

impl Found<'_> {
    /// Returns the name of its object's template, whoever knows it.
    pub fn object_name(&self) -> &str {
        if self.object.name.is_empty() { &self.parts.object } else { &self.object.name }
    }
}

/// One value being read.
#[derive(Debug)]
pub struct Reading<T> {
    /// Who takes what is found.
    pub teller: T,
    /// Memory for one attribute, used again.
    spare: AttributeParts,
    /// Attributes found so far.
    pub attributes: u64,
    /// Something in it was MISP's.
    pub is_misp: bool,
    /// Elements that the answers to searches list.
    pub elements: u64,
    /// It is the answer to a search: what is not as MISP writes it is an error.
    pub(super) is_strict: bool,
}

impl<T: Teller> Reading<T> {
    /// Begins.
    pub fn new(teller: T) -> Self {
        let spare = AttributeParts::default();
        let (attributes, elements) = (0, 0);
        Self { teller, spare, attributes, is_misp: false, elements, is_strict: false }
    }
}

/// Who owns attributes: an event whose fields may follow them, or an answer whose attributes name
/// their events.
#[derive(Debug, Default)]
pub struct Owner {
    /// What is known of the event so far.
    pub story: Story,
    /// Its number, where attributes of it were told.
    pub event: Option<u32>,
    /// It is an answer.
    pub is_answer: bool,
}

/// An answer, an event, or a list of them.
pub(super) struct Node<'r, T> {
    reading: &'r mut Reading<T>,
    depth: u32,
    is_answer: bool,
}

impl<'r, T: Teller> Node<'r, T> {
    /// Returns the outermost value.
    pub(super) fn top(reading: &'r mut Reading<T>) -> Self {
        Self { reading, depth: 0, is_answer: false }
    }

    /// Reads the fields of an event or answer.
    pub(super) fn fields<'de, A: MapAccess<'de>>(
        &mut self,
        map: &mut A,
        owner: &mut Owner,
    ) -> Result<(), A::Error> {
        let depth = self.depth + 1;
        while let Some(key) = map.next_key::<Key>()? {
            let reading = &mut *self.reading;
            let known = matches!(key, Key::Response | Key::Event | Key::Attribute | Key::Object);
            reading.is_misp |= known || key == Key::Info;
            match key {
                Key::Response | Key::Event => {
                    let is_answer = key == Key::Response;
                    map.next_value_seed(Node { reading, depth, is_answer })?;
                }
                Key::Attribute => map.next_value_seed(Attributes::Tell(reading, owner))?,
                Key::Object => map.next_value_seed(Objects { reading, owner })?,
                key if owner.story.read(key, map)? => {}
                _ => skip(map)?,
            }
        }
        Ok(())
    }
}

impl<'de, T: Teller> DeserializeSeed<'de> for Node<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        match self.depth {
            0..=DEPTH_MAX => json.deserialize_any(self),
            _ => json.deserialize_ignored_any(IgnoredAny).map(|_| ()),
        }
    }
}

impl<'de, T: Teller> Visitor<'de> for Node<'_, T> {
    type Value = ();
    lenient!("a MISP event or answer", text);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let depth = self.depth + 1;
        let reading = self.reading;
        while seq.next_element_seed(Node { reading, depth, is_answer: false })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut owner = Owner { is_answer: self.is_answer, ..Owner::default() };
        let outcome = self.fields(&mut map, &mut owner);
        self.reading.teller.end(&owner);
        outcome
    }
}

/// The event that an attribute or object of an answer names.
pub(super) struct StorySeed<'s>(pub(super) &'s mut Story);

impl<'de> DeserializeSeed<'de> for StorySeed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StorySeed<'_> {
    type Value = ();
    lenient!("an event", text, list);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            if !self.0.read(key, &mut map)? {
                skip(&mut map)?;
            }
        }
        Ok(())
    }
}

/// An attribute or a list of them: told at once, or kept until their object is whole.
pub(super) enum Attributes<'r, T> {
    /// Of an event or answer.
    Tell(&'r mut Reading<T>, &'r mut Owner),
    /// Of an object: how many there are in all, what is kept, and whether nothing else may be
    /// there.
    Keep(&'r mut u64, &'r mut Kept, bool),
}

impl<'de, T: Teller> DeserializeSeed<'de> for Attributes<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, T: Teller> Visitor<'de> for Attributes<'_, T> {
    type Value = ();
    lenient!("attributes", text);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        match self {
            Self::Tell(reading, owner) if reading.is_strict => {
                while seq.next_element_seed(One(Attributes::Tell(reading, owner)))?.is_some() {
                    reading.elements += 1;
                }
            }
            Self::Tell(reading, owner) => {
                while seq.next_element_seed(Attributes::Tell(reading, owner))?.is_some() {}
            }
            Self::Keep(number, kept, is_strict) => loop {
                let one = Attributes::<T>::Keep(number, kept, is_strict);
                let read = match is_strict {
                    true => seq.next_element_seed(One(one))?,
                    false => seq.next_element_seed(one)?,
                };
                if read.is_none() {
                    break;
                }
            },
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match self {
            Self::Tell(reading, owner) => {
                let mut parts = std::mem::take(&mut reading.spare);
                parts.clear();
                parts.read(&mut map)?;
                if reading.is_strict && parts.kind.is_empty() {
                    return Err(Error::custom(NO_TYPE));
                }
                reading.attributes += 1;
                parts.number = reading.attributes;
                let object = &ObjectParts::default();
                let found = Found { parts: &parts, object, sibling: Sibling::Unknown };
                reading.teller.attribute(&found, owner);
                reading.spare = parts;
            }
            Self::Keep(number, kept, is_strict) => {
                let mut parts = AttributeParts::default();
                parts.read(&mut map)?;
                if is_strict && parts.kind.is_empty() {
                    return Err(Error::custom(NO_TYPE));
                }
                *number += 1;
                parts.number = *number;
                let full = || Error::custom("an object of more than 64 MiB");
                kept.keep(parts).ok_or_else(full)?;
            }
        }
        Ok(())
    }
}

/// An object or a list of them.
pub(super) struct Objects<'r, T> {
    pub(super) reading: &'r mut Reading<T>,
    pub(super) owner: &'r mut Owner,
}

impl<'de, T: Teller> DeserializeSeed<'de> for Objects<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, T: Teller> Visitor<'de> for Objects<'_, T> {
    type Value = ();
    lenient!("objects", text);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { reading, owner } = self;
        while seq.next_element_seed(Objects { reading, owner })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut object, mut kept) = (ObjectParts::default(), Kept::default());
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Name => map.next_value_seed(Scalar(&mut object.name))?,
                Key::Deleted => object.deleted = map.next_value()?,
                Key::Attribute => {
                    let (number, is_strict) =
                        (&mut self.reading.attributes, self.reading.is_strict);
                    let all = Attributes::<T>::Keep(number, &mut kept, is_strict);
                    match is_strict {
                        true => map.next_value_seed(List(all))?,
                        false => map.next_value_seed(all)?,
                    }
                }
                Key::Event => {
                    let story = object.event.get_or_insert_default();
                    map.next_value_seed(StorySeed(story))?;
                }
                _ => skip(&mut map)?,
            }
        }
        let siblings = kept.siblings(&object.name, Telling::Each);
        for parts in &kept.attributes {
            let known = !object.name.is_empty();
            let sibling = if known { siblings.of(parts) } else { Sibling::Unknown };
            let found = Found { parts, object: &object, sibling };
            self.reading.teller.attribute(&found, self.owner);
        }
        Ok(())
    }
}
