//! Makes the captures that `replay` measures: `cargo bench --bench generate -- mix --out
//! benches/data/mix.pcap`.
#![allow(clippy::print_stdout, reason = "a command line program")]

mod generator;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use generator::Paths;
use generator::Payload;
use generator::Profile;
use generator::Task;

/// Writes a capture, and beside it `*.indicators.csv`, `*.ja4.json` (what MISP has only as objects)
/// and `*.expected.jsonl`.
#[derive(Parser)]
struct Options {
    /// What kind of capture.
    #[arg(requires = "out")]
    profile: Option<Profile>,
    /// How much of the full size.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Other seeds give other captures.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Flows of `wide`.
    #[arg(long)]
    flows: Option<usize>,
    /// What the flows of `wide` say.
    #[arg(long, value_enum, default_value_t = Payload::Mixed)]
    payload: Payload,
    /// Rows of the CSV file, planted ones included.
    #[arg(long, default_value_t = 100_000)]
    indicators: usize,
    /// The capture's path.
    #[arg(long, requires = "profile")]
    out: Option<PathBuf>,
    /// Checks the generator's fingerprints and certificates against known answers, and writes
    /// nothing.
    #[arg(long)]
    self_check: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    if generator::is_test() {
        return outcome(generator::self_check().map(|()| String::new()));
    }
    let options = Options::parse();
    outcome(match (options.profile, &options.out) {
        (Some(profile), Some(out)) if !options.self_check => {
            make(&options, profile, &Paths::of(out))
        }
        _ => generator::self_check().map(|()| "the generator's answers are right\n".to_owned()),
    })
}

fn outcome(outcome: Result<String, String>) -> ExitCode {
    match outcome {
        Ok(said) => {
            print!("{said}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn make(options: &Options, profile: Profile, paths: &Paths) -> Result<String, String> {
    let mut task = Task::new(profile);
    task.scale = options.scale;
    task.seed = options.seed;
    task.flows = options.flows.unwrap_or(task.flows);
    task.payload = options.payload;
    task.indicators = options.indicators;
    let started = Instant::now();
    let named = |why: std::io::Error| format!("{}: {why}", paths.capture.display());
    let made = if task.ensure(paths).map_err(named)? { "made" } else { "there already" };
    let (packets, bytes) = paths.sizes().map_err(named)?;
    Ok(format!(
        "{}: {packets} packets, {bytes} bytes, {} a packet; {made}, {:.1} s\n",
        paths.capture.display(),
        bytes / packets.max(1),
        started.elapsed().as_secs_f64()
    ))
}
