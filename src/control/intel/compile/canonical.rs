//! The canonical order: texts, tag lists, times, events and sources are numbered by what they say,
//! so that the same indicators have the same numbers whatever order they came in.

use rayon::slice::ParallelSliceMut;

use crate::control::intel::catalog::EventRecord;
use crate::control::intel::catalog::Lists;
use crate::control::intel::catalog::SourceRecord;
use crate::control::intel::catalog::Texts;
use crate::control::intel::compile::merge::Merge;
use crate::model::bytes::narrow;

/// Everything that sources name, each once and in order.
pub(super) struct Canonical {
    pub(super) texts: Texts,
    pub(super) tags: Lists,
    pub(super) seen: Vec<[u64; 2]>,
    pub(super) events: Vec<EventRecord>,
    pub(super) sources: Vec<SourceRecord>,
    /// The new number of each source.
    pub(super) places: Vec<u32>,
}

impl Canonical {
    /// Orders what a merge holds; `None` when memory's bound is reached.
    pub(super) fn new(merge: &Merge) -> Option<Self> {
        let strings = &merge.strings.texts;
        let texts = (0..narrow(strings.len())).map(|n| strings.get(n)).collect::<Vec<_>>();
        let (texts, text_places) = in_order(&texts);
        let text = |number| place(&text_places, number);

        let lists = &merge.tags.lists;
        let list = |number| lists.get(number).iter().map(|tag| text(*tag)).collect::<Vec<_>>();
        let lists = (0..narrow(lists.len())).map(list).collect::<Vec<_>>();
        let lists = lists.iter().map(Vec::as_slice).collect::<Vec<_>>();
        let (lists, list_places) = in_order(&lists);

        let seen = merge.seen.iter().map(|(first, last)| [first.0, last.0]).collect::<Vec<_>>();
        let (seen, seen_places) = in_order(&seen);

        let event = |event: &EventRecord| EventRecord {
            info: text(event.info),
            org: text(event.org),
            provider: text(event.provider),
            tags: place(&list_places, event.tags),
            ..*event
        };
        let (events, event_places) = in_order(&merge.events.iter().map(event).collect::<Vec<_>>());

        let source = |source: &SourceRecord| SourceRecord {
            event: place(&event_places, source.event),
            tags: place(&list_places, source.tags),
            seen: place(&seen_places, source.seen),
            comment: text(source.comment),
            ..*source
        };
        let (sources, places) = in_order(&merge.sources.iter().map(source).collect::<Vec<_>>());

        let (mut all_texts, mut all_tags) = (Texts::default(), Lists::default());
        // number 0, the empty one, is there already
        texts.iter().skip(1).try_for_each(|text| all_texts.push(text).map(|_| ()))?;
        lists.iter().skip(1).try_for_each(|list| all_tags.push(list).map(|_| ()))?;
        Some(Self { texts: all_texts, tags: all_tags, seen, events, sources, places })
    }
}

/// Sorts items, each once; returns them and the place of each item that there was.
fn in_order<T: Ord + Copy + Sync>(items: &[T]) -> (Vec<T>, Vec<u32>) {
    let at = |number: &u32| items.get(*number as usize);
    let mut order = (0..narrow(items.len())).collect::<Vec<_>>();
    order.par_sort_unstable_by(|a, b| at(a).cmp(&at(b)));
    let mut kept = Vec::new();
    let mut places = vec![0; items.len()];
    for number in order {
        let Some(item) = at(&number) else { continue };
        if kept.last() != Some(item) {
            kept.push(*item);
        }
        if let Some(place) = places.get_mut(number as usize) {
            *place = narrow(kept.len() - 1);
        }
    }
    (kept, places)
}

fn place(places: &[u32], number: u32) -> u32 {
    places.get(number as usize).copied().unwrap_or_default()
}
