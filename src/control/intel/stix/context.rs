//! What a bundle says around its indicators, whatever their order: names of identities, tags of
//! markings, and the reports and groupings that refer to them.
//!
//! Spec:   STIX 2.1 §3.2 (`created_by_ref`, `object_marking_refs`), §4.4 (grouping), §4.16
//!         (report), §7.2 (markings)
//! Reads:  the objects of one bundle or envelope, before anything of it is told
//! Yields: of each indicator its reports; of each of these title, maker, labels and markings; which
//!         versions are old
//! Bounds: `CONTEXT_BYTES_MAX`, `object::REFS_MAX`; `version`
//! Leaves: reports that refer to other reports; descriptions; what was revoked

use std::collections::HashMap;

use serde::de::Error;
use serde::de::MapAccess;

use crate::control::intel::json::parts::TAG_END;
use crate::control::intel::stix::marking;
use crate::control::intel::stix::object::Key;
use crate::control::intel::stix::object::Object;
use crate::control::intel::stix::object::REFS_MAX;
use crate::control::intel::stix::version::Versions;
use crate::control::intel::stix::version::key;
use crate::control::intel::stix::version::secs;
use crate::control::intel::stix::walk::Taker;
use crate::control::intel::strings::ListTable;
use crate::control::intel::strings::Strings;
use crate::control::intel::uuid::Uuid;
use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::marking::Pap;
use crate::model::marking::Tlp;

/// Bytes of identities, markings and reports of one bundle, of 100,000 reports of other titles and
/// labels each perhaps. Beyond, nothing of the bundle is read: whom it is for would be unknown.
const CONTEXT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Bytes of a text or list, beside it.
const ENTRY_BYTES: usize = 32;

/// Why MISP makes a grouping: of an event that is not published.
const UNPUBLISHED: &str = "suspicious-activity";

/// What is known around the objects of a bundle.
#[derive(Debug)]
pub(super) struct Context {
    versions: Versions,
    texts: Strings,
    lists: ListTable,
    definitions: Vec<Definition>,
    /// Names of identities and tags of markings, by id; the empty text where one says nothing.
    named: HashMap<u128, u32>,
    reports: Vec<Report>,
    /// Which objects are in which report, in this order.
    refs: Vec<Ref>,
    refs_max: usize,
    /// Bytes of all but versions and references.
    bytes: usize,
    bytes_max: usize,
    /// The reading did not come to the bundle's end.
    pub(super) is_broken: bool,
    spare: Object,
    list: Vec<u32>,
}

/// An identity or a marking.
#[derive(Clone, Copy, Debug)]
struct Definition {
    key: u128,
    number: u32,
    text: u32,
}

/// A report or a grouping; texts and lists are numbers.
#[derive(Clone, Copy, Debug)]
struct Report {
    key: u128,
    number: u32,
    uuid: Uuid,
    name: u32,
    maker: u32,
    labels: u32,
    markings: u32,
    modified_secs: u32,
    published: Option<bool>,
    is_revoked: bool,
    /// Not all that it refers to is remembered.
    is_cut: bool,
    lights: Lights,
}

/// The strictest of some markings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Lights(Option<Tlp>, Option<Pap>);

/// An object in a report.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Ref {
    /// The key of its id, in order of its bytes: a `u128` would take twelve bytes more.
    object: [u8; 16],
    /// The report, in the context.
    pub(super) report: u32,
}

const _: () = assert!(size_of::<Ref>() == 20);

/// What a report says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'c> {
    pub(super) uuid: Uuid,
    pub(super) name: &'c str,
    /// Its maker's name.
    pub(super) org: &'c str,
    pub(super) modified_secs: u32,
    pub(super) published: Option<bool>,
}

impl Default for Context {
    fn default() -> Self {
        Self::bounded(REFS_MAX, CONTEXT_BYTES_MAX)
    }
}

