//! Measures the command line against what only reads: `cargo bench --bench replay -- --profiles
//! mix,small,wide`.
//!
//! Every run's alerts are compared with what the generator planted; a wrong answer fails the bench
//! whatever its speed.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod generator;
mod options;
mod runner;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use generator::Profile;
use options::Common;
use runner::Bench;

/// Makes captures where they are missing, replays them, and prints Markdown tables.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Which captures.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "mix,small,wide")]
    profiles: Vec<Profile>,
    /// How much of the full size; 0.01 for a look.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// How often each command runs.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Where captures are kept; about 4.5 GB at full size.
    #[arg(long, default_value = "benches/data")]
    data: PathBuf,
    /// Leaves out what indicators and flows cost in time and memory.
    #[arg(long)]
    no_growth: bool,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == runner::MEASURE) {
        return runner::measured(arguments);
    }
    if let Err(why) = generator::self_check() {
        eprintln!("error: {why}");
        return ExitCode::FAILURE;
    }
    if generator::is_test() {
        return ExitCode::SUCCESS;
    }
    options::ended(run(&Options::parse()))
}

fn run(options: &Options) -> Result<bool, Box<dyn std::error::Error>> {
    if options.runs == 0 || options.scale <= 0.0 {
        return Err("give --runs 1 or more and a --scale above 0".into());
    }
    std::fs::create_dir_all(&options.data)?;
    let mut bench = Bench {
        bin: options.common.bin.clone(),
        data: options.data.clone(),
        scale: options.scale,
        runs: options.runs,
        failures: Vec::new(),
        shortfalls: Vec::new(),
    };
    println!("{}; {} runs, scale {}\n", runner::describe(), options.runs, options.scale);
    for &profile in &options.profiles {
        println!("{}", runner::race(&mut bench, profile)?);
    }
    if !options.no_growth {
        println!("{}", runner::growth(&mut bench)?);
    }
    bench.shortfalls.iter().for_each(|what| println!("SHORT: {what}"));
    bench.failures.iter().for_each(|what| println!("WRONG: {what}"));
    if bench.failures.is_empty() {
        println!("Every answer was right.");
    }
    Ok(bench.failures.is_empty() && (bench.shortfalls.is_empty() || !options.common.enforce))
}
