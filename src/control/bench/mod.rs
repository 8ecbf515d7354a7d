//! `tapsieve bench`: what each stage costs, and what rate is held live, in numbers anyone can
//! reproduce.

mod floor;
mod live;
mod replay;
mod stage;

use clap::Subcommand;

use crate::control::cli::DAMAGED;
use crate::control::cli::DONE;
use crate::control::cli::Failure;
use crate::control::output;
use crate::pipeline::capture::damage::Damage;
use crate::report::sink::Sink;
use crate::report::sink::stdout::Stdout;

pub use crate::control::bench::live::LiveBenchError;

/// What can be measured.
#[derive(Subcommand, Debug)]
pub enum Bench {
    /// Only read the file and walk its records, touching each header: what no engine can go below
    Floor(floor::FloorArguments),
    /// Run the pipeline, cut off after a stage
    Replay(Box<replay::ReplayArguments>),
    /// Send frames at stepped rates and find the highest that a sensor takes without loss (RFC 2544
    /// section 26.1)
    Live(Box<live::LiveArguments>),
}

/// Runs one.
///
/// # Errors
///
/// When no capture, no indicator or no interface is usable.
pub fn run(bench: Bench) -> Result<u8, Failure> {
    match bench {
        Bench::Floor(arguments) => floor::run(&arguments),
        Bench::Replay(arguments) => replay::run(&arguments),
        Bench::Live(arguments) => live::run(&arguments),
    }
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
