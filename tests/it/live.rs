//! Capture on real interfaces, by both backends: what is sent is what a replay sees, and all of it
//! is accounted for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use crate::golden::Case;
use crate::golden::cases;
use crate::golden::strs;
use crate::lab::Lab;
use crate::lab::Sensor;
use crate::lab::capture;
use crate::lab::feed;
use crate::run::corpus;
use crate::run::has_program;
use crate::run::run;
use crate::sensor::told;

pub(crate) const BACKENDS: [&str; 2] = ["afpacket", "pcap"];

/// A `[[capture]]` of the lab's interface, by a backend.
pub(crate) fn tap(backend: &str, ring_mebibytes: u32) -> String {
    format!(
        "[[capture]]\ninterface = \"tap0\"\nbackend = \"{backend}\"\n\
         ring_mebibytes = {ring_mebibytes}\n"
    )
}

/// Frames of a pcap file, told by its records.
fn frames(capture: &Path) -> usize {
    crate::same::frames(&fs::read(capture).expect("capture")).len()
}

/// Whether a file is a classic pcap of whole Ethernet frames, small enough to be sent.
fn can_be_sent(path: &Path) -> bool {
    let Ok(bytes) = fs::read(path) else { return false };
    let head = bytes.get(..24).unwrap_or_default();
    let is_ethernet = head.starts_with(&[0xd4, 0xc3, 0xb2, 0xa1]) && head[20..] == [1, 0, 0, 0];
    let mut at = 24;
    while is_ethernet && at < bytes.len() {
        let word = |at: usize| {
            let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
            four.map_or(u32::MAX, u32::from_le_bytes)
        };
        let (kept, whole) = (word(at + 8), word(at + 12));
        // what is shorter than an Ethernet header, or longer than the veth takes, is not sent
        if kept != whole || !(14..=9_000).contains(&kept) {
            return false;
        }
        at += 16 + kept as usize;
    }
    is_ethernet && at == bytes.len() && at > 24 && at < 300_000
}

/// Who alerted on what, each once: flows that were far apart in the capture are one when it is sent
/// at once.
fn once(alerts: &[Value]) -> BTreeSet<String> {
    let vlan = |alert: &Value| alert["network"]["vlan"].to_string();
    let told = alerts.iter().map(|alert| told(std::slice::from_ref(alert)).concat() + &vlan(alert));
    told.collect()
}

/// Indicators for everything that a capture shows.
fn indicators(capture: &Path) -> String {
    let shown = run(Path::new("."), &["observe", &capture.display().to_string()]);
    let mut rows = BTreeSet::new();
    for seen in shown.lines() {
        let kind = match seen["kind"].as_str().unwrap_or_default() {
            "dns_query" | "tls_sni" | "http_host" | "cert_name" => "hostname",
            "dns_answer" => "ip-dst",
            "ja3" => "ja3-fingerprint-md5",
            "cert_sha1" => "x509-fingerprint-sha1",
            "http_url" => "url",
            _ => continue,
        };
        let value = seen["value"].as_str().unwrap_or_default().replace('"', "\"\"");
        rows.insert(format!("{kind},\"{value}\"\n"));
        rows.insert(format!("ip-dst,{}\n", seen["dst"].as_str().unwrap_or_default()));
    }
    format!("type,value\n{}", rows.into_iter().collect::<String>())
}

/// Sends a capture to a sensor; returns what it alerted on.
fn sent(lab: &Lab, sensor: Sensor<'_>, capture: &Path) -> BTreeSet<String> {
    lab.send(capture, &["--topspeed"]);
    let frames = frames(capture) as f64;
    sensor.wait("every frame", |lab| {
        lab.metric("tapsieve_capture_packets_total{source=\"live\"}") >= frames
    });
    let ended = sensor.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("every frame"), "{}: {}", capture.display(), ended.stderr);
    let alerts = lab.alerts();
    fs::remove_file(lab.path("alerts")).expect("there");
    once(&alerts)
}

#[test]
fn fixtures_show_live_what_they_show_in_a_replay() {
    let Some(lab) = Lab::new() else { return };
    let mut alerts = 0;
    for (number, case) in cases().into_iter().enumerate() {
        let input = case.folder.join(&case.input);
        if !can_be_sent(&input) {
            continue;
        }
        let expected = once(&run(&case.folder, &strs(&case.arguments(&[&case.input]))).lines());
        let backend = BACKENDS[number % 2];
        let more = format!("{}[indicators]\nopt_in = [\"user-agent\"]\n", tap(backend, 16));
        let sensor = lab.sensor(&intel(&case), &more);
        assert_eq!(sent(&lab, sensor, &input), expected, "{backend}: {}", input.display());
        alerts += expected.len();
    }
    assert!(alerts > 50, "only {alerts} alerts");
}

