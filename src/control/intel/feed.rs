//! A MISP feed directory: `manifest.json` names the events, each in a file `<uuid>.json`.
//!
//! Spec:   MISP core format, MISP feed (manifest.json, hashes.csv)
//! Reads:  the manifest; events are read as MISP JSON
//! Yields: the files to read, with the manifest's times and tags
//! Bounds: one manifest entry at a time, `EVENTS_MAX`, `TAGS_BYTES_MAX`; names that are no UUID are
//!         not opened
//! Leaves: hashes.csv, signatures, events that the manifest does not name

use std::fs::File;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Unexpected;
use serde::de::Visitor;

use crate::control::intel::input::Listed;
use crate::control::intel::input::Plan;
use crate::control::intel::json::Bounded;
use crate::control::intel::json::Number;
use crate::control::intel::json::fault;
use crate::control::intel::json::parts::Tags;
use crate::control::intel::ledger::Damage;
use crate::control::intel::ledger::Spot;
use crate::control::intel::uuid::Uuid;

/// Events of a manifest: the largest public feed has 2,000, a large MISP 100,000.
const EVENTS_MAX: usize = 1_000_000;

/// Bytes of all tags of a manifest: a hundred for each of 100,000 events take 10 MB.
const TAGS_BYTES_MAX: usize = 64 << 20;

/// The file that makes a directory a feed.
pub const MANIFEST: &str = "manifest.json";

/// What a manifest says of an event.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Entry {
    /// Seconds since 1970 of its last change; 0 where it says nothing.
    pub secs: u32,
    /// Its tags, each with `TAG_END`.
    pub tags: String,
}

/// Lists the events of a feed directory; of a broken manifest those before the damage. Others are
/// not guessed by their names: it may be that the feed has taken them back.
pub fn plan(folder: &Path, provider: &str, plan: &mut Plan) {
    let path = folder.join(MANIFEST);
    let mut events = Vec::new();
    match File::open(&path) {
        Err(error) => plan.damage.push(Damage::new(&path, Spot::File, error.to_string())),
        Ok(file) => {
            if let Err(error) = read_manifest(file, &mut events) {
                let fault = fault(&error);
                plan.damage.push(Damage::new(&path, fault.spot, fault.what));
            }
        }
    }
    events.sort();
    events.dedup_by_key(|(name, _)| name.clone());
    for (name, Entry { secs, tags }) in events {
        let file = folder.join(format!("{name}.json"));
        let event = Uuid::from_text(&name);
        if !event.is_some() {
            let what = format!("no UUID, so no event file: {name:?}");
            plan.damage.push(Damage::new(&path, Spot::File, what));
        } else if file.is_file() {
            let provider = provider.to_owned();
            plan.list(Listed { path: file, provider, published_secs: secs, event, tags });
        } else {
            let what = "the manifest names it, but it is not there: fetch it again".to_owned();
            plan.damage.push(Damage::new(&file, Spot::File, what));
        }
    }
}

/// Reads the names and times of a manifest's events; what was read before damage is there.
///
/// # Errors
/// It is no manifest, or not to its end.
pub fn read_manifest(
    manifest: impl Read,
    events: &mut Vec<(String, Entry)>,
) -> Result<(), serde_json::Error> {
    let read = BufReader::new(Bounded::new(manifest));
    let mut json = serde_json::Deserializer::from_reader(read);
    Manifest(events).deserialize(&mut json)
}

/// Reads the names of events, and what is said of them.
struct Manifest<'m>(&'m mut Vec<(String, Entry)>);

impl<'de> DeserializeSeed<'de> for Manifest<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Manifest<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a manifest: an object of events by UUID")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut tags_bytes = 0;
        while let Some(name) = map.next_key::<String>()? {
            let written = map.next_value::<Written>()?;
            if self.0.len() >= EVENTS_MAX {
                return Err(A::Error::custom(format!("more than {EVENTS_MAX} events")));
            }
            let tags = written.tags.0;
            tags_bytes += tags.len();
            if tags_bytes > TAGS_BYTES_MAX {
                let mebibytes = TAGS_BYTES_MAX >> 20;
                return Err(A::Error::custom(format!("more than {mebibytes} MiB of tags")));
            }
            let secs = u32::try_from(written.timestamp.0).unwrap_or(0);
            self.0.push((name, Entry { secs, tags }));
        }
        Ok(())
    }

    /// PHP writes an empty object as a list.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        match seq.next_element::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(A::Error::invalid_type(Unexpected::Seq, &self)),
        }
    }
}

#[derive(serde::Deserialize)]
struct Written {
    #[serde(default)]
    timestamp: Number,
    #[serde(rename = "Tag", default)]
    tags: WrittenTags,
}

#[derive(Default)]
struct WrittenTags(String);

impl<'de> Deserialize<'de> for WrittenTags {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let mut tags = String::new();
        Tags(&mut tags).deserialize(json)?;
        Ok(Self(tags))
    }
}