impl Context {
    /// Begins one of so many references and bytes.
    pub(super) fn bounded(refs_max: usize, bytes_max: usize) -> Self {
        Self {
            versions: Versions::default(),
            texts: Strings::default(),
            lists: ListTable::default(),
            definitions: Vec::new(),
            named: HashMap::new(),
            reports: Vec::new(),
            refs: Vec::new(),
            refs_max,
            bytes: 0,
            bytes_max,
            is_broken: false,
            spare: Object::default(),
            list: Vec::new(),
        }
    }

    /// Ends the reading: of several versions the newest counts, and none of what was revoked.
    pub(super) fn finish(mut self) -> Self {
        self.versions = self.versions.finish();
        let definitions = std::mem::take(&mut self.definitions);
        for Definition { key, number, text } in definitions {
            if !self.versions.is_old(key, number) {
                self.named.insert(key, text);
            }
        }
        for report in &mut self.reports {
            report.is_revoked |= self.versions.is_old(report.key, report.number);
        }
        let counts = |of: &Ref| self.reports.get(index(of.report)).is_some_and(|r| !r.is_revoked);
        self.refs.retain(counts);
        self.refs.sort_unstable();
        self.refs.dedup();
        for number in 0..narrow(self.reports.len()) {
            let tags = self.tags(number).collect::<Vec<_>>();
            let lights =
                Lights(Tlp::strictest(tags.iter().copied()), Pap::strictest(tags.iter().copied()));
            if let Some(report) = self.reports.get_mut(index(number)) {
                report.lights = lights;
            }
        }
        self
    }

    /// Tells whether there were too many objects to tell which are newest.
    pub(super) fn is_full(&self) -> bool {
        self.versions.is_full()
    }

    /// Tells whether there was more of identities, markings and reports than is kept.
    pub(super) fn is_over(&self) -> bool {
        self.bytes > self.bytes_max
    }

    /// Tells whether the object of this number, from 1, has a newer version in its bundle.
    pub(super) fn is_old(&self, key: u128, number: u32) -> bool {
        self.versions.is_old(key, number)
    }

    /// Returns an identity's name.
    pub(super) fn org(&self, id: &str) -> &str {
        self.named.get(&key(id)).map_or("", |text| self.texts.texts.get(*text))
    }

    /// Returns a marking's tag; of one that nobody defines, its id.
    pub(super) fn tag<'t>(&'t self, id: &'t str) -> &'t str {
        let told = || self.named.get(&key(id)).map(|text| self.texts.texts.get(*text));
        marking::known(id).or_else(told).unwrap_or(id)
    }

    /// Returns the reports that an object is in.
    pub(super) fn reports(&self, object: u128) -> &[Ref] {
        let object = object.to_be_bytes();
        let from = self.refs.partition_point(|of| of.object < object);
        let rest = self.refs.get(from..).unwrap_or_default();
        let n = rest.partition_point(|of| of.object == object);
        rest.get(..n).unwrap_or_default()
    }

