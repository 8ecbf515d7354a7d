//! How a sensor fares: what `/metrics`, `/healthz` and `/readyz` tell beside the counts.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::control::config::Config;
use crate::control::intel::compile::Compiled;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::source::Pulled;
use crate::control::sensor::adapter::Adapter;
use crate::control::sensor::canary::CanaryState;
use crate::control::sensor::direction::Direction;
use crate::control::sensor::feeds::Feeds;
use crate::control::sensor::pulse::Pulse;
use crate::control::sensor::pulse::QUIET_MAX;
use crate::pipeline::capture::live::Interface;
use crate::report::accounting;
use crate::report::accounting::Stage;
use crate::report::live::Status;
use crate::report::runaway::Runaway;

/// Silence after which a mirror port is not believed to be one.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Indicators in quarantine that a page names; a metric has their number.
const RUNAWAYS_TOLD: usize = 20;

/// Compiling that takes longer is told: the largest feeds that there are take some seconds.
const COMPILING_MAX: Duration = Duration::from_secs(60);

/// Looks after which books that do not balance are no snapshot between two threads.
const UNBALANCED_LOOKS: u32 = 10;

/// Why new sets are refused.
const REFUSALS: [&str; 3] = ["implausible", OVERWRITTEN, "unusable"];

/// The file of the set in force was written to, instead of another taking its place.
pub(super) const OVERWRITTEN: &str = "overwritten";

/// What the control thread knows.
#[derive(Debug)]
pub(super) struct Health {
    /// The interface of each source.
    interfaces: Vec<Arc<Interface>>,
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
    /// No indicators are there yet.
    is_empty: bool,
    /// Damaged inputs of the set in force.
    pub(super) damaged: u64,
    /// Sets that were refused, by reason.
    pub(super) refused: BTreeMap<&'static str, u64>,
    pub(super) traffic: Traffic,
    pub(super) feeds: Feeds,
    /// Since when indicators are being read and compiled.
    compiling: Option<Instant>,
    /// Why the newest indicators are not in force.
    refusal: Option<Refusal>,
}

/// New indicators that were refused, while the last good set stays in force.
#[derive(Clone, Debug)]
struct Refusal {
    /// When that began.
    since: Instant,
    /// Why the last of them were.
    what: String,
    /// What is in force is no good either.
    is_overwritten: bool,
}

/// What is known of the traffic.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic {
    /// By interface.
    pub(super) interfaces: BTreeMap<String, Seen>,
    pub(super) direction: Direction,
    /// The books of each stage as they were at the last look.
    stages: Vec<Stage>,
    /// For how many looks on end the books of each did not balance.
    unbalanced: BTreeMap<&'static str, u32>,
    pub(super) canary: Option<CanaryState>,
}

/// What is known of an interface.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    frames: u64,
    /// When they last became more.
    since: Instant,
    pub(super) adapter: Adapter,
}

/// Something that keeps the sensor from its work, or ought to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trouble {
    /// What is in trouble and how, the same as long as it lasts.
    pub(super) key: String,
    /// The same with figures.
    pub(super) text: String,
    /// It does its work all the same.
    pub(super) is_warning: bool,
}

impl Health {
    /// Begins with the first set; `interfaces` has that of each source, which may be opened again
    /// or not.
    pub(super) fn new(
        compiled: &Compiled,
        interfaces: Vec<Arc<Interface>>,
        config: &Config,
        (reopens, workers): (bool, usize),
    ) -> Self {
        let mut feeds = Feeds::of(config);
        feeds.read(&compiled.damages);
        let refused = REFUSALS.map(|reason| (reason, 0)).into();
        let now = Instant::now();
        let seen = |name: &str| Seen { frames: 0, since: now, adapter: Adapter::of(name) };
        let names = interfaces.iter().map(|interface| interface.name());
        let interfaces_seen = names.map(|name| (name.to_owned(), seen(name))).collect();
        let traffic = Traffic { interfaces: interfaces_seen, ..Traffic::default() };
        let is_empty = compiled.is_empty(&config.intel_options());
        let known = Known { traffic, feeds, is_empty, ..Known::of(compiled, 0, refused) };
        let pulse = Mutex::new(Pulse::new(interfaces.len(), workers, now));
        Self { interfaces, reopens, pulse, known: Mutex::new(known) }
    }

    /// Notes that another set is in force.
    pub(super) fn set_in_force(&self, compiled: &Compiled, generation: u64) {
        let mut known = self.lock();
        let traffic = std::mem::take(&mut known.traffic);
        let refused = std::mem::take(&mut known.refused);
        let mut feeds = std::mem::take(&mut known.feeds);
        feeds.read(&compiled.damages);
        *known = Known { traffic, feeds, ..Known::of(compiled, generation, refused) };
    }

    /// Notes that a set was refused, and why; tells whether there are none at all.
    pub(super) fn set_refused(&self, reason: &'static str, what: &str) -> bool {
        let mut known = self.lock();
        let since = known.refusal.as_ref().map_or_else(Instant::now, |before| before.since);
        let is_overwritten = reason == OVERWRITTEN;
        known.refusal = Some(Refusal { since, what: what.to_owned(), is_overwritten });
        *known.refused.entry(reason).or_default() += 1;
        known.feeds.fail(if reason == "unusable" { reason } else { "refused" });
        known.is_empty
    }

