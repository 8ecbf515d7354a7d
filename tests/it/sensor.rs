//! The live sensor on real interfaces: what a replay finds it finds, and it says what it lost.

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::Value;
use serde_json::json;

use crate::lab::Lab;
use crate::lab::TAP;
use crate::lab::capture;
use crate::lab::feed;
use crate::lab::put;
use crate::run::has_program;
use crate::run::root;
use crate::run::run;
use crate::same::FrameOf;
use crate::same::frames;

/// What does not depend on when something was sent: who alerted on what, where.
pub(crate) fn told(alerts: &[Value]) -> Vec<String> {
    let tell = |alert: &Value| {
        let own = &alert["tapsieve"];
        let seen = [&own["observed"]["place"], &own["observed"]["value"], &own["observed"]["side"]];
        json!([own["indicator"], seen, own["match"], alert["source"], alert["destination"]])
            .to_string()
    };
    let mut told: Vec<String> = alerts.iter().map(tell).collect();
    told.sort();
    told
}

fn replayed() -> Vec<String> {
    let (feed, capture) = (feed().display().to_string(), capture().display().to_string());
    told(&run(Path::new("."), &["replay", "--intel", &feed, &capture]).lines())
}

/// Frames of the demo's capture.
const FRAMES: f64 = 214.0;

fn all_arrived(lab: &Lab, frames: f64) -> bool {
    lab.metric("tapsieve_capture_packets_total{source=\"live\"}") >= frames
}

#[test]
fn a_sensor_finds_what_a_replay_finds_and_accounts_for_every_packet() {
    let Some(lab) = Lab::new() else { return };
    let settings = [(1, 1), (2, 2), (1, 4)];
    let backends = ["afpacket", "pcap"];
    for (backend, (threads, workers)) in backends.iter().flat_map(|b| settings.map(|s| (b, s))) {
        let _none_yet = fs::remove_file(lab.path("alerts"));
        let more = format!(
            "{TAP}backend = \"{backend}\"\nthreads = {threads}\n[workers]\ncount = {workers}\n"
        );
        let sensor = lab.sensor(&feed(), &more);
        lab.send(&capture(), &["--topspeed"]);
        sensor.wait("every frame", |lab| all_arrived(lab, FRAMES));
        sensor.wait("alert", |lab| lab.alerts().len() >= 19);
        assert_eq!(lab.metric("tapsieve_capture_packets_total{source=\"live\"}"), FRAMES);
        sensor.wait("kernel's count", |lab| {
            lab.metric("tapsieve_capture_kernel_packets_total") == FRAMES
        });
        assert_eq!(lab.get("/readyz"), "ready\n");
        assert_eq!(lab.metric("tapsieve_frames_held"), 0.0);
        let ended = sensor.stop();
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stderr.contains("losses        none"), "{}", ended.stderr);
        assert!(ended.stderr.contains("every frame: 214 in"), "{}", ended.stderr);
        let how = format!("{backend}, {threads} threads, {workers} workers");
        assert_eq!(told(&lab.alerts()), replayed(), "{how}");
        let first = lab.alerts().swap_remove(0);
        assert_eq!(first["observer"]["name"], "lab");
        assert_eq!(first["tapsieve"]["observed"].get("packet"), None);
    }
}

#[test]
fn an_interface_that_goes_away_is_opened_again() {
    let Some(lab) = Lab::new() else { return };
    let sensor = lab.sensor(&feed(), TAP);
    lab.unplug();
    sensor.wait("trouble", |lab| lab.get("/readyz").contains("tap0 is gone"));
    assert_eq!(lab.metric("tapsieve_capture_interfaces_lost_total"), 1.0);
    lab.plug_in();
    sensor.wait("recovery", |lab| lab.get("/readyz") == "ready\n");
    lab.send(&capture(), &["--topspeed"]);
    sensor.wait("alert", |lab| lab.alerts().len() >= 19);
    let said = |lab: &Lab| fs::read_to_string(lab.path("errors")).unwrap_or_default();
    sensor.wait("line", |lab| said(lab).contains("over: tap0 is gone"));
    let ended = sensor.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let told = |line: &str| ended.stderr.lines().filter(|told| told.contains(line)).count();
    assert_eq!((told("not ready: tap0 is gone"), told("over: tap0 is gone")), (1, 1));
}