    /// Returns what a report says.
    pub(super) fn told(&self, number: u32) -> Option<Told<'_>> {
        let report = self.reports.get(index(number))?;
        Some(Told {
            uuid: report.uuid,
            name: self.texts.texts.get(report.name),
            org: self.org(self.texts.texts.get(report.maker)),
            modified_secs: report.modified_secs,
            published: report.published,
        })
    }

    /// Returns a report's labels and the tags of its markings.
    pub(super) fn tags(&self, number: u32) -> impl Iterator<Item = &str> {
        let report = self.reports.get(index(number));
        let [labels, markings] = report.map_or([0; 2], |r| [r.labels, r.markings]);
        let texts =
            |list| self.lists.lists.get(list).iter().map(|text| self.texts.texts.get(*text));
        texts(labels).chain(texts(markings).map(|id| self.tag(id)))
    }

    /// Returns the strictest markings of some reports.
    pub(super) fn lights(&self, refs: &[Ref]) -> Lights {
        let reports = refs.iter().filter_map(|of| self.reports.get(index(of.report)));
        reports.fold(Lights::default(), |all, report| all.and(report.lights))
    }

    /// Returns the strictest markings of reports that refer to more than is remembered; none where
    /// all is.
    pub(super) fn cut(&self) -> Option<Lights> {
        let cut = self.reports.iter().filter(|report| report.is_cut && !report.is_revoked);
        cut.map(|report| report.lights).reduce(Lights::and)
    }

    fn take<E: Error>(&mut self, object: &Object) -> Result<(), E> {
        let changed = if object.modified.is_empty() { &object.created } else { &object.modified };
        let number = self.versions.note(&object.id, changed);
        match object.kind.as_str() {
            "identity" => self.define(object, number, &object.name),
            "marking-definition" => {
                let texts = [&object.light, &object.name];
                let tag = texts.into_iter().find_map(|text| marking::of_text(text));
                self.define(object, number, &tag.unwrap_or_default());
            }
            "report" | "grouping" => self.report(object, number, secs(changed)),
            _ => {}
        }
        match self.is_over() {
            true => Err(E::custom("too much of identities, markings and reports")),
            false => Ok(()),
        }
    }

    /// Keeps what an id stands for.
    fn define(&mut self, object: &Object, number: u32, text: &str) {
        // here, and in the map
        self.bytes += 2 * size_of::<Definition>();
        let text = self.text(text);
        self.definitions.push(Definition { key: key(&object.id), number, text });
    }

    /// Keeps a report.
    fn report(&mut self, object: &Object, number: u32, modified_secs: u32) {
        let told = narrow(self.reports.len());
        let room = self.refs_max.saturating_sub(self.refs.len());
        let refs = object.refs.iter().take(room);
        self.refs.extend(refs.map(|key| Ref { object: key.to_be_bytes(), report: told }));
        self.bytes += size_of::<Report>();
        let report = Report {
            key: key(&object.id),
            number,
            uuid: Uuid::of_id(&object.id),
            name: self.text(&object.name),
            maker: self.text(&object.created_by),
            labels: self.list(object.tags()),
            markings: self.list(object.markings.split_terminator(TAG_END)),
            modified_secs,
            published: match object.kind.as_str() {
                "report" if !object.published.is_empty() => Some(true),
                "grouping" if object.context == UNPUBLISHED => Some(false),
                _ => None,
            },
            is_revoked: object.revoked.0 == Some(true),
            is_cut: object.refs.len() > room,
            lights: Lights::default(),
        };
        self.reports.push(report);
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(number) = self.texts.find(text) {
            return number;
        }
        self.bytes += ENTRY_BYTES + text.len();
        self.texts.intern(text)
    }

    fn list<'t>(&mut self, texts: impl Iterator<Item = &'t str>) -> u32 {
        let mut list = std::mem::take(&mut self.list);
        list.clear();
        list.extend(texts.map(|text| self.text(text)));
        // kept and looked up by
        self.bytes += ENTRY_BYTES + 2 * size_of_val(list.as_slice());
        let number = self.lists.intern(&list);
        self.list = list;
        number
    }
}

impl Lights {
    fn and(self, other: Self) -> Self {
        Self(self.0.max(other.0), self.1.max(other.1))
    }

    /// Returns them as tags.
    pub(super) fn tags(self) -> impl Iterator<Item = String> {
        let tlp = self.0.map(|light| format!("tlp:{}", light.name().to_lowercase()));
        let pap = self.1.map(|light| format!("pap:{}", light.name().to_lowercase()));
        tlp.into_iter().chain(pap)
    }
}

impl Taker for Context {
    fn object<'de, A: MapAccess<'de>>(&mut self, map: A) -> Result<(), A::Error> {
        use Key::*;
        let mut object = std::mem::take(&mut self.spare);
        object.clear();
        object.read(map, |key| {
            matches!(
                key,
                Kind | Id
                    | Name
                    | Created
                    | Modified
                    | Revoked
                    | CreatedBy
                    | Markings
                    | Granular
                    | Labels
                    | Types
                    | Definition
                    | Refs
                    | Published
                    | Context
            )
        })?;
        self.take(&object)?;
        self.spare = object;
        Ok(())
    }
}
