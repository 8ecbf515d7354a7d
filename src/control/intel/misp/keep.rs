//! What becomes of attributes and events that a search finds: lines of a base, or of a delta.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::io::Write;

use xxhash_rust::xxh3::xxh3_64;

use crate::control::intel::json::Found;
use crate::control::intel::json::Owner;
use crate::control::intel::json::Teller;
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
        line: &AttributeLine<'_>,
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
pub(super) struct Everything {
    pub(super) draft: Draft,
    /// A digest of each line.
    pub(super) digests: HashMap<Uuid, u32, foldhash::fast::RandomState>,
    /// The events that were listed, and the numbers of others that attributes name: lists shift
    /// when something is deleted while they are read.
    listed: HashSet<Uuid, foldhash::fast::RandomState>,
    missed: HashSet<u64>,
    place: String,
    line: Vec<u8>,
}

/// Changed attributes: the last line of each.
pub(super) struct Changes {
    pub(super) lines: HashMap<Uuid, Vec<u8>, foldhash::fast::RandomState>,
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
        self.failure = self.to.attribute(uuid, &line, number).err();
    }

    fn end(&mut self, owner: &Owner) {
        let Some(event) = EventLine::of(&owner.story) else { return };
        self.note(&event.uuid);
        if self.events.len() >= EVENTS_MAX && self.failure.is_none() {
            let what = format!("over {EVENTS_MAX} events: let fewer come");
            self.failure = Some(RemoteError::TooLarge { place: self.place.clone(), what });
            return;
        }
        self.event_bytes += event.bytes();
        if self.event_bytes > EVENT_BYTES_MAX && self.failure.is_none() {
            let what = format!("over {} MiB of events: let fewer come", EVENT_BYTES_MAX >> 20);
            self.failure = Some(RemoteError::TooLarge { place: self.place.clone(), what });
            return;
        }
        self.events.insert(Uuid::from_text(&event.uuid), event);
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

impl Everything {
    pub(super) fn new(
        draft: Draft,
        place: &str,
        listed: HashSet<Uuid, foldhash::fast::RandomState>,
    ) -> Self {
        let (digests, missed) = (HashMap::default(), HashSet::new());
        Self { draft, digests, listed, missed, place: place.to_owned(), line: Vec::new() }
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
}

impl Keeping for Everything {
    fn attribute(
        &mut self,
        uuid: Uuid,
        line: &AttributeLine<'_>,
        event: u64,
    ) -> Result<(), RemoteError> {
        if self.digests.len() >= ATTRIBUTES_MAX {
            let what = format!("over {ATTRIBUTES_MAX} attributes: let fewer come");
            return Err(RemoteError::TooLarge { place: self.place.clone(), what });
        }
        let Entry::Vacant(entry) = self.digests.entry(uuid) else { return Ok(()) };
        let is_missed = !line.event.is_empty()
            && event != 0
            && self.missed.len() < EVENTS_MAX
            && !self.listed.contains(&Uuid::from_text(&line.event));
        if is_missed {
            self.missed.insert(event);
        }
        write(line, &mut self.line);
        entry.insert(digest(&self.line));
        self.draft.write_all(&self.line).map_err(|error| self.draft.fault(&error))
    }
}

impl Changes {
    pub(super) fn new(place: &str) -> Self {
        Self { lines: HashMap::default(), bytes: 0, place: place.to_owned() }
    }
}

impl Keeping for Changes {
    fn attribute(
        &mut self,
        uuid: Uuid,
        line: &AttributeLine<'_>,
        _: u64,
    ) -> Result<(), RemoteError> {
        let mut bytes = Vec::new();
        write(line, &mut bytes);
        self.bytes += bytes.len();
        if self.bytes > CHANGES_BYTES_MAX {
            let mebibytes = CHANGES_BYTES_MAX >> 20;
            let what = format!("over {mebibytes} MiB of changes: a full pull is due");
            return Err(RemoteError::TooLarge { place: self.place.clone(), what });
        }
        self.lines.insert(uuid, bytes);
        Ok(())
    }
}

impl Keeping for EventsOnly {
    fn attribute(&mut self, _: Uuid, _: &AttributeLine<'_>, _: u64) -> Result<(), RemoteError> {
        Ok(())
    }
}

/// Returns a digest of a line, its end included.
pub(super) fn digest(line: &[u8]) -> u32 {
    let [.., a, b, c, d] = xxh3_64(line).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
