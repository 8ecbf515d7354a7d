//! Versions of objects: of several with one id, the newest counts.
//!
//! Spec:   STIX 2.1 §3.6 (versioning): the object with the latest `modified` is the current one
//! Reads:  `id`, `modified` and `created` of each object, before anything of a bundle is told
//! Yields: whether an object is the newest of its id
//! Bounds: `OBJECTS_MAX`
//! Leaves: objects without an id, which all count

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_128;

use crate::control::intel::said::time;
use crate::model::time::Timestamp;

/// Objects of one bundle or collection, of 32 bytes each in memory, doubled while it grows.
pub(in crate::control::intel) const OBJECTS_MAX: usize = 20_000_000;

/// The newest version of an object.
#[derive(Clone, Copy, Debug)]
struct Newest {
    /// When it was made, in nanoseconds since 1970.
    modified: i64,
    /// The how many-th object of its bundle it is.
    number: u32,
    /// There are others.
    is_repeated: bool,
}

const _: () = assert!(size_of::<(u128, Newest)>() == 32);

/// The versions of a bundle's objects.
#[derive(Debug, Default)]
pub(super) struct Versions {
    newest: HashMap<u128, Newest>,
    seen: u32,
    /// There were more objects than are remembered.
    is_full: bool,
}

impl Versions {
    /// Ends the reading; only what has several versions is kept.
    pub(super) fn finish(mut self) -> Self {
        self.newest.retain(|_, newest| newest.is_repeated);
        self.newest.shrink_to_fit();
        self
    }

    /// Tells whether there were too many to tell which are newest.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Tells whether the object of this number, from 1, has a newer version in its bundle.
    pub(super) fn is_old(&self, key: u128, number: u32) -> bool {
        let newest = self.newest.get(&key);
        newest.is_some_and(|newest| newest.number != number)
    }

    /// Notes the next object, with its id and when it was made; returns its number, from 1.
    pub(super) fn note(&mut self, id: &str, modified: &str) -> u32 {
        self.seen = self.seen.saturating_add(1);
        let (key, number) = (key(id), self.seen);
        if id.is_empty() {
            return number;
        }
        let mut new = Newest { modified: nanos(modified), number, is_repeated: false };
        if self.newest.len() >= OBJECTS_MAX && !self.newest.contains_key(&key) {
            self.is_full = true;
            return number;
        }
        self.newest
            .entry(key)
            .and_modify(|known| {
                new.is_repeated = true;
                known.is_repeated = true;
                // of equal ones the last that came
                if known.modified <= new.modified {
                    *known = new;
                }
            })
            .or_insert(new);
        number
    }
}

/// Returns what stands for an id in memory.
pub(in crate::control::intel) fn key(id: &str) -> u128 {
    xxh3_128(id.as_bytes())
}

/// Returns a time in nanoseconds since 1970; 0 of what is none.
pub(in crate::control::intel) fn nanos(text: &str) -> i64 {
    // a year of four digits may be beyond what a number has room for
    time(text).map_or(0, |time| i64::try_from(time.0).unwrap_or(i64::MAX))
}

/// Returns a time in seconds since 1970; 0 of what is none.
pub(super) fn secs(text: &str) -> u32 {
    time(text).map_or(0, Timestamp::secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_id_counts_wherever_it_stands() {
        let mut versions = Versions::default();
        let objects = [
            ("a", "2024-01-02T00:00:00Z"),
            ("b", "2024-01-01T00:00:00Z"),
            ("a", "2024-01-03T00:00:00Z"),
            ("a", "2024-01-01T00:00:00Z"),
            ("", ""),
            ("", ""),
            ("c", "2024-01-01T00:00:00Z"),
            ("c", "nonsense"),
            ("d", "2024-01-01T00:00:00.5Z"),
            ("d", "2024-01-01T00:00:00.500000Z"),
        ];
        for (number, (id, modified)) in (1..).zip(objects) {
            assert_eq!(versions.note(id, modified), number);
        }
        let versions = versions.finish();
        let ids = objects.map(|(id, _)| id);
        let old = (1..).zip(ids).filter(|(number, id)| versions.is_old(key(id), *number));
        let want = [(1, "a"), (4, "a"), (8, "c"), (9, "d")];
        assert_eq!(old.collect::<Vec<_>>(), want);
        assert_eq!(versions.newest.len(), 3);
    }
}
