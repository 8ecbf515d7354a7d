//! A sensor that has its indicators from a MISP: a change there is matched here within seconds when
//! MISP's ZeroMQ publisher tells of it, within a period where nobody does; a server that dies stops
//! nothing.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use super::peers::python;
use super::stand::KEY;
use super::stand::Stand;
use super::stand::State;
use crate::lab::Lab;
use crate::run::Beside;

const TAP: &str = "[[capture]]\ninterface = \"tap0\"\nring_mebibytes = 16\n[workers]\ncount = 1\n";

/// MISP's publisher: each line of the standard input is a message, `TOPIC JSON`. It says when
/// somebody subscribes, which a plain `PUB` does not tell.
const PUBLISHER: &str = r#"
import os, sys, threading, zmq
socket = zmq.Context().socket(zmq.XPUB)
socket.bind("tcp://127.0.0.1:50000")
lines = os.fdopen(os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT), "w", buffering=1)
poller = zmq.Poller()
poller.register(socket, zmq.POLLIN)
poller.register(sys.stdin.fileno(), zmq.POLLIN)
pending = b""
while True:
    ready = dict(poller.poll(1000))
    if socket in ready:
        lines.write(repr(socket.recv()) + "\n")
    if sys.stdin.fileno() in ready:
        got = os.read(sys.stdin.fileno(), 65536)
        if not got: break
        *whole, pending = (pending + got).split(b"\n")
        for line in whole: socket.send(line)
"#;

/// A value that the demo's capture shows again and again.
const SHOWN: &str = "fake-updates.example";

struct Publisher {
    process: Beside,
    subscriptions: PathBuf,
}

impl Publisher {
    fn new(lab: &Lab, python: &Path) -> Self {
        let subscriptions = lab.path("subscriptions");
        let mut command = lab.command(&python.display().to_string());
        command.args(["-c", PUBLISHER, &subscriptions.display().to_string()]);
        let command = command.stdin(Stdio::piped()).stderr(Stdio::null());
        Self { process: Beside(command.spawn().expect("python runs")), subscriptions }
    }

    fn send(&mut self, topic: &str, message: &Value) {
        let stdin = self.process.0.stdin.as_mut().expect("a pipe");
        writeln!(stdin, "{topic} {message}").expect("it reads");
    }

    fn has_subscriber(&self) -> bool {
        fs::read_to_string(&self.subscriptions).is_ok_and(|text| text.contains("misp_json"))
    }
}

/// The demo's capture over and over, for minutes.
fn traffic(lab: &Lab) -> Beside {
    lab.traffic(1_000, 400)
}

/// An event without what the capture shows.
fn quiet() -> State {
    let mut state = State::default();
    let event = state.event("Quiet", &["tlp:green"]);
    state.attribute(event, "domain", "quiet.example");
    state
}

/// The configuration of a server, with more lines of its own.
fn server(lab: &Lab, stand: &Stand, more: &str) -> String {
    fs::write(lab.path("key"), KEY).expect("written");
    fs::write(lab.path("ca.pem"), stand.authority().pem()).expect("written");
    fs::create_dir_all(lab.path("mirror")).expect("made");
    format!(
        "{TAP}[[intel]]\nmisp = \"{}\"\nkey_file = \"{}\"\nca_file = \"{}\"\n{more}\n\
         [mirror]\npath = \"{}\"\n",
        stand.url(),
        lab.path("key").display(),
        lab.path("ca.pem").display(),
        lab.path("mirror").display(),
    )
}

/// A list of nothing that is seen, beside the server.
fn list(lab: &Lab) -> PathBuf {
    let list = lab.path("list.txt");
    fs::write(&list, "unseen.example\n").expect("written");
    list
}

fn has_alert(lab: &Lab, value: &str) -> bool {
    let is_it = |alert: &Value| alert["tapsieve"]["indicator"]["value"] == value;
    lab.alerts().iter().any(is_it)
}

