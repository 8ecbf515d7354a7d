//! How a sensor fares: what `/metrics`, `/healthz` and `/readyz` tell beside the counts.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::control::intel::compile::Compiled;
use crate::report::live::Status;

/// Silence after which a mirror port is not believed to be one.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What the control thread knows.
#[derive(Debug)]
pub(super) struct Health(Mutex<Known>);

/// What is known of the set in force, and of the traffic.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) version: String,
    pub(super) generation: u64,
    pub(super) loaded_secs: f64,
    pub(super) indicators: BTreeMap<&'static str, u64>,
    pub(super) bytes: Vec<(&'static str, u64)>,
    pub(super) left_out: BTreeMap<String, u64>,
    /// Sets that were refused, by reason.
    pub(super) refused: BTreeMap<&'static str, u64>,
    frames: u64,
    last_frame: Instant,
}

impl Health {
    pub(super) fn new(compiled: &Compiled) -> Self {
        Self(Mutex::new(Known::of(compiled, 0, BTreeMap::new())))
    }

    /// Notes that another set is in force.
    pub(super) fn set_in_force(&self, compiled: &Compiled, generation: u64) {
        let mut known = self.lock();
        let (frames, last_frame) = (known.frames, known.last_frame);
        *known = Known::of(compiled, generation, std::mem::take(&mut known.refused));
        (known.frames, known.last_frame) = (frames, last_frame);
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
    pub(super) fn look(&self, status: &Mutex<Status>) {
        let status = status.lock().unwrap_or_else(PoisonError::into_inner);
        let frames = status.sources.values().map(|counts| counts.frames()).sum();
        drop(status);
        let mut known = self.lock();
        if frames != known.frames {
            (known.frames, known.last_frame) = (frames, Instant::now());
        }
    }

    /// Returns all that is known.
    pub(super) fn known(&self) -> Known {
        self.lock().clone()
    }

    /// Returns what keeps the sensor from doing its work; nothing: it is ready.
    pub(super) fn troubles(&self, status: &Status) -> Vec<String> {
        let known = self.lock();
        let mut troubles = Vec::new();
        let down = status.sources.values().map(|counts| counts.handles_down).sum::<u64>();
        if status.sources.is_empty() {
            troubles.push("nothing is captured yet".to_owned());
        }
        if down > 0 {
            troubles.push(format!("{down} capture handles have lost their interface"));
        }
        let silence = known.last_frame.elapsed();
        if silence > SILENCE_MAX {
            troubles.push(format!("no frame for {} s: is the mirror on?", silence.as_secs()));
        }
        for sink in &status.sinks {
            if let Some(trouble) = &sink.trouble {
                troubles.push(format!("{trouble}; {} alerts wait", sink.waiting));
            }
        }
        troubles
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
            refused,
            frames: 0,
            last_frame: Instant::now(),
        }
    }

    /// Returns seconds since the last frame.
    pub(super) fn silence_secs(&self) -> f64 {
        self.last_frame.elapsed().as_secs_f64()
    }
}
