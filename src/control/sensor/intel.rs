//! The indicators of a sensor: compiled again when asked, or when their files have changed, and
//! put in force whole; the last good set stays where a new one is no good.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::TryRecvError;
use std::sync::mpsc::channel;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tracing::error;
use tracing::info;
use tracing::warn;

use crate::control::config::Config;
use crate::control::intel::IntelOptions;
use crate::control::intel::compile::Compiled;
use crate::control::intel::compile::compile;
use crate::control::intel::compiled::Opened;
use crate::control::intel::input;
use crate::control::sensor::health::Health;
use crate::control::sensor::health::OVERWRITTEN;
use crate::control::sensor::start::odd_feed;
use crate::pipeline::matcher::current::Current;
use crate::pipeline::matcher::current::InForce;

/// Sizes and times of all files of the inputs.
pub(super) type Look = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

/// What watches and replaces the set in force.
pub(super) struct Intel {
    config: Arc<Config>,
    shrink_percent_min: u64,
    watch: Option<Duration>,
    current: Arc<Current>,
    health: Arc<Health>,
    seen: Arc<Look>,
    /// The file that is in force, where it is one that is mapped.
    mapped: Option<Arc<Opened>>,
    looked: Instant,
    /// What is being read.
    coming: Option<Receiver<Came>>,
    /// Asked for while something was being read.
    again: Option<&'static str>,
    /// Sets that are not in force any more, as long as someone reads them: freed here, never by a
    /// worker.
    retired: Vec<Arc<InForce>>,
    /// Set by whoever has pulled something that differs.
    pulled: Arc<AtomicBool>,
}

/// What reading the files came to.
enum Came {
    /// They are as they were.
    Same,
    /// Something else: how they were, and the set that they make, or why they make none.
    Read(Look, Box<Result<Compiled, String>>),
    /// They were written into the file that is in force.
    Overwritten(Look, String),
}

impl Intel {
    /// Returns what watches from a look on.
    pub(super) fn new(
        config: &Config,
        (seen, first): (Look, &Compiled),
        current: Arc<Current>,
        health: Arc<Health>,
    ) -> Self {
        let watch_secs = u64::from(config.indicators.watch_secs);
        Self {
            config: Arc::new(config.clone()),
            shrink_percent_min: u64::from(config.indicators.shrink_percent_min),
            watch: (watch_secs > 0).then(|| Duration::from_secs(watch_secs)),
            current,
            health,
            seen: Arc::new(seen),
            mapped: first.opened.clone(),
            looked: Instant::now(),
            coming: None,
            again: None,
            retired: Vec::new(),
            pulled: Arc::default(),
        }
    }

    /// Returns what is set to have the inputs compiled anew, once something else was pulled.
    pub(super) fn pulled(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.pulled)
    }

    /// Begins to compile the inputs anew; one at a time.
    pub(super) fn reload(&mut self, why: &'static str) {
        if self.coming.is_some() {
            self.again = Some(why);
            return;
        }
        self.begin(Some(why));
    }

    /// Begins to read the files: because that was asked for, or only where they have changed.
    fn begin(&mut self, asked: Option<&'static str>) {
        self.looked = Instant::now();
        let (tell, told) = channel();
        let (config, seen) = (Arc::clone(&self.config), Arc::clone(&self.seen));
        let mapped = self.mapped.clone();
        // on threads that stay: each new one would take another part of the heap for its own. Not
        // on this one, which a file system that does not answer would hold
        rayon::spawn(move || {
            // the sensor may have ended meanwhile
            let _gone = tell.send(read(&config, &seen, mapped.as_deref(), asked));
        });
        self.coming = Some(told);
        self.health.compiling(true);
    }

    /// Tells whether something is being read.
    pub(super) fn is_compiling(&self) -> bool {
        self.coming.is_some()
    }

    /// Puts a set in force that has been compiled; looks whether the files have changed.
    pub(super) fn look(&mut self) {
        self.retired.retain(|set| !is_unread(set));
        if let Some(coming) = &self.coming {
            let came = match coming.try_recv() {
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => None,
                Ok(came) => Some(came),
            };
            self.coming = None;
            self.health.compiling(false);
            match came {
                Some(Came::Same) => {}
                Some(Came::Read(seen, compiled)) => {
                    self.seen = Arc::new(seen);
                    match *compiled {
                        Ok(compiled) => self.take(&compiled),
                        Err(why) => self.refuse("unusable", &why),
                    }
                }
                Some(Came::Overwritten(seen, why)) => {
                    self.seen = Arc::new(seen);
                    let what = format!(
                        "{why}; and that is the file in force: its alerts are not to be trusted. \
                         Put a set there by a rename (mv), never by writing into it (cp)"
                    );
                    self.health.set_refused(OVERWRITTEN, &what);
                    error!(reason = OVERWRITTEN, "{what}");
                }
                None => self.refuse("unusable", "compiling ended early"),
            }
            if let Some(why) = self.again.take() {
                self.reload(why);
            }
            return;
        }
        if self.pulled.swap(false, Ordering::AcqRel) {
            self.begin(Some("something else was pulled"));
        } else if self.watch.is_some_and(|watch| self.looked.elapsed() >= watch) {
            self.begin(None);
        }
    }

    fn take(&mut self, compiled: &Compiled) {
        compiled.damages.iter().for_each(|damage| warn!("{damage}"));
        compiled.notes.iter().for_each(|note| warn!("{note}"));
        let (new, old) = (compiled.set.catalog.len() as u64, self.health.indicators());
        if new * 100 < old * self.shrink_percent_min {
            let what = format!(
                "the new set has {new} indicators, the one in force {old}: fewer than \
                 {} percent are not believed; where it is meant, restart the sensor, which \
                 believes its first set, or lower `shrink_percent_min` in [indicators]",
                self.shrink_percent_min
            );
            return self.refuse("implausible", &what);
        }
        let index = Arc::clone(&compiled.set.index);
        let before = self.current.swap(index, Arc::clone(&compiled.set) as _);
        self.health.set_in_force(compiled, before.generation.saturating_add(1));
        let version = compiled.set.version_text();
        info!(indicators = new, version, "another set is in force");
        self.mapped.clone_from(&compiled.opened);
        self.retired.push(before);
    }

    fn refuse(&self, reason: &'static str, what: &str) {
        let is_first = self.health.set_refused(reason, what);
        let stays =
            if is_first { "still no indicators" } else { "the last good set stays in force" };
        error!(reason, "{stays}: {what}");
    }
}

