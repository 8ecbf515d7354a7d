//! The live reporter: alerts go out at once, to every sink; a sink that fails is tried again while
//! its alerts wait.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::collections::VecDeque;
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
use crate::model::counters::Counters;
use crate::report::render;
use crate::report::render::Context;
use crate::report::reporter::Told;
use crate::report::sink::Sink;

/// How often what was counted is told, and a sink that failed is tried again.
const TURN: Duration = Duration::from_millis(500);

/// Bytes of alerts that wait for one sink; beyond, the newest are lost and counted.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Alerts whose ids are remembered (about 100 bytes each).
const RECENT_MAX: usize = 262_144;

/// Upper bounds of the buckets of latency, in seconds.
const LATENCY_SECS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0];

/// What a sensor has counted so far, as whoever asks sees it.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Counts of each source, and of each worker.
    pub sources: BTreeMap<u32, Counters>,
    /// By number.
    pub workers: BTreeMap<usize, Counters>,
    /// Alerts by indicator type.
    pub alerts: BTreeMap<&'static str, u64>,
    /// Alerts left out as they were given before.
    pub repeated: u64,
    /// By sink.
    pub sinks: Vec<SinkStatus>,
    /// Times from frame to sink.
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

/// A histogram of the times from the frame that completed a value to the alert's sinks; clones are
/// the same one.
#[derive(Clone, Debug)]
pub struct Latency(pub Histogram);

impl Default for Latency {
    fn default() -> Self {
        let help = "Seconds from the frame that completed a value to the alert's sinks.";
        let options = HistogramOpts::new("tapsieve_alert_latency_seconds", help);
        let histogram = Histogram::with_opts(options.buckets(LATENCY_SECS.to_vec()));
        Self(histogram.expect("a good name and rising bounds"))
    }
}

/// How a sink fares.
#[derive(Clone, Debug, Default)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// Alerts that it took.
    pub delivered: u64,
    /// Alerts that were lost, as too many waited.
    pub lost: u64,
    /// Alerts that wait.
    pub waiting: u64,
    /// Why it takes none, if it does not.
    pub trouble: Option<String>,
}

/// A sink and its name.
pub type Named = (String, Box<dyn Sink>);

/// One sink, and what waits for it.
struct Outlet {
    sink: Box<dyn Sink>,
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    status: SinkStatus,
    tried: Option<Instant>,
}

/// Takes what workers tell until all have ended.
pub struct LiveReporter<'a> {
    context: Context<'a>,
    outlets: Vec<Outlet>,
    published: &'a Mutex<Status>,
    status: Status,
    recent: Recent,
    told: Instant,
}

/// The ids of the latest alerts: a flow that is matched again with a new set tells nothing twice.
#[derive(Default)]
struct Recent {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Recent {
    fn is_new(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

impl Status {
    /// Returns the sum of all counts.
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        self.sources.values().chain(self.workers.values()).for_each(|counts| sum.add(counts));
        sum.hits_repeated = sum.hits_repeated.saturating_add(self.repeated);
        sum
    }
}

impl<'a> LiveReporter<'a> {
    /// Returns a reporter to named sinks, which tells what it knows through `published`.
    pub fn new(context: Context<'a>, sinks: Vec<Named>, published: &'a Mutex<Status>) -> Self {
        let outlet = |(name, sink)| Outlet {
            sink,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            status: SinkStatus { name, ..SinkStatus::default() },
            tried: None,
        };
        Self {
            context,
            outlets: sinks.into_iter().map(outlet).collect(),
            published,
            status: Status::default(),
            recent: Recent::default(),
            told: Instant::now(),
        }
    }

