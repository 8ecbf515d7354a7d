//! `bench replay`: the pipeline on a capture, cut off after a stage; the set swapped meanwhile,
//! where that is asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use clap::Args;

use crate::control::bench::stage::Stage;
use crate::control::bench::tell;
use crate::control::cli::Failure;
use crate::control::intel::IntelArguments;
use crate::control::intel::compile::Compiled;
use crate::control::observe::nothing_in_force;
use crate::control::output;
use crate::control::post::Behind;
use crate::control::replay::InputArguments;
use crate::control::supervisor;
use crate::control::supervisor::HASH_SEED;
use crate::control::supervisor::Pins;
use crate::control::supervisor::Plan;
use crate::model::observation::Kinds;
use crate::pipeline::matcher::current::Current;
use crate::pipeline::worker::WorkerSettings;
use crate::report::render::Context;
use crate::report::reporter::Sinks;

/// What can be said to `bench replay`.
#[derive(Args, Debug)]
pub struct ReplayArguments {
    /// The last stage that runs
    #[arg(long, value_enum, default_value_t = Stage::Match)]
    stop_after: Stage,
    /// Put another set of the same indicators in force every so often, as a sensor's reloads do
    #[arg(long, value_name = "MILLISECONDS", requires = "intel")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    swap_millis: Option<u64>,
    /// Write the alerts here, to compare them
    #[arg(long, value_name = "FILE", requires = "intel")]
    alerts: Option<PathBuf>,
    #[command(flatten)]
    intel: IntelArguments,
    #[command(flatten)]
    input: InputArguments,
}

/// Runs it.
///
/// # Errors
///
/// When no capture or no indicator is usable.
pub(super) fn run(arguments: &ReplayArguments) -> Result<u8, Failure> {
    let wants_index = arguments.stop_after == Stage::Match && !arguments.intel.is_empty();
    if arguments.swap_millis.is_some() && !wants_index {
        return Err(Failure::Usage(
            "--swap-millis swaps what `--stop-after match` asks".to_owned(),
        ));
    }
    let compile = || arguments.intel.compile();
    let compiled = wants_index.then(compile).transpose()?;
    let other = arguments.swap_millis.map(|_| compile()).transpose()?;
    let files = output::open(&arguments.input)?;
    let names = files.names();
    if let Some(path) = &arguments.alerts {
        output::distinct(&[path], files.ids(), &arguments.intel.intel)?;
    }
    let alerts = arguments.alerts.as_deref().map(|path| output::sink(path, false)).transpose()?;
    let depth = arguments.stop_after.depth();
    let started = Instant::now();
    let current = Arc::new(compiled.as_ref().map_or_else(nothing_in_force, |c| c.set.in_force()));
    let plan = Plan {
        sources: vec![files],
        seed: HASH_SEED,
        depth,
        workers: arguments.input.workers(),
        settings: WorkerSettings {
            depth,
            observed: Kinds::NONE,
            flows: arguments.input.flows(),
            sets_change: other.is_some(),
        },
        current: Arc::clone(&current),
        pins: Pins::default(),
        behind: Behind::Wait,
    };
    let context = Context { files: &names, ..Context::default() };
    let replay = || supervisor::replay(plan, context, Sinks { alerts, observations: None });
    let every = arguments.swap_millis.map(Duration::from_millis);
    let (outcome, swaps) = match (every, &compiled, &other) {
        (Some(every), Some(one), Some(other)) => swapping(&current, [other, one], every, replay),
        _ => (replay(), 0),
    };
    let outcome = outcome?;
    let secs = started.elapsed().as_secs_f64();
    if swaps > 0 {
        let alerts = outcome.reported.alerts.values().sum::<u64>();
        output::say(&format!("tapsieve: {swaps} swaps, {alerts} alerts\n"));
    }
    let counters = &outcome.counters;
    let name = arguments.stop_after.name();
    let (packets, bytes) = (counters.captured_packets, counters.captured_bytes);
    let code = tell(name, secs, packets, bytes, outcome.damages())?;
    output::failure(outcome.reported).map_or(Ok(code), Err)
}

/// Runs something while two sets take turns in force; returns how often they did.
fn swapping<T>(
    current: &Current,
    sets: [&Compiled; 2],
    every: Duration,
    run: impl FnOnce() -> T,
) -> (T, u64) {
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let mut swaps = 0_u64;
            let mut next = Instant::now() + every;
            for Compiled { set, .. } in sets.into_iter().cycle() {
                while !ended.load(Ordering::Relaxed) && Instant::now() < next {
                    std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
                }
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                current.swap(Arc::clone(&set.index), Arc::clone(set) as _);
                swaps += 1;
                next += every;
            }
            swaps
        });
        let done = run();
        ended.store(true, Ordering::Relaxed);
        swapper.thread().unpark();
        (done, swapper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
