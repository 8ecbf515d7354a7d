//! The walk over a bundle: indicators become attributes; identities and markings, which may come
//! before or after them, become what is said of these.
//!
//! Spec:   STIX 2.1 §3.2 (`created_by_ref`, `object_marking_refs`), §4.7, §8; TAXII 2.1 §3.7
//! Reads:  the objects of one bundle or envelope
//! Yields: attributes to the harvest, each with an event: the indicator's name, its maker, its
//!         markings
//! Bounds: `NAMED_BYTES_MAX`, `OPEN_BYTES_MAX`
//! Leaves: what the types of objects below do not name

use std::collections::HashMap;
use std::collections::HashSet;

use serde::de::Error;
use serde::de::MapAccess;

use crate::control::intel::Attribute;
use crate::control::intel::Fault;
use crate::control::intel::Sibling;
use crate::control::intel::gate::LeftOut;
use crate::control::intel::harvest::EventParts;
use crate::control::intel::harvest::Gather;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::json::Kept;
use crate::control::intel::json::parts::TAG_END;
use crate::control::intel::ledger::Spot;
use crate::control::intel::stix::composed;
use crate::control::intel::stix::inexact::Inexact;
use crate::control::intel::stix::marking;
use crate::control::intel::stix::meaning::meaning;
use crate::control::intel::stix::object::Object;
use crate::control::intel::stix::pattern::Comparison;
use crate::control::intel::stix::pattern::alternatives;
use crate::control::intel::stix::version::Versions;
use crate::control::intel::stix::version::nanos;
use crate::control::intel::stix::walk::Taker;
use crate::control::intel::uuid::Uuid;

/// Bytes of the ids and names of one bundle's identities and markings; a bundle has some.
const NAMED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of stories that wait for an identity or marking, of 300,000 indicators perhaps; beyond,
/// they are told as far as they are known.
const OPEN_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What left-out patterns are counted as.
const PATTERN: &str = "stix-pattern";

/// One bundle being read.
pub(super) struct Bundle<'g, 'a> {
    gather: &'g Gather<'a>,
    harvest: Harvest<'a>,
    /// Memory for one object, used again.
    spare: Object,
    attributes: u64,
    versions: Versions,
    objects: u32,
    /// The object that is being told has a newer version.
    is_old: bool,
    /// Names of identities and tags of markings, by id; empty where one says nothing.
    named: HashMap<String, String>,
    named_bytes: usize,
    /// Events that wait for one of these.
    open: HashMap<Story, u32>,
    open_bytes: usize,
    /// Ids that events were told without.
    missed: HashSet<String>,
    /// Those of them that came later.
    late: u64,
}

/// What stands around an indicator.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Story {
    name: String,
    created_by: String,
    markings: String,
}

impl Story {
    fn text_bytes(&self) -> usize {
        self.name.len() + self.created_by.len() + self.markings.len()
    }

    fn refs(&self) -> impl Iterator<Item = &str> {
        let maker = Some(self.created_by.as_str()).filter(|maker| !maker.is_empty());
        maker.into_iter().chain(self.markings.split_terminator(TAG_END))
    }
}

impl<'g, 'a> Bundle<'g, 'a> {
    /// Begins a bundle.
    pub(super) fn new(gather: &'g Gather<'a>, versions: Versions) -> Self {
        Self {
            gather,
            harvest: gather.begin(),
            spare: Object::default(),
            attributes: 0,
            versions,
            objects: 0,
            is_old: false,
            named: HashMap::new(),
            named_bytes: 0,
            open: HashMap::new(),
            open_bytes: 0,
            missed: HashSet::new(),
            late: 0,
        }
    }

    /// Ends a bundle: hands over what was read, whatever came of it.
    ///
    /// # Errors
    /// The outcome's, or that nothing in the bundle is an indicator.
    pub(super) fn finish(mut self, outcome: Result<(), Fault>) -> Result<(), Fault> {
        self.close();
        self.gather.end(self.harvest);
        let fault = |what: String| Err(Fault { spot: Spot::File, what });
        match outcome {
            Ok(()) if self.late > 0 => fault(format!(
                "{} identities or markings come long after indicators that name them, which were \
                 told without: put them first",
                self.late
            )),
            Ok(()) if self.versions.is_full() => fault(
                "over 20 million objects: of several versions of one beyond them each counts"
                    .to_owned(),
            ),
            Ok(()) if self.attributes > 0 => Ok(()),
            Ok(()) if self.objects > 0 => {
                fault("a STIX bundle without indicators: what was observed is none".to_owned())
            }
            Ok(()) => fault("an empty STIX bundle".to_owned()),
            broken => broken,
        }
    }