/// The folder of a case's indicators, or the one file in it.
fn intel(case: &Case) -> PathBuf {
    case.folder.join("indicators")
}

#[test]
fn others_captures_show_live_what_they_show_in_a_replay() {
    let Some(corpus) = corpus() else { return };
    let Some(lab) = Lab::new() else { return };
    let pattern = corpus.join("*/**/*.pcap").display().to_string();
    let mut found: Vec<PathBuf> = glob::glob(&pattern).expect("pattern").flatten().collect();
    found.sort();
    found.retain(|path| can_be_sent(path));
    assert!(found.len() > 50, "only {} captures can be sent", found.len());
    let list = lab.path("list.csv");
    let mut alerts = 0;
    for (number, capture) in found.iter().step_by(found.len() / 30).enumerate() {
        let rows = indicators(capture);
        fs::write(&list, &rows).expect("written");
        if rows.lines().count() < 2 {
            continue;
        }
        let (list, path) = (list.display().to_string(), capture.display().to_string());
        let replayed = run(Path::new("."), &["replay", "--allow-special", "--intel", &list, &path]);
        let expected = once(&replayed.lines());
        let backend = BACKENDS[number % 2];
        let more = format!("{}[indicators]\nallow_special = true\n", tap(backend, 16));
        let sensor = lab.sensor(Path::new(&list), &more);
        assert_eq!(sent(&lab, sensor, capture), expected, "{backend}: {path}");
        alerts += expected.len();
    }
    assert!(alerts > 50, "only {alerts} alerts");
}

#[test]
fn what_the_ring_has_no_room_for_is_counted() {
    let Some(lab) = Lab::new() else { return };
    for backend in BACKENDS {
        let sensor = lab.sensor(&feed(), &tap(backend, 8));
        let frames = frames(&capture()) as f64;
        let passes = 400.0;
        // nobody reads meanwhile: the ring must overflow
        sensor.signal("-STOP");
        lab.send(&capture(), &["--topspeed", "--loop=400"]);
        sensor.signal("-CONT");
        let kernel = "tapsieve_capture_kernel_packets_total";
        sensor.wait("the kernel's count", |lab| lab.metric(kernel) >= passes * frames);
        assert_eq!(lab.metric(kernel), passes * frames, "{backend}");
        let read = |lab: &Lab| lab.metric("tapsieve_capture_packets_total{source=\"live\"}");
        sensor.wait("every frame", |lab| read(lab) + lab.metric(RING_FULL) >= passes * frames);
        let (live, lost) = (read(&lab), lab.metric(RING_FULL));
        assert!(live > 0.0 && lost > 0.0, "{backend}: {live} read, {lost} lost");
        assert_eq!(live + lost, passes * frames, "{backend}");
        for stage in ["kernel", "decode", "flow", "reassembly", "reporter"] {
            let unaccounted = format!("tapsieve_stage_unaccounted{{stage=\"{stage}\"}}");
            assert_eq!(lab.metric(&unaccounted), 0.0, "{backend}: {stage}");
        }
        if backend == "afpacket" {
            assert!(lab.metric("tapsieve_capture_ring_freezes_total") >= 1.0);
        }
        let ended = sensor.stop();
        assert!(ended.stderr.contains("packets dropped by the kernel"), "{}", ended.stderr);
    }
}

#[test]
fn the_books_balance_while_packets_flow() {
    let Some(lab) = Lab::new() else { return };
    let list = lab.path("list.txt");
    // named by nothing that is sent: what is found wakes the reporter by itself
    fs::write(&list, "203.0.114.7\n").expect("written");
    let passes = 100;
    let sent = (passes * frames(&capture())) as f64;
    let loops = format!("--loop={passes}");
    for backend in BACKENDS {
        let more = format!("{}threads = 2\n[workers]\ncount = 3\n", tap(backend, 16));
        let sensor = lab.sensor(&list, &more);
        // a machine that is busy elsewhere may need more than one turn to be seen moving
        let (mut turns, mut moving) = (0_u32, BTreeSet::new());
        while moving.len() < 3 && turns < 5 {
            turns += 1;
            std::thread::scope(|scope| {
                let sending = scope.spawn(|| lab.send(&capture(), &["--pps=4000", &loops]));
                while !sending.is_finished() {
                    moving.insert(check_books(&lab) as u64);
                }
            });
        }
        assert!(moving.len() >= 3, "{backend}: {moving:?}");
        let sent = f64::from(turns) * sent;
        sensor.wait("all in the books", |lab| lab.metric(DECODED) == sent);
        check_books(&lab);
        sensor.stop();
    }
}

