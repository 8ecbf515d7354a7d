//! The catalog: what each indicator of a set is, and the stories behind it, for enrichment.
//!
//! Compact: texts, events and tag lists are kept once; an indicator without a story of its own
//! costs its value and four bytes.

use std::cmp::Ordering;
use std::ops::Range;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::native_endian::U64;

use crate::control::intel::stored::StoredLists;
use crate::control::intel::stored::StoredTexts;
use crate::control::intel::stored::stretch;
use crate::control::intel::uuid::Uuid;
use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::IndicatorType;
use crate::model::pattern::Pattern;
use crate::model::policy::Policy;
use crate::model::story::Source;
use crate::model::time::Timestamp;
use crate::pipeline::matcher::table::Shelf;
use crate::pipeline::matcher::table::Table;
use crate::pipeline::matcher::table::Weight;

/// Types, values and stories of a set's indicators; ids go by type, then canonical value.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The first id of each type that has indicators, in order; no type where a file names one that
    /// this build does not know.
    pub types: Vec<(Option<IndicatorType>, IndicatorId)>,
    /// Values as MISP has them, in order of id.
    pub values: StoredTexts,
    /// For each indicator its one source, or, above [`GROUP`], its group.
    pub stories: Stories,
    /// Groups: a length, then as many sources.
    pub groups: Table<u32>,
    /// The sources.
    pub sources: Table<SourceRecord>,
    /// The events that sources name.
    pub events: Table<EventRecord>,
    /// Tag lists: numbers of `texts`, sorted by text.
    pub tags: StoredLists,
    /// First and last times seen, in nanoseconds since 1970; the first pair is unknown.
    pub seen: Table<[u64; 2]>,
    /// Texts of events and tags, and comments.
    pub texts: StoredTexts,
}

/// What a story number is above, when it names a group instead of a source.
pub const GROUP: u32 = 1 << 31;

/// An attribute that gives an indicator, as stored. The derived order is that of a group.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
)]
#[repr(C)]
pub struct SourceRecord {
    /// The attribute's UUID.
    pub attribute: Uuid,
    /// Its event, in `events`.
    pub event: u32,
    /// Seconds since 1970 of its last change; 0 where unknown.
    pub timestamp_secs: u32,
    /// Its own tags, in `tags`.
    pub tags: u32,
    /// When it was seen, in `seen`.
    pub seen: u32,
    /// 1: for detection, as MISP says.
    pub to_ids: u32,
    /// Its comment, in `texts`.
    pub comment: u32,
}

const _: () = assert!(size_of::<SourceRecord>() <= 40);

/// An event, as stored; texts are numbers in `texts`.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
)]
#[repr(C)]
pub struct EventRecord {
    /// The event's UUID.
    pub uuid: Uuid,
    /// Its number on its server; 0 where unknown.
    pub id: U64,
    /// Its title.
    pub info: u32,
    /// The organisation that made it.
    pub org: u32,
    /// The feed, server or organisation that gave it to us.
    pub provider: u32,
    /// Its tags, in `tags`.
    pub tags: u32,
    /// Seconds since 1970 of its last change; 0 where unknown.
    pub timestamp_secs: u32,
}

/// A type and where its indicators begin, as a file has it.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct TypeRun {
    /// MISP's name, zeros behind it.
    name: [u8; 28],
    first: u32,
}

/// A number for each indicator; runs of the same one, as lists have them, cost nothing.
#[derive(Clone, Debug, Default)]
pub struct Stories {
    /// First id and number of each run, where runs are long.
    runs: Table<[u32; 2]>,
    /// The numbers, where they are not.
    each: Table<u32>,
}

/// Texts in one piece of memory; number 0 is the empty one.
#[derive(Clone, Debug)]
pub struct Texts {
    text: String,
    ends: Vec<u32>,
}

/// Lists of numbers in one piece of memory; list 0 is the empty one.
#[derive(Clone, Debug)]
pub struct Lists {
    items: Vec<u32>,
    ends: Vec<u32>,
}

