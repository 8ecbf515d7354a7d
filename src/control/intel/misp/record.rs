//! The lines of a mirror: one JSON object each, short keys, the UUID first.
//!
//! A base file is a header, the events, then the attributes, and their number, so that a cut shows;
//! a delta file the same with what has changed since. What is of no use to matching is not kept,
//! and what is as usual is not written.

use std::borrow::Cow;
use std::io;
use std::io::Write;

use serde::Deserialize;
use serde::Serialize;

use crate::control::intel::Sibling;
use crate::control::intel::harvest::cut;
use crate::control::intel::json::Found;
use crate::control::intel::json::Story;
use crate::control::intel::json::TAG_END;
use crate::control::intel::mate::Mate;
use crate::control::intel::mate::Told;
use crate::control::intel::uuid::Uuid;

/// Begins every file of a mirror.
pub const MAGIC: &[u8] = b"{\"tapsieve_misp\":";

/// The form of the lines.
pub const FORM: u32 = 3;

/// Bytes of a value that are kept: one that is longer than an indicator may be (64 KiB) is told to
/// be so by the rest of it.
const VALUE_BYTES_MAX: usize = 70_000;

/// Bytes of a comment or title: alerts show no more.
const TEXT_BYTES_MAX: usize = 1_024;

/// Bytes of any other text of an attribute: type names and dates are short.
const WORD_BYTES_MAX: usize = 256;

/// Bytes of the tags of one event or attribute that are kept, a thousand of the longest: a line
/// must stay under `lines`' bound.
const TAGS_BYTES_MAX: usize = 256 * 1024;

/// Begins the lines of events and of attributes; the UUID follows.
const EVENT: &[u8] = b"{\"e\":\"";
const ATTRIBUTE: &[u8] = b"{\"a\":\"";
const UUID_BYTES: usize = 36;

/// Begins the last line of a file; the number of its attributes follows.
const END: &[u8] = b"{\"end\":";

/// The first line of a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// The form of the lines.
    #[serde(rename = "tapsieve_misp")]
    pub form: u32,
    /// Number of the base; that of a delta is its base's.
    pub id: u64,
    /// It is a delta.
    pub delta: bool,
    /// What was asked for: with another question the base is another.
    pub question: String,
    /// The server, without credentials.
    pub provider: String,
    /// Lines of events that follow.
    pub events: u64,
    /// The server's time, in seconds since 1970, from which on changes are missing.
    pub since_secs: u64,
    /// Which attributes match, as the server's settings say.
    pub filter: FilterLine,
}

/// The part of a filter that is a server's own.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FilterLine {
    /// Takes nothing of events that are not published.
    pub published_only: bool,
    /// Rules of tags, as they are configured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The strictest marking that is taken, as it is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tlp: Option<String>,
}

