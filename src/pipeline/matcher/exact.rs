//! Exact look-ups: keys of one length, and texts.
//!
//! Keys lie in one array (texts: one arena), a table of positions beside it, a filter before it. A
//! miss costs one load from the filter, a hit four lines more. Of several indicators with one key,
//! the first is in place, the rest in a side list.

use std::hash::BuildHasher;
use std::hash::Hasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::indicator::IndicatorId;
use crate::pipeline::matcher::filter::Filter;

/// Indicators by keys of `N` bytes.
#[derive(Debug, Default)]
pub(super) struct Keys<const N: usize> {
    entries: Vec<Key<N>>,
    filter: Filter,
    slots: HashTable<u32>,
    more: Vec<(u32, Tagged)>,
    hash: RandomState,
}

impl<const N: usize> Keys<N> {
    /// Adds a key before `finish`.
    pub(super) fn add(&mut self, key: [u8; N], id: IndicatorId, tag: Tag) {
        self.entries.push(Key { key, id: Tagged::new(id, tag) });
    }

    /// Builds the table of positions, each key once.
    pub(super) fn finish(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        self.slots = HashTable::with_capacity(entries.len());
        self.filter = Filter::with_capacity(entries.len());
        let mut kept = 0_usize;
        for i in 0..entries.len() {
            let Some(&entry) = entries.get(i) else { break };
            let hash = hash_of(&self.hash, &entry.key);
            let same = |at: &u32| entries.get(index(*at)).is_some_and(|e| e.key == entry.key);
            if let Some(&first) = self.slots.find(hash, same) {
                self.more.push((first, entry.id));
                entries.get_mut(index(first)).into_iter().for_each(|e| e.id.mark_more());
                continue;
            }
            self.slots.insert_unique(hash, narrow(kept), |_| 0);
            self.filter.add(hash);
            entries.get_mut(kept).into_iter().for_each(|place| *place = entry);
            kept = kept.saturating_add(1);
        }
        entries.truncate(kept);
        entries.shrink_to_fit();
        self.more.sort_unstable();
        self.more.shrink_to_fit();
        self.entries = entries;
    }

    /// Returns a key's hash where the key may be there.
    #[inline]
    pub(super) fn probe(&self, key: &[u8; N]) -> Option<u64> {
        if self.entries.is_empty() {
            return None;
        }
        let hash = hash_of(&self.hash, key);
        self.filter.may_have(hash).then_some(hash)
    }

    /// Finds all indicators of a key.
    #[inline]
    pub(super) fn find(&self, key: &[u8; N]) -> impl Iterator<Item = (IndicatorId, Tag)> {
        self.find_probed(key, self.probe(key))
    }

    /// Finds all indicators of a key that was probed.
    pub(super) fn find_probed(
        &self,
        key: &[u8; N],
        probe: Option<u64>,
    ) -> impl Iterator<Item = (IndicatorId, Tag)> {
        let same = |at: &u32| self.entries.get(index(*at)).is_some_and(|e| e.key == *key);
        let position = probe.and_then(|hash| self.slots.find(hash, same).copied());
        let first = position.and_then(|at| Some((at, self.entries.get(index(at))?.id)));
        let more = match first {
            Some((at, id)) if id.has_more() => run_of(&self.more, at),
            _ => &[],
        };
        let first = first.into_iter().map(|(_, id)| id);
        first.chain(more.iter().map(|&(_, id)| id)).map(Tagged::parts)
    }

    /// Returns how many bytes it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        let entries = self.entries.capacity().saturating_mul(size_of::<Key<N>>());
        let more = self.more.capacity().saturating_mul(size_of::<(u32, Tagged)>());
        let table = self.slots.allocation_size().saturating_add(self.filter.memory_bytes());
        entries.saturating_add(more).saturating_add(table)
    }
}

/// Indicators by texts, each with a tag and a port.
#[derive(Debug, Default)]
pub(super) struct Texts {
    entries: Vec<Text>,
    arena: Vec<u8>,
    filter: Filter,
    slots: HashTable<u32>,
    more: Vec<(u32, u32)>,
    hash: RandomState,
}

impl Texts {
    /// Adds a text before `finish`; `port` is what goes with it, 0 for any.
    ///
    /// # Panics
    /// When all texts together are longer than 4 GiB.
    pub(super) fn add(&mut self, text: &str, id: IndicatorId, tag: Tag, port: u16) {
        let at = u32::try_from(self.arena.len());
        let len = u16::try_from(text.len());
        let (Ok(at), Ok(len)) = (at, len) else {
            assert!(text.len() <= usize::from(u16::MAX), "a text is longer than its limit");
            assert!(at.is_ok(), "the indicators' texts are longer than 4 GiB");
            return;
        };
        self.arena.extend_from_slice(text.as_bytes());
        self.entries.push(Text { at, id: Tagged::new(id, tag), len, port });
    }

