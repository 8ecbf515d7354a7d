//! Reading lists: `list.json` as the misp-warninglists repository has them, or what MISP answers
//! (`/warninglists/view/N`, `/warninglists`, `/warninglists/export/N`).
//!
//! Spec:   misp-warninglists `schema.json`; MISP's OpenAPI (`WarninglistResponse`,
//!         `WarninglistListResponse`)
//! Reads:  one JSON value
//! Yields: name, mode, category, types and entries of each list in it
//! Bounds: `limits::WARNINGLIST_ENTRIES_MAX` entries, `limits::WARNINGLIST_FILE_BYTES_MAX` bytes of
//!         one file
//! Leaves: versions, descriptions, comments of entries; lists that MISP says are disabled

use std::fmt::Formatter;
use std::fmt::Result as Written;
use std::fs;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use serde::de::Deserialize;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

use crate::control::intel::Fault;
use crate::control::intel::input::Stream;
use crate::control::intel::input::trimmed;
use crate::control::intel::json::Bounded;
use crate::control::intel::json::Flag;
use crate::control::intel::json::fault;
use crate::control::intel::ledger::Damage;
use crate::control::intel::ledger::Spot;
use crate::model::limits::WARNINGLIST_ENTRIES_MAX;
use crate::model::limits::WARNINGLIST_FILE_BYTES_MAX;

/// Folders within folders that are looked into: `lists/NAME/list.json`.
const DEPTH_MAX: usize = 3;

/// How the entries of a list are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Mode {
    /// An entry is the whole value.
    #[default]
    Text,
    /// An entry is in the value.
    Substring,
    /// An entry is the value's host, or a parent of it.
    Hostname,
    /// An entry is around the value, or the value around it.
    Cidr,
    /// An entry fits the value.
    Regex,
}

/// A list as its file has it.
#[derive(Clone, Debug, Default)]
pub(super) struct RawList {
    pub(super) name: String,
    pub(super) mode: Mode,
    pub(super) category: String,
    /// MISP types that it is for; none: all.
    pub(super) types: Vec<String>,
    pub(super) entries: Vec<String>,
}

/// Returns the files of an input: itself, or the lists of a folder.
pub(super) fn files(input: &Path, damage: &mut Vec<Damage>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![(input.to_owned(), 0)];
    if input.join("lists").is_dir() {
        open = vec![(input.join("lists"), 1)];
    }
    while let Some((path, depth)) = open.pop() {
        let read = fs::metadata(&path).and_then(|meta| match meta.is_dir() {
            true => fs::read_dir(&path)?.map(|entry| Ok(entry?.path())).collect(),
            false => Ok(Vec::new()),
        });
        match read {
            Err(error) => damage.push(Damage::unread(&path, Spot::File, error.to_string())),
            Ok(_) if depth == 0 && path.is_file() => files.push(path),
            Ok(inside) => {
                let is_list = |path: &PathBuf| path.extension().is_some_and(|end| end == "json");
                files.extend(inside.iter().filter(|path| path.is_file() && is_list(path)).cloned());
                let folders = inside.into_iter().filter(|path| path.is_dir() && depth < DEPTH_MAX);
                open.extend(folders.map(|folder| (folder, depth + 1)));
            }
        }
    }
    if files.is_empty() && damage.iter().all(|damage| Path::new(&damage.path) != input) {
        let what = "no warninglist in it: lists/NAME/list.json are expected".to_owned();
        damage.push(Damage::unread(input, Spot::File, what));
    }
    files.sort();
    files
}

/// Returns the name of a list's folder, or of its file where that is not `list.json`.
pub(super) fn short_name(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default();
    let folder = || file.parent().and_then(Path::file_name).unwrap_or_default();
    let name = if stem == "list" { folder() } else { stem };
    name.to_string_lossy().into_owned()
}

/// Reads the lists of a file.
///
/// # Errors
/// It is no JSON, or none of a warninglist.
pub(super) fn lists(file: &Path) -> Result<Vec<RawList>, Fault> {
    let mut stream = Stream::open(file)?;
    let mark_bytes = if stream.head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    stream.head.drain(..mark_bytes);
    if stream.head.is_empty() {
        return Err(Fault { spot: Spot::File, what: "empty file".to_owned() });
    }
    let is_many = trimmed(&stream.head).starts_with(b"[");
    let read = Bounded::new(stream.into_read().take(WARNINGLIST_FILE_BYTES_MAX));
    let read = BufReader::new(read);
    let mut all = Vec::new();
    parse(read, is_many)?.into_iter().try_for_each(|node| node.lists(&mut all))?;
    for list in all.iter_mut().filter(|list| list.name.is_empty()) {
        list.name = short_name(file);
    }
    let entries = all.iter().map(|list| list.entries.len()).sum::<usize>();
    if entries > WARNINGLIST_ENTRIES_MAX {
        let what = format!("more than {WARNINGLIST_ENTRIES_MAX} entries");
        return Err(Fault { spot: Spot::File, what });
    }
    if all.is_empty() {
        return Err(Fault { spot: Spot::File, what: "no warninglist in it".to_owned() });
    }
    Ok(all)
}