impl Catalog {
    /// Returns the number of indicators.
    pub fn len(&self) -> usize {
        self.values.len().saturating_sub(1)
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns how many bytes the values take, and how many the stories.
    pub fn memory_bytes(&self) -> (usize, usize) {
        let (mut values, mut whole) = (Weight::default(), Weight::default());
        self.values.clone().visit("values", &mut values);
        self.store(&mut whole);
        (values.bytes, whole.bytes.saturating_sub(values.bytes))
    }

    /// Takes a catalog from a shelf.
    pub fn open(shelf: &mut impl Shelf) -> Self {
        let mut catalog = Self::default();
        catalog.visit(shelf);
        catalog
    }

    /// Puts all tables on a shelf, the stories at the end.
    pub fn store(&self, shelf: &mut impl Shelf) {
        self.clone().visit(shelf);
    }

    fn visit(&mut self, shelf: &mut impl Shelf) {
        let mut types = Table::from(self.types.iter().map(TypeRun::new).collect::<Vec<_>>());
        shelf.table(["catalog", "types"], &mut types);
        self.types = types.iter().map(TypeRun::read).collect();
        self.values.visit("values", shelf);
        shelf.table(["stories", "runs"], &mut self.stories.runs);
        shelf.table(["stories", "each"], &mut self.stories.each);
        shelf.table(["stories", "groups"], &mut self.groups);
        shelf.table(["stories", "sources"], &mut self.sources);
        shelf.table(["stories", "events"], &mut self.events);
        self.tags.visit("tags", shelf);
        shelf.table(["stories", "seen"], &mut self.seen);
        self.texts.visit("texts", shelf);
    }

    /// Checks that all numbers lead to what they name.
    ///
    /// # Errors
    /// What does not.
    pub fn verify(&self) -> Result<(), &'static str> {
        let (sources, events, texts) = (self.sources.len(), self.events.len(), self.texts.len());
        let below = |number: u32, n: usize| index(number) < n;
        let is_source = |source: &SourceRecord| {
            below(source.event, events)
                && below(source.tags, self.tags.len())
                && below(source.seen, self.seen.len())
                && below(source.comment, texts)
        };
        let is_event = |event: &EventRecord| {
            let named = [event.info, event.org, event.provider];
            named.iter().all(|text| below(*text, texts)) && below(event.tags, self.tags.len())
        };
        let has_story = |id: IndicatorId| match self.stories.get(id.0) {
            Some(number) if number < GROUP => below(number, sources),
            Some(group) => {
                let group = self.group(group - GROUP);
                !group.is_empty() && group.iter().all(|number| below(*number, sources))
            }
            None => false,
        };
        let first = |(_, first): &(Option<IndicatorType>, IndicatorId)| *first;
        let checks = [
            (self.values.is_whole(), "the values are not whole"),
            (self.texts.is_whole(), "the texts are not whole"),
            (self.tags.is_whole(texts), "the tags are not whole"),
            (self.types.is_sorted_by_key(first), "the types are not sorted"),
            (self.sources.iter().all(is_source), "a source names what is not there"),
            (self.events.iter().all(is_event), "an event names what is not there"),
            (self.ids().all(has_story), "an indicator's story is not there"),
        ];
        let wrong = checks.iter().find(|(whole, _)| !whole);
        wrong.map_or(Ok(()), |(_, what)| Err(*what))
    }

    /// Returns all ids.
    pub fn ids(&self) -> impl Iterator<Item = IndicatorId> + use<> {
        (0..narrow(self.len())).map(IndicatorId)
    }

    /// Returns the ids of each type that has indicators.
    pub fn by_type(&self) -> impl Iterator<Item = (IndicatorType, Range<u32>)> {
        let ends = self.types.iter().skip(1).map(|(_, id)| id.0);
        let ends = ends.chain(std::iter::once(narrow(self.len())));
        let runs = self.types.iter().zip(ends);
        runs.filter_map(|((ty, first), end)| Some(((*ty)?, first.0..end)))
    }

    /// Returns an indicator's MISP type.
    pub fn indicator_type(&self, id: IndicatorId) -> Option<IndicatorType> {
        let after = self.types.partition_point(|(_, first)| *first <= id);
        self.types.get(after.checked_sub(1)?).and_then(|(ty, _)| *ty)
    }

