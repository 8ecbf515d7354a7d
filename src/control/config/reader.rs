//! Reading a TOML table key by key: every problem of a file is kept, with its place.

use std::fmt;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

/// How alike two names are, at least, for one to be offered for the other.
const ALIKE_MIN: f64 = 0.6;

/// The highest number of a CPU that the kernel's interface knows by default.
const CPU_MAX: u16 = 1_023;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// 1-based line.
    pub line: usize,
    /// 1-based column, in characters.
    pub column: usize,
    /// What is wrong, and what to do.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.what)
    }
}

/// The problems of one file.
#[derive(Debug)]
pub(super) struct Problems<'t> {
    text: &'t str,
    found: Vec<Problem>,
}

impl<'t> Problems<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    /// Notes a problem at a byte of the text.
    pub(super) fn note(&mut self, at: usize, what: impl Into<String>) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        self.found.push(Problem { line, column, what: what.into() });
    }

    /// Returns them in the order of the text.
    pub(super) fn sorted(mut self) -> Vec<Problem> {
        self.found.sort();
        self.found.dedup();
        self.found
    }
}

/// One table: keys are taken by name; what nobody takes is unknown.
pub(super) struct Section<'t, 'p> {
    name: &'static str,
    table: &'t DeTable<'t>,
    at: usize,
    known: Vec<&'static str>,
    problems: &'p mut Problems<'t>,
}

impl<'t, 'p> Section<'t, 'p> {
    /// Begins a table that begins at a byte of the text.
    pub(super) fn new(
        name: &'static str,
        at: usize,
        table: &'t DeTable<'t>,
        problems: &'p mut Problems<'t>,
    ) -> Self {
        Self { name, table, at, known: Vec::new(), problems }
    }

    /// Returns a text, or the default.
    pub(super) fn text(&mut self, key: &'static str, default: &str) -> String {
        self.optional_text(key).unwrap_or_else(|| default.to_owned())
    }

    /// Returns a text, where there is one.
    pub(super) fn optional_text(&mut self, key: &'static str) -> Option<String> {
        let value = self.value(key)?;
        match value.get_ref().as_str() {
            Some(text) => self.plain(value.span().start, key, text),
            None => self.wrong(value, key, "a text in quotes"),
        }
    }

    /// Returns a text, unless something in it is no character that people write: no name, path or
    /// address has any. A filter may have several lines.
    fn plain(&mut self, at: usize, key: &str, text: &str) -> Option<String> {
        let is_odd = |c: char| c.is_control() && !(key == "filter" && c.is_whitespace());
        let Some(odd) = text.chars().find(|c| is_odd(*c)) else { return Some(text.to_owned()) };
        let what = format!("{key}: a control character ({}) is in it", odd.escape_default());
        self.problems.note(at, format!("{what}: take it out"));
        None
    }

    /// Returns a text that must be there and say something.
    pub(super) fn required_text(&mut self, key: &'static str) -> String {
        let text = self.optional_text(key);
        match self.value(key) {
            None => self.problems.note(self.at, format!("[{}] needs `{key}`", self.name)),
            Some(value) if text.as_deref() == Some("") => {
                let what = format!("{key}: empty, and [{}] needs it: fill it in", self.name);
                self.problems.note(value.span().start, what);
            }
            // what else is wrong with it was told
            Some(_) => {}
        }
        text.unwrap_or_default()
    }

