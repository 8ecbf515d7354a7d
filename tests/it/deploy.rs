//! What lies in `deploy/` is tried with the programs that it is for.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use serde_json::Value;

use crate::lab::Lab;
use crate::lab::TAP;
use crate::run::has_program;
use crate::run::root;
use crate::run::skip;

/// Queries that give nothing on a host where all is well.
const EMPTY_WHERE_WELL: &[&str] = &["changes(tapsieve_indicator_set_generation"];

fn deployed(name: &str) -> String {
    fs::read_to_string(root().join("deploy").join(name)).expect("there")
}

fn output(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().expect("it starts")
}

/// Runs a program that must succeed; returns all it says.
fn succeeds(program: &str, arguments: &[&str]) -> String {
    let output = output(program, arguments);
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{program} {arguments:?}: {out}{err}");
    format!("{out}{err}")
}

fn is_root() -> bool {
    let is_root = fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0);
    if !is_root {
        skip("owners of files are set by root alone");
    }
    is_root
}

#[test]
fn the_unit_is_sound_and_tight() {
    if !has_program("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let text = deployed("systemd/tapsieve.service");
    // where the program is installed, in this test
    let here = text.replace("/usr/bin/tapsieve ", concat!(env!("CARGO_BIN_EXE_tapsieve"), " "));
    assert_ne!(here, text);
    let unit = folder.path().join("tapsieve.service");
    fs::write(&unit, here).expect("written");
    let unit = unit.display().to_string();
    // exposure of at most 2.0 of 10
    let tight = ["security", "--no-pager", "--offline=yes", "--threshold=20", &unit];
    succeeds("systemd-analyze", &tight);
    let verified = succeeds("systemd-analyze", &["verify", "--man=no", &unit]);
    assert!(!verified.contains("tapsieve.service:"), "{verified}");
    // and the threshold can fail
    let loose = fs::read_to_string(&unit).expect("there").replace("ProtectSystem=strict", "");
    let loose = loose.replace("CapabilityBoundingSet=CAP_NET_RAW", "");
    fs::write(&unit, loose).expect("written");
    assert!(!output("systemd-analyze", &tight).status.success());
}

#[test]
fn everything_is_installed_where_the_readme_says() {
    if !is_root()
        || !["make", "systemd-sysusers", "systemd-tmpfiles"].iter().all(|p| has_program(p))
    {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let top = folder.path().display().to_string();
    let program = concat!("PROGRAM=", env!("CARGO_BIN_EXE_tapsieve"));
    let install =
        ["-C", env!("CARGO_MANIFEST_DIR"), "-s", "install", program, &format!("DESTDIR={top}")];
    succeeds("make", &install);
    succeeds("systemd-sysusers", &[&format!("--root={top}"), "tapsieve.conf"]);
    succeeds("systemd-tmpfiles", &["--create", &format!("--root={top}"), "tapsieve.conf"]);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect(name);
    let passwd = read("etc/passwd");
    let user = passwd.lines().find(|line| line.starts_with("tapsieve:")).expect("a user");
    assert!(user.ends_with(":tapsieve sensor:/var/lib/tapsieve:/usr/sbin/nologin"), "{user}");
    let uid: u32 = user.split(':').nth(2).expect("an id").parse().expect("a number");
    let modes: &[(&str, u32, u32)] = &[
        ("etc/tapsieve", 0o750, 0),
        ("etc/tapsieve/feed", 0o750, 0),
        ("var/lib/tapsieve", 0o750, uid),
        ("usr/bin/tapsieve", 0o755, 0),
        ("etc/tapsieve/tapsieve.toml", 0o644, 0),
    ];
    for (name, mode, owner) in modes {
        let about = fs::metadata(folder.path().join(name)).expect(name);
        let found = (about.permissions().mode() & 0o777, about.uid());
        assert_eq!(found, (*mode, *owner), "{name}");
    }
    // a second time nobody's configuration is written over
    let config = folder.path().join("etc/tapsieve/tapsieve.toml");
    fs::write(&config, "# ours\n").expect("written");
    succeeds("make", &install);
    assert_eq!(fs::read_to_string(&config).expect("there"), "# ours\n");
    // the readme names each place
    let readme = deployed("README.md");
    for name in ["/usr/bin/tapsieve", "/etc/tapsieve/tapsieve.toml", "/var/lib/tapsieve"] {
        assert!(readme.contains(name), "deploy/README.md has no {name}");
    }
}

#[test]
fn logrotate_moves_the_file_away_and_no_alert_is_lost() {
    if !has_program("logrotate") || !is_root() {
        return;
    }
    let Some(lab) = Lab::new() else { return };
    let feed = root().join("fixtures/demo/feed");
    let capture = root().join("fixtures/demo/site/input.pcap");
    let sensor = lab.sensor(&feed, TAP);
    lab.send(&capture, &["--topspeed"]);
    sensor.wait("alert", |lab| lab.alerts().len() >= 19);
    // the file as it is deployed, but for the place and the owner
    let text = deployed("logrotate/tapsieve");
    let here = text
        .replace("/var/lib/tapsieve/*.jsonl", &lab.path("alerts").display().to_string())
        .replace("tapsieve tapsieve", "nobody nogroup");
    let rules = lab.path("rules");
    fs::write(&rules, here).expect("written");
    fs::set_permissions(&rules, fs::Permissions::from_mode(0o644)).expect("set");
    let rules = rules.display().to_string();
    // whom the sensor of a lab becomes, and logrotate with it
    lab.shell("getent group nogroup >/dev/null || groupadd --system nogroup");
    lab.shell(&format!(
        "chgrp nogroup {} {}",
        lab.folder.path().display(),
        lab.path("alerts").display()
    ));
    let tried = succeeds("logrotate", &["-d", &rules]);
    assert!(!tried.contains("error"), "{tried}");
    // `systemctl kill` as systemd would do it
    let called = lab.path("called");
    let systemctl = format!("#!/bin/sh\necho \"$@\" >>{}\n", called.display());
    fs::create_dir(lab.path("bin")).expect("made");
    fs::write(lab.path("bin/systemctl"), systemctl).expect("written");
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(lab.path("bin/systemctl"), mode).expect("set");
    let path = format!("{}:{}", lab.path("bin").display(), std::env::var("PATH").expect("a path"));
    let state = lab.path("state").display().to_string();
    let rotated = Command::new("logrotate")
        .args(["-f", "-s", &state, &rules])
        .env("PATH", path)
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&rotated.stderr).into_owned();
    assert!(rotated.status.success() && told.is_empty(), "{told}");
    let called = fs::read_to_string(called).expect("called");
    assert_eq!(called, "kill --kill-who=main --signal=HUP tapsieve.service\n");
    sensor.signal("-HUP");
    assert!(lab.alerts().is_empty());
    lab.send(&capture, &["--topspeed"]);
    sensor.wait("alert", |lab| !lab.alerts().is_empty());
    let ended = sensor.stop();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    // flows that are still open alert once: how many there were in all the summary says
    let summary = ended.stderr.lines().find_map(|line| line.strip_prefix("alerts        "));
    let (all, _) = summary.expect("a summary").split_once(':').expect("a number");
    let all: usize = all.parse().expect("a number");
    let old = fs::read_dir(lab.folder.path()).expect("folder").filter_map(|entry| {
        let path = entry.expect("entry").path();
        let name = path.file_name()?.to_str()?.to_owned();
        name.starts_with("alerts-").then(|| fs::read_to_string(path).expect("there"))
    });
    let old: Vec<String> = old.collect();
    assert_eq!((old.len(), old[0].lines().count()), (1, 19), "{old:?}");
    assert_eq!(lab.alerts().len(), all - 19);
}

#[test]
fn each_alerting_rule_is_silent_where_all_is_well_and_tells_where_not() {
    if !has_program("promtool") {
        return;
    }
    let tests = root().join("deploy/prometheus/tapsieve.rules.test.yml").display().to_string();
    succeeds("promtool", &["test", "rules", &tests]);
    // none is left out of either
    let (rules, tests) =
        (deployed("prometheus/tapsieve.rules.yml"), deployed("prometheus/tapsieve.rules.test.yml"));
    for name in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let (silent, tells) =
            (format!("alertname: {name}}}"), format!("alertname: {name}\n        exp"));
        assert!(tests.contains(&silent) && tests.contains(&tells), "{name} is not tried");
    }
}

