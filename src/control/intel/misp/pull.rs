//! Pulling from a MISP server: everything into a new base, or what has changed into the delta.
//!
//! A pull of changes asks for attributes and objects by their own time of change, soft-deleted ones
//! too, and for events by theirs and by that of publishing; drafts are fetched like all others and
//! left out when the mirror is read, so that publishing an event needs no old attributes again. It
//! cannot see what was deleted for good or withdrawn from us: a full pull does, by comparing
//! UUIDs. A full pull that saw an error anywhere changes nothing.

use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::io::Write;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use tracing::warn;

use crate::control::intel::json::Reading;
use crate::control::intel::misp::MispSettings;
use crate::control::intel::misp::keep::CHANGES_BYTES_MAX;
use crate::control::intel::misp::keep::Changes;
use crate::control::intel::misp::keep::EventsOnly;
use crate::control::intel::misp::keep::Everything;
use crate::control::intel::misp::keep::Keeper;
use crate::control::intel::misp::keep::digest;
use crate::control::intel::misp::record::AttributeLine;
use crate::control::intel::misp::record::FORM;
use crate::control::intel::misp::record::FilterLine;
use crate::control::intel::misp::record::Header;
use crate::control::intel::misp::record::write;
use crate::control::intel::misp::search::Search;
use crate::control::intel::misp::search::What;
use crate::control::intel::misp::stored::BASE;
use crate::control::intel::misp::stored::Base;
use crate::control::intel::misp::stored::DELTA;
use crate::control::intel::misp::stored::Delta;
use crate::control::intel::misp::stored::Events;
use crate::control::intel::misp::warninglists;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::http::Http;
use crate::control::intel::remote::mirror::Mirror;
use crate::control::intel::remote::source::Pulled;
use crate::control::intel::remote::source::Remote;
use crate::control::intel::remote::source::STATE;
use crate::control::intel::remote::source::Scope;
use crate::control::intel::remote::state;
use crate::control::intel::uuid::Uuid;

/// Events of one page: metadata with tags has some kilobytes.
const PAGE_EVENTS: u32 = 1_000;

/// Attributes that seem gone and are asked for by UUID before they are believed to be: pages shift
/// when something is deleted while they are read. More are believed at once.
const GONE_ASKED_MAX: usize = 5_000;

/// UUIDs of one such question.
const GONE_ASKED_AT_ONCE: usize = 500;

/// How far we are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct State {
    /// The base that this is of.
    id: u64,
    /// The server's time from which on changes are missing.
    since_secs: u64,
    /// Our time when everything was last compared.
    full_secs: u64,
}

/// One pull.
struct Pull<'p> {
    settings: &'p MispSettings,
    remote: &'p Remote,
    mirror: &'p Mirror,
    http: Http,
    place: String,
}

impl MispSettings {
    /// Pulls a server into its mirror.
    ///
    /// # Errors
    /// Why nothing could be had; what is in the mirror stays.
    pub fn pull(
        &self,
        remote: &Remote,
        mirror: &Mirror,
        scope: Scope,
    ) -> Result<Pulled, RemoteError> {
        let (http, place) = (remote.http.open()?, remote.place());
        let pull = Pull { settings: self, remote, mirror, http, place };
        pull.run(scope)
    }

    /// Returns all that decides what a base holds.
    fn question(&self, place: &str) -> String {
        json!({
            "place": place,
            "types": self.types,
            "orgs": self.orgs,
            "threat_levels": self.threat_levels,
            "objects": self.objects,
            "tags": self.tags,
            "include_non_ids": self.include_non_ids,
        })
        .to_string()
    }

    fn filter(&self) -> FilterLine {
        let (tags, max_tlp) = (self.tags.clone(), self.max_tlp.clone());
        FilterLine { published_only: self.published_only, tags, max_tlp }
    }

    /// Returns what every search asks for.
    fn filters(&self) -> Map<String, Value> {
        let mut filters = Map::new();
        let mut put = |key: &str, value: Value| filters.insert(key.to_owned(), value);
        if !self.orgs.is_empty() {
            put("org", json!(self.orgs));
        }
        if !self.threat_levels.is_empty() {
            put("threat_level_id", json!(self.threat_levels));
        }
        filters
    }

    /// Returns what searches for attributes ask for.
    fn attribute_filters(&self) -> Map<String, Value> {
        let mut filters = self.filters();
        if !self.types.is_empty() {
            filters.insert("type".to_owned(), json!(self.types));
        }
        filters.insert("includeEventUuid".to_owned(), json!(true));
        filters
    }

