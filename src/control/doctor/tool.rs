//! Running the programs that know what no file of the kernel tells.
//!
//! `ethtool` is asked, not the kernel: the crate for its netlink has neither the hash of RSS, nor
//! its fields, nor a driver's own counters, and every command that mends a NIC is one of `ethtool`.

use std::io::ErrorKind;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::bounded;

use crate::control::doctor::finding::Unknown;
use crate::control::doctor::host::Host;

/// How long a program may take: `ethtool` waits for drivers that are being reset.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs a program in the C locale; it is left alone when it does not end.
pub(super) fn run(_host: &Host, arguments: &[&str]) -> Result<String, Unknown> {
    let [program, rest @ ..] = arguments else { return Err(Unknown::new("nothing to run")) };
    // people who are not root often lack the folders that hold these programs
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin:/usr/bin:/bin";
    let mut command = Command::new(program);
    command.args(rest).env("PATH", path).env("LC_ALL", "C").stdin(Stdio::null());
    let (told, asked) = bounded(1);
    let thread = Builder::new().name("tool".to_owned()).spawn(move || {
        // nobody listens any more where it took too long
        let _too_late = told.send(command.output());
    });
    thread.map_err(|error| Unknown::new(format!("cannot start a thread: {error}")))?;
    match asked.recv_timeout(PATIENCE) {
        Ok(Ok(output)) => text(program, &output),
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => Err(absent(program)),
        Ok(Err(error)) => Err(Unknown::new(format!("{program}: {error}"))),
        Err(_) => {
            Err(Unknown::new(format!("{program} gave no answer in {} s", PATIENCE.as_secs())))
        }
    }
}

/// Says that a program is not there, and how to have it.
pub(super) fn absent(program: &str) -> Unknown {
    let install = format!("apt-get install {program} || dnf install {program}");
    Unknown { why: format!("{program} is not installed"), mend: Some(install) }
}

fn text(program: &str, output: &Output) -> Result<String, Unknown> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let line = errors.lines().map(str::trim).rfind(|line| !line.is_empty());
    Err(refused(program, line.unwrap_or("it failed")))
}

/// Says why a program did not answer.
pub(super) fn refused(program: &str, line: &str) -> Unknown {
    if line.contains("not supported") {
        return Unknown::new("the driver does not tell");
    }
    Unknown::new(format!("{program}: {line}"))
}
