//! A STIX bundle through the whole program: what its patterns match, until when, and what alerts
//! carry of it.

use std::fs;

use serde_json::Value;
use serde_json::json;

use crate::run::Run;
use crate::run::root;
use crate::run::run;

/// An identity and a marking after the indicators that name them; names and addresses of the
/// capture of `fixtures/intel/domain-ip`, which was recorded on 23 November 2026.
const BUNDLE: &str = r#"{"type":"bundle","id":"bundle--5d2a2f0a-6c3b-4c53-8a3d-2c3d5a1c0a01",
 "objects":[
 {"type":"indicator","spec_version":"2.1",
  "id":"indicator--2d72a64d-a1bc-5bf6-915e-215bdbf26eaf","name":"Campaign X",
  "created":"2026-11-01T00:00:00Z","modified":"2026-11-02T00:00:00Z",
  "description":"names and a port","pattern_type":"stix","valid_from":"2026-11-01T00:00:00Z",
  "valid_until":"2126-12-01T00:00:00Z","confidence":85,"labels":["c2"],
  "created_by_ref":"identity--39a970c9-e4e2-5883-a2d3-09bc6ccf08a8",
  "object_marking_refs":["marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
   "marking-definition--0b2d7c16-c1ce-4b8e-9d5e-6a3c2a0b6f10"],
  "pattern":"[domain-name:value = 'one.pair-drop.test'] OR PORT"},
 {"type":"indicator","spec_version":"2.1",
  "id":"indicator--38ddd18e-91ed-50b1-baa1-9d5d7919cf81","name":"Over",
  "created":"2026-01-01T00:00:00Z","modified":"2026-01-01T00:00:00Z","pattern_type":"stix",
  "valid_from":"2026-01-01T00:00:00Z","valid_until":"2026-02-01T00:00:00Z",
  "pattern":"[ipv4-addr:value ISSUBSET '30.44.40.0/24']"},
 {"type":"indicator","spec_version":"2.1",
  "id":"indicator--8da7ac7d-a5de-56d9-af23-69f51bd0c42e","name":"More",
  "created":"2026-01-01T00:00:00Z","modified":"2026-01-01T00:00:00Z","pattern_type":"stix",
  "valid_from":"2026-01-01T00:00:00Z",
  "pattern":"[domain-name:value = 'one.pair-drop.test' AND file:name = 'x']"},
 {"type":"marking-definition","spec_version":"2.1",
  "id":"marking-definition--0b2d7c16-c1ce-4b8e-9d5e-6a3c2a0b6f10",
  "created":"2026-01-01T00:00:00Z","definition_type":"statement",
  "definition":{"statement":"PAP:AMBER"}},
 {"type":"identity","spec_version":"2.1",
  "id":"identity--39a970c9-e4e2-5883-a2d3-09bc6ccf08a8","created":"2026-01-01T00:00:00Z",
  "modified":"2026-01-01T00:00:00Z","name":"CERN"}]}"#;

/// Stands for `PORT`: an address and a port of one end.
const PORT: &str =
    "[network-traffic:dst_ref.value = '30.44.40.4' AND network-traffic:dst_port = 80]";

/// Stands before `]}` where a report of an event is in the bundle: it refers to the first
/// indicator, and is marked as TLP:RED.
const REPORT: &str = r#",
 {"type":"report","spec_version":"2.1","id":"report--5e384ae7-672c-4250-9cda-3b4da964451a",
  "created":"2026-11-02T00:00:00Z","modified":"2026-11-02T00:00:00Z",
  "published":"2026-11-02T00:00:00Z","name":"An event",
  "created_by_ref":"identity--39a970c9-e4e2-5883-a2d3-09bc6ccf08a8",
  "labels":["Threat-Report","misp:tool=\"MISP-STIX-Converter\"","apt"],
  "object_marking_refs":["marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"],
  "object_refs":["indicator--2d72a64d-a1bc-5bf6-915e-215bdbf26eaf"]}]}"#;

fn replay(more: &[&str]) -> (Run, String) {
    replay_of(BUNDLE, more)
}

fn replay_of(bundle: &str, more: &[&str]) -> (Run, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bundle = bundle.replace("PORT", PORT);
    fs::write(folder.path().join("bundle.json"), bundle).expect("a temporary file");
    let capture = root().join("fixtures/intel/domain-ip/input.pcap").display().to_string();
    let mut arguments = vec!["replay", "--intel", "bundle.json", "--metrics", "metrics.txt"];
    arguments.extend(more);
    arguments.push(&capture);
    let run = run(folder.path(), &arguments);
    let metrics = fs::read_to_string(folder.path().join("metrics.txt")).unwrap_or_default();
    (run, metrics)
}

