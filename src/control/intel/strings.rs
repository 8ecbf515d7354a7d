//! Interned strings and lists: each is kept once and known by a number.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::control::intel::catalog::Lists;
use crate::control::intel::catalog::Texts;

/// Texts kept once; number 0 is the empty one.
#[derive(Clone, Debug, Default)]
pub struct Strings {
    /// The texts so far.
    pub texts: Texts,
    table: HashTable<u32>,
    hasher: RandomState,
}

/// Lists of numbers kept once; number 0 is the empty one.
#[derive(Clone, Debug, Default)]
pub struct ListTable {
    /// The lists so far.
    pub lists: Lists,
    table: HashMap<Box<[u32]>, u32, RandomState>,
}

impl Strings {
    /// Returns the number of a text, the same for the same text; 0 when memory's bound is reached.
    pub fn intern(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let hash = self.hasher.hash_one(text);
        let Self { texts, table, hasher } = self;
        if let Some(number) = table.find(hash, |number| texts.get(*number) == text) {
            return *number;
        }
        let Some(number) = texts.push(text) else { return 0 };
        table.insert_unique(hash, number, |number| hasher.hash_one(texts.get(*number)));
        number
    }
}

impl Strings {
    /// Returns the number of a text that is known.
    pub fn find(&self, text: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        self.table.find(hash, |number| self.texts.get(*number) == text).copied()
    }
}

impl ListTable {
    /// Returns the number of a list, the same for the same list; 0 when memory's bound is reached.
    pub fn intern(&mut self, list: &[u32]) -> u32 {
        if list.is_empty() {
            return 0;
        }
        if let Some(number) = self.table.get(list) {
            return *number;
        }
        let Some(number) = self.lists.push(list) else { return 0 };
        self.table.insert(list.into(), number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_number() {
        let mut strings = Strings::default();
        assert_eq!(strings.intern(""), 0);
        let a = strings.intern("evil");
        let b = strings.intern("worse");
        assert_eq!((strings.intern("evil"), strings.intern("worse")), (a, b));
        assert_eq!((strings.texts.get(a), strings.texts.get(b)), ("evil", "worse"));
    }

    #[test]
    fn a_list_has_one_number() {
        let mut lists = ListTable::default();
        let a = lists.intern(&[1, 2]);
        assert_ne!(a, lists.intern(&[2, 1]));
        assert_eq!((lists.intern(&[1, 2]), lists.intern(&[])), (a, 0));
        assert_eq!(lists.lists.get(a), [1, 2]);
    }
}
