//! The sensor as receiver: the pipeline and reporter of `tapsieve sensor`, for one trial.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::control::bench::live::alerts::Seen;
use crate::control::bench::live::alerts::Witness;
use crate::control::bench::live::cpu;
use crate::control::bench::live::planted::Planted;
use crate::control::bench::live::sender::Sent;
use crate::control::bench::live::trial::Received;
use crate::control::bench::stage::Stage;
use crate::control::cli::Failure;
use crate::control::intel::set::IndicatorSet;
use crate::control::observe::nothing_in_force;
use crate::control::post::Behind;
use crate::control::supervisor;
use crate::control::supervisor::HASH_SEED;
use crate::control::supervisor::LIVE_BATCH;
use crate::control::supervisor::Pins;
use crate::control::supervisor::Plan;
use crate::model::counters::Counters;
use crate::model::limits::FLOWS_MAX;
use crate::model::limits::OTHER_IDLE_SECS;
use crate::model::limits::TCP_IDLE_SECS;
use crate::model::observation::Kinds;
use crate::pipeline::capture::live::Live;
use crate::pipeline::capture::live::LiveSettings;
use crate::pipeline::worker::FlowSettings;
use crate::pipeline::worker::WorkerSettings;
use crate::report::live::LiveReporter;
use crate::report::live::Status;
use crate::report::outlet::Opened;
use crate::report::render::Context;
use crate::report::sink::rolling::Rolling;
use crate::report::sink::rolling::Rotation;

/// How often it is looked whether the rings are empty: the reporter tells twice a second.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long nothing more may arrive before the rings are taken for empty.
const QUIET: Duration = Duration::from_secs(4);

/// How long a trial waits for the rings to be empty.
const DRAIN_AT_MOST: Duration = Duration::from_secs(30);

/// Bytes of alerts after which the file is begun anew.
const ALERT_BYTES_MAX: u64 = 64 << 20;

/// How often new alerts are synced, as the sensor does by default.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// How the names of a run's threads begin.
const RUN_THREADS: [&str; 5] = ["capturer-", "worker-", "reporter", "queue-", "sink-"];

/// How the sensor is set up.
pub(super) struct Sensor {
    pub(super) workers: usize,
    /// What is looked for.
    pub(super) set: Arc<IndicatorSet>,
    /// Where alerts are written.
    pub(super) alerts: PathBuf,
}

/// One trial's processor time.
struct Spent {
    process: f64,
    control: f64,
    by_thread: BTreeMap<String, f64>,
}

impl Sensor {
    /// Receives while `send` sends, cut off after a stage.
    ///
    /// # Errors
    ///
    /// When the interface cannot be captured, or a thread not started.
    pub(super) fn trial(
        &self,
        settings: &LiveSettings,
        stage: Stage,
        planted: Planted,
        send: impl FnOnce() -> Sent,
    ) -> Result<(Sent, Received), Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let status = Mutex::new(Status::default());
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let file = Rolling::open(
            &self.alerts,
            Rotation { bytes_max: ALERT_BYTES_MAX, age_max: Duration::ZERO, keep: 1 },
            Some(SYNC_EVERY),
        )?
        .0;
        let witness = Witness { file, planted, seen: Arc::clone(&seen) };
        let context = Context { sensor: Some("bench"), ..Context::default() };
        let opened = Opened { name: "file".to_owned(), sink: Box::new(witness), spool: None };
        let reporter = LiveReporter::new(context, self.workers, vec![opened], &status)
            .map_err(Failure::Thread)?;
        let sources = Live::open(settings, 0, &stop, false)?;
        let mut sent = Sent::default();
        let mut received = Received::default();
        let plan = self.plan(stage, sources);
        let report = |told: &_, spare: &_| reporter.run(told, spare);
        let outcome = supervisor::run(plan, &stop, report, || {
            let before = Spent::now();
            sent = send();
            drain(&status, sent.frames);
            // what the sender's thread took is no part of it
            let after = Spent::now();
            received.cpu_secs = (after.since(&before) - sent.cpu_secs).max(0.0);
            received.cpu_by_thread = after.by_thread_since(&before);
            received.resident_bytes = cpu::resident_bytes("self");
            stop.store(true, Ordering::Relaxed);
        })?;
        received.frames = outcome.counters.live_packets;
        received.lost = losses(&outcome.counters);
        let alerts_lost: u64 = outcome.reported.sinks.iter().map(|sink| sink.lost).sum();
        if alerts_lost > 0 {
            received.trouble = Some(format!("the file did not take {alerts_lost} alerts"));
        }
        let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        received.seen = (stage == Stage::Match).then_some(seen);
        Ok((sent, received))
    }

    fn plan(&self, stage: Stage, sources: Vec<Live>) -> Plan<Live> {
        let depth = stage.depth();
        let current = if stage == Stage::Match { self.set.in_force() } else { nothing_in_force() };
        let flows = FlowSettings {
            flows_max: FLOWS_MAX,
            tcp_idle_secs: TCP_IDLE_SECS,
            other_idle_secs: OTHER_IDLE_SECS,
            batch: LIVE_BATCH,
        };
        Plan {
            sources,
            seed: HASH_SEED,
            depth,
            workers: self.workers,
            settings: WorkerSettings { depth, observed: Kinds::NONE, flows, sets_change: true },
            current: Arc::new(current),
            pins: Pins::default(),
            behind: Behind::Keep,
        }
    }
}

impl Spent {
    fn now() -> Self {
        let by_thread = cpu::secs_by_thread();
        Self { process: cpu::process_secs(), control: cpu::thread_secs(), by_thread }
    }

    fn since(&self, before: &Self) -> f64 {
        (self.process - before.process) - (self.control - before.control)
    }

    /// Of the threads of a run.
    fn by_thread_since(&self, before: &Self) -> BTreeMap<String, f64> {
        let of_run = |name: &str| RUN_THREADS.iter().any(|thread| name.starts_with(thread));
        let ours = self.by_thread.iter().filter(|(name, _secs)| of_run(name));
        // one that has just begun may not have had its name before
        let earlier = |name: &String| before.by_thread.get(name).copied().unwrap_or(0.0);
        ours.map(|(name, secs)| (name.clone(), secs - earlier(name))).collect()
    }
}

/// Waits until all that was sent is received or lost, or nothing more comes.
fn drain(status: &Mutex<Status>, sent: u64) {
    let started = Instant::now();
    let (mut known, mut since) = (0, Instant::now());
    while started.elapsed() < DRAIN_AT_MOST && since.elapsed() < QUIET {
        let counters = status.lock().unwrap_or_else(PoisonError::into_inner).counters();
        let lost: u64 = losses(&counters).values().sum();
        if counters.live_packets.saturating_add(lost) >= sent {
            break;
        }
        if counters.live_packets != known {
            (known, since) = (counters.live_packets, Instant::now());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Returns the frames that were lost, by stage and reason.
fn losses(counters: &Counters) -> BTreeMap<String, u64> {
    let rows = counters.rows().into_iter().filter(|row| row.metric == "dropped_packets_total");
    let mut losses = BTreeMap::new();
    for row in rows {
        let labels: Vec<&str> = row.labels.iter().map(|(_name, value)| *value).collect();
        *losses.entry(labels.join("/")).or_default() += row.value;
    }
    losses
}
