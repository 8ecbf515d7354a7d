//! Loop 3: hits become alert lines in one order, whatever the number of workers, and go to the
//! sinks.
//!
//! A hit is final when every worker's watermark has passed its frame. Final hits are taken in frame
//! order; each releases the alerts that are more than `REORDER_SECS` older than the packet clock at
//! its frame, earliest first; so does the clock that all workers have reached, as no later hit has
//! an earlier one. So alerts come in the order of packet time even where a capture is a little out
//! of order, and their order depends on the sequence of hits alone: never on timing, workers or
//! blocks. Observations come in the order of the clock at their frame, then frame; a flow has its
//! place where it was over.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;

use crate::model::batch::Batch;
use crate::model::hit::Hit;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::IndicatorType;
use crate::model::limits::ALERTS_HELD_MAX;
use crate::model::limits::REORDER_SECS;
use crate::model::limits::SIGHTINGS_HELD_MAX;
use crate::model::observation::ObservationKind;
use crate::model::observation::Place;
use crate::model::packet::FrameId;
use crate::model::time::Timestamp;
use crate::report::observation;
use crate::report::render;
use crate::report::render::Context;
use crate::report::render::NoAlert;
use crate::report::sink::Sink;
use crate::report::sink::SinkError;

/// What one worker tells: a batch; empty ones tell the watermark alone.
#[derive(Debug)]
pub struct Letter {
    /// Which worker.
    pub worker: usize,
    /// What it found; settled when the worker has ended.
    pub batch: Batch,
}

/// Where alerts and observations go. `None`: nobody asked.
pub struct Sinks {
    /// Takes alert lines.
    pub alerts: Option<Box<dyn Sink>>,
    /// Takes observation lines.
    pub observations: Option<Box<dyn Sink>>,
}

/// Signals between the reporter and the rest of a run.
#[derive(Debug, Default)]
pub struct Signals {
    /// Alerts so far, for the progress bar.
    pub alerts: AtomicU64,
    /// Set when no sink can take more: reading on is pointless; by a signal, too.
    pub stop: Arc<AtomicBool>,
}

/// What the reporter did.
#[derive(Debug, Default)]
pub struct Reported {
    /// Alerts by indicator type, in name order.
    pub alerts: BTreeMap<&'static str, u64>,
    /// Observation lines written.
    pub observations: u64,
    /// Alerts that were written before an earlier one of theirs, because too many were held.
    pub unordered: u64,
    /// Alerts that no sink took.
    pub lost: u64,
    /// Hits whose indicator was too old at their packet.
    pub expired: u64,
    /// Hits whose indicator's type is not known.
    pub unknown: u64,
    /// Why a sink stopped.
    pub failure: Option<SinkError>,
}

/// Takes what workers tell until all have ended, and gives each batch back.
pub struct Reporter<'a> {
    context: Context<'a>,
    sinks: Sinks,
    signals: &'a Signals,
    watermarks: Vec<(FrameId, u64)>,
    pending: BinaryHeap<Reverse<Pending>>,
    held: BinaryHeap<Reverse<Held>>,
    sighted: BinaryHeap<Reverse<Line>>,
    lines: Vec<u8>,
    reported: Reported,
}

/// A hit that some worker may still precede.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pending {
    frame: FrameId,
    kind: ObservationKind,
    value: Box<[u8]>,
    place: Place,
    indicator: IndicatorId,
    clock_secs: u32,
    time: Timestamp,
    ty: IndicatorType,
    line: Vec<u8>,
}

/// A final alert that an earlier one may still precede.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    time: Timestamp,
    rest: Pending,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    clock_secs: u32,
    frame: FrameId,
    kind: ObservationKind,
    text: Box<[u8]>,
}

/// Delivers lines to a sink that still stands; one that fails is dropped, so that nothing follows a
/// torn line and no half-written file gets its name. Tells whether the lines were taken.
fn deliver(sink: &mut Option<Box<dyn Sink>>, lines: &[u8]) -> Result<bool, SinkError> {
    let Some(standing) = sink else { return Ok(false) };
    let delivered = standing.deliver(lines);
    if delivered.is_err() {
        *sink = None;
    }
    delivered.map(|()| true)
}

