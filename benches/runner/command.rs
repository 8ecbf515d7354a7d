//! Runs a command and says what it cost: wall time, processor time, largest resident memory.
//!
//! The bench starts itself again as a small process that starts the command, because the kernel
//! tells a parent only the largest of all its children's memories: a parent of one child knows that
//! child's.

use std::ffi::OsString;
use std::fs::File;
use std::io::Error;
use std::io::Result;
use std::path::Path;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use nix::sys::resource::UsageWho;
use nix::sys::resource::getrusage;
use nix::sys::time::TimeVal;

/// The first argument of the small process.
pub(crate) const MEASURE: &str = "--measure";

/// What a run of a command cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) resident_bytes: u64,
    /// The exit code, -1 after a signal.
    pub(crate) code: i32,
}

/// Runs a command with its output discarded and its messages in the file `log`.
pub(crate) fn measure(command: &[OsString], log: &Path) -> Result<Cost> {
    let output = Command::new(std::env::current_exe()?)
        .arg(MEASURE)
        .args(command)
        .stdin(Stdio::null())
        .stderr(File::create(log)?)
        .stdout(Stdio::piped())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<i64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [wall, cpu, resident, code] = numbers[..] else {
        let name = command[0].to_string_lossy();
        return Err(Error::other(format!("{name} could not be started, see {}", log.display())));
    };
    Ok(Cost {
        wall: Duration::from_nanos(wall.unsigned_abs()),
        cpu: Duration::from_nanos(cpu.unsigned_abs()),
        resident_bytes: resident.unsigned_abs(),
        code: code as i32,
    })
}

/// The small process: runs the command of its arguments and prints the four numbers.
pub(crate) fn measured(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(program) = arguments.next() else { return ExitCode::FAILURE };
    let started = Instant::now();
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status();
    let wall = started.elapsed();
    let (Ok(status), Ok(usage)) = (status, getrusage(UsageWho::RUSAGE_CHILDREN)) else {
        return ExitCode::FAILURE;
    };
    let cpu = nanoseconds(usage.user_time()) + nanoseconds(usage.system_time());
    let code = status.code().unwrap_or(-1);
    println!("{} {cpu} {} {code}", wall.as_nanos(), usage.max_rss() * 1_024);
    ExitCode::SUCCESS
}

fn nanoseconds(time: TimeVal) -> i64 {
    time.tv_sec() * 1_000_000_000 + time.tv_usec() * 1_000
}
