//! Exact look-ups: keys of one length, and texts.
//!
//! Entries lie in one array in the order of `buckets.rs`, the texts in one arena in the order of
//! their entries. A miss costs one load from the filter, a hit two or three more. Indicators with
//! one key lie side by side.

use std::cmp::Ordering;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::Unaligned;
use zerocopy::native_endian::U32;

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::indicator::IndicatorId;
use crate::pipeline::matcher::buckets::Buckets;
use crate::pipeline::matcher::table::Shelf;
use crate::pipeline::matcher::table::Table;

/// Indicators by keys of `N` bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys<const N: usize> {
    /// Until `finish`.
    added: Vec<Key<N>>,
    entries: Table<Key<N>>,
    buckets: Buckets,
}

impl<const N: usize> Keys<N> {
    /// Adds a key before `finish`.
    pub(super) fn add(&mut self, key: [u8; N], id: IndicatorId, tag: Tag) {
        self.added.push(Key { key, id: Tagged::new(id, tag) });
    }

    /// Sorts what was added.
    pub(super) fn finish(&mut self, seed: u64) {
        let added = std::mem::take(&mut self.added);
        let (buckets, entries) = Buckets::sort(seed, &added, |e| &e.key, Ord::cmp);
        (self.buckets, self.entries) = (buckets, entries.into());
    }

    /// Returns a key's hash where the key may be there.
    #[inline]
    pub(super) fn probe(&self, key: &[u8; N]) -> Option<u64> {
        self.buckets.probe(key)
    }

    /// Finds all indicators of a key.
    #[inline]
    pub(super) fn find(&self, key: &[u8; N]) -> impl Iterator<Item = (IndicatorId, Tag)> {
        self.find_probed(key, self.probe(key))
    }

    /// Finds all indicators of a key that was probed.
    #[inline]
    pub(super) fn find_probed(
        &self,
        key: &[u8; N],
        probe: Option<u64>,
    ) -> impl Iterator<Item = (IndicatorId, Tag)> {
        let near = probe.map_or(&[][..], |hash| self.buckets.of(hash, &self.entries));
        let from = near.partition_point(|entry| entry.key < *key);
        let rest = near.get(from..).unwrap_or_default().iter();
        rest.take_while(move |entry| entry.key == *key).map(|entry| entry.id.parts())
    }

    /// Tells whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts its tables on a shelf, or takes them from there.
    pub(super) fn visit(&mut self, name: &'static str, shelf: &mut impl Shelf) {
        self.buckets.visit(name, shelf);
        shelf.table([name, "entries"], &mut self.entries);
    }

    /// Checks that all entries can be found and name one of `ids` indicators.
    pub(super) fn verify(&self, ids: u32) -> Result<(), &'static str> {
        self.buckets.verify(&self.entries, |entry| &entry.key, Ord::cmp)?;
        verify_ids(self.entries.iter().map(|entry| entry.id), ids)
    }
}

/// Indicators by texts, each with a tag and a port.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    /// Until `finish`, with the texts in `added_texts`.
    added: Vec<Text>,
    added_texts: Vec<u8>,
    entries: Table<Text>,
    arena: Table<u8>,
    buckets: Buckets,
}

impl Texts {
    /// Adds a text before `finish`; `port` is what goes with it, 0 for any.
    ///
    /// # Panics
    /// When all texts together are longer than 4 GiB.
    pub(super) fn add(&mut self, text: &str, id: IndicatorId, tag: Tag, port: u16) {
        let at = u32::try_from(self.added_texts.len());
        let len = u16::try_from(text.len());
        let (Ok(at), Ok(len)) = (at, len) else {
            assert!(text.len() <= usize::from(u16::MAX), "a text is longer than its limit");
            assert!(at.is_ok(), "the indicators' texts are longer than 4 GiB");
            return;
        };
        self.added_texts.extend_from_slice(text.as_bytes());
        self.added.push(Text { at, id: Tagged::new(id, tag), len, port });
    }

    /// Sorts what was added.
    pub(super) fn finish(&mut self, seed: u64) {
        let (added, texts) =
            (std::mem::take(&mut self.added), std::mem::take(&mut self.added_texts));
        let key = |entry: &Text| entry.text(&texts);
        let order = |a: &Text, b: &Text| a.order(b, &texts);
        let (buckets, mut entries) = Buckets::sort(seed, &added, key, order);
        let mut arena: Vec<u8> = Vec::with_capacity(texts.len());
        let mut last: (&[u8], u32) = (&[], 0);
        for entry in &mut entries {
            let text = entry.text(&texts);
            if last.0 != text {
                last = (text, narrow(arena.len()));
                arena.extend_from_slice(text);
            }
            entry.at = last.1;
        }
        arena.shrink_to_fit();
        (self.buckets, self.entries, self.arena) = (buckets, entries.into(), arena.into());
    }

