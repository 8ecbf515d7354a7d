//! The walk over events: answers hold events, events hold attributes and objects, objects hold
//! attributes.
//!
//! Spec:   MISP core format §2 (Event, Attribute, Object, Orgc, Tag)
//! Reads:  one JSON value, keys in any order (PyMISP sorts them, so an event's title may follow its
//!         attributes)
//! Yields: attributes to the harvest, each with its event
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

use crate::control::intel::Attribute;
use crate::control::intel::Fault;
use crate::control::intel::Sibling;
use crate::control::intel::harvest::EventParts;
use crate::control::intel::harvest::Gather;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::json::DEPTH_MAX;
use crate::control::intel::json::parts::Decay;
use crate::control::intel::json::parts::Flag;
use crate::control::intel::json::parts::Key;
use crate::control::intel::json::parts::Named;
use crate::control::intel::json::parts::Number;
use crate::control::intel::json::parts::Scalar;
use crate::control::intel::json::parts::Sightings;
use crate::control::intel::json::parts::TAG_END;
use crate::control::intel::json::parts::Tags;
use crate::control::intel::json::parts::lenient;
use crate::control::intel::json::parts::skip;
use crate::control::intel::json::parts::skip_seq;
use crate::control::intel::ledger::Spot;
use crate::control::intel::uuid::Uuid;
use crate::model::limits::JSON_OBJECT_BYTES_MAX;

/// One file being read.
pub(super) struct Reading<'g, 'a> {
    gather: &'g Gather<'a>,
    harvest: Harvest<'a>,
    /// Memory for one attribute, used again.
    spare: AttributeParts,
    attributes: u64,
    events_open: u32,
    is_misp: bool,
}

/// One attribute's kept fields.
#[derive(Clone, Debug, Default)]
struct AttributeParts {
    kind: String,
    value: String,
    relation: String,
    object: String,
    uuid: String,
    first_seen: String,
    last_seen: String,
    comment: String,
    to_ids: Flag,
    deleted: Flag,
    decayed: Flag,
    sightings: [u32; 2],
    timestamp: Number,
    event_id: Number,
    tags: String,
    event: Option<Box<Story>>,
    number: u64,
}

/// One event's kept fields.
#[derive(Clone, Debug, Default)]
struct Story {
    uuid: String,
    info: String,
    org: String,
    orgc: String,
    id: Number,
    timestamp: Number,
    published: Flag,
    tags: String,
}

/// One object's kept fields.
#[derive(Default)]
struct ObjectParts {
    name: String,
    deleted: Flag,
    event: Option<Box<Story>>,
}

/// The attributes of an object, until it is whole.
#[derive(Default)]
struct Kept {
    attributes: Vec<AttributeParts>,
    bytes: usize,
}

impl<'g, 'a> Reading<'g, 'a> {
    /// Begins a file.
    pub(super) fn new(gather: &'g Gather<'a>) -> Self {
        Self {
            gather,
            harvest: gather.begin(),
            spare: AttributeParts::default(),
            attributes: 0,
            events_open: 0,
            is_misp: false,
        }
    }

    /// Ends a file: hands over what was read, whatever came of it.
    ///
    /// # Errors
    /// The outcome's, or that nothing in the file was MISP's.
    pub(super) fn finish(self, outcome: Result<(), Fault>) -> Result<(), Fault> {
        self.gather.end(self.harvest);
        let fault = |what: &str| Err(Fault { spot: Spot::File, what: what.to_owned() });
        match outcome {
            Ok(()) if self.is_misp => Ok(()),
            Ok(()) => fault("JSON, but no MISP event, attribute or answer"),
            broken => broken,
        }
    }

    /// Tells an attribute of an event that is known by now, or by and by.
    fn tell(
        &mut self,
        parts: &AttributeParts,
        object: &ObjectParts,
        sibling: Sibling<'_>,
        owner: &mut Owner,
    ) {
        let event = self.event_of(parts, object, owner);
        let tags = self.harvest.tag_list(parts.tags.split(TAG_END));
        let name = if object.name.is_empty() { &parts.object } else { &object.name };
        let attribute = Attribute {
            kind: &parts.kind,
            value: &parts.value,
            relation: &parts.relation,
            object: name,
            sibling,
            // MISP takes its type's default, which is true for all that match without opting in.
            to_ids: parts.to_ids.0.unwrap_or(true),
            deleted: [parts.deleted, object.deleted].iter().any(|flag| flag.0 == Some(true)),
            decayed: parts.decayed.0 == Some(true),
            sightings: parts.sightings,
            uuid: Uuid::from_text(&parts.uuid),
            timestamp_secs: u32::try_from(parts.timestamp.0).unwrap_or(0),
            first_seen: &parts.first_seen,
            last_seen: &parts.last_seen,
            comment: &parts.comment,
            tags,
            spot: Spot::Number(parts.number),
            ..Attribute::default()
        };
        self.harvest.take(&attribute, event);
        if self.events_open == 0 {
            self.gather.relieve(&mut self.harvest);
        }
    }

