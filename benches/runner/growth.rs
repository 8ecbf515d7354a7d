//! What more indicators and more flows cost: time in the packet phase, and memory.

use std::ffi::OsString;
use std::io::Error;
use std::io::Result;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use super::Bench;
use super::Cost;
use super::Phases;
use super::Replay;
use super::answer::Answers;
use super::least;
use super::mebibytes;
use super::table;
use crate::generator::Paths;
use crate::generator::Profile;
use crate::generator::Task;

const ROWS: [usize; 2] = [1_000, 1_000_000];
const FLOWS: [usize; 2] = [100_000, 1_000_000];
const INDICATOR_BYTES_MAX: f64 = 64.0;
const FLOW_BYTES_MAX: f64 = 256.0;

/// Sets whose packet phases are compared with the first's, and their ratio to it at most.
const SETS: &[(usize, f64)] = &[(1_000, 1.0), (1_000_000, 1.2), (10_000_000, 1.25)];

/// Measures all three; returns the text.
pub(crate) fn growth(bench: &mut Bench) -> Result<String> {
    let mut text = indicators_in_time(bench)?;
    text.push_str(&swaps(bench)?);
    text.push_str(&indicators_in_memory(bench)?);
    text.push_str(&flows_in_memory(bench)?);
    Ok(text)
}

/// A CSV of so many rows beside a capture.
fn csv(task: &Task, paths: &Paths, rows: usize) -> Result<PathBuf> {
    let path = paths.capture.with_extension(format!("indicators-{rows}.csv"));
    task.make_csv(&path, rows)?;
    Ok(path)
}

/// The packet phase of `mix` with a thousand, a million and ten million indicators, each a compiled
/// set.
fn indicators_in_time(bench: &mut Bench) -> Result<String> {
    let (task, paths) = bench.task(Profile::Mix);
    bench.prepare(&task, &paths)?;
    let answers = Answers::read(&paths.expected)?;
    let mut sets = Vec::new();
    for (rows, ..) in SETS {
        sets.push(compiled(bench, &paths, &csv(&task, &paths, *rows)?)?);
    }
    let mut phases = vec![Vec::new(); SETS.len()];
    for _ in 0..bench.runs {
        for (set, phases) in sets.iter().zip(&mut phases) {
            let replay = Replay { paths: &paths, intel: vec![set], workers: 1 };
            bench.replay(&replay, &answers)?;
            phases.extend(bench.phases());
        }
    }
    let seconds = |phases: &[Phases], of: fn(&Phases) -> f64| {
        least(&phases.iter().map(of).collect::<Vec<_>>())
    };
    let packet = phases.iter().map(|phases| seconds(phases, |p| p.packet_secs));
    let packet = packet.collect::<Vec<_>>();
    let rows = SETS.iter().zip(&phases).zip(&packet).map(|(((rows, ..), phases), packet)| {
        let intel = seconds(phases, |p| p.intel_secs);
        vec![rows.to_string(), format!("{intel:.3}"), format!("{packet:.3}")]
    });
    let mut text = String::from("### Indicators and time (mix, compiled sets, one worker)\n\n");
    text.push_str(&table(&["indicators", "open s", "packets s"], &rows.collect::<Vec<_>>()));
    text.push('\n');
    for ((rows, ratio_max), secs) in SETS.iter().zip(&packet).skip(1) {
        let ratio = secs / packet[0];
        let what = format!("packet phase with {rows} against {} indicators", SETS[0].0);
        text.push_str(&format!("- {what}: {}\n", bench.judge(&what, ratio, *ratio_max)));
    }
    Ok(text)
}

/// Compiles a CSV, and what only objects can say, into a set beside it.
fn compiled(bench: &Bench, paths: &Paths, csv: &Path) -> Result<PathBuf> {
    let set = csv.with_extension("set");
    let mut command = Command::new(&bench.bin);
    command.args(["intel", "compile", "-o"]).arg(&set);
    super::intel(paths, csv).iter().for_each(|path| {
        command.arg("--intel").arg(path);
    });
    let done = command.stdout(Stdio::null()).stderr(Stdio::inherit()).status()?;
    match done.success() {
        true => Ok(set),
        false => Err(Error::other(format!("{command:?}: {done}"))),
    }
}

