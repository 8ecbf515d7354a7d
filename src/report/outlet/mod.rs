//! The way of alerts to one sink: two threads between the reporter and it, so that neither a sink
//! that is slow nor one that hangs holds up anything else.
//!
//! ```text
//! reporter ══ bundles ══▶ keeper (queue-NAME) ══ one parcel ══▶ courier (sink-NAME) → sink
//!                           ▲ memory, spool  ◀══ how it went ══════┘
//! ```
//!
//! The reporter never waits: what the keeper has not yet looked at is bounded by bytes. Nor does it
//! wake the keeper for each alert, which sleeps a moment after each little parcel. The keeper
//! holds what the sink has not taken: in memory for a moment, then in the spool; what the spool
//! holds goes first. A parcel is forgotten when the sink took it, and in the spool when the sink
//! has made it safe. For each sink, at any moment: `given + found = delivered + lost + waiting`.

mod courier;
mod keeper;

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::time::Duration;
use std::time::Instant;

use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use crossbeam_channel::bounded;
use crossbeam_channel::unbounded;

use crate::report::outlet::courier::Courier;
use crate::report::outlet::keeper::Keeper;
use crate::report::sink::Sink;
use crate::report::spool::Spool;

/// Bytes of alerts that wait in memory for one sink; beyond, the newest are lost and counted.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of one bundle, unless one line is longer.
const BUNDLE_BYTES: usize = 64 * 1024;

/// How long the end of all outlets may take; below `TimeoutStopSec` of the systemd unit.
pub(super) const END_MAX: Duration = Duration::from_secs(9);

/// What a keeper waits for at the end, beside the disk of its spool.
const _: () = assert!(keeper::GRACE.as_secs() + keeper::FINISH_MAX.as_secs() < END_MAX.as_secs());

/// How a sink fares.
#[derive(Clone, Debug, Default)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// Alerts that were given to it.
    pub given: u64,
    /// Alerts that were in its spool at the start.
    pub found: u64,
    /// Alerts that it took.
    pub delivered: u64,
    /// Alerts that were lost, as too many waited.
    pub lost: u64,
    /// Alerts that wait, in memory or in the spool.
    pub waiting: u64,
    /// Alerts that were sent again after a connection broke, beside those delivered.
    pub resent: u64,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Alerts among those delivered that a peer may have lost, which died before the end.
    pub unsure: u64,
    /// So many wait that the newest are lost.
    pub is_losing: bool,
    /// Why it takes none, if it does not.
    pub trouble: Option<String>,
    /// How the spool fares, where there is one.
    pub spool: SpoolStatus,
}

/// How a spool fares.
#[derive(Clone, Debug, Default)]
pub struct SpoolStatus {
    /// Its folder; empty: there is none.
    pub folder: String,
    /// Alerts in it.
    pub alerts: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes that it may take.
    pub bytes_max: u64,
    /// Why it takes nothing, if it does not.
    pub trouble: Option<String>,
}

/// A sink that was opened, with its name and its spool.
pub struct Opened {
    /// Its name.
    pub name: String,
    /// The sink.
    pub sink: Box<dyn Sink>,
    /// Where its alerts wait on disk, if anywhere.
    pub spool: Option<Spool>,
}

/// Alerts that were found together, for all sinks.
#[derive(Debug)]
pub(super) struct Bundle {
    /// Whole lines.
    pub(super) lines: Vec<u8>,
    /// How many.
    pub(super) count: u64,
    /// When they were found.
    pub(super) since: Instant,
    /// Nanoseconds since 1970 of the frames that showed them.
    pub(super) times: Vec<u64>,
    /// A sink or spool took it before.
    pub(super) is_told: AtomicBool,
}

/// What a keeper and the reporter know of one sink.
#[derive(Debug, Default)]
struct Board {
    status: SinkStatus,
    /// Bytes that wait in memory.
    held_bytes: usize,
}

impl Board {
    /// Notes that bytes wait in memory no more.
    fn free(&mut self, bytes: usize) {
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
        // there is room for a bundle again
        self.status.is_losing &= self.held_bytes + BUNDLE_BYTES > WAITING_BYTES_MAX;
    }
}

/// The reporter's end.
pub(super) struct Outlet {
    tell: Option<Sender<Arc<Bundle>>>,
    board: Arc<Mutex<Board>>,
    reopen: Arc<AtomicBool>,
    ended: Receiver<()>,
}

