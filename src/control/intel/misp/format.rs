//! The mirror of a MISP server as a feed.
//!
//! Spec:   the header and lines of `record`, the files of `stored`
//! Reads:  the base, and the delta beside it
//! Yields: attributes, each with its event; the server is their provider
//! Bounds: a block at a time; the delta and all events are in memory: `stored::DELTA_BYTES_MAX`,
//!         `stored::EVENTS_MAX`
//! Leaves: what a newer form of the lines would hold

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::control::intel::Attribute;
use crate::control::intel::Fault;
use crate::control::intel::Format;
use crate::control::intel::filter::Around;
use crate::control::intel::filter::Filter;
use crate::control::intel::filter::TagRule;
use crate::control::intel::gate::LeftOut;
use crate::control::intel::harvest::EventParts;
use crate::control::intel::harvest::Gather;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::input::Stream;
use crate::control::intel::json::TAG_END;
use crate::control::intel::ledger::Spot;
use crate::control::intel::lines::Block;
use crate::control::intel::lines::each_block;
use crate::control::intel::lines::line_border;
use crate::control::intel::mate::Mate;
use crate::control::intel::misp::record::AttributeLine;
use crate::control::intel::misp::record::EventLine;
use crate::control::intel::misp::record::FilterLine;
use crate::control::intel::misp::record::LineOf;
use crate::control::intel::misp::record::MAGIC;
use crate::control::intel::misp::stored::Base;
use crate::control::intel::misp::stored::Delta;
use crate::control::intel::misp::stored::Events;
use crate::control::intel::remote::mirror::open_plain;
use crate::control::intel::uuid::Uuid;
use crate::model::marking::Tlp;

/// The mirror of a MISP server.
pub const FORMAT: Format = Format { name: "MISP mirror", knows, read };

/// What tells the attributes of one mirror.
struct Telling<'m> {
    events: Events,
    /// Those UUIDs by the events' numbers on the server.
    uuids: HashMap<u64, Uuid, foldhash::fast::RandomState>,
    filter: Filter,
    provider: &'m str,
    delta: &'m Delta,
    /// Attributes of the base, and how many there are by its last line.
    told: AtomicU64,
    ends: OnceLock<u64>,
    /// The first line that could not be read, and how many.
    damage: Mutex<Option<(Fault, u64)>>,
}

/// One harvest, and the numbers of the events in it.
struct Basket<'a> {
    harvest: Harvest<'a>,
    events: HashMap<Uuid, u32, foldhash::fast::RandomState>,
}