#[test]
fn alerts_that_no_sink_took_are_said_to_be_lost() {
    let Some(lab) = Lab::new() else { return };
    let sensor = lab.sensor(&feed(), TAP);
    lab.block_alerts();
    lab.send(&capture(), &["--topspeed"]);
    sensor.wait("waiting alert", |lab| lab.get("/readyz").contains("19 alerts wait"));
    let ended = sensor.stop();
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("alerts were lost: 19 of file"), "{}", ended.stderr);
}

#[test]
fn the_port_that_the_system_chose_is_said() {
    let Some(lab) = Lab::new() else { return };
    let more = format!("{TAP}[http]\nlisten = \"127.0.0.1:0\"\n");
    let said = lab.sensor_that_ends(&["timeout", "5"], &feed(), &more).stderr;
    let port = said.split_once("metrics at http://127.0.0.1:").and_then(|(_, rest)| {
        let (port, _) = rest.split_once("/metrics")?;
        port.parse::<u16>().ok()
    });
    assert!(port.is_some_and(|port| port > 0), "{said}");
}

#[test]
fn clients_that_misbehave_cost_the_page_nothing() {
    let Some(lab) = Lab::new() else { return };
    let sensor = lab.sensor(&feed(), TAP);
    // connections that say nothing, more than there is room for; an endless head; many requests
    let script = "exec 3<>/dev/null; for n in $(seq 100); do \
        (exec 4<>/dev/tcp/127.0.0.1/9464 && sleep 12) & done; sleep 1; \
        head -c 50000000 /dev/zero | tr '\\0' a | timeout 2 curl -s -m 2 -H @- \
        http://127.0.0.1:9464/metrics; wait";
    let flood = lab.command("bash").args(["-c", script]).spawn();
    let mut flood = flood.expect("bash runs");
    std::thread::sleep(std::time::Duration::from_secs(2));
    // though connections live ten seconds: `get` waits for five
    assert_eq!(lab.get("/healthz"), "alive\n");
    flood.wait().expect("ends");
    assert_eq!(lab.get("/readyz"), "ready\n");
    assert_eq!(sensor.stop().code, 0);
}

#[test]
fn reloads_lose_no_packet_and_no_alert() {
    let Some(lab) = Lab::new() else { return };
    let folder = lab.path("feed");
    fs::create_dir(&folder).expect("folder");
    for file in fs::read_dir(feed()).expect("feed").map(|entry| entry.expect("entry").path()) {
        fs::copy(&file, folder.join(file.file_name().expect("name"))).expect("copied");
    }
    let many = lab.path("many.txt");
    let mut list = fs::File::create(&many).expect("made");
    for n in 0..50_000 {
        writeln!(list, "host-{n}.other-world.example").expect("written");
    }
    let more = format!("{TAP}[[intel]]\npath = \"{}\"\n", many.display());
    let sensor = lab.sensor(&folder, &more);
    let mut passes = 0.0;
    // a machine that is busy elsewhere makes few sets in twenty passes
    while passes < 20.0 || lab.metric("tapsieve_indicator_set_generation") < 5.0 {
        assert!(passes < 1_000.0, "no five sets in {passes} passes: {}", sensor.said());
        sensor.signal("-HUP");
        lab.send(&capture(), &["--pps=20000"]);
        passes += 1.0;
    }
    sensor.wait("every frame", |lab| all_arrived(lab, passes * FRAMES));
    let ended = sensor.stop();
    assert!(ended.stderr.contains("losses        none"), "{}", ended.stderr);
    // the same flows over and over: each pass begins new ones where the last were closed
    let mut seen = told(&lab.alerts());
    seen.dedup();
    let mut expected = replayed();
    expected.dedup();
    assert_eq!(seen, expected);
}

