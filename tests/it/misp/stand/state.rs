//! What a stand-in MISP holds: events, attributes, objects, warninglists, and what analysts do to
//! them.
//!
//! Spec:   MISP 2.5 `MispAttribute::deleteAttribute`, `MispAttribute::touch` (any change of an
//!         attribute takes its event's published flag away), `EventsController::unpublish` (which
//!         changes no time)

use std::collections::BTreeSet;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// An event, without its attributes.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: u64,
    pub(crate) uuid: String,
    pub(crate) info: String,
    pub(crate) published: bool,
    pub(crate) timestamp: u64,
    pub(crate) publish_timestamp: u64,
    pub(crate) threat_level: u64,
    pub(crate) organisation: String,
    pub(crate) tags: Vec<String>,
}

/// An attribute; of an object where `object` says so.
#[derive(Clone, Debug)]
pub(crate) struct Attribute {
    pub(crate) id: u64,
    pub(crate) uuid: String,
    pub(crate) event: u64,
    pub(crate) object: u64,
    pub(crate) relation: Option<String>,
    pub(crate) category: String,
    pub(crate) ty: String,
    pub(crate) value: String,
    pub(crate) to_ids: bool,
    pub(crate) deleted: bool,
    pub(crate) timestamp: u64,
    pub(crate) tags: Vec<String>,
    /// Somebody proposes to delete it, and the server holds such back
    /// (`proposals_block_attributes`): it is left out of an answer after paging.
    pub(crate) is_held_back: bool,
    /// Somebody's sighting says when it ends.
    pub(crate) ends: Option<u64>,
    /// All decaying models say that its time is over.
    pub(crate) is_decayed: bool,
}

/// An object, without its attributes.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) id: u64,
    pub(crate) uuid: String,
    pub(crate) event: u64,
    pub(crate) name: String,
    pub(crate) timestamp: u64,
}

/// A warninglist.
#[derive(Clone, Debug)]
pub(crate) struct Warninglist {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) ty: &'static str,
    pub(crate) enabled: bool,
    pub(crate) types: Vec<String>,
    pub(crate) values: Vec<String>,
    pub(crate) version: u64,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) events: Vec<Event>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) objects: Vec<Object>,
    /// Events that are found by their numbers alone.
    pub(crate) unlisted: Vec<u64>,
    pub(crate) warninglists: Vec<Warninglist>,
    /// Tags that only those see who ask for all.
    pub(crate) unexported_tags: BTreeSet<&'static str>,
    /// Events do not say how many attributes they have.
    pub(crate) counts_nothing: bool,
    /// Besides those above, attributes that are made when they are asked for; event 1 has them.
    pub(crate) made: u64,
    /// Numbers are numbers, as some versions write them; else text.
    pub(crate) has_plain_numbers: bool,
    /// Overwrites what is soft-deleted (`Security.sanitise_attribute_on_delete`).
    pub(crate) sanitises: bool,
    /// The last row of a page is the first of the next as well, as where a row is added meanwhile.
    pub(crate) repeats_rows: bool,
    last_id: u64,
}

impl State {
    fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Adds an event that is published; returns its number.
    pub(crate) fn event(&mut self, info: &str, tags: &[&str]) -> u64 {
        let id = self.events.len() as u64 + 1;
        self.events.push(Event {
            id,
            uuid: uuid(0xe, id),
            info: info.to_owned(),
            published: true,
            timestamp: now(),
            publish_timestamp: now(),
            threat_level: 2,
            organisation: "Stand-in CSIRT".to_owned(),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
        });
        id
    }

    /// Adds an attribute that is meant for detection; returns its uuid. Its event stays published.
    pub(crate) fn attribute(&mut self, event: u64, ty: &str, value: &str) -> String {
        let id = self.id();
        self.attributes.push(Attribute {
            id,
            uuid: uuid(0xa, id),
            event,
            object: 0,
            relation: None,
            category: "Network activity".to_owned(),
            ty: ty.to_owned(),
            value: value.to_owned(),
            to_ids: true,
            deleted: false,
            timestamp: now(),
            tags: Vec::new(),
            is_held_back: false,
            ends: None,
            is_decayed: false,
        });
        uuid(0xa, id)
    }

    /// Adds an object of relations, types and values; returns the uuids of its attributes.
    pub(crate) fn object(
        &mut self,
        event: u64,
        name: &str,
        parts: &[(&str, &str, &str)],
    ) -> Vec<String> {
        let id = self.objects.len() as u64 + 1;
        let object =
            Object { id, uuid: uuid(0xb, id), event, name: name.to_owned(), timestamp: now() };
        self.objects.push(object);
        let add = |(relation, ty, value): &(&str, &str, &str)| {
            let uuid = self.attribute(event, ty, value);
            let of_object = self.named(&uuid);
            (of_object.object, of_object.relation) = (id, Some((*relation).to_owned()));
            uuid
        };
        parts.iter().map(add).collect()
    }