/// An event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EventLine {
    /// UUID.
    #[serde(rename = "e")]
    pub uuid: String,
    /// Number on its server.
    #[serde(rename = "i", default)]
    pub id: u64,
    /// Seconds since 1970 of its last change.
    #[serde(rename = "t", default)]
    pub timestamp_secs: u32,
    /// The organisation that made it.
    #[serde(rename = "o", default)]
    pub org: String,
    /// Title.
    #[serde(rename = "n", default)]
    pub info: String,
    /// Published; absent where nothing says.
    #[serde(rename = "p", default)]
    pub published: Option<bool>,
    /// Seconds since 1970 of its last publishing.
    #[serde(rename = "b", default, skip_serializing_if = "is_zero")]
    pub published_secs: u64,
    /// How many attributes it has on its server, those that are not asked for included; 0 where
    /// nothing says.
    #[serde(rename = "c", default, skip_serializing_if = "is_zero")]
    pub attributes: u64,
    /// Tags.
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// An attribute.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AttributeLine<'a> {
    /// UUID.
    #[serde(rename = "a", borrow)]
    pub uuid: Cow<'a, str>,
    /// Its event's UUID.
    #[serde(rename = "e", borrow, default, skip_serializing_if = "str::is_empty")]
    pub event: Cow<'a, str>,
    /// Its event's number, where the UUID is not told.
    #[serde(rename = "n", default, skip_serializing_if = "is_zero")]
    pub event_id: u64,
    /// MISP type.
    #[serde(rename = "y", borrow)]
    pub kind: Cow<'a, str>,
    /// Value.
    #[serde(rename = "v", borrow)]
    pub value: Cow<'a, str>,
    /// Seconds since 1970 of its last change.
    #[serde(rename = "t", default)]
    pub timestamp_secs: u32,
    /// Not for detection.
    #[serde(rename = "x", default, skip_serializing_if = "is_false")]
    pub not_for_ids: bool,
    /// Soft-deleted.
    #[serde(rename = "d", default, skip_serializing_if = "is_false")]
    pub deleted: bool,
    /// Its time is over by MISP's decaying models.
    #[serde(rename = "z", default, skip_serializing_if = "is_false")]
    pub decayed: bool,
    /// Relation in its object.
    #[serde(rename = "r", borrow, default, skip_serializing_if = "str::is_empty")]
    pub relation: Cow<'a, str>,
    /// Name of its object's template.
    #[serde(rename = "o", borrow, default, skip_serializing_if = "str::is_empty")]
    pub object: Cow<'a, str>,
    /// What its object says of it: `-` nothing, `ja3s`, `port` that it is its addresses', `ports`
    /// that it is meant with those of its end, `half` with a name or address; after `ja4:` the
    /// type.
    #[serde(rename = "s", borrow, default, skip_serializing_if = "str::is_empty")]
    pub sibling: Cow<'a, str>,
    /// The ports, addresses or names that it is meant with.
    #[serde(rename = "m", borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub mates: Vec<Mate<'a>>,
    /// Comment.
    #[serde(rename = "c", borrow, default, skip_serializing_if = "str::is_empty")]
    pub comment: Cow<'a, str>,
    /// First seen.
    #[serde(rename = "f", borrow, default, skip_serializing_if = "str::is_empty")]
    pub first_seen: Cow<'a, str>,
    /// Last seen.
    #[serde(rename = "l", borrow, default, skip_serializing_if = "str::is_empty")]
    pub last_seen: Cow<'a, str>,
    /// The end that sightings set.
    #[serde(rename = "u", borrow, default, skip_serializing_if = "str::is_empty")]
    pub valid_until: Cow<'a, str>,
    /// Sightings, and those that call it a false positive.
    #[serde(rename = "k", default, skip_serializing_if = "is_none_seen")]
    pub sightings: [u32; 2],
    /// Tags of its own.
    #[serde(rename = "g", borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Cow<'a, str>>,
}

/// What a line is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineOf {
    /// An event.
    Event(Uuid),
    /// An attribute.
    Attribute(Uuid),
    /// Nothing: it is the last, after so many attributes.
    End(u64),
}

impl LineOf {
    /// Looks at the beginning of a line; `None`: it is none of a mirror.
    pub fn read(line: &[u8]) -> Option<Self> {
        let uuid = |rest: &[u8]| {
            let text = std::str::from_utf8(rest.get(..UUID_BYTES)?).ok()?;
            Some(Uuid::from_text(text)).filter(|uuid| uuid.is_some())
        };
        if let Some(rest) = line.strip_prefix(ATTRIBUTE) {
            return uuid(rest).map(Self::Attribute);
        }
        if let Some(rest) = line.strip_prefix(EVENT) {
            return uuid(rest).map(Self::Event);
        }
        let rest = line.trim_ascii_end().strip_prefix(END)?.strip_suffix(b"}")?;
        std::str::from_utf8(rest).ok()?.parse().ok().map(Self::End)
    }
}

