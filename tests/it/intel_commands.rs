//! `intel coverage`, `intel list`, `intel diff` and `intel explain`, through the whole program.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use serde_json::json;

use crate::corpus_intel::attributes;
use crate::corpus_intel::files;
use crate::run::corpus;
use crate::run::run;
use crate::run::tapsieve;

/// What becomes of the attributes of three events of the corpus's feed. Counted without our code:
/// in Python over the event's JSON, attributes of objects included, by `type` and `to_ids`; then by
/// hand: which addresses are of special purpose (226.140.183.77 is multicast, 10.10.30.110
/// private), so that the port of such an address is looked for with none, and which URLs are
/// `https`, so that only their hosts are visible.
const BY_HAND: &[(&str, &str)] = &[
    (
        "58503e2f-4c78-442d-833f-8ad202de0b81",
        r#"{"attributes":95,"matchable":{"ip-dst":3},"not_looked_for":{},"left_out":{
            "not_for_ids":{"hostname":3,"ip-dst":6},
            "unsupported":{"comment":1,"link":16,"md5":15,"sha1":36,"sha256":15}}}"#,
    ),
    (
        "2683b27f-c509-4458-84f9-8980f60548df",
        r#"{"attributes":28,"matchable":{"domain":2,"ip-dst":2},
            "not_looked_for":{"tls_only":{"url":4}},"left_out":{
            "opt_in":{"port":1},"special_purpose":{"ip-dst":1},
            "unsupported":{"datetime":1,"filename":1,"malware-sample":1,"md5":1,"phone-number":1,
            "sha1":1,"sha256":1,"size-in-bytes":1,"text":8,"vulnerability":1,"yara":1}}}"#,
    ),
    (
        "5a0d5bf4-99c8-4f15-9879-22b1950d210f",
        r#"{"attributes":128,"matchable":{"ip-dst":88,"ip-dst|port":2},"not_looked_for":{},
            "left_out":{"of_address":{"port":2},"opt_in":{"port":1},
            "special_purpose":{"ip-dst":2,"ip-dst|port":1},
            "unsupported":{"attachment":1,"comment":1,"filename":2,"float":2,"link":3,"md5":16,
            "sha1":2,"sha256":2,"size-in-bytes":1,"ssdeep":2}}}"#,
    ),
];

const EVENT: &str = r#"{"Event":{"id":"7","uuid":"a026bf22-4e30-5550-9e1b-2bcd36288d04",
 "info":"Campaign X","timestamp":"1700000000","published":false,"Tag":[{"name":"tlp:amber"}],
 "Attribute":[
  {"type":"domain","value":"evil.example","to_ids":true,"timestamp":"1700000000",
   "uuid":"2d72a64d-a1bc-5bf6-915e-215bdbf26eaf","last_seen":"2020-01-01T00:00:00+00:00",
   "Tag":[{"name":"botnet"}]},
  {"type":"ip-dst","value":"9.9.9.9","to_ids":true,"timestamp":"1795000000",
   "decay_score":[{"decayed":true}]},
  {"type":"ip-dst","value":"10.1.2.3","to_ids":true},
  {"type":"domain","value":"co.uk","to_ids":true},
  {"type":"domain","value":"quiet.example","to_ids":false},
  {"type":"domain","value":"gone.example","to_ids":true,"deleted":true},
  {"type":"hassh-md5","value":"ec7378c1a92f5a8dde7e8b7a1ddf33d1","to_ids":true},
  {"type":"md5","value":"d41d8cd98f00b204e9800998ecf8427e","to_ids":true}]}}"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("event.json"), EVENT).expect("a temporary file");
    let list = json!({"name": "Test names", "type": "hostname", "version": 1,
        "list": ["evil.example"], "matching_attributes": ["domain"]});
    fs::write(folder.path().join("list.json"), list.to_string()).expect("a temporary file");
    folder
}

fn sum(map: &Value) -> u64 {
    match map {
        Value::Object(map) => map.values().map(sum).sum(),
        number => number.as_u64().unwrap_or(0),
    }
}

fn adds_up(line: &Value) {
    let parts = ["matchable", "not_looked_for", "left_out"].map(|part| sum(&line[part]));
    assert_eq!(line["attributes"].as_u64(), Some(parts.iter().sum()), "{line}");
}

