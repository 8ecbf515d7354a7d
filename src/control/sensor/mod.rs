//! `tapsieve sensor`: the live daemon. Captures until told to stop, takes new indicators without a
//! pause, and tells how it fares.

mod adapter;
mod canary;
mod check;
pub mod confine;
mod direction;
mod feeds;
mod health;
mod http;
mod intel;
mod outlets;
mod puller;
mod pulse;
mod start;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use clap::Args;
use sd_notify::NotifyState;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::consts::SIGUSR1;
use signal_hook::consts::SIGUSR2;
use signal_hook::iterator::Signals;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::control::cli::DONE;
use crate::control::cli::Failure;
use crate::control::config::Config;
use crate::control::intel::compile::Compiled;
use crate::control::intel::compile::compile;
use crate::control::intel::compile::nothing_yet;
use crate::control::intel::ledger::Damage;
use crate::control::intel::ledger::Spot;
use crate::control::log;
use crate::control::log::LogFormat;
use crate::control::output;
use crate::control::post::Behind;
use crate::control::sensor::canary::Canary;
use crate::control::sensor::confine::Confined;
use crate::control::sensor::health::Health;
use crate::control::sensor::health::Trouble;
use crate::control::sensor::intel::Intel;
use crate::control::supervisor;
use crate::control::supervisor::LIVE_BATCH;
use crate::control::supervisor::Outcome;
use crate::control::supervisor::Pins;
use crate::control::supervisor::Plan;
use crate::model::counters::Counters;
use crate::model::observation::Kinds;
use crate::pipeline::capture::live::Live;
use crate::pipeline::capture::live::LiveSettings;
use crate::pipeline::capturer::Depth;
use crate::pipeline::worker::FlowSettings;
use crate::pipeline::worker::WorkerSettings;
use crate::report::live::LiveReporter;
use crate::report::live::Status;
use crate::report::outlet::Opened;
use crate::report::outlet::Reopen;
use crate::report::render::Context;
use crate::report::summary;
use crate::report::summary::Run;

/// How often the control thread looks at signals and files.
const TURN: Duration = Duration::from_millis(100);

/// How often it looks how the sensor fares.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Quiet of a thread that the watchdog does not mind, however short its period: the reporter
/// publishes twice a second.
const QUIET_AT_LEAST: Duration = Duration::from_secs(1);

/// What can be said to `sensor`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The configuration, TOML
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only tell what is wrong with the configuration, and what keeps this host from starting it
    #[arg(long)]
    check: bool,
}

/// Runs it.
///
/// # Errors
///
/// When the configuration is wrong, no indicator is usable, or an interface or sink cannot be
/// opened.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let config = Config::read(&arguments.config)?;
    log::start(config.log);
    if arguments.check {
        return check::check(&arguments.config, &config);
    }
    start::fits(&config)?;
    let stop = Arc::new(AtomicBool::new(false));
    let listener = config.listen.map(http::listen).transpose()?;
    let listens = listener.as_ref().and_then(|listener| listener.local_addr().ok());
    // with no capability left, interfaces are opened before it goes; else when all is ready
    let early = (!config.confinement.keep_net_raw).then(|| sources(&config, &stop)).transpose()?;
    let early_canary = early.as_ref().and_then(|_| canary(&config));
    let mut confined = Confined::enter(&arguments.config, &config)?;
    // whoever rotates files must not end a sensor that is starting
    let mut signals = Signals::new([SIGHUP, SIGUSR1, SIGUSR2]).map_err(Failure::Signals)?;
    // before they are read: what comes meanwhile differs
    let seen = intel::look_at(&config);
    let (first, intel_secs) = first_set(&config)?;
    // from here on a signal ends it in order
    for signal in [SIGTERM, SIGINT] {
        signals.add_signal(signal).map_err(Failure::Signals)?;
    }
    // opened as whom they are opened again: what cannot be written is known now
    let sinks = outlets::open(&config)?;
    let mut sources = early.map_or_else(|| sources(&config, &stop), Ok)?;
    Live::begin(&mut sources);
    let canary = early_canary.or_else(|| canary(&config));
    let handles = sources.len();
    confined.filter_calls(&config.confinement)?;
    info!("{}", confined.line());
    let current = Arc::new(first.set.in_force());
    let status = Arc::new(Mutex::new(Status::default()));
    let interfaces = sources.iter().map(|source| Arc::clone(source.interface())).collect();
    let (workers, reopens) = (workers(&config, handles), config.confinement.keep_net_raw);
    let health = Arc::new(Health::new(&first, interfaces, &config, (reopens, workers)));
    let mut intel = Intel::new(&config, (seen, &first), Arc::clone(&current), Arc::clone(&health));
    // the first set goes when another is in force, as all others do
    drop(first);
    let reporter = reporter(&config, workers, sinks, &status, canary.as_ref())?;
    let reopen = reporter.reopen();
    let plan = Plan {
        sources,
        seed: seed(),
        depth: Depth::Match,
        workers,
        settings: WorkerSettings {
            depth: Depth::Match,
            observed: Kinds::NONE,
            flows: flows(&config),
            sets_change: true,
        },
        current,
        pins: pins(&config),
        behind: Behind::Keep,
    };
    let running = Instant::now();
    puller::start(&config, &health, &intel.pulled()).map_err(Failure::Thread)?;
    if let Some(listener) = listener {
        let (health, status) = (Arc::clone(&health), Arc::clone(&status));
        let confinement = confined.in_force();
        let page = http::Page { health, status, stop: Arc::clone(&stop), confinement };
        page.serve_beside(listener)?;
    }
    let report = |told: &_, spare: &_| reporter.run(told, spare);
    let outcome = supervisor::run(plan, &stop, report, || {
        tell_start(&config, handles, listens);
        let mut orders = Orders { signals: &mut signals, reopen, canary };
        control(&mut orders, &mut intel, &health, &status, &stop);
    })?;
    let secs = [intel_secs, running.elapsed().as_secs_f64()];
    tell_end(config.log, &outcome, &health, secs);
    outlets::tell_end(&outcome.reported.sinks)?;
    Ok(DONE)
}

