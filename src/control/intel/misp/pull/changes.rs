//! What has changed since the last pull, into the delta: attributes by their own time of change,
//! soft-deleted ones too, objects by that of their events, and events by theirs and by that of
//! publishing; then what is
//! in events that are new to us, or were changed, as what comes from another server keeps the times
//! that it had there.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::io;

use serde_json::json;

use crate::control::intel::json::Reading;
use crate::control::intel::json::What;
use crate::control::intel::misp::keep::Changes;
use crate::control::intel::misp::keep::Keeper;
use crate::control::intel::misp::pull::PAGE_EVENTS;
use crate::control::intel::misp::pull::Pull;
use crate::control::intel::misp::pull::State;
use crate::control::intel::misp::pull::is_deleted;
use crate::control::intel::misp::pull::questions::with_deleted;
use crate::control::intel::misp::record::AttributeLine;
use crate::control::intel::misp::record::EventLine;
use crate::control::intel::misp::record::Header;
use crate::control::intel::misp::record::write;
use crate::control::intel::misp::record::write_end;
use crate::control::intel::misp::search::Search;
use crate::control::intel::misp::stored::BASE;
use crate::control::intel::misp::stored::Base;
use crate::control::intel::misp::stored::DELTA;
use crate::control::intel::misp::stored::Delta;
use crate::control::intel::misp::stored::Events;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::source::Pulled;
use crate::control::intel::remote::state;
use crate::control::intel::uuid::Uuid;

/// Events, or attributes, of one question.
const ASKED_AT_ONCE: usize = 100;