    /// Returns what a search for everything may leave out on the server: what a change may bring
    /// back shows as a change.
    fn narrowed(&self, mut filters: Map<String, Value>) -> Map<String, Value> {
        let needed = self.tags.iter().filter(|tag| !tag.trim_start().starts_with('!'));
        let needed = needed.map(|tag| tag.trim().replace('*', "%")).collect::<Vec<_>>();
        if !needed.is_empty() {
            filters.insert("tags".to_owned(), json!({ "OR": needed }));
        }
        filters
    }
}

impl Pull<'_> {
    fn run(&self, scope: Scope) -> Result<Pulled, RemoteError> {
        let question = self.settings.question(&self.place);
        let header = match Base::open(self.mirror.folder()) {
            Ok(base) => base.map(|base| base.header),
            Err(error) => {
                warn!("{}: {error}", self.mirror.folder().join(BASE).display());
                None
            }
        };
        let Some(header) = header.filter(|header| header.question == question) else {
            return self.everything();
        };
        let state = self.state(&header);
        let delta = match Delta::open(self.mirror.folder()) {
            Ok(delta) if delta.id == header.id => delta,
            Ok(_) => Delta::default(),
            Err(error) => {
                warn!("{}: {error}", self.mirror.folder().join(DELTA).display());
                return self.everything();
            }
        };
        let hours = u64::from(self.remote.reconcile_hours);
        let is_old = now_secs().saturating_sub(state.full_secs) >= hours * 3_600;
        let is_large = delta.bytes() > CHANGES_BYTES_MAX as u64;
        let is_due = match scope {
            Scope::Everything => true,
            Scope::Changes => is_large,
            Scope::Due => is_old || is_large || header.filter != self.settings.filter(),
        };
        if !is_due {
            return self.changes(&header, &state, &delta);
        }
        match self.everything() {
            // what is too much at once may be had in parts
            Err(error) if error.may_be_too_much() && !is_large => {
                let pulled = self.changes(&header, &state, &delta)?;
                Ok(Pulled { trouble: Some(error), ..pulled })
            }
            outcome => outcome,
        }
    }

    fn state(&self, header: &Header) -> State {
        let first = State { id: header.id, since_secs: header.since_secs, full_secs: 0 };
        let state = state::load::<State>(self.mirror);
        if state.id == header.id { state } else { first }
    }

    fn keep_state(&self, state: &State) -> Result<(), RemoteError> {
        self.put(STATE, |to| serde_json::to_writer(to, state).map_err(io::Error::from))
    }

    /// Writes a file whole.
    fn put(
        &self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), RemoteError> {
        let mut draft = self.mirror.draft(name)?;
        fill(&mut draft).map_err(|error| draft.fault(&error))?;
        draft.keep().map(drop)
    }

    fn header(&self, id: u64, since_secs: u64, events: &Events) -> Header {
        Header {
            form: FORM,
            id,
            delta: false,
            question: self.settings.question(&self.place),
            provider: self.place.clone(),
            events: events.len() as u64,
            since_secs,
            filter: self.settings.filter(),
        }
    }

    /// Makes a new base of all that the server has.
    fn everything(&self) -> Result<Pulled, RemoteError> {
        let settings = self.settings;
        let begun_secs = now_secs();
        let mut search = Search::new(&self.http, &self.remote.http);
        let mut events = Reading::new(Keeper::new(EventsOnly, &self.place));
        let mut metadata = settings.filters();
        metadata.insert("metadata".to_owned(), json!(true));
        search.all(What::Events, &metadata, PAGE_EVENTS, &mut events)?;
        let since_secs = search.begun_secs.unwrap_or(begun_secs);
        let old = self.old();
        // larger than any before, even where what is there is damaged
        let id = old.as_ref().map_or(0, |(base, _)| base.header.id + 1).max(begun_secs);
        let header = self.header(id, since_secs, &events.teller.events);
        let mut draft = self.mirror.draft(BASE)?;
        let mut line = Vec::new();
        let mut put = |line: &[u8]| draft.write_all(line).map_err(|error| draft.fault(&error));
        write(&header, &mut line);
        put(&line)?;
        for event in events.teller.events.values() {
            write(event, &mut line);
            put(&line)?;
        }
        drop(events);
        let everything = Everything::new(draft, &self.place);
        let mut found = Reading::new(Keeper::new(everything, &self.place));
        let page = settings.page_attributes;
        if !settings.objects.is_empty() {
            let mut filters = settings.narrowed(settings.filters());
            filters.insert("object_name".to_owned(), json!(settings.objects));
            search.all(What::Objects, &filters, page, &mut found)?;
        }
        let mut filters = settings.narrowed(settings.attribute_filters());
        if !settings.include_non_ids {
            filters.insert("to_ids".to_owned(), json!(true));
        }
        search.all(What::Attributes, &filters, page, &mut found)?;
        let mut pulled = self.compare(old, &mut search, &mut found)?;
        let Keeper { to, nameless, .. } = found.teller;
        if nameless > 0 {
            warn!("{}: {nameless} attributes without UUID were left out", self.place);
        }
        to.draft.keep()?;
        drop(to.digests);
        let state = State { id, since_secs, full_secs: now_secs() };
        self.keep_state(&state)?;
        // what has changed meanwhile
        match self.changes(&header, &state, &Delta::default()) {
            Ok(more) => pulled.new += more.new,
            Err(error) => pulled.trouble = Some(error),
        }
        if settings.warninglists {
            let lists = warninglists::pull(&self.http, &self.remote.http, self.mirror);
            match lists {
                Ok(differ) => pulled.differs |= differ,
                Err(error) => pulled.trouble = Some(error),
            }
        }
        Ok(pulled)
    }

    /// Returns what is there, where it can be read.
    fn old(&self) -> Option<(Base, Delta)> {
        let base = Base::open(self.mirror.folder()).ok().flatten()?;
        let delta = Delta::open(self.mirror.folder()).ok()?;
        let delta = if delta.id == base.header.id { delta } else { Delta::default() };
        Some((base, delta))
    }

    /// Compares what was found with what is there; what seems gone is asked for once more.
    fn compare(
        &self,
        old: Option<(Base, Delta)>,
        search: &mut Search<'_>,
        found: &mut Reading<Keeper<Everything>>,
    ) -> Result<Pulled, RemoteError> {
        let mut pulled = Pulled { is_full: true, differs: true, ..Pulled::default() };
        let (mut same, mut gone) = (0_u64, Vec::new());
        if let Some((mut base, delta)) = old {
            let digests = &found.teller.to.digests;
            let mut see = |uuid: Uuid, line: &[u8]| match digests.get(&uuid) {
                Some(new) if *new == digest(line) => same += 1,
                Some(_) => pulled.changed += 1,
                None if is_deleted(line) => {}
                None => gone.push(uuid),
            };
            let of_base = base.events().and_then(|_| {
                base.each_attribute(|uuid, line| {
                    if !delta.has(uuid) {
                        see(uuid, line);
                    }
                })
            });
            delta.lines().for_each(|(uuid, line)| see(uuid, line));
            if let Err(error) = of_base {
                warn!("{}: {error}", self.mirror.folder().join(BASE).display());
            }
        }
        if gone.len() <= GONE_ASKED_MAX {
            for some in gone.chunks(GONE_ASKED_AT_ONCE) {
                let uuids = some.iter().map(Uuid::to_string).collect::<Vec<_>>();
                let mut filters = self.settings.attribute_filters();
                filters.insert("uuid".to_owned(), json!(uuids));
                search.all(What::Attributes, &filters, self.settings.page_attributes, found)?;
            }
        }
        let digests = &found.teller.to.digests;
        let back = gone.iter().filter(|uuid| digests.contains_key(uuid)).count() as u64;
        pulled.gone = gone.len() as u64 - back;
        pulled.new = (digests.len() as u64).saturating_sub(same + pulled.changed + back);
        Ok(pulled)
    }

    /// Adds what has changed since the last pull to the delta.
    fn changes(&self, header: &Header, state: &State, old: &Delta) -> Result<Pulled, RemoteError> {
        let settings = self.settings;
        let begun_secs = now_secs();
        let mut search = Search::new(&self.http, &self.remote.http);
        let overlap = u64::from(settings.overlap_secs);
        let since = json!(state.since_secs.saturating_sub(overlap).to_string());
        let mut found = Reading::new(Keeper::new(Changes::new(&self.place), &self.place));
        let page = settings.page_attributes;
        let with = |mut filters: Map<String, Value>, key: &str| {
            filters.insert(key.to_owned(), since.clone());
            filters
        };
        let deleted = |mut filters: Map<String, Value>| {
            filters.insert("deleted".to_owned(), json!([0, 1]));
            filters
        };
        let filters = deleted(with(settings.attribute_filters(), "attribute_timestamp"));
        search.all(What::Attributes, &filters, page, &mut found)?;
        // a server may make comments of what it deletes: whatever their type
        let mut filters = with(settings.filters(), "attribute_timestamp");
        filters.insert("deleted".to_owned(), json!([1]));
        search.all(What::Attributes, &filters, page, &mut found)?;
        if !settings.objects.is_empty() {
            let mut filters = deleted(with(settings.filters(), "timestamp"));
            filters.insert("object_name".to_owned(), json!(settings.objects));
            search.all(What::Objects, &filters, page, &mut found)?;
        }
        // after the attributes: the event of each is there by now
        let mut metadata = settings.filters();
        metadata.insert("metadata".to_owned(), json!(true));
        for key in ["timestamp", "publish_timestamp"] {
            search.all(What::Events, &with(metadata.clone(), key), PAGE_EVENTS, &mut found)?;
        }
        let Keeper { to, events, .. } = found.teller;
        let pulled = self.merge(header, old, to, events)?;
        let since_secs = search.begun_secs.unwrap_or(begun_secs).max(state.since_secs);
        self.keep_state(&State { since_secs, ..state.clone() })?;
        Ok(pulled)
    }

    /// Writes a new delta, where something differs from what is there.
    fn merge(
        &self,
        header: &Header,
        old: &Delta,
        changes: Changes,
        mut events: Events,
    ) -> Result<Pulled, RemoteError> {
        let mut fresh = changes.lines;
        fresh.retain(|uuid, line| old.line(*uuid) != Some(line.as_slice()));
        events.retain(|uuid, event| old.events.get(uuid) != Some(event));
        let mut pulled = Pulled::default();
        if fresh.is_empty() && events.is_empty() {
            // a base that was written just now begins with an empty delta
            if old.id == header.id {
                return Ok(pulled);
            }
        } else {
            self.sift(&mut fresh, &mut events, old, &mut pulled)?;
        }
        if fresh.is_empty() && events.is_empty() && old.id == header.id {
            return Ok(pulled);
        }
        pulled.differs = !(fresh.is_empty() && events.is_empty());
        let mut all = old.events.clone();
        all.extend(events);
        let mut header = self.header(header.id, header.since_secs, &all);
        header.delta = true;
        self.put(DELTA, |to| {
            let mut line = Vec::new();
            write(&header, &mut line);
            to.write_all(&line)?;
            for event in all.values() {
                write(event, &mut line);
                to.write_all(&line)?;
            }
            let kept = old.lines().filter(|(uuid, _)| !fresh.contains_key(uuid));
            let fresh = fresh.iter().map(|(uuid, line)| (*uuid, line.as_slice()));
            for (_, line) in kept.chain(fresh) {
                to.write_all(line)?;
            }
            Ok(())
        })?;
        Ok(pulled)
    }

    /// Drops what the base has already, and counts the rest.
    fn sift(
        &self,
        fresh: &mut HashMap<Uuid, Vec<u8>, foldhash::fast::RandomState>,
        events: &mut Events,
        old: &Delta,
        pulled: &mut Pulled,
    ) -> Result<(), RemoteError> {
        let path = self.mirror.folder().join(BASE);
        let disk =
            |error: io::Error| RemoteError::Disk { path: path.clone(), why: error.to_string() };
        let mut base = Base::open(self.mirror.folder()).map_err(disk)?;
        let mut known = HashSet::<Uuid, foldhash::fast::RandomState>::default();
        let mut same = Vec::new();
        for (uuid, line) in old.lines() {
            if let Some(new) = fresh.get_mut(&uuid) {
                known.insert(uuid);
                complete(new, line);
                if new == line {
                    same.push(uuid);
                }
            }
        }
        if let Some(base) = &mut base {
            let there = base.events().map_err(disk)?;
            events.retain(|uuid, event| {
                old.events.contains_key(uuid) || there.get(uuid) != Some(event)
            });
            let each = |uuid: Uuid, line: &[u8]| {
                if let Some(new) = fresh.get_mut(&uuid)
                    && known.insert(uuid)
                {
                    complete(new, line);
                    if new == line {
                        same.push(uuid);
                    }
                }
            };
            base.each_attribute(each).map_err(disk)?;
        }
        same.iter().for_each(|uuid| drop(fresh.remove(uuid)));
        // what was deleted before we knew of it
        fresh.retain(|uuid, line| known.contains(uuid) || !is_deleted(line));
        for (uuid, line) in fresh.iter() {
            let count = match (known.contains(uuid), is_deleted(line)) {
                (false, _) => &mut pulled.new,
                (true, true) => &mut pulled.gone,
                (true, false) => &mut pulled.changed,
            };
            *count += 1;
        }
        Ok(())
    }
}

/// Completes a line by what an earlier one of the same attribute says of its object.
fn complete(new: &mut Vec<u8>, before: &[u8]) {
    let read = serde_json::from_slice::<AttributeLine<'_>>;
    let mut line = Vec::new();
    if let (Ok(mut attribute), Ok(before)) = (read(new), read(before)) {
        attribute.complete(before);
        write(&attribute, &mut line);
    }
    if !line.is_empty() {
        *new = line;
    }
}

fn is_deleted(line: &[u8]) -> bool {
    serde_json::from_slice::<AttributeLine<'_>>(line).is_ok_and(|line| line.deleted)
}

fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

#[cfg(test)]
mod tests;