    /// Notes what pulling a server came to.
    pub(super) fn pulled(&self, name: &str, outcome: &Result<Pulled, RemoteError>) {
        self.lock().feeds.pulled(name, outcome);
    }

    /// Notes that a server's publisher woke us.
    pub(super) fn woken(&self, name: &str) {
        self.lock().feeds.woken(name);
    }

    /// Notes that a server's publisher is heard, or why it is not.
    pub(super) fn hears(&self, name: &str, deaf: Option<String>) {
        self.lock().feeds.hears(name, deaf);
    }

    /// Notes that indicators are being read, or are not any more.
    pub(super) fn compiling(&self, is_under_way: bool) {
        self.lock().compiling = is_under_way.then(Instant::now);
    }

    /// Returns how many indicators are in force.
    pub(super) fn indicators(&self) -> u64 {
        self.lock().indicators.values().sum()
    }

    /// Notes how the canary fares.
    pub(super) fn see_canary(&self, state: CanaryState) {
        self.lock().traffic.canary = Some(state);
    }

    /// Looks whether frames came, from both sides, and whether the books balance.
    pub(super) fn look(&self, status: &Status) {
        let mut known = self.lock();
        let traffic = &mut known.traffic;
        for (name, seen) in &mut traffic.interfaces {
            // canaries are no sign of a mirror
            let own = traffic.canary.as_ref().filter(|canary| canary.interface == *name);
            let own = own.map_or(0, |canary| canary.count);
            let now = self.of(name, status, |counts| counts.frames()).saturating_sub(own);
            if now > seen.frames {
                (seen.frames, seen.since) = (now, Instant::now());
            }
            seen.adapter.look();
        }
        let counts = status.counters();
        traffic.direction.look([counts.tcp_packets_opener, counts.tcp_packets_other]);
        let before = std::mem::replace(&mut traffic.stages, accounting::stages(status));
        for stage in &traffic.stages {
            let stuck = before.iter().any(|before| stage.is_stuck(before));
            let looks = traffic.unbalanced.entry(stage.name).or_default();
            let balances = stage.unaccounted() == 0 && !stuck;
            *looks = if balances { 0 } else { looks.saturating_add(1) };
        }
    }