#[test]
fn a_feed_of_garbage_changes_nothing() {
    let Some(lab) = Lab::new() else { return };
    let list = lab.path("list.txt");
    fs::write(&list, "30.44.10.10\n30.44.20.0/24\nfake-updates.example\n").expect("written");
    let more = format!("{TAP}[indicators]\nwatch_secs = 1\n");
    let sensor = lab.sensor(&list, &more);
    let refused = |lab: &Lab, reason: &str| {
        lab.metric(&format!("tapsieve_indicator_sets_refused_total{{reason=\"{reason}\"}}"))
    };
    put(&list, "\u{0}\u{1}garbage");
    sensor.wait("refusal", |lab| refused(lab, "unusable") >= 1.0);
    put(&list, "30.44.10.10\n");
    sensor.wait("refusal", |lab| refused(lab, "implausible") >= 1.0);
    assert_eq!(lab.metric("tapsieve_indicator_set_generation"), 0.0);
    lab.send(&capture(), &["--topspeed"]);
    sensor.wait("alert", |lab| lab.alerts().len() >= 5);
    // a pipe in its place would be waited for, for ever
    let pipe = lab.path("pipe");
    lab.shell(&format!("mkfifo {}", pipe.display()));
    fs::rename(&pipe, &list).expect("renamed");
    sensor.wait("refusal", |lab| refused(lab, "unusable") >= 2.0);
    put(&list, "30.44.10.10\n30.44.20.0/24\nfake-updates.example\n203.0.114.7\n");
    sensor.wait("new set", |lab| lab.metric("tapsieve_indicator_set_generation") >= 1.0);
}

#[test]
fn what_it_says_is_json_where_asked() {
    let Some(lab) = Lab::new() else { return };
    let sensor = lab.sensor(&feed(), &format!("{TAP}[log]\nformat = \"json\"\n"));
    sensor.signal("-HUP");
    sensor.wait("set", |lab| lab.metric("tapsieve_indicator_set_generation") == 1.0);
    let feeds = lab.get("/metrics");
    let fresh = feeds
        .lines()
        .any(|line| line.starts_with("tapsieve_intel_last_success_timestamp_seconds{feed=\""));
    assert!(fresh && feeds.contains("reason=\"unusable\"} 0"), "{feeds}");
    let ended = sensor.stop();
    let lines: Vec<Value> = ended
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    assert!(lines.len() >= 5, "{}", ended.stderr);
    for line in &lines {
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
    }
    let said = |message: &str| lines.iter().find(|line| line["message"] == message);
    let set = said("another set is in force").expect("told");
    assert!(set["indicators"].as_u64().is_some_and(|n| n > 10), "{set}");
    assert_eq!(said("stopped").expect("told")["packets"], 0);
}

#[test]
fn alerts_wait_for_a_sink_that_is_gone() {
    let Some(lab) = Lab::new() else { return };
    let sensor = lab.sensor(&feed(), TAP);
    lab.block_alerts();
    lab.send(&capture(), &["--topspeed"]);
    let waiting = "tapsieve_sink_alerts_waiting{sink=\"file\"}";
    sensor.wait("waiting alert", |lab| lab.metric(waiting) >= 19.0);
    sensor.wait("trouble", |lab| lab.get("/readyz").contains("19 alerts wait"));
    fs::remove_dir(lab.path("alerts")).expect("removed");
    sensor.wait("alert", |lab| lab.alerts().len() >= 19);
    sensor.wait("readiness", |lab| lab.get("/readyz") == "ready\n");
    assert_eq!(told(&lab.alerts()), replayed());
    assert_eq!(sensor.stop().code, 0);
}

#[test]
fn a_full_disk_costs_no_alert() {
    let Some(lab) = Lab::new() else { return };
    let Some(disk) = lab.small_disk() else { return };
    let path = disk.join("alerts");
    let more = format!("{TAP}[[sink]]\ntype = \"file\"\npath = \"{}\"\n", path.display());
    let sensor = lab.sensor(&feed(), &more);
    let filler = disk.join("filler");
    let _until_it_is_full = fs::write(&filler, vec![0; 1 << 20]);
    lab.send(&capture(), &["--topspeed"]);
    // the other sink, on another disk, has them all
    sensor.wait("alert", |lab| lab.alerts().len() >= 19);
    sensor.wait("trouble", |lab| lab.get("/readyz").contains("No space left"));
    let torn = fs::read_to_string(&path).expect("there");
    assert!(torn.is_empty() || torn.ends_with('\n'), "{torn}");
    fs::remove_file(&filler).expect("removed");
    let waiting = "tapsieve_sink_alerts_waiting{sink=";
    sensor.wait("delivery", |lab| {
        let page = lab.get("/metrics");
        let mut counts = page.lines().filter(|line| line.starts_with(waiting)).peekable();
        counts.peek().is_some() && counts.all(|line| line.ends_with("} 0"))
    });
    sensor.wait("readiness", |lab| lab.get("/readyz") == "ready\n");
    let (here, there) = (fs::read_to_string(&path), fs::read_to_string(lab.path("alerts")));
    assert_eq!(here.expect("there"), there.expect("there"));
}

