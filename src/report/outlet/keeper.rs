//! The thread that holds what one sink has not taken: counts it, spools it, offers it again.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use crossbeam_channel::Receiver;
use crossbeam_channel::RecvTimeoutError;
use crossbeam_channel::Sender;
use crossbeam_channel::TryRecvError;
use crossbeam_channel::never;
use crossbeam_channel::select_biased;

use crate::report::outlet::Board;
use crate::report::outlet::Bundle;
use crate::report::outlet::SinkStatus;
use crate::report::outlet::courier::Did;
use crate::report::outlet::courier::Order;
use crate::report::outlet::courier::Parcel;
use crate::report::outlet::courier::Report;
use crate::report::outlet::lock;
use crate::report::sink::lines;
use crate::report::spool::Front;
use crate::report::spool::Refusal;
use crate::report::spool::Spool;

/// How often it looks around while something waits; else it sleeps until something comes.
const TURN: Duration = Duration::from_millis(100);

/// How long it sleeps after it gave the sink a little: what comes meanwhile, and what the sink has
/// to tell, wakes nobody, and goes out together. A part of what an alert may take, 250 ms.
pub(super) const LULL: Duration = Duration::from_millis(50);

/// Bytes of a parcel after which it does not sleep, as there is more where it came from.
const LULL_BYTES_MAX: usize = 64 * 1024;

/// How long a sink that failed is left alone, and a spool.
const REST: Duration = Duration::from_millis(500);

/// How long alerts wait in memory where there is a spool: a sink that works takes them sooner.
const MEMORY_AGE_MAX: Duration = Duration::from_secs(1);

/// Bytes that wait in memory where there is a spool.
const MEMORY_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of one parcel, unless one bundle is longer.
const PARCEL_BYTES: usize = 128 * 1024;

/// How long a sink has at the end to take what waits.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// How long a sink has to end; a disk may have much to sync.
pub(super) const FINISH_MAX: Duration = Duration::from_secs(3);

/// Holds the alerts of one sink.
pub(super) struct Keeper<T> {
    inbox: Option<Receiver<Arc<Bundle>>>,
    board: Arc<Mutex<Board>>,
    orders: Sender<Order>,
    reports: Receiver<Report>,
    spool: Option<Spool>,
    told: T,
    memory: VecDeque<Arc<Bundle>>,
    memory_bytes: usize,
    flight: Option<Flight>,
    /// When the sink last failed to take a parcel, and none since.
    failed: Option<Instant>,
    /// When the spool last failed, and not worked since.
    spool_failed: Option<Instant>,
    /// The spool holds something that is not synced.
    is_unsynced: bool,
    /// The spool remembers less on disk than was sent.
    is_unsettled: bool,
    /// When it was last told what was sent.
    settled: Instant,
    /// What the sink has taken is as safe as it makes it.
    is_sink_settled: bool,
    /// It refused something, and has not been tried with success since.
    is_spool_unwell: bool,
}

/// The parcel that the sink has; it is the oldest of all that waits.
struct Flight {
    parcel: Arc<Parcel>,
    /// Where it is in the spool: its bytes there, and lines that were left out.
    spooled: Option<(u64, u64)>,
    since: Instant,
}

impl<T: Fn(&[u64])> Keeper<T> {
    /// Returns one with its ends of the channels.
    pub(super) fn new(
        (inbox, board): (Receiver<Arc<Bundle>>, Arc<Mutex<Board>>),
        (orders, reports): (Sender<Order>, Receiver<Report>),
        spool: Option<Spool>,
        told: T,
    ) -> Self {
        let keeper = Self {
            inbox: Some(inbox),
            board,
            orders,
            reports,
            spool,
            told,
            memory: VecDeque::new(),
            memory_bytes: 0,
            flight: None,
            failed: None,
            spool_failed: None,
            is_unsynced: false,
            is_unsettled: false,
            settled: Instant::now(),
            is_sink_settled: true,
            is_spool_unwell: false,
        };
        keeper.note_spool();
        keeper
    }

    /// Serves until the reporter has hung up; then gives the sink a moment, and spools the rest.
    pub(super) fn serve(mut self) {
        while self.inbox.is_some() {
            self.wait();
            if self.is_spill_due() {
                self.spill();
            }
            if !self.spool_rests() {
                self.settle_if_due();
            }
            if self.offer() && self.is_calm() {
                std::thread::sleep(LULL);
            }
        }
        self.end();
    }

