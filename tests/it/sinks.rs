//! Sinks of a live sensor and their peers, which die, hang, fill up and come back: no alert is lost
//! that was given, none is torn, and the books are right all the while.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde_json::Value;

use crate::lab::Lab;
use crate::lab::Sensor;
use crate::lab::capture;
use crate::lab::feed;
use crate::run::Beside;
use crate::run::has_program;

const TAP: &str = "[[capture]]\ninterface = \"tap0\"\nring_mebibytes = 16\n[workers]\ncount = 1\n";

/// Listens at `unix:PATH` or `tcp:PORT`; writes whole lines to a file as they come, or reads
/// nothing.
const LISTENER: &str = r#"
import os, select, socket, sys
at, out, mode = sys.argv[1:4]
kind, place = at.split(":", 1)
if kind == "unix":
    if os.path.exists(place): os.unlink(place)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    # the sensor is not who runs this
    os.chmod(place, 0o666)
else:
    listener = socket.socket(socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(place)))
listener.listen()
out = os.open(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
halves = {}
while True:
    ready, _, _ = select.select([listener] + (list(halves) if mode == "reads" else []), [], [])
    for one in ready:
        if one is listener:
            halves[listener.accept()[0]] = b""
            continue
        try: got = one.recv(65536)
        except ConnectionError: got = b""
        whole, end, half = (halves[one] + got).rpartition(b"\n")
        os.write(out, whole + end)
        halves[one] = half
        if not got: del halves[one]
"#;

fn listener(lab: &Lab, at: &str, mode: &str) -> Beside {
    let out = lab.path("received");
    let arguments = ["-c", LISTENER, at, &out.display().to_string(), mode];
    let mut command = lab.command("python3");
    Beside(command.args(arguments).stderr(Stdio::null()).spawn().expect("python3 runs"))
}

/// The ids of alerts in a file; every line is an alert, but the one that is being written.
fn ids(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let id = |line: &str| {
        let alert: Value = serde_json::from_str(line).expect("an alert");
        alert["event"]["id"].as_str().expect("an id").to_owned()
    };
    whole_lines(&text).map(id).collect()
}

/// The lines of a text, without what follows the last line end.
fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    text[..text.rfind('\n').map_or(0, |end| end + 1)].lines()
}

/// A sink's counts, all of one moment; checks that they add up.
struct Books {
    delivered: f64,
    waiting: f64,
    lost: f64,
    spooled: f64,
    resent: f64,
    /// Waited in the spool when the sensor began.
    found: f64,
}

fn books(lab: &Lab, sink: &str) -> Option<Books> {
    let page = lab.get("/metrics");
    let of = |metric: &str, more: &str| -> Option<f64> {
        let series = format!("tapsieve_{metric}{{{more}sink=\"{sink}\"}}");
        page.lines().find_map(|line| line.strip_prefix(&series)?.trim().parse().ok())
    };
    let books = Books {
        delivered: of("sink_alerts_total", "outcome=\"delivered\",")?,
        lost: of("sink_alerts_total", "outcome=\"lost\",")?,
        waiting: of("sink_alerts_waiting", "")?,
        spooled: of("sink_spool_alerts", "")?,
        resent: of("sink_alerts_resent_total", "")?,
        found: of("sink_spool_alerts_at_start", "")?,
    };
    let given = of("sink_alerts_given_total", "")? + books.found;
    assert_eq!(given, books.delivered + books.lost + books.waiting, "{page}");
    Some(books)
}

fn has(lab: &Lab, sink: &str, is_so: impl Fn(&Books) -> bool) -> bool {
    books(lab, sink).is_some_and(|books| is_so(&books))
}

/// Waits until all frames and alerts have come through to the lab's own file and to a sink.
fn settle(sensor: &Sensor<'_>, frames: f64, sink: &str) {
    sensor.wait("every frame", |lab| {
        lab.metric("tapsieve_capture_packets_total{source=\"live\"}") >= frames
    });
    sensor.wait("every alert", |lab| {
        has(lab, sink, |books| books.waiting == 0.0)
            && has(lab, "file", |books| books.waiting == 0.0)
    });
}

fn with_spool(lab: &Lab, sink: &str) -> String {
    let spool = lab.path("spool");
    format!("{TAP}[[sink]]\n{sink}\n[spool]\npath = \"{}\"\nmebibytes = 64\n", spool.display())
}