#[test]
fn a_killed_sensor_leaves_whole_lines_and_goes_on() {
    let Some(lab) = Lab::new() else { return };
    let sensor = lab.sensor(&feed(), TAP);
    lab.send(&capture(), &["--topspeed"]);
    sensor.wait("alert", |lab| !lab.alerts().is_empty());
    sensor.kill();
    let left = lab.alerts().len();
    let half = b"{\"@timestamp\":\"half";
    let torn = fs::read(lab.path("alerts")).expect("there");
    let torn = torn.iter().rev().take_while(|byte| **byte != b'\n').count() + half.len();
    fs::OpenOptions::new()
        .append(true)
        .open(lab.path("alerts"))
        .and_then(|mut file| file.write_all(half))
        .expect("written");
    let sensor = lab.sensor(&feed(), TAP);
    lab.send(&capture(), &["--topspeed"]);
    sensor.wait("alert", |lab| lab.alerts().len() >= left + 19);
    let ended = sensor.stop();
    let line = format!("cut {torn} bytes of a half-written alert");
    assert!(ended.stderr.contains(&line), "no {line}: {}", ended.stderr);
}

#[test]
fn a_wrong_configuration_is_told_whole_and_opens_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("wrong.toml");
    fs::write(&path, "[sensr]\nname = 1\n[[capture]]\nthreads = 99\n").expect("written");
    for arguments in [&["sensor", "--check"][..], &["sensor"]] {
        let arguments = [arguments, &["--config", "wrong.toml"]].concat();
        let told = run(folder.path(), &arguments);
        assert_eq!(told.code, 2, "{}", told.stderr);
        for line in ["wrong.toml:1:2: unknown key `sensr`", "wrong.toml:4:11: threads: a whole"] {
            assert!(told.stderr.contains(line), "{}", told.stderr);
        }
    }
    assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 1);
    let none = run(folder.path(), &["sensor", "--config", "none.toml"]);
    assert_eq!(none.code, 2, "{}", none.stderr);
}

#[test]
fn a_flow_that_was_open_before_its_indicator_alerts() {
    let Some(lab) = Lab::new() else { return };
    let bytes = fs::read(capture()).expect("capture");
    let frames = frames(&bytes);
    // amid the first connection to 30.44.10.10
    let part = |name: &str, frames: &[FrameOf]| {
        let records = frames.iter().map(|frame| frame.record.as_slice());
        let all: Vec<&[u8]> = std::iter::once(&bytes[..24]).chain(records).collect();
        fs::write(lab.path(name), all.concat()).expect("written");
        lab.path(name)
    };
    let (first, rest) = (part("first", &frames[..11]), part("rest", &frames[11..14]));
    let list = lab.path("list.txt");
    fs::write(&list, "203.0.114.7\n203.0.114.8\n").expect("written");
    let sensor = lab.sensor(&list, TAP);
    lab.send(&first, &["--topspeed"]);
    sensor.wait("first part", |lab| all_arrived(lab, 11.0));
    assert!(lab.alerts().is_empty());
    fs::write(&list, "203.0.114.7\n30.44.10.10\n").expect("written");
    sensor.signal("-HUP");
    sensor.wait("new set", |lab| lab.metric("tapsieve_indicator_set_generation") == 1.0);
    lab.send(&rest, &["--topspeed"]);
    sensor.wait("alert", |lab| !lab.alerts().is_empty());
    sensor.signal("-HUP");
    sensor.wait("new set", |lab| lab.metric("tapsieve_indicator_set_generation") == 2.0);
    lab.send(&rest, &["--topspeed"]);
    sensor.wait("last part", |lab| all_arrived(lab, 17.0));
    sensor.stop();
    // once, although it was matched again
    let alerts = lab.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0]["tapsieve"]["late"], true);
    assert_eq!(alerts[0]["tapsieve"]["indicator"]["value"], "30.44.10.10");
}