    /// Returns how many packets adapters and drivers had no room for since the start.
    pub(super) fn had_no_room(&self) -> u64 {
        self.lock().traffic.had_no_room()
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

    /// Returns what keeps the sensor from doing its work, and warnings; no more: it is ready.
    pub(super) fn troubles(&self, status: &Status) -> Vec<Trouble> {
        let known = self.lock();
        let mut troubles = known.warnings();
        for Runaway { indicator, alerts } in status.runaways.iter().take(RUNAWAYS_TOLD) {
            let key = format!("{indicator} is in quarantine: it alerts for too many hosts");
            let text = format!("{key}; {alerts} alerts were not sent");
            troubles.push(Trouble { key, text, is_warning: true });
        }
        let mut note = |key: String, more: String| {
            let text = format!("{key}{more}");
            troubles.push(Trouble { key, text, is_warning: false });
        };
        if let Some(Refusal { what, is_overwritten: true, .. }) = &known.refusal {
            note("the indicators in force are damaged".to_owned(), format!(": {what}"));
        }
        if known.is_empty {
            note("no indicators are there yet".to_owned(), String::new());
        }
        for (key, more) in known.feeds.missing() {
            note(key, more);
        }
        for thread in self.quiet(QUIET_MAX) {
            let secs = QUIET_MAX.as_secs();
            note(format!("{thread} is stuck: it has told nothing"), format!(" for {secs} s"));
        }
        if status.sources.is_empty() {
            note("nothing is captured yet".to_owned(), String::new());
        }
        for (name, seen) in &known.traffic.interfaces {
            let silence = seen.since.elapsed();
            if is_down(name) {
                note(format!("{name} is down"), String::new());
            } else if self.of(name, status, |counts| counts.handles_down) > 0 {
                let outlook = match self.reopens {
                    true => "it is opened again when it comes back",
                    false => "without CAP_NET_RAW it cannot be opened again: restart the sensor",
                };
                note(format!("{name} is gone; {outlook}"), String::new());
                for why in self.refusals(name) {
                    note(why, String::new());
                }
            } else if silence > SILENCE_MAX {
                let secs = silence.as_secs();
                note(format!("{name} is silent: is the mirror on?"), format!(" (for {secs} s)"));
            }
        }
        if known.traffic.direction.is_one_only() {
            let what = "one direction only is seen: does the mirror copy both?";
            note(what.to_owned(), String::new());
        }
        let canary = known.traffic.canary.as_ref();
        if let Some(trouble) = canary.and_then(|canary| canary.trouble.clone()) {
            note(trouble, String::new());
        }
        for stage in known.traffic.unbalanced() {
            let more = format!(" ({} unaccounted for, {} held)", stage.unaccounted(), stage.held);
            note(format!("the books of {} do not balance: please report it", stage.name), more);
        }
        for sink in &status.sinks {
            if let Some(trouble) = &sink.trouble {
                note(trouble.clone(), format!("; {} alerts wait", sink.waiting));
            }
            if sink.is_losing {
                let lost = format!(" ({} so far)", sink.lost);
                note(format!("too many alerts wait for {}: the newest are lost", sink.name), lost);
            }
            if let Some(trouble) = &sink.spool.trouble {
                note(trouble.clone(), format!("; {} alerts were lost", sink.lost));
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
        let handles = (0..).zip(&self.interfaces).filter(|(_, interface)| interface.name() == name);
        handles.filter_map(|(source, _)| status.sources.get(&source)).map(count).sum()
    }

    /// Returns why an interface cannot be opened again, each reason once.
    fn refusals(&self, name: &str) -> BTreeSet<String> {
        let of = self.interfaces.iter().filter(|interface| interface.name() == name);
        of.filter_map(|interface| interface.refusal()).map(|error| error.to_string()).collect()
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
            is_empty: false,
            damaged: compiled.damages.len() as u64,
            refused,
            traffic: Traffic::default(),
            feeds: Feeds::default(),
            compiling: None,
            refusal: None,
        }
    }

    /// Returns for how many seconds indicators have been compiled, and for how many new ones have
    /// been refused; 0: they are not.
    pub(super) fn intel_secs(&self) -> [f64; 2] {
        let refused = self.refusal.as_ref().map(|refusal| refusal.since);
        let secs = |since: Option<Instant>| since.map(|since| since.elapsed().as_secs_f64());
        [self.compiling, refused].map(|since| secs(since).unwrap_or_default())
    }

    /// Returns what is wrong with new indicators; the last good ones are in force.
    fn warnings(&self) -> Vec<Trouble> {
        let mut warnings = Vec::new();
        let mut warn = |key: &str, more: String| {
            let (key, text) = (key.to_owned(), format!("{key}{more}"));
            warnings.push(Trouble { key, text, is_warning: true });
        };
        let [compiling, refused] = self.intel_secs();
        if compiling > COMPILING_MAX.as_secs_f64() {
            let key = "compiling the indicators has been running";
            warn(key, format!(" for {compiling:.0} s: is a feed on a disk that does not answer?"));
        }
        if let Some(Refusal { what, is_overwritten: false, .. }) = &self.refusal {
            let key = match self.is_empty {
                false => "new indicators are refused, the last good ones are in force",
                true => "what came has no usable indicators",
            };
            warn(key, format!(", for {refused:.0} s: {what}"));
        }
        for (key, more) in self.feeds.troubles() {
            warn(&key, more);
        }
        warnings
    }
}

impl Traffic {
    /// Returns each interface with the seconds since its last frame.
    pub(super) fn silences(&self) -> Vec<(&str, f64)> {
        let secs = |seen: &Seen| seen.since.elapsed().as_secs_f64();
        self.interfaces.iter().map(|(name, seen)| (name.as_str(), secs(seen))).collect()
    }

    /// Returns how many packets adapters and drivers had no room for since the start.
    pub(super) fn had_no_room(&self) -> u64 {
        self.interfaces.values().map(|seen| seen.adapter.had_no_room()).sum()
    }

    /// Returns the stages whose books have not balanced for a while.
    fn unbalanced(&self) -> impl Iterator<Item = &Stage> {
        let looks = |stage: &&Stage| self.unbalanced.get(stage.name).copied().unwrap_or_default();
        self.stages.iter().filter(move |stage| looks(stage) >= UNBALANCED_LOOKS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::intel::IntelOptions;
    use crate::control::intel::compile::compile;

    #[test]
    fn what_is_wrong_with_new_indicators_is_a_warning() {
        let folder = tempfile::tempdir().expect("folder");
        let list = folder.path().join("list");
        fs::write(&list, "evil.example\n").expect("written");
        let compiled = compile(&[list], &IntelOptions::default()).expect("usable");
        let config = "[[capture]]\ninterface = \"eth1\"\n[[intel]]\npath = \"/none\"\n";
        let config = Config::parse(config).expect("sound");
        let health = Health::new(&compiled, Vec::new(), &config, (true, 1));
        let check = |expected: &[&str]| {
            let all = health.troubles(&Status::default());
            let warnings: Vec<_> = all.iter().filter(|one| one.is_warning).collect();
            assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
            for (warning, text) in warnings.iter().zip(expected) {
                assert!(warning.text.starts_with(text), "{warning:?}");
            }
        };
        check(&[]);
        health.compiling(true);
        check(&[]);
        health.lock().compiling =
            Instant::now().checked_sub(COMPILING_MAX + Duration::from_secs(1));
        let long = "compiling the indicators has been running for 61 s";
        check(&[long]);
        health.set_refused("unusable", "garbage");
        let refused =
            "new indicators are refused, the last good ones are in force, for 0 s: garbage";
        check(&[long, refused]);
        health.compiling(false);
        check(&[refused]);
        health.set_in_force(&compiled, 1);
        check(&[]);
    }
}
