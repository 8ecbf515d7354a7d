//! Measures pulling a MISP server and compiling what came: `cargo bench --bench misp --
//! --attributes 1000000`.
//!
//! The server is the tests' stand-in, over TLS on loopback; about a kilobyte for each attribute, as
//! MISP writes it with its event and tags. What was compiled is counted and looked into; a wrong
//! answer fails the bench, however fast it was.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod cost;
#[allow(dead_code, reason = "other benches are asked more")]
mod options;
#[allow(dead_code, unused_imports, reason = "tests need more of it")]
#[path = "../tests/it/misp/stand/mod.rs"]
mod stand;

use std::path::Path;
use std::process::Command;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use cost::cpu_secs;
use cost::peak_mebibytes;
use nix::sys::resource::UsageWho;
use stand::KEY;
use stand::Stand;
use stand::State;
use tapsieve::control::intel::compiled;

/// Seconds of processor that a million attributes may take, pulled and compiled, and mebibytes.
const SECS_MAX: f64 = 12.0;
const PEAK_MEBIBYTES_MAX: i64 = 500;

/// Pulls attributes that a stand-in makes, and prints Markdown.
#[derive(Parser)]
struct Options {
    /// How many attributes.
    #[arg(long, default_value_t = 1_000_000)]
    attributes: u64,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a run of the program took.
struct Taken {
    secs: f64,
    cpu_secs: f64,
}

fn main() -> ExitCode {
    cost::bench(|| run(&Options::parse()))
}

fn run(options: &Options) -> Result<bool, Box<dyn std::error::Error>> {
    let mut state = State::default();
    state.event("made", &["tlp:green"]);
    state.made = options.attributes;
    let stand = Stand::new(state);
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("key"), KEY)?;
    std::fs::write(folder.path().join("ca.pem"), stand.authority().pem())?;
    let url = stand.url();
    let pull = ["intel", "pull", "--misp", &url, "--key-file", "key", "--ca-file", "ca.pem"];
    let pulled = taken(folder.path(), &[&pull[..], &["--to", "pulled"]].concat())?;
    let peak_of_pull = peak_mebibytes(UsageWho::RUSAGE_CHILDREN);
    let compile = ["intel", "compile", "--intel", "pulled", "--output", "set"];
    let compiled = taken(folder.path(), &compile)?;
    let peak = peak_mebibytes(UsageWho::RUSAGE_CHILDREN);
    let wrong = check(&folder.path().join("set"), options.attributes)?;
    let (cpu_secs, sent) = (pulled.cpu_secs + compiled.cpu_secs, stand.made_bytes());
    println!(
        "| attributes | JSON | pull | processor | peak | compile | processor | peak of both |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    println!(
        "| {} | {} MB | {:.1} s | {:.1} s | {peak_of_pull} MiB | {:.1} s | {:.1} s | \
         {peak} MiB |\n",
        options.attributes,
        sent / 1_000_000,
        pulled.secs,
        pulled.cpu_secs,
        compiled.secs,
        compiled.cpu_secs,
    );
    let mut is_short = false;
    let secs_max = SECS_MAX * (options.attributes as f64 / 1e6).max(0.1);
    if cpu_secs > secs_max {
        is_short = true;
        println!("SHORT: {cpu_secs:.1} seconds of processor: {secs_max:.1} at most");
    }
    if peak > PEAK_MEBIBYTES_MAX {
        is_short = true;
        println!("SHORT: {peak} MiB: {PEAK_MEBIBYTES_MAX} at most");
    }
    match &wrong {
        Some(what) => println!("WRONG: {what}"),
        None => println!("Every answer was right."),
    }
    Ok(wrong.is_none() && !is_short)
}

/// Runs the program in a folder.
fn taken(folder: &Path, arguments: &[&str]) -> Result<Taken, Box<dyn std::error::Error>> {
    let (started, before) = (Instant::now(), cpu_secs(UsageWho::RUSAGE_CHILDREN));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tapsieve"));
    let ended = command.current_dir(folder).args(arguments).output()?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        return Err(format!("{arguments:?}: {said}").into());
    }
    Ok(Taken {
        secs: started.elapsed().as_secs_f64(),
        cpu_secs: cpu_secs(UsageWho::RUSAGE_CHILDREN) - before,
    })
}

/// Counts what was compiled, and looks for some of it; returns what is wrong.
fn check(set: &Path, attributes: u64) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let opened = compiled::open(set)?;
    let catalog = &opened.set.catalog;
    if catalog.len() as u64 != attributes {
        return Ok(Some(format!("{} indicators of {attributes} attributes", catalog.len())));
    }
    let step = (attributes / 1_000).max(1) as usize;
    for number in (0..attributes).step_by(step) {
        let made = stand::made(number);
        let types = catalog.by_type().filter(|(ty, _)| ty.name() == made.ty);
        let found = types.filter_map(|(ty, _)| catalog.find(ty, &made.value)).next();
        let uuids = found.map(|id| catalog.sources(id)).unwrap_or_default();
        let is_told = uuids.iter().any(|source| source.attribute.as_ref() == Some(&made.uuid));
        if !is_told {
            return Ok(Some(format!("{} {} is not there with {}", made.ty, made.value, made.uuid)));
        }
    }
    Ok(None)
}