    /// Waits for alerts, or for what the sink has to tell.
    fn wait(&mut self) {
        let Some(inbox) = self.inbox.clone() else { return };
        let is_busy = self.is_unsettled || self.is_unsynced || self.is_spool_unwell;
        let patience = if is_busy || !self.is_empty() { TURN } else { Duration::MAX };
        select_biased! {
            recv(self.reports) -> report => match report {
                Ok(report) => self.take(report),
                Err(_) => self.reports = never(),
            },
            recv(inbox) -> bundle => match bundle {
                Ok(bundle) => self.hold(bundle),
                Err(_) => self.inbox = None,
            },
            default(patience) => {}
        }
        while self.memory_bytes <= MEMORY_BYTES_MAX {
            match inbox.try_recv() {
                Ok(bundle) => self.hold(bundle),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
    }

    fn hold(&mut self, bundle: Arc<Bundle>) {
        self.memory_bytes += bundle.lines.len();
        self.memory.push_back(bundle);
    }

    /// Notes what the sink did.
    fn take(&mut self, report: Report) {
        let trouble = match report.did {
            Did::Delivered(Ok(()), tended) => {
                self.failed = None;
                self.landed();
                Some(tended.err())
            }
            Did::Delivered(Err(why), _) => {
                self.failed = Some(Instant::now());
                self.came_back();
                Some(Some(why))
            }
            Did::Tended(Err(why)) => Some(Some(why)),
            // a sink that has taken nothing is not well because it says so
            Did::Tended(Ok(())) => (self.failed.is_none() || self.is_empty()).then_some(None),
            Did::Finished(finished, unsure) => {
                self.flight = None;
                self.keep_unsure(&unsure);
                finished.err().map(Some)
            }
        };
        self.note(|status| {
            status.reconnects = report.counts.reconnects;
            status.resent = report.counts.resent;
            if let Some(trouble) = trouble {
                status.trouble = trouble;
            }
        });
        self.is_sink_settled = report.is_settled;
        self.settle_if_due();
    }

    /// Tells whether the sink has all that there is, and that is little.
    fn is_calm(&self) -> bool {
        let flight = self.flight.as_ref().filter(|flight| flight.spooled.is_none());
        let is_little = |flight: &Flight| flight.parcel.lines.len() <= LULL_BYTES_MAX;
        self.memory.is_empty() && flight.is_some_and(is_little)
    }

    fn is_empty(&self) -> bool {
        let spooled = self.spool.as_ref().map_or(0, Spool::waiting);
        self.flight.is_none() && self.memory.is_empty() && spooled == 0
    }

    /// The parcel was taken.
    fn landed(&mut self) {
        let Some(flight) = self.flight.take() else { return };
        let damaged = flight.spooled.map_or(0, |(_, damaged)| damaged);
        if let (Some((bytes, damaged)), Some(spool)) = (flight.spooled, &mut self.spool) {
            spool.advance(bytes, flight.parcel.count + damaged);
            self.is_unsettled = true;
        }
        let freed = if flight.spooled.is_none() { flight.parcel.lines.len() } else { 0 };
        let count = flight.parcel.count;
        let mut board = lock(&self.board);
        board.free(freed);
        board.status.delivered += count;
        board.status.lost += damaged;
        board.status.waiting = board.status.waiting.saturating_sub(count + damaged);
        drop(board);
        self.note_spool();
    }

    /// The parcel was not taken: it is first again.
    fn came_back(&mut self) {
        let Some(flight) = self.flight.take() else { return };
        if flight.spooled.is_none() {
            self.memory_bytes += flight.parcel.lines.len();
            let parts = flight.parcel.parts.iter().rev();
            parts.for_each(|part| self.memory.push_front(Arc::clone(part)));
        }
    }

    /// Gives the sink what waits longest, if it has nothing, and has not just failed; tells whether
    /// it did.
    fn offer(&mut self) -> bool {
        let rests = self.failed.is_some_and(|failed| failed.elapsed() < REST);
        if self.flight.is_some() || rests {
            return false;
        }
        let Some(flight) = self.next() else { return false };
        // there is room for one, and it has none
        let sent = self.orders.try_send(Order::Deliver(Arc::clone(&flight.parcel))).is_ok();
        self.flight = Some(flight);
        if !sent {
            self.came_back();
            self.failed = Some(Instant::now());
            self.note(|status| status.trouble = Some("the sink's thread has ended".to_owned()));
        }
        sent
    }

    /// Returns the next parcel: from the spool, then from memory.
    fn next(&mut self) -> Option<Flight> {
        while let Some(front) = self.front() {
            let Front { lines, count, damaged, bytes } = front;
            if count > 0 {
                let parcel = Arc::new(Parcel { lines, count, parts: Vec::new() });
                let spooled = Some((bytes, damaged));
                return Some(Flight { parcel, spooled, since: Instant::now() });
            }
            if let Some(spool) = &mut self.spool {
                spool.advance(bytes, damaged);
            }
            self.lose_spooled(damaged);
        }
        if self.spool.as_ref().is_some_and(|spool| spool.waiting() > 0) {
            // it cannot be read now; what came later waits behind it
            return None;
        }
        let first = self.memory.front()?;
        let since = first.since;
        let (mut lines, mut parts, mut count) = (Vec::new(), Vec::new(), 0);
        while let Some(bundle) = self.memory.front() {
            if !parts.is_empty() && lines.len() + bundle.lines.len() > PARCEL_BYTES {
                break;
            }
            lines.extend_from_slice(&bundle.lines);
            count += bundle.count;
            parts.extend(self.memory.pop_front());
        }
        self.memory_bytes -= lines.len();
        let parcel = Arc::new(Parcel { lines, count, parts });
        Some(Flight { parcel, spooled: None, since })
    }

    /// Returns what is first in the spool.
    fn front(&mut self) -> Option<Front> {
        if self.spool_rests() {
            return None;
        }
        let read = self.spool.as_mut()?.front();
        match read {
            Ok(front) => front,
            Err(error) => {
                // someone removed or cut it: nothing to wait for
                let is_gone =
                    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof);
                let lost = self.spool.as_mut().filter(|_| is_gone).map_or(0, Spool::give_up);
                self.lose_spooled(lost);
                self.fail_spool(&format!("cannot be read: {error}"));
                None
            }
        }
    }

    fn lose_spooled(&self, count: u64) {
        self.note(|status| {
            status.lost += count;
            status.waiting = status.waiting.saturating_sub(count);
        });
    }

    /// Tells whether what is in memory has been there for too long, or is too much.
    fn is_spill_due(&self) -> bool {
        let flight = self.flight.as_ref().filter(|flight| flight.spooled.is_none());
        let since = flight.map(|flight| flight.since);
        let oldest = since.or_else(|| self.memory.front().map(|bundle| bundle.since));
        let is_old = oldest.is_some_and(|since| since.elapsed() >= MEMORY_AGE_MAX);
        let flight_bytes = flight.map_or(0, |flight| flight.parcel.lines.len());
        let is_much = self.memory_bytes + flight_bytes > MEMORY_BYTES_MAX;
        let is_due = is_old || is_much || self.is_unsynced || self.is_spool_unwell;
        self.spool.is_some() && is_due && !self.spool_rests()
    }

    fn spool_rests(&self) -> bool {
        self.spool_failed.is_some_and(|failed| failed.elapsed() < REST)
    }

    /// Puts all that is in memory into the spool, and makes it safe.
    fn spill(&mut self) {
        let Some(mut spool) = self.spool.take() else { return };
        let spilt = self.append_all(&mut spool);
        let synced = if self.is_unsynced { spool.sync() } else { Ok(()) };
        self.is_unsynced = synced.is_err();
        let synced = synced.map_err(Refusal::Broken);
        self.spool = Some(spool);
        self.note_spool();
        let spilt = spilt.and(synced);
        self.is_spool_unwell = spilt.is_err();
        match spilt {
            Ok(()) => {
                self.spool_failed = None;
                self.note(|status| status.spool.trouble = None);
            }
            Err(Refusal::Full) => {
                self.lose_newest();
                self.note(|status| {
                    let what = "is full, the newest alerts are lost: raise [spool] mebibytes";
                    status.spool.trouble = Some(trouble(status, what));
                });
            }
            // memory holds them meanwhile, up to its bound
            Err(Refusal::Broken(error)) => self.fail_spool(&format!("cannot be written: {error}")),
        }
    }

    fn append_all(&mut self, spool: &mut Spool) -> Result<(), Refusal> {
        if let Some(flight) = self.flight.as_mut().filter(|flight| flight.spooled.is_none()) {
            let Parcel { lines, count, parts } = &*flight.parcel;
            let bytes = lines.len();
            spool.append(lines, *count)?;
            flight.spooled = Some((bytes as u64, 0));
            parts.iter().for_each(|part| part.tell(&self.told));
            self.free(bytes);
        }
        while let Some(bundle) = self.memory.front() {
            spool.append(&bundle.lines, bundle.count)?;
            bundle.tell(&self.told);
            let bytes = bundle.lines.len();
            self.memory.pop_front();
            self.memory_bytes -= bytes;
            self.free(bytes);
        }
        Ok(())
    }

    /// Notes that bytes wait in memory no more, but in the spool.
    fn free(&mut self, bytes: usize) {
        self.is_unsynced = true;
        lock(&self.board).free(bytes);
    }

    /// The spool is at its bound: memory holds a little, and the newest beyond are lost.
    fn lose_newest(&mut self) {
        while self.memory_bytes > MEMORY_BYTES_MAX {
            let Some(bundle) = self.memory.pop_back() else { break };
            self.memory_bytes -= bundle.lines.len();
            self.lose(&bundle.lines, bundle.count);
        }
    }

    fn lose(&self, lines: &[u8], count: u64) {
        let mut board = lock(&self.board);
        board.free(lines.len());
        board.status.lost += count;
        board.status.waiting = board.status.waiting.saturating_sub(count);
    }

    /// Has the spool forget what the sink has made safe: now and then, and when all is gone.
    fn settle_if_due(&mut self) {
        let is_due = self.settled.elapsed() >= REST || self.is_empty();
        let may = self.is_unsettled && self.is_sink_settled && self.flight.is_none();
        if !may || !is_due {
            return;
        }
        let settled = self.spool.as_mut().map(Spool::settle);
        if let Some(Err(error)) = settled {
            return self.fail_spool(&format!("cannot be written: {error}"));
        }
        self.is_unsettled = false;
        self.settled = Instant::now();
        self.note_spool();
    }

    fn fail_spool(&mut self, what: &str) {
        self.spool_failed = Some(Instant::now());
        self.is_spool_unwell = true;
        self.note(|status| status.spool.trouble = Some(trouble(status, what)));
    }

    /// Keeps what a peer may have lost for the next sensor; it is counted as delivered.
    fn keep_unsure(&mut self, unsure: &[u8]) {
        if unsure.is_empty() {
            return;
        }
        let count = lines(unsure);
        let appended = self.spool.as_mut().map(|spool| spool.append(unsure, count));
        if matches!(appended, Some(Ok(()))) {
            // a disk that cannot be synced has it all the same, most likely
            let _why = self.spool.as_mut().map(Spool::sync);
            self.note_spool();
        } else {
            self.note(|status| status.unsure = count);
        }
    }

    /// Gives the sink a moment to take what waits, spools the rest, and ends both.
    fn end(&mut self) {
        let deadline = Instant::now() + GRACE;
        (self.failed, self.spool_failed) = (None, None);
        self.offer();
        // what it does not take at once is made safe first: a disk may need the rest of the time
        let mut soon = Some(Instant::now() + TURN);
        while self.flight.is_some() && self.failed.is_none() {
            match self.reports.recv_deadline(soon.unwrap_or(deadline)) {
                Ok(report) => self.take(report),
                Err(RecvTimeoutError::Timeout) if soon.take().is_some() => self.spill(),
                Err(_) => break,
            }
            if self.failed.is_none() {
                self.offer();
            }
        }
        self.spool_failed = None;
        self.spill();
        self.lose_rest();
        self.finish();
    }

    /// What neither the sink nor the spool took is lost.
    fn lose_rest(&mut self) {
        let spooled = self.spool.as_ref().map_or(0, Spool::waiting);
        self.memory.clear();
        // what a sink that hangs has of it is lost, or comes twice
        self.flight = self.flight.take().filter(|flight| flight.spooled.is_some());
        self.note(|status| {
            status.lost += status.waiting.saturating_sub(spooled);
            status.waiting = status.waiting.min(spooled);
        });
    }

    /// Ends the sink; one that hangs is left behind.
    fn finish(&mut self) {
        let deadline = Instant::now() + FINISH_MAX;
        if self.orders.send_deadline(Order::Finish, deadline).is_err() {
            return;
        }
        while let Ok(report) = self.reports.recv_deadline(deadline) {
            let is_last = matches!(report.did, Did::Finished(..));
            self.take(report);
            if is_last {
                return;
            }
        }
    }

    fn note(&self, change: impl FnOnce(&mut SinkStatus)) {
        change(&mut lock(&self.board).status);
    }

    fn note_spool(&self) {
        let Some(spool) = &self.spool else { return };
        let (alerts, (bytes, bytes_max)) = (spool.waiting(), spool.bytes());
        self.note(|status| {
            let to = &mut status.spool;
            to.folder = spool.folder().display().to_string();
            (to.alerts, to.bytes, to.bytes_max) = (alerts, bytes, bytes_max);
        });
    }
}

fn trouble(status: &SinkStatus, what: &str) -> String {
    format!("the spool {} {what}", status.spool.folder)
}
