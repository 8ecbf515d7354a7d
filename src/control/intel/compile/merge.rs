//! Merging harvests: one table of everything, sorted into ids at the end.

use std::cmp::Ordering;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use rayon::slice::ParallelSliceMut;

use crate::control::intel::IntelError;
use crate::control::intel::catalog::Catalog;
use crate::control::intel::catalog::EventRecord;
use crate::control::intel::catalog::GROUP;
use crate::control::intel::catalog::SourceRecord;
use crate::control::intel::catalog::Stories;
use crate::control::intel::catalog::Texts;
use crate::control::intel::compile::canonical::Canonical;
use crate::control::intel::harvest::Entry;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::ledger::Damage;
use crate::control::intel::ledger::Ledger;
use crate::control::intel::strings::ListTable;
use crate::control::intel::strings::Strings;
use crate::model::bytes::narrow;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::IndicatorType;
use crate::model::time::Timestamp;

/// Everything harvested so far; numbers of harvests become its own.
pub(super) struct Merge {
    ledger: Ledger,
    entries: Vec<Entry>,
    text: String,
    pub(super) sources: Vec<SourceRecord>,
    /// Sources that were their harvest's only one.
    lonely: HashMap<SourceRecord, u32, RandomState>,
    pub(super) events: Vec<EventRecord>,
    events_known: HashMap<EventRecord, u32, RandomState>,
    pub(super) seen: Vec<(Timestamp, Timestamp)>,
    pub(super) tags: ListTable,
    pub(super) strings: Strings,
    full: Option<&'static str>,
}

impl Default for Merge {
    fn default() -> Self {
        Self {
            ledger: Ledger::default(),
            entries: Vec::new(),
            text: String::new(),
            sources: Vec::new(),
            lonely: HashMap::default(),
            events: Vec::new(),
            events_known: HashMap::default(),
            seen: vec![Default::default()],
            tags: ListTable::default(),
            strings: Strings::default(),
            full: None,
        }
    }
}

impl Merge {
    /// Adds a harvest.
    pub(super) fn append(&mut self, harvest: Harvest<'_>) {
        let at = u32::try_from(self.text.len() + harvest.text.len());
        let sources = u32::try_from(self.sources.len() + harvest.sources.len());
        match (at, sources) {
            (Err(_), _) => self.full = Some("over 4 GiB of values"),
            (_, Ok(n)) if n < GROUP => {}
            _ => self.full = Some("over 2,000 million attributes"),
        }
        if self.full.is_some() {
            return;
        }
        let at = narrow(self.text.len());
        let first = self.append_sources(&harvest);
        self.entries.extend(harvest.entries.iter().map(|entry| Entry {
            at: entry.at + at,
            source: entry.source + first,
            ..*entry
        }));
        self.text.push_str(&harvest.text);
        self.ledger.add(harvest.ledger);
    }

    /// Adds a harvest's sources and returns the number of the first; a list's only source is kept
    /// once for all blocks.
    fn append_sources(&mut self, harvest: &Harvest<'_>) -> u32 {
        let mut translate = Translation::new(harvest);
        let next = narrow(self.sources.len());
        if let [only] = harvest.sources.as_slice() {
            let only = translate.source(only, self);
            let number = *self.lonely.entry(only).or_insert(next);
            if number == next {
                self.sources.push(only);
            }
            return number;
        }
        for source in &harvest.sources {
            let source = translate.source(source, self);
            self.sources.push(source);
        }
        next
    }

    /// Counts a file, and what was wrong with it.
    pub(super) fn file_done(&mut self, damage: Option<Damage>) {
        self.ledger.add(Ledger {
            files: 1,
            damage: damage.into_iter().collect(),
            ..Ledger::default()
        });
    }

    /// Sorts everything into ids.
    ///
    /// # Errors
    /// There is more than numbers can hold.
    pub(super) fn settle(mut self) -> Result<(Catalog, Ledger), IntelError> {
        if let Some(what) = self.full {
            return Err(IntelError::TooMany { what });
        }
        let full = || IntelError::TooMany { what: "over 4 GiB of texts" };
        let canonical = Canonical::new(&self).ok_or_else(full)?;
        let text = std::mem::take(&mut self.text);
        let mut entries = std::mem::take(&mut self.entries);
        let ledger = std::mem::take(&mut self.ledger);
        drop(self);
        entries.par_sort_unstable_by(|a, b| order(a, b, &text));
        let groups = entries.chunk_by(|a, b| order(a, b, &text).is_eq());
        let mut catalog = Catalog::default();
        let mut values = Texts::default();
        let value_bytes = |group: &[Entry]| value(group, &text).len();
        let sum = |(n, bytes), more| (n + 1, bytes + more);
        let (n, bytes) = groups.clone().map(value_bytes).fold((0, 0), sum);
        values.reserve(n, bytes);
        let (mut stories, mut lists) = (Vec::with_capacity(n), Vec::new());
        for (id, group) in (0..).map(IndicatorId).zip(groups) {
            let ty = type_of(group);
            if catalog.types.last().is_none_or(|(last, _)| *last != ty) {
                catalog.types.push((ty, id));
            }
            values.push(value(group, &text)).ok_or_else(full)?;
            stories.push(story(group, &canonical.places, &mut lists));
        }
        (catalog.values, catalog.stories) = (values.into(), Stories::new(stories));
        (catalog.groups, catalog.sources) = (lists.into(), canonical.sources.into());
        (catalog.events, catalog.seen) = (canonical.events.into(), canonical.seen.into());
        (catalog.texts, catalog.tags) = (canonical.texts.into(), canonical.tags.into());
        Ok((catalog, ledger))
    }