const DECODED: &str = "tapsieve_stage_items_total{outcome=\"in\",stage=\"decode\"}";

/// Every stage's books balance; returns the frames that decoding has in them.
fn check_books(lab: &Lab) -> f64 {
    let page = lab.get("/metrics");
    let unaccounted = "tapsieve_stage_unaccounted{";
    let books: Vec<&str> = page.lines().filter(|line| line.starts_with(unaccounted)).collect();
    assert!(books.len() >= 6 && books.iter().all(|line| line.ends_with("} 0")), "{books:?}");
    let decoded = page.lines().find_map(|line| line.strip_prefix(DECODED)?.trim().parse().ok());
    decoded.expect("a count")
}

const RING_FULL: &str = "tapsieve_dropped_packets_total{reason=\"ring_full\",stage=\"kernel\"}";

#[test]
fn an_interface_goes_down_away_and_comes_back() {
    let Some(lab) = Lab::new() else { return };
    for backend in BACKENDS {
        let sensor = lab.sensor(&feed(), &tap(backend, 16));
        let seen = |lab: &Lab| lab.metric("tapsieve_capture_packets_total{source=\"live\"}");
        let frames = frames(&capture()) as f64;
        lab.send(&capture(), &["--topspeed"]);
        sensor.wait("every frame", |lab| seen(lab) == frames);
        lab.shell("ip link set tap0 down");
        sensor.wait("trouble", |lab| lab.get("/readyz").contains("tap0 is"));
        let downs = "tapsieve_interface_downs_total{interface=\"tap0\"}";
        sensor.wait("count", |lab| lab.metric(downs) >= 1.0);
        lab.shell("ip link set tap0 up");
        sensor.wait("recovery", |lab| lab.get("/readyz") == "ready\n");
        lab.send(&capture(), &["--topspeed"]);
        sensor.wait("every frame", |lab| seen(lab) == 2.0 * frames);
        // another interface of the same name, before anyone could look
        lab.unplug();
        lab.plug_in();
        let lost = "tapsieve_capture_interfaces_lost_total";
        sensor.wait("loss", |lab| lab.metric(lost) == 1.0);
        assert!(lab.metric(downs) >= 1.0);
        sensor.wait("recovery", |lab| {
            lab.metric("tapsieve_capture_handles_down") == 0.0 && lab.get("/readyz") == "ready\n"
        });
        lab.send(&capture(), &["--topspeed"]);
        sensor.wait("every frame", |lab| seen(lab) == 3.0 * frames);
        let ended = sensor.stop();
        assert_eq!(ended.code, 0, "{backend}: {}", ended.stderr);
        fs::remove_file(lab.path("alerts")).expect("there");
    }
}

#[test]
fn filters_and_snap_lengths_are_the_kernels() {
    let Some(lab) = Lab::new() else { return };
    let vlan = crate::run::root().join("fixtures/layers/vlan/input.pcap");
    for (filter, capture) in [("udp port 53", capture()), ("vlan and udp port 53", vlan)] {
        let counts = BACKENDS.map(|backend| {
            let more = format!("{}filter = \"{filter}\"\nsnap_bytes = 64\n", tap(backend, 16));
            let sensor = lab.sensor(&feed(), &more);
            lab.send(&capture, &["--topspeed"]);
            let read = "tapsieve_capture_packets_total{source=\"live\"}";
            sensor.wait("frames", |lab| lab.metric(read) > 0.0);
            let ended = sensor.stop();
            let line = |name: &str| {
                let line = ended.stderr.lines().find(|line| line.starts_with(name));
                line.map(str::to_owned).expect("a summary")
            };
            [line("packets"), line("bytes")]
        });
        assert_eq!(counts[0], counts[1], "{filter}");
        let packets = counts[0][0].split_whitespace().nth(1).and_then(|n| n.parse().ok());
        let packets: usize = packets.expect("a number");
        assert!(packets > 0 && packets < frames(&capture), "{filter}: {packets}");
    }
}