    /// Returns the indicator of a type and canonical value.
    pub fn find(&self, ty: IndicatorType, canonical: &str) -> Option<IndicatorId> {
        let (_, ids) = self.by_type().find(|(known, _)| *known == ty)?;
        let (mut low, mut high) = (ids.start, ids.end);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.canonical(IndicatorId(middle))?.as_str().cmp(canonical) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Some(IndicatorId(middle)),
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Returns an indicator's canonical value; it is made anew, as few ask and all would pay.
    pub fn canonical(&self, id: IndicatorId) -> Option<String> {
        let all = Policy::wide();
        let pattern = Pattern::from_text(self.indicator_type(id)?, self.value(id), &all);
        Some(pattern.ok()?.to_string())
    }

    /// Returns an indicator's value as MISP has it, the first in sort order where spellings differ.
    pub fn value(&self, id: IndicatorId) -> &str {
        self.values.get(id.0.saturating_add(1))
    }

    /// Returns who told of an indicator, sorted, each once.
    pub fn sources(&self, id: IndicatorId) -> Vec<Source> {
        let mut sources = self.records(id).map(|record| self.told(record)).collect::<Vec<_>>();
        sources.sort();
        sources.dedup();
        sources
    }

    /// Returns the same as stored, in a fixed order.
    pub fn records(&self, id: IndicatorId) -> impl Iterator<Item = &SourceRecord> {
        let story = self.stories.get(id.0);
        let (one, group) = match story {
            Some(number) if number < GROUP => (Some(number), &[][..]),
            Some(group) => (None, self.group(group - GROUP)),
            None => (None, &[][..]),
        };
        let numbers = one.into_iter().chain(group.iter().copied());
        numbers.filter_map(|number| self.sources.get(index(number)))
    }

    fn told(&self, record: &SourceRecord) -> Source {
        let event = self.events.get(index(record.event)).copied().unwrap_or_default();
        let text = |number| known(self.texts.get(number));
        let uuid = |uuid: Uuid| uuid.is_some().then(|| uuid.to_string());
        let lists = [record.tags, event.tags].map(|list| self.tags.get(list));
        let mut tags =
            lists.concat().iter().map(|tag| self.texts.get(*tag).to_owned()).collect::<Vec<_>>();
        tags.sort_unstable();
        tags.dedup();
        let seen = self.seen.get(index(record.seen)).copied().unwrap_or_default();
        let [first, last] = seen.map(Timestamp);
        let changed = [record.timestamp_secs, event.timestamp_secs];
        let changed = changed.into_iter().find(|secs| *secs != 0).unwrap_or(0);
        Source {
            attribute: uuid(record.attribute),
            event: uuid(event.uuid),
            event_id: (event.id.get() != 0).then_some(event.id.get()),
            info: text(event.info),
            org: text(event.org),
            provider: text(event.provider),
            tags,
            comment: text(record.comment),
            first_seen: written(first),
            last_seen: written(last),
            modified: written(Timestamp::new(u64::from(changed), 0)),
        }
    }

    fn group(&self, at: u32) -> &[u32] {
        let group = self.groups.get(index(at)..).unwrap_or_default();
        let Some((len, rest)) = group.split_first() else { return &[] };
        rest.get(..index(*len)).unwrap_or_default()
    }
}

/// Returns a text where there is one.
fn known(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Returns a time in RFC 3339 where there is one.
pub fn written(time: Timestamp) -> Option<String> {
    let time = jiff::Timestamp::from_nanosecond(i128::from(time.0)).ok();
    time.filter(|time| *time != jiff::Timestamp::UNIX_EPOCH).map(|time| time.to_string())
}

impl Stories {
    /// Keeps the numbers of all indicators, in order of id.
    pub fn new(mut each: Vec<u32>) -> Self {
        let runs = || each.chunk_by(|a, b| a == b);
        if runs().count() * 4 > each.len() {
            each.shrink_to_fit();
            return Self { runs: Table::default(), each: each.into() };
        }
        let mut first = 0;
        let run = |run: &[u32]| {
            let begins = first;
            first += narrow(run.len());
            [begins, run.first().copied().unwrap_or_default()]
        };
        Self { runs: runs().map(run).collect::<Vec<_>>().into(), each: Table::default() }
    }

    /// Returns an indicator's number.
    pub fn get(&self, id: u32) -> Option<u32> {
        let after = self.runs.partition_point(|[first, _]| *first <= id);
        let run = after.checked_sub(1).and_then(|at| self.runs.get(at));
        run.map(|[_, number]| *number).or_else(|| self.each.get(index(id)).copied())
    }
}

impl TypeRun {
    fn new((ty, first): &(Option<IndicatorType>, IndicatorId)) -> Self {
        let mut name = [0; 28];
        let text = ty.map_or("", |ty| ty.name());
        name.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        Self { name, first: first.0 }
    }

    fn read(&self) -> (Option<IndicatorType>, IndicatorId) {
        let name = std::str::from_utf8(&self.name).unwrap_or_default();
        (IndicatorType::from_name(name.trim_end_matches('\0')), IndicatorId(self.first))
    }
}

impl Texts {
    /// Adds a text and returns its number; `None` when 4 GiB are full.
    pub fn push(&mut self, text: &str) -> Option<u32> {
        let number = u32::try_from(self.ends.len()).ok()?;
        let end = u32::try_from(self.text.len().checked_add(text.len())?).ok()?;
        self.text.push_str(text);
        self.ends.push(end);
        Some(number)
    }

    /// Returns the text of a number.
    pub fn get(&self, number: u32) -> &str {
        self.text.get(stretch(&self.ends, number)).unwrap_or_default()
    }

    /// Returns how many there are, the empty one included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Tells whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.ends.len() <= 1
    }

    /// Returns all of them in one, and where each ends.
    pub fn into_parts(self) -> (String, Vec<u32>) {
        (self.text, self.ends)
    }

    /// Takes memory for so many more texts of so many bytes in all.
    pub fn reserve(&mut self, texts: usize, bytes: usize) {
        self.ends.reserve_exact(texts);
        self.text.reserve_exact(bytes);
    }
}

impl Default for Texts {
    fn default() -> Self {
        Self { text: String::new(), ends: vec![0] }
    }
}

impl Lists {
    /// Adds a list and returns its number; `None` when 2^32 items are full.
    pub fn push(&mut self, list: &[u32]) -> Option<u32> {
        let number = u32::try_from(self.ends.len()).ok()?;
        let end = u32::try_from(self.items.len().checked_add(list.len())?).ok()?;
        self.items.extend_from_slice(list);
        self.ends.push(end);
        Some(number)
    }

