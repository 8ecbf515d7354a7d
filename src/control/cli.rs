//! The commands and their exit codes (contract §2).

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Subcommand;

use crate::control::bench;
use crate::control::bench::LiveBenchError;
use crate::control::compile;
use crate::control::compile::CompileArguments;
use crate::control::compile::VerifyArguments;
use crate::control::config::ConfigError;
use crate::control::doctor;
use crate::control::doctor::DoctorError;
use crate::control::explain;
use crate::control::explain::ExplainArguments;
use crate::control::explain::ExplainError;
use crate::control::intel::IntelError;
use crate::control::observe;
use crate::control::output;
use crate::control::pull;
use crate::control::pull::PullArguments;
use crate::control::replay;
use crate::control::sensor;
use crate::control::sensor::confine::ConfineError;
use crate::pipeline::capture::live::LiveError;
use crate::report::sink::SinkError;
use crate::report::spool::SpoolError;

/// What tapsieve can do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Find what indicators name in captures, and write alerts
    Replay(replay::Arguments),
    /// Print every observation in captures as JSON lines
    Observe(observe::Arguments),
    /// Look into indicators
    #[command(subcommand)]
    Intel(Intel),
    /// Capture on interfaces until told to stop, and alert on what indicators name
    Sensor(sensor::Arguments),
    /// Say what this host would lose packets for, and the command that mends it
    Doctor(doctor::Arguments),
    /// Measure the engine on a capture, or live
    #[command(subcommand)]
    Bench(bench::Bench),
}

/// What can be asked of indicators.
#[derive(Subcommand, Debug)]
pub enum Intel {
    /// Say what matches a value and from which events, or why nothing does; without VALUE, list all
    /// that is left out
    Explain(ExplainArguments),
    /// Compile indicators into one file, ready to be used by any number of sensors with no work at
    /// load
    Compile(CompileArguments),
    /// Pull servers into local copies, once
    Pull(PullArguments),
    /// Check compiled sets to the last byte
    Verify(VerifyArguments),
}

/// Everything was read.
pub const DONE: u8 = 0;
/// It could not be done.
pub const FAILED: u8 = 1;
/// Wrong usage or configuration.
pub const USAGE: u8 = 2;
/// Done, but some input was damaged or cut.
pub const DAMAGED: u8 = 3;
/// Looked at, and something warns or fails.
pub const FINDINGS: u8 = 3;

impl Command {
    /// Does it; the exit code says how it went.
    ///
    /// # Errors
    ///
    /// When it could not be done, with the one line to print.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Replay(arguments) => replay::run(&arguments),
            Self::Observe(arguments) => observe::run(&arguments),
            Self::Intel(Intel::Explain(arguments)) => explain(&arguments),
            Self::Intel(Intel::Compile(arguments)) => compile::run(&arguments),
            Self::Intel(Intel::Pull(arguments)) => pull::run(&arguments),
            Self::Intel(Intel::Verify(arguments)) => compile::verify(&arguments),
            Self::Sensor(arguments) => sensor::run(&arguments),
            Self::Doctor(arguments) => doctor::run(&arguments),
            Self::Bench(bench) => bench::run(bench),
        }
        .map(ExitCode::from)
    }
}

/// Why a command could not do its work: one line for people.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No input is a capture; what is wrong with the last one.
    #[error("{0}")]
    NoInput(String),
    /// Indicators that cannot be used.
    #[error(transparent)]
    Intel(#[from] IntelError),
    /// Indicators that cannot be explained.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// No server could be pulled; each was told of.
    #[error("nothing could be pulled")]
    NothingPulled,
    /// A file that cannot be written.
    #[error("cannot write {path}: {why}")]
    Write {
        /// The file.
        path: String,
        /// Why.
        why: std::io::Error,
    },
    /// Standard output that cannot be written.
    #[error("cannot write to standard output: {0}")]
    Told(std::io::Error),
    /// An output that cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A spool that cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// An option that makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Metrics that break Prometheus' rules.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// A configuration that is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An interface that cannot be captured.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// Privileges that cannot be given up.
    #[error(transparent)]
    Confine(#[from] ConfineError),
    /// A host that cannot be looked at.
    #[error(transparent)]
    Doctor(#[from] DoctorError),
    /// A live bench that cannot be done, or whose alerts are wrong.
    #[error(transparent)]
    LiveBench(#[from] LiveBenchError),
    /// An address that cannot be listened on.
    #[error("cannot listen on {listen}: {why}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why.
        why: String,
    },
    /// Alerts that no sink took before the end.
    #[error("alerts were lost: {0}")]
    AlertsLost(String),
    /// Signals that cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(std::io::Error),
    /// A thread that cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl Failure {
    /// Tells whether whoever read the output went away, as `head` does: no error.
    pub fn is_quiet(&self) -> bool {
        match self {
            Self::Sink(SinkError::Closed) => true,
            Self::Explain(ExplainError::Write(error))
            | Self::Doctor(DoctorError::Write(error))
            | Self::Told(error) => error.kind() == ErrorKind::BrokenPipe,
            _ => false,
        }
    }

    /// Returns the exit code.
    pub fn code(&self) -> u8 {
        match self {
            quiet if quiet.is_quiet() => DONE,
            Self::Usage(_) | Self::Config(_) | Self::Intel(IntelError::NoInput) => USAGE,
            Self::Explain(ExplainError::Intel(IntelError::NoInput)) => USAGE,
            Self::Confine(ConfineError::NoUser { .. }) => USAGE,
            Self::LiveBench(error) if error.is_usage() => USAGE,
            _ => FAILED,
        }
    }
}

/// Explains to standard output.
fn explain(arguments: &ExplainArguments) -> Result<u8, Failure> {
    let damages = explain::run(arguments, &mut std::io::stdout())?;
    output::say_all(&damages);
    Ok(if damages.is_empty() { DONE } else { DAMAGED })
}
