//! `tapsieve observe`: every observation as JSON lines; no indicators needed.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use crate::control::cli::DAMAGED;
use crate::control::cli::DONE;
use crate::control::cli::Failure;
use crate::control::output;
use crate::control::post::Behind;
use crate::control::replay::InputArguments;
use crate::control::signals::stop_on_signals;
use crate::control::supervisor;
use crate::control::supervisor::HASH_SEED;
use crate::control::supervisor::Pins;
use crate::control::supervisor::Plan;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::IndicatorType;
use crate::model::observation::Kinds;
use crate::model::observation::ObservationKind;
use crate::model::story::Catalog;
use crate::model::story::Source;
use crate::pipeline::capturer::Depth;
use crate::pipeline::matcher::current::Current;
use crate::pipeline::worker::WorkerSettings;
use crate::report::render::Context;
use crate::report::reporter::Sinks;

/// What can be said to `observe`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Print this kind alone; may be given again [possible values: flow, dns_query, dns_answer,
    /// dns_name, tls_sni ...]
    #[arg(long = "kind", value_name = "KIND", value_parser = kind)]
    kinds: Vec<ObservationKind>,
    #[command(flatten)]
    input: InputArguments,
}

/// Runs it.
///
/// # Errors
///
/// When no capture is usable, or standard output cannot be written.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let files = output::open(&arguments.input)?;
    let names = files.names();
    let observed = match arguments.kinds.as_slice() {
        [] => Kinds::ALL,
        kinds => kinds.iter().copied().collect(),
    };
    let stopped = stop_on_signals(&files.stop()).map_err(Failure::Signals)?;
    let plan = Plan {
        sources: vec![files],
        seed: HASH_SEED,
        depth: Depth::Match,
        workers: arguments.input.workers(),
        settings: WorkerSettings {
            depth: Depth::Match,
            observed,
            flows: arguments.input.flows(),
            sets_change: false,
        },
        current: Arc::new(nothing_in_force()),
        pins: Pins::default(),
        behind: Behind::Wait,
    };
    let outcome = supervisor::replay(
        plan,
        Context { files: &names, ..Context::default() },
        Sinks { alerts: None, observations: Some(output::sink(Path::new("-"), false)?) },
    )?;
    output::say_all(outcome.damages());
    if let Some(signal) = stopped.by() {
        output::say(&format!("tapsieve: stopped by {signal}: the rest was not read\n"));
    }
    let whole = outcome.damages().is_empty() && stopped.by().is_none();
    if let Some(failure) = output::failure(outcome.reported) {
        return Err(failure);
    }
    Ok(if whole { DONE } else { DAMAGED })
}

fn kind(name: &str) -> Result<ObservationKind, String> {
    ObservationKind::from_name(name).ok_or_else(|| {
        let known: Vec<&str> = ObservationKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("no such kind; known are {}", known.join(", "))
    })
}

/// Returns a set that nothing is in.
pub fn nothing_in_force() -> Current {
    Current::new(Arc::default(), Arc::new(NoCatalog))
}

/// The stories of no indicator at all.
struct NoCatalog;

impl Catalog for NoCatalog {
    fn version(&self) -> &str {
        ""
    }

    fn indicator(&self, _id: IndicatorId) -> Option<(IndicatorType, &str)> {
        None
    }

    fn canonical(&self, _id: IndicatorId) -> Option<String> {
        None
    }

    fn holds(&self, _ty: IndicatorType, _value: &str) -> bool {
        false
    }

    fn sources(&self, _id: IndicatorId) -> Vec<Source> {
        Vec::new()
    }
}