    /// Returns a whole number within bounds, or the default.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: u32,
        bounds: RangeInclusive<u32>,
    ) -> u32 {
        let Some(value) = self.value(key) else { return default };
        let number = value.get_ref().as_integer();
        let number = number.and_then(|n| u32::from_str_radix(n.as_str(), n.radix()).ok());
        let wanted = || format!("a whole number from {} to {}", bounds.start(), bounds.end());
        number
            .filter(|number| bounds.contains(number))
            .or_else(|| self.wrong(value, key, &wanted()))
            .unwrap_or(default)
    }

    /// Returns true or false, or the default.
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.value(key) else { return default };
        let flag = value.get_ref().as_bool();
        flag.or_else(|| self.wrong(value, key, "true or false")).unwrap_or(default)
    }

    /// Returns what one of some words stands for, where there is one.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, known: &[(&str, T)]) -> Option<T> {
        let word = self.optional_text(key)?;
        let found = known.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            self.note(key, format!("`{word}` is none: {} are", names.join(" and ")));
        }
        found
    }

    /// Returns numbers of CPUs.
    pub(super) fn cpus(&mut self, key: &'static str) -> Vec<u16> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            let wanted = "a list of numbers of CPUs, as [2, 3],";
            return self.wrong(value, key, wanted).unwrap_or_default();
        };
        let mut cpus = Vec::new();
        let mut is_sound = true;
        for item in list.iter() {
            let number = item.get_ref().as_integer();
            let number = number.and_then(|n| u16::from_str_radix(n.as_str(), n.radix()).ok());
            let wanted = || format!("a number of a CPU from 0 to {CPU_MAX}");
            let cpu = number.filter(|number| *number <= CPU_MAX);
            let cpu = cpu.or_else(|| self.wrong(item, key, &wanted()));
            is_sound &= cpu.is_some();
            cpus.extend(cpu);
        }
        // what is wrong with their number may come of that alone
        if is_sound { cpus } else { Vec::new() }
    }

    /// Returns texts with the place of each.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<(usize, String)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(list) = value.get_ref().as_array() else {
            return self.wrong(value, key, "a list of texts").unwrap_or_default();
        };
        let text = |item: &Spanned<DeValue<'t>>| {
            Some((item.span().start, item.get_ref().as_str()?.to_owned()))
        };
        let Some(texts) = list.iter().map(text).collect::<Option<Vec<_>>>() else {
            return self.wrong(value, key, "a list of texts").unwrap_or_default();
        };
        let plain = |(at, text): (usize, String)| Some((at, self.plain(at, key, &text)?));
        texts.into_iter().filter_map(plain).collect()
    }

    /// Reads a table inside this one; an empty one where it is absent.
    pub(super) fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Section<'t, '_>) -> T,
    ) -> Option<T> {
        let value = self.value(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(read(Section::new(key, value.span().start, table, self.problems))),
            None => self.wrong(value, key, &format!("a table: [{key}]")),
        }
    }

    /// Reads a list of tables inside this one.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(Section<'t, '_>) -> T,
    ) -> Vec<T> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let all = value.get_ref().as_array().and_then(|list| {
            list.iter()
                .map(|item| Some((item.span().start, item.get_ref().as_table()?)))
                .collect::<Option<Vec<_>>>()
        });
        let Some(all) = all else {
            return self.wrong(value, key, &format!("tables: [[{key}]]")).unwrap_or_default();
        };
        all.into_iter()
            .map(|(at, table)| read(Section::new(key, at, table, self.problems)))
            .collect()
    }

    /// Tells whether a key is there.
    pub(super) fn has(&mut self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// Returns the byte of the text where the table begins.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Notes a problem with the value of a key.
    pub(super) fn note(&mut self, key: &'static str, what: impl fmt::Display) {
        let place = self.value(key).map_or(self.at, |value| value.span().start);
        self.problems.note(place, format!("{key}: {what}"));
    }

    /// Notes a problem at a byte of the text.
    pub(super) fn note_at(&mut self, at: usize, what: impl fmt::Display) {
        self.problems.note(at, what.to_string());
    }

    /// Ends the table: keys that nobody took are unknown.
    pub(super) fn end(self) {
        for (key, _) in self.table.iter() {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let near = nearest(name, &self.known);
            let hint = near
                .map(|near| format!(": did you mean `{near}`?"))
                .unwrap_or_else(|| format!(": known are {}", self.known.join(", ")));
            let place = if self.name.is_empty() { "" } else { " in " };
            let what = format!("unknown key `{name}`{place}{}{hint}", self.name);
            self.problems.note(key.span().start, what);
        }
    }

    fn value(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.iter().find(|(known, _)| known.get_ref() == key).map(|(_, value)| value)
    }

    fn wrong<T>(&mut self, value: &Spanned<DeValue<'_>>, key: &str, wanted: &str) -> Option<T> {
        let got = match value.get_ref().as_integer() {
            Some(number) => number.as_str().to_owned(),
            None => format!("this {}", value.get_ref().type_str()),
        };
        self.problems.note(value.span().start, format!("{key}: {wanted} is wanted, not {got}"));
        None
    }
}

/// Returns the known name that is most like a given one, if any is.
pub(super) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let likeness = |known: &&&str| strsim::jaro_winkler(name, known);
    let best = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (strsim::jaro_winkler(name, best) >= ALIKE_MIN).then_some(*best)
}