/// What the sensor is told while it runs, and who is to know.
struct Orders<'a> {
    signals: &'a mut Signals,
    reopen: Reopen,
    canary: Option<Canary>,
}

/// Serves signals and looks at the indicators until told to stop.
fn control(
    orders: &mut Orders<'_>,
    intel: &mut Intel,
    health: &Health,
    status: &Mutex<Status>,
    stop: &Arc<AtomicBool>,
) {
    let watchdog = sd_notify::watchdog_enabled();
    let (mut looked, mut troubles) = (Instant::now(), Vec::new());
    let (mut watched, mut reloading) = (Instant::now(), false);
    notify(&[NotifyState::Ready]);
    while !stop.load(Ordering::Relaxed) {
        for signal in orders.signals.pending() {
            match signal {
                SIGHUP => {
                    notify(&[NotifyState::Reloading, monotonic()]);
                    reloading = true;
                    orders.reopen.ask();
                    intel.reload("SIGHUP");
                }
                SIGTERM | SIGINT => stop.store(true, Ordering::Relaxed),
                // whoever rotates files may send it; the file sink sees for itself
                _ => {}
            }
        }
        health.feel(&status.lock().unwrap_or_else(PoisonError::into_inner));
        intel.look();
        if let Some(canary) = &mut orders.canary {
            canary.turn();
            health.see_canary(canary.state());
        }
        if reloading && !intel.is_compiling() {
            reloading = false;
            notify(&[NotifyState::Ready]);
        }
        if looked.elapsed() >= LOOK_EVERY {
            looked = Instant::now();
            let status = status.lock().unwrap_or_else(PoisonError::into_inner).clone();
            health.look(&status);
            tell_changes(&mut troubles, health.troubles(&status));
        }
        // a pipeline that is stuck is not vouched for
        let is_due = |period: &Duration| watched.elapsed() >= *period / 2;
        if let Some(period) = watchdog.filter(is_due)
            && health.quiet((period / 2).max(QUIET_AT_LEAST)).is_empty()
        {
            watched = Instant::now();
            notify(&[NotifyState::Watchdog]);
        }
        std::thread::sleep(TURN);
    }
    // a second one hurries
    for signal in [SIGTERM, SIGINT] {
        let hurry = Arc::clone(stop);
        let _refused_then_not_in_a_hurry =
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, hurry);
    }
    notify(&[NotifyState::Stopping]);
    info!("stopping: reading what the rings still hold");
}

/// Says what has come up and what is over, once each.
fn tell_changes(before: &mut Vec<Trouble>, now: Vec<Trouble>) {
    let new = |one: &Trouble, others: &[Trouble]| others.iter().all(|other| other.key != one.key);
    for trouble in now.iter().filter(|trouble| new(trouble, before)) {
        match trouble.is_warning {
            true => warn!(trouble = trouble.key, "{}", trouble.text),
            false => error!(trouble = trouble.key, "not ready: {}", trouble.text),
        }
    }
    for trouble in before.iter().filter(|trouble| new(trouble, &now)) {
        info!(trouble = trouble.key, "over: {}", trouble.key);
    }
    *before = now;
}

/// Tells systemd, where it started us and asks.
fn notify(states: &[NotifyState<'_>]) {
    // nobody listens where systemd did not start us
    let _nobody_listens = sd_notify::notify(states);
}

fn monotonic() -> NotifyState<'static> {
    NotifyState::monotonic_usec_now().unwrap_or(NotifyState::Ready)
}

