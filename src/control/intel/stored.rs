//! Texts and lists as a finished catalog holds them: never changed, perhaps in a mapped file.

use std::ops::Range;

use crate::control::intel::catalog::Lists;
use crate::control::intel::catalog::Texts;
use crate::model::bytes::index;
use crate::pipeline::matcher::table::Shelf;
use crate::pipeline::matcher::table::Table;

/// Texts by number; number 0 is the empty one.
#[derive(Clone, Debug)]
pub struct StoredTexts {
    bytes: Table<u8>,
    ends: Table<u32>,
}

/// Lists of numbers by number; list 0 is the empty one.
#[derive(Clone, Debug)]
pub struct StoredLists {
    items: Table<u32>,
    ends: Table<u32>,
}

impl StoredTexts {
    /// Returns the text of a number; the empty one where that is damaged.
    pub fn get(&self, number: u32) -> &str {
        let bytes = self.bytes.get(stretch(&self.ends, number)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Returns how many there are, the empty one included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Tells whether there is none but the empty one.
    pub fn is_empty(&self) -> bool {
        self.ends.len() <= 1
    }

    /// Puts its tables on a shelf, or takes them from there.
    pub fn visit(&mut self, name: &'static str, shelf: &mut impl Shelf) {
        shelf.table([name, "ends"], &mut self.ends);
        shelf.table([name, "bytes"], &mut self.bytes);
    }

    /// Tells whether every number has its text.
    pub fn is_whole(&self) -> bool {
        let ends = |number| stretch(&self.ends, number);
        let is_text = |number| {
            let bytes = self.bytes.get(ends(number));
            bytes.is_some_and(|bytes| std::str::from_utf8(bytes).is_ok())
        };
        are_whole(&self.ends, self.bytes.len()) && (0..).take(self.len()).all(is_text)
    }
}

impl StoredLists {
    /// Returns the list of a number; the empty one where that is damaged.
    pub fn get(&self, number: u32) -> &[u32] {
        self.items.get(stretch(&self.ends, number)).unwrap_or_default()
    }

    /// Returns how many there are, the empty one included.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Tells whether there is none but the empty one.
    pub fn is_empty(&self) -> bool {
        self.ends.len() <= 1
    }

    /// Puts its tables on a shelf, or takes them from there.
    pub fn visit(&mut self, name: &'static str, shelf: &mut impl Shelf) {
        shelf.table([name, "ends"], &mut self.ends);
        shelf.table([name, "items"], &mut self.items);
    }

    /// Tells whether every number has its list, of numbers below `below`.
    pub fn is_whole(&self, below: usize) -> bool {
        let is_below = |item: &u32| index(*item) < below;
        are_whole(&self.ends, self.items.len()) && self.items.iter().all(is_below)
    }
}

impl From<Texts> for StoredTexts {
    fn from(texts: Texts) -> Self {
        let (text, ends) = texts.into_parts();
        Self { bytes: text.into_bytes().into(), ends: ends.into() }
    }
}

impl From<Lists> for StoredLists {
    fn from(lists: Lists) -> Self {
        let (items, ends) = lists.into_parts();
        Self { items: items.into(), ends: ends.into() }
    }
}

impl Default for StoredTexts {
    fn default() -> Self {
        Texts::default().into()
    }
}

impl Default for StoredLists {
    fn default() -> Self {
        Lists::default().into()
    }
}

/// Returns where the contents of a number are, when each ends where the next begins.
pub fn stretch(ends: &[u32], number: u32) -> Range<usize> {
    let end = |at: usize| ends.get(at).copied().map_or(0, index);
    let at = index(number);
    at.checked_sub(1).map_or(0, end)..end(at)
}

fn are_whole(ends: &[u32], len: usize) -> bool {
    ends.first() == Some(&0) && ends.last().copied().map(index) == Some(len) && ends.is_sorted()
}