impl EventLine {
    /// Returns about how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        let tags = self.tags.iter().map(|tag| tag.len() + size_of::<String>());
        size_of::<Self>() + self.org.len() + self.info.len() + tags.sum::<usize>()
    }

    /// Returns what is kept of an event; `None` where it has no UUID.
    pub fn of(story: &Story) -> Option<Self> {
        let uuid = Some(Uuid::from_text(&story.uuid)).filter(|uuid| uuid.is_some())?;
        let org = if story.orgc.is_empty() { &story.org } else { &story.orgc };
        Some(Self {
            uuid: uuid.to_string(),
            id: story.id.0,
            timestamp_secs: story.timestamp.secs().unwrap_or(0),
            org: cut(org, TEXT_BYTES_MAX).to_owned(),
            info: cut(&story.info, TEXT_BYTES_MAX).to_owned(),
            published: story.published.0,
            published_secs: story.published_secs.0,
            attributes: story.attributes.0,
            tags: tags(&story.tags).map(str::to_owned).collect(),
        })
    }

    /// Tells whether alerts and matching are the same with another line of it.
    pub fn means(&self, other: &Self) -> bool {
        let (published_secs, attributes) = (other.published_secs, other.attributes);
        Self { published_secs, attributes, ..self.clone() } == *other
    }

    /// Tells whether it holds the same attributes as when another line of it was told.
    pub fn holds(&self, other: &Self) -> bool {
        (self.timestamp_secs, self.attributes) == (other.timestamp_secs, other.attributes)
    }
}

impl<'a> AttributeLine<'a> {
    /// Returns what is kept of an attribute; `None` where it has no UUID.
    pub fn of(found: &'a Found<'a>, event: &'a str) -> Option<Self> {
        let (parts, object) = (found.parts, found.object);
        let uuid = Some(Uuid::from_text(&parts.uuid)).filter(|uuid| uuid.is_some())?;
        let event = Uuid::from_text(event);
        let word = |text: &'a str| Cow::Borrowed(cut(text, WORD_BYTES_MAX));
        let sibling = match found.sibling {
            // none says anything of what is in none
            Sibling::Unknown if parts.in_object.0 == Some(false) => Cow::Borrowed("-"),
            Sibling::Unknown => Cow::Borrowed(""),
            Sibling::Silent => Cow::Borrowed("-"),
            Sibling::Ja3s => Cow::Borrowed("ja3s"),
            Sibling::Ja4Type(ty) => Cow::Owned(format!("ja4:{}", cut(ty, WORD_BYTES_MAX))),
            Sibling::OfAddress(_) => Cow::Borrowed("port"),
            Sibling::Ports(_) => Cow::Borrowed("ports"),
            Sibling::Half(_) => Cow::Borrowed("half"),
        };
        Some(Self {
            uuid: Cow::Owned(uuid.to_string()),
            event: if event.is_some() { Cow::Owned(event.to_string()) } else { Cow::Borrowed("") },
            event_id: if event.is_some() { 0 } else { parts.event_id.0 },
            kind: word(&parts.kind),
            value: Cow::Borrowed(cut(&parts.value, VALUE_BYTES_MAX)),
            timestamp_secs: parts.timestamp.secs().unwrap_or(0),
            not_for_ids: parts.to_ids.0 == Some(false),
            deleted: [parts.deleted, object.deleted].iter().any(|flag| flag.0 == Some(true)),
            decayed: parts.decayed.0 == Some(true),
            relation: word(&parts.relation),
            object: word(found.object_name()),
            sibling,
            mates: mates(found.sibling.mates()),
            comment: Cow::Borrowed(cut(parts.comment.trim(), TEXT_BYTES_MAX)),
            first_seen: word(&parts.first_seen),
            last_seen: word(&parts.last_seen),
            valid_until: word(&parts.valid_until),
            sightings: parts.sightings.counts,
            tags: tags(&parts.tags).map(Cow::Borrowed).collect(),
        })
    }

    /// Returns what its object says of it.
    pub fn said_by_object(&self) -> Sibling<'_> {
        match self.sibling.split_once(':') {
            Some(("ja4", ty)) => Sibling::Ja4Type(ty),
            None if self.sibling == "-" => Sibling::Silent,
            None if self.sibling == "ja3s" => Sibling::Ja3s,
            None if self.sibling == "port" => Sibling::OfAddress(&self.mates),
            None if self.sibling == "ports" => Sibling::Ports(&self.mates),
            None if self.sibling == "half" => Sibling::Half(&self.mates),
            _ => Sibling::Unknown,
        }
    }

    /// Takes over what an earlier line knows of its object, and this one does not: searches for
    /// attributes do not tell it.
    pub fn complete(&mut self, before: AttributeLine<'_>) {
        if self.object.is_empty() && self.sibling.is_empty() {
            self.object = Cow::Owned(before.object.into_owned());
            self.sibling = Cow::Owned(before.sibling.into_owned());
            self.mates = before.mates.into_iter().map(Mate::into_owned).collect();
        }
    }
}