/// Returns type and value of what alerted, each once.
fn named(run: &Run) -> Vec<String> {
    let one = |alert: &Value| {
        let of = |key| alert["tapsieve"]["indicator"][key].as_str().expect("text").to_owned();
        format!("{} {}", of("type"), of("value"))
    };
    let mut all = run.lines().iter().map(one).collect::<Vec<_>>();
    all.sort();
    all.dedup();
    all
}

#[test]
fn patterns_alert_until_they_end() {
    let exact = ["hostname one.pair-drop.test", "ip-dst|port 30.44.40.4|80"];
    let all = [exact[0], "ip-dst 30.44.40.0/24", exact[1]];
    let (run, metrics) = replay(&[]);
    assert_eq!((run.code, named(&run)), (0, exact.map(str::to_owned).to_vec()), "{}", run.stderr);
    let expired = |line: &&str| line.starts_with("tapsieve_alerts_expired_total ");
    let expired = metrics.lines().find(expired).expect("a metric");
    assert!(!expired.ends_with(" 0"), "{expired}");
    assert!(metrics.contains("indicators_refused_total{reason=\"pattern_and\"} 1"), "{metrics}");
    let (run, _) = replay(&["--as-of", "off"]);
    assert_eq!(named(&run), all.map(str::to_owned));
    let (run, metrics) = replay(&["--as-of", "now"]);
    assert!(!named(&run).contains(&all[1].to_owned()), "{:?}", named(&run));
    assert!(metrics.contains("indicators_refused_total{reason=\"ended\"}"), "{metrics}");
}

#[test]
fn alerts_carry_what_the_bundle_says() {
    let (run, _) = replay(&[]);
    let lines = run.lines();
    let alert = lines.first().expect("an alert");
    let source = &alert["tapsieve"]["sources"][0];
    for (got, want) in [
        (&source["attribute"], json!("2d72a64d-a1bc-5bf6-915e-215bdbf26eaf")),
        (&source["info"], json!("Campaign X")),
        (&source["org"], json!("CERN")),
        (&source["comment"], json!("names and a port")),
        (&source["confidence"], json!(85)),
        (&alert["tapsieve"]["tlp"], json!("AMBER+STRICT")),
        (&alert["tapsieve"]["pap"], json!("AMBER")),
        (&alert["threat"]["indicator"]["confidence"], json!("High")),
        (&alert["threat"]["indicator"]["first_seen"], json!("2026-11-01T00:00:00Z")),
        (&alert["tags"], json!(["c2", "pap:amber", "tlp:amber+strict"])),
    ] {
        assert_eq!(*got, want, "{alert}");
    }
}

#[test]
fn what_a_report_says_counts_for_its_indicators() {
    let bundle = BUNDLE.trim_end_matches("]}").to_owned() + REPORT;
    let (run, _) = replay_of(&bundle, &["--max-tlp", "amber"]);
    assert_eq!((run.code, run.lines().len()), (0, 0), "{}", run.stderr);
    let (run, metrics) = replay_of(&bundle, &["--max-tlp", "amber", "--as-of", "off"]);
    assert_eq!(named(&run), ["ip-dst 30.44.40.0/24"], "{}", run.stderr);
    assert!(metrics.contains("indicators_refused_total{reason=\"tlp\"} 2"), "{metrics}");
    let (run, _) = replay_of(&bundle, &["--tag", "apt"]);
    assert_eq!(named(&run), ["hostname one.pair-drop.test", "ip-dst|port 30.44.40.4|80"]);
    let lines = run.lines();
    let alert = lines.first().expect("an alert");
    let source = &alert["tapsieve"]["sources"][0];
    for (got, want) in [
        (&source["event"], json!("5e384ae7-672c-4250-9cda-3b4da964451a")),
        (&source["attribute"], json!("2d72a64d-a1bc-5bf6-915e-215bdbf26eaf")),
        (&source["info"], json!("An event")),
        (&source["org"], json!("CERN")),
        (&source["comment"], json!("Campaign X: names and a port")),
        (&alert["tapsieve"]["tlp"], json!("RED")),
        (&alert["tags"], json!(["apt", "c2", "pap:amber", "tlp:amber+strict", "tlp:red"])),
    ] {
        assert_eq!(*got, want, "{alert}");
    }
}