    fn event(&mut self, record: EventRecord) -> u32 {
        let next = narrow(self.events.len());
        let number = *self.events_known.entry(record).or_insert(next);
        if number == next {
            self.events.push(record);
        }
        number
    }
}

/// Returns the type of an indicator's entries.
fn type_of(group: &[Entry]) -> Option<IndicatorType> {
    let ty = group.first().and_then(|entry| usize::try_from(entry.key >> 56).ok());
    ty.and_then(|ty| IndicatorType::ALL.get(ty)).copied()
}

/// Returns the number of an indicator's story: its one source, or a group of several in order.
fn story(group: &[Entry], places: &[u32], lists: &mut Vec<u32>) -> u32 {
    let source = |entry: &Entry| places.get(entry.source as usize).copied().unwrap_or_default();
    if let [only] = group {
        return source(only);
    }
    let mut sources = group.iter().map(source).collect::<Vec<_>>();
    sources.sort_unstable();
    sources.dedup();
    if let [only] = sources.as_slice() {
        return *only;
    }
    let at = narrow(lists.len());
    lists.push(narrow(sources.len()));
    lists.extend(sources);
    GROUP | at
}

/// Numbers of a harvest and what they are in the merge; only what sources name is taken over.
struct Translation<'h> {
    strings: &'h Texts,
    harvest: &'h Harvest<'h>,
    texts: HashMap<u32, u32, RandomState>,
    tags: HashMap<u32, u32, RandomState>,
    events: HashMap<u32, u32, RandomState>,
}

impl<'h> Translation<'h> {
    fn new(harvest: &'h Harvest<'h>) -> Self {
        Self {
            strings: &harvest.strings.texts,
            harvest,
            texts: HashMap::default(),
            tags: HashMap::default(),
            events: HashMap::default(),
        }
    }

    fn source(&mut self, source: &SourceRecord, merge: &mut Merge) -> SourceRecord {
        let seen = match source.seen {
            0 => 0,
            number => {
                let pair = self.harvest.seen.get(number as usize).copied().unwrap_or_default();
                if merge.seen.last() != Some(&pair) {
                    merge.seen.push(pair);
                }
                narrow(merge.seen.len() - 1)
            }
        };
        let event = self.event(source.event, merge);
        let comment = self.text(source.comment, merge);
        SourceRecord { event, tags: self.tags(source.tags, merge), seen, comment, ..*source }
    }

    fn event(&mut self, number: u32, merge: &mut Merge) -> u32 {
        if let Some(number) = self.events.get(&number) {
            return *number;
        }
        let event = self.harvest.events.get(number as usize).copied().unwrap_or_default();
        let record = EventRecord {
            info: self.text(event.info, merge),
            org: self.text(event.org, merge),
            provider: self.text(event.provider, merge),
            tags: self.tags(event.tags, merge),
            ..event
        };
        let known = merge.event(record);
        self.events.insert(number, known);
        known
    }

    fn tags(&mut self, number: u32, merge: &mut Merge) -> u32 {
        if number == 0 {
            return 0;
        }
        if let Some(number) = self.tags.get(&number) {
            return *number;
        }
        let list = self.harvest.tags.lists.get(number).iter();
        let list = list.map(|tag| self.text(*tag, merge)).collect::<Vec<_>>();
        let known = merge.tags.intern(&list);
        self.tags.insert(number, known);
        known
    }

    fn text(&mut self, number: u32, merge: &mut Merge) -> u32 {
        let text = self.strings.get(number);
        *self.texts.entry(number).or_insert_with(|| merge.strings.intern(text))
    }
}

fn canonical<'t>(entry: &Entry, text: &'t str) -> &'t str {
    let at = entry.at as usize;
    text.get(at..at + usize::from(entry.canonical_bytes)).unwrap_or_default()
}

/// Returns the value as MISP has it: of several spellings the first in sort order.
fn value<'t>(group: &[Entry], text: &'t str) -> &'t str {
    group.iter().map(|entry| spelling(entry, text)).min().unwrap_or_default()
}

fn spelling<'t>(entry: &Entry, text: &'t str) -> &'t str {
    match usize::from(entry.spelling_bytes) {
        0 => canonical(entry, text),
        n => {
            let at = entry.at as usize + usize::from(entry.canonical_bytes);
            text.get(at..at + n).unwrap_or_default()
        }
    }
}

fn order(a: &Entry, b: &Entry, text: &str) -> Ordering {
    a.key.cmp(&b.key).then_with(|| canonical(a, text).cmp(canonical(b, text)))
}