fn both_streams(lab: &Lab) -> [(&'static str, String, String); 2] {
    let socket = lab.path("socket").display().to_string();
    let unix = format!("type = \"unix\"\npath = \"{socket}\"");
    let tcp = "type = \"tcp\"\naddress = \"127.0.0.1:5170\"".to_owned();
    [("unix", unix, format!("unix:{socket}")), ("tcp", tcp, "tcp:5170".to_owned())]
}

/// Runs a test with each kind of socket: in a lab without alerts, with the socket's name and place
/// and a configuration of it.
fn with_each_stream(test: impl Fn(&Lab, &str, &str, &str)) {
    let Some(lab) = Lab::new() else { return };
    if !has_program("python3") {
        return;
    }
    for (name, sink, at) in both_streams(&lab) {
        for file in ["alerts", "received"] {
            let _none_yet = fs::remove_file(lab.path(file));
        }
        test(&lab, name, &at, &with_spool(&lab, &sink));
    }
}

/// Frames of the demo's capture.
const FRAMES: f64 = 214.0;

#[test]
fn a_listener_that_is_killed_again_and_again_gets_all() {
    with_each_stream(|lab, name, at, config| {
        let sensor = lab.sensor(&feed(), config);
        sensor.wait("trouble", |lab| lab.get("/readyz").contains("cannot send to"));
        let flowing = lab.traffic(100, 5_000);
        for round in 1..=3 {
            let received = |lab: &Lab| fs::metadata(lab.path("received")).map_or(0, |a| a.len());
            let before = received(lab);
            let beside = listener(lab, at, "reads");
            sensor.wait("delivery", |lab| received(lab) > before && books(lab, name).is_some());
            std::thread::sleep(Duration::from_millis(100 * round));
            // SIGKILL
            drop(beside);
        }
        let _last = listener(lab, at, "reads");
        settle(&sensor, 100.0 * FRAMES, name);
        sensor.wait("the union", |lab| ids(&lab.path("received")) == ids(&lab.path("alerts")));
        drop(flowing);
        let reconnects = format!("tapsieve_sink_reconnects_total{{sink=\"{name}\"}}");
        sensor.wait("count", |lab| lab.metric(&reconnects) >= 3.0);
        let ended = sensor.stop();
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ids(&lab.path("alerts")).len() > 100);
    });
}

#[test]
fn a_peer_that_never_reads_costs_no_packet_and_no_alert() {
    with_each_stream(|lab, name, at, config| {
        let deaf = listener(lab, at, "deaf");
        let sensor = lab.sensor(&feed(), config);
        // more than the kernel's buffers take for a peer
        let mut flowing = lab.traffic(400, 20_000);
        sensor.wait("spool", |lab| has(lab, name, |books| books.spooled > 100.0));
        sensor.wait("trouble", |lab| lab.get("/readyz").contains("it does not read"));
        flowing.0.wait().expect("ends");
        // the other sink has them all meanwhile
        sensor.wait("every frame", |lab| {
            lab.metric("tapsieve_capture_packets_total{source=\"live\"}") == 400.0 * FRAMES
        });
        sensor.wait("other sink", |lab| has(lab, "file", |books| books.waiting == 0.0));
        assert!(has(lab, name, |books| books.waiting > 100.0 && books.lost == 0.0));
        drop(deaf);
        let _reads = listener(lab, at, "reads");
        settle(&sensor, 400.0 * FRAMES, name);
        sensor.wait("the union", |lab| ids(&lab.path("received")) == ids(&lab.path("alerts")));
        sensor.wait("an empty spool", |lab| {
            has(lab, name, |books| books.resent > 0.0 && books.spooled == 0.0)
        });
        let ended = sensor.stop();
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stderr.contains("losses        none"), "{}", ended.stderr);
    });
}

#[test]
fn a_full_disk_fills_the_spool_on_another_and_a_restart_goes_on() {
    let Some(lab) = Lab::new() else { return };
    let Some(disk) = lab.small_disk() else { return };
    let path = disk.join("alerts");
    let sink = format!("type = \"file\"\nname = \"small\"\npath = \"{}\"", path.display());
    let sensor = lab.sensor(&feed(), &with_spool(&lab, &sink));
    let filler = disk.join("filler");
    let _until_it_is_full = fs::write(&filler, vec![0; 1 << 20]);
    lab.send(&capture(), &["--topspeed"]);
    sensor.wait("spool", |lab| has(lab, "small", |books| books.spooled >= 19.0));
    assert!(lab.get("/readyz").contains("No space left"), "{}", lab.get("/readyz"));
    let ended = sensor.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let line = "alerts wait for the next start: 19 for small in ";
    assert!(ended.stderr.contains(line), "{}", ended.stderr);
    let sensor = lab.sensor(&feed(), &with_spool(&lab, &sink));
    sensor.wait("what waits", |lab| has(lab, "small", |books| books.waiting == 19.0));
    fs::remove_file(&filler).expect("removed");
    sensor.wait("delivery", |lab| has(lab, "small", |books| books.delivered == 19.0));
    sensor.wait("readiness", |lab| lab.get("/readyz") == "ready\n");
    assert_eq!(sensor.stop().code, 0);
    assert_eq!(fs::read(&path).expect("there"), fs::read(lab.path("alerts")).expect("there"));
}

