//! A feed that is a folder: the manifest says which events there are and when each changed; only
//! those are fetched that are new or changed, and those that it names no more are removed.
//!
//! The manifest in the mirror is written anew and names what is there: an event that could not be
//! fetched is in it with its old time, or not at all, and asked for again at the next pull.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::Cursor;
use std::io::Read;
use std::io::Write;

use reqwest::Url;
use serde_json::json as value;

use crate::control::intel::feed::Entry;
use crate::control::intel::feed::MANIFEST;
use crate::control::intel::feed::read_manifest;
use crate::control::intel::http_feed::Came;
use crate::control::intel::http_feed::Validators;
use crate::control::intel::http_feed::cut;
use crate::control::intel::http_feed::first_bytes;
use crate::control::intel::json;
use crate::control::intel::json::TAG_END;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::http::Http;
use crate::control::intel::remote::http::Question;
use crate::control::intel::remote::mirror::Mirror;
use crate::control::intel::remote::mirror::open_plain;
use crate::control::intel::remote::retry::Retry;
use crate::control::intel::remote::source::Pulled;
use crate::control::intel::remote::source::Remote;
use crate::control::intel::sound::Wanted;
use crate::control::intel::uuid::Uuid;

/// Bytes of a manifest: 100,000 events of 600 bytes; the largest public feed has 2,000.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Events that could not be had though the server answers; then the rest waits for the next pull.
const FAILURES_MAX: usize = 100;

/// Events of a feed and when each changed.
type Events = BTreeMap<String, Entry>;

/// Fetches what changed.
///
/// # Errors
/// Why nothing could be had; what is there stays.
pub(super) fn pull(
    remote: &Remote,
    http: &Http,
    mirror: &Mirror,
    is_all: bool,
) -> Result<Pulled, RemoteError> {
    let url = remote.http.url.clone();
    let manifest_url = match url.path().ends_with(MANIFEST) {
        true => url,
        false => remote.http.below(MANIFEST)?,
    };
    let here = here(mirror);
    let known = match here.is_empty() || is_all {
        false => Validators::load(mirror, manifest_url.as_str()),
        true => Validators::new(manifest_url.as_str()),
    };
    let full = Pulled { is_full: true, ..Pulled::default() };
    let Some((wanted, learnt)) = manifest(http, &manifest_url, &known)? else {
        known.keep(mirror)?;
        return Ok(full);
    };
    if wanted.is_empty() {
        let what = format!("the manifest names no event: the {} that are here stay", here.len());
        return Err(RemoteError::Answer { place: remote.place(), what, may_mend: true });
    }
    // a pull that was cut may have left events that the manifest here does not name
    let bytes = mirror.names().iter().map(|name| bytes(mirror, name)).sum();
    let failures = Vec::new();
    let mut fetching = Fetching { http, mirror, base: manifest_url, failures, bytes, is_all };
    let there = fetching.all(&here, &wanted);
    let mut pulled = full;
    for (name, entry) in &there {
        match here.get(name) {
            None => pulled.new += 1,
            Some(before) => pulled.changed += u64::from(before != entry),
        }
    }
    pulled.gone = here.keys().filter(|name| !there.contains_key(*name)).count() as u64;
    // what was damaged may be another now, though its time is the same
    pulled.differs = there != here || is_all;
    let trouble = fetching.failures.into_iter().next();
    if there.is_empty()
        && let Some(error) = trouble
    {
        return Err(error);
    }
    if pulled.differs {
        write(mirror, &there)?;
        tidy(mirror, &there)?;
    }
    // what is missing is asked for again, whatever the manifest's validators say
    let missing = Validators { of: learnt.of, ..Validators::default() };
    let kept = if trouble.is_none() { learnt } else { missing };
    kept.keep(mirror)?;
    Ok(Pulled { trouble, ..pulled })
}

/// Returns the events that are in the mirror.
fn here(mirror: &Mirror) -> Events {
    let mut events = Vec::new();
    // a manifest that is damaged names what it names
    let manifest = open_plain(&mirror.folder().join(MANIFEST));
    let _read = manifest.map(|file| read_manifest(file, &mut events));
    let is_there = |name: &str| mirror.folder().join(format!("{name}.json")).is_file();
    events.into_iter().filter(|(name, _)| is_there(name)).collect()
}