/// Reads the inputs, where that was asked for or what is watched has changed since it was `seen`.
fn read(
    config: &Config,
    seen: &Look,
    mapped: Option<&Opened>,
    asked: Option<&'static str>,
) -> Came {
    let (inputs, options) = (config.inputs(), config.intel_options());
    let now = look(&watched(&inputs, &options));
    if asked.is_none() && now == *seen {
        return Came::Same;
    }
    let why = asked.unwrap_or("the files have changed");
    info!(why, "reading the indicators again");
    let compiled = match odd_feed(&inputs) {
        Some(why) => Err(why),
        None => compile(&inputs, &options)
            .and_then(Compiled::verified)
            .map_err(|error| error.to_string()),
    };
    match (compiled, mapped) {
        (Err(why), Some(mapped)) if now != *seen && mapped.is_still_there() => {
            Came::Overwritten(now, why)
        }
        (compiled, _) => Came::Read(now, Box::new(compiled)),
    }
}

/// Tells whether nobody else holds a set, or a part of it. The stories hold the index, too.
fn is_unread(set: &Arc<InForce>) -> bool {
    // the whole first: who holds it could still take a part, once it is ours alone nobody can
    Arc::strong_count(set) == 1
        && [Arc::strong_count(&set.index), Arc::strong_count(&set.catalog)] == [2, 1]
}

/// Returns the inputs, and the warninglists.
fn watched(inputs: &[PathBuf], options: &IntelOptions) -> Vec<PathBuf> {
    let lists = options.warninglists.inputs.iter().map(|(path, _)| path);
    inputs.iter().chain(lists).cloned().collect()
}

/// Looks at all files of a configuration's indicators.
pub(super) fn look_at(config: &Config) -> Look {
    look(&watched(&config.inputs(), &config.intel_options()))
}

fn look(inputs: &[PathBuf]) -> Look {
    let files = input::Plan::new(inputs).files.into_iter().map(|file| file.path);
    let manifests = inputs.iter().map(|folder| folder.join("manifest.json"));
    let about = |path: PathBuf| {
        let about = std::fs::metadata(&path).ok()?;
        Some((path, (about.len(), about.modified().ok())))
    };
    files.chain(manifests).filter_map(about).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_unread_once_the_last_reader_has_let_go() {
        let folder = tempfile::tempdir().expect("folder");
        let list = folder.path().join("list.txt");
        std::fs::write(&list, "evil.example\n").expect("written");
        let compiled = || compile(std::slice::from_ref(&list), &IntelOptions::default());
        let (first, next) = (compiled().expect("usable"), compiled().expect("usable"));
        let current = first.set.in_force();
        drop(first);
        let (index, catalog) = {
            let set = current.load();
            (Arc::clone(&set.index), Arc::clone(&set.catalog))
        };
        let old = current.swap(Arc::clone(&next.set.index), Arc::clone(&next.set) as _);
        assert!(!is_unread(&old));
        drop(index);
        assert!(!is_unread(&old));
        drop(catalog);
        assert!(is_unread(&old));
    }
}
