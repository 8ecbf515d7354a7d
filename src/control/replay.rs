//! `tapsieve replay`: captures against indicators, alerts out.

use std::ffi::OsString;
use std::iter;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use clap::ValueEnum;

use crate::control::cli::DAMAGED;
use crate::control::cli::DONE;
use crate::control::cli::Failure;
use crate::control::intel::IntelArguments;
use crate::control::intel::compile::Compiled;
use crate::control::output;
use crate::control::post::Behind;
use crate::control::signals::Stopped;
use crate::control::signals::stop_on_signals;
use crate::control::supervisor;
use crate::control::supervisor::HASH_SEED;
use crate::control::supervisor::Outcome;
use crate::control::supervisor::Pins;
use crate::control::supervisor::Plan;
use crate::model::limits::FLOWS_MAX;
use crate::model::limits::OTHER_IDLE_SECS;
use crate::model::limits::TCP_IDLE_SECS;
use crate::model::observation::Kinds;
use crate::pipeline::capture::file::Files;
use crate::pipeline::capturer::Depth;
use crate::pipeline::worker::FlowSettings;
use crate::pipeline::worker::WorkerSettings;
use crate::report::metrics::Totals;
use crate::report::metrics::exposition;
use crate::report::outlet::SinkStatus;
use crate::report::render::Context;
use crate::report::reporter::Reported;
use crate::report::reporter::Sinks;
use crate::report::sink::Sink;
use crate::report::summary;
use crate::report::summary::Run;

/// Matcher threads at most: more cores than any machine gives to one capture.
const WORKERS_MAX: i64 = 128;

/// Idle limits at most: a week.
const IDLE_SECS_MAX: i64 = 7 * 86_400;

/// What can be said to `replay`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(flatten)]
    intel: IntelArguments,
    /// Write alerts here, anew; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    alerts: PathBuf,
    /// Append to the alerts file instead; a line that a crash left half-written is mended
    #[arg(long)]
    append: bool,
    /// Shape of the alerts
    #[arg(long, value_enum, default_value_t = Format::Ecs)]
    format: Format,
    /// Write every observation here as JSON lines
    #[arg(long, value_name = "FILE")]
    observations: Option<PathBuf>,
    /// Write Prometheus metrics here at the end
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    #[command(flatten)]
    input: InputArguments,
}

/// Which captures, and how they are read: the same for all commands.
#[derive(Args, Debug)]
pub struct InputArguments {
    /// Matcher threads; 0 does everything on one thread [default: one per core beside the
    /// reader's, two at least]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(..=WORKERS_MAX))]
    pub workers: Option<u16>,
    /// Packets that a worker looks up together
    #[arg(long, value_name = "N", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub batch: u32,
    /// Read only packets that this BPF expression names (as tcpdump's)
    #[arg(long, value_name = "EXPRESSION")]
    pub filter: Option<String>,
    /// Seconds after which an established TCP flow without packets is over
    #[arg(long, value_name = "SECS", default_value_t = TCP_IDLE_SECS)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=IDLE_SECS_MAX))]
    pub tcp_idle_secs: u32,
    /// Seconds after which any other flow without packets is over
    #[arg(long, value_name = "SECS", default_value_t = OTHER_IDLE_SECS)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=IDLE_SECS_MAX))]
    pub other_idle_secs: u32,
    /// Captures: files, directories, patterns, `-` for standard input; pcap or pcapng, plain or in
    /// gzip, zstd or lz4
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<OsString>,
}

/// Shapes of alerts.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Elastic Common Schema
    Ecs,
}

impl InputArguments {
    /// Returns the number of matcher threads. Two share two cores with the reader well; one core
    /// does all on one thread.
    pub fn workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(2, usize::from);
        self.workers.map(usize::from).unwrap_or_else(|| match cores() {
            1 => 0,
            cores => cores.saturating_sub(1).max(2),
        })
    }

    /// Returns what workers need to know of flows.
    pub fn flows(&self) -> FlowSettings {
        FlowSettings {
            flows_max: FLOWS_MAX,
            tcp_idle_secs: self.tcp_idle_secs,
            other_idle_secs: self.other_idle_secs,
            batch: self.batch,
        }
    }
}

