//! The version of a set: a hash of all that an alert can say of it, independent of the order of inputs.

use rayon::iter::IntoParallelIterator;
use rayon::iter::ParallelIterator;
use sha2::Digest;
use sha2::Sha256;

use crate::control::intel::catalog::Catalog;
use crate::model::indicator::IndicatorId;

/// Indicators hashed by one core at a time.
const BATCH: u32 = 16_384;

/// Returns 32 hex digits: the first half of SHA-256 over types, values and stories in order of id.
pub(super) fn of(catalog: &Catalog) -> String {
    let events = (0..catalog.events.len()).into_par_iter();
    let events = events.map(|number| event(catalog, number)).collect::<Vec<_>>();
    let indicators = u32::try_from(catalog.len()).unwrap_or(u32::MAX);
    let batches = (0..indicators.div_ceil(BATCH)).into_par_iter();
    let hashes = batches.map(|batch| {
        let first = batch * BATCH;
        let ids = first..first.saturating_add(BATCH).min(indicators);
        let mut hash = Sha256::new();
        ids.for_each(|id| indicator(catalog, IndicatorId(id), &events, &mut hash));
        hash.finalize()
    });
    let mut whole = Sha256::new();
    hashes.collect::<Vec<_>>().iter().for_each(|hash| whole.update(hash));
    whole.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn indicator(catalog: &Catalog, id: IndicatorId, events: &[[u8; 32]], hash: &mut Sha256) {
    let ty = catalog.indicator_type(id).map_or("", |ty| ty.name());
    [ty, catalog.value(id)].into_iter().for_each(|text| add(hash, text));
    for record in catalog.records(id) {
        hash.update(b"source");
        hash.update(record.attribute.0);
        hash.update(events.get(record.event as usize).copied().unwrap_or_default());
        tags(catalog, record.tags, hash);
        let (first, last) = catalog.seen.get(record.seen as usize).copied().unwrap_or_default();
        let numbers = [first.0, last.0, record.timestamp_secs.into(), record.to_ids.into()];
        numbers.iter().for_each(|number| hash.update(number.to_le_bytes()));
    }
}

fn event(catalog: &Catalog, number: usize) -> [u8; 32] {
    let event = catalog.events.get(number).copied().unwrap_or_default();
    let mut hash = Sha256::new();
    hash.update(event.uuid.0);
    hash.update(event.id.to_le_bytes());
    hash.update(event.timestamp_secs.to_le_bytes());
    for text in [event.info, event.org, event.provider] {
        add(&mut hash, catalog.texts.get(text));
    }
    tags(catalog, event.tags, &mut hash);
    hash.finalize().into()
}

fn tags(catalog: &Catalog, list: u32, hash: &mut Sha256) {
    let list = catalog.tags.get(list);
    hash.update((list.len() as u64).to_le_bytes());
    list.iter().for_each(|tag| add(hash, catalog.texts.get(*tag)));
}

fn add(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}
