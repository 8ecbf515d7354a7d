//! Buckets: which stretch of a sorted table holds the keys of a hash, and a filter before it.
//!
//! Entries are sorted by bucket, then by key, so a bucket is searched by halves and equal keys lie
//! together: many keys that a feed's author made fall into one bucket cost a few steps more, no
//! scan. The seed is a part of the set's version, which an author does not know beforehand. The
//! same entries make the same bytes.

use std::cmp::Ordering;
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::pipeline::matcher::filter::Filter;
use crate::pipeline::matcher::filter::scaled;
use crate::pipeline::matcher::table::Shelf;
use crate::pipeline::matcher::table::Table;

/// Entries of a bucket on average: one byte of directory an entry.
const ENTRIES_PER_BUCKET: usize = 4;

/// The directory of a sorted table.
#[derive(Clone, Debug, Default)]
pub(super) struct Buckets {
    filter: Filter,
    /// For each bucket the number of entries before it, and of all.
    starts: Table<u32>,
    seed: u64,
}

impl Buckets {
    /// Sorts entries into buckets, and inside a bucket by `order`.
    pub(super) fn sort<'k, E: Copy + 'k>(
        seed: u64,
        entries: &'k [E],
        key: impl Fn(&'k E) -> &'k [u8],
        order: impl Fn(&E, &E) -> Ordering,
    ) -> (Self, Vec<E>) {
        let count = entries.len().div_ceil(ENTRIES_PER_BUCKET);
        let hash = |entry: &'k E| xxh3_64_with_seed(key(entry), seed);
        let filter = Filter::of(entries.iter().map(hash));
        let mut starts = vec![0_u32; count.saturating_add(1)];
        for entry in entries {
            let next = starts.get_mut(scaled(hash(entry), count).saturating_add(1));
            next.into_iter().for_each(|n| *n = n.saturating_add(1));
        }
        let mut before = 0_u32;
        for start in &mut starts {
            before = before.saturating_add(*start);
            *start = before;
        }
        let mut free = starts.clone();
        let mut sorted = entries.to_vec();
        for entry in entries {
            let Some(place) = free.get_mut(scaled(hash(entry), count)) else { continue };
            sorted.get_mut(index(*place)).into_iter().for_each(|to| *to = *entry);
            *place = place.saturating_add(1);
        }
        for ends in starts.windows(2) {
            let bucket = sorted.get_mut(range_of(ends));
            bucket.into_iter().for_each(|bucket| bucket.sort_unstable_by(&order));
        }
        (Self { filter, starts: starts.into(), seed }, sorted)
    }

    /// Returns a key's hash where the key may be there.
    #[inline]
    pub(super) fn probe(&self, key: &[u8]) -> Option<u64> {
        if self.starts.len() <= 1 {
            return None;
        }
        let hash = self.hash(key);
        self.filter.may_have(hash).then_some(hash)
    }

    /// Returns the entries among which the keys of a hash are.
    #[inline]
    pub(super) fn of<'e, E>(&self, hash: u64, entries: &'e [E]) -> &'e [E] {
        let bucket = scaled(hash, self.count());
        let ends = self.starts.get(bucket..bucket.saturating_add(2));
        ends.and_then(|ends| entries.get(range_of(ends))).unwrap_or_default()
    }

    /// Puts its tables on a shelf, or takes them from there.
    pub(super) fn visit(&mut self, name: &'static str, shelf: &mut impl Shelf) {
        self.filter.visit(name, shelf);
        shelf.table([name, "buckets"], &mut self.starts);
        self.seed = shelf.seed();
    }

    /// Tells whether every entry is where a look-up of its key finds it.
    pub(super) fn verify<'k, E: 'k>(
        &self,
        entries: &'k [E],
        key: impl Fn(&'k E) -> &'k [u8],
        order: impl Fn(&E, &E) -> Ordering,
    ) -> Result<(), &'static str> {
        if self.starts.last().map_or(0, |n| *n) != narrow(entries.len())
            || !self.starts.is_sorted()
            || self.starts.first().is_some_and(|first| *first != 0)
        {
            return Err("the buckets do not hold the entries");
        }
        for (bucket, ends) in self.starts.windows(2).enumerate() {
            let near = entries.get(range_of(ends)).unwrap_or_default();
            if !near.is_sorted_by(|a, b| order(a, b).is_le()) {
                return Err("the entries are not sorted");
            }
            let is_lost = |entry| {
                let hash = self.hash(key(entry));
                scaled(hash, self.count()) != bucket || !self.filter.may_have(hash)
            };
            if near.iter().any(is_lost) {
                return Err("an entry is not where it is looked for");
            }
        }
        Ok(())
    }

    #[inline]
    fn count(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }
}

#[inline]
fn range_of(ends: &[u32]) -> Range<usize> {
    match ends {
        [from, to] => index(*from)..index(*to),
        _ => 0..0,
    }
}