impl<'a> Reporter<'a> {
    /// Returns a reporter for the batches of `workers` workers.
    pub fn new(context: Context<'a>, sinks: Sinks, signals: &'a Signals, workers: usize) -> Self {
        Self {
            context,
            sinks,
            signals,
            watermarks: vec![Default::default(); workers],
            pending: BinaryHeap::new(),
            held: BinaryHeap::new(),
            sighted: BinaryHeap::new(),
            lines: Vec::new(),
            reported: Reported::default(),
        }
    }

    /// Runs until every sender is gone; batches go back through `spare`.
    pub fn run(mut self, told: &Receiver<Letter>, spare: &Sender<Batch>) -> Reported {
        for Letter { worker, mut batch } in told {
            self.take(worker, &batch);
            batch.clear();
            // a worker that has ended needs no batch back
            let _full_or_gone = spare.try_send(batch);
        }
        self.finish()
    }

    /// Takes one batch and writes what became final.
    pub fn take(&mut self, worker: usize, batch: &Batch) {
        for hit in &batch.hits {
            self.queue(hit, batch);
        }
        self.queue_sightings(batch);
        if let Some(mark) = self.watermarks.get_mut(worker) {
            *mark = (batch.watermark, batch.settled_secs);
        }
        let passed = self.watermarks.iter().map(|mark| mark.0).min().unwrap_or_default();
        let settled_secs = self.watermarks.iter().map(|mark| mark.1).min().unwrap_or_default();
        self.advance(passed);
        self.release_before(settled_secs.saturating_sub(u64::from(REORDER_SECS)));
        self.tell_sightings(settled_secs);
        self.write();
    }

    /// Writes everything that is left.
    pub fn finish(mut self) -> Reported {
        self.advance(FrameId(u64::MAX));
        self.release_before(u64::MAX);
        self.tell_sightings(u64::MAX);
        self.write();
        for sink in [&mut self.sinks.alerts, &mut self.sinks.observations].into_iter().flatten() {
            if let Err(error) = sink.finish() {
                self.reported.failure.get_or_insert(error);
            }
        }
        self.reported
    }

    fn queue(&mut self, hit: &Hit, batch: &Batch) {
        let alert = match render::alert(hit, batch, &self.context) {
            Ok(alert) => alert,
            Err(why) => {
                self.reported.expired += u64::from(why == NoAlert::Expired);
                self.reported.unknown += u64::from(why == NoAlert::Unknown);
                return;
            }
        };
        let ty = batch.catalog.as_ref().and_then(|catalog| catalog.indicator(hit.found.indicator));
        let Some((ty, _)) = ty else { return };
        let mut line = Vec::with_capacity(1024);
        // an alert has no map and no number that JSON lacks
        let _cannot_fail = serde_json::to_writer(&mut line, &alert);
        line.push(b'\n');
        self.pending.push(Reverse(Pending {
            frame: hit.frame,
            kind: hit.kind,
            value: batch.bytes(hit.value).into(),
            place: hit.place,
            indicator: hit.found.indicator,
            clock_secs: hit.clock_secs,
            time: hit.time,
            ty,
            line,
        }));
    }

    fn queue_sightings(&mut self, batch: &Batch) {
        if self.sinks.observations.is_none() {
            return;
        }
        for sighting in &batch.sightings {
            let mut text = Vec::with_capacity(400);
            observation::write_line(&mut text, sighting, batch, self.context.files);
            self.sighted.push(Reverse(Line {
                clock_secs: sighting.clock_secs,
                frame: sighting.frame,
                kind: sighting.kind,
                text: text.into(),
            }));
        }
    }

    /// Makes final what no worker can precede any more.
    fn advance(&mut self, passed: FrameId) {
        while self.pending.peek().is_some_and(|Reverse(first)| first.frame <= passed) {
            let Some(Reverse(pending)) = self.pending.pop() else { break };
            self.release_before(u64::from(pending.clock_secs.saturating_sub(REORDER_SECS)));
            self.held.push(Reverse(Held { time: pending.time, rest: pending }));
        }
    }

