//! What systemd is told, and what a sensor does when a thread of it is stuck, or when it is told to
//! stop twice.

use std::cell::RefCell;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use crate::lab::Lab;
use crate::lab::Sensor;
use crate::lab::TAP;
use crate::lab::feed;
use crate::run::has_program;

/// Stops one thread as a debugger does, until it is killed; sees to the thread's end, too.
const FREEZE: &str = "import ctypes, os, sys
libc, tid = ctypes.CDLL(None, use_errno=True), int(sys.argv[1])
for request in 0x4206, 0x4207:
    assert libc.ptrace(request, tid, None, None) == 0, os.strerror(ctypes.get_errno())
while True:
    os.waitpid(-1, 0x40000000)
";

/// systemd's end of the socket that a service tells its state to.
struct Notified {
    socket: UnixDatagram,
    environment: Vec<String>,
}

impl Notified {
    fn new(lab: &Lab) -> Self {
        let path = lab.path("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("set");
        let address = format!("NOTIFY_SOCKET={}", path.display());
        // a second of quiet is too long
        Self { socket, environment: vec!["env".into(), address, "WATCHDOG_USEC=2000000".into()] }
    }

    /// Starts a sensor that tells its state here.
    fn sensor<'l>(&self, lab: &'l Lab) -> Sensor<'l> {
        let by: Vec<&str> = self.environment.iter().map(String::as_str).collect();
        lab.sensor_behind(&by, &feed(), &format!("{TAP}[workers]\ncount = 2\n"))
    }

    /// Returns what has been told and not yet been read.
    fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        let mut message = [0; 4_096];
        while let Ok(length) = self.socket.recv(&mut message) {
            told.push(String::from_utf8_lossy(&message[..length]).into_owned());
        }
        told
    }

    fn wait(&self, sensor: &Sensor<'_>, what: &str) {
        sensor.wait(what, |_| self.told().iter().any(|told| told.contains(what)));
    }
}

/// Stops a thread by its name; the other threads go on.
fn freeze(sensor: &Sensor<'_>, name: &str) -> Child {
    let called = |task: &Path| fs::read_to_string(task.join("comm")).unwrap_or_default();
    let find = || {
        let tasks = fs::read_dir(format!("/proc/{}/task", sensor.pid())).expect("runs");
        let mut tasks = tasks.map(|task| task.expect("listed").path());
        tasks.find(|task| called(task).trim() == name)
    };
    sensor.wait(name, |_| find().is_some());
    let task = find().expect("there is such a thread");
    let id = task.file_name().expect("has one").to_string_lossy().into_owned();
    let mut python = Command::new("python3");
    let freezer = python.args(["-c", FREEZE, &id]).stdin(Stdio::null()).spawn().expect("starts");
    let status = |task: &Path| fs::read_to_string(task.join("status")).unwrap_or_default();
    sensor.wait("frozen thread", |_| status(&task).contains("tracing stop"));
    freezer
}

fn thaw(mut freezer: Child) {
    freezer.kill().expect("killed");
    freezer.wait().expect("gone");
}

#[test]
fn systemd_is_told_of_start_reload_life_and_stop() {
    let Some(lab) = Lab::new() else { return };
    let notified = Notified::new(&lab);
    let sensor = notified.sensor(&lab);
    notified.wait(&sensor, "READY=1");
    for _ in 0..3 {
        notified.wait(&sensor, "WATCHDOG=1");
    }
    sensor.signal("-HUP");
    let told = RefCell::new(Vec::new());
    let at = |what: &str| told.borrow().iter().position(|told: &String| told.contains(what));
    sensor.wait("end of the reload", |_| {
        told.borrow_mut().extend(notified.told());
        at("RELOADING=1").is_some() && at("READY=1").is_some()
    });
    let reloading = at("RELOADING=1").expect("told");
    assert!(told.borrow()[reloading].contains("MONOTONIC_USEC="), "{told:?}");
    assert!(at("READY=1") > Some(reloading), "{told:?}");
    assert_eq!(lab.metric("tapsieve_indicator_set_generation"), 1.0);
    sensor.signal("-TERM");
    notified.wait(&sensor, "STOPPING=1");
    assert_eq!(sensor.ended().code, 0);
}

#[test]
fn a_thread_that_is_stuck_is_not_vouched_for() {
    let Some(lab) = Lab::new() else { return };
    if !has_program("python3") {
        return;
    }
    let notified = Notified::new(&lab);
    let sensor = notified.sensor(&lab);
    notified.wait(&sensor, "WATCHDOG=1");
    for thread in ["worker-1", "reporter"] {
        let freezer = freeze(&sensor, thread);
        let stuck = format!("{thread} is stuck");
        sensor.wait("sign of it", |lab| lab.get("/healthz").contains(&stuck));
        // what had been told before is let pass, and then a second at most
        let lives = notified.told().iter().filter(|told| told.contains("WATCHDOG=1")).count();
        assert!(lives <= 3, "told {lives} times that it lives");
        assert!(lab.get("/readyz").contains(&stuck), "{}", lab.get("/readyz"));
        sensor.wait("line", |_| sensor.said().contains(&format!("not ready: {stuck}")));
        assert_eq!(notified.told(), [""; 0]);
        thaw(freezer);
        notified.wait(&sensor, "WATCHDOG=1");
        sensor.wait("life", |lab| lab.get("/healthz") == "alive\n");
        sensor.wait("readiness", |lab| lab.get("/readyz") == "ready\n");
    }
    assert_eq!(sensor.stop().code, 0);
}

#[test]
fn a_second_signal_hurries() {
    let Some(lab) = Lab::new() else { return };
    if !has_program("python3") {
        return;
    }
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let sensor = lab.sensor(&feed(), TAP);
        // it can never drain
        let freezer = freeze(&sensor, "worker-0");
        sensor.signal("-TERM");
        sensor.wait("order to stop", |_| sensor.said().contains("stopping: reading"));
        sensor.signal(signal);
        assert_eq!(sensor.ended().code, code);
        thaw(freezer);
    }
}
