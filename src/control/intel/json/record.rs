//! What is kept of an attribute, an event and an object while they are read.
//!
//! Spec:   MISP core format §2 (Event, Attribute, Object, Orgc, Tag)
//! Reads:  the fields of one of them, in any order
//! Yields: the same as text, numbers and flags
//! Bounds: kept fields of one object's attributes, `limits::JSON_OBJECT_BYTES_MAX`
//! Leaves: what `Key` does not name

use serde::de::MapAccess;

use crate::control::intel::Sibling;
use crate::control::intel::harvest::EventParts;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::json::composite::Composite;
use crate::control::intel::json::composite::Telling;
use crate::control::intel::json::event::StorySeed;
use crate::control::intel::json::parts::Decay;
use crate::control::intel::json::parts::Flag;
use crate::control::intel::json::parts::Key;
use crate::control::intel::json::parts::Moment;
use crate::control::intel::json::parts::Named;
use crate::control::intel::json::parts::Number;
use crate::control::intel::json::parts::Scalar;
use crate::control::intel::json::parts::Sighted;
use crate::control::intel::json::parts::Sightings;
use crate::control::intel::json::parts::TAG_END;
use crate::control::intel::json::parts::Tags;
use crate::control::intel::json::parts::skip;
use crate::control::intel::uuid::Uuid;
use crate::model::limits::JSON_OBJECT_BYTES_MAX;

/// One attribute's kept fields.
#[derive(Clone, Debug, Default)]
pub struct AttributeParts {
    /// MISP type.
    pub kind: String,
    /// Value.
    pub value: String,
    /// Relation in its object.
    pub relation: String,
    /// Name of its object's template.
    pub object: String,
    /// UUID.
    pub uuid: String,
    /// First seen.
    pub first_seen: String,
    /// Last seen.
    pub last_seen: String,
    /// Comment.
    pub comment: String,
    /// For detection.
    pub to_ids: Flag,
    /// Soft-deleted.
    pub deleted: Flag,
    /// Its time is over.
    pub decayed: Flag,
    /// What sightings say.
    pub sightings: Sighted,
    /// The end that they set; empty where none does.
    pub valid_until: String,
    /// Last change.
    pub timestamp: Moment,
    /// It is in an object.
    pub in_object: Flag,
    /// Its event's number.
    pub event_id: Number,
    /// Its event's UUID.
    pub event_uuid: String,
    /// Tags, each with `TAG_END`.
    pub tags: String,
    /// The event that it names.
    pub event: Option<Box<Story>>,
    /// Its number in the file.
    pub number: u64,
}

/// One event's kept fields.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// UUID.
    pub uuid: String,
    /// Title.
    pub info: String,
    /// The organisation whose server has it.
    pub org: String,
    /// The organisation that made it.
    pub orgc: String,
    /// Number on its server.
    pub id: Number,
    /// Last change.
    pub timestamp: Moment,
    /// Published.
    pub published: Flag,
    /// When it was last published.
    pub published_secs: Number,
    /// How many attributes it has on its server; 0 where nothing says.
    pub attributes: Number,
    /// Tags, each with `TAG_END`.
    pub tags: String,
}

/// One object's kept fields.
#[derive(Debug, Default)]
pub struct ObjectParts {
    /// Name of its template.
    pub name: String,
    /// Soft-deleted.
    pub deleted: Flag,
    /// The event that it names.
    pub event: Option<Box<Story>>,
}

/// The attributes of an object, until it is whole.
#[derive(Debug, Default)]
pub struct Kept {
    /// Those that are kept.
    pub attributes: Vec<AttributeParts>,
    bytes: usize,
}

/// What the attributes of an object say of each other.
pub struct Siblings<'k> {
    ja4_type: Option<&'k str>,
    has_ja3s: bool,
    composite: Composite<'k>,
}

impl AttributeParts {
    fn text_bytes(&self) -> usize {
        let what = [&self.kind, &self.value, &self.relation, &self.object, &self.uuid];
        let rest = [&self.first_seen, &self.last_seen, &self.comment, &self.tags];
        let more = [&self.valid_until, &self.event_uuid];
        what.into_iter().chain(rest).chain(more).map(String::len).sum()
    }