/// Fetches the manifest; `None`: it is as it was.
fn manifest(
    http: &Http,
    url: &Url,
    known: &Validators,
) -> Result<Option<(Events, Validators)>, RemoteError> {
    Retry::default().run(|| {
        let mut answer = known.ask(http, Question::get(url.clone()))?;
        if answer.status() == 304 {
            return Ok(None);
        }
        let mut learnt = known.clone();
        learnt.learn(&answer);
        let mut text = first_bytes(&mut answer)?;
        let read = answer.by_ref().take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut text);
        read.map_err(|error| cut(&mut answer, &error))?;
        let place = answer.place().to_owned();
        if text.len() as u64 > MANIFEST_BYTES_MAX {
            let what = format!("a manifest of over {} MiB", MANIFEST_BYTES_MAX >> 20);
            return Err(RemoteError::TooLarge { place, what });
        }
        let mut events = Vec::new();
        read_manifest(Cursor::new(text), &mut events).map_err(|error| {
            let what = format!("no manifest of a MISP feed: {error}");
            RemoteError::Answer { place, what, may_mend: true }
        })?;
        // a name that is no UUID could lead anywhere
        events.retain(|(name, _)| Uuid::from_text(name).is_some());
        Ok(Some((events.into_iter().collect(), learnt)))
    })
}

struct Fetching<'f> {
    http: &'f Http,
    mirror: &'f Mirror,
    base: Url,
    failures: Vec<RemoteError>,
    /// Bytes of all files that are here.
    bytes: u64,
    /// Those that have not changed are fetched, too.
    is_all: bool,
}

impl Fetching<'_> {
    /// Fetches the events that are new or changed; returns those that are there afterwards.
    fn all(&mut self, here: &Events, wanted: &Events) -> Events {
        let mut there = Events::new();
        let mut is_up = true;
        for (name, entry) in wanted {
            let before = here.get(name);
            let is_same = before.is_some_and(|before| before.secs == entry.secs) && !self.is_all;
            if is_same {
                // its tags in the manifest may be others
                there.insert(name.clone(), entry.clone());
                continue;
            }
            if is_up {
                match self.event(name) {
                    Ok(()) => {
                        there.insert(name.clone(), entry.clone());
                        continue;
                    }
                    Err(error) => {
                        is_up = matches!(
                            error,
                            RemoteError::Absent { .. } | RemoteError::Answer { .. }
                        ) && self.failures.len() < FAILURES_MAX;
                        self.failures.push(error);
                    }
                }
            }
            if let Some(before) = before {
                there.insert(name.clone(), before.clone());
            }
        }
        there
    }

    fn event(&mut self, name: &str) -> Result<(), RemoteError> {
        let file = format!("{name}.json");
        let wrong = |error| RemoteError::Settings { what: format!("{}{file}: {error}", self.base) };
        let url = self.base.join(&file).map_err(wrong)?;
        let came = Retry::default().run(|| {
            let answer = self.http.ask(&Question::get(url.clone()))?;
            Came::receive(answer, self.mirror, &file)
        })?;
        let before = bytes(self.mirror, &file);
        let bytes = self.bytes.saturating_sub(before) + came.draft.bytes();
        if bytes > self.mirror.bytes_max() {
            let what = format!("events of more than {} MiB", self.mirror.bytes_max() >> 20);
            return Err(RemoteError::TooLarge { place: came.place, what });
        }
        came.keep(self.mirror, &file, Wanted::Format(json::FORMAT.name))?;
        self.bytes = bytes;
        Ok(())
    }
}

/// Returns how large a file is; 0 where there is none.
fn bytes(mirror: &Mirror, file: &str) -> u64 {
    mirror.folder().join(file).metadata().map_or(0, |about| about.len())
}

/// Writes the manifest of what is there.
fn write(mirror: &Mirror, there: &Events) -> Result<(), RemoteError> {
    let entry = |(name, Entry { secs, tags }): (&String, &Entry)| {
        let tags = tags.split_terminator(TAG_END).map(|name| value!({ "name": name }));
        (name.clone(), value!({"timestamp": secs, "Tag": tags.collect::<Vec<_>>()}))
    };
    let manifest = there.iter().map(entry).collect::<serde_json::Map<_, _>>();
    let text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    let mut draft = mirror.draft(MANIFEST)?;
    draft.write_all(&text).map_err(|error| draft.fault(&error))?;
    draft.keep().map(|_| ())
}

/// Removes our events that the manifest does not name.
fn tidy(mirror: &Mirror, there: &Events) -> Result<(), RemoteError> {
    let wanted = there.keys().map(|name| format!("{name}.json")).collect::<BTreeSet<_>>();
    for name in mirror.names() {
        if name != MANIFEST && !wanted.contains(&name) {
            mirror.remove(&name)?;
        }
    }
    Ok(())
}