/// What it costs that another set of a million comes ten times a second; no alert may differ.
fn swaps(bench: &mut Bench) -> Result<String> {
    let (task, paths) = bench.task(Profile::Mix);
    let set = compiled(bench, &paths, &csv(&task, &paths, ROWS[1])?)?;
    let answers = Answers::read(&paths.expected)?;
    let mut costs = Vec::new();
    let mut alerts = Vec::new();
    for swap in [None, Some("100")] {
        let mut command: Vec<OsString> =
            vec![bench.bin.clone().into(), "bench".into(), "replay".into(), "--intel".into()];
        command.extend([set.clone().into(), "--alerts".into(), bench.alerts().into()]);
        command.extend(swap.into_iter().flat_map(|ms| ["--swap-millis".into(), ms.into()]));
        command.push(paths.capture.clone().into());
        let cost = super::command::measure(&command, &bench.log())?;
        if cost.code != 0 {
            bench.failures.push(format!("bench replay, swaps every {swap:?} ms: {}", cost.code));
        }
        bench.failures.extend(answers.complaints(&bench.alerts())?);
        alerts.push(std::fs::read(bench.alerts())?);
        costs.push(cost.wall.as_secs_f64());
    }
    if alerts[0] != alerts[1] {
        bench.failures.push("alerts differ where the set is swapped".to_owned());
    }
    Ok(format!(
        "\n### Swaps\n\n- mix with {} indicators: {:.3} s; with another set of them every 100 ms: \
         {:.3} s, the same alerts\n",
        ROWS[1], costs[0], costs[1]
    ))
}

/// Resident memory on a capture of almost nothing, with a thousand and with a million indicators.
fn indicators_in_memory(bench: &mut Bench) -> Result<String> {
    let mut task = Task::new(Profile::Mix);
    task.scale = 0.001;
    let paths = Paths::of(&bench.data.join("tiny.pcap"));
    bench.prepare(&task, &paths)?;
    let answers = Answers::read(&paths.expected)?;
    let mut text =
        String::from("\n### Indicators and memory (a capture of almost nothing, one worker)\n\n");
    let mut costs = Vec::new();
    for rows in ROWS {
        let file = csv(&task, &paths, rows)?;
        costs.push(settled(bench, &paths, &file, &answers)?);
    }
    let bytes = per_each(&costs, ROWS);
    text.push_str(&resident(&["indicators", "RSS MiB"], ROWS, &costs));
    text.push_str(&format!(
        "\n- {bytes:.0} bytes an indicator with story (at most {INDICATOR_BYTES_MAX} without it)\n"
    ));
    Ok(text)
}

/// Resident memory with a hundred thousand and with a million live flows.
fn flows_in_memory(bench: &mut Bench) -> Result<String> {
    let mut text = String::from("\n### Flows and memory (wide, one worker)\n\n");
    let mut costs = Vec::new();
    for flows in FLOWS {
        let (mut task, mut paths) = bench.task(Profile::Wide);
        if flows != FLOWS[1] {
            task.flows = flows;
            paths = bench.paths(&format!("wide-{flows}"));
        }
        bench.prepare(&task, &paths)?;
        let answers = Answers::read(&paths.expected)?;
        let file = csv(&task, &paths, ROWS[0] * 10)?;
        costs.push(settled(bench, &paths, &file, &answers)?);
    }
    let flows = FLOWS.map(|flows| (flows as f64 * bench.scale) as usize);
    let judged = bench.judge("bytes a live flow", per_each(&costs, flows), FLOW_BYTES_MAX);
    text.push_str(&resident(&["flows", "RSS MiB"], flows, &costs));
    text.push_str(&format!("\n- bytes a live flow: {judged}\n"));
    Ok(text)
}

/// The run with the least memory: what is measured is what is needed.
fn settled(bench: &mut Bench, paths: &Paths, csv: &Path, answers: &Answers) -> Result<Cost> {
    let mut best: Option<Cost> = None;
    for _ in 0..bench.runs {
        let replay = Replay { paths, intel: super::intel(paths, csv), workers: 1 };
        let cost = bench.replay(&replay, answers)?;
        best = Some(best.filter(|old| old.resident_bytes <= cost.resident_bytes).unwrap_or(cost));
    }
    best.ok_or_else(|| Error::other("--runs is 0: give 1 or more"))
}

fn per_each(costs: &[Cost], counts: [usize; 2]) -> f64 {
    let grown = costs[1].resident_bytes as f64 - costs[0].resident_bytes as f64;
    grown / (counts[1] - counts[0]) as f64
}

fn resident(head: &[&str], counts: [usize; 2], costs: &[Cost]) -> String {
    let rows = counts.iter().zip(costs);
    let rows: Vec<_> =
        rows.map(|(n, cost)| vec![n.to_string(), mebibytes(cost.resident_bytes)]).collect();
    table(head, &rows)
}