#[test]
fn frames_of_offloads_are_read_whole() {
    let Some(lab) = Lab::new() else { return };
    if !has_program("python3") {
        return;
    }
    // both ends in one namespace would talk over loopback: the far end is in another
    let far = lab.second_namespace();
    let size = 4 << 20;
    fs::write(lab.path("big"), vec![b'x'; size]).expect("written");
    let list = lab.path("list.txt");
    fs::write(&list, "http://30.44.10.10:8080/big\n").expect("written");
    for backend in BACKENDS {
        let _none_yet = fs::remove_file(lab.path("alerts"));
        let sensor = lab.sensor(&list, &tap(backend, 64));
        let serve =
            format!("cd {} && exec python3 -m http.server 8080", lab.folder.path().display());
        let mut server = far.command("sh").args(["-c", &serve]).spawn().expect("starts");
        let url = "http://30.44.10.10:8080/big";
        let get =
            format!("curl -s --retry 20 --retry-connrefused --retry-delay 0 -o /dev/null {url}");
        lab.shell(&get);
        sensor.wait("alert", |lab| !lab.alerts().is_empty());
        server.kill().expect("killed");
        server.wait().expect("gone");
        sensor.wait("every byte", |lab| {
            lab.metric("tapsieve_capture_bytes_total{source=\"live\"}") > size as f64
        });
        let packets = lab.metric("tapsieve_capture_packets_total{source=\"live\"}");
        // far fewer than 1,500-byte frames would be: the kernel handed over what offloads made
        assert!(packets < size as f64 / 1_500.0 / 2.0, "{backend}: {packets} packets");
        let ended = sensor.stop();
        assert!(ended.stderr.contains("losses        none"), "{backend}: {}", ended.stderr);
    }
}

#[test]
fn one_direction_alone_is_no_mirror() {
    let Some(lab) = Lab::new() else { return };
    if !has_program("tcprewrite") {
        return;
    }
    let bytes = fs::read(capture()).expect("capture");
    // what the host at 10.20.30.41 sent by TCP
    let from = |frame: &[u8]| frame.get(26..30) == Some(&[10, 20, 30, 41]) && frame[23] == 6;
    let sent = crate::same::frames(&bytes);
    let sent = sent.iter().filter(|frame| from(&frame.record[16..])).map(|frame| &frame.record[..]);
    let all: Vec<&[u8]> = std::iter::once(&bytes[..24]).chain(sent).collect();
    let half = lab.path("half.pcap");
    fs::write(&half, all.concat()).expect("written");
    let sensor = lab.sensor(&feed(), &tap("afpacket", 16));
    lab.send(&half, &["--topspeed", "--loop=100"]);
    sensor.wait("trouble", |lab| lab.get("/readyz").contains("one direction only is seen"));
    assert_eq!(lab.metric("tapsieve_capture_one_direction"), 1.0);
    lab.send(&capture(), &["--topspeed", "--loop=100"]);
    sensor.wait("recovery", |lab| lab.get("/readyz") == "ready\n");
}

#[test]
fn a_clock_that_is_set_changes_nothing() {
    let Some(lab) = Lab::new() else { return };
    if !has_program("faketime") {
        return;
    }
    let clock = lab.path("clock");
    fs::write(&clock, "+0").expect("written");
    let fake = ["env", "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1"].map(str::to_owned);
    let file = format!("FAKETIME_TIMESTAMP_FILE={}", clock.display());
    let library = format!("LD_PRELOAD={}", faketime_library());
    let before: Vec<String> = fake.into_iter().chain([file, library]).collect();
    let sensor = lab.sensor_behind(&strs(&before), &feed(), &tap("afpacket", 16));
    // not the file's lines: a leap ahead begins another file
    let delivered = "tapsieve_sink_alerts_total{outcome=\"delivered\",sink=\"file\"}";
    let mut alerts = 0.0;
    for step in ["-2d", "+400d", "+0"] {
        fs::write(&clock, step).expect("written");
        lab.send(&capture(), &["--topspeed"]);
        // connections that were closed begin anew, and alert again
        sensor.wait("alert", |lab| lab.metric(delivered) >= alerts + 5.0);
        alerts = lab.metric(delivered);
        sensor.wait("readiness", |lab| lab.get("/readyz") == "ready\n");
    }
    let ended = sensor.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("losses        none"), "{}", ended.stderr);
}

