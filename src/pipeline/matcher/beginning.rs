//! Beginnings of URLs: a URL is looked up at each border that some indicator's length reaches.
//!
//! Bounds: as many look-ups as the indicators have lengths, however many borders a URL has

use crate::model::indicator::IndicatorId;
use crate::model::url::begins_on_border;
use crate::pipeline::matcher::exact::Row;
use crate::pipeline::matcher::exact::Tag;
use crate::pipeline::matcher::exact::Texts;
use crate::pipeline::matcher::table::Shelf;
use crate::pipeline::matcher::table::Table;

const BITS: usize = 64;

/// Hosts with the beginnings of targets, up to a border.
#[derive(Clone, Debug, Default)]
pub(super) struct UrlBeginnings {
    texts: Texts,
    /// Until `finish`.
    added_lengths: Vec<u64>,
    /// Bit `n` is set where some indicator has `n` bytes.
    lengths: Table<u64>,
}

impl UrlBeginnings {
    /// Adds a host and the beginning of a target.
    pub(super) fn add(&mut self, key: &str, id: IndicatorId, tag: Tag, port: u16) {
        self.texts.add(key, id, tag, port);
        let word = key.len().checked_div(BITS).unwrap_or(0);
        if self.added_lengths.len() <= word {
            self.added_lengths.resize(word.saturating_add(1), 0);
        }
        let bit = bit(key.len().checked_rem(BITS).unwrap_or(0));
        self.added_lengths.get_mut(word).into_iter().for_each(|word| *word |= bit);
    }

    /// Builds the tables.
    pub(super) fn finish(&mut self, seed: u64) {
        self.texts.finish(seed);
        self.lengths = std::mem::take(&mut self.added_lengths).into();
    }

    /// Finds the beginnings of a URL's host and target.
    pub(super) fn find<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = Row> {
        let lengths = self.lengths.iter().enumerate().filter(|(_, word)| **word != 0);
        let lengths = lengths.flat_map(|(at, word)| {
            let set = (0..BITS).filter(move |n| word & bit(*n) != 0);
            set.map(move |n| at.saturating_mul(BITS).saturating_add(n))
        });
        let fitting = lengths.take_while(|len| *len <= key.len());
        let beginnings = fitting.filter_map(|len| key.get(..len));
        let on_border = beginnings.filter(|beginning| begins_on_border(key, beginning));
        on_border.flat_map(|beginning| self.texts.find(beginning))
    }

    /// Puts its tables on a shelf, or takes them from there.
    pub(super) fn visit(&mut self, name: &'static str, shelf: &mut impl Shelf) {
        self.texts.visit(name, shelf);
        shelf.table([name, "lengths"], &mut self.lengths);
    }

    /// Checks that all entries can be found and name one of `ids` indicators.
    pub(super) fn verify(&self, ids: u32) -> Result<(), &'static str> {
        self.texts.verify(ids)?;
        let is_known = |len: usize| {
            let word = self.lengths.get(len.checked_div(BITS).unwrap_or(0));
            word.is_some_and(|word| word & bit(len.checked_rem(BITS).unwrap_or(0)) != 0)
        };
        let whole = self.texts.rows().all(|(text, _)| is_known(text.len()));
        whole.then_some(()).ok_or("an entry's length is not looked for")
    }
}

fn bit(n: usize) -> u64 {
    u32::try_from(n).ok().and_then(|n| 1_u64.checked_shl(n)).unwrap_or(0)
}