    /// Returns how many there are, the empty one included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Tells whether none was added.
    pub fn is_empty(&self) -> bool {
        self.ends.len() <= 1
    }

    /// Returns all of them in one, and where each ends.
    pub fn into_parts(self) -> (Vec<u32>, Vec<u32>) {
        (self.items, self.ends)
    }

    /// Returns the list of a number.
    pub fn get(&self, number: u32) -> &[u32] {
        self.items.get(stretch(&self.ends, number)).unwrap_or_default()
    }
}

impl Default for Lists {
    fn default() -> Self {
        Self { items: Vec::new(), ends: vec![0] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_lists_give_back() {
        let mut texts = Texts::default();
        assert_eq!((texts.push("evil"), texts.push("worse")), (Some(1), Some(2)));
        assert_eq!(
            (texts.get(0), texts.get(1), texts.get(2), texts.get(9)),
            ("", "evil", "worse", "")
        );
        let mut lists = Lists::default();
        assert_eq!(lists.push(&[3, 4]), Some(1));
        assert_eq!((lists.get(0), lists.get(1), lists.get(7)), (&[][..], &[3, 4][..], &[][..]));
    }

    #[test]
    fn stories_give_back_in_runs_and_alone() {
        for numbers in [vec![7; 100], (0..100).collect(), [vec![1; 50], vec![2; 50]].concat()] {
            let stories = Stories::new(numbers.clone());
            let read = (0..100).filter_map(|id| stories.get(id)).collect::<Vec<_>>();
            assert_eq!(read, numbers);
        }
        assert_eq!(*Stories::new(vec![7; 100]).runs, [[0, 7]]);
        assert_eq!(Stories::default().get(0), None);
    }

    #[test]
    fn an_empty_catalog_knows_nothing() {
        let catalog = Catalog::default();
        assert_eq!(catalog.indicator_type(IndicatorId(0)), None);
        assert_eq!(catalog.value(IndicatorId(3)), "");
        assert_eq!(catalog.sources(IndicatorId(0)), []);
    }
}