/// Waits until nothing was asked for three seconds.
fn until_quiet(stand: &Stand) {
    let started = Instant::now();
    loop {
        std::thread::sleep(Duration::from_secs(3));
        if stand.asked().is_empty() {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "it asks and asks");
    }
}

fn lab() -> Option<(Lab, PathBuf)> {
    let lab = Lab::new()?;
    Some((lab, python()?))
}

#[test]
fn a_change_that_zeromq_tells_of_is_matched_before_the_period() {
    let Some((lab, python)) = lab() else { return };
    let stand = Stand::within(quiet(), Some(&lab.namespace()));
    let mut publisher = Publisher::new(&lab, &python);
    let more = "period_secs = 3600\nzmq = \"tcp://127.0.0.1:50000\"";
    let sensor = lab.sensor(&list(&lab), &server(&lab, &stand, more));
    sensor.wait("readiness", |lab| lab.get("/readyz").starts_with("ready"));
    sensor.wait("first pull", |_| !stand.asked_of("/attributes").is_empty());
    sensor.wait("subscription", |_| publisher.has_subscriber());
    let _flowing = traffic(&lab);
    until_quiet(&stand);
    // that MISP lives, and what others do, is no reason to ask
    for _ in 0..5 {
        publisher.send("misp_json_self", &json!({ "status": "still alive", "uptime": 7 }));
        publisher.send("misp_json_user", &json!({ "User": { "id": "7" }, "action": "login" }));
        publisher.send("misp_json_audit", &json!({ "Log": { "action": "login" } }));
    }
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(stand.asked().len(), 0);
    let started = Instant::now();
    let uuid = stand.edit(|state| state.attribute(1, "domain", SHOWN));
    let attribute = json!({ "uuid": uuid, "type": "domain", "value": SHOWN, "event_id": "1" });
    let event = json!({ "id": "1", "info": "Quiet", "published": true });
    let told = json!({ "Attribute": attribute, "Event": event, "action": "add" });
    publisher.send("misp_json_attribute", &told);
    publisher.send("misp_json", &json!({ "Event": event }));
    sensor.wait("alert", |lab| has_alert(lab, SHOWN));
    let took = started.elapsed();
    // 5 s are wanted, on a machine that does nothing else; it is woken if it is before the period
    say(&format!("from a change that ZeroMQ told of to its alert: {took:.1?}"));
    // many messages are few questions
    until_quiet(&stand);
    for number in 0..200 {
        publisher.send("misp_json_attribute", &json!({ "Attribute": { "id": number } }));
    }
    std::thread::sleep(Duration::from_secs(5));
    let asked = stand.asked_of("/attributes").len();
    assert!((1..=8).contains(&asked), "{asked}");
    stand.edit(|state| {
        state.soft_delete(&uuid);
        state.publish(1);
    });
    publisher.send("misp_json", &json!({ "Event": event }));
    sensor.wait("end of its matching", |lab| {
        let before = lab.alerts().len();
        std::thread::sleep(Duration::from_secs(2));
        lab.alerts().len() == before
    });
    let ended = sensor.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

/// Seconds between two pulls; the default of the sensor is 60, for which a test is long.
fn period_secs() -> u64 {
    std::env::var("TAPSIEVE_PERIOD_SECS").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

#[test]
fn a_change_that_nobody_tells_of_is_matched_after_a_period() {
    let Some(lab) = Lab::new() else { return };
    let stand = Stand::within(quiet(), Some(&lab.namespace()));
    let more = format!("period_secs = {}", period_secs());
    let sensor = lab.sensor(&list(&lab), &server(&lab, &stand, &more));
    sensor.wait("readiness", |lab| lab.get("/readyz").starts_with("ready"));
    sensor.wait("first pull", |_| !stand.asked_of("/attributes").is_empty());
    let _flowing = traffic(&lab);
    let started = Instant::now();
    stand.edit(|state| state.attribute(1, "domain", SHOWN));
    // 90 s of 60 are wanted, on a machine that does nothing else
    let most = Duration::from_secs(period_secs() * 3 / 2 + 20);
    while !has_alert(&lab, SHOWN) {
        assert!(started.elapsed() < most, "no alert in {most:?}: {}", sensor.said());
        std::thread::sleep(Duration::from_millis(200));
    }
    let took = started.elapsed();
    say(&format!("from a change to its alert, pulled each {} s: {took:.1?}", period_secs()));
    assert_eq!(sensor.stop().code, 0);
}

#[test]
fn a_server_that_dies_stops_nothing_and_its_age_is_told() {
    let Some(lab) = Lab::new() else { return };
    let mut stand = Stand::within(quiet(), Some(&lab.namespace()));
    stand.edit(|state| state.attribute(1, "domain", SHOWN));
    let config = server(&lab, &stand, "name = \"site\"\nperiod_secs = 5");
    let sensor = lab.sensor(&list(&lab), &config);
    let flowing = traffic(&lab);
    sensor.wait("alert", |lab| has_alert(lab, SHOWN));
    stand.close();
    let failures = |lab: &Lab| {
        let page = lab.get("/metrics");
        let lines = page.lines().filter(|line| line.starts_with("tapsieve_intel_failures_total{"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    sensor.wait("failure", |lab| failures(lab) >= 1.0);
    let last = "tapsieve_intel_last_success_timestamp_seconds{feed=\"site\"}";
    let success = lab.metric(last);
    assert!(success > 1_700_000_000.0, "{}", lab.get("/metrics"));
    sensor.wait("warning", |lab| {
        let page = lab.get("/readyz");
        page.starts_with("ready\n") && page.contains("site")
    });
    let before = lab.alerts().len();
    sensor.wait("more alerts", |lab| lab.alerts().len() > before);
    assert_eq!(lab.metric(last), success);
    // a restart without the server has the last good copy
    drop(flowing);
    assert_eq!(sensor.stop().code, 0);
    fs::remove_file(lab.path("alerts")).expect("removed");
    let sensor = lab.sensor(&list(&lab), &config);
    let _flowing = traffic(&lab);
    sensor.wait("alert", |lab| has_alert(lab, SHOWN));
    stand.open();
    sensor.wait("success", |lab| lab.metric(last) > success);
    sensor.wait("readiness", |lab| lab.get("/readyz") == "ready\n");
    assert_eq!(sensor.stop().code, 0);
}

#[test]
fn a_first_start_without_the_server_waits_for_it_and_captures() {
    let Some(lab) = Lab::new() else { return };
    let mut stand = Stand::within(quiet(), Some(&lab.namespace()));
    stand.edit(|state| state.attribute(1, "domain", SHOWN));
    stand.close();
    let empty = lab.path("list.txt");
    fs::write(&empty, "# nothing yet\n").expect("written");
    let config = server(&lab, &stand, "name = \"site\"\nperiod_secs = 5");
    let sensor = lab.sensor(&empty, &config);
    let _flowing = traffic(&lab);
    sensor.wait("reasons", |lab| {
        let page = lab.get("/readyz");
        let why = ["no indicators are there yet", "nothing was pulled yet of site"];
        !page.starts_with("ready") && why.iter().all(|why| page.contains(why))
    });
    sensor.wait("packets", |lab| {
        lab.metric("tapsieve_capture_packets_total{source=\"live\"}") > 100.0
    });
    assert_eq!(lab.alerts(), [] as [Value; 0]);
    stand.open();
    sensor.wait("alert", |lab| has_alert(lab, SHOWN));
    sensor.wait("readiness", |lab| lab.get("/readyz").starts_with("ready"));
    assert_eq!(sensor.stop().code, 0);
}

#[allow(clippy::print_stderr, reason = "what was measured is said aloud")]
fn say(what: &str) {
    eprintln!("{what}");
}
