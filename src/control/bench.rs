//! `tapsieve bench`: what each stage costs on a capture, in numbers anyone can reproduce.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;

use crate::control::cli::DAMAGED;
use crate::control::cli::DONE;
use crate::control::cli::Failure;
use crate::control::intel::IntelArguments;
use crate::control::observe::nothing_in_force;
use crate::control::output;
use crate::control::replay::InputArguments;
use crate::control::supervisor;
use crate::control::supervisor::HASH_SEED;
use crate::control::supervisor::Pins;
use crate::control::supervisor::Plan;
use crate::model::block::Block;
use crate::model::observation::Kinds;
use crate::pipeline::capture::Source;
use crate::pipeline::capture::State;
use crate::pipeline::capture::damage::Damage;
use crate::pipeline::capturer::Depth;
use crate::pipeline::worker::WorkerSettings;
use crate::report::render::Context;
use crate::report::reporter::Sinks;
use crate::report::sink::Sink;
use crate::report::sink::stdout::Stdout;

/// What can be measured.
#[derive(Subcommand, Debug)]
pub enum Bench {
    /// Only read the file and walk its records, touching each header: what no engine can go below
    Floor(FloorArguments),
    /// Run the pipeline, cut off after a stage
    Replay(ReplayArguments),
}

/// What can be said to `bench floor`.
#[derive(Args, Debug)]
pub struct FloorArguments {
    #[command(flatten)]
    input: InputArguments,
}

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

/// Where the pipeline is cut.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Frames are found
    Read,
    /// Headers are decoded and handed over
    Decode,
    /// Flows are kept
    Flow,
    /// Payload is read
    Dissect,
    /// Observations are matched
    Match,
}

impl Stage {
    fn depth(self) -> Depth {
        match self {
            Self::Read => Depth::Read,
            Self::Decode => Depth::Decode,
            Self::Flow => Depth::Flow,
            Self::Dissect => Depth::Dissect,
            Self::Match => Depth::Match,
        }
    }
}

/// Runs one.
///
/// # Errors
///
/// When no capture or no indicator is usable.
pub fn run(bench: Bench) -> Result<u8, Failure> {
    match bench {
        Bench::Floor(arguments) => floor(&arguments),
        Bench::Replay(arguments) => replay(&arguments),
    }
}

fn floor(arguments: &FloorArguments) -> Result<u8, Failure> {
    let mut files = output::open(&arguments.input)?;
    let mut block = Block::new(1);
    let (mut frames, mut bytes, mut touched) = (0_u64, 0_u64, 0_u64);
    let started = Instant::now();
    loop {
        block.clear();
        let state = files.fill(&mut block);
        for frame in &block.frames {
            frames += 1;
            bytes += u64::from(frame.captured_bytes);
            // one byte of the header: its cache line has to come in
            touched += block.memory().get(frame.at as usize).map_or(0, |byte| u64::from(*byte));
        }
        if state == State::Ended {
            break;
        }
    }
    let secs = started.elapsed().as_secs_f64();
    std::hint::black_box(touched);
    tell("floor", secs, frames, bytes, files.damages())
}

fn replay(arguments: &ReplayArguments) -> Result<u8, Failure> {
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
        settings: WorkerSettings { depth, observed: Kinds::NONE, flows: arguments.input.flows() },
        current: Arc::new(current),
        pins: Pins::default(),
    };
    let outcome = supervisor::replay(
        plan,
        Context { files: &names, sensor: None },
        Sinks { alerts: None, observations: None },
    )?;
    let secs = started.elapsed().as_secs_f64();
    let counters = &outcome.counters;
    let name = arguments.stop_after.to_possible_value();
    let name = name.as_ref().map_or("replay", |value| value.get_name());
    tell(name, secs, counters.captured_packets, counters.captured_bytes, outcome.damages())
}

/// Prints the numbers; the exit code says whether they are of whole captures.
fn tell(what: &str, secs: f64, frames: u64, bytes: u64, damages: &[Damage]) -> Result<u8, Failure> {
    output::say_all(damages);
    if frames == 0 {
        return Err(Failure::NoInput("the capture has no frame to measure with".to_owned()));
    }
    let per_frame = secs * 1e9 / (frames.max(1)) as f64;
    let mpps = frames as f64 / secs / 1e6;
    let gbits = bytes as f64 * 8.0 / secs / 1e9;
    let line = format!(
        "{what:<8} {frames} packets {bytes} bytes {secs:.3} s  {per_frame:.1} ns/packet  \
         {mpps:.2} Mpps  {gbits:.2} Gbit/s\n"
    );
    let mut out = Stdout;
    out.deliver(line.as_bytes())?;
    Ok(if damages.is_empty() { DONE } else { DAMAGED })
}
