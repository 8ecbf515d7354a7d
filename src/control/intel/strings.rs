//! Interned strings: each text is kept once and known by a number.

use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Texts kept once; number 0 is the empty one.
#[derive(Clone, Debug)]
pub struct Strings {
    text: String,
    ends: Vec<u32>,
    table: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
}

impl Strings {
    /// Returns the number of a text, the same for the same text.
    pub fn intern(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let hash = self.hasher.hash_one(text);
        let Self { text: all, ends, table, hasher } = self;
        if let Some(id) = table.find(hash, |id| text_of(all, ends, *id) == text) {
            return *id;
        }
        let (Ok(id), Ok(end)) = (u32::try_from(ends.len()), u32::try_from(all.len() + text.len()))
        else {
            return 0;
        };
        all.push_str(text);
        ends.push(end);
        table.insert_unique(hash, id, |id| hasher.hash_one(text_of(all, ends, *id)));
        id
    }

    /// Returns the text of a number.
    pub fn text(&self, id: u32) -> &str {
        text_of(&self.text, &self.ends, id)
    }

    /// Gives spare memory back; nothing is interned afterwards without paying for it again.
    pub fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

impl Default for Strings {
    fn default() -> Self {
        Self {
            text: String::new(),
            ends: vec![0],
            table: HashTable::new(),
            hasher: foldhash::fast::RandomState::default(),
        }
    }
}

fn text_of<'a>(all: &'a str, ends: &[u32], id: u32) -> &'a str {
    let at = usize::try_from(id).unwrap_or(usize::MAX);
    let end = |at: usize| ends.get(at).and_then(|end| usize::try_from(*end).ok());
    let from = at.checked_sub(1).map_or(Some(0), end);
    match (from, end(at)) {
        (Some(from), Some(to)) => all.get(from..to).unwrap_or_default(),
        _ => "",
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
        assert_eq!((strings.text(0), strings.text(a), strings.text(b)), ("", "evil", "worse"));
        assert_eq!(strings.text(99), "");
    }
}
