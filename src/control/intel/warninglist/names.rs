//! Entries that are looked up whole: each text once, with all lists that have it.

use crate::control::intel::strings::ListTable;
use crate::control::intel::strings::Strings;

/// Texts in lower case, and the lists that have them.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    texts: Strings,
    /// For each text the number of its list of lists.
    sets: Vec<u32>,
    lists: ListTable,
}

impl Named {
    /// Adds a text of a list; lists come in order.
    pub(super) fn add(&mut self, text: &str, list: u32) {
        let number = self.texts.intern(text) as usize;
        if self.sets.len() <= number {
            self.sets.resize(number + 1, 0);
        }
        let Some(set) = self.sets.get_mut(number) else { return };
        let before = self.lists.lists.get(*set);
        if before.last() != Some(&list) {
            let with = before.iter().copied().chain([list]).collect::<Vec<_>>();
            *set = self.lists.intern(&with);
        }
    }

    /// Returns the lists that have a text.
    pub(super) fn find(&self, text: &str) -> &[u32] {
        let number = self.texts.find(text).map(|number| number as usize);
        let set = number.and_then(|number| self.sets.get(number));
        set.map(|set| self.lists.lists.get(*set)).unwrap_or_default()
    }
}