    pub(super) fn clear(&mut self) {
        let texts = [&mut self.kind, &mut self.value, &mut self.relation, &mut self.object];
        texts.into_iter().for_each(String::clear);
        let texts = [&mut self.uuid, &mut self.first_seen, &mut self.last_seen, &mut self.comment];
        texts.into_iter().for_each(String::clear);
        (self.to_ids, self.deleted, self.decayed) = (Flag(None), Flag(None), Flag(None));
        self.sightings = Sighted::default();
        self.valid_until.clear();
        (self.timestamp, self.event_id) = (Moment(0), Number(0));
        self.in_object = Flag(None);
        self.event_uuid.clear();
        self.tags.clear();
        self.event = None;
    }

    /// Reads the fields of an attribute.
    ///
    /// # Errors
    /// It is no JSON.
    pub fn read<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
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
                Key::ObjectId => self.in_object = map.next_value()?,
                Key::EventUuid => map.next_value_seed(Scalar(&mut self.event_uuid))?,
                Key::Object => map.next_value_seed(Named(&mut self.object))?,
                Key::Tag | Key::Galaxy => map.next_value_seed(Tags(&mut self.tags))?,
                Key::Event => {
                    let story = self.event.get_or_insert_default();
                    map.next_value_seed(StorySeed(story))?;
                }
                _ => skip(map)?,
            }
        }
        self.valid_until.extend(self.sightings.end());
        Ok(())
    }
}

impl Story {
    fn text_bytes(&self) -> usize {
        [&self.uuid, &self.info, &self.org, &self.orgc, &self.tags].map(String::len).iter().sum()
    }

    pub(super) fn parts<'s>(&'s self, tags: u32) -> EventParts<'s> {
        EventParts {
            uuid: Uuid::from_text(&self.uuid),
            id: self.id.0,
            info: &self.info,
            org: if self.orgc.is_empty() { &self.org } else { &self.orgc },
            provider: "",
            tags,
            timestamp_secs: self.timestamp.secs().unwrap_or(0),
            published: self.published.0,
        }
    }

    pub(super) fn told(&self, harvest: &mut Harvest<'_>) -> u32 {
        let tags = harvest.tag_list(self.tags.split(TAG_END));
        harvest.event(&self.parts(tags))
    }

    /// Reads a field of an event; `false` when it is none of them.
    pub(super) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        key: Key,
        map: &mut A,
    ) -> Result<bool, A::Error> {
        match key {
            Key::Uuid => map.next_value_seed(Scalar(&mut self.uuid))?,
            Key::Info => map.next_value_seed(Scalar(&mut self.info))?,
            Key::Id => self.id = map.next_value()?,
            Key::Timestamp => self.timestamp = map.next_value()?,
            Key::Published => self.published = map.next_value()?,
            Key::PublishTimestamp => self.published_secs = map.next_value()?,
            Key::AttributeCount => self.attributes = map.next_value()?,
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
    pub fn keep(&mut self, parts: AttributeParts) -> Option<()> {
        let story = parts.event.as_ref().map_or(0, |story| size_of::<Story>() + story.text_bytes());
        self.bytes += size_of::<AttributeParts>() + parts.text_bytes() + story;
        (self.bytes <= JSON_OBJECT_BYTES_MAX).then(|| self.attributes.push(parts))
    }

    /// Returns what the attributes say of each other, in an object of that template.
    pub fn siblings(&self, object: &str, telling: Telling) -> Siblings<'_> {
        let find = |relation: &str| self.attributes.iter().find(|a| a.relation == relation);
        Siblings {
            ja4_type: find("ja4-type").map(|part| part.value.as_str()),
            has_ja3s: find("ja3s-fingerprint-md5").is_some(),
            composite: Composite::of(object, &self.attributes, telling),
        }
    }
}

impl Siblings<'_> {
    /// Returns what is said of one of them.
    pub fn of(&self, part: &AttributeParts) -> Sibling<'_> {
        match part.relation.as_str() {
            "ja4-fingerprint" => self.ja4_type.map_or(Sibling::Silent, Sibling::Ja4Type),
            "ja3-fingerprint-md5" if self.has_ja3s => Sibling::Ja3s,
            _ => self.composite.says_of(part),
        }
    }
}