    /// Releases what was seen before a second, earliest first; more only where too many are held.
    fn release_before(&mut self, secs: u64) {
        while let Some(Reverse(first)) = self.held.peek() {
            let due = u64::from(first.time.secs()) < secs;
            let crowded = self.held.len() >= ALERTS_HELD_MAX;
            if !due && !crowded {
                break;
            }
            let Some(Reverse(first)) = self.held.pop() else { break };
            self.reported.unordered += u64::from(!due);
            self.release(&first);
        }
    }

    /// Writes the observations before a second of the packet clock, and, where too many are held,
    /// more.
    fn tell_sightings(&mut self, settled_secs: u64) {
        let mut text = Vec::new();
        while let Some(Reverse(first)) = self.sighted.peek() {
            let due = u64::from(first.clock_secs) < settled_secs;
            if !due && self.sighted.len() < SIGHTINGS_HELD_MAX {
                break;
            }
            let Some(Reverse(line)) = self.sighted.pop() else { break };
            self.reported.unordered += u64::from(!due);
            text.extend_from_slice(&line.text);
            self.reported.observations += 1;
        }
        if !text.is_empty() {
            let taken = deliver(&mut self.sinks.observations, &text);
            self.note(taken);
        }
    }

    fn release(&mut self, held: &Held) {
        *self.reported.alerts.entry(held.rest.ty.name()).or_default() += 1;
        self.signals.alerts.fetch_add(1, Ordering::Relaxed);
        self.lines.extend_from_slice(&held.rest.line);
    }

    fn write(&mut self) {
        let nobody_asked = self.sinks.alerts.is_none() && self.reported.failure.is_none();
        if self.lines.is_empty() || nobody_asked {
            self.lines.clear();
            return;
        }
        let taken = deliver(&mut self.sinks.alerts, &self.lines);
        if self.note(taken) {
            let lines = self.lines.iter().filter(|byte| **byte == b'\n').count();
            self.reported.lost += lines as u64;
        }
        self.lines.clear();
    }

    /// Notes why lines were not taken, if they were not.
    fn note(&mut self, taken: Result<bool, SinkError>) -> bool {
        let error = match taken {
            Ok(taken) => return !taken,
            Err(error) => error,
        };
        self.signals.stop.store(true, Ordering::Relaxed);
        self.reported.failure.get_or_insert(error);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;
    use std::sync::Mutex;

    use super::*;

    /// Takes so many deliveries, then fails; what it took, and whether it was finished.
    struct Failing {
        left: usize,
        told: Arc<Mutex<(usize, bool)>>,
    }

    impl Sink for Failing {
        fn deliver(&mut self, lines: &[u8]) -> Result<(), SinkError> {
            let Some(left) = self.left.checked_sub(1) else {
                let source = io::Error::from(io::ErrorKind::StorageFull);
                return Err(SinkError::Broken { path: PathBuf::from("x"), source });
            };
            self.left = left;
            self.told.lock().expect("no panic").0 += lines.len();
            Ok(())
        }

        fn finish(&mut self) -> Result<(), SinkError> {
            self.told.lock().expect("no panic").1 = true;
            Ok(())
        }
    }

    #[test]
    fn a_sink_that_fails_gets_no_more_and_is_not_finished() {
        let told = Arc::new(Mutex::new((0, false)));
        let mut sink: Option<Box<dyn Sink>> =
            Some(Box::new(Failing { left: 1, told: Arc::clone(&told) }));
        assert!(deliver(&mut sink, b"one\n").expect("taken"));
        assert!(deliver(&mut sink, b"two\n").is_err());
        assert!(!deliver(&mut sink, b"three\n").expect("no more is tried"));
        assert!(sink.is_none(), "finish() would give a half-written file its name");
        assert_eq!(*told.lock().expect("no panic"), (4, false));
    }
}
