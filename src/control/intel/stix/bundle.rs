//! The walk over a bundle: indicators become attributes, in the events that their reports are, or
//! in one of their own.
//!
//! Spec:   STIX 2.1 §3.2 (`created_by_ref`, `object_marking_refs`), §4.7, §8; TAXII 2.1 §3.7
//! Reads:  the objects of one bundle or envelope, whose context is known
//! Yields: attributes to the harvest, for each report one; the event is the report, or where there
//!         is none the indicator's name and its maker
//! Bounds: `REPORTS_MAX`; those of the context
//! Leaves: what the types of objects below do not name

use std::collections::HashMap;

use serde::de::MapAccess;

use crate::control::intel::Attribute;
use crate::control::intel::Fault;
use crate::control::intel::Sibling;
use crate::control::intel::Unread;
use crate::control::intel::gate::LeftOut;
use crate::control::intel::harvest::EventParts;
use crate::control::intel::harvest::Gather;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::json::Kept;
use crate::control::intel::json::Telling;
use crate::control::intel::json::parts::TAG_END;
use crate::control::intel::ledger::Spot;
use crate::control::intel::said::time;
use crate::control::intel::stix::composed;
use crate::control::intel::stix::context::Context;
use crate::control::intel::stix::context::Lights;
use crate::control::intel::stix::inexact::Inexact;
use crate::control::intel::stix::meaning::meaning;
use crate::control::intel::stix::object::Key;
use crate::control::intel::stix::object::Object;
use crate::control::intel::stix::object::REFS_MAX;
use crate::control::intel::stix::object::TOLD;
use crate::control::intel::stix::pattern::Comparison;
use crate::control::intel::stix::pattern::alternatives;
use crate::control::intel::stix::version::OBJECTS_MAX;
use crate::control::intel::stix::version::key;
use crate::control::intel::stix::version::nanos;
use crate::control::intel::stix::version::secs;
use crate::control::intel::stix::walk::Taker;
use crate::control::intel::uuid::Uuid;

/// Reports that an indicator is told with; of those beyond, the strictest marking counts.
const REPORTS_MAX: usize = 64;

/// What left-out patterns are counted as.
const PATTERN: &str = "stix-pattern";

/// Why nothing of a bundle is told that has no end, where tags or markings are asked for.
const WITHHELD: &str = "nothing of it is taken under --tag or --max-tlp: a report that marks it \
                        may be in what is missing";

/// One bundle being read.
pub(super) struct Bundle<'g, 'a> {
    gather: &'g Gather<'a>,
    harvest: Harvest<'a>,
    context: Context,
    /// Memory for one object, used again.
    spare: Object,
    attributes: u64,
    objects: u32,
    /// Nothing is told: what marks it may be in what is missing.
    is_withheld: bool,
    /// The object that is being told has a newer version.
    is_old: bool,
    /// Its events.
    events: Vec<u32>,
    /// Markings of reports of it that are no event.
    strictest: Vec<String>,
    /// Markings of reports that may be of any object.
    cut: Vec<String>,
    /// Objects in more reports than are told.
    crowded: u64,
    /// Tag lists of reports, in the harvest.
    tags: HashMap<u32, u32>,
}

impl<'g, 'a> Bundle<'g, 'a> {
    /// Begins a bundle.
    pub(super) fn new(gather: &'g Gather<'a>, context: Context) -> Self {
        Self {
            gather,
            harvest: gather.begin(),
            cut: context.cut().into_iter().flat_map(Lights::tags).collect(),
            is_withheld: context.is_broken && gather.options.filter.asks_tags(),
            context,
            spare: Object::default(),
            attributes: 0,
            objects: 0,
            is_old: false,
            events: Vec::new(),
            strictest: Vec::new(),
            crowded: 0,
            tags: HashMap::new(),
        }
    }