fn parse(read: impl Read, is_many: bool) -> Result<Vec<Node>, Fault> {
    let parsed = match is_many {
        true => serde_json::from_reader(read),
        false => serde_json::from_reader(read).map(|node| vec![node]),
    };
    parsed.map_err(|error| fault(&error))
}

/// A list, or what MISP wraps it in.
#[derive(serde::Deserialize, Default)]
#[serde(default)]
struct Node {
    name: String,
    r#type: Words,
    category: String,
    matching_attributes: Option<Words>,
    valid_attributes: Option<String>,
    list: Option<Words>,
    enabled: Flag,
    #[serde(rename = "WarninglistEntry")]
    entries: Option<Words>,
    #[serde(rename = "WarninglistType")]
    types: Option<Words>,
    #[serde(rename = "Warninglist")]
    inner: Option<Box<Node>>,
    #[serde(rename = "Warninglists", alias = "response")]
    many: Vec<Node>,
}

impl Node {
    fn lists(self, out: &mut Vec<RawList>) -> Result<(), Fault> {
        let inner = self.inner.into_iter().map(|inner| *inner).chain(self.many);
        inner.into_iter().try_for_each(|inner| inner.lists(out))?;
        let is_off = self.enabled.0 == Some(false);
        let entries = match self.list.or(self.entries) {
            Some(Words { is_one_text: true, .. }) if !is_off => {
                let what = "its entries are one text: a list of texts is expected".to_owned();
                return Err(Fault { spot: Spot::File, what });
            }
            Some(Words { texts, .. }) if !is_off => texts,
            None if !is_off && !self.name.is_empty() => {
                let what = format!("{:?} comes without its entries: fetch it by its id", self.name);
                return Err(Fault { spot: Spot::File, what });
            }
            _ => return Ok(()),
        };
        let valid = self.valid_attributes.unwrap_or_default();
        let valid = valid.split(',').map(|name| name.trim().to_owned());
        let types = self.matching_attributes.or(self.types).map(|types| types.texts);
        let types = types.unwrap_or_else(|| valid.filter(|name| !name.is_empty()).collect());
        let mode = mode(self.r#type.texts.first().map_or("string", String::as_str))?;
        out.push(RawList { name: self.name, mode, category: self.category, types, entries });
        Ok(())
    }
}

fn mode(name: &str) -> Result<Mode, Fault> {
    match name {
        "string" => Ok(Mode::Text),
        "substring" => Ok(Mode::Substring),
        "hostname" => Ok(Mode::Hostname),
        "cidr" => Ok(Mode::Cidr),
        "regex" => Ok(Mode::Regex),
        _ => {
            let what = format!("entries of type {name:?} are not known: it is not used");
            Err(Fault { spot: Spot::File, what })
        }
    }
}

/// Texts: one, a list of them, the keys of an object (values are comments), or what MISP wraps each
/// in.
#[derive(Default)]
struct Words {
    texts: Vec<String>,
    /// It was one text, and no list.
    is_one_text: bool,
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut Formatter<'_>) -> Written {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Words { texts: vec![text.to_owned()], is_one_text: true })
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Words { texts: vec![number.to_string()], is_one_text: true })
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Words::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(Word(text)) = seq.next_element()? {
            push(&mut texts, text)?;
        }
        Ok(Words { texts, is_one_text: false })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some((text, _)) = map.next_entry::<String, IgnoredAny>()? {
            push(&mut texts, text)?;
        }
        Ok(Words { texts, is_one_text: false })
    }
}

fn push<E: Error>(texts: &mut Vec<String>, text: String) -> Result<(), E> {
    if texts.len() >= WARNINGLIST_ENTRIES_MAX {
        return Err(E::custom(format!("more than {WARNINGLIST_ENTRIES_MAX} entries")));
    }
    texts.push(text);
    Ok(())
}

/// One text, number, or an object that has it as `value` or `type`.
struct Word(String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(WordVisitor).map(Self)
    }
}

struct WordVisitor;

impl<'de> Visitor<'de> for WordVisitor {
    type Value = String;

    fn expecting(&self, f: &mut Formatter<'_>) -> Written {
        f.write_str("an entry")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_unit<E: Error>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let mut text = String::new();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "value" | "type" => Word(text) = map.next_value()?,
                _ => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(text)
    }
}
