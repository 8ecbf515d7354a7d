//! Measures pulling a MISP server and compiling what came: `cargo bench --bench misp --
//! --attributes 1000000`.
//!
//! One answer with all of them is compiled as a file; then the tests' stand-in, over TLS on
//! loopback, is pulled and the copy compiled. About a kilobyte for each attribute, as MISP writes
//! it with its event and tags. What was compiled is counted and looked into; a wrong answer fails
//! the bench, however fast it was.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod cost;
#[allow(dead_code, reason = "other benches are asked more")]
mod options;
#[allow(dead_code, unused_imports, reason = "tests need more of it")]
#[path = "../tests/it/misp/stand/mod.rs"]
mod stand;

use std::fs::File;
use std::io::BufWriter;
use std::io::Write;
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
use stand::faults::some_made;
use tapsieve::control::intel::compiled;

/// Attributes that are made at a time.
const MADE_AT_ONCE: u64 = 1_000;

/// Seconds of processor that an answer of a million attributes may take to be compiled, and
/// mebibytes.
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
    /// The most memory that a run has taken so far.
    peak_mebibytes: i64,
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
    let bytes = write_answer(&folder.path().join("answer.json"), options.attributes)?;
    let compile = |input| ["intel", "compile", "--intel", input, "--output", "set"];
    let set = folder.path().join("set");
    let answer = taken(folder.path(), &compile("answer.json"))?;
    let mut wrong = check(&set, options.attributes)?;
    std::fs::remove_file(&set)?;
    let url = stand.url();
    let pull = ["intel", "pull", "--misp", &url, "--key-file", "key", "--ca-file", "ca.pem"];
    let pulled = taken(folder.path(), &[&pull[..], &["--to", "pulled"]].concat())?;
    let copy = taken(folder.path(), &compile("pulled"))?;
    wrong = wrong.or(check(&set, options.attributes)?);
    println!("{} attributes, {} MB of JSON\n", options.attributes, bytes / 1_000_000);
    println!("| what | time | processor | peak so far |");
    println!("|---|---|---|---|");
    for (what, taken) in [
        ("compiling the answer", &answer),
        ("pulling it from a server", &pulled),
        ("compiling the copy", &copy),
    ] {
        let Taken { secs, cpu_secs, peak_mebibytes } = taken;
        println!("| {what} | {secs:.1} s | {cpu_secs:.1} s | {peak_mebibytes} MiB |");
    }
    println!();
    let mut is_short = false;
    let secs_max = SECS_MAX * (options.attributes as f64 / 1e6).max(0.1);
    if answer.cpu_secs > secs_max {
        is_short = true;
        println!("SHORT: {:.1} seconds of processor: {secs_max:.1} at most", answer.cpu_secs);
    }
    if copy.peak_mebibytes > PEAK_MEBIBYTES_MAX {
        is_short = true;
        println!("SHORT: {} MiB: {PEAK_MEBIBYTES_MAX} at most", copy.peak_mebibytes);
    }
    match &wrong {
        Some(what) => println!("WRONG: {what}"),
        None => println!("Every answer was right."),
    }
    Ok(wrong.is_none() && !is_short)
}

/// Writes the answer to one search that finds all; returns its bytes.
fn write_answer(path: &Path, attributes: u64) -> std::io::Result<u64> {
    let mut to = BufWriter::new(File::create(path)?);
    to.write_all(b"{\"response\":{\"Attribute\":[")?;
    for from in (0..attributes).step_by(MADE_AT_ONCE as usize) {
        to.write_all(&some_made(from, MADE_AT_ONCE.min(attributes - from)))?;
    }
    to.write_all(b"]}}")?;
    to.into_inner()?.metadata().map(|about| about.len())
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
        peak_mebibytes: peak_mebibytes(UsageWho::RUSAGE_CHILDREN),
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
