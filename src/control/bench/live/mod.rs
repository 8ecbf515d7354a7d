//! `bench live`: the highest rate that a sensor takes without loss, found by sending.
//!
//! Spec:   RFC 2544 sections 9.1 (sizes), 24 (length of a trial), 26.1 (the search)
//! Way:    `traffic` prepares frames → `sender` hands them to one interface → `sensor` or `tcpdump`
//!         receives on the other → `trial` adds up → `search` says what is tried next → `report`,
//!         `chart`
//! Leaves: interfaces of another network namespace, and of another machine: one process has to see
//!         both ends

mod alerts;
mod args;
mod chart;
mod conversation;
mod cpu;
mod error;
mod frame;
mod interface;
mod lane;
mod machine;
mod planted;
mod report;
mod search;
mod sender;
mod sensor;
mod setup;
mod tcpdump;
mod traffic;
mod trial;

pub(super) use crate::control::bench::live::args::LiveArguments;
pub use crate::control::bench::live::error::LiveBenchError;

use std::sync::atomic::Ordering;

use crate::control::bench::live::lane::Lane;
use crate::control::bench::live::report::Measured;
use crate::control::bench::live::report::Report;
use crate::control::bench::live::search::Search;
use crate::control::bench::live::setup::Setup;
use crate::control::bench::live::traffic::Traffic;
use crate::control::cli::DAMAGED;
use crate::control::cli::DONE;
use crate::control::cli::Failure;
use crate::control::output;
use crate::report::sink::Sink;
use crate::report::sink::stdout::Stdout;

/// Seconds of a trial beside its length: threads that start, rings that are emptied.
const TRIAL_SECS_MORE: u32 = 3;

/// Runs it.
///
/// # Errors
///
/// When an interface or the indicators are of no use, or alerts are wrong.
pub(super) fn run(arguments: &LiveArguments) -> Result<u8, Failure> {
    let (setup, mut outputs) = Setup::new(arguments)?;
    tell_length(&setup);
    let mut report = setup.report();
    let failure = measure_all(&setup, &mut report.results).err();
    report.is_cut_short = failure.is_some() || setup.is_stopped();
    report.cut_short_by = failure.as_ref().map(ToString::to_string);
    match failure {
        // what was measured before is told, too
        Some(failure) if report.results.iter().all(|one| one.trials.is_empty()) => {
            return Err(failure);
        }
        _ => {
            outputs.write(&report)?;
            Stdout.deliver(report.markdown().as_bytes())?;
        }
    }
    failure.map_or_else(|| judge(&report), Err)
}

/// Measures with each traffic until a signal comes or something is of no use.
fn measure_all(setup: &Setup<'_>, results: &mut Vec<Measured>) -> Result<(), Failure> {
    for origin in setup.traffics() {
        if setup.is_stopped() {
            break;
        }
        let traffic = setup.traffic(origin)?;
        let receivers = setup.receivers().into_iter();
        let mut lanes: Vec<Lane> =
            receivers.map(|receiver| Lane::new(receiver, setup, &traffic)).collect();
        let measured = measure(setup, &traffic, &mut lanes);
        results.extend(beside_baseline(lanes));
        measured?;
    }
    Ok(())
}

/// Measures all receivers with one traffic; they take turns.
fn measure(setup: &Setup<'_>, traffic: &Traffic, lanes: &mut [Lane]) -> Result<(), Failure> {
    let mut under_way = true;
    while under_way && !setup.is_stopped() {
        under_way = false;
        for lane in lanes.iter_mut() {
            under_way |= lane.step(setup, traffic)?;
        }
    }
    lanes.iter_mut().try_for_each(|lane| lane.finish(setup, traffic))
}

/// Returns the results, each with what it is beside the baseline.
fn beside_baseline(lanes: Vec<Lane>) -> Vec<Measured> {
    let mut results: Vec<_> = lanes.into_iter().map(|lane| lane.measured).collect();
    let baseline = results.iter().position(|measured| measured.receiver == tcpdump::NAME);
    if let Some(at) = baseline {
        let ratios: Vec<_> = results.iter().map(|one| one.beside(&results[at])).collect();
        for (measured, ratio) in results.iter_mut().zip(ratios) {
            measured.to_baseline = ratio;
        }
    }
    results
}

/// Says how long it takes at most, before it begins.
fn tell_length(setup: &Setup<'_>) {
    let arguments = setup.arguments;
    let trials = match arguments.rate {
        Some(_) => 1,
        // and one at half load
        None => Search::trials_max(setup.resolution()) + 1,
    };
    let searches = setup.traffics().len() * setup.receivers().len();
    let secs = u64::from(trials) * searches as u64 * u64::from(arguments.secs + TRIAL_SECS_MORE);
    output::say(&format!(
        "tapsieve: {} to {}: {searches} searches of at most {trials} trials of {} s: {} minutes at \
         most; Ctrl-C ends it with what there is\n",
        setup.sending.name,
        setup.receiving.name,
        arguments.secs,
        secs.div_ceil(60)
    ));
}

/// Returns how it went.
fn judge(report: &Report) -> Result<u8, Failure> {
    let mut is_whole = !report.is_cut_short;
    for measured in &report.results {
        for trial in measured.trials.iter().chain(&measured.half_load) {
            if let Some(what) = trial.wrong_alerts() {
                let (receiver, traffic) = (&measured.receiver, &measured.traffic);
                let what = format!("{receiver}, {traffic}: {what}");
                return Err(LiveBenchError::WrongAlerts(what).into());
            }
        }
        is_whole &= measured.telling().is_some_and(|trial| trial.is_valid);
    }
    Ok(if is_whole { DONE } else { DAMAGED })
}

impl Setup<'_> {
    /// Tells whether a signal asked for the end.
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