/// Puts a line and its end into memory, instead of what was there.
pub fn write(line: &impl Serialize, to: &mut Vec<u8>) {
    to.clear();
    // texts and numbers, into memory: nothing that could fail
    let _infallible = serde_json::to_writer(&mut *to, line);
    to.push(b'\n');
}

/// Writes the last line of a file.
///
/// # Errors
/// It cannot be written.
pub fn write_end(attributes: u64, to: &mut (impl Write + ?Sized)) -> io::Result<()> {
    to.write_all(END)?;
    writeln!(to, "{attributes}}}")
}

/// Returns what is kept of those that an attribute is meant with.
fn mates<'a>(all: &'a [Mate<'a>]) -> Vec<Mate<'a>> {
    let tags_bytes_max = TAGS_BYTES_MAX / all.len().max(1);
    let kept = all.iter().map(|mate| Mate {
        value: Cow::Borrowed(cut(&mate.value, WORD_BYTES_MAX)),
        not_for_ids: mate.not_for_ids,
        told: mate
            .told
            .as_ref()
            .map(|told| Told { tags: Cow::Borrowed(cut(&told.tags, tags_bytes_max)), ..*told }),
    });
    kept.collect()
}

fn tags(list: &str) -> impl Iterator<Item = &str> {
    cut(list, TAGS_BYTES_MAX).split_terminator(TAG_END)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_none_seen(counts: &[u32; 2]) -> bool {
    *counts == [0; 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "2d72a64d-a1bc-5bf6-915e-215bdbf26eaf";

    #[test]
    fn lines_read_back_and_begin_with_their_uuid() {
        let told = Told { tags: Cow::Borrowed("tlp:red\u{1f}"), last_secs: 9, ..Told::default() };
        let value = Cow::Borrowed("443");
        let mate = Mate { value, not_for_ids: true, told: Some(told) };
        let line = AttributeLine {
            uuid: Cow::Borrowed(UUID),
            event: Cow::Borrowed(""),
            event_id: 3,
            kind: Cow::Borrowed("domain"),
            value: Cow::Borrowed("evil\n\"example\""),
            timestamp_secs: 7,
            not_for_ids: true,
            deleted: false,
            decayed: false,
            relation: Cow::Borrowed(""),
            object: Cow::Borrowed("ja4-plus"),
            sibling: Cow::Borrowed("ja4:JA4S"),
            mates: vec![mate],
            comment: Cow::Borrowed("é"),
            first_seen: Cow::Borrowed(""),
            last_seen: Cow::Borrowed(""),
            valid_until: Cow::Borrowed(""),
            sightings: [0, 2],
            tags: vec![Cow::Borrowed("tlp:red")],
        };
        let mut bytes = Vec::new();
        write(&line, &mut bytes);
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(LineOf::read(&bytes), Some(LineOf::Attribute(Uuid::from_text(UUID))));
        let read = serde_json::from_slice::<AttributeLine<'_>>(&bytes).expect("a line");
        assert_eq!(read, line);
        assert_eq!(read.said_by_object(), Sibling::Ja4Type("JA4S"));
        let empty = || Cow::Borrowed("");
        let mut poor =
            AttributeLine { object: empty(), sibling: empty(), mates: vec![], ..line.clone() };
        poor.complete(line);
        assert_eq!(poor, read);
    }

    #[test]
    fn what_is_no_line_is_none() {
        for line in
            ["", "{}", "{\"a\":\"2d72\"}", "{\"a\":\"zzzzzzzz-a1bc-5bf6-915e-215bdbf26eaf\""]
        {
            assert_eq!(LineOf::read(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_header_begins_with_the_magic() {
        let header = Header {
            form: FORM,
            id: 1,
            delta: false,
            question: "{}".to_owned(),
            provider: "https://misp.example".to_owned(),
            events: 0,
            since_secs: 5,
            filter: FilterLine::default(),
        };
        let mut bytes = Vec::new();
        write(&header, &mut bytes);
        assert!(bytes.starts_with(MAGIC), "{}", String::from_utf8_lossy(&bytes));
        assert_eq!(serde_json::from_slice::<Header>(&bytes).expect("a header"), header);
    }
}
