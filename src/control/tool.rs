//! Running the programs that know what no file of the kernel tells: bounded in time and in what
//! they print.

use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::bounded;

/// How long a program may take: `ethtool` waits for drivers that are being reset.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes read of what a program prints: the counters of a NIC with a thousand queues have 1 MiB.
const OUTPUT_BYTES_MAX: u64 = 8 << 20;

/// Folders of programs, which people who are not root often lack.
const FOLDERS: &str = "/usr/sbin:/sbin:/usr/bin:/bin";

/// Why a program told nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// It is not installed.
    Absent,
    /// Its own last line, or what became of it.
    Refused(String),
}

/// Runs a program in the C locale and returns what it prints; one that does not end is left alone.
///
/// # Errors
///
/// When it is not there, fails, or goes over a bound.
pub(super) fn run(arguments: &[&str], patience: Duration) -> Result<String, NoAnswer> {
    let refused = |why: String| NoAnswer::Refused(why);
    let [program, rest @ ..] = arguments else { return Err(NoAnswer::Absent) };
    let mut command = Command::new(program);
    command.args(rest).env("PATH", path(&std::env::var("PATH").unwrap_or_default()));
    command.env("LC_ALL", "C").stdin(Stdio::null());
    let (told, asked) = bounded(1);
    let thread = Builder::new().name("tool".to_owned()).spawn(move || {
        // nobody listens any more where it took too long
        let _too_late = told.send(output(&mut command));
    });
    thread.map_err(|error| refused(format!("cannot start a thread: {error}")))?;
    match asked.recv_timeout(patience) {
        Ok(Ok(output)) => text(&output),
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Err(NoAnswer::Absent),
        Ok(Err(error)) => Err(refused(error.to_string())),
        Err(_) => Err(refused(format!("no answer in {} s", patience.as_secs()))),
    }
}

/// Returns where programs are looked for: never in the current folder, which an empty part means.
fn path(given: &str) -> String {
    let parts = given.split(':').chain(FOLDERS.split(':'));
    parts.filter(|part| part.starts_with('/')).collect::<Vec<_>>().join(":")
}

/// Runs a program to its end, or until it has printed too much.
fn output(command: &mut Command) -> io::Result<Output> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let [mut stdout, mut stderr] = [Vec::new(), Vec::new()];
    if let Some(out) = child.stdout.take() {
        out.take(OUTPUT_BYTES_MAX).read_to_end(&mut stdout)?;
    }
    // what it complains of fits a pipe; what it says beyond its bound finds nobody
    if let Some(errors) = child.stderr.take() {
        errors.take(OUTPUT_BYTES_MAX).read_to_end(&mut stderr)?;
    }
    Ok(Output { status: child.wait()?, stdout, stderr })
}

fn text(output: &Output) -> Result<String, NoAnswer> {
    if output.stdout.len() as u64 >= OUTPUT_BYTES_MAX {
        return Err(NoAnswer::Refused(format!("it printed over {} MiB", OUTPUT_BYTES_MAX >> 20)));
    }
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let line = errors.lines().map(str::trim).rfind(|line| !line.is_empty());
    Err(NoAnswer::Refused(line.unwrap_or("it failed").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell's script, how many milliseconds it may take, what is told.
    fn check(script: &str, millis: u64, told: Result<&str, &str>) {
        let got = run(&["sh", "-c", script], Duration::from_millis(millis));
        let told = told.map(str::to_owned).map_err(|why| NoAnswer::Refused(why.to_owned()));
        assert_eq!(got, told, "{script}");
    }

    #[test]
    fn programs_are_bounded() {
        check("echo x", 60_000, Ok("x\n"));
        check("sleep 9", 50, Err("no answer in 0 s"));
        check("echo why >&2; exit 1", 60_000, Err("why"));
        check("exit 1", 60_000, Err("it failed"));
        check("exec cat /dev/zero", 60_000, Err("it printed over 8 MiB"));
        assert_eq!(run(&["no-such-program"], PATIENCE), Err(NoAnswer::Absent));
    }

    #[test]
    fn no_program_is_taken_from_the_current_folder() {
        for given in ["", ":", ".:bin", ":/usr/sbin"] {
            let path = path(given);
            assert!(path.split(':').all(|part| part.starts_with('/')), "{given}: {path}");
        }
        assert_eq!(path("/opt/bin"), format!("/opt/bin:{FOLDERS}"));
    }
}
