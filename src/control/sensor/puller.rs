//! Servers are pulled on threads of their own, each on its schedule, or when its publisher says
//! that something has changed; what differs is asked to be compiled at once.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::time::Duration;
use std::time::Instant;

use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use crossbeam_channel::bounded;
use tracing::info;
use tracing::warn;

use crate::control::config::Config;
use crate::control::intel::misp::wake::Publisher;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::retry::jittered;
use crate::control::intel::remote::source::Pulled;
use crate::control::intel::remote::source::Remote;
use crate::control::intel::remote::source::RemoteKind;
use crate::control::intel::remote::source::Scope;
use crate::control::sensor::health::Health;

/// Two pulls that a publisher wakes for begin at least so far apart.
const WOKEN_EVERY: Duration = Duration::from_secs(2);

/// From a message to the pull: its transaction may end, and others of the same kind may come.
const SETTLE: Duration = Duration::from_millis(200);

/// After a pull of everything that failed, the next is tried; what has changed is pulled meanwhile,
/// unless it was too much.
const EVERYTHING_AGAIN: Duration = Duration::from_secs(900);

/// Pauses between two tries to hear a publisher: they double, until it was heard for a while.
const HEAR_AGAIN: Duration = Duration::from_secs(1);
const HEAR_AGAIN_MAX: Duration = Duration::from_secs(30);
const HEARD_LONG: Duration = Duration::from_secs(60);

/// Starts the threads; `differs` is set when something else was pulled. They end with the process:
/// a mirror is whole at any time.
///
/// # Errors
/// When a thread cannot be started.
pub(super) fn start(
    config: &Config,
    health: &Arc<Health>,
    differs: &Arc<AtomicBool>,
) -> io::Result<()> {
    for (remote, number) in config.remotes.iter().zip(1..) {
        let (wake, woken) = bounded(1);
        let puller = Puller {
            remote: remote.clone(),
            folder: remote.folder(&config.mirror.path),
            bytes_max: config.mirror.bytes_max(),
            health: Arc::clone(health),
            differs: Arc::clone(differs),
            woken,
            owes_everything: true,
            everything_from: Instant::now(),
        };
        Builder::new().name(format!("pull-{number}")).spawn(move || puller.run(&wake))?;
    }
    Ok(())
}

/// What pulls one server.
struct Puller {
    remote: Remote,
    folder: PathBuf,
    bytes_max: u64,
    health: Arc<Health>,
    differs: Arc<AtomicBool>,
    woken: Receiver<()>,
    /// Everything is to be compared once after the start.
    owes_everything: bool,
    /// Not before this.
    everything_from: Instant,
}

impl Puller {
    fn run(mut self, wake: &Sender<()>) {
        // kept, so that without a publisher the channel is silent and not over
        let _silent =
            self.hear(wake.clone()).map_err(|error| warn!("{}: {error}", self.remote.label));
        let mut scope = Scope::Changes;
        loop {
            let begun = Instant::now();
            let outcome = self.remote.pull(&self.folder, self.bytes_max, scope);
            self.note(scope, &outcome);
            if matches!(outcome, Err(RemoteError::TooLarge { .. })) {
                // what was too much is so in a minute
                std::thread::sleep(EVERYTHING_AGAIN);
            }
            let pulled = outcome.is_ok();
            let may = Instant::now() >= self.everything_from;
            scope = match (may, self.owes_everything) {
                (true, true) => Scope::Everything,
                (true, false) => Scope::Due,
                (false, _) => Scope::Changes,
            };
            if pulled && scope == Scope::Everything {
                // the start: what has changed first, then all
                continue;
            }
            self.wait(begun);
        }
    }

    fn note(&mut self, scope: Scope, outcome: &Result<Pulled, RemoteError>) {
        self.health.pulled(&self.remote.label, outcome);
        let is_full = outcome.as_ref().is_ok_and(|pulled| pulled.is_full);
        if is_full {
            self.owes_everything = false;
        } else if scope != Scope::Changes && has_failed(outcome) {
            self.everything_from = Instant::now() + EVERYTHING_AGAIN;
        }
        // what failed is told by `troubles`, once as long as it lasts
        if let Ok(pulled) = outcome
            && pulled.differs
        {
            tell(&self.remote, pulled);
            self.differs.store(true, Ordering::Release);
        }
    }

    /// Waits for the next period, or to be woken.
    fn wait(&self, begun: Instant) {
        let period = Duration::from_secs(u64::from(self.remote.period_secs));
        // between nine tenths and all of it
        let period = period.mul_f64(0.8) + jittered(period.mul_f64(0.2));
        if self.woken.recv_timeout(period.saturating_sub(begun.elapsed())).is_ok() {
            let pause = WOKEN_EVERY.saturating_sub(begun.elapsed()).max(SETTLE);
            std::thread::sleep(pause);
            let _whatever_came_meanwhile = self.woken.try_recv();
        }
    }

    /// Starts what hears the server's publisher, where it has one.
    fn hear(&self, wake: Sender<()>) -> io::Result<()> {
        let RemoteKind::Misp(settings) = &self.remote.kind else { return Ok(()) };
        let Some(address) = settings.zmq.clone() else { return Ok(()) };
        let (health, label) = (Arc::clone(&self.health), self.remote.label.clone());
        let name = std::thread::current().name().unwrap_or("pull").replace("pull", "hear");
        let hear = move || hear(&address, &label, &health, &wake);
        Builder::new().name(name).spawn(hear).map(drop)
    }
}

fn has_failed(outcome: &Result<Pulled, RemoteError>) -> bool {
    outcome.as_ref().map_or(true, |pulled| pulled.trouble.is_some())
}

/// Hears a publisher for ever.
fn hear(address: &str, label: &str, health: &Health, wake: &Sender<()>) {
    let mut pause = HEAR_AGAIN;
    loop {
        let mut since = None;
        let heard =
            Publisher::connect(address).and_then(|mut publisher| -> io::Result<Infallible> {
                since = Some(Instant::now());
                health.hears(label, None);
                // what was said before is not heard again; a full channel wakes as well
                let _woken_already = wake.try_send(());
                loop {
                    if publisher.hear()? {
                        health.woken(label);
                        let _woken_already = wake.try_send(());
                    }
                }
            });
        let Err(error) = heard;
        // `troubles` tells of it, once as long as it lasts
        health.hears(label, Some(format!("{address}: {error}")));
        if since.is_some_and(|since| since.elapsed() >= HEARD_LONG) {
            pause = HEAR_AGAIN;
        }
        std::thread::sleep(jittered(pause));
        pause = (pause * 2).min(HEAR_AGAIN_MAX);
    }
}

fn tell(remote: &Remote, pulled: &Pulled) {
    let Pulled { new, changed, gone, is_full, .. } = pulled;
    info!(feed = remote.label, new, changed, gone, full = is_full, "pulled");
}
