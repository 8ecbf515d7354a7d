//! A MISP feed directory: `manifest.json` names the events, each in a file `<uuid>.json`.
//!
//! Spec:   MISP core format, MISP feed (manifest.json, hashes.csv)
//! Reads:  the manifest; events are read as MISP JSON
//! Yields: the files to read, with the manifest's times
//! Bounds: one manifest entry at a time, `EVENTS_MAX`; names that are no UUID are not opened
//! Leaves: hashes.csv, signatures, events that the manifest does not name

use std::fs::File;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;

use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::Visitor;

use crate::control::intel::input::Plan;
use crate::control::intel::json::Bounded;
use crate::control::intel::json::Number;
use crate::control::intel::json::fault;
use crate::control::intel::ledger::Damage;
use crate::control::intel::ledger::Spot;
use crate::control::intel::uuid::Uuid;

/// Events of a manifest: the largest public feed has 2,000, a large MISP 100,000.
const EVENTS_MAX: usize = 1_000_000;

/// The file that makes a directory a feed.
pub const MANIFEST: &str = "manifest.json";

/// Lists the events of a feed directory; a broken manifest falls back to the event files that are
/// there.
pub fn plan(folder: &Path, provider: &str, plan: &mut Plan) {
    let path = folder.join(MANIFEST);
    let mut events = Vec::new();
    match File::open(&path) {
        Err(error) => plan.damage.push(Damage::new(&path, Spot::File, error.to_string())),
        Ok(file) => {
            if let Err(error) = read_manifest(file, &mut events) {
                let fault = fault(&error);
                plan.damage.push(Damage::new(&path, fault.spot, fault.what));
                events.extend(event_files(folder));
            }
        }
    }
    events.sort();
    events.dedup_by_key(|(name, _)| name.clone());
    for (name, published_secs) in events {
        let file = folder.join(format!("{name}.json"));
        if !Uuid::from_text(&name).is_some() {
            let what = format!("no UUID, so no event file: {name:?}");
            plan.damage.push(Damage::new(&path, Spot::File, what));
        } else if file.is_file() {
            plan.list(file, provider, published_secs);
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
    events: &mut Vec<(String, u32)>,
) -> Result<(), serde_json::Error> {
    let read = BufReader::new(Bounded::new(manifest));
    let mut json = serde_json::Deserializer::from_reader(read);
    Manifest(events).deserialize(&mut json)
}

fn event_files(folder: &Path) -> Vec<(String, u32)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let stem = name.strip_suffix(".json")?;
        Uuid::from_text(stem).is_some().then(|| stem.to_owned())
    });
    names.map(|name| (name, 0)).collect()
}

/// Reads event names and times.
struct Manifest<'m>(&'m mut Vec<(String, u32)>);

impl<'de> DeserializeSeed<'de> for Manifest<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Manifest<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a manifest: an object of events by UUID")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let entry = map.next_value::<Entry>()?;
            if self.0.len() >= EVENTS_MAX {
                return Err(A::Error::custom(format!("more than {EVENTS_MAX} events")));
            }
            self.0.push((name, u32::try_from(entry.timestamp.0).unwrap_or(0)));
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct Entry {
    #[serde(default)]
    timestamp: Number,
}