fn sources(config: &Config, stop: &Arc<AtomicBool>) -> Result<Vec<Live>, Failure> {
    let mut sources = Vec::new();
    for settings in &config.captures {
        let first = u32::try_from(sources.len()).unwrap_or(u32::MAX);
        // without the capability it could not be opened later
        let waits = config.confinement.keep_net_raw;
        sources.extend(Live::open(settings, first, stop, waits)?);
    }
    Ok(sources)
}

/// Compiles the first set; returns the seconds that it took, too.
fn first_set(config: &Config) -> Result<(Compiled, f64), Failure> {
    let started = Instant::now();
    // where a disk does not answer, this is the last word
    info!("reading the indicators");
    let (inputs, options) = (config.inputs(), config.intel_options());
    let first = match compile(&inputs, &options).and_then(Compiled::verified) {
        // what servers have comes by and by; capturing does not wait for it
        Err(error) if start::is_waited_for(&error, config) => {
            info!("no indicators yet: waiting for {}", config.remote_labels().join(", "));
            let damage = |path| Damage::new(path, Spot::File, error.to_string());
            nothing_yet(&options, inputs.first().map(|path| damage(path)).into_iter().collect())?
        }
        outcome => outcome?,
    };
    first.damages.iter().for_each(|damage| warn!("{damage}"));
    first.notes.iter().for_each(|note| warn!("{note}"));
    Ok((first, started.elapsed().as_secs_f64()))
}

fn reporter<'a>(
    config: &'a Config,
    workers: usize,
    sinks: Vec<Opened>,
    status: &'a Mutex<Status>,
    canary: Option<&Canary>,
) -> Result<LiveReporter<'a>, Failure> {
    let validity = config.filter.validity;
    let context = Context { files: &[], sensor: Some(&config.name), validity };
    let mut reporter =
        LiveReporter::new(context, workers, sinks, status).map_err(Failure::Thread)?;
    reporter.guard(config.runaway.clone());
    if let Some(canary) = canary {
        reporter.watch_canary(canary.proof());
    }
    Ok(reporter)
}

fn canary(config: &Config) -> Option<Canary> {
    config.canary.as_ref().map(Canary::new)
}

fn pins(config: &Config) -> Pins {
    let of = |settings: &LiveSettings| {
        let threads = 0..usize::from(settings.threads);
        threads.map(|n| settings.cpus.get(n).copied()).collect::<Vec<_>>()
    };
    Pins {
        capturers: config.captures.iter().flat_map(of).collect(),
        workers: config.worker_cpus.iter().copied().map(Some).collect(),
    }
}

fn workers(config: &Config, handles: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    match config.workers {
        0 => cores.saturating_sub(handles).max(1),
        count => count as usize,
    }
}

fn flows(config: &Config) -> FlowSettings {
    FlowSettings {
        flows_max: config.flows_max,
        tcp_idle_secs: config.tcp_idle_secs,
        other_idle_secs: config.other_idle_secs,
        batch: LIVE_BATCH,
    }
}

/// A seed for the flow hash that nobody outside knows.
fn seed() -> u64 {
    use std::hash::BuildHasher;
    foldhash::fast::RandomState::default().hash_one(std::process::id())
}

fn tell_start(config: &Config, handles: usize, listens: Option<SocketAddr>) {
    let names: Vec<&str> = config.captures.iter().map(|c| c.interface.as_str()).collect();
    let listen = listens.map(|listens| format!(", metrics at http://{listens}/metrics"));
    info!(
        sensor = config.name,
        handles,
        "capturing on {}{}",
        names.join(", "),
        listen.unwrap_or_default()
    );
}

/// Tells what it did, and with which set it ended.
fn tell_end(format: LogFormat, outcome: &Outcome<Live, Status>, health: &Health, secs: [f64; 2]) {
    let known = health.known();
    let counters = &Counters { lost_interface: health.had_no_room(), ..outcome.counters.clone() };
    let alerts = &outcome.reported.alerts;
    if format == LogFormat::Json {
        let (packets, flows, alerts) =
            (counters.frames(), counters.flows, alerts.values().sum::<u64>());
        let ring_full = counters.lost_ring;
        info!(packets, flows, alerts, ring_full, set = known.version, "stopped");
        return;
    }
    let [intel_secs, packet_secs] = secs;
    output::say(&summary::table(&Run {
        counters,
        wire_bytes: outcome.wire_bytes,
        alerts,
        alerts_unordered: 0,
        indicators: known.indicators.values().sum(),
        refused: known.left_out.values().sum(),
        set_version: &known.version,
        intel_secs,
        packet_secs,
        peak_bytes: summary::peak_bytes(),
    }));
}
