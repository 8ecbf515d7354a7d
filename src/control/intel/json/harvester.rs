//! From a walk over MISP JSON to a harvest.

use crate::control::intel::Attribute;
use crate::control::intel::Fault;
use crate::control::intel::Unread;
use crate::control::intel::harvest::EventParts;
use crate::control::intel::harvest::Gather;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::json::event::Found;
use crate::control::intel::json::event::Owner;
use crate::control::intel::json::event::Reading;
use crate::control::intel::json::event::Teller;
use crate::control::intel::json::parts::TAG_END;
use crate::control::intel::ledger::Spot;
use crate::control::intel::uuid::Uuid;

/// Harvests one file.
pub(super) struct Harvester<'g, 'a> {
    gather: &'g Gather<'a>,
    harvest: Harvest<'a>,
    events_open: u32,
    /// An event that is not the one the file is named for.
    stranger: Option<Uuid>,
}

impl<'g, 'a> Harvester<'g, 'a> {
    /// Begins a file.
    pub(super) fn new(gather: &'g Gather<'a>) -> Self {
        Self { gather, harvest: gather.begin(), events_open: 0, stranger: None }
    }

    fn event_of(&mut self, found: &Found<'_>, owner: &mut Owner) -> u32 {
        if let Some(story) = found.parts.event.as_ref().or(found.object.event.as_ref()) {
            return story.told(&mut self.harvest);
        }
        if owner.is_answer {
            let id = found.parts.event_id.0;
            return self.harvest.event(&EventParts { id, ..EventParts::default() });
        }
        if owner.story.id.0 == 0 {
            owner.story.id = found.parts.event_id;
        }
        *owner.event.get_or_insert_with(|| {
            self.events_open += 1;
            self.harvest.open_event()
        })
    }
}

impl Teller for Harvester<'_, '_> {
    fn attribute(&mut self, found: &Found<'_>, owner: &mut Owner) {
        let event = self.event_of(found, owner);
        let (parts, object) = (found.parts, found.object);
        let tags = self.harvest.tag_list(parts.tags.split(TAG_END));
        let attribute = Attribute {
            kind: &parts.kind,
            value: &parts.value,
            relation: &parts.relation,
            object: found.object_name(),
            sibling: found.sibling,
            // MISP takes its type's default, which is true for all that match without opting in.
            to_ids: parts.to_ids.0.unwrap_or(true),
            deleted: [parts.deleted, object.deleted].iter().any(|flag| flag.0 == Some(true)),
            decayed: parts.decayed.0 == Some(true),
            sightings: parts.sightings.counts,
            valid_until: &parts.valid_until,
            uuid: Uuid::from_text(&parts.uuid),
            timestamp_secs: parts.timestamp.secs().unwrap_or(0),
            first_seen: &parts.first_seen,
            last_seen: &parts.last_seen,
            comment: &parts.comment,
            tags,
            spot: Spot::Number(parts.number),
            unread: Unread { time: parts.timestamp.secs().is_none(), flag: false },
            ..Attribute::default()
        };
        self.harvest.take(&attribute, event);
        if self.events_open == 0 {
            self.gather.relieve(&mut self.harvest);
        }
    }

    fn end(&mut self, owner: &Owner) {
        let file = self.gather.file;
        let uuid = Uuid::from_text(&owner.story.uuid);
        if file.event.is_some() && uuid.is_some() && uuid != file.event {
            self.stranger.get_or_insert(uuid);
        }
        if let Some(event) = owner.event {
            let own = &owner.story.tags;
            let tags = if own.is_empty() { &file.tags } else { own };
            let tags = self.harvest.tag_list(tags.split(TAG_END));
            self.harvest.close_event(event, &owner.story.parts(tags));
            self.events_open -= 1;
        }
    }
}

impl Reading<Harvester<'_, '_>> {
    /// Ends a file: hands over what was read, whatever came of it.
    ///
    /// # Errors
    /// The outcome's, or that nothing in the file was MISP's.
    pub(super) fn finish(self, outcome: Result<(), Fault>) -> Result<(), Fault> {
        self.teller.gather.end(self.teller.harvest);
        let fault = |what: &str| Err(Fault { spot: Spot::File, what: what.to_owned() });
        match outcome {
            Ok(()) if let Some(uuid) = self.teller.stranger => fault(&format!(
                "the event in it is {uuid}, and not the one that the manifest names: it counts"
            )),
            Ok(()) if self.is_misp => Ok(()),
            Ok(()) => fault("JSON, but no MISP event, attribute or answer"),
            broken => broken,
        }
    }
}