    /// Builds the table of positions, each text once.
    pub(super) fn finish(&mut self) {
        self.arena.shrink_to_fit();
        self.entries.shrink_to_fit();
        let mut slots: HashTable<u32> = HashTable::with_capacity(self.entries.len());
        let mut filter = Filter::with_capacity(self.entries.len());
        for i in 0..narrow(self.entries.len()) {
            let text = self.text(i);
            let hash = hash_of(&self.hash, text);
            match slots.find(hash, |at| self.text(*at) == text) {
                Some(&first) => {
                    self.more.push((first, i));
                    let first = self.entries.get_mut(index(first));
                    first.into_iter().for_each(|e| e.id.mark_more());
                }
                None => {
                    slots.insert_unique(hash, i, |_| 0);
                    filter.add(hash);
                }
            }
        }
        self.more.sort_unstable();
        self.more.shrink_to_fit();
        self.slots = slots;
        self.filter = filter;
    }

    /// Returns a text's hash where the text may be there.
    #[inline]
    pub(super) fn probe(&self, text: &[u8]) -> Option<u64> {
        if self.entries.is_empty() {
            return None;
        }
        let hash = hash_of(&self.hash, text);
        self.filter.may_have(hash).then_some(hash)
    }

    /// Finds all indicators of a text.
    #[inline]
    pub(super) fn find(&self, text: &[u8]) -> impl Iterator<Item = Row> {
        self.find_probed(text, self.probe(text))
    }

    /// Finds all indicators of a text that was probed.
    pub(super) fn find_probed(&self, text: &[u8], probe: Option<u64>) -> impl Iterator<Item = Row> {
        let first =
            probe.and_then(|hash| self.slots.find(hash, |at| self.text(*at) == text).copied());
        let has_more = |at: &u32| self.entries.get(index(*at)).is_some_and(|e| e.id.has_more());
        let more = match first.filter(has_more) {
            Some(at) => run_of(&self.more, at),
            None => &[],
        };
        let rows = first.into_iter().chain(more.iter().map(|&(_, at)| at));
        rows.filter_map(|at| {
            let entry = self.entries.get(index(at))?;
            let (id, tag) = entry.id.parts();
            Some(Row { id, tag, port: entry.port })
        })
    }

    /// Tells whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns how many bytes it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        let entries = self.entries.capacity().saturating_mul(size_of::<Text>());
        let more = self.more.capacity().saturating_mul(size_of::<(u32, u32)>());
        let table = self.slots.allocation_size().saturating_add(self.filter.memory_bytes());
        entries.saturating_add(more).saturating_add(table).saturating_add(self.arena.capacity())
    }

    fn text(&self, at: u32) -> &[u8] {
        let Some(entry) = self.entries.get(index(at)) else { return &[] };
        let start = index(entry.at);
        self.arena.get(start..start.saturating_add(usize::from(entry.len))).unwrap_or_default()
    }
}

/// An indicator that has a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) id: IndicatorId,
    pub(super) tag: Tag,
    pub(super) port: u16,
}

/// Two bits that a table's user gives a meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tag(pub(super) u8);

/// An indicator with its tag, and whether the side list has more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Tagged(u32);

impl Tagged {
    const MORE: u32 = 1 << 31;
    const TAG_SHIFT: u32 = 29;
    const ID_MASK: u32 = (1 << Self::TAG_SHIFT) - 1;

    fn new(IndicatorId(id): IndicatorId, Tag(tag): Tag) -> Self {
        Self((id & Self::ID_MASK) | (u32::from(tag & 3) << Self::TAG_SHIFT))
    }

    fn mark_more(&mut self) {
        self.0 |= Self::MORE;
    }

    fn has_more(self) -> bool {
        self.0 & Self::MORE != 0
    }

    fn parts(self) -> (IndicatorId, Tag) {
        let tag = (self.0 >> Self::TAG_SHIFT) & 3;
        (IndicatorId(self.0 & Self::ID_MASK), Tag(u8::try_from(tag).unwrap_or_default()))
    }
}

/// Indicators that a table can tell apart.
pub(super) const INDICATORS_MAX: u32 = Tagged::ID_MASK;

#[derive(Clone, Copy, Debug)]
struct Key<const N: usize> {
    key: [u8; N],
    id: Tagged,
}

const _: () = assert!(size_of::<Key<4>>() == 8 && size_of::<Key<16>>() == 20);

#[derive(Clone, Copy, Debug)]
struct Text {
    at: u32,
    id: Tagged,
    len: u16,
    port: u16,
}

const _: () = assert!(size_of::<Text>() == 12);

#[inline]
fn hash_of(state: &RandomState, key: &[u8]) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write(key);
    hasher.finish()
}

/// Returns the part of a sorted list that belongs to one entry.
fn run_of<T>(list: &[(u32, T)], at: u32) -> &[(u32, T)] {
    let start = list.partition_point(|entry| entry.0 < at);
    let rest = list.get(start..).unwrap_or_default();
    rest.get(..rest.partition_point(|entry| entry.0 == at)).unwrap_or_default()
}
