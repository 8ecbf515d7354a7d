//! Compares the alerts of a run with what was planted: all of it, nothing else.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Error;
use std::io::Result;
use std::path::Path;

use serde_json::Value;

/// Complaints that are shown; the others are counted.
const SHOWN_MAX: usize = 25;

/// What a capture's flows have to be found by, and what they must not.
pub(crate) struct Answers {
    wanted: HashMap<Sight, bool>,
}

/// An indicator and a flow, opener first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sight {
    /// `*` for what MISP knows only as an object: the attribute's type says nothing there.
    kind: String,
    value: String,
    flow: String,
}

impl Answers {
    /// Reads `*.expected.jsonl`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let mut wanted = HashMap::new();
        for line in lines(path)? {
            let line = line?;
            let end =
                |addr: &str, port: &str| format!("{} {}", text(&line[addr]), text(&line[port]));
            let kind = match text(&line["type"]).as_str() {
                "ja4-plus" | "ja3s" => "*".to_owned(),
                other => other.to_owned(),
            };
            let value = text(&line["value"]).to_lowercase();
            let sight = Sight {
                kind,
                value,
                flow: format!("{} -> {}", end("src", "sport"), end("dst", "dport")),
            };
            wanted.insert(sight, line["near_miss"] != Value::Bool(true));
        }
        Ok(Self { wanted })
    }

    /// Planted hits.
    pub(crate) fn hits(&self) -> usize {
        self.wanted.values().filter(|&&hit| hit).count()
    }

    /// Planted near misses.
    pub(crate) fn near_misses(&self) -> usize {
        self.wanted.len() - self.hits()
    }

    /// Says what is wrong with the alerts in a file; nothing, if they are right.
    pub(crate) fn complaints(&self, alerts: &Path) -> Result<Vec<String>> {
        let mut found = HashSet::new();
        let mut complaints = Vec::new();
        for alert in lines(alerts)? {
            let sight = Sight::of_alert(&alert?);
            let any = Sight { kind: "*".to_owned(), ..sight.clone() };
            let known = [&sight, &any].into_iter().find(|sight| self.wanted.contains_key(sight));
            match known {
                Some(known) if self.wanted[known] => drop(found.insert(known.clone())),
                Some(known) => complaints.push(format!("near miss alerted: {}", known.tell())),
                None => complaints.push(format!("unexpected: {}", sight.tell())),
            }
        }
        let missing = self.wanted.iter().filter(|(sight, hit)| **hit && !found.contains(*sight));
        let mut missing: Vec<String> =
            missing.map(|(sight, _)| format!("missing: {}", sight.tell())).collect();
        missing.sort();
        complaints.extend(missing);
        let more = complaints.len().saturating_sub(SHOWN_MAX);
        complaints.truncate(SHOWN_MAX);
        if more > 0 {
            complaints.push(format!("and {more} more"));
        }
        Ok(complaints)
    }
}

impl Sight {
    fn of_alert(alert: &Value) -> Self {
        let end =
            |side: &str| format!("{} {}", text(&alert[side]["ip"]), text(&alert[side]["port"]));
        let indicator = &alert["tapsieve"]["indicator"];
        Self {
            kind: text(&indicator["type"]),
            value: text(&indicator["value"]).to_lowercase(),
            flow: format!("{} -> {}", end("source"), end("destination")),
        }
    }

    fn tell(&self) -> String {
        format!("{} {} in {}", self.kind, self.value, self.flow)
    }
}

/// A string without its quotes; a number as it is.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn lines(path: &Path) -> Result<impl Iterator<Item = Result<Value>>> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|why| Error::other(format!("{name}: {why}")))?;
    Ok(BufReader::new(file).lines().enumerate().map(move |(at, line)| {
        serde_json::from_str(&line?)
            .map_err(|why| Error::other(format!("{name} line {}: {why}", at + 1)))
    }))
}
