//! `bench replay`: the pipeline on a capture, cut off after a stage.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;

use crate::control::bench::stage::Stage;
use crate::control::bench::tell;
use crate::control::cli::Failure;
use crate::control::intel::IntelArguments;
use crate::control::observe::nothing_in_force;
use crate::control::output;
use crate::control::post::Behind;
use crate::control::replay::InputArguments;
use crate::control::supervisor;
use crate::control::supervisor::HASH_SEED;
use crate::control::supervisor::Pins;
use crate::control::supervisor::Plan;
use crate::model::observation::Kinds;
use crate::pipeline::worker::WorkerSettings;
use crate::report::render::Context;
use crate::report::reporter::Sinks;

/// What can be said to `bench replay`.
#[derive(Args, Debug)]
pub struct ReplayArguments {
    /// The last stage that runs
    #[arg(long, value_enum, default_value_t = Stage::Match)]
    stop_after: Stage,
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
    let compiled = if wants_index { Some(arguments.intel.compile()?) } else { None };
    let files = output::open(&arguments.input)?;
    let names = files.names();
    let depth = arguments.stop_after.depth();
    let started = Instant::now();
    let current = compiled.as_ref().map_or_else(nothing_in_force, |c| c.set.in_force());
    let plan = Plan {
        sources: vec![files],
        seed: HASH_SEED,
        depth,
        workers: arguments.input.workers(),
        settings: WorkerSettings {
            depth,
            observed: Kinds::NONE,
            flows: arguments.input.flows(),
            sets_change: false,
        },
        current: Arc::new(current),
        pins: Pins::default(),
        behind: Behind::Wait,
    };
    let outcome = supervisor::replay(
        plan,
        Context { files: &names, ..Context::default() },
        Sinks { alerts: None, observations: None },
    )?;
    let secs = started.elapsed().as_secs_f64();
    let counters = &outcome.counters;
    tell(
        arguments.stop_after.name(),
        secs,
        counters.captured_packets,
        counters.captured_bytes,
        outcome.damages(),
    )
}
