//! tcpdump as receiver: what a program that only reads can take, in a process of its own.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::process::Child;
use std::process::ChildStderr;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::control::bench::live::LiveBenchError;
use crate::control::bench::live::cpu;
use crate::control::bench::live::sender::Sent;
use crate::control::bench::live::trial::Received;
use crate::pipeline::capture::live::LiveSettings;

/// Its name in tables.
pub(super) const NAME: &str = "tcpdump";

/// How long it is watched at a time, when it is to have read all.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Processor time in that time, below which it is idle.
const IDLE_SECS: f64 = 0.001;

/// How long it may take to read what its ring holds.
const DRAIN_AT_MOST: Duration = Duration::from_secs(30);

/// Bytes of what it says that are read.
const SAID_BYTES_MAX: u64 = 64 * 1024;

/// A tcpdump that runs; ended when dropped.
struct Running {
    child: Child,
    said: BufReader<std::io::Take<ChildStderr>>,
}

/// Returns its version; `None`: it is not installed.
pub(super) fn version() -> Option<String> {
    let output = Command::new("tcpdump").arg("--version").output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    Some(text.lines().take(2).collect::<Vec<_>>().join(", "))
}

/// Receives with tcpdump while `send` sends.
///
/// # Errors
///
/// When it does not start, or does not say what it received.
pub(super) fn trial(
    settings: &LiveSettings,
    send: impl FnOnce() -> Sent,
) -> Result<(Sent, Received), LiveBenchError> {
    let before = cpu::children_secs();
    let tcpdump = Running::start(settings)?;
    let pid = tcpdump.child.id();
    let started = cpu::secs_of_process(pid).unwrap_or(0.0);
    let sent = send();
    drain(pid);
    let resident_bytes = cpu::resident_bytes(&pid.to_string());
    let ended = cpu::secs_of_process(pid);
    let said = tcpdump.stop()?;
    let mut received = Received { resident_bytes, ..understood(&said)? };
    // without what starting and ending took, as the sensor's; of all of it where no more is known
    let whole = cpu::children_secs() - before;
    received.cpu_secs = (ended.filter(|secs| *secs > 0.0).unwrap_or(whole) - started).max(0.0);
    Ok((sent, received))
}

impl Running {
    fn start(settings: &LiveSettings) -> Result<Self, LiveBenchError> {
        let failed = |why: String| LiveBenchError::Tcpdump(why);
        let mut command = Command::new("tcpdump");
        command.arg("-n").args(["-i", &settings.interface]);
        command.args(["-B", &(settings.ring_mebibytes << 10).to_string()]);
        command.args(["-s", &settings.snap_bytes.to_string(), "-w", "/dev/null"]);
        command.arg(&settings.filter);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|why| failed(why.to_string()))?;
        let Some(stderr) = child.stderr.take() else {
            return Err(failed("it has no standard error".to_owned()));
        };
        let mut running = Self { child, said: BufReader::new(stderr.take(SAID_BYTES_MAX)) };
        let mut line = String::new();
        let mut last = String::new();
        while running.said.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            if line.contains("listening on") {
                return Ok(running);
            }
            line.trim().clone_into(&mut last);
            line.clear();
        }
        Err(failed(last))
    }

    /// Ends it, and returns what it says at the end.
    fn stop(mut self) -> Result<String, LiveBenchError> {
        let failed = |why: String| LiveBenchError::Tcpdump(why);
        let pid = i32::try_from(self.child.id()).unwrap_or(i32::MAX);
        kill(Pid::from_raw(pid), Signal::SIGINT).map_err(|why| failed(why.to_string()))?;
        let mut said = String::new();
        self.said.read_to_string(&mut said).map_err(|why| failed(why.to_string()))?;
        self.child.wait().map_err(|why| failed(why.to_string()))?;
        Ok(said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Waits until it has nothing more to do.
fn drain(pid: u32) {
    let started = Instant::now();
    let Some(mut before) = cpu::secs_of_process(pid) else {
        std::thread::sleep(LOOK_EVERY * 7);
        return;
    };
    // it is woken once a second, when a part of its ring is not full
    let mut idle = 0;
    while idle < 4 && started.elapsed() < DRAIN_AT_MOST {
        std::thread::sleep(LOOK_EVERY);
        let now = cpu::secs_of_process(pid).unwrap_or(before);
        idle = if now - before < IDLE_SECS { idle + 1 } else { 0 };
        before = now;
    }
}

/// Reads what tcpdump says at its end, and checks that it adds up.
fn understood(said: &str) -> Result<Received, LiveBenchError> {
    let count = |what: &str| {
        let line = said.lines().find(|line| line.contains(what))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let wanted = ["captured", "received by filter", "dropped by kernel"];
    let [Some(captured), Some(passed), Some(dropped)] = wanted.map(count) else {
        let said = said.trim().replace('\n', ", ");
        return Err(LiveBenchError::Tcpdump(format!("its last words name no counts: {said}")));
    };
    let lost = BTreeMap::from([
        ("kernel/ring_full".to_owned(), dropped),
        ("interface/driver".to_owned(), count("dropped by interface").unwrap_or(0)),
    ]);
    // libpcap counts what it drops among what passed its filter
    let adds_up = captured.saturating_add(dropped) == passed;
    let trouble = (!adds_up).then(|| {
        format!("tcpdump captured {captured} and dropped {dropped}, but was given {passed}")
    });
    Ok(Received { frames: captured, lost, trouble, ..Received::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_last_words_are_understood() {
        let said = "\n90 packets captured\n100 packets received by filter\n\
                    10 packets dropped by kernel\n3 packets dropped by interface\n";
        let received = understood(said).expect("counts");
        assert_eq!((received.frames, received.trouble), (90, None));
        assert_eq!(received.lost.values().sum::<u64>(), 13);
        let odd = said.replace("100 packets", "101 packets");
        assert!(understood(&odd).expect("counts").trouble.is_some());
        let failed = understood("tcpdump: gen7: No such device\n");
        assert!(failed.is_err_and(|why| why.to_string().contains("No such device")));
    }
}