    /// Returns a text's hash where the text may be there.
    #[inline]
    pub(super) fn probe(&self, text: &[u8]) -> Option<u64> {
        self.buckets.probe(text)
    }

    /// Finds all indicators of a text.
    #[inline]
    pub(super) fn find(&self, text: &[u8]) -> impl Iterator<Item = Row> {
        self.find_probed(text, self.probe(text))
    }

    /// Finds all indicators of a text that was probed.
    #[inline]
    pub(super) fn find_probed(&self, text: &[u8], probe: Option<u64>) -> impl Iterator<Item = Row> {
        let arena = &*self.arena;
        let near = probe.map_or(&[][..], |hash| self.buckets.of(hash, &self.entries));
        let from = near.partition_point(|entry| entry.text(arena) < text);
        let rest = near.get(from..).unwrap_or_default().iter();
        rest.take_while(move |entry| entry.text(arena) == text).map(Text::row)
    }

    /// Returns all texts with their indicators, in the order of the table.
    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = (&[u8], Row)> {
        self.entries.iter().map(|entry| (entry.text(&self.arena), entry.row()))
    }

    /// Returns one of them.
    pub(super) fn row(&self, at: usize) -> Option<(&[u8], Row)> {
        self.entries.get(at).map(|entry| (entry.text(&self.arena), entry.row()))
    }

    /// Tells whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts its tables on a shelf, or takes them from there.
    pub(super) fn visit(&mut self, name: &'static str, shelf: &mut impl Shelf) {
        self.buckets.visit(name, shelf);
        shelf.table([name, "entries"], &mut self.entries);
        shelf.table([name, "texts"], &mut self.arena);
    }

    /// Checks that all entries can be found and name one of `ids` indicators.
    pub(super) fn verify(&self, ids: u32) -> Result<(), &'static str> {
        let arena = &*self.arena;
        self.buckets.verify(&self.entries, |e| e.text(arena), |a, b| a.order(b, arena))?;
        if self.entries.iter().any(|entry| entry.text(arena).len() != usize::from(entry.len)) {
            return Err("an entry's text is not there");
        }
        verify_ids(self.entries.iter().map(|entry| entry.id), ids)
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

/// An indicator with its tag.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, FromBytes, IntoBytes, Immutable, Unaligned,
)]
#[repr(transparent)]
struct Tagged(U32);

impl Tagged {
    const TAG_SHIFT: u32 = 29;
    const ID_MASK: u32 = (1 << Self::TAG_SHIFT) - 1;

    fn new(IndicatorId(id): IndicatorId, Tag(tag): Tag) -> Self {
        Self(U32::new((id & Self::ID_MASK) | (u32::from(tag & 3) << Self::TAG_SHIFT)))
    }

    fn parts(self) -> (IndicatorId, Tag) {
        let tag = (self.0.get() >> Self::TAG_SHIFT) & 3;
        (IndicatorId(self.0.get() & Self::ID_MASK), Tag(u8::try_from(tag).unwrap_or_default()))
    }
}

/// Indicators that a table can tell apart.
pub(super) const INDICATORS_MAX: u32 = Tagged::ID_MASK;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Key<const N: usize> {
    key: [u8; N],
    id: Tagged,
}

const _: () = assert!(size_of::<Key<4>>() == 8 && size_of::<Key<16>>() == 20);

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Text {
    at: u32,
    id: Tagged,
    len: u16,
    port: u16,
}

const _: () = assert!(size_of::<Text>() == 12);

impl Text {
    #[inline]
    fn text<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        let start = index(self.at);
        arena.get(start..start.saturating_add(usize::from(self.len))).unwrap_or_default()
    }

    fn order(&self, other: &Self, arena: &[u8]) -> Ordering {
        let rest = |entry: &Self| (entry.id, entry.port);
        self.text(arena).cmp(other.text(arena)).then_with(|| rest(self).cmp(&rest(other)))
    }

    fn row(&self) -> Row {
        let (id, tag) = self.id.parts();
        Row { id, tag, port: self.port }
    }
}

/// Checks that entries name one of `ids` indicators.
fn verify_ids(mut entries: impl Iterator<Item = Tagged>, ids: u32) -> Result<(), &'static str> {
    let is_known = entries.all(|entry| entry.parts().0.0 < ids);
    is_known.then_some(()).ok_or("an entry names no indicator of this set")
}