/// Asks every sink to open its file or connection anew.
#[derive(Clone, Debug)]
pub struct Reopen(Vec<Arc<AtomicBool>>);

impl Reopen {
    /// Asks; each does so within a moment.
    pub fn ask(&self) {
        self.0.iter().for_each(|reopen| reopen.store(true, Ordering::Relaxed));
    }

    pub(super) fn of(outlets: &[Outlet]) -> Self {
        Self(outlets.iter().map(|outlet| Arc::clone(&outlet.reopen)).collect())
    }
}

impl Bundle {
    pub(super) fn new(lines: Vec<u8>, times: Vec<u64>) -> Self {
        let is_told = AtomicBool::new(false);
        Self { lines, count: times.len() as u64, since: Instant::now(), times, is_told }
    }

    /// Tells once that it is out of memory.
    fn tell(&self, told: impl Fn(&[u64])) {
        if !self.is_told.swap(true, Ordering::Relaxed) {
            told(&self.times);
        }
    }

    /// Whether no more fits.
    pub(super) fn is_full(lines: &[u8]) -> bool {
        lines.len() >= BUNDLE_BYTES
    }
}

impl Outlet {
    /// Starts its threads; `told` is called with the times of each bundle that leaves, once.
    pub(super) fn start(
        opened: Opened,
        told: impl Fn(&[u64]) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let Opened { name, sink, spool } = opened;
        let found = spool.as_ref().map_or(0, Spool::waiting);
        let status =
            SinkStatus { name: name.clone(), found, waiting: found, ..SinkStatus::default() };
        let board = Arc::new(Mutex::new(Board { status, held_bytes: 0 }));
        let reopen = Arc::new(AtomicBool::new(false));
        // bounded by the board's bytes
        let (tell, inbox) = unbounded();
        let (ending, ended) = bounded(1);
        let (orders, take) = bounded(1);
        let (answer, reports) = bounded(4);
        let courier = Courier::new(sink, (take, answer), Arc::clone(&reopen), told.clone());
        let keeper = Keeper::new((inbox, Arc::clone(&board)), (orders, reports), spool, told);
        // never joined: a sink that hangs must not hold up the end
        let _detached = Builder::new().name(format!("sink-{name}")).spawn(|| courier.serve())?;
        let _detached = Builder::new().name(format!("queue-{name}")).spawn(move || {
            keeper.serve();
            // the reporter may have lost patience
            let _gone = ending.send(());
        })?;
        Ok(Self { tell: Some(tell), board, reopen, ended })
    }

    /// Gives alerts, or counts them as lost where too many wait.
    pub(super) fn give(&self, bundle: &Arc<Bundle>) {
        let mut board = lock(&self.board);
        board.status.given += bundle.count;
        board.status.is_losing =
            board.held_bytes.saturating_add(bundle.lines.len()) > WAITING_BYTES_MAX;
        if board.status.is_losing {
            board.status.lost += bundle.count;
            return;
        }
        let sent = self.tell.as_ref().map(|tell| tell.send(Arc::clone(bundle)));
        if matches!(sent, Some(Ok(()))) {
            board.held_bytes += bundle.lines.len();
            board.status.waiting += bundle.count;
        } else {
            board.status.lost += bundle.count;
        }
    }

    /// Returns how it fares.
    pub(super) fn status(&self) -> SinkStatus {
        lock(&self.board).status.clone()
    }

    /// Waits until it has ended; what a keeper that hangs still holds is lost.
    fn join(&self, deadline: Instant) {
        let ended = self.ended.recv_deadline(deadline);
        if ended.is_err() {
            let mut board = lock(&self.board);
            let status = &mut board.status;
            let safe = status.spool.alerts.min(status.waiting);
            status.lost += status.waiting - safe;
            status.waiting = safe;
        }
    }
}

/// Lets all end, at the same time: nothing more will be given. Returns when they have, or when
/// patience is at its end.
pub(super) fn end_all(outlets: &mut [Outlet], patience: Duration) {
    let deadline = Instant::now() + patience;
    outlets.iter_mut().for_each(|outlet| outlet.tell = None);
    outlets.iter().for_each(|outlet| outlet.join(deadline));
}

fn lock(board: &Mutex<Board>) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