fn faketime_library() -> String {
    let patterns = ["/usr/lib/*/faketime", "/usr/lib64/faketime", "/usr/lib/faketime"];
    let found = patterns.iter().flat_map(|folder| {
        glob::glob(&format!("{folder}/libfaketimeMT.so.1")).expect("pattern").flatten()
    });
    found.map(|path| path.display().to_string()).next().expect("a library beside its program")
}

#[test]
fn the_canary_comes_out_at_every_sink_or_is_missed() {
    let Some(lab) = Lab::new() else { return };
    let age = "tapsieve_canary_age_seconds";
    for backend in BACKENDS {
        let more = format!("{}[canary]\ninterval_secs = 1\n", tap(backend, 16));
        let sensor = lab.sensor(&feed(), &more);
        sensor.wait("canaries", |lab| lab.alerts().len() >= 3);
        sensor.wait("proof", |lab| lab.metric(age) < 2.0);
        let alerts = lab.alerts();
        for alert in &alerts {
            assert_eq!(alert["tapsieve"]["indicator"]["value"], "tapsieve-canary.invalid");
            assert!(alert["tags"].to_string().contains("tapsieve:canary"), "{alert}");
        }
        assert_eq!(lab.get("/readyz"), "ready\n");
        // a sink that takes nothing lets none out
        lab.block_alerts();
        sensor.wait("trouble", |lab| lab.get("/readyz").contains("does not come out at file"));
        assert!(lab.metric(age) > 3.0, "{backend}");
        fs::remove_dir(lab.path("alerts")).expect("removed");
        sensor.wait("recovery", |lab| lab.get("/readyz") == "ready\n");
        // nor does an interface that is down
        lab.shell("ip link set tap0 down");
        sensor.wait("trouble", |lab| lab.get("/readyz").contains("the canary cannot be sent"));
        lab.shell("ip link set tap0 up");
        sensor.wait("recovery", |lab| lab.get("/readyz") == "ready\n");
        assert_eq!(sensor.stop().code, 0);
        fs::remove_file(lab.path("alerts")).expect("there");
    }
}

#[test]
fn why_an_interface_cannot_be_opened_again_is_told_once() {
    let Some(lab) = Lab::new() else { return };
    for backend in BACKENDS {
        let sensor = lab.sensor(&feed(), &format!("{}threads = 2\n", tap(backend, 8)));
        lab.unplug();
        let why = |lab: &Lab, reason: &str| {
            let page = lab.get("/readyz");
            page.lines().any(|line| line.starts_with("cannot capture on") && line.contains(reason))
        };
        sensor.wait("a reason", |lab| why(lab, "No such device"));
        sensor.wait("a line", |_| sensor.said().contains("not ready: cannot capture on tap0: "));
        lab.shell("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
        lab.shell("ip link add tap0 type veth peer name gen0");
        sensor.wait("another reason", |_| sensor.said().contains("not ready: tap0 is down"));
        lab.shell("ip link set tap0 up && ip link set gen0 up");
        sensor.wait("recovery", |lab| lab.get("/readyz") == "ready\n");
        let said = sensor.said();
        let refusals = || said.lines().filter(|line| line.contains("not ready: cannot capture"));
        assert_eq!(refusals().collect::<BTreeSet<_>>().len(), refusals().count(), "{said}");
        // both handles are back: nothing is left out any more
        lab.send(&capture(), &["--topspeed"]);
        let live = "tapsieve_capture_packets_total{source=\"live\"}";
        sensor.wait("every frame", |lab| lab.metric(live) == frames(&capture()) as f64);
        assert_eq!(sensor.stop().code, 0);
    }
}

#[test]
fn an_adapter_without_a_clock_is_no_clock() {
    let Some(lab) = Lab::new() else { return };
    for backend in BACKENDS {
        let more = format!("{}clock = \"adapter\"\n", tap(backend, 8));
        let ended = lab.sensor_that_ends(&[], &feed(), &more);
        assert_eq!(ended.code, 1, "{backend}: {}", ended.stderr);
        let why = "cannot capture on tap0: its adapter does not stamp all frames (Operation not";
        assert!(ended.stderr.contains(why), "{backend}: {}", ended.stderr);
    }
}
