//! What becomes of attributes and events that a search finds: lines of a base, or of a delta.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::io::Write;

use xxhash_rust::xxh3::xxh3_64;

use crate::control::intel::json::Found;
use crate::control::intel::json::Owner;
use crate::control::intel::json::Teller;
use crate::control::intel::mate::Mate;
use crate::control::intel::misp::MispSettings;
use crate::control::intel::misp::record::AttributeLine;
use crate::control::intel::misp::record::EventLine;
use crate::control::intel::misp::record::write;
use crate::control::intel::misp::record::write_end;
use crate::control::intel::misp::search::Taking;
use crate::control::intel::misp::stored::EVENTS_MAX;
use crate::control::intel::misp::stored::Events;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::mirror::Draft;
use crate::control::intel::uuid::Uuid;

/// Attributes of one server: each takes 21 bytes of memory while all are pulled.
const ATTRIBUTES_MAX: usize = 32_000_000;

/// Attributes of objects whose own search is still to come: each takes some two hundred bytes.
const HELD_MAX: usize = 2_000_000;

/// Bytes of changed attributes that a pull of changes holds; more make a full one due.
pub(super) const CHANGES_BYTES_MAX: usize = 64 << 20;

/// Bytes of the events of one server, their titles and tags: what a million have.
const EVENT_BYTES_MAX: usize = 256 << 20;

/// What lines go to.
pub(super) trait Keeping {
    /// Takes the line of an attribute, and the number of its event on the server.
    fn attribute(
        &mut self,
        uuid: Uuid,
        line: AttributeLine<'_>,
        event: u64,
    ) -> Result<(), RemoteError>;
}

/// Makes lines of what is found.
pub(super) struct Keeper<K> {
    pub(super) to: K,
    /// The events that were told.
    pub(super) events: Events,
    /// Attributes without a UUID, which cannot be kept.
    pub(super) nameless: u64,
    event_bytes: usize,
    first: Option<String>,
    failure: Option<RemoteError>,
    place: String,
}

/// Attributes of a base that is being written: each once, however often it is told.
pub(super) struct Everything<'s> {
    pub(super) draft: Draft,
    /// A digest of each line.
    pub(super) digests: HashMap<Uuid, u32, foldhash::fast::RandomState>,
    settings: &'s MispSettings,
    /// What objects say of attributes that are still to come.
    held: HashMap<Uuid, Said, foldhash::fast::RandomState>,
    /// The numbers of the events that were listed, and of others that attributes name: lists shift
    /// when something is deleted while they are read.
    listed: HashSet<u64, foldhash::fast::RandomState>,
    missed: HashSet<u64>,
    place: String,
    line: Vec<u8>,
}

/// What an object says of an attribute: the name of its template, and as in `AttributeLine`.
struct Said {
    object: Box<str>,
    sibling: Box<str>,
    mates: Box<[Mate<'static>]>,
}

/// Changed attributes: the last line of each.
pub(super) struct Changes {
    pub(super) lines: HashMap<Uuid, Vec<u8>, foldhash::fast::RandomState>,
    /// Those that objects alone told of: searches for objects know neither scores nor sightings.
    pub(super) of_objects: HashSet<Uuid, foldhash::fast::RandomState>,
    /// How many of them are in the events of which numbers; 0: nothing says.
    pub(super) of_events: HashMap<u64, u64>,
    /// There were more than are kept.
    pub(super) is_full: bool,
    bytes: usize,
    place: String,
}

/// Takes events alone.
pub(super) struct EventsOnly;

impl<K: Keeping> Keeper<K> {
    pub(super) fn new(to: K, place: &str) -> Self {
        let (events, place) = (Events::default(), place.to_owned());
        Self { to, events, nameless: 0, event_bytes: 0, first: None, failure: None, place }
    }

    fn note(&mut self, uuid: &str) {
        if self.first.is_none() {
            self.first = Some(uuid.to_owned());
        }
    }
}

impl<K: Keeping> Teller for Keeper<K> {
    fn attribute(&mut self, found: &Found<'_>, owner: &mut Owner) {
        self.note(&found.parts.uuid);
        if self.failure.is_some() {
            return;
        }
        let told = found.parts.event.as_ref().or(found.object.event.as_ref());
        let event = told.map_or(&owner.story.uuid, |story| &story.uuid);
        let event = if event.is_empty() { &found.parts.event_uuid } else { event };
        let Some(line) = AttributeLine::of(found, event) else {
            self.nameless += 1;
            return;
        };
        let (uuid, number) = (Uuid::from_text(&line.uuid), found.parts.event_id.0);
        self.failure = self.to.attribute(uuid, line, number).err();
    }

    fn end(&mut self, owner: &Owner) {
        let Some(event) = EventLine::of(&owner.story) else { return };
        self.note(&event.uuid);
        if self.events.len() >= EVENTS_MAX && self.failure.is_none() {
            let what = format!("over {EVENTS_MAX} events: let fewer come");
            self.failure = Some(RemoteError::TooLarge { place: self.place.clone(), what });
            return;
        }
        let uuid = Uuid::from_text(&event.uuid);
        let replaced = self.events.get(&uuid).map_or(0, EventLine::bytes);
        self.event_bytes = (self.event_bytes + event.bytes()).saturating_sub(replaced);
        if self.event_bytes > EVENT_BYTES_MAX && self.failure.is_none() {
            let what = format!("over {} MiB of events: let fewer come", EVENT_BYTES_MAX >> 20);
            self.failure = Some(RemoteError::TooLarge { place: self.place.clone(), what });
            return;
        }
        self.events.insert(uuid, event);
    }
}

impl<K: Keeping> Taking for Keeper<K> {
    fn take_first(&mut self) -> Option<String> {
        self.first.take()
    }