#[test]
fn coverage_of_three_events_is_what_was_counted_by_hand() {
    let Some(corpus) = corpus() else { return };
    let feed = corpus.join("misp/feed-public").display().to_string();
    for (event, want) in BY_HAND {
        let run = run(&corpus, &["intel", "coverage", "--json", "--intel", &feed, event]);
        let lines = run.lines();
        let [line, total] = lines.as_slice() else { panic!("{}", run.text()) };
        assert_eq!((run.code, line["event"].as_str()), (0, Some(*event)), "{}", run.stderr);
        let want: Value = serde_json::from_str(want).expect("JSON");
        for part in ["attributes", "matchable", "not_looked_for", "left_out"] {
            assert_eq!(line[part], want[part], "{event} {part}");
            assert_eq!(total[part], want[part], "{event} {part}");
        }
        assert_eq!(total["events"], 1);
    }
}

#[test]
fn coverage_adds_up_for_every_real_file_and_event() {
    let Some(corpus) = corpus() else { return };
    let mut all = Vec::new();
    files(&corpus.join("misp"), &mut all);
    let mut events = 0;
    for path in &all {
        let name = path.display().to_string();
        let run = run(&corpus, &["intel", "coverage", "--json", "--intel", &name]);
        if run.code == 1 {
            assert!(run.stderr.starts_with("tapsieve: "), "{name}: {}", run.stderr);
            continue;
        }
        let lines = run.lines();
        let (total, each) = lines.split_last().expect("a total");
        lines.iter().for_each(adds_up);
        let of_events = each.iter().filter_map(|line| line["attributes"].as_u64()).sum::<u64>();
        assert_eq!(total["attributes"].as_u64(), Some(of_events), "{name}");
        assert_eq!(total["events"].as_u64(), Some(each.len() as u64), "{name}");
        let text = fs::read(path).expect("a readable file");
        if let Ok(json) = serde_json::from_slice(&text) {
            assert_eq!(of_events, attributes(&json, ""), "{name}");
        }
        events += each.len();
    }
    assert!(events > 60, "{events} events in {} files", all.len());
}

#[test]
fn coverage_says_it_in_words() {
    let folder = folder();
    let text = |more: &[&str]| {
        let mut arguments = vec!["intel", "coverage", "--intel", "event.json"];
        arguments.extend(more);
        let run = run(folder.path(), &arguments);
        assert_eq!(run.code, 0, "{}", run.stderr);
        run.text()
    };
    let told = "event 7 a026bf22-4e30-5550-9e1b-2bcd36288d04 (Campaign X): 8 attributes: 2 can \
        match, 1 are not looked for, 5 are left out\n";
    for more in [&[][..], &["7"], &["a026bf22-4e30-5550-9e1b-2bcd36288d04"]] {
        let text = text(more);
        assert!(text.starts_with(told), "{text}");
        for want in [
            "  matchable\tdomain\t1\n",
            "  not_yet_observed\thassh-md5\t1\n",
            "  public_suffix\tdomain\t1\n",
            "all: 1 event: 8 attributes",
        ] {
            assert!(text.contains(want), "{want:?} in {text}");
        }
    }
    let none = run(folder.path(), &["intel", "coverage", "--intel", "event.json", "8"]);
    assert_eq!((none.code, none.text().as_str()), (1, ""));
    assert!(none.stderr.contains("no attribute of an event \"8\""), "{}", none.stderr);
    assert_eq!(run(folder.path(), &["intel", "coverage"]).code, 2);
    assert_eq!(run(folder.path(), &["intel", "coverage", "--intel", "missing"]).code, 1);
    let dropped = text(&["--warninglists", "list.json=drop"]);
    assert!(dropped.contains("  warninglist\tdomain\t1\n"), "{dropped}");
}

/// Explains a value under options; returns the whole output.
fn explain(folder: &Path, value: &str, more: &[&str]) -> String {
    let mut arguments = vec!["intel", "explain", "--intel", "event.json", value];
    arguments.extend(more);
    let run = run(folder, &arguments);
    assert_eq!(run.code, 0, "{}", run.stderr);
    run.text()
}