    fn event_of(&mut self, parts: &AttributeParts, object: &ObjectParts, owner: &mut Owner) -> u32 {
        if let Some(story) = parts.event.as_ref().or(object.event.as_ref()) {
            return story.told(&mut self.harvest);
        }
        if owner.is_answer {
            let id = parts.event_id.0;
            return self.harvest.event(&EventParts { id, ..EventParts::default() });
        }
        if owner.story.id.0 == 0 {
            owner.story.id = parts.event_id;
        }
        *owner.event.get_or_insert_with(|| {
            self.events_open += 1;
            self.harvest.open_event()
        })
    }
}

impl AttributeParts {
    fn text_bytes(&self) -> usize {
        let what = [&self.kind, &self.value, &self.relation, &self.object, &self.uuid];
        let rest = [&self.first_seen, &self.last_seen, &self.comment, &self.tags];
        what.into_iter().chain(rest).map(String::len).sum()
    }

    fn clear(&mut self) {
        let texts = [&mut self.kind, &mut self.value, &mut self.relation, &mut self.object];
        texts.into_iter().for_each(String::clear);
        let texts = [&mut self.uuid, &mut self.first_seen, &mut self.last_seen, &mut self.comment];
        texts.into_iter().for_each(String::clear);
        (self.to_ids, self.deleted, self.decayed) = (Flag(None), Flag(None), Flag(None));
        self.sightings = [0; 2];
        (self.timestamp, self.event_id) = (Number(0), Number(0));
        self.tags.clear();
        self.event = None;
    }

    fn read<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Type => map.next_value_seed(Scalar(&mut self.kind))?,
                Key::Value => map.next_value_seed(Scalar(&mut self.value))?,
                Key::Relation => map.next_value_seed(Scalar(&mut self.relation))?,
                Key::Uuid => map.next_value_seed(Scalar(&mut self.uuid))?,
                Key::FirstSeen => map.next_value_seed(Scalar(&mut self.first_seen))?,
                Key::Comment => map.next_value_seed(Scalar(&mut self.comment))?,
                Key::LastSeen => map.next_value_seed(Scalar(&mut self.last_seen))?,
                Key::ToIds => self.to_ids = map.next_value()?,
                Key::Deleted => self.deleted = map.next_value()?,
                Key::DecayScore => map.next_value_seed(Decay(&mut self.decayed))?,
                Key::Sighting => map.next_value_seed(Sightings(&mut self.sightings))?,
                Key::Timestamp => self.timestamp = map.next_value()?,
                Key::EventId => self.event_id = map.next_value()?,
                Key::Object => map.next_value_seed(Named(&mut self.object))?,
                Key::Tag | Key::Galaxy => map.next_value_seed(Tags(&mut self.tags))?,
                Key::Event => {
                    let story = self.event.get_or_insert_default();
                    map.next_value_seed(StorySeed(story))?;
                }
                _ => skip(map)?,
            }
        }
        Ok(())
    }
}

impl Story {
    fn text_bytes(&self) -> usize {
        [&self.uuid, &self.info, &self.org, &self.orgc, &self.tags].map(String::len).iter().sum()
    }

    fn parts<'s>(&'s self, tags: u32) -> EventParts<'s> {
        EventParts {
            uuid: Uuid::from_text(&self.uuid),
            id: self.id.0,
            info: &self.info,
            org: if self.orgc.is_empty() { &self.org } else { &self.orgc },
            provider: "",
            tags,
            timestamp_secs: u32::try_from(self.timestamp.0).unwrap_or(0),
            published: self.published.0,
        }
    }

    fn told(&self, harvest: &mut Harvest<'_>) -> u32 {
        let tags = harvest.tag_list(self.tags.split(TAG_END));
        harvest.event(&self.parts(tags))
    }

    /// Reads a field of an event; `false` when it is none of them.
    fn read<'de, A: MapAccess<'de>>(&mut self, key: Key, map: &mut A) -> Result<bool, A::Error> {
        match key {
            Key::Uuid => map.next_value_seed(Scalar(&mut self.uuid))?,
            Key::Info => map.next_value_seed(Scalar(&mut self.info))?,
            Key::Id => self.id = map.next_value()?,
            Key::Timestamp => self.timestamp = map.next_value()?,
            Key::Published => self.published = map.next_value()?,
            Key::Orgc => map.next_value_seed(Named(&mut self.orgc))?,
            Key::Org => map.next_value_seed(Named(&mut self.org))?,
            Key::Tag | Key::Galaxy => map.next_value_seed(Tags(&mut self.tags))?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Kept {
    /// Keeps an attribute; `None` when there is no room for it.
    fn keep(&mut self, parts: AttributeParts) -> Option<()> {
        let story = parts.event.as_ref().map_or(0, |story| size_of::<Story>() + story.text_bytes());
        self.bytes += size_of::<AttributeParts>() + parts.text_bytes() + story;
        (self.bytes <= JSON_OBJECT_BYTES_MAX).then(|| self.attributes.push(parts))
    }

    /// Returns what the attributes say of a fingerprint among them, for each relation one may have.
    fn siblings<'k>(&'k self) -> impl Fn(&str) -> Sibling<'k> {
        let find = |relation: &str| self.attributes.iter().find(|a| a.relation == relation);
        let ja4_type = find("ja4-type");
        let has_ja3s = find("ja3s-fingerprint-md5").is_some();
        move |relation| match relation {
            "ja4-fingerprint" => ja4_type.map_or(Sibling::Silent, |a| Sibling::Ja4Type(&a.value)),
            "ja3-fingerprint-md5" if has_ja3s => Sibling::Ja3s,
            _ => Sibling::Silent,
        }
    }
}