/// Every query of a dashboard: of its panels, its variables and its annotations.
fn queries(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str().filter(|_| name == "expr") {
                    Some(query) => drop(found.insert(query.to_owned())),
                    None => queries(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_is_whole() {
    let dashboard: Value =
        serde_json::from_str(&deployed("grafana/tapsieve.json")).expect("a JSON object");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut places = BTreeSet::new();
    for panel in panels {
        let at = &panel["gridPos"];
        assert!(places.insert((at["y"].as_u64(), at["x"].as_u64())), "two panels in one place");
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()), "{panel}");
        let is_row = panel["type"] == "row";
        assert!(is_row || panel["targets"].as_array().is_some_and(|all| !all.is_empty()));
    }
    let ids: BTreeSet<Option<u64>> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len());
}

#[test]
fn every_query_of_the_dashboard_is_answered_by_a_real_prometheus() {
    let Some(lab) = Lab::new() else { return };
    if !has_program("prometheus") {
        return;
    }
    let mut asked = BTreeSet::new();
    let dashboard: Value =
        serde_json::from_str(&deployed("grafana/tapsieve.json")).expect("a JSON object");
    queries(&dashboard, &mut asked);
    assert!(asked.len() > 30, "{asked:?}");
    let config = deployed("prometheus/prometheus.yml");
    let config = config.split("rule_files:").next().expect("some");
    let feed = root().join("fixtures/demo/feed");
    let sensor = lab.sensor(&feed, TAP);
    let _prometheus = lab.prometheus(config);
    // as Grafana fills them in
    let filled = |query: &str| query.replace("$__rate_interval", "30s").replace("$instance", ".*");
    let answer = |query: &str| lab.query(&filled(query));
    let value = |query: &str| {
        lab.value(&filled(query)).and_then(|text| text.parse::<f64>().ok()).unwrap_or(f64::NAN)
    };
    sensor.wait("scrape", |_| value("count_over_time(tapsieve_ready[1m])") >= 2.0);
    lab.send(&root().join("fixtures/demo/site/input.pcap"), &["--topspeed"]);
    sensor.wait("scrape of alerts", |_| value("sum(tapsieve_alerts_total)") == 19.0);
    sensor.wait("rate", |_| value("sum(rate(tapsieve_flows_total[30s]))") > 0.0);
    for query in &asked {
        let answer = answer(query);
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let series = answer["data"]["result"].as_array().map_or(0, Vec::len);
        let may_be_empty = EMPTY_WHERE_WELL.iter().any(|start| query.starts_with(start));
        assert!(series > 0 || may_be_empty, "{query}: nothing");
    }
    // what was sent shows: traffic, alerts, and how long they took
    for start in ["sum(increase(tapsieve_alerts_total", "8 * sum", "histogram_quantile(0.5"] {
        let query = asked.iter().find(|query| query.starts_with(start)).expect(start);
        assert!(value(query) > 0.0, "{query}: {}", answer(query));
    }
}

#[test]
fn the_container_is_built_of_what_is_there() {
    let text = deployed("Containerfile");
    let mut copied = 0;
    for line in text.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from")) {
        for name in line.split_whitespace().skip(1).filter(|name| !name.starts_with('-')) {
            copied += 1;
            assert!(
                name == "./" || name.starts_with('/') || Path::new(&root()).join(name).exists(),
                "{line}: no {name}"
            );
        }
    }
    assert!(copied > 2, "{text}");
}
