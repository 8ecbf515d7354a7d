//! Entries that are looked for inside values: substrings and regular expressions, a table for each
//! list.

use aho_corasick::AhoCorasick;
use regex::Regex;
use regex::RegexBuilder;
use regex::RegexSet;
use regex::RegexSetBuilder;

use crate::control::intel::warninglist::read::Mode;
use crate::model::limits::SUBSTRING_BYTES_MIN;
use crate::model::limits::WARNINGLIST_REGEX_BYTES_MAX;
use crate::model::limits::WARNINGLIST_SUBSTRING_BYTES_MAX;

/// Values of several kinds: an expression that all of them have in them leaves nothing.
const EVERYDAY: [&str; 5] = [
    "a.example",
    "192.0.2.1",
    "2001:db8::1",
    "http://b.test/c",
    "d41d8cd98f00b204e9800998ecf8427e",
];

/// What a substring shorter than any is told.
const SHORT: &str = "a substring so short that nearly everything holds it";

/// The tables of all lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Expressions {
    tables: Vec<(u32, u32, Table)>,
}

#[derive(Clone, Debug)]
enum Table {
    Substrings(AhoCorasick),
    Regexes(RegexSet),
}

impl Expressions {
    /// Adds a list's entries where they are of that sort; returns the positions, from 1, of those
    /// that are left out, and why.
    pub(super) fn add(
        &mut self,
        mode: Mode,
        entries: &[String],
        list: u32,
        scope: u32,
    ) -> Vec<(u64, String)> {
        let mut faults = Vec::new();
        let table = match mode {
            Mode::Substring => substrings(entries, &mut faults),
            Mode::Regex => regexes(entries, &mut faults),
            _ => return faults,
        };
        match table {
            Ok(table) => self.tables.push((list, scope, table)),
            Err(why) => faults.push((0, why)),
        }
        faults
    }

    /// Adds the lists of which an entry is inside a text.
    pub(super) fn find(&self, text: &str, scope: u32, out: &mut Vec<u32>) {
        for (list, wanted, table) in &self.tables {
            let is_inside = || match table {
                Table::Substrings(substrings) => substrings.is_match(text),
                Table::Regexes(regexes) => regexes.is_match(text),
            };
            if wanted & scope != 0 && is_inside() {
                out.push(*list);
            }
        }
    }
}

fn substrings(entries: &[String], faults: &mut Vec<(u64, String)>) -> Result<Table, String> {
    let is_long = |entry: &&str| entry.len() >= SUBSTRING_BYTES_MIN;
    let texts = || entries.iter().map(|entry| entry.trim());
    faults.extend(
        (1..).zip(texts()).filter(|(_, e)| !is_long(e)).map(|(at, _)| (at, SHORT.to_owned())),
    );
    let bytes = texts().filter(is_long).map(str::len).sum::<usize>();
    if bytes > WARNINGLIST_SUBSTRING_BYTES_MAX {
        return Err(format!("more than {WARNINGLIST_SUBSTRING_BYTES_MAX} bytes of substrings"));
    }
    let table = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(texts().filter(is_long))
        .map_err(|error| error.to_string())?;
    Ok(Table::Substrings(table))
}

fn regexes(entries: &[String], faults: &mut Vec<(u64, String)>) -> Result<Table, String> {
    let mut good = Vec::new();
    for (at, entry) in (1..).zip(entries) {
        match regex(entry) {
            Ok(regex) => good.push(regex.as_str().to_owned()),
            Err(why) => faults.push((at, why)),
        }
    }
    let mut builder = RegexSetBuilder::new(&good);
    let set = builder.size_limit(WARNINGLIST_REGEX_BYTES_MAX).build();
    set.map(Table::Regexes).map_err(|error| one_line(&error))
}

/// Reads a regular expression as PHP writes it, `/.../flags`, or bare.
fn regex(entry: &str) -> Result<Regex, String> {
    let bare = entry.trim();
    let parts = bare.strip_prefix(['/', '#', '~', '@', '!', '%']).and_then(|inner| {
        let mark = bare.get(..1)?;
        inner.rsplit_once(mark)
    });
    let (text, flags) = parts.unwrap_or((bare, ""));
    let flags = flags.chars().filter(|flag| "imsx".contains(*flag)).collect::<String>();
    let whole = if flags.is_empty() { text.to_owned() } else { format!("(?{flags}){text}") };
    let mut builder = RegexBuilder::new(&whole);
    let regex = builder.size_limit(WARNINGLIST_REGEX_BYTES_MAX).build();
    let regex = regex.map_err(|error| one_line(&error))?;
    if EVERYDAY.iter().all(|value| regex.is_match(value)) {
        return Err("a regular expression that nearly every value has in it".to_owned());
    }
    Ok(regex)
}

/// Says what is wrong with a regular expression, without its picture.
fn one_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    let why = last.trim().trim_start_matches("error: ");
    format!("no regular expression that is read here: {why}")
}
