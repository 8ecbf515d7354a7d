//! What a bench of indicators costs, and how it begins.

use std::fmt::Display;
use std::process::ExitCode;

use nix::sys::resource::UsageWho;
use nix::sys::resource::getrusage;
use nix::sys::time::TimeValLike;

use crate::options::ended;

/// Runs a bench; `cargo test` lists and runs benches, too, and then nothing is done.
pub(crate) fn bench<E: Display>(run: impl FnOnce() -> Result<bool, E>) -> ExitCode {
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    ended(run())
}

/// Seconds of processor that were taken so far.
pub(crate) fn cpu_secs(of: UsageWho) -> f64 {
    let usage = getrusage(of).expect("the kernel tells");
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
}

/// The most memory that was taken at once.
pub(crate) fn peak_mebibytes(of: UsageWho) -> i64 {
    getrusage(of).expect("the kernel tells").max_rss() >> 10
}