/// Who owns attributes: an event whose fields may follow them, or an answer whose attributes name
/// their events.
#[derive(Default)]
struct Owner {
    story: Story,
    event: Option<u32>,
    is_answer: bool,
}

/// An answer, an event, or a list of them.
pub(super) struct Node<'r, 'g, 'a> {
    reading: &'r mut Reading<'g, 'a>,
    depth: u32,
    is_answer: bool,
}

impl<'r, 'g, 'a> Node<'r, 'g, 'a> {
    /// Returns the outermost value.
    pub(super) fn top(reading: &'r mut Reading<'g, 'a>) -> Self {
        Self { reading, depth: 0, is_answer: false }
    }

    fn fields<'de, A: MapAccess<'de>>(
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

impl<'de> DeserializeSeed<'de> for Node<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        match self.depth {
            0..=DEPTH_MAX => json.deserialize_any(self),
            _ => json.deserialize_ignored_any(IgnoredAny).map(|_| ()),
        }
    }
}

impl<'de> Visitor<'de> for Node<'_, '_, '_> {
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
        if let Some(event) = owner.event {
            let harvest = &mut self.reading.harvest;
            let tags = harvest.tag_list(owner.story.tags.split(TAG_END));
            harvest.close_event(event, &owner.story.parts(tags));
            self.reading.events_open -= 1;
        }
        outcome
    }
}

/// The event that an attribute or object of an answer names.
struct StorySeed<'s>(&'s mut Story);

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
enum Attributes<'r, 'g, 'a> {
    Tell(&'r mut Reading<'g, 'a>, &'r mut Owner),
    Keep(&'r mut u64, &'r mut Kept),
}

impl<'de> DeserializeSeed<'de> for Attributes<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Attributes<'_, '_, '_> {
    type Value = ();
    lenient!("attributes", text);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        match self {
            Self::Tell(reading, owner) => {
                while seq.next_element_seed(Attributes::Tell(reading, owner))?.is_some() {}
            }
            Self::Keep(number, kept) => {
                while seq.next_element_seed(Attributes::Keep(number, kept))?.is_some() {}
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match self {
            Self::Tell(reading, owner) => {
                let mut parts = std::mem::take(&mut reading.spare);
                parts.clear();
                parts.read(&mut map)?;
                reading.attributes += 1;
                parts.number = reading.attributes;
                reading.tell(&parts, &ObjectParts::default(), Sibling::Unknown, owner);
                reading.spare = parts;
            }
            Self::Keep(number, kept) => {
                let mut parts = AttributeParts::default();
                parts.read(&mut map)?;
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
struct Objects<'r, 'g, 'a> {
    reading: &'r mut Reading<'g, 'a>,
    owner: &'r mut Owner,
}

impl<'de> DeserializeSeed<'de> for Objects<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Objects<'_, '_, '_> {
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
                    let number = &mut self.reading.attributes;
                    map.next_value_seed(Attributes::Keep(number, &mut kept))?;
                }
                Key::Event => {
                    let story = object.event.get_or_insert_default();
                    map.next_value_seed(StorySeed(story))?;
                }
                _ => skip(&mut map)?,
            }
        }
        let siblings = kept.siblings();
        for parts in &kept.attributes {
            let known = !object.name.is_empty();
            let sibling = if known { siblings(&parts.relation) } else { Sibling::Unknown };
            self.reading.tell(parts, &object, sibling, self.owner);
        }
        Ok(())
    }
}
