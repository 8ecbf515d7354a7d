//! The thread of one sink: delivers what it is ordered to, and lets the sink look after itself.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Receiver;
use crossbeam_channel::RecvTimeoutError;
use crossbeam_channel::Sender;

use crate::report::sink::Counts;
use crate::report::sink::Sink;
use crate::report::sink::SinkError;

/// How often a sink may look after itself while there is nothing to deliver.
const TURN: Duration = Duration::from_millis(100);

/// What a sink is to do.
pub(super) enum Order {
    Deliver(Arc<Vec<u8>>),
    Finish,
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
pub(super) struct Courier {
    pub(super) sink: Box<dyn Sink>,
    pub(super) take: Receiver<Order>,
    pub(super) answer: Sender<Report>,
    pub(super) reopen: Arc<AtomicBool>,
}

impl Courier {
    /// Serves until the sink has ended, or the keeper has.
    pub(super) fn serve(mut self) {
        loop {
            if self.reopen.swap(false, Ordering::Relaxed) {
                let reopened = self.sink.reopen();
                self.tell(Did::Tended(told(reopened)));
            }
            match self.take.recv_timeout(TURN) {
                Ok(Order::Deliver(lines)) => {
                    let delivered = told(self.sink.deliver(&lines));
                    let tended = told(self.sink.tend());
                    let did = Did::Delivered(delivered, tended);
                    let _gone = self.answer.send(self.report(did));
                }
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

    /// Tells how it fares, unless the keeper is behind: the next will do.
    fn tell(&self, did: Did) {
        let _full_or_gone = self.answer.try_send(self.report(did));
    }

    fn report(&self, did: Did) -> Report {
        Report { did, is_settled: self.sink.is_settled(), counts: self.sink.counts() }
    }
}

fn told(result: Result<(), SinkError>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}