/// Runs it.
///
/// # Errors
///
/// When no indicator or no capture is usable, or an output cannot be written.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let files = output::open(&arguments.input)?;
    let names = files.names();
    let (sinks, metrics) = outputs(arguments, &files)?;
    let started = Instant::now();
    let compiled = arguments.intel.compile()?;
    output::say_all(&compiled.damages);
    let intel_secs = started.elapsed().as_secs_f64();

    let started = Instant::now();
    let stopped = stop_on_signals(&files.stop()).map_err(Failure::Signals)?;
    let observed = if arguments.observations.is_some() { Kinds::ALL } else { Kinds::NONE };
    let plan = Plan {
        sources: vec![files],
        seed: HASH_SEED,
        depth: Depth::Match,
        workers: arguments.input.workers(),
        settings: WorkerSettings {
            depth: Depth::Match,
            observed,
            flows: arguments.input.flows(),
            sets_change: false,
        },
        current: Arc::new(compiled.set.in_force()),
        pins: Pins::default(),
        behind: Behind::Wait,
    };
    let outcome = supervisor::replay(
        plan,
        Context { files: &names, sensor: None, validity: arguments.intel.validity() },
        sinks,
    )?;
    let secs = [intel_secs, started.elapsed().as_secs_f64()];
    finish(arguments, &compiled, outcome, Ending { secs, metrics, stopped })
}

fn sink_name(path: &Path) -> &'static str {
    if path.as_os_str() == "-" { "stdout" } else { "file" }
}

/// Opens all outputs, none of which is an input or another output.
fn outputs(
    arguments: &Arguments,
    files: &Files,
) -> Result<(Sinks, Option<Box<dyn Sink>>), Failure> {
    let Arguments { alerts, observations, metrics, .. } = arguments;
    let optional = [observations, metrics].map(Option::as_deref);
    let all: Vec<&Path> =
        iter::once(alerts.as_path()).chain(optional.into_iter().flatten()).collect();
    output::distinct(&all, files.ids(), &arguments.intel.intel)?;
    let [observations, metrics] =
        optional.map(|path| path.map(|path| output::sink(path, false)).transpose());
    let alerts = Some(output::sink(alerts, arguments.append)?);
    Ok((Sinks { alerts, observations: observations? }, metrics?))
}

/// What is known at the end.
struct Ending {
    /// Seconds for indicators and for packets.
    secs: [f64; 2],
    metrics: Option<Box<dyn Sink>>,
    stopped: Stopped,
}

/// Tells how it went: damages, summary, metrics.
fn finish(
    arguments: &Arguments,
    compiled: &Compiled,
    mut outcome: Outcome<Files, Reported>,
    Ending { secs: [intel_secs, packet_secs], metrics, stopped }: Ending,
) -> Result<u8, Failure> {
    output::say_all(outcome.damages());
    outcome.counters.intel_damaged = compiled.damages.len() as u64;
    outcome.counters.hits_expired = outcome.reported.expired;
    outcome.counters.hits_unknown = outcome.reported.unknown;
    if let Some(signal) = stopped.by() {
        output::say(&format!("tapsieve: stopped by {signal}: this tells what was read by then\n"));
    }
    let reported = &outcome.reported;
    let indicators = compiled.set.indicators_by_type();
    let refused = compiled.ledger.refused_by_reason();
    output::say(&summary::table(&Run {
        counters: &outcome.counters,
        wire_bytes: outcome.wire_bytes,
        alerts: &reported.alerts,
        alerts_unordered: reported.unordered,
        indicators: indicators.values().sum(),
        refused: refused.values().sum(),
        set_version: compiled.set.version_text(),
        intel_secs,
        packet_secs,
        peak_bytes: summary::peak_bytes(),
    }));
    if let Some(mut out) = metrics {
        let text = exposition(&Totals {
            counters: &outcome.counters,
            alerts: &reported.alerts,
            sinks: &[SinkStatus {
                name: sink_name(&arguments.alerts).to_owned(),
                delivered: reported.alerts.values().sum::<u64>().saturating_sub(reported.lost),
                lost: reported.lost,
                ..SinkStatus::default()
            }],
            indicators: &indicators,
            set_version: compiled.set.version_text(),
            set_bytes: &compiled.set.bytes_by_part(),
            refused: &refused,
            replay: Some([intel_secs, packet_secs]),
            live: None,
        });
        out.deliver(&text?)?;
        out.finish()?;
    }
    let whole = outcome.damages().is_empty() && stopped.by().is_none();
    let clean = whole && compiled.damages.is_empty();
    match output::failure(outcome.reported) {
        Some(failure) => Err(failure),
        None if clean => Ok(DONE),
        None => Ok(DAMAGED),
    }
}