    /// Takes an object by its type.
    fn take<E: Error>(&mut self, object: &Object) -> Result<(), E> {
        self.objects = self.objects.saturating_add(1);
        self.is_old = self.versions.is_old(&object.id, self.objects);
        match object.kind.as_str() {
            "indicator" => self.indicator(object),
            "x-misp-attribute" => {
                let event = self.event(object);
                self.tell(object, event, (&object.misp_type, &object.misp_value), None);
            }
            "x-misp-object" => {
                let event = self.event(object);
                self.misp_object(object, event, (&object.misp_name, &object.kept));
            }
            "identity" if !self.is_old => self.name(&object.id, object.name.clone())?,
            "marking-definition" if !self.is_old => {
                let texts = [&object.light, &object.name];
                let tag = texts.into_iter().find_map(|text| marking::of_text(text));
                self.name(&object.id, tag.unwrap_or_default())?;
            }
            _ => {}
        }
        if self.open.is_empty() {
            self.gather.relieve(&mut self.harvest);
        }
        Ok(())
    }

    /// Keeps what an id stands for.
    fn name<E: Error>(&mut self, id: &str, name: String) -> Result<(), E> {
        self.late += u64::from(self.missed.remove(id));
        self.named_bytes += size_of::<(String, String)>() + id.len() + name.len();
        if self.named_bytes > NAMED_BYTES_MAX {
            return Err(E::custom("more than 64 MiB of identities and markings"));
        }
        self.named.insert(id.to_owned(), name);
        Ok(())
    }

    /// Tells an indicator: an attribute for each alternative of its pattern.
    fn indicator(&mut self, object: &Object) {
        let event = self.event(object);
        if !matches!(object.pattern_type.as_str(), "" | "stix") {
            let (kind, unsupported) = (object.pattern_type.as_str(), Some(LeftOut::Unsupported));
            return self.tell(object, event, (kind, &object.pattern), unsupported);
        }
        let template = object.misp("name").unwrap_or_default();
        let hint = object.misp("type").unwrap_or_default();
        for alternative in alternatives(&object.pattern) {
            let comparisons = match alternative {
                Ok(comparisons) => comparisons,
                Err(why) => {
                    self.inexact(object, event, why);
                    continue;
                }
            };
            if !template.is_empty() {
                self.composed(object, event, (template, &comparisons));
                continue;
            }
            match meaning(&comparisons, hint) {
                Ok(told) => self.tell(object, event, (&told.kind, &told.value), None),
                Err(why) => self.inexact(object, event, why),
            }
        }
    }

    /// Tells what a pattern says that MISP made of a whole object.
    fn composed(&mut self, object: &Object, event: u32, (name, all): (&str, &[Comparison<'_>])) {
        let mut kept = Kept::default();
        let is_whole = composed::attributes(name, all).all(|part| kept.keep(part).is_some());
        if is_whole && !kept.attributes.is_empty() {
            self.misp_object(object, event, (name, &kept));
        } else {
            self.inexact(object, event, Inexact::And);
        }
    }

    /// Tells the attributes of an object of MISP.
    fn misp_object(&mut self, object: &Object, event: u32, (name, kept): (&str, &Kept)) {
        let siblings = kept.siblings(name);
        for parts in &kept.attributes {
            let own = Uuid::from_text(&parts.uuid);
            let about = self.about(object);
            let is_known = !name.is_empty();
            let attribute = Attribute {
                kind: &parts.kind,
                value: &parts.value,
                relation: &parts.relation,
                object: name,
                sibling: if is_known { siblings.of(parts) } else { Sibling::Unknown },
                // where MISP does not write it, it is not set
                to_ids: parts.to_ids.0 == Some(true),
                uuid: if own == Uuid::default() { about.uuid } else { own },
                comment: if parts.comment.is_empty() { about.comment } else { &parts.comment },
                ..about
            };
            self.harvest.take(&attribute, event);
        }
    }

    fn inexact(&mut self, object: &Object, event: u32, why: Inexact) {
        let left_out = Some(LeftOut::Pattern(why));
        self.tell(object, event, (PATTERN, object.pattern.trim()), left_out);
    }

    fn tell(
        &mut self,
        object: &Object,
        event: u32,
        (kind, value): (&str, &str),
        left_out: Option<LeftOut>,
    ) {
        let about = self.about(object);
        let attribute = Attribute { kind, value, left_out: about.left_out.or(left_out), ..about };
        self.harvest.take(&attribute, event);
    }

    /// Returns what an object says of the next of its attributes, whatever that is.
    fn about<'o>(&mut self, object: &'o Object) -> Attribute<'o> {
        self.attributes += 1;
        let changed = [&object.modified, &object.created].into_iter().find(|at| !at.is_empty());
        // MISP gives the times when it was seen; of what was not, its own last change
        let (from, until) = (object.valid_from.as_str(), object.valid_until.as_str());
        let is_seen = nanos(from) != nanos(&object.modified);
        let (first_seen, last_seen, valid_until) = match object.is_misp() {
            true => (if is_seen { from } else { "" }, until, ""),
            false => (from, "", until),
        };
        let is_revoked = object.revoked.0 == Some(true);
        Attribute {
            to_ids: object.misp("to_ids").is_none_or(|flag| !flag.eq_ignore_ascii_case("false")),
            uuid: uuid(&object.id),
            timestamp_secs: changed.map_or(0, |at| secs(at)),
            first_seen,
            last_seen,
            valid_until,
            confidence: object.confidence.trim().parse().ok().filter(|sure| *sure <= 100),
            comment: &object.description,
            tags: self.harvest.tag_list(object.tags()),
            spot: Spot::Number(self.attributes),
            left_out: match (self.is_old, is_revoked) {
                (true, _) => Some(LeftOut::Superseded),
                (false, true) => Some(LeftOut::Revoked),
                (false, false) => None,
            },
            ..Attribute::default()
        }
    }