#[test]
fn a_spool_whose_disk_is_full_leaves_alerts_in_memory() {
    let Some(lab) = Lab::new() else { return };
    let Some(disk) = lab.small_disk() else { return };
    if !has_program("python3") {
        return;
    }
    let (name, sink, at) = &both_streams(&lab)[0];
    let more = format!("{TAP}[[sink]]\n{sink}\n[spool]\npath = \"{}\"\n", disk.display());
    let sensor = lab.sensor(&feed(), &more);
    let _until_it_is_full = fs::write(disk.join("filler"), vec![0; 1 << 20]);
    lab.send(&capture(), &["--topspeed"]);
    sensor.wait("trouble", |lab| {
        let page = lab.get("/readyz");
        page.contains("the spool ") && page.contains("cannot be written: No space left")
    });
    sensor.wait("all", |lab| has(lab, name, |books| books.waiting == 19.0 && books.spooled == 0.0));
    let _reads = listener(&lab, at, "reads");
    sensor.wait("delivery", |lab| has(lab, name, |books| books.delivered == 19.0));
    sensor.wait("readiness", |lab| lab.get("/readyz") == "ready\n");
    assert_eq!(sensor.stop().code, 0);
    assert_eq!(ids(&lab.path("received")), ids(&lab.path("alerts")));
}

#[test]
fn a_spool_survives_a_kill_and_a_torn_segment() {
    let Some(lab) = Lab::new() else { return };
    if !has_program("python3") {
        return;
    }
    let (name, sink, at) = &both_streams(&lab)[1];
    let sensor = lab.sensor(&feed(), &with_spool(&lab, sink));
    lab.send(&capture(), &["--topspeed"]);
    sensor.wait("spool", |lab| has(lab, name, |books| books.spooled >= 19.0));
    sensor.kill();
    let segments = fs::read_dir(lab.path("spool").join(name)).expect("spool");
    let segments: Vec<PathBuf> = segments.map(|entry| entry.expect("entry").path()).collect();
    let last = segments.iter().filter(|path| path.extension().is_some()).max().expect("one");
    let mut last = fs::OpenOptions::new().append(true).open(last).expect("opened");
    last.write_all(b"{\"@timestamp\":\"half").expect("written");
    let sensor = lab.sensor(&feed(), &with_spool(&lab, sink));
    let said = fs::read_to_string(lab.path("errors")).expect("there");
    assert!(said.contains("cut 19 bytes of a half-written alert"), "{said}");
    assert!(said.contains("19 alerts wait for tcp since last time"), "{said}");
    let _reads = listener(&lab, at, "reads");
    sensor.wait("delivery", |lab| has(lab, name, |books| books.delivered == 19.0));
    sensor.wait("alerts", |lab| ids(&lab.path("received")).len() == 19);
    assert_eq!(sensor.stop().code, 0);
    assert_eq!(ids(&lab.path("received")), ids(&lab.path("alerts")));
}

#[test]
fn what_a_failed_sync_may_have_lost_is_written_again() {
    let Some(lab) = Lab::new() else { return };
    if !has_program("strace") {
        return;
    }
    let path = lab.path("trace").display().to_string();
    let calls = ["-D", "-f", "-o", &path, "-e", "trace=fdatasync,pwrite64"];
    // the first sync of each thread
    let by = [&["strace"], &calls[..], &["-e", "inject=fdatasync:error=EIO:when=1"]].concat();
    let sink = &both_streams(&lab)[1].1;
    let sensor = lab.sensor_behind(&by, &feed(), &with_spool(&lab, sink));
    lab.send(&capture(), &["--topspeed"]);
    // the file's, and that of the spool of whom nobody listens to
    let by_thread = |_: &Lab| {
        let mut by_thread = BTreeMap::<String, String>::new();
        for line in fs::read_to_string(&path).unwrap_or_default().lines() {
            let Some((thread, call)) = line.split_once(' ') else { continue };
            let word = match call.trim_start() {
                call if call.contains("EIO") => "failed ",
                call if call.starts_with("pwrite64(") && call.contains("timestamp") => "again ",
                call if call.starts_with("fdatasync(") && call.ends_with("= 0") => "synced ",
                _ => continue,
            };
            by_thread.entry(thread.to_owned()).or_default().push_str(word);
        }
        by_thread
    };
    let mended = |lab: &Lab| {
        let all = by_thread(lab);
        all.values().filter(|did| did.starts_with("failed again synced ")).count() == 2
    };
    sensor.wait("sync", mended);
    assert_eq!(by_thread(&lab).len(), 2, "{:?}", by_thread(&lab));
    sensor.wait("spool", |lab| has(lab, "tcp", |books| books.spooled == 19.0));
    sensor.wait("file", |lab| has(lab, "file", |books| books.delivered == 19.0));
    assert_eq!(sensor.stop().code, 0);
    assert_eq!(ids(&lab.path("alerts")).len(), 19);
}