#[test]
fn a_real_prometheus_scrapes_it_and_its_rules_hold() {
    let Some(lab) = Lab::new() else { return };
    if !["promtool", "prometheus"].iter().all(|program| has_program(program)) {
        return;
    }
    let deployed = root().join("deploy/prometheus");
    let rules = fs::read_to_string(deployed.join("tapsieve.rules.yml")).expect("rules");
    fs::write(lab.path("tapsieve.rules.yml"), &rules).expect("written");
    let config = fs::read_to_string(deployed.join("prometheus.yml")).expect("configuration");
    fs::write(lab.path("prometheus.yml"), &config).expect("written");
    lab.shell(&format!("promtool check config {}", lab.path("prometheus.yml").display()));
    let sensor = lab.sensor(&feed(), TAP);
    lab.send(&capture(), &["--topspeed"]);
    sensor.wait("alert", |lab| lab.alerts().len() >= 19);
    lab.shell("curl -s http://127.0.0.1:9464/metrics | promtool check metrics");
    let _prometheus = lab.prometheus(&config);
    sensor.wait("scrape", |lab| lab.value("tapsieve_ready").as_deref() == Some("1"));
    assert_eq!(lab.value("up").as_deref(), Some("1"));
    sensor.wait("count", |lab| lab.value("sum(tapsieve_alerts_total)").as_deref() == Some("19"));
    // every expression of the rules names metrics that are there
    for metric in rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        if metric.starts_with("tapsieve_") && !metric.contains("sets_refused") {
            let count = format!("count({metric})");
            assert!(lab.value(&count).is_some(), "{metric} is no metric");
        }
    }
}

#[test]
fn a_check_finds_what_a_start_would_stumble_over() {
    let folder = tempfile::tempdir().expect("folder");
    let is_root = nix::unistd::Uid::effective().is_root();
    fs::write(folder.path().join("list"), "evil.example\n").expect("written");
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(folder.path().join("list"), own).expect("set");
    fs::write(folder.path().join("garbage"), "\u{0}\u{1}").expect("written");
    // of a configuration that is sound, one thing at a time: what, instead of what, what is said
    let sound = "[[capture]]\ninterface = \"lo\"\n[[intel]]\npath = \"list\"\n[[sink]]\n\
        type = \"file\"\npath = \"alerts\"\n[drop]\nuser = \"\"\n";
    let check = |from: &str, to: &str, code: i32, says: &str| {
        let text = sound.replacen(from, to, 1);
        fs::write(folder.path().join("t.toml"), &text).expect("written");
        let told = run(folder.path(), &["sensor", "--check", "--config", "t.toml"]);
        assert_eq!(told.code, code, "{text}: {}", told.stderr);
        assert!(told.stderr.contains(says), "no {says}: {}", told.stderr);
    };
    check("", "", 0, "");
    check("[drop]", "[spool]\npath = \"no/ne\"\n[drop]", 0, "");
    check("\"lo\"", "\"none0\"", 0, "[[capture]] interface: no `none0` is here now");
    let canary = "[canary]\ninterval_secs = 60\ninterface = \"none1\"\n[drop]";
    check("[drop]", canary, 0, "[canary] interface: no `none1` is here now");
    let long = format!("\"lo\"\nfilter = \"{}\"", vec!["port 53"; 300].join(" or "));
    let to_lo = |more: &str| format!("\"lo\"\n{more}");
    let wrong: &[(&str, &str, &str)] = &[
        ("\"lo\"", "\"interface-of-16b\"", "t.toml:2:13: interface: an interface's name has"),
        ("\"lo\"", "\"a/b\"", "t.toml:2:13: interface: an interface's name has"),
        ("\"lo\"", "\"a b\"", "t.toml:2:13: interface: an interface's name has"),
        ("\"lo\"", "\"a\\u0000b\"", "t.toml:2:13: interface: a control character"),
        ("\"lo\"", &long, "t.toml:3:10: filter: "),
        ("\"lo\"", &to_lo("filter = \"porrt\""), "t.toml:3:10: filter: "),
        ("\"lo\"", &to_lo("cpus = [1000]"), "t.toml: [[capture]] lo cpus: no CPU 1000 is here"),
        ("[drop]", "[workers]\ncpus = [1000]\n[drop]", "t.toml: [workers] cpus: no CPU 1000"),
        ("[drop]", "[drop]\nread = [\"none\"]", "t.toml: [drop] read: none: No such file"),
        ("\"list\"", "\"none\"", "t.toml: [[intel]] path: none: no such file or folder"),
        ("\"list\"", "\"garbage\"", "t.toml: [[intel]]: "),
        ("\"alerts\"", "\"none/alerts\"", "t.toml: [[sink]] file path: none: no such folder"),
        ("\"alerts\"", "\".\"", "t.toml: [[sink]] file path: .: a folder: name a file in it"),
        ("[drop]", "[spool]\npath = \"list\"\n[drop]", "t.toml: [spool] path: list: no folder"),
    ];
    for (from, to, says) in wrong {
        check(from, to, 2, says);
    }
    if is_root {
        check("user = \"\"", "user = \"none-such\"", 2, "user `none-such`: this host has none");
        // folder and list are root's
        check("user = \"\"", "user = \"nobody\"", 2, "[[sink]] file path: .: nobody cannot write");
        check("user = \"\"", "user = \"nobody\"", 2, "list: nobody cannot read it");
    }
    assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 3);
}

