//! What every measured run is asked, and how it ends.

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

/// Options of every measured run.
#[derive(Args)]
pub(crate) struct Common {
    /// The engine; by default the one that `cargo bench` has just built.
    #[arg(long, default_value = env!("CARGO_BIN_EXE_tapsieve"))]
    pub(crate) bin: PathBuf,
    /// Fails when a goal is missed or a ratio above its limit, too.
    #[arg(long)]
    pub(crate) enforce: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Returns the exit code of a run that went well, or not, or could not be done.
pub(crate) fn ended(outcome: Result<bool, impl Display>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}