/// Numbers that a seed gives (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "the seed is said aloud")]
fn a_sensor_killed_at_any_moment_tears_no_line_and_loses_nothing_delivered() {
    let Some(lab) = Lab::new() else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let given = std::env::var("TAPSIEVE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or(u64::try_from(now.as_nanos()).expect("before 2554"));
    eprintln!("TAPSIEVE_SEED={seed}");
    let mut random = Random(seed);
    let path = lab.path("small");
    let sink = format!(
        "type = \"file\"\nname = \"rolling\"\npath = \"{}\"\nrotate_mebibytes = 1\nkeep = 1000",
        path.display()
    );
    let _flowing = lab.traffic(100_000, 20_000);
    let mut before = BTreeSet::new();
    for round in 0..10 {
        let sensor = lab.sensor(&feed(), &with_spool(&lab, &sink));
        // begun with what the last left, mended
        let left = ids(&path);
        sensor.wait("delivery", |lab| has(lab, "rolling", |books| books.delivered > 0.0));
        std::thread::sleep(Duration::from_millis(random.below(1_500)));
        let books = books(&lab, "rolling").expect("a page");
        // what the last had delivered, but not yet struck off its spool, comes again
        let delivered = books.delivered - books.found;
        let waited = random.below(30);
        std::thread::sleep(Duration::from_millis(waited));
        sensor.kill();
        let all = all_whole_lines(&lab, "small");
        assert!(left.is_subset(&all) && before.is_subset(&all), "round {round}: lost");
        let new = all.len() - before.len();
        assert!(new as f64 >= delivered, "round {round}: {new} new, {delivered} delivered");
        before = all;
    }
    let sensor = lab.sensor(&feed(), &with_spool(&lab, &sink));
    assert!(before.is_subset(&all_whole_lines(&lab, "small")));
    ids(&path);
    sensor.stop();
}

/// The ids in all files whose names begin so; what follows the last line end of a killed writer is
/// not read.
fn all_whole_lines(lab: &Lab, name: &str) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(lab.folder.path()).expect("folder") {
        let path = entry.expect("entry").path();
        if path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)) {
            let text = fs::read_to_string(&path).expect("text");
            for line in whole_lines(&text) {
                let alert: Value = serde_json::from_str(line).expect("an alert");
                all.insert(alert["event"]["id"].as_str().expect("an id").to_owned());
            }
        }
    }
    all
}

#[test]
fn a_file_that_is_moved_away_is_opened_anew_at_sighup() {
    let Some(lab) = Lab::new() else { return };
    let sensor = lab.sensor(&feed(), TAP);
    lab.send(&capture(), &["--topspeed"]);
    sensor.wait("alert", |lab| lab.alerts().len() >= 19);
    fs::rename(lab.path("alerts"), lab.path("alerts.1")).expect("moved");
    sensor.signal("-HUP");
    // before any other alert
    sensor.wait("a new file", |lab| lab.path("alerts").exists());
    assert_eq!(ids(&lab.path("alerts.1")).len(), 19);
    lab.send(&capture(), &["--topspeed"]);
    sensor.wait("alert", |lab| !lab.alerts().is_empty());
    assert_eq!(sensor.stop().code, 0);
    assert!(ids(&lab.path("alerts.1")).is_disjoint(&ids(&lab.path("alerts"))));
}

#[test]
fn a_real_logrotate_rotates_and_no_alert_is_lost() {
    let Some(lab) = Lab::new() else { return };
    if !has_program("logrotate") {
        return;
    }
    let all = "[[sink]]\ntype = \"file\"\nname = \"all\"\npath = ";
    let more = format!("{TAP}{all}\"{}\"\n", lab.path("whole").display());
    let sensor = lab.sensor(&feed(), &more);
    let script = format!(
        "\"{}\" {{\n size 1\n rotate 50\n missingok\n postrotate\n kill -HUP {}\n endscript\n}}\n",
        lab.path("alerts").display(),
        sensor.pid()
    );
    fs::write(lab.path("rotate.conf"), script).expect("written");
    let folder = lab.folder.path().display();
    let flowing = lab.traffic(100_000, 5_000);
    for _ in 0..8 {
        sensor.wait("alert", |lab| !lab.alerts().is_empty());
        lab.shell(&format!("logrotate -f -s {folder}/rotate.state {folder}/rotate.conf"));
    }
    drop(flowing);
    settle(&sensor, lab.received(), "all");
    assert_eq!(sensor.stop().code, 0);
    assert!(lab.path("alerts.8").exists());
    assert_eq!(all_whole_lines(&lab, "alerts"), ids(&lab.path("whole")));
}