    /// Ends a bundle: hands over what was read, whatever came of it.
    ///
    /// # Errors
    /// The outcome's, what did not fit, or that nothing in the bundle is an indicator.
    pub(super) fn finish(self, outcome: Result<(), Fault>) -> Result<(), Fault> {
        self.gather.end(self.harvest);
        let crowded = format!(
            "{} objects are in more than {REPORTS_MAX} reports: of those beyond, the strictest \
             marking counts",
            self.crowded
        );
        let cut = format!(
            "reports refer to more than {REFS_MAX} objects: of those beyond, the strictest marking \
             counts for all"
        );
        let full = format!(
            "over {OBJECTS_MAX} objects: of several versions of one beyond them each counts"
        );
        let told = [
            (self.crowded > 0, crowded),
            (self.context.cut().is_some(), cut),
            (self.context.is_full(), full),
            (self.is_withheld, WITHHELD.to_owned()),
        ];
        let told = told.into_iter().filter_map(|(is_so, what)| is_so.then_some(what));
        let told = told.collect::<Vec<_>>().join("; ");
        let fault = |what: String| Err(Fault { spot: Spot::File, what });
        match outcome {
            Err(Fault { spot, what }) if !told.is_empty() => {
                Err(Fault { spot, what: format!("{what}; {told}") })
            }
            Ok(()) if !told.is_empty() => fault(told),
            Ok(()) if self.attributes > 0 => Ok(()),
            Ok(()) if self.objects > 0 => {
                fault("a STIX bundle without indicators: what was observed is none".to_owned())
            }
            Ok(()) => fault("an empty STIX bundle".to_owned()),
            broken => broken,
        }
    }

    /// Takes an object by its type.
    fn take(&mut self, object: &mut Object) {
        self.objects = self.objects.saturating_add(1);
        if self.is_withheld || !TOLD.contains(&object.kind.as_str()) {
            return;
        }
        self.place(object);
        match object.kind.as_str() {
            "indicator" => self.indicator(object),
            "x-misp-attribute" => {
                self.tell(object, (&object.misp_type, &object.misp_value), None);
            }
            _ => self.misp_object(object, (&object.misp_name, &object.kept)),
        }
        self.gather.relieve(&mut self.harvest);
        if self.harvest.ledger.seen == 0 {
            self.tags.clear();
        }
    }

    /// Finds the events of an object: its reports, or where it is in none what it says itself.
    fn place(&mut self, object: &mut Object) {
        let key = key(&object.id);
        self.is_old = self.context.is_old(key, self.objects);
        self.events.clear();
        self.strictest.clone_from(&self.cut);
        let refs = self.context.reports(key);
        let (told, beyond) = refs.split_at(refs.len().min(REPORTS_MAX));
        if !beyond.is_empty() {
            self.crowded += 1;
            self.strictest.extend(self.context.lights(beyond).tags());
        }
        let own = self.context.org(&object.created_by);
        let mut has_title = false;
        for of in told {
            let Some(report) = self.context.told(of.report) else { continue };
            let harvest = &mut self.harvest;
            let tags = *self
                .tags
                .entry(of.report)
                .or_insert_with(|| harvest.tag_list(self.context.tags(of.report)));
            has_title |= !report.name.is_empty();
            let info = if report.name.is_empty() { &object.name } else { report.name };
            self.events.push(self.harvest.event(&EventParts {
                uuid: report.uuid,
                info,
                org: if report.org.is_empty() { own } else { report.org },
                tags,
                timestamp_secs: report.modified_secs,
                published: report.published,
                ..EventParts::default()
            }));
        }
        if self.events.is_empty() {
            let parts = EventParts { info: &object.name, org: own, ..EventParts::default() };
            self.events.push(self.harvest.event(&parts));
        }
        if has_title {
            object.name_in_description();
        }
    }

