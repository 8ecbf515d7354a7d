//! `bench live`: sends, receives, adds up, and tells; in a network of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::lab::Lab;
use crate::run::Run;
use crate::run::has_program;
use crate::run::ran;
use crate::run::root;
use crate::run::run;

/// How long anything may take to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `bench live` on a lab's pair; its files are in the lab's folder.
fn bench(lab: &Lab, arguments: &[&str]) -> Run {
    let mut command = lab.command(env!("CARGO_BIN_EXE_tapsieve"));
    command.current_dir(lab.folder.path());
    command.args(["bench", "live", "--rx", "tap0", "--secs", "1", "--indicators", "1000"]);
    command.args(["--ring-mebibytes", "16", "--json", "out.json", "--svg", "out.svg"]);
    let output = command.args(arguments).stdin(Stdio::null()).output();
    ran(&output.expect("the program starts"))
}

fn report(lab: &Lab) -> Value {
    let text = fs::read(lab.path("out.json")).expect("written");
    serde_json::from_slice(&text).expect("JSON")
}

/// All trials of a report, each with its receiver.
fn trials(report: &Value) -> Vec<(String, &Value)> {
    let results = report["results"].as_array().expect("results");
    let of = |result| {
        let result: &Value = result;
        let name = result["receiver"].as_str().expect("a name").to_owned();
        let half = Some(&result["half_load"]).filter(|trial| !trial.is_null());
        let all = result["trials"].as_array().expect("trials").iter().chain(half);
        all.map(|trial| (name.clone(), trial)).collect::<Vec<_>>()
    };
    results.iter().flat_map(of).collect()
}

/// Each trial adds up, and its alerts are right; returns how many alerts there were.
fn check_trials(report: &Value) -> u64 {
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("no count: {value}"));
    let mut alerts_right = 0;
    for (receiver, trial) in trials(report) {
        assert_eq!(trial["is_valid"], true, "{receiver}: {trial}");
        let lost_by = trial["lost_by"].as_object().expect("reasons");
        let lost: u64 = lost_by.values().map(number).sum();
        let (sent, received) = (number(&trial["sent"]), number(&trial["received"]));
        assert!(sent > 0, "{receiver}: {trial}");
        assert_eq!(sent, received + lost, "{receiver}: {trial}");
        assert_eq!(number(&trial["lost"]), lost, "{receiver}: {trial}");
        let threads = trial["receiver"]["cpu_nanos_by_thread"].as_object().map(|all| all.len());
        // a capturer, a worker and the reporter, at least
        assert!(receiver == "tcpdump" || threads.is_some_and(|n| n >= 3), "{receiver}: {trial}");
        let alerts = &trial["alerts"];
        assert_eq!(alerts.is_null(), !receiver.ends_with("match"), "{receiver}: {trial}");
        if alerts.is_null() {
            continue;
        }
        let count = |what: &str| number(&alerts[what]);
        assert_eq!((count("wrong"), count("others")), (0, 0), "{trial}");
        assert!(count("planted") - count("right") <= lost, "{trial}");
        alerts_right += count("right");
    }
    alerts_right
}