    /// Returns the event of an indicator, which may wait for an identity or marking.
    fn event(&mut self, object: &Object) -> u32 {
        let story = Story {
            name: object.name.clone(),
            created_by: object.created_by.clone(),
            markings: object.markings.clone(),
        };
        if story.refs().all(|id| self.named.contains_key(id) || marking::known(id).is_some()) {
            let tags = tags(&story, &self.named, &mut self.harvest);
            return self.harvest.event(&parts(&story, &self.named, tags));
        }
        let bytes = size_of::<(Story, u32)>() + story.text_bytes();
        if self.open_bytes + bytes > OPEN_BYTES_MAX {
            let lacks = |id: &&str| !self.named.contains_key(*id) && marking::known(id).is_none();
            let missed = self.open.keys().flat_map(Story::refs).filter(lacks).map(str::to_owned);
            self.missed.extend(missed);
            self.close();
        }
        let harvest = &mut self.harvest;
        *self.open.entry(story).or_insert_with(|| {
            self.open_bytes += bytes;
            harvest.open_event()
        })
    }

    /// Tells what is known of the events that wait.
    fn close(&mut self) {
        self.open_bytes = 0;
        let mut open = self.open.drain().collect::<Vec<_>>();
        open.sort_unstable_by_key(|(_, event)| *event);
        for (story, event) in open {
            let tags = tags(&story, &self.named, &mut self.harvest);
            self.harvest.close_event(event, &parts(&story, &self.named, tags));
        }
    }
}

fn parts<'s>(story: &'s Story, named: &'s HashMap<String, String>, tags: u32) -> EventParts<'s> {
    EventParts {
        info: &story.name,
        org: named.get(&story.created_by).map_or("", String::as_str),
        tags,
        ..EventParts::default()
    }
}

/// Returns the tags of a story's markings; of one that nobody defines, its id.
fn tags(story: &Story, named: &HashMap<String, String>, harvest: &mut Harvest<'_>) -> u32 {
    let tag = |id| {
        let told = marking::known(id).or_else(|| named.get(id).map(String::as_str));
        told.unwrap_or(id)
    };
    harvest.tag_list(story.markings.split_terminator(TAG_END).map(tag))
}

/// Returns the UUID of an id, as of `indicator--…`.
fn uuid(id: &str) -> Uuid {
    Uuid::from_text(id.rsplit_once("--").map_or("", |(_, uuid)| uuid))
}

fn secs(time: &str) -> u32 {
    let time = time.trim().parse::<jiff::Timestamp>().ok();
    time.and_then(|time| u32::try_from(time.as_second()).ok()).unwrap_or(0)
}

impl Taker for Bundle<'_, '_> {
    fn object<'de, A: MapAccess<'de>>(&mut self, map: A) -> Result<(), A::Error> {
        let mut object = std::mem::take(&mut self.spare);
        object.clear();
        object.read(map)?;
        self.take(&object)?;
        self.spare = object;
        Ok(())
    }
}
