//! The version of a set: a hash of all that an alert can say of it, independent of the order of
//! inputs.

use std::collections::BTreeSet;

use rayon::iter::IntoParallelIterator;
use rayon::iter::ParallelIterator;
use sha2::Digest;
use sha2::Sha256;

use crate::control::intel::catalog::Catalog;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::IndicatorType;
use crate::model::policy::Policy;

/// Indicators hashed by one core at a time.
const BATCH: u32 = 16_384;

/// Returns 32 hex digits: the first half of SHA-256 over types, values and stories in order of id,
/// and over what a policy takes beyond the strict one and what else was asked.
pub(in crate::control::intel) fn of(catalog: &Catalog, policy: &Policy, asked: &str) -> String {
    let events = (0..catalog.events.len()).into_par_iter();
    let events = events.map(|number| event(catalog, number)).collect::<Vec<_>>();
    let indicators = u32::try_from(catalog.len()).unwrap_or(u32::MAX);
    let batches = (0..indicators.div_ceil(BATCH)).into_par_iter();
    let hashes = batches.map(|batch| {
        let first = batch * BATCH;
        let ids = first..first.saturating_add(BATCH).min(indicators);
        let mut hash = Sha256::new();
        let mut bytes = Vec::new();
        for id in ids {
            bytes.clear();
            indicator(catalog, IndicatorId(id), &events, &mut bytes);
            hash.update(&bytes);
        }
        hash.finalize()
    });
    let mut whole = Sha256::new();
    hashes.collect::<Vec<_>>().iter().for_each(|hash| whole.update(hash));
    for (asked, name) in [(policy.allow_special, "special"), (policy.tls_url_hosts, "tls_hosts")] {
        if asked {
            whole.update(name);
        }
    }
    // those that are there say so themselves
    let is_absent = |ty: &&IndicatorType| catalog.by_type().all(|(known, _)| known != **ty);
    let opted = policy.opt_in.iter().filter(is_absent).map(|ty| ty.name());
    opted.collect::<BTreeSet<_>>().into_iter().for_each(|name| whole.update(name));
    whole.update(asked);
    whole.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn indicator(catalog: &Catalog, id: IndicatorId, events: &[[u8; 32]], to: &mut Vec<u8>) {
    let ty = catalog.indicator_type(id).map_or("", |ty| ty.name());
    [ty, catalog.value(id)].into_iter().for_each(|text| add(to, text));
    for record in catalog.records(id) {
        to.extend_from_slice(b"source");
        to.extend_from_slice(&record.attribute.0);
        to.extend_from_slice(&events.get(record.event as usize).copied().unwrap_or_default());
        tags(catalog, record.tags, to);
        add(to, catalog.texts.get(record.comment));
        let [first, last] = catalog.seen.get(record.seen as usize).copied().unwrap_or_default();
        let numbers = [first, last, record.timestamp_secs.into(), record.to_ids.into()];
        numbers.iter().for_each(|number| to.extend_from_slice(&number.to_le_bytes()));
    }
}

fn event(catalog: &Catalog, number: usize) -> [u8; 32] {
    let event = catalog.events.get(number).copied().unwrap_or_default();
    let mut bytes = event.uuid.0.to_vec();
    bytes.extend_from_slice(&event.id.get().to_le_bytes());
    bytes.extend_from_slice(&event.timestamp_secs.to_le_bytes());
    for text in [event.info, event.org, event.provider] {
        add(&mut bytes, catalog.texts.get(text));
    }
    tags(catalog, event.tags, &mut bytes);
    Sha256::digest(&bytes).into()
}

fn tags(catalog: &Catalog, list: u32, to: &mut Vec<u8>) {
    let list = catalog.tags.get(list);
    to.extend_from_slice(&(list.len() as u64).to_le_bytes());
    list.iter().for_each(|tag| add(to, catalog.texts.get(*tag)));
}

fn add(to: &mut Vec<u8>, text: &str) {
    to.extend_from_slice(&(text.len() as u64).to_le_bytes());
    to.extend_from_slice(text.as_bytes());
}
