//! All that a server has, in parts that do not shift.
//!
//! Pages are counted off rows: when some are deleted while pages are read, those after them move to
//! pages that were read already, and nobody sees them. So attributes are asked for in parts of some
//! events, whose numbers of attributes the server told, each part one page; what takes several
//! pages all the same is read again where one of its events has changed meanwhile.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use tracing::warn;

use crate::control::intel::json::Reading;
use crate::control::intel::json::What;
use crate::control::intel::misp::keep::EventsOnly;
use crate::control::intel::misp::keep::Everything;
use crate::control::intel::misp::keep::Keeper;
use crate::control::intel::misp::pull::PAGE_EVENTS;
use crate::control::intel::misp::pull::Pull;
use crate::control::intel::misp::search::Search;
use crate::control::intel::misp::stored::Events;
use crate::control::intel::remote::RemoteError;

/// Events of one part.
const PART_EVENTS: usize = 1_000;

/// Attributes for each that is in an object of those that are asked for, as a guess: a part of
/// objects has so many pages of attributes.
const OBJECT_SHARE: u64 = 20;

/// How often a part is read that changes while it is.
const READ_MAX: u32 = 3;

/// Takes all that a server has.
type Found<'s> = Reading<Keeper<Everything<'s>>>;

impl Pull<'_> {
    /// Lists all events.
    pub(super) fn listed(&self, search: &mut Search<'_>) -> Result<Events, RemoteError> {
        self.events_of(search, &[])
    }

    /// Lists the events of these numbers, or all.
    fn events_of(&self, search: &mut Search<'_>, part: &[u64]) -> Result<Events, RemoteError> {
        let mut metadata = self.settings.filters();
        metadata.insert("metadata".to_owned(), json!(true));
        narrow(&mut metadata, part);
        let mut events = Reading::new(Keeper::new(EventsOnly, &self.place));
        let pages = search.all(What::Events, &metadata, PAGE_EVENTS, &mut events)?;
        if pages > 1 {
            // what a list of several pages passed over, as it shifted, another has
            search.all(What::Events, &metadata, PAGE_EVENTS, &mut events)?;
        }
        Ok(events.teller.events)
    }

    /// Asks for all objects whose attributes need them, then for all attributes.
    pub(super) fn all(
        &self,
        search: &mut Search<'_>,
        events: &Events,
        found: &mut Found<'_>,
    ) -> Result<(), RemoteError> {
        let settings = self.settings;
        let page = u64::from(settings.page_attributes);
        if !settings.objects.is_empty() {
            let mut filters = settings.narrowed(settings.filters());
            filters.insert("object_name".to_owned(), json!(settings.objects));
            for part in parts(events, page.saturating_mul(OBJECT_SHARE)) {
                self.part(search, (What::Objects, &filters), (&part, events), found)?;
            }
        }
        let mut filters = settings.narrowed(settings.attribute_filters());
        if !settings.include_non_ids {
            filters.insert("to_ids".to_owned(), json!(true));
        }
        for part in parts(events, page) {
            self.part(search, (What::Attributes, &filters), (&part, events), found)?;
        }
        Ok(())
    }

    /// Asks for what is in some events, or in all.
    fn part(
        &self,
        search: &mut Search<'_>,
        (what, filters): (What, &Map<String, Value>),
        (part, events): (&[u64], &Events),
        found: &mut Found<'_>,
    ) -> Result<(), RemoteError> {
        let mut filters = filters.clone();
        narrow(&mut filters, part);
        for _ in 0..READ_MAX {
            let pages = search.all(what, &filters, self.settings.page_attributes, found)?;
            if pages <= 1 || self.is_same(search, part, events)? {
                return Ok(());
            }
        }
        warn!(
            "{}: it changed each time that its {READ_MAX} readings of several pages took; what \
             moved meanwhile shows when all is compared again",
            self.place
        );
        Ok(())
    }

    /// Tells whether events have what they had when they were listed.
    fn is_same(
        &self,
        search: &mut Search<'_>,
        part: &[u64],
        events: &Events,
    ) -> Result<bool, RemoteError> {
        let now = self.events_of(search, part)?;
        let mut asked =
            events.iter().filter(|(_, event)| part.is_empty() || part.contains(&event.id));
        Ok(asked.all(|(uuid, event)| now.get(uuid).is_some_and(|now| now.holds(event))))
    }
}

/// Asks for what is in events of these numbers; for all where there are none.
fn narrow(filters: &mut Map<String, Value>, part: &[u64]) {
    if !part.is_empty() {
        let part = part.iter().map(u64::to_string).collect::<Vec<_>>();
        filters.insert("eventid".to_owned(), json!(part));
    }
}

/// Returns the numbers of events in parts of at most so many attributes, but each of one event at
/// least; one empty part, which stands for all, where they fit into it.
fn parts(events: &Events, attributes_max: u64) -> Vec<Vec<u64>> {
    let total = events.values().map(|event| event.attributes).sum::<u64>();
    if total <= attributes_max {
        return vec![Vec::new()];
    }
    let mut all = events.values().map(|event| (event.id, event.attributes)).collect::<Vec<_>>();
    all.sort_unstable();
    let (mut parts, mut part, mut sum) = (Vec::new(), Vec::new(), 0_u64);
    for (id, attributes) in all.into_iter().filter(|(id, _)| *id != 0) {
        if !part.is_empty() && (sum + attributes > attributes_max || part.len() >= PART_EVENTS) {
            parts.push(std::mem::take(&mut part));
            sum = 0;
        }
        part.push(id);
        sum += attributes;
    }
    parts.extend((!part.is_empty()).then_some(part));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::intel::misp::record::EventLine;
    use crate::control::intel::uuid::Uuid;

    fn events(counts: &[u64]) -> Events {
        let event = |(n, attributes): (u64, &u64)| {
            let uuid = format!("2d72a64d-a1bc-5bf6-915e-{n:012}");
            let line = format!("{{\"e\":\"{uuid}\",\"i\":{n},\"c\":{attributes}}}");
            let line = serde_json::from_str::<EventLine>(&line).expect("a line");
            (Uuid::from_text(&uuid), line)
        };
        (1..).zip(counts).map(event).collect()
    }

    #[test]
    fn parts_hold_as_much_as_a_page() {
        let check = |counts: &[u64], want: &[&[u64]]| assert_eq!(parts(&events(counts), 10), want);
        check(&[], &[&[]]);
        check(&[3, 3, 4], &[&[]]);
        check(&[0, 0], &[&[]]);
        check(&[3, 3, 5], &[&[1, 2], &[3]]);
        check(&[50, 1, 0, 9, 1], &[&[1], &[2, 3, 4], &[5]]);
    }
}
