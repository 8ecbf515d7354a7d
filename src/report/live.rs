//! The live reporter: alerts go out at once, to every sink, and it waits for none: each has an
//! outlet that holds what it has not taken.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crossbeam_channel::Receiver;
use crossbeam_channel::RecvTimeoutError;
use crossbeam_channel::Sender;
use prometheus::Histogram;
use prometheus::HistogramOpts;

use crate::model::batch::Batch;
use crate::model::batch::Checkpoint;
use crate::model::counters::Counters;
use crate::report::accounting::Checkpoints;
use crate::report::canary::Proof;
use crate::report::canary::Watch;
use crate::report::outlet;
use crate::report::outlet::Bundle;
use crate::report::outlet::Opened;
use crate::report::outlet::Outlet;
use crate::report::outlet::Reopen;
use crate::report::outlet::SinkStatus;
use crate::report::render;
use crate::report::render::Context;
use crate::report::render::NoAlert;
use crate::report::reporter::Letter;
use crate::report::runaway::Guard;
use crate::report::runaway::Runaway;
use crate::report::runaway::RunawayLimits;
use crate::report::runaway::Verdict;

/// How often what was counted is told.
const TURN: Duration = Duration::from_millis(500);

/// Alerts whose ids are remembered (about 100 bytes each).
const RECENT_MAX: usize = 262_144;

/// Upper bounds of the buckets of latency, in seconds.
const LATENCY_SECS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0];

/// What a sensor has counted so far, as whoever asks sees it.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The latest checkpoint of each source that all workers have read up to.
    pub checkpoints: BTreeMap<u32, Checkpoint>,
    /// Counts of each source, and of each worker.
    pub sources: BTreeMap<u32, Counters>,
    /// By number.
    pub workers: BTreeMap<usize, Counters>,
    /// Alerts by indicator type.
    pub alerts: BTreeMap<&'static str, u64>,
    /// Alerts left out as they were given before.
    pub repeated: u64,
    /// Alerts left out as their indicator was too old at their packet.
    pub expired: u64,
    /// Alerts left out as their indicator is in quarantine.
    pub quarantined: u64,
    /// Alerts left out as their indicator's type is not known.
    pub unknown: u64,
    /// Indicators in quarantine.
    pub runaways: Vec<Runaway>,
    /// By sink.
    pub sinks: Vec<SinkStatus>,
    /// Times from frame to the first sink, or spool, that took the alert.
    pub latency: Latency,
    /// How often each thread has told something.
    pub beats: Beats,
}

/// How often each thread of the pipeline has told something: a number that stays the same is that
/// of one that is stuck.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beats {
    /// Blocks of each source that workers told of.
    pub sources: BTreeMap<u32, u64>,
    /// Batches of each worker.
    pub workers: BTreeMap<usize, u64>,
    /// What was published.
    pub reporter: u64,
}

/// A histogram of the times from the frame that completed a value to the first sink, or spool, that
/// took the alert; clones are the same one.
#[derive(Clone, Debug)]
pub struct Latency(pub Histogram);

impl Default for Latency {
    fn default() -> Self {
        let help = "Seconds from the frame that completed a value to the alert's first sink.";
        let options = HistogramOpts::new("tapsieve_alert_latency_seconds", help);
        let histogram = Histogram::with_opts(options.buckets(LATENCY_SECS.to_vec()));
        Self(histogram.expect("a good name and rising bounds"))
    }
}

impl Latency {
    /// Notes that alerts of frames with these times, in nanoseconds since 1970, are out.
    fn observe(&self, times: &[u64]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for time in times {
            self.0.observe(now.saturating_sub(Duration::from_nanos(*time)).as_secs_f64());
        }
    }
}

/// Takes what workers tell until all have ended.
pub struct LiveReporter<'a> {
    context: Context<'a>,
    outlets: Vec<Outlet>,
    published: &'a Mutex<Status>,
    status: Status,
    checkpoints: Checkpoints,
    recent: Recent,
    guard: Guard,
    /// How many sets were in force before the latest that was seen.
    generation: u64,
    told: Instant,
    canary: Option<Watch>,
    /// Alerts given to every sink.
    given: u64,
}

/// The ids of the latest alerts: a flow that is matched again with a new set tells nothing twice.
#[derive(Default)]
struct Recent {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Recent {
    fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    fn note(&mut self, id: &str) {
        self.ids.insert(id.to_owned());
        self.order.push_back(id.to_owned());
        if self.order.len() > RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}

impl Status {
    /// Returns the sum of all counts.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.sources.values().chain(self.workers.values()).for_each(|counts| sum.add(counts));
        sum.hits_repeated = sum.hits_repeated.saturating_add(self.repeated);
        sum.hits_expired = sum.hits_expired.saturating_add(self.expired);
        sum.hits_unknown = sum.hits_unknown.saturating_add(self.unknown);
        sum.hits_quarantined = sum.hits_quarantined.saturating_add(self.quarantined);
        sum
    }
}

impl<'a> LiveReporter<'a> {
    /// Returns a reporter of so many workers to sinks, whose threads it starts; tells what it knows
    /// through `published`.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started.
    pub fn new(
        context: Context<'a>,
        workers: usize,
        sinks: Vec<Opened>,
        published: &'a Mutex<Status>,
    ) -> io::Result<Self> {
        let status = Status::default();
        let start = |opened| {
            let latency = status.latency.clone();
            Outlet::start(opened, move |times: &[u64]| latency.observe(times))
        };
        let outlets = sinks.into_iter().map(start).collect::<io::Result<Vec<_>>>()?;
        let (recent, told) = (Recent::default(), Instant::now());
        Ok(Self {
            context,
            outlets,
            published,
            status,
            checkpoints: Checkpoints::new(workers),
            recent,
            guard: Guard::new(RunawayLimits { hosts_max: 0, ..RunawayLimits::default() }),
            generation: 0,
            told,
            canary: None,
            given: 0,
        })
    }