#[test]
fn explain_names_what_makes_each_reason_true() {
    let folder = folder();
    let now = ["--max-age-days", "30", "--as-of", "now"];
    for (value, more, want) in [
        ("evil.example", &[][..], &["match\tdomain\tevil.example\texact"][..]),
        (
            "evil.example",
            &["--warninglists", "list.json=drop"],
            &["warninglist\t", "(Test names: drop)"],
        ),
        (
            "evil.example",
            &["--warninglists", "list.json=inform"],
            &["match\t", "inform\t", "(Test names: inform)"],
        ),
        (
            "evil.example",
            &now,
            &["expired\t", "(last seen 2020-01-01T00:00:00Z, judged at 20", "30 days at most)"],
        ),
        (
            "evil.example",
            &["--max-age-days", "30"],
            &["match\t", "until 2020-01-31T00:00:00Z: later packets give no alert"],
        ),
        ("evil.example", &["--tag", "!botnet"], &["tags\t", "(it has botnet)"]),
        ("evil.example", &["--tag", "apt*"], &["tags\t", "(it has none of apt*)"]),
        (
            "evil.example",
            &["--max-tlp", "green"],
            &["tlp\t", "(it is AMBER, taken is GREEN at most)"],
        ),
        ("9.9.9.9", &["--exclude-decayed"], &["decayed\t"]),
        ("9.9.9.9", &["--own-network", "9.9.9.0/24"], &["own_network\t", "(of 9.9.9.0/24)"]),
        ("10.1.2.3", &[], &["special_purpose\t", "(of 10.0.0.0/8)"]),
        ("co.uk", &[], &["public_suffix\t"]),
        ("quiet.example", &[], &["not_for_ids\t"]),
        ("gone.example", &[], &["deleted\t"]),
        ("d41d8cd98f00b204e9800998ecf8427e", &[], &["unsupported\tmd5\t"]),
        ("ec7378c1a92f5a8dde7e8b7a1ddf33d1", &[], &["not_yet_observed\t"]),
        ("other.example", &[], &["nothing in 8 attributes names other.example"]),
    ] {
        let text = explain(folder.path(), value, more);
        for want in want {
            assert!(text.contains(want), "{value} {more:?}: {want:?} in {text}");
        }
        let mut as_json = more.to_vec();
        as_json.push("--json");
        for line in explain(folder.path(), value, &as_json).lines() {
            serde_json::from_str::<Value>(line).expect(line);
        }
    }
    let json =
        explain(folder.path(), "evil.example", &["--json", "--warninglists", "list.json=drop"]);
    let line: Value = serde_json::from_str(json.trim()).expect("one line");
    assert_eq!(line["warninglists"], json!(["Test names"]));
    assert_eq!(line["warninglist_actions"], json!(["drop"]));
}

#[test]
fn list_gives_one_line_an_indicator() {
    let folder = folder();
    let list = |more: &[&str]| {
        let mut arguments = vec!["intel", "list", "--intel", "event.json"];
        arguments.extend(more);
        run(folder.path(), &arguments)
    };
    let event = "event 7 (Campaign X)";
    let all = [
        &format!("ip-dst\t9.9.9.9\t{event}\t\ttlp:amber")[..],
        &format!(
            "domain\tevil.example\t{event}\t2d72a64d-a1bc-5bf6-915e-215bdbf26eaf\tbotnet, tlp:amber"
        ),
        &format!("hassh-md5\tec7378c1a92f5a8dde7e8b7a1ddf33d1\t{event}\t\ttlp:amber"),
    ];
    assert_eq!(list(&[]).text().lines().collect::<Vec<_>>(), all);
    assert_eq!(list(&["--type", "domain"]).text().trim_end(), all[1]);
    assert_eq!(list(&["--type", "IP-DST", "--type", "domain"]).text().lines().count(), 2);
    assert_eq!(list(&["--tag", "botnet"]).text().trim_end(), all[1]);
    assert_eq!(list(&["--type", "md5"]).code, 2);
    let lines = list(&["--json", "--type", "domain"]).lines();
    assert_eq!(lines[0]["sources"][0]["event_id"], 7);
    assert_eq!(lines[0]["sources"][0]["tags"], json!(["botnet", "tlp:amber"]));
}

/// What would steer a terminal, or show one text and be another, is escaped; JSON is exact.
#[test]
fn people_see_what_is_there_and_programs_get_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let title = "title \u{1b}]0;owned\u{7} \u{202e}gnp.exe";
    let attribute = |ty, value| json!({"type": ty, "value": value, "Tag": [{"name": title}]});
    let uuid = "a026bf22-4e30-5550-9e1b-2bcd36288d04";
    let event = json!({"Event": {"info": title, "uuid": uuid, "Attribute": [
        attribute("domain", "evil.example"), attribute("domain", "d\u{202e}bidi.example"),
        attribute("url", "http://evil.example/\u{2060}a")]}});
    fs::write(folder.path().join("event.json"), event.to_string()).expect("a temporary file");
    let steers =
        |c: char| (c.is_control() && !"\n\t".contains(c)) || "\u{202e}\u{2060}".contains(c);
    for command in ["list", "explain", "coverage"] {
        let run = run(folder.path(), &["intel", command, "--intel", "event.json"]);
        let text = run.text() + &run.stderr;
        assert!(!text.contains(steers) && text.contains(r"\u{202e}gnp.exe"), "{text:?}");
        let turned = "bad_name\tdomain\td\\u{202e}bidi.example\t";
        assert_eq!(command == "explain", text.contains(turned), "{text}");
    }
    let run = run(folder.path(), &["intel", "list", "--json", "--intel", "event.json"]);
    assert_eq!(run.lines()[0]["sources"][0]["info"], title);
}

