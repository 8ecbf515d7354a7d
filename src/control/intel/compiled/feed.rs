//! A compiled set as a feed, to be merged with others: its indicators are told as attributes with
//! their stories.
//!
//! Spec:   `layout.rs`
//! Reads:  every indicator and source of the catalog, once all of the file was verified
//! Yields: attributes, one for each source of an indicator
//! Bounds: those of a compiled set
//! Leaves: spellings of a value beside the one that the set shows

use rayon::iter::IntoParallelIterator;
use rayon::iter::ParallelIterator;

use crate::control::intel::Attribute;
use crate::control::intel::Fault;
use crate::control::intel::Format;
use crate::control::intel::catalog::Catalog;
use crate::control::intel::catalog::SourceRecord;
use crate::control::intel::catalog::written;
use crate::control::intel::compiled::layout::MAGIC;
use crate::control::intel::compiled::open::open;
use crate::control::intel::harvest::EventParts;
use crate::control::intel::harvest::Gather;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::input::Stream;
use crate::control::intel::ledger::Spot;
use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::IndicatorType;
use crate::model::mark::Said;
use crate::model::time::Timestamp;

/// Compiled sets.
pub const FORMAT: Format = Format { name: "compiled set", knows, read };

/// Indicators told by one core at a time.
const BATCH: u32 = 16_384;

fn knows(head: &[u8]) -> bool {
    head.starts_with(&MAGIC)
}

/// Tells all attributes; the file is mapped, so the stream is left where it is.
fn read(_: Stream, gather: &Gather<'_>) -> Result<(), Fault> {
    let fault = |what: String| Fault { spot: Spot::File, what };
    let opened = open(&gather.file.path).map_err(|error| fault(error.to_string()))?;
    opened.verify().map_err(|error| fault(error.to_string()))?;
    let catalog = &opened.set.catalog;
    let ids = narrow(catalog.len());
    let tell_batch = |batch: u32| {
        let first = batch * BATCH;
        let mut harvest = gather.begin();
        for id in first..first.saturating_add(BATCH).min(ids) {
            tell(catalog, IndicatorId(id), &mut harvest);
        }
        gather.end(harvest);
    };
    let batches = 0..ids.div_ceil(BATCH);
    match gather.parallel() {
        true => batches.into_par_iter().for_each(tell_batch),
        false => batches.for_each(tell_batch),
    }
    Ok(())
}

/// Tells one indicator: an attribute for each source.
fn tell(catalog: &Catalog, id: IndicatorId, harvest: &mut Harvest<'_>) {
    let Some(ty) = catalog.indicator_type(id) else { return };
    for record in catalog.records(id) {
        let event = event(catalog, record, harvest);
        let tags = tags(catalog, record.tags, harvest);
        // what warninglists said stays among its tags
        let said = Said::of(texts(catalog, record.tags));
        let seen = catalog.seen.get(index(record.seen)).copied().unwrap_or_default();
        let [first_seen, last_seen] = seen.map(|nanos| written(Timestamp(nanos)));
        harvest.take(
            &Attribute {
                kind: ty.name(),
                value: catalog.value(id),
                relation: relation(ty),
                to_ids: record.to_ids != 0,
                uuid: record.attribute,
                timestamp_secs: record.timestamp_secs,
                first_seen: first_seen.as_deref().unwrap_or_default(),
                last_seen: last_seen.as_deref().unwrap_or_default(),
                comment: catalog.texts.get(record.comment),
                decayed: said.is_decayed,
                sightings: [said.sightings, said.false_positives].map(Option::unwrap_or_default),
                confidence: said.confidence,
                valid_until: said.valid_until.unwrap_or_default(),
                tags,
                spot: Spot::Number(u64::from(id.0) + 1),
                ..Attribute::default()
            },
            event,
        );
    }
}

/// Fingerprints of objects match whatever their `to_ids` says: their relation says that they are.
fn relation(ty: IndicatorType) -> &'static str {
    match ty {
        IndicatorType::Ja4 => "ja4-fingerprint",
        IndicatorType::Ja3 => "ja3-fingerprint-md5",
        IndicatorType::Ja3s => "ja3s-fingerprint-md5",
        _ => "",
    }
}

fn event(catalog: &Catalog, record: &SourceRecord, harvest: &mut Harvest<'_>) -> u32 {
    let event = catalog.events.get(index(record.event)).copied().unwrap_or_default();
    let tags = tags(catalog, event.tags, harvest);
    harvest.event(&EventParts {
        uuid: event.uuid,
        id: event.id.get(),
        info: catalog.texts.get(event.info),
        org: catalog.texts.get(event.org),
        provider: catalog.texts.get(event.provider),
        tags,
        timestamp_secs: event.timestamp_secs,
        published: None,
    })
}

fn tags(catalog: &Catalog, list: u32, harvest: &mut Harvest<'_>) -> u32 {
    harvest.warned_tag_list(texts(catalog, list))
}

fn texts(catalog: &Catalog, list: u32) -> impl Iterator<Item = &str> {
    catalog.tags.get(list).iter().map(|tag| catalog.texts.get(*tag))
}