#[test]
fn a_search_ends_with_a_table_json_and_a_chart() {
    let Some(lab) = Lab::new() else { return };
    let done = bench(&lab, &["--frames", "64,mixed", "--resolution", "50"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let report = report(&lab);
    assert!(check_trials(&report) > 100, "{report}");
    let keys = |value: &Value| {
        let object = value.as_object().expect("an object");
        object.keys().cloned().collect::<BTreeSet<_>>()
    };
    let wanted = "schema version time command_line machine settings not_controlled is_cut_short \
                  results";
    assert_eq!(keys(&report), wanted.split_whitespace().map(str::to_owned).collect());
    let wanted = "processor processors is_virtual memory_mebibytes kernel clock_source governor \
                  load backlog_max receiving sending";
    assert_eq!(keys(&report["machine"]), wanted.split_whitespace().map(str::to_owned).collect());
    assert_eq!(report["machine"]["receiving"]["driver"], "veth");
    assert_eq!(report["machine"]["sending"]["name"], "gen0");
    let results = report["results"].as_array().expect("results");
    let name = |one: &Value| format!("{} {}", one["traffic"], one["receiver"]).replace('"', "");
    let names: Vec<String> = results.iter().map(name).collect();
    let wanted = [
        "64 afpacket dissect",
        "64 afpacket match",
        "mixed afpacket dissect",
        "mixed afpacket match",
    ];
    assert_eq!(names, wanted);
    for (name, result) in names.iter().zip(results) {
        let rate = result["lossless_pps"].as_f64().expect("a rate");
        assert!(rate > 0.0, "{name}: {result}");
        let last = result["trials"].as_array().and_then(|trials| trials.last());
        let holds = last.is_some_and(|trial| trial["lost"] == 0);
        assert_eq!(result["is_confirmed"], holds, "{name}: {result}");
        let row = format!("| {} |", name.split(' ').next().expect("a word"));
        assert!(done.text().contains(&row), "{row}: {}", done.text());
    }
    check_chart(&fs::read_to_string(lab.path("out.svg")).expect("written"), &wanted);
}

/// The chart is XML, has a bar for each result, and names each receiver.
fn check_chart(svg: &str, results: &[&str]) {
    let tree = roxmltree::Document::parse(svg).expect("XML");
    let count = |name: &str| tree.descendants().filter(|node| node.has_tag_name(name)).count();
    let svg_name = ("http://www.w3.org/2000/svg", "svg");
    assert!(tree.root_element().has_tag_name(svg_name), "{svg}");
    let rectangles = tree.descendants().filter(|node| node.tag_name().name() == "rect").count();
    // the ground, the bars, two squares of the legend
    assert_eq!(rectangles, 1 + results.len() + 2, "{svg}");
    assert_eq!(count("script"), 0);
    let texts: Vec<&str> = tree.descendants().filter_map(|node| node.text()).collect();
    for wanted in ["afpacket dissect", "afpacket match", "64", "mixed", "frames a second"] {
        assert!(texts.contains(&wanted), "{wanted}: {svg}");
    }
}

#[test]
fn tcpdump_takes_its_turn() {
    let Some(lab) = Lab::new() else { return };
    if !has_program("tcpdump") {
        return;
    }
    let backends = ["--backend", "afpacket,pcap"];
    let options = ["--frames", "128", "--rate", "5000", "--baseline", "tcpdump"];
    let options = [&options[..], &backends].concat();
    let done = bench(&lab, &options);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let report = report(&lab);
    assert!(check_trials(&report) > 10);
    let names: Vec<String> = trials(&report).into_iter().map(|(name, _trial)| name).collect();
    let backends = ["afpacket dissect", "afpacket match", "pcap dissect", "pcap match"];
    assert_eq!(names, [&["tcpdump"], &backends[..]].concat());
    let ratio = &report["results"][2]["to_baseline"]["cpu"];
    assert!(ratio.as_f64().is_some_and(|ratio| ratio > 0.0), "{report}");
}

#[test]
fn a_recording_is_sent_round_and_round() {
    let Some(lab) = Lab::new() else { return };
    let capture = root().join("fixtures/demo/site/input.pcap");
    let capture = capture.display().to_string();
    let done = bench(&lab, &["--capture", &capture, "--rate", "3000", "--stop-after", "match"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let report = report(&lab);
    assert!(check_trials(&report) > 10);
    assert_eq!(report["results"].as_array().map(Vec::len), Some(1));
    let result = &report["results"][0];
    assert_eq!(result["traffic"], "recorded");
    let prepared = result["frames_prepared"].as_u64().expect("a count");
    let sent = result["trials"][0]["sent"].as_u64().expect("a count");
    assert!(prepared > 10 && sent > prepared, "{prepared} prepared, {sent} sent");
}

#[test]
fn several_capture_threads_share_what_is_sent() {
    let Some(lab) = Lab::new() else { return };
    let options =
        ["--frames", "128", "--rate", "5000", "--threads", "2", "--workers", "2", "--tx", "gen0"];
    let done = bench(&lab, &options);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(check_trials(&report(&lab)) > 10);
}

#[test]
fn a_signal_ends_it_with_what_there_is() {
    let Some(lab) = Lab::new() else { return };
    let errors = fs::File::create(lab.path("errors")).expect("made");
    let mut command = lab.command(env!("CARGO_BIN_EXE_tapsieve"));
    command.current_dir(lab.folder.path()).args(["bench", "live", "--rx", "tap0"]);
    command.args(["--secs", "1", "--rate", "1000", "--indicators", "1000", "--json", "out.json"]);
    let child = command.stdout(Stdio::piped()).stderr(errors).spawn().expect("starts");
    let started = Instant::now();
    let told = || fs::read_to_string(lab.path("errors")).unwrap_or_default();
    while !told().contains("lost 0 of") {
        assert!(started.elapsed() < PATIENCE, "no trial: {}", told());
        std::thread::sleep(Duration::from_millis(20));
    }
    // `ip netns exec` becomes the program that it runs
    let pid = child.id().to_string();
    let sent = std::process::Command::new("kill").args(["-INT", &pid]).status();
    assert!(sent.expect("kill runs").success());
    let done = ran(&child.wait_with_output().expect("ends"));
    assert_eq!(done.code, 3, "{}", told());
    assert!(done.text().contains("ended early"), "{}", done.text());
    let report = report(&lab);
    assert_eq!(report["is_cut_short"], true);
    check_trials(&report);
    let known = trials(&report).len();
    // eight kinds of traffic and two receivers
    assert!((1..16).contains(&known), "{known} trials: {}", told());
    let flags = lab.command("ip").args(["-d", "link", "show", "tap0"]).output().expect("ip runs");
    let flags = String::from_utf8_lossy(&flags.stdout).into_owned();
    assert!(flags.contains("promiscuity 0"), "{flags}");
}

#[test]
fn an_interface_that_goes_away_ends_it_with_what_there_is() {
    let Some(lab) = Lab::new() else { return };
    let mut command = lab.command(env!("CARGO_BIN_EXE_tapsieve"));
    command.current_dir(lab.folder.path()).args(["bench", "live", "--rx", "tap0"]);
    command.args(["--secs", "60", "--rate", "1000", "--frames", "128", "--indicators", "1000"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    let started = Instant::now();
    let path = "/sys/class/net/tap0/statistics/rx_packets";
    let arrived = || {
        let told = lab.command("cat").arg(path).output().expect("cat runs");
        String::from_utf8_lossy(&told.stdout).trim().parse::<u64>().unwrap_or_default()
    };
    while arrived() < 500 {
        assert!(started.elapsed() < PATIENCE, "nothing is sent");
        std::thread::sleep(Duration::from_millis(100));
    }
    lab.unplug();
    let done = ran(&child.wait_with_output().expect("ends"));
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("tapsieve: cannot send on gen0: "), "{}", done.stderr);
    let text = done.text();
    assert!(text.contains("ended early (cannot send on gen0: "), "{text}");
    // what was sent by then
    assert!(text.contains("| 128 |") && text.contains("one trial"), "{text}");
}

#[test]
fn wrong_usage_has_one_line() {
    let Some(lab) = Lab::new() else { return };
    let check = |arguments: &[&str], code: i32, what: &str| {
        let mut command = lab.command(env!("CARGO_BIN_EXE_tapsieve"));
        command.current_dir(lab.folder.path()).args(["bench", "live", "--secs", "1"]);
        let output = command.args(arguments).stdin(Stdio::null()).output().expect("starts");
        let done = ran(&output);
        assert_eq!((done.code, done.text().as_str()), (code, ""), "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains(what), "{arguments:?}: {}", done.stderr);
        // those of the command line's reader have a line of help, too
        let ours = done.stderr.starts_with("tapsieve: ");
        assert!(!ours || done.stderr.lines().count() == 1, "{}", done.stderr);
        assert_eq!(ours, !done.stderr.starts_with("error: "), "{}", done.stderr);
    };
    check(&["--rx", "none7"], 1, "none7: no such interface");
    check(&["--rx", "tap0", "--tx", "none7"], 1, "none7: no such interface");
    check(&["--rx", "tap0", "--tx", "tap0"], 2, "tap0 is given as --rx and --tx");
    check(&["--rx", "lo"], 2, "give --tx IF");
    check(&["--rx", "tap0", "--tx-cpu", "1000"], 2, "cpu 1000 is not there");
    check(&["--rx", "tap0", "--rx-cpus", "0,1000"], 2, "cpu 1000 is not there");
    check(&["--rx", "tap0", "--json", "none/x"], 1, "none/x");
    check(&["--rx", "tap0", "--json", "x", "--svg", "x"], 2, "x: an input or another output");
    check(&["--rx", "tap0", "--capture", "none.pcap"], 1, "none.pcap");
    check(&["--rx", "tap0", "--frames", "63"], 2, "give 64 to 1518 octets, or mixed");
    check(&["--rx", "tap0", "--rate", "0"], 2, "--rate");
    check(&["--rx", "tap0", "--secs", "0"], 2, "--secs");
    check(&["--rx", "tap0", "--ring-mebibytes", "0"], 2, "--ring-mebibytes");
    check(&[], 2, "--rx");
    lab.shell("ip link set gen0 down");
    let down = ["--rx", "tap0", "--tx", "gen0", "--rate", "100", "--frames", "64"];
    check(&down, 1, "gen0 is down: ip link set gen0 up");
    assert!(!Path::new(&lab.path("x")).exists());
}

#[test]
fn it_needs_two_interfaces_even_without_a_lab() {
    let folder = tempfile::tempdir().expect("folder");
    let done = run(folder.path(), &["bench", "live", "--rx", "none7", "--secs", "1"]);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("none7: no such interface"), "{}", done.stderr);
}