/// An end that is no time is not taken for none.
#[test]
fn an_end_that_is_no_time_leaves_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let object = json!({"type": "indicator", "spec_version": "2.1", "pattern_type": "stix",
        "id": "indicator--00000000-0000-4000-8000-000000000001", "valid_until": "yesterday",
        "pattern": "[domain-name:value = 'evil.example']"});
    let bundle = json!({"type": "bundle", "objects": [object]});
    fs::write(folder.path().join("event.json"), bundle.to_string()).expect("a temporary file");
    let text = explain(folder.path(), "evil.example", &[]);
    assert!(text.starts_with("bad_end\thostname\tevil.example"), "{text}");
}

/// What matches although something of it could not be read is listed and counted.
#[test]
fn what_could_not_be_read_is_listed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = "type,value,to_ids,last_seen\ndomain,evil.example,maybe,2025-13-45\n";
    fs::write(folder.path().join("feed.csv"), text).expect("a temporary file");
    let told = run(folder.path(), &["intel", "explain", "--intel", "feed.csv"]);
    for line in ["bad_time\tdomain\tevil.example\t", "  of these bad_flag\tdomain\t1\n"] {
        assert!(told.text().contains(line), "{}", told.text());
    }
    let told = run(folder.path(), &["intel", "explain", "--json", "--intel", "feed.csv"]);
    let totals = told.lines().pop().expect("totals");
    assert_eq!(totals["notes"]["bad_time"]["domain"], 1);
    assert_eq!(totals["accepted"]["domain"], 1);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let many = (0..60_000).map(|n| format!("x{n}.evil.example\n")).collect::<String>();
    fs::write(folder.path().join("many.txt"), many).expect("a temporary file");
    let mut child = tapsieve(folder.path())
        .args(["intel", "list", "--intel", "many.txt"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut some = [0; 64];
    child.stdout.take().expect("piped").read_exact(&mut some).expect("some lines");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn diff_says_what_came_went_and_changed() {
    let folder = folder();
    let after = EVENT
        .replace("\"9.9.9.9\"", "\"9.9.9.10\"")
        .replace("\"botnet\"", "\"apt\"")
        .replace("quiet.example\",\"to_ids\":false", "quiet.example\",\"to_ids\":true");
    fs::write(folder.path().join("after.json"), after).expect("a temporary file");
    fs::write(folder.path().join("nothing.txt"), "10.1.2.3\n").expect("a temporary file");
    let diff = |more: &[&str]| {
        let mut arguments = vec!["intel", "diff"];
        arguments.extend(more);
        run(folder.path(), &arguments)
    };
    let run = diff(&["event.json", "after.json"]);
    let event = "event 7 (Campaign X)";
    let want = [
        format!("removed\tip-dst\t9.9.9.9\t{event}"),
        format!("added\tip-dst\t9.9.9.10\t{event}"),
        "changed\tdomain\tevil.example\ttags".to_owned(),
        format!("added\tdomain\tquiet.example\t{event}"),
        "3 indicators before, 4 after: 2 added, 1 removed, 1 changed, 1 the same".to_owned(),
    ];
    let mut got = run.text().lines().map(str::to_owned).collect::<Vec<_>>();
    // 9.9.9.10 sorts before 9.9.9.9 as text
    got.swap(0, 1);
    assert_eq!((run.code, got), (0, want.to_vec()));
    let set = ["intel", "compile", "--intel", "event.json", "-o", "set"];
    assert_eq!(crate::run::run(folder.path(), &set).code, 0);
    let same = diff(&["set", "event.json"]);
    assert_eq!(
        same.text(),
        "3 indicators before, 3 after: 0 added, 0 removed, 0 changed, 3 the same\n"
    );
    let json = diff(&["--json", "set", "after.json"]).lines();
    assert_eq!(json.len(), 5);
    assert_eq!(json[4], json!({"before":3,"after":4,"added":2,"removed":1,"changed":1,"same":1}));
    let none = diff(&["nothing.txt", "set"]);
    assert_eq!((none.code, none.text().lines().count()), (0, 4), "{}", none.stderr);
    assert_eq!(diff(&["event.json"]).code, 2);
    assert_eq!(diff(&["event.json", "missing"]).code, 1);
    assert_eq!(diff(&["--intel", "event.json", "set", "set"]).code, 2);
}