    /// Tells of canaries that come out, from now on.
    pub fn watch_canary(&mut self, proof: Arc<Proof>) {
        self.canary = Some(Watch::new(proof));
    }

    /// Quarantines indicators that alert for too many hosts, from now on.
    pub fn guard(&mut self, limits: RunawayLimits) {
        self.guard = Guard::new(limits);
    }

    /// Returns what asks all sinks to open their files and connections anew.
    pub fn reopen(&self) -> Reopen {
        Reopen::of(&self.outlets)
    }

    /// Runs until every sender is gone; batches go back through `spare`.
    pub fn run(mut self, told: &Receiver<Letter>, spare: &Sender<Batch>) -> Status {
        loop {
            match told.recv_timeout(TURN) {
                Ok(Letter { worker, mut batch }) => {
                    self.take(worker, &batch);
                    batch.clear();
                    // a worker that has ended needs no batch back
                    let _full_or_gone = spare.try_send(batch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.told.elapsed() >= TURN {
                self.publish();
            }
        }
        outlet::end_all(&mut self.outlets, outlet::END_MAX);
        self.publish();
        self.status
    }

    fn take(&mut self, worker: usize, batch: &Batch) {
        *self.status.beats.workers.entry(worker).or_default() += 1;
        if let Some((source, captured)) = &batch.captured {
            *self.status.beats.sources.entry(*source).or_default() += 1;
            let known = self.status.sources.entry(*source).or_default();
            // another worker may have told of a later block
            let is_later = captured.kernel_packets >= known.kernel_packets;
            if captured.frames() >= known.frames() && is_later {
                known.clone_from(captured);
            }
        }
        if let Some(counted) = &batch.counted {
            self.status.workers.entry(worker).or_default().clone_from(counted);
        }
        if let Some(checkpoint) = batch.checkpoint
            && let Some(whole) = self.checkpoints.take(checkpoint)
        {
            self.status.checkpoints.insert(whole.source, whole);
        }
        // another worker may still tell of the set before
        if let Some(catalog) = &batch.catalog
            && batch.generation > self.generation
        {
            self.generation = batch.generation;
            self.guard.release(&**catalog);
        }
        if batch.hits.is_empty() {
            return;
        }
        let (mut lines, mut times) = (Vec::with_capacity(1024), Vec::new());
        for hit in &batch.hits {
            let mut alert = match render::alert(hit, batch, &self.context) {
                Ok(alert) => alert,
                Err(why) => {
                    self.status.expired += u64::from(why == NoAlert::Expired);
                    self.status.unknown += u64::from(why == NoAlert::Unknown);
                    continue;
                }
            };
            if self.recent.has(&alert.event.id) {
                self.status.repeated += 1;
                continue;
            }
            match self.guard.judge(hit, &alert, batch) {
                Verdict::Passes => {}
                Verdict::Last(why) => render::quarantine(&mut alert, why),
                Verdict::Quarantined => {
                    self.status.quarantined += 1;
                    continue;
                }
            }
            self.recent.note(&alert.event.id);
            // an alert has no map and no number that JSON lacks
            let _cannot_fail = serde_json::to_writer(&mut lines, &alert);
            lines.push(b'\n');
            times.push(hit.time.0);
            self.given += 1;
            if let Some(canary) = &mut self.canary {
                canary.note(&alert, self.given, self.outlets.iter().map(Outlet::status));
            }
            *self.status.alerts.entry(alert.tapsieve.indicator.kind).or_default() += 1;
            if Bundle::is_full(&lines) {
                self.give(std::mem::take(&mut lines), std::mem::take(&mut times));
            }
        }
        self.give(lines, times);
    }

    fn give(&self, lines: Vec<u8>, times: Vec<u64>) {
        if !lines.is_empty() {
            let bundle = Arc::new(Bundle::new(lines, times));
            self.outlets.iter().for_each(|outlet| outlet.give(&bundle));
        }
    }

    fn publish(&mut self) {
        self.told = Instant::now();
        self.status.beats.reporter += 1;
        self.status.sinks = self.outlets.iter().map(Outlet::status).collect();
        if let Some(canary) = &mut self.canary {
            canary.look(&self.status.sinks);
        }
        self.status.runaways = self.guard.runaways();
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.clone_from(&self.status);
    }
}
