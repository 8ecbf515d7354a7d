//! Attributes that wait for the end of their event: JSON may tell an event's tags after its
//! attributes, and some filters ask for them.

use crate::control::intel::Attribute;
use crate::control::intel::Sibling;
use crate::control::intel::Unread;
use crate::control::intel::gate::LeftOut;
use crate::control::intel::gate::Meaning;
use crate::control::intel::ledger::Spot;
use crate::control::intel::mate::Mate;
use crate::control::intel::uuid::Uuid;

/// What is kept of an attribute until its event is whole; what its object says of a fingerprint is
/// in its meaning already.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// What it means, or why nothing alone.
    pub(super) meaning: Result<Meaning, LeftOut>,
    kind: Box<str>,
    value: Box<str>,
    said: Said,
    mates: Box<[Mate<'static>]>,
    first_seen: Box<str>,
    last_seen: Box<str>,
    valid_until: Box<str>,
    confidence: Option<u8>,
    comment: Box<str>,
    to_ids: bool,
    decayed: bool,
    sightings: [u32; 2],
    uuid: Uuid,
    timestamp_secs: u32,
    tags: u32,
    spot: Spot,
    unread: Unread,
}

/// What an object says of it, what it is meant with aside.
#[derive(Clone, Copy, Debug)]
enum Said {
    Nothing,
    Ports,
    Half,
    OfAddress,
}

impl Held {
    /// Keeps an attribute.
    pub(super) fn of(attribute: &Attribute<'_>, meaning: Result<Meaning, LeftOut>) -> Self {
        let mates = attribute.sibling.mates().iter().cloned().map(Mate::into_owned);
        Self {
            said: match attribute.sibling {
                Sibling::Ports(_) => Said::Ports,
                Sibling::Half(_) => Said::Half,
                Sibling::OfAddress(_) => Said::OfAddress,
                _ => Said::Nothing,
            },
            mates: mates.collect(),
            meaning,
            kind: attribute.kind.into(),
            value: attribute.value.into(),
            first_seen: attribute.first_seen.into(),
            last_seen: attribute.last_seen.into(),
            valid_until: attribute.valid_until.into(),
            confidence: attribute.confidence,
            comment: attribute.comment.into(),
            to_ids: attribute.to_ids,
            decayed: attribute.decayed,
            sightings: attribute.sightings,
            uuid: attribute.uuid,
            timestamp_secs: attribute.timestamp_secs,
            tags: attribute.tags,
            spot: attribute.spot,
            unread: attribute.unread,
        }
    }

    /// Returns the attribute.
    pub(super) fn attribute(&self) -> Attribute<'_> {
        let sibling = match self.said {
            Said::Ports => Sibling::Ports(&self.mates),
            Said::Half => Sibling::Half(&self.mates),
            Said::OfAddress => Sibling::OfAddress(&self.mates),
            Said::Nothing => Sibling::Silent,
        };
        Attribute {
            sibling,
            kind: &self.kind,
            value: &self.value,
            first_seen: &self.first_seen,
            last_seen: &self.last_seen,
            valid_until: &self.valid_until,
            confidence: self.confidence,
            comment: &self.comment,
            to_ids: self.to_ids,
            decayed: self.decayed,
            sightings: self.sightings,
            uuid: self.uuid,
            timestamp_secs: self.timestamp_secs,
            tags: self.tags,
            spot: self.spot,
            unread: self.unread,
            ..Attribute::default()
        }
    }
}