    fn take_failure(&mut self) -> Option<RemoteError> {
        self.failure.take()
    }
}

impl<'s> Everything<'s> {
    pub(super) fn new(
        draft: Draft,
        place: &str,
        settings: &'s MispSettings,
        listed: HashSet<u64, foldhash::fast::RandomState>,
    ) -> Self {
        let (digests, held, missed) = (HashMap::default(), HashMap::default(), HashSet::new());
        let (place, line) = (place.to_owned(), Vec::new());
        Self { draft, digests, settings, held, listed, missed, place, line }
    }

    /// Keeps what an object says of an attribute until that is told.
    pub(super) fn hold(&mut self, uuid: Uuid, line: &AttributeLine<'_>) -> Result<(), RemoteError> {
        if line.object.is_empty() || self.digests.contains_key(&uuid) {
            return Ok(());
        }
        if self.held.len() >= HELD_MAX {
            return Err(self.too_many(HELD_MAX));
        }
        let [object, sibling] = [&line.object, &line.sibling].map(|text| Box::from(text.as_ref()));
        let mates = line.mates.iter().cloned().map(Mate::into_owned).collect();
        self.held.insert(uuid, Said { object, sibling, mates });
        Ok(())
    }

    /// Makes it the base; returns the numbers of events that were missed, in order.
    pub(super) fn keep(mut self) -> Result<Vec<String>, RemoteError> {
        let ended = write_end(self.digests.len() as u64, &mut self.draft);
        ended.map_err(|error| self.draft.fault(&error))?;
        self.draft.keep()?;
        let mut missed = self.missed.into_iter().collect::<Vec<_>>();
        missed.sort_unstable();
        Ok(missed.iter().map(u64::to_string).collect())
    }

    fn too_many(&self, most: usize) -> RemoteError {
        let what = format!("over {most} attributes: let fewer come");
        RemoteError::TooLarge { place: self.place.clone(), what }
    }
}

impl Keeping for Everything<'_> {
    fn attribute(
        &mut self,
        uuid: Uuid,
        mut line: AttributeLine<'_>,
        event: u64,
    ) -> Result<(), RemoteError> {
        if !line.object.is_empty() && self.settings.asks_for(&line) {
            // it is told again, with scores and sightings, unless the server's filters leave it out
            return self.hold(uuid, &line);
        }
        if self.digests.len() >= ATTRIBUTES_MAX {
            return Err(self.too_many(ATTRIBUTES_MAX));
        }
        let Entry::Vacant(entry) = self.digests.entry(uuid) else { return Ok(()) };
        if event != 0 && !self.listed.contains(&event) && self.missed.len() < EVENTS_MAX {
            self.missed.insert(event);
        }
        let said = self.held.remove(&uuid).filter(|_| line.sibling.is_empty());
        if let Some(Said { object, sibling, mates }) = said {
            line.object = Cow::Owned(object.into_string());
            line.sibling = Cow::Owned(sibling.into_string());
            line.mates = mates.into_vec();
        }
        write(&line, &mut self.line);
        entry.insert(digest(&self.line));
        self.draft.write_all(&self.line).map_err(|error| self.draft.fault(&error))
    }
}

impl Changes {
    pub(super) fn new(place: &str) -> Self {
        let (lines, of_objects, of_events) = Default::default();
        Self { lines, of_objects, of_events, is_full: false, bytes: 0, place: place.to_owned() }
    }
}

impl Keeping for Changes {
    fn attribute(
        &mut self,
        uuid: Uuid,
        mut line: AttributeLine<'_>,
        event: u64,
    ) -> Result<(), RemoteError> {
        let replaced = self.lines.remove(&uuid).unwrap_or_default();
        if replaced.is_empty() {
            *self.of_events.entry(event).or_default() += 1;
        }
        let before = serde_json::from_slice::<AttributeLine<'_>>(&replaced).ok();
        let is_of_object = !line.object.is_empty();
        let line = match before {
            Some(before) if !is_of_object => {
                line.complete(before);
                line
            }
            // scores and sightings were told with the attribute alone
            Some(mut before) if !self.of_objects.contains(&uuid) => {
                before.complete(line);
                before
            }
            _ => line,
        };
        let mut bytes = Vec::new();
        write(&line, &mut bytes);
        if !is_of_object {
            self.of_objects.remove(&uuid);
        } else if replaced.is_empty() {
            self.of_objects.insert(uuid);
        }
        self.bytes = (self.bytes + bytes.len()).saturating_sub(replaced.len());
        if self.bytes > CHANGES_BYTES_MAX {
            self.is_full = true;
            let mebibytes = CHANGES_BYTES_MAX >> 20;
            let what = format!("over {mebibytes} MiB of changes: a full pull is due");
            return Err(RemoteError::TooLarge { place: self.place.clone(), what });
        }
        self.lines.insert(uuid, bytes);
        Ok(())
    }
}

impl Keeping for EventsOnly {
    fn attribute(&mut self, _: Uuid, _: AttributeLine<'_>, _: u64) -> Result<(), RemoteError> {
        Ok(())
    }
}

/// Returns a digest of a line, its end included.
pub(super) fn digest(line: &[u8]) -> u32 {
    let [.., a, b, c, d] = xxh3_64(line).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
