//! How a sensor fares: what `/metrics`, `/healthz` and `/readyz` tell beside the counts.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::control::intel::compile::Compiled;
use crate::control::sensor::pulse::Pulse;
use crate::control::sensor::pulse::QUIET_MAX;
use crate::report::live::Status;

/// Silence after which a mirror port is not believed to be one.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Why new sets are refused.
const REFUSALS: [&str; 3] = ["implausible", "thread", "unusable"];

/// What the control thread knows.
#[derive(Debug)]
pub(super) struct Health {
    /// The interface of each source.
    interfaces: Vec<String>,
    /// An interface that is gone can be opened again.
    reopens: bool,
    pulse: Mutex<Pulse>,
    known: Mutex<Known>,
}

/// What is known of the set in force, and of the traffic.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) version: String,
    pub(super) generation: u64,
    pub(super) loaded_secs: f64,
    pub(super) indicators: BTreeMap<&'static str, u64>,
    pub(super) bytes: Vec<(&'static str, u64)>,
    pub(super) left_out: BTreeMap<String, u64>,
    /// Damaged inputs of the set in force.
    pub(super) damaged: u64,
    /// Sets that were refused, by reason.
    pub(super) refused: BTreeMap<&'static str, u64>,
    /// Frames of each interface, and when they last became more.
    traffic: BTreeMap<String, (u64, Instant)>,
}

/// Something that keeps the sensor from its work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trouble {
    /// What is in trouble and how, the same as long as it lasts.
    pub(super) key: String,
    /// The same with figures.
    pub(super) text: String,
}

impl Health {
    /// Begins with the first set; `interfaces` has that of each source, which may be opened again
    /// or not.
    pub(super) fn new(
        compiled: &Compiled,
        interfaces: Vec<String>,
        reopens: bool,
        workers: usize,
    ) -> Self {
        let refused = REFUSALS.map(|reason| (reason, 0)).into();
        let now = Instant::now();
        let traffic = interfaces.iter().map(|name| (name.clone(), (0, now))).collect();
        let known = Known { traffic, ..Known::of(compiled, 0, refused) };
        let pulse = Mutex::new(Pulse::new(interfaces.len(), workers, now));
        Self { interfaces, reopens, pulse, known: Mutex::new(known) }
    }

    /// Notes that another set is in force.
    pub(super) fn set_in_force(&self, compiled: &Compiled, generation: u64) {
        let mut known = self.lock();
        let traffic = std::mem::take(&mut known.traffic);
        let refused = std::mem::take(&mut known.refused);
        *known = Known { traffic, ..Known::of(compiled, generation, refused) };
    }

    /// Notes that a set was refused.
    pub(super) fn set_refused(&self, reason: &'static str) {
        *self.lock().refused.entry(reason).or_default() += 1;
    }

    /// Returns how many indicators are in force.
    pub(super) fn indicators(&self) -> u64 {
        self.lock().indicators.values().sum()
    }

    /// Looks whether frames came.
    pub(super) fn look(&self, status: &Status) {
        let mut known = self.lock();
        for (name, (frames, since)) in &mut known.traffic {
            let now = self.of(name, status, |counts| counts.frames());
            if now != *frames {
                (*frames, *since) = (now, Instant::now());
            }
        }
    }

    /// Looks whether the pipeline moves.
    pub(super) fn feel(&self, status: &Status) {
        self.pulse().look(&status.beats, Instant::now());
    }

    /// Returns the threads that have told nothing for longer than `limit`.
    pub(super) fn quiet(&self, limit: Duration) -> Vec<String> {
        self.pulse().quiet(limit, Instant::now())
    }

    /// Returns all that is known.
    pub(super) fn known(&self) -> Known {
        self.lock().clone()
    }

    /// Returns what keeps the sensor from doing its work; nothing: it is ready.
    pub(super) fn troubles(&self, status: &Status) -> Vec<Trouble> {
        let known = self.lock();
        let mut troubles = Vec::new();
        let mut note = |key: String, more: String| {
            let text = format!("{key}{more}");
            troubles.push(Trouble { key, text });
        };
        for thread in self.quiet(QUIET_MAX) {
            let secs = QUIET_MAX.as_secs();
            note(format!("{thread} is stuck: it has told nothing"), format!(" for {secs} s"));
        }
        if status.sources.is_empty() {
            note("nothing is captured yet".to_owned(), String::new());
        }
        for (name, (_, since)) in &known.traffic {
            let silence = since.elapsed();
            if self.of(name, status, |counts| counts.handles_down) > 0 {
                let outlook = match self.reopens {
                    true => "it is opened again when it comes back",
                    false => "without CAP_NET_RAW it cannot be opened again: restart the sensor",
                };
                note(format!("{name} is gone; {outlook}"), String::new());
            } else if is_down(name) {
                note(format!("{name} is down"), String::new());
            } else if silence > SILENCE_MAX {
                let secs = silence.as_secs();
                note(format!("{name} is silent: is the mirror on?"), format!(" (for {secs} s)"));
            }
        }
        for sink in &status.sinks {
            if let Some(trouble) = &sink.trouble {
                note(trouble.clone(), format!("; {} alerts wait", sink.waiting));
            }
        }
        troubles
    }

    /// Returns a sum over the handles of an interface.
    fn of(
        &self,
        name: &str,
        status: &Status,
        count: impl Fn(&crate::model::counters::Counters) -> u64,
    ) -> u64 {
        let handles = (0..).zip(&self.interfaces).filter(|(_, interface)| *interface == name);
        handles.filter_map(|(source, _)| status.sources.get(&source)).map(count).sum()
    }

    fn pulse(&self) -> MutexGuard<'_, Pulse> {
        self.pulse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whether the kernel calls an interface down, or without carrier.
fn is_down(name: &str) -> bool {
    let state = fs::read_to_string(format!("/sys/class/net/{name}/operstate"));
    state.is_ok_and(|state| matches!(state.trim(), "down" | "lowerlayerdown"))
}

impl Known {
    fn of(compiled: &Compiled, generation: u64, refused: BTreeMap<&'static str, u64>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            version: compiled.set.version_text().to_owned(),
            generation,
            loaded_secs: now.as_secs_f64(),
            indicators: compiled.set.indicators_by_type(),
            bytes: compiled.set.bytes_by_part(),
            left_out: compiled.ledger.refused_by_reason(),
            damaged: compiled.damages.len() as u64,
            refused,
            traffic: BTreeMap::new(),
        }
    }

    /// Returns each interface with the seconds since its last frame.
    pub(super) fn silences(&self) -> Vec<(&str, f64)> {
        let secs = |since: &Instant| since.elapsed().as_secs_f64();
        self.traffic.iter().map(|(name, (_, since))| (name.as_str(), secs(since))).collect()
    }
}