    /// Adds a warninglist; returns its number.
    pub(crate) fn warninglist(&mut self, name: &str, ty: &'static str, values: &[&str]) -> u64 {
        let id = self.warninglists.len() as u64 + 1;
        self.warninglists.push(Warninglist {
            id,
            name: name.to_owned(),
            ty,
            enabled: true,
            types: ["ip-src", "ip-dst", "domain", "hostname", "url"].map(str::to_owned).to_vec(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
            version: 20_260_101,
        });
        id
    }

    /// Returns the attribute of a uuid, to be changed.
    pub(crate) fn named(&mut self, uuid: &str) -> &mut Attribute {
        self.attributes.iter_mut().find(|one| one.uuid == uuid).expect("it is there")
    }

    pub(crate) fn event_of(&self, id: u64) -> &Event {
        &self.events[(id - 1) as usize]
    }

    fn event_to_change(&mut self, id: u64) -> &mut Event {
        &mut self.events[(id - 1) as usize]
    }

    /// Gives an attribute another value.
    pub(crate) fn change(&mut self, uuid: &str, value: &str) {
        let changed = self.named(uuid);
        (changed.value, changed.timestamp) = (value.to_owned(), now());
        let (event, object) = (changed.event, changed.object);
        self.touch_object(object);
        self.touch(event);
    }

    /// Gives an attribute a tag.
    pub(crate) fn tag(&mut self, uuid: &str, tag: &str) {
        let value = self.named(uuid).value.clone();
        self.change(uuid, &value);
        self.named(uuid).tags.push(tag.to_owned());
    }

    /// Deletes it so that a delta tells of it.
    pub(crate) fn soft_delete(&mut self, uuid: &str) {
        let sanitises = self.sanitises;
        let gone = self.named(uuid);
        (gone.deleted, gone.timestamp) = (true, now());
        if sanitises {
            gone.category = "Other".to_owned();
            gone.ty = "comment".to_owned();
            gone.value = "deleted".to_owned();
            gone.to_ids = false;
        }
        let (event, object) = (gone.event, gone.object);
        self.touch_object(object);
        self.touch(event);
    }

    /// Deletes it so that nothing tells of it.
    pub(crate) fn hard_delete(&mut self, uuid: &str) {
        let (event, object) = (self.named(uuid).event, self.named(uuid).object);
        self.attributes.retain(|one| one.uuid != uuid);
        self.touch_object(object);
        self.touch(event);
    }

    /// An object of which something was changed says when (`MispObject::updateTimestamp`).
    fn touch_object(&mut self, object: u64) {
        if let Some(object) = self.objects.iter_mut().find(|one| one.id == object) {
            object.timestamp = now();
        }
    }

    /// An event of which something was changed is a draft again, and says when.
    fn touch(&mut self, event: u64) {
        let event = self.event_to_change(event);
        (event.published, event.timestamp) = (false, now());
    }

    /// Takes an event over from another server: all in it was changed so long ago, there, and it is
    /// published here now (`Event::_add` keeps times, and publishes).
    pub(crate) fn arrive(&mut self, event: u64, secs: u64) {
        for one in self.attributes.iter_mut().filter(|one| one.event == event) {
            one.timestamp -= secs;
        }
        for one in self.objects.iter_mut().filter(|one| one.event == event) {
            one.timestamp -= secs;
        }
        let event = self.event_to_change(event);
        (event.timestamp, event.publish_timestamp) = (event.timestamp - secs, now());
    }

    /// Lets all of an event be another's, which takes its uuid, as one that was deleted and
    /// imported again.
    pub(crate) fn renumber(&mut self, from: u64, to: u64, [uuid, other]: [String; 2]) {
        for one in self.attributes.iter_mut().filter(|one| one.event == from) {
            one.event = to;
        }
        for one in self.objects.iter_mut().filter(|one| one.event == from) {
            one.event = to;
        }
        self.event_to_change(from).uuid = other;
        self.event_to_change(to).uuid = uuid;
        self.unlisted.push(from);
    }

    /// Gives an event another threat level, 1 to 4.
    pub(crate) fn level(&mut self, event: u64, level: u64) {
        self.event_to_change(event).threat_level = level;
    }

    /// Withdraws an event, which no time tells.
    pub(crate) fn unpublish(&mut self, event: u64) {
        self.event_to_change(event).published = false;
    }

    pub(crate) fn publish(&mut self, event: u64) {
        let event = self.event_to_change(event);
        (event.published, event.publish_timestamp) = (true, now());
    }
}

/// A uuid of a kind of thing and its number.
fn uuid(kind: u8, id: u64) -> String {
    format!("5f7d00{kind:02x}-0000-4000-8000-{id:012x}")
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The attribute that is made for a number, counted from 0.
pub(crate) fn made(number: u64) -> Attribute {
    let id = 1_000_000_000 + number;
    let [_, b, c, d] = (number as u32).to_be_bytes();
    let (ty, value) = match number % 4 {
        0 => ("ip-dst", format!("{}.{b}.{c}.{d}", 20 + number % 60)),
        1 => ("domain", format!("made-{number}.example")),
        2 => ("hostname", format!("www.made-{number}.example")),
        _ => ("url", format!("http://made-{number}.example/{number:x}/gate.php")),
    };
    Attribute {
        id,
        uuid: uuid(0xc, id),
        event: 1,
        object: 0,
        relation: None,
        category: "Network activity".to_owned(),
        ty: ty.to_owned(),
        value,
        to_ids: true,
        deleted: false,
        timestamp: 1_767_225_600 + number % 86_400,
        tags: Vec::new(),
        is_held_back: false,
        ends: None,
        is_decayed: false,
    }
}