    /// Runs until every sender is gone; batches go back through `spare`.
    pub fn run(mut self, told: &Receiver<Told>, spare: &Sender<Batch>) -> Status {
        loop {
            match told.recv_timeout(TURN) {
                Ok(Told { worker, mut batch }) => {
                    self.take(worker, &batch);
                    batch.clear();
                    // a worker that has ended needs no batch back
                    let _full_or_gone = spare.try_send(batch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.told.elapsed() >= TURN {
                self.outlets.iter_mut().for_each(Outlet::retry);
                self.publish();
            }
        }
        for outlet in &mut self.outlets {
            outlet.tried = None;
            outlet.retry();
            let finished = outlet.sink.finish();
            outlet.judge(finished.map_err(|error| error.to_string()));
            outlet.status.lost += std::mem::take(&mut outlet.status.waiting);
        }
        self.publish();
        self.status
    }

    fn take(&mut self, worker: usize, batch: &Batch) {
        *self.status.beats.workers.entry(worker).or_default() += 1;
        if let Some((source, captured)) = &batch.captured {
            *self.status.beats.sources.entry(*source).or_default() += 1;
            let known = self.status.sources.entry(*source).or_default();
            // another worker may have told of a later block
            if captured.frames() >= known.frames() {
                known.clone_from(captured);
            }
        }
        if let Some(counted) = &batch.counted {
            self.status.workers.entry(worker).or_default().clone_from(counted);
        }
        if batch.hits.is_empty() {
            return;
        }
        let mut lines = Vec::with_capacity(1024);
        let mut count = 0;
        for hit in &batch.hits {
            let Some(alert) = render::alert(hit, batch, &self.context) else { continue };
            if !self.recent.is_new(&alert.event.id) {
                self.status.repeated += 1;
                continue;
            }
            // an alert has no map and no number that JSON lacks
            let _cannot_fail = serde_json::to_writer(&mut lines, &alert);
            lines.push(b'\n');
            count += 1;
            *self.status.alerts.entry(alert.tapsieve.indicator.kind).or_default() += 1;
        }
        for outlet in &mut self.outlets {
            outlet.deliver(&lines, count);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for hit in &batch.hits {
            let waited = now.saturating_sub(Duration::from_nanos(hit.time.0));
            self.status.latency.0.observe(waited.as_secs_f64());
        }
    }

    fn publish(&mut self) {
        self.told = Instant::now();
        self.status.beats.reporter += 1;
        self.status.sinks = self.outlets.iter().map(|outlet| outlet.status.clone()).collect();
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.clone_from(&self.status);
    }
}

impl Outlet {
    /// Delivers lines now, or lets them wait behind those that wait already.
    fn deliver(&mut self, lines: &[u8], count: u64) {
        if self.waiting.is_empty() {
            let delivered = self.sink.deliver(lines).map_err(|error| error.to_string());
            if self.judge(delivered) {
                self.status.delivered += count;
                return;
            }
        }
        if self.waiting_bytes.saturating_add(lines.len()) > WAITING_BYTES_MAX {
            self.status.lost += count;
            return;
        }
        self.waiting_bytes += lines.len();
        self.status.waiting += count;
        self.waiting.push_back(lines.to_vec());
    }

    /// Tries again to deliver what waits.
    fn retry(&mut self) {
        if self.tried.is_some_and(|tried| tried.elapsed() < TURN) {
            return;
        }
        while let Some(lines) = self.waiting.front() {
            let delivered = self.sink.deliver(lines).map_err(|error| error.to_string());
            if !self.judge(delivered) {
                return;
            }
            let lines = self.waiting.pop_front().unwrap_or_default();
            let count = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.waiting_bytes -= lines.len();
            self.status.waiting -= count;
            self.status.delivered += count;
        }
    }

    /// Notes how a delivery went.
    fn judge(&mut self, delivered: Result<(), String>) -> bool {
        self.status.trouble = delivered.err();
        if self.status.trouble.is_some() {
            self.tried = Some(Instant::now());
        }
        self.status.trouble.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::report::sink::SinkError;

    /// Takes lines while it stands.
    struct Wavering {
        stands: Arc<AtomicBool>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Sink for Wavering {
        fn deliver(&mut self, lines: &[u8]) -> Result<(), SinkError> {
            if !self.stands.load(Ordering::Relaxed) {
                let source = io::Error::from(io::ErrorKind::StorageFull);
                return Err(SinkError::Broken { path: PathBuf::from("x"), source });
            }
            self.taken.lock().expect("no panic").extend_from_slice(lines);
            Ok(())
        }

        fn finish(&mut self) -> Result<(), SinkError> {
            Ok(())
        }
    }

    #[test]
    fn what_a_sink_does_not_take_waits_in_order() {
        let (stands, taken) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let sink = Wavering { stands: Arc::clone(&stands), taken: Arc::clone(&taken) };
        let mut outlet = Outlet {
            sink: Box::new(sink),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            status: SinkStatus::default(),
            tried: None,
        };
        outlet.deliver(b"one\n", 1);
        stands.store(false, Ordering::Relaxed);
        outlet.deliver(b"two\n", 1);
        outlet.deliver(b"three\nfour\n", 2);
        assert_eq!((outlet.status.delivered, outlet.status.waiting), (1, 3));
        assert!(
            outlet
                .status
                .trouble
                .as_ref()
                .is_some_and(|why| why.contains("no space") || why.contains("storage"))
        );
        stands.store(true, Ordering::Relaxed);
        outlet.tried = None;
        outlet.retry();
        outlet.deliver(b"five\n", 1);
        assert_eq!((outlet.status.delivered, outlet.status.waiting), (5, 0));
        assert_eq!(*taken.lock().expect("no panic"), b"one\ntwo\nthree\nfour\nfive\n");
        assert_eq!((outlet.status.trouble, outlet.waiting_bytes), (None, 0));
    }
}
