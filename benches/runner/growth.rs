//! What more indicators and more flows cost: time in the packet phase, and memory.

use std::io::Result;
use std::path::Path;
use std::path::PathBuf;

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
const PACKET_PHASE_MAX: f64 = 1.2;

/// Measures all three; returns the text.
pub(crate) fn growth(bench: &mut Bench) -> Result<String> {
    let mut text = indicators_in_time(bench)?;
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

/// The packet phase of `mix` with a thousand and with a million indicators.
fn indicators_in_time(bench: &mut Bench) -> Result<String> {
    let (task, paths) = bench.task(Profile::Mix);
    bench.prepare(&task, &paths)?;
    let answers = Answers::read(&paths.expected)?;
    let files = [csv(&task, &paths, ROWS[0])?, csv(&task, &paths, ROWS[1])?];
    let mut phases: [Vec<Phases>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..bench.runs {
        for (at, file) in files.iter().enumerate() {
            let replay = Replay { paths: &paths, intel: super::intel(&paths, file), workers: 1 };
            bench.replay(&replay, &answers)?;
            phases[at].extend(bench.phases());
        }
    }
    let seconds =
        |at: usize, of: fn(&Phases) -> f64| least(&phases[at].iter().map(of).collect::<Vec<_>>());
    let rows: Vec<Vec<String>> = (0..2)
        .map(|at| {
            let packet = seconds(at, |p| p.packet_secs);
            vec![
                ROWS[at].to_string(),
                format!("{:.3}", seconds(at, |p| p.intel_secs)),
                format!("{packet:.3}"),
            ]
        })
        .collect();
    let mut text = String::from("### Indicators and time (mix, one worker)\n\n");
    text.push_str(&table(&["indicators", "intel s", "packets s"], &rows));
    let ratio = seconds(1, |p| p.packet_secs) / seconds(0, |p| p.packet_secs);
    if ratio.is_finite() {
        let judged = bench.judge("packet phase with a million indicators", ratio, PACKET_PHASE_MAX);
        text.push_str(&format!("\n- packet phase with a million against a thousand: {judged}\n"));
    } else {
        text.push_str("\n- the metrics name no `tapsieve_replay_packet_seconds`: no ratio\n");
    }
    Ok(text)
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
    best.ok_or_else(|| std::io::Error::other("--runs is 0: give 1 or more"))
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
