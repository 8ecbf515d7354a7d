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
use crate::control::intel::catalog::Texts;
use crate::control::intel::harvest::Entry;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::ledger::Damage;
use crate::control::intel::ledger::Ledger;
use crate::control::intel::strings::ListTable;
use crate::control::intel::strings::Strings;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::IndicatorType;
use crate::model::time::Timestamp;

/// Everything harvested so far; numbers of harvests become its own.
pub(super) struct Merge {
    ledger: Ledger,
    entries: Vec<Entry>,
    text: String,
    sources: Vec<SourceRecord>,
    events: Vec<EventRecord>,
    events_known: HashMap<EventRecord, u32, RandomState>,
    seen: Vec<(Timestamp, Timestamp)>,
    tags: ListTable,
    strings: Strings,
    full: Option<&'static str>,
}

impl Default for Merge {
    fn default() -> Self {
        Self {
            ledger: Ledger::default(),
            entries: Vec::new(),
            text: String::new(),
            sources: Vec::new(),
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
        let (at, first) = (narrow(self.text.len()), narrow(self.sources.len()));
        let moved =
            |entry: &Entry| Entry { at: entry.at + at, source: entry.source + first, ..*entry };
        self.entries.extend(harvest.entries.iter().map(moved));
        self.text.push_str(&harvest.text);
        let mut translate = Translation::new(&harvest);
        for source in &harvest.sources {
            let source = translate.source(source, self);
            self.sources.push(source);
        }
        self.ledger.add(harvest.ledger);
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
        let text = std::mem::take(&mut self.text);
        let mut entries = std::mem::take(&mut self.entries);
        entries.par_sort_unstable_by(|a, b| order(a, b, &text));
        let ranks = self.ranks();
        let groups = entries.chunk_by(|a, b| order(a, b, &text).is_eq());
        let mut catalog = Catalog::default();
        let canonical_bytes = |entry: &Entry| usize::from(entry.canonical_bytes);
        let (n, bytes) = groups
            .clone()
            .filter_map(<[Entry]>::first)
            .map(canonical_bytes)
            .fold((0, 0), |(n, bytes), more| (n + 1, bytes + more));
        catalog.values.reserve(n, bytes);
        catalog.stories.reserve_exact(n);
        for group in groups {
            self.indicator(group, &text, &ranks, &mut catalog)?;
        }
        self.sources.shrink_to_fit();
        (catalog.sources, catalog.events, catalog.seen) = (self.sources, self.events, self.seen);
        (catalog.texts, catalog.tags) = (self.strings.texts, self.tags.lists);
        Ok((catalog, self.ledger))
    }

    fn indicator(
        &self,
        group: &[Entry],
        text: &str,
        ranks: &Ranks,
        catalog: &mut Catalog,
    ) -> Result<(), IntelError> {
        let full = IntelError::TooMany { what: "over 4 GiB of values" };
        let Some(first) = group.first() else { return Ok(()) };
        let id = IndicatorId(narrow(catalog.stories.len()));
        let ty = usize::try_from(first.key >> 56).ok().and_then(|ty| IndicatorType::ALL.get(ty));
        if let Some(ty) = ty.filter(|ty| catalog.types.last().is_none_or(|(last, _)| last != *ty)) {
            catalog.types.push((*ty, id));
        }
        let canonical = canonical(first, text);
        let spelling = group.iter().map(|entry| spelling(entry, text)).min().unwrap_or(canonical);
        if catalog.values.push(canonical).is_none() {
            return Err(full);
        }
        if spelling != canonical {
            let number = catalog.spellings.push(spelling).ok_or(full)?;
            catalog.spelled.push((id, number));
        }
        let story = match group {
            [only] => only.source,
            _ => self.story(group, ranks, catalog),
        };
        catalog.stories.push(story);
        Ok(())
    }

    /// Sorts the sources of one indicator; one is told as such, several as a group.
    fn story(&self, group: &[Entry], ranks: &Ranks, catalog: &mut Catalog) -> u32 {
        let mut sources = group.iter().map(|entry| entry.source).collect::<Vec<_>>();
        sources.sort_unstable_by_key(|source| self.source_key(*source, ranks));
        sources.dedup_by_key(|source| self.source_key(*source, ranks));
        if let [only] = sources.as_slice() {
            return *only;
        }
        let at = narrow(catalog.groups.len());
        catalog.groups.push(narrow(sources.len()));
        catalog.groups.extend(sources);
        GROUP | at
    }

    fn source_key(&self, source: u32, ranks: &Ranks) -> impl Ord + use<> {
        let at = |n: u32| n as usize;
        let record = self.sources.get(at(source)).copied().unwrap_or_default();
        let event = ranks.events.get(at(record.event)).copied();
        let tags = ranks.tags.get(at(record.tags)).copied();
        let seen = self.seen.get(at(record.seen)).copied();
        (record.attribute, event, record.timestamp_secs, tags, seen, record.to_ids)
    }

    fn ranks(&self) -> Ranks {
        let text = |number: u32| self.strings.texts.get(number);
        let list = |number: u32| self.tags.lists.get(number).iter().map(|tag| text(*tag));
        let tags = ranked(self.tags.lists.len(), |a, b| list(a).cmp(list(b)));
        let tag_rank = |number: u32| tags.get(number as usize).copied();
        let key = |number: u32| {
            let event = self.events.get(number as usize).copied().unwrap_or_default();
            let texts = [event.info, event.org, event.provider].map(text);
            (event.uuid, event.id, texts, tag_rank(event.tags), event.timestamp_secs)
        };
        let events = ranked(self.events.len(), |a, b| key(a).cmp(&key(b)));
        Ranks { tags, events }
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

/// Positions of events and tag lists in the order of what they say.
struct Ranks {
    tags: Vec<u32>,
    events: Vec<u32>,
}

fn ranked(n: usize, order: impl Fn(u32, u32) -> Ordering) -> Vec<u32> {
    let mut sorted = (0..narrow(n)).collect::<Vec<_>>();
    sorted.sort_unstable_by(|a, b| order(*a, *b));
    let mut ranks = vec![0; n];
    for (rank, number) in (0..).zip(sorted) {
        if let Some(place) = ranks.get_mut(number as usize) {
            *place = rank;
        }
    }
    ranks
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
        SourceRecord { event, tags: self.tags(source.tags, merge), seen, ..*source }
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

fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
