//! `tapsieve intel compile` and `intel verify`: indicator sets as files.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::control::cli::DAMAGED;
use crate::control::cli::DONE;
use crate::control::cli::Failure;
use crate::control::intel::IntelArguments;
use crate::control::intel::compile;
use crate::control::intel::compile::Compiled;
use crate::control::intel::compiled;
use crate::control::intel::compiled::CompiledError;
use crate::control::intel::ledger::Damage;
use crate::control::output;
use crate::model::plain::plain_lines;

/// Compiles indicators into a file that every command takes as indicators.
#[derive(Args, Debug)]
pub struct CompileArguments {
    #[command(flatten)]
    intel: IntelArguments,
    /// Write the set here: to a temporary file first, then renamed
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Write it also where an input or a list cannot be read at all
    #[arg(long)]
    keep_going: bool,
    /// Put the sensor's canary in, so that a sensor that looks for it takes the file as it is
    #[arg(long)]
    canary: bool,
    /// Write the totals as JSON
    #[arg(long)]
    json: bool,
}

/// Checks compiled sets to the last byte.
#[derive(Args, Debug)]
pub struct VerifyArguments {
    /// The compiled sets
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write JSON lines
    #[arg(long)]
    json: bool,
}

/// What was compiled, for people and programs.
#[derive(Serialize)]
struct Totals<'a> {
    file: String,
    version: &'a str,
    bytes: u64,
    /// Indicators by type.
    indicators: BTreeMap<&'static str, u64>,
    /// Files that were read, whole or in part.
    inputs: u64,
    /// Attributes in them: those that match and those left out.
    attributes: u64,
    /// Attributes that match, by type.
    accepted: BTreeMap<&'static str, u64>,
    /// Attributes that do not, by reason and type.
    left_out: BTreeMap<&'static str, &'a BTreeMap<String, u64>>,
    damage: Vec<String>,
}

/// What became of one file.
#[derive(Serialize)]
struct Verdict {
    file: String,
    whole: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    indicators: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// Compiles, and tells the totals.
///
/// # Errors
/// Nothing usable is in the inputs, or the file cannot be written.
pub fn run(arguments: &CompileArguments) -> Result<u8, Failure> {
    let CompileArguments { intel, output: path, keep_going, canary, json } = arguments;
    output::distinct(&[path], &Default::default(), &intel.intel)?;
    let mut options = intel.options();
    options.canary = *canary;
    let compiled = compile::compile(&intel.intel, &options)?.verified()?;
    output::say_all(&compiled.notes);
    output::say_all(&compiled.damages);
    if !keep_going && let Some(unread) = unread(intel, &compiled.damages) {
        let path = path.display();
        output::say(&format!(
            "tapsieve: {path}: left as it is, as {unread} cannot be read: mend it, or write the \
             set without it with --keep-going\n"
        ));
        return Ok(DAMAGED);
    }
    let cannot = |why| Failure::Write { path: path.display().to_string(), why };
    let bytes = compiled::store(&compiled.set, path).map_err(cannot)?;
    let totals = Totals::of(&compiled, path.display().to_string(), bytes);
    say(&if *json { line(&totals) } else { plain_lines(&totals.text()).into_owned() })?;
    Ok(if compiled.damages.is_empty() { DONE } else { DAMAGED })
}

/// Returns the first input or list that cannot be read at all: without it the set would be another
/// than was meant.
fn unread<'d>(intel: &IntelArguments, damages: &'d [Damage]) -> Option<&'d str> {
    let lists = intel.warninglists.iter().map(|(path, _)| path);
    let inputs = intel.intel.iter().chain(lists).map(|path| path.display().to_string());
    let inputs = inputs.collect::<HashSet<_>>();
    let unread = damages.iter().find(|damage| damage.is_unread && inputs.contains(&damage.path));
    unread.map(|damage| damage.path.as_str())
}

/// Verifies each file.
///
/// # Errors
/// None of them is a compiled set.
pub fn verify(arguments: &VerifyArguments) -> Result<u8, Failure> {
    let mut code = DONE;
    let mut any = false;
    for path in &arguments.files {
        let opened = compiled::open(path);
        let file = path.display().to_string();
        let verdict = match opened.and_then(|opened| opened.verify().map(|()| opened)) {
            Ok(opened) => {
                any = true;
                Verdict {
                    file,
                    whole: true,
                    version: Some(opened.set.version_text().to_owned()),
                    indicators: Some(opened.set.catalog.len() as u64),
                    why: None,
                }
            }
            Err(error) => {
                code = DAMAGED;
                any |= !matches!(error, CompiledError::Read(_) | CompiledError::NotOne);
                let why = Some(error.to_string());
                output::say(&format!("tapsieve: {file}: {error}\n"));
                Verdict { file, whole: false, version: None, indicators: None, why }
            }
        };
        match (arguments.json, &verdict.version) {
            (true, _) => say(&line(&verdict))?,
            (false, Some(version)) => {
                let n = verdict.indicators.unwrap_or_default();
                let line = format!("{}: whole: {n} indicators, set {version}\n", verdict.file);
                say(&plain_lines(&line))?;
            }
            (false, None) => {}
        }
    }
    match any {
        true => Ok(code),
        false => {
            Err(Failure::NoInput("no compiled set: `tapsieve intel compile` makes one".into()))
        }
    }
}

impl<'a> Totals<'a> {
    fn of(compiled: &'a Compiled, file: String, bytes: u64) -> Self {
        let ledger = &compiled.ledger;
        Self {
            file,
            version: compiled.set.version_text(),
            bytes,
            indicators: compiled.set.indicators_by_type(),
            inputs: ledger.files,
            attributes: ledger.seen,
            accepted: ledger.accepted.iter().map(|(ty, n)| (ty.name(), *n)).collect(),
            left_out: ledger.left_out.iter().map(|(why, types)| (why.name(), types)).collect(),
            damage: compiled.damages.iter().map(ToString::to_string).collect(),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let sum = |counts: &BTreeMap<&str, u64>| counts.values().sum::<u64>();
        let of_type = |(ty, n): (&str, &u64)| format!("{n} {ty}");
        let (indicators, accepted) = (sum(&self.indicators), sum(&self.accepted));
        let types = self.indicators.iter().map(|(ty, n)| of_type((ty, n))).collect::<Vec<_>>();
        let _infallible = writeln!(
            text,
            "{}: set {}, {} bytes\n{indicators} indicators: {}\n{} attributes in {} files: \
             {accepted} match, {} left out, {} damaged",
            self.file,
            self.version,
            self.bytes,
            types.join(", "),
            self.attributes,
            self.inputs,
            self.attributes - accepted,
            self.damage.len(),
        );
        for (why, types) in &self.left_out {
            let told = types.iter().map(|(ty, n)| of_type((ty, n))).collect::<Vec<_>>();
            let _infallible = writeln!(text, "left out, {why}: {}", told.join(", "));
        }
        text
    }
}

fn line(value: &impl Serialize) -> String {
    // numbers, texts and maps of texts: nothing that JSON lacks
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

fn say(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(Failure::Told)
}