    /// Tells an indicator: an attribute for each alternative of its pattern.
    fn indicator(&mut self, object: &Object) {
        if !matches!(object.pattern_type.as_str(), "" | "stix") {
            let (kind, unsupported) = (object.pattern_type.as_str(), Some(LeftOut::Unsupported));
            return self.tell(object, (kind, &object.pattern), unsupported);
        }
        let template = object.misp("name").unwrap_or_default();
        let hint = object.misp("type").unwrap_or_default();
        for alternative in alternatives(&object.pattern) {
            let comparisons = match alternative {
                Ok(comparisons) => comparisons,
                Err(why) => {
                    self.inexact(object, why);
                    continue;
                }
            };
            if !template.is_empty() {
                self.composed(object, (template, &comparisons));
                continue;
            }
            match meaning(&comparisons, hint) {
                Ok(told) => self.tell(object, (&told.kind, &told.value), None),
                Err(why) => self.inexact(object, why),
            }
        }
    }

    /// Tells what a pattern says that MISP made of a whole object.
    fn composed(&mut self, object: &Object, (name, all): (&str, &[Comparison<'_>])) {
        let mut kept = Kept::default();
        let is_whole = composed::attributes(name, all).all(|part| kept.keep(part).is_some());
        if is_whole && !kept.attributes.is_empty() {
            self.misp_object(object, (name, &kept));
        } else {
            self.inexact(object, Inexact::And);
        }
    }

    /// Tells the attributes of an object of MISP.
    fn misp_object(&mut self, object: &Object, (name, kept): (&str, &Kept)) {
        let siblings = kept.siblings(name, Telling::AsOne);
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
                deleted: parts.deleted.0 == Some(true),
                uuid: if own == Uuid::default() { about.uuid } else { own },
                comment: if parts.comment.is_empty() { about.comment } else { &parts.comment },
                ..about
            };
            self.give(&attribute);
        }
    }

    fn inexact(&mut self, object: &Object, why: Inexact) {
        let left_out = Some(LeftOut::Pattern(why));
        self.tell(object, (PATTERN, object.pattern.trim()), left_out);
    }

    fn tell(&mut self, object: &Object, (kind, value): (&str, &str), left_out: Option<LeftOut>) {
        let about = self.about(object);
        let attribute = Attribute { kind, value, left_out: about.left_out.or(left_out), ..about };
        self.give(&attribute);
    }

    /// Returns labels and markings of an object, and those of reports that it is not told with.
    fn own_tags(&mut self, object: &Object) -> u32 {
        let Self { context, harvest, strictest, .. } = self;
        let markings = object.markings.split_terminator(TAG_END).map(|id| context.tag(id));
        let beyond = strictest.iter().map(String::as_str);
        harvest.tag_list(object.tags().chain(markings).chain(beyond))
    }

    fn give(&mut self, attribute: &Attribute<'_>) {
        self.events.iter().for_each(|event| self.harvest.take(attribute, *event));
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
        let is_benign = object.is_benign() && !self.gather.options.include_non_ids;
        Attribute {
            to_ids: object.misp("to_ids").is_none_or(|flag| !flag.eq_ignore_ascii_case("false")),
            uuid: Uuid::of_id(&object.id),
            timestamp_secs: changed.map_or(0, |at| secs(at)),
            unread: Unread { time: changed.is_some_and(|at| time(at).is_none()), flag: false },
            first_seen,
            last_seen,
            valid_until,
            confidence: object.confidence.trim().parse().ok().filter(|sure| *sure <= 100),
            comment: &object.description,
            tags: self.own_tags(object),
            spot: Spot::Number(self.attributes),
            left_out: match (self.is_old, is_revoked) {
                (true, _) => Some(LeftOut::Superseded),
                (false, true) => Some(LeftOut::Revoked),
                (false, false) => is_benign.then_some(LeftOut::Benign),
            },
            ..Attribute::default()
        }
    }
}

impl Taker for Bundle<'_, '_> {
    fn object<'de, A: MapAccess<'de>>(&mut self, map: A) -> Result<(), A::Error> {
        let mut object = std::mem::take(&mut self.spare);
        object.clear();
        object.read(map, |key| !matches!(key, Key::Refs))?;
        self.take(&mut object);
        self.spare = object;
        Ok(())
    }
}
