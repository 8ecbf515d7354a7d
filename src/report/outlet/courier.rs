//! The thread of one sink: delivers what it is ordered to, and lets the sink look after itself.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Receiver;
use crossbeam_channel::RecvTimeoutError;
use crossbeam_channel::Sender;

use crate::report::outlet::Bundle;
use crate::report::sink::Counts;
use crate::report::sink::Sink;
use crate::report::sink::SinkError;

/// How often a sink may look after itself while there is nothing to deliver.
const TURN: Duration = Duration::from_millis(100);

/// What a sink is to do.
pub(super) enum Order {
    Deliver(Arc<Parcel>),
    Finish,
}

/// What a sink is given at once.
pub(super) struct Parcel {
    /// Whole lines.
    pub(super) lines: Vec<u8>,
    /// How many.
    pub(super) count: u64,
    /// Where they came from memory.
    pub(super) parts: Vec<Arc<Bundle>>,
}

/// What it did.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) did: Did,
    /// What was delivered is as safe as the sink makes it.
    pub(super) is_settled: bool,
    pub(super) counts: Counts,
}

#[derive(Debug)]
pub(super) enum Did {
    /// It took a parcel, or did not; and then looked after itself.
    Delivered(Result<(), String>, Result<(), String>),
    /// It looked after itself.
    Tended(Result<(), String>),
    /// It has ended; lines that a peer may have lost.
    Finished(Result<(), String>, Vec<u8>),
}

/// A sink on its thread.
pub(super) struct Courier<T> {
    sink: Box<dyn Sink>,
    take: Receiver<Order>,
    answer: Sender<Report>,
    reopen: Arc<AtomicBool>,
    told: T,
    /// The last delivery failed.
    fails: bool,
    /// The keeper was told last that all is well, and this.
    well: Option<(bool, Counts)>,
}

impl<T: Fn(&[u64])> Courier<T> {
    /// Returns one with its ends of the channels.
    pub(super) fn new(
        sink: Box<dyn Sink>,
        (take, answer): (Receiver<Order>, Sender<Report>),
        reopen: Arc<AtomicBool>,
        told: T,
    ) -> Self {
        Self { sink, take, answer, reopen, told, fails: false, well: None }
    }

    /// Serves until the sink has ended, or the keeper has.
    pub(super) fn serve(mut self) {
        loop {
            if self.reopen.swap(false, Ordering::Relaxed) {
                let reopened = self.sink.reopen();
                self.tell(Did::Tended(told(reopened)));
            }
            match self.take.recv_timeout(TURN) {
                Ok(Order::Deliver(parcel)) => self.deliver(&parcel),
                Ok(Order::Finish) => {
                    let finished = told(self.sink.finish());
                    let unsure = self.sink.unsure();
                    let _gone = self.answer.send(self.report(Did::Finished(finished, unsure)));
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {
                    let tended = self.sink.tend();
                    self.tell(Did::Tended(told(tended)));
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn deliver(&mut self, parcel: &Parcel) {
        let delivered = told(self.sink.deliver(&parcel.lines));
        self.fails = delivered.is_err();
        if !self.fails {
            parcel.parts.iter().for_each(|part| part.tell(&self.told));
        }
        let did = Did::Delivered(delivered, told(self.sink.tend()));
        let report = self.report(did);
        self.well = self.wellness(&report);
        let _gone = self.answer.send(report);
    }

    /// Tells how it fares, unless the keeper knows, or is behind: the next will do.
    fn tell(&mut self, did: Did) {
        let report = self.report(did);
        let well = self.wellness(&report);
        if well.is_none() || well != self.well {
            let sent = self.answer.try_send(report).is_ok();
            self.well = well.filter(|_| sent);
        }
    }

    /// Returns what there is to know where all is well.
    fn wellness(&self, report: &Report) -> Option<(bool, Counts)> {
        let is_well = matches!(report.did, Did::Delivered(Ok(()), Ok(())) | Did::Tended(Ok(())));
        (is_well && !self.fails).then_some((report.is_settled, report.counts))
    }

    fn report(&self, did: Did) -> Report {
        Report { did, is_settled: self.sink.is_settled(), counts: self.sink.counts() }
    }
}

fn told(result: Result<(), SinkError>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}
