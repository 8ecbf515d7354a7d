//! Versions of objects: of several with one id, the newest counts.
//!
//! Spec:   STIX 2.1 §3.6 (versioning): the object with the latest `modified` is the current one
//! Reads:  `id`, `modified` and `created` of each object, before anything of a bundle is told
//! Yields: whether an object is the newest of its id
//! Bounds: `OBJECTS_MAX`
//! Leaves: objects without an id, which all count

use std::collections::HashMap;

use serde::de::MapAccess;
use xxhash_rust::xxh3::xxh3_128;

use crate::control::intel::json::parts::Scalar;
use crate::control::intel::json::parts::skip;
use crate::control::intel::stix::object::Key;
use crate::control::intel::stix::walk::Taker;

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
    id: String,
    modified: String,
    created: String,
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
    pub(super) fn is_old(&self, id: &str, number: u32) -> bool {
        let newest = self.newest.get(&key(id)).filter(|_| !self.newest.is_empty());
        newest.is_some_and(|newest| newest.number != number)
    }

    fn note(&mut self) {
        self.seen = self.seen.saturating_add(1);
        if self.id.is_empty() {
            return;
        }
        let key = key(&self.id);
        let told = if self.modified.is_empty() { &self.created } else { &self.modified };
        let mut new = Newest { modified: nanos(told), number: self.seen, is_repeated: false };
        if self.newest.len() >= OBJECTS_MAX && !self.newest.contains_key(&key) {
            self.is_full = true;
            return;
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
    }
}

impl Taker for Versions {
    fn object<'de, A: MapAccess<'de>>(&mut self, mut map: A) -> Result<(), A::Error> {
        [&mut self.id, &mut self.modified, &mut self.created].into_iter().for_each(String::clear);
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Id => map.next_value_seed(Scalar(&mut self.id))?,
                Key::Modified => map.next_value_seed(Scalar(&mut self.modified))?,
                Key::Created => map.next_value_seed(Scalar(&mut self.created))?,
                _ => skip(&mut map)?,
            }
        }
        self.note();
        Ok(())
    }
}

/// Returns what stands for an id in memory.
pub(in crate::control::intel) fn key(id: &str) -> u128 {
    xxh3_128(id.as_bytes())
}

/// Returns a time in nanoseconds since 1970; 0 of what is none.
pub(in crate::control::intel) fn nanos(time: &str) -> i64 {
    let time = time.trim().parse::<jiff::Timestamp>().ok();
    time.and_then(|time| i64::try_from(time.as_nanosecond()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::intel::json::parse;
    use crate::control::intel::stix::walk::Top;

    #[test]
    fn the_newest_of_each_id_counts_wherever_it_stands() {
        let text = r#"{"objects":[
            {"id":"a","modified":"2024-01-02T00:00:00Z"},
            {"id":"b","modified":"2024-01-01T00:00:00Z"},
            {"modified":"2024-01-03T00:00:00Z","id":"a"},
            {"id":"a","modified":"2024-01-01T00:00:00Z"},
            {"name":"no id"}, {"name":"no id"},
            {"id":"c","created":"2024-01-01T00:00:00Z"},
            {"id":"c","modified":"nonsense"},
            {"id":"d","modified":"2024-01-01T00:00:00.5Z"},
            {"id":"d","modified":"2024-01-01T00:00:00.500000Z"}
        ]}"#;
        let mut versions = Versions::default();
        parse(text.as_bytes(), Top(&mut versions)).expect("a bundle");
        let versions = versions.finish();
        let ids = ["a", "b", "a", "a", "", "", "c", "c", "d", "d"];
        let old = (1..).zip(ids).filter(|(number, id)| versions.is_old(id, *number));
        let want = [(1, "a"), (4, "a"), (8, "c"), (9, "d")];
        assert_eq!(old.collect::<Vec<_>>(), want);
        assert_eq!(versions.newest.len(), 3);
    }
}