impl Pull<'_> {
    /// Adds what has changed since the last pull to the delta; `missed` are the numbers of events
    /// that attributes named and no list had.
    pub(super) fn changes(
        &self,
        search: &mut Search<'_>,
        (header, state): (&Header, &State),
        old: &Delta,
        missed: &[String],
    ) -> Result<Option<Pulled>, RemoteError> {
        let begun_secs = state::now_secs();
        let overlap = u64::from(self.settings.overlap_secs);
        let since = state.since_secs.saturating_sub(overlap).to_string();
        let mut found = Reading::new(Keeper::new(Changes::new(&self.place), &self.place));
        let asked = self.changed(search, &since, &mut found).and_then(|()| {
            self.events(search, &since, missed, &mut found)?;
            self.arrived(search, old, &mut found)?;
            self.scores(search, &mut found)
        });
        let Keeper { to, events, .. } = found.teller;
        match asked {
            Err(_) if to.is_full => return Ok(None),
            outcome => outcome?,
        }
        let pulled = self.merge(header, old, to, events)?;
        let since_secs = search.begun_secs(begun_secs);
        state::keep(self.mirror, &State { since_secs, ..state.clone() })?;
        Ok(Some(pulled))
    }

    /// Asks for attributes that were changed since a time, and for the objects of events that were:
    /// MISP finds objects by the time of their event.
    fn changed(
        &self,
        search: &mut Search<'_>,
        since: &str,
        found: &mut Reading<Keeper<Changes>>,
    ) -> Result<(), RemoteError> {
        let (settings, page) = (self.settings, self.settings.page_attributes);
        // of all types: one that we have may have become one that is not asked for
        let mut filters = with_deleted(settings.of_all_types().attribute_filters());
        filters.insert("attribute_timestamp".to_owned(), json!(since));
        search.all(What::Attributes, &filters, page, found)?;
        if settings.objects.is_empty() {
            return Ok(());
        }
        let mut filters = with_deleted(settings.filters());
        filters.insert("timestamp".to_owned(), json!(since));
        filters.insert("object_name".to_owned(), json!(settings.objects));
        search.all(What::Objects, &filters, page, found).map(drop)
    }

    /// Asks for events that were changed or published since a time, after the attributes: the event
    /// of each is there by now; and for those that a list missed.
    fn events(
        &self,
        search: &mut Search<'_>,
        since: &str,
        missed: &[String],
        found: &mut Reading<Keeper<Changes>>,
    ) -> Result<(), RemoteError> {
        let mut metadata = self.settings.filters();
        metadata.insert("metadata".to_owned(), json!(true));
        for key in ["timestamp", "publish_timestamp"] {
            let mut filters = metadata.clone();
            filters.insert(key.to_owned(), json!(since));
            search.all(What::Events, &filters, PAGE_EVENTS, found)?;
        }
        self.numbered(search, missed, found)
    }

    /// Asks for the scores and sightings, where they count, of attributes that objects alone told.
    fn scores(
        &self,
        search: &mut Search<'_>,
        found: &mut Reading<Keeper<Changes>>,
    ) -> Result<(), RemoteError> {
        let settings = self.settings;
        if !settings.decay_scores && !settings.sightings {
            return Ok(());
        }
        let Changes { lines, of_objects, .. } = &found.teller.to;
        let may_match = |uuid: &&Uuid| {
            let line = lines.get(uuid).map(Vec::as_slice).unwrap_or_default();
            serde_json::from_slice(line).is_ok_and(|line| settings.asks_for(&line))
        };
        let uuids = of_objects.iter().filter(may_match).map(Uuid::to_string).collect::<Vec<_>>();
        for some in uuids.chunks(ASKED_AT_ONCE) {
            let mut filters = with_deleted(settings.of_all_types().attribute_filters());
            filters.insert("uuid".to_owned(), json!(some));
            search.all(What::Attributes, &filters, settings.page_attributes, found)?;
        }
        Ok(())
    }

    /// Asks for what is in events that we did not know, or not as they are now: one that the server
    /// has from another keeps the times that it had there, and so do its attributes.
    fn arrived(
        &self,
        search: &mut Search<'_>,
        old: &Delta,
        found: &mut Reading<Keeper<Changes>>,
    ) -> Result<(), RemoteError> {
        let Keeper { to, events: told, .. } = &found.teller;
        let numbers = told.values().chain(old.events.values()).map(|event| event.id);
        let numbers = numbers.collect::<HashSet<_>>();
        let mut strange = to.of_events.keys().copied().collect::<Vec<_>>();
        strange.retain(|number| *number != 0 && !numbers.contains(number));
        let is_old = |(uuid, event): (&Uuid, &EventLine)| old.events.get(uuid) == Some(event);
        if strange.is_empty() && told.iter().all(is_old) {
            return Ok(());
        }
        let path = self.mirror.folder().join(BASE);
        let disk = |error: io::Error| RemoteError::Disk { path, why: error.to_string() };
        let base = Base::open(self.mirror.folder()).and_then(|base| match base {
            Some(mut base) => base.events(),
            None => Ok(Events::default()),
        });
        let base = base.map_err(disk)?;
        let numbers = base.values().map(|event| event.id).collect::<HashSet<_>>();
        strange.retain(|number| !numbers.contains(number));
        let strange = strange.iter().map(u64::to_string).collect::<Vec<_>>();
        self.numbered(search, &strange, found)?;
        let (mut new, mut changed, mut since_secs) = (Vec::new(), Vec::new(), u32::MAX);
        let Keeper { to, events: told, .. } = &found.teller;
        for (uuid, event) in told {
            let came = to.of_events.get(&event.id).copied().unwrap_or(0);
            match old.events.get(uuid).or_else(|| base.get(uuid)) {
                None => new.push(event.id.to_string()),
                Some(known) if self.is_another(known, event, came) => {
                    new.push(event.id.to_string());
                }
                Some(known) if known.timestamp_secs != event.timestamp_secs => {
                    changed.push(event.id.to_string());
                    since_secs = since_secs.min(known.timestamp_secs);
                }
                Some(_) => {}
            }
        }
        drop(base);
        self.of_events(search, &new, None, found)?;
        self.of_events(search, &changed, Some(since_secs), found)
    }

    /// Tells whether an event must be asked for whole: its times do not say what changed in it.
    /// `came`: its attributes that did by their own times.
    fn is_another(&self, known: &EventLine, now: &EventLine, came: u64) -> bool {
        let asks_tags = self.settings.needed_tags().next().is_some();
        let tags = |event: &EventLine| event.tags.iter().cloned().collect::<BTreeSet<_>>();
        let published = |event: &EventLine| (event.published, event.published_secs);
        let has_more = match now.attributes {
            // who does not count them may have published what was still being saved
            0 => now.published == Some(true) && published(now) != published(known),
            count => count > known.attributes + came,
        };
        // what its tags had left out on the server; what names it by its number
        has_more || asks_tags && tags(known) != tags(now) || known.id != now.id
    }

    /// Asks for events by their numbers.
    fn numbered(
        &self,
        search: &mut Search<'_>,
        numbers: &[String],
        found: &mut Reading<Keeper<Changes>>,
    ) -> Result<(), RemoteError> {
        for some in numbers.chunks(ASKED_AT_ONCE) {
            let mut filters = self.settings.filters();
            filters.insert("metadata".to_owned(), json!(true));
            filters.insert("eventid".to_owned(), json!(some));
            search.all(What::Events, &filters, PAGE_EVENTS, found)?;
        }
        Ok(())
    }

    /// Asks for the attributes and objects of events, by their numbers; of attributes for those
    /// that were changed since a time.
    fn of_events(
        &self,
        search: &mut Search<'_>,
        events: &[String],
        since_secs: Option<u32>,
        found: &mut Reading<Keeper<Changes>>,
    ) -> Result<(), RemoteError> {
        let (settings, page) = (self.settings, self.settings.page_attributes);
        for some in events.chunks(ASKED_AT_ONCE) {
            let mut filters = with_deleted(settings.attribute_filters());
            filters.insert("eventid".to_owned(), json!(some));
            if let Some(since_secs) = since_secs {
                filters.insert("attribute_timestamp".to_owned(), json!(since_secs.to_string()));
            }
            search.all(What::Attributes, &filters, page, found)?;
            if !settings.objects.is_empty() {
                let mut filters = with_deleted(settings.filters());
                filters.insert("eventid".to_owned(), json!(some));
                filters.insert("object_name".to_owned(), json!(settings.objects));
                search.all(What::Objects, &filters, page, found)?;
            }
        }
        Ok(())
    }

    /// Writes a new delta, where something differs from what is there.
    pub(super) fn merge(
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
        pulled.differs |= !fresh.is_empty();
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
            let mut count = 0;
            for (_, line) in kept.chain(fresh) {
                to.write_all(line)?;
                count += 1;
            }
            write_end(count, to)
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
                let known = old.events.get(uuid).or_else(|| there.get(uuid));
                pulled.differs |= known.is_none_or(|known| !known.means(event));
                known != Some(event)
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
        // what was deleted before we knew of it, and what is not asked for
        fresh.retain(|uuid, line| known.contains(uuid) || self.is_wanted(line));
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

    /// Tells whether a pull of everything would keep it.
    fn is_wanted(&self, line: &[u8]) -> bool {
        serde_json::from_slice::<AttributeLine<'_>>(line).is_ok_and(|line| {
            !line.deleted && (self.settings.asks_for(&line) || !line.object.is_empty())
        })
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