#[test]
fn an_interface_that_is_down_is_opened_when_it_is_up() {
    let Some(lab) = Lab::new() else { return };
    for backend in ["afpacket", "pcap"] {
        lab.shell("ip link set tap0 down");
        let _none_yet = fs::remove_file(lab.path("alerts"));
        let sensor = lab.sensor(&feed(), &format!("{TAP}backend = \"{backend}\"\nthreads = 2\n"));
        sensor.wait("trouble", |lab| lab.get("/readyz") == "tap0 is down\n");
        lab.shell("ip link set tap0 up");
        sensor.wait("readiness", |lab| lab.get("/readyz") == "ready\n");
        lab.send(&capture(), &["--topspeed"]);
        sensor.wait("alert", |lab| lab.alerts().len() >= 19);
        assert_eq!(told(&lab.alerts()), replayed());
        assert_eq!(sensor.stop().code, 0);
    }
    // without the capability it could not be opened later
    lab.shell("ip link set tap0 down");
    let more = format!("{TAP}[drop]\nuser = \"nobody\"\nkeep_net_raw = false\n");
    let ended = lab.sensor_that_ends(&[], &feed(), &more);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot capture on tap0"), "{}", ended.stderr);
}

#[test]
fn a_set_that_is_refused_is_told_as_long_as_it_is() {
    let Some(lab) = Lab::new() else { return };
    let list = lab.path("list.txt");
    let whole = "30.44.10.10\n30.44.20.0/24\nfake-updates.example\n";
    fs::write(&list, whole).expect("written");
    let sensor = lab.sensor(&list, &format!("{TAP}[indicators]\nwatch_secs = 1\n"));
    put(&list, "30.44.10.10\n");
    let warning = "ready\nwarning: new indicators are refused, the last good ones are in force";
    sensor.wait("warning", |lab| lab.get("/readyz").starts_with(warning));
    assert!(lab.get("/readyz").contains("restart the sensor"), "{}", lab.get("/readyz"));
    assert_eq!(lab.metric("tapsieve_ready"), 1.0);
    assert!(lab.metric("tapsieve_indicator_set_refused_seconds") > 0.0);
    fs::remove_file(&list).expect("there");
    sensor.wait("warning", |lab| lab.get("/readyz").contains("No such file"));
    fs::write(&list, whole).expect("written");
    sensor.wait("readiness", |lab| lab.get("/readyz") == "ready\n");
    assert_eq!(lab.metric("tapsieve_indicator_set_refused_seconds"), 0.0);
}