fn knows(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

fn read(stream: Stream, gather: &Gather<'_>) -> Result<(), Fault> {
    let mut base = Base::new(stream.into_read())?;
    let folder = gather.file.path.parent().unwrap_or(Path::new("."));
    if base.header.delta {
        // told with its base
        return Ok(());
    }
    let (delta, damaged) = match Delta::open(folder) {
        Ok(delta) => (delta, None),
        // better what there was than nothing
        Err(error) => (Delta::default(), Some(format!("the delta beside it: {error}"))),
    };
    if delta.id > base.header.id {
        // both were replaced since this base was opened
        base = Base::new(open_plain(&gather.file.path)?)?;
    }
    let delta = if delta.id == base.header.id { delta } else { Delta::default() };
    let mut events = base.events()?;
    events.extend(delta.events.iter().map(|(uuid, event)| (*uuid, event.clone())));
    let first = base.header.events + 2;
    let telling = Telling {
        uuids: events.iter().map(|(uuid, event)| (event.id, *uuid)).collect(),
        events,
        filter: filter(&base.header.filter)?,
        provider: &base.header.provider,
        delta: &delta,
        told: AtomicU64::new(0),
        ends: OnceLock::new(),
        damage: Mutex::new(None),
    };
    if let Some(what) = damaged {
        telling.damaged(Spot::File, &what, 0);
    }
    let rest = Stream { head: Vec::new(), rest: Box::new(base.rest) };
    let each = |block: Block| telling.block(&block, gather);
    let outcome = each_block(rest, first, line_border, gather.parallel(), each);
    telling.changes(gather);
    outcome?;
    if telling.ends.get() != Some(&telling.told.load(Ordering::Relaxed)) {
        telling.damaged(Spot::File, "it was cut", 0);
    }
    let damage = telling.damage.into_inner().unwrap_or_else(PoisonError::into_inner);
    damage.map_or(Ok(()), |(fault, lines)| {
        let left = if lines > 0 { format!(": {lines} lines left out") } else { String::new() };
        let what = format!("{}{left}: pull again, with --full", fault.what);
        Err(Fault { what, ..fault })
    })
}

fn filter(line: &FilterLine) -> Result<Filter, Fault> {
    let wrong = |what: String| Fault { spot: Spot::Line(1), what };
    let tags = line.tags.iter().map(|text| TagRule::from_text(text)).collect::<Result<_, _>>();
    let tlp = line.max_tlp.as_ref().map(|word| {
        Tlp::from_word(word).ok_or_else(|| wrong(format!("`{word}` is no marking: pull again")))
    });
    Ok(Filter {
        tags: tags.map_err(wrong)?,
        tlp_max: tlp.transpose()?,
        published_only: line.published_only,
        ..Filter::default()
    })
}

impl Telling<'_> {
    /// Tells the attributes of a block that the delta does not have.
    fn block<'a>(&self, block: &Block, gather: &Gather<'a>) {
        let mut basket = Basket { harvest: gather.begin(), events: HashMap::default() };
        let mut told = 0;
        let lines = block.bytes.split(|byte| *byte == b'\n').zip(block.line..);
        for (line, number) in lines.filter(|(line, _)| !line.is_empty()) {
            told += 1;
            match LineOf::read(line) {
                Some(LineOf::Attribute(uuid)) if self.delta.has(uuid) => {}
                Some(LineOf::End(count)) => {
                    told -= 1;
                    let _the_first_counts = self.ends.set(count);
                }
                _ => self.line(line, Spot::Line(number), &mut basket),
            }
        }
        self.told.fetch_add(told, Ordering::Relaxed);
        gather.end(basket.harvest);
    }

    /// Tells the attributes of the delta, in the order of their UUIDs.
    fn changes<'a>(&self, gather: &Gather<'a>) {
        let mut basket = Basket { harvest: gather.begin(), events: HashMap::default() };
        let mut lines = self.delta.lines().collect::<Vec<_>>();
        lines.sort_unstable_by_key(|(uuid, _)| *uuid);
        for ((_, line), number) in lines.into_iter().zip(1..) {
            self.line(line, Spot::Number(number), &mut basket);
        }
        gather.end(basket.harvest);
    }

    /// Notes damage, and how many lines it leaves out for certain.
    fn damaged(&self, spot: Spot, what: &str, lines: u64) {
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        damage.get_or_insert_with(|| (Fault { spot, what: what.to_owned() }, 0)).1 += lines;
    }

    fn line(&self, line: &[u8], spot: Spot, basket: &mut Basket<'_>) {
        let mut line = match serde_json::from_slice::<AttributeLine<'_>>(line) {
            Ok(line) => line,
            Err(error) => {
                self.damaged(spot, &format!("a damaged line: {error}"), 1);
                return;
            }
        };
        let uuid = match line.event_id {
            0 => Uuid::from_text(&line.event),
            id => self.uuids.get(&id).copied().unwrap_or_default(),
        };
        let event = self.events.get(&uuid);
        let number = *basket.events.entry(uuid).or_insert_with(|| {
            let (harvest, provider) = (&mut basket.harvest, self.provider);
            let tags = event.map_or(&[][..], |event| &event.tags).iter();
            let tags = harvest.tag_list(tags.map(String::as_str));
            harvest.event(&parts(uuid, event, provider, tags))
        });
        line.mates.retain(|mate| self.takes(mate, event));
        let tags = basket.harvest.tag_list(line.tags.iter().map(AsRef::as_ref));
        let attribute = Attribute {
            kind: &line.kind,
            value: &line.value,
            relation: &line.relation,
            object: &line.object,
            sibling: line.said_by_object(),
            to_ids: !line.not_for_ids,
            deleted: line.deleted,
            decayed: line.decayed,
            sightings: line.sightings,
            uuid: Uuid::from_text(&line.uuid),
            timestamp_secs: line.timestamp_secs,
            first_seen: &line.first_seen,
            last_seen: &line.last_seen,
            valid_until: &line.valid_until,
            comment: &line.comment,
            tags,
            spot,
            ..Attribute::default()
        };
        match self.check(&line, event) {
            Err(why) if !attribute.deleted => basket.harvest.leave_out(&attribute, number, why),
            _ => basket.harvest.take(&attribute, number),
        }
    }

    /// Asks what the server's settings say.
    fn check(&self, line: &AttributeLine<'_>, event: Option<&EventLine>) -> Result<(), LeftOut> {
        if event.is_none() {
            // whether it is published, and its tags, nobody knows
            return Err(LeftOut::OtherEvent);
        }
        self.ask(line.tags.iter().map(AsRef::as_ref), event)
    }

    /// Tells whether they take what an attribute is meant with.
    fn takes(&self, mate: &Mate<'_>, event: Option<&EventLine>) -> bool {
        let tags = mate.told.as_ref().map_or("", |told| &told.tags);
        self.ask(tags.split_terminator(TAG_END), event).is_ok()
    }

    fn ask<'t>(
        &self,
        tags: impl Iterator<Item = &'t str>,
        event: Option<&'t EventLine>,
    ) -> Result<(), LeftOut> {
        if !self.filter.asks_events() {
            return Ok(());
        }
        let of_event = event.iter().flat_map(|event| &event.tags).map(String::as_str);
        let tags = tags.chain(of_event).collect::<Vec<_>>();
        let published = event.and_then(|event| event.published);
        self.filter.check(&Around { tags: &tags, published, last_secs: 0, now_secs: 0 })
    }
}

fn parts<'e>(
    uuid: Uuid,
    event: Option<&'e EventLine>,
    provider: &'e str,
    tags: u32,
) -> EventParts<'e> {
    let Some(event) = event else {
        return EventParts { uuid, provider, ..EventParts::default() };
    };
    EventParts {
        uuid,
        id: event.id,
        info: &event.info,
        org: &event.org,
        provider,
        tags,
        timestamp_secs: event.timestamp_secs,
        // the server's settings say what comes of it
        published: None,
    }
}

#[cfg(test)]
mod tests;
