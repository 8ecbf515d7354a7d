//! What analysts and operators say of indicators, through the whole program: filters, ages,
//! warninglists, and what alerts carry of it.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::run::Run;
use crate::run::root;
use crate::run::run;

/// Names and addresses of the capture of `fixtures/intel/domain-ip` (23 November 2026).
const EVENT: &str = r#"{"Event":{"info":"X","id":"7","published":false,"timestamp":"1700000000",
 "Attribute":[
  {"type":"domain","value":"one.pair-drop.test","to_ids":true,"timestamp":"1700000000",
   "first_seen":"2026-01-01T00:00:00+00:00","last_seen":"2026-02-01T00:00:00+00:00",
   "Sighting":[{"type":"0"},{"type":"1"}],
   "Tag":[{"name":"tlp:amber"},{"name":"PAP:RED"},
    {"name":"misp:confidence-level=\"usually-confident\""},
    {"name":"misp-galaxy:mitre-attack-pattern=\"Web Protocols - T1071\""}]},
  {"type":"ip-dst","value":"30.44.40.1","to_ids":true,"timestamp":"1795000000",
   "decay_score":[{"decayed":true}]}],
 "Tag":[{"name":"tlp:green"}]}}"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("event.json"), EVENT).expect("a temporary file");
        let list = |name: &str, mode: &str, entry: &str| {
            let text = json!({"name": name, "type": mode, "version": 1, "list": [entry],
                "matching_attributes": ["ip-dst", "domain"]});
            let path = folder.path().join("lists").join(mode);
            fs::create_dir_all(&path).expect("a temporary folder");
            fs::write(path.join("list.json"), text.to_string()).expect("a temporary file");
        };
        list("Test names", "hostname", "pair-drop.test");
        list("Test addresses", "cidr", "30.44.40.0/24");
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn replay(&self, more: &[&str]) -> Run {
        let capture = root().join("fixtures/intel/domain-ip/input.pcap");
        let capture = capture.display().to_string();
        let mut arguments = vec!["replay", "--intel", "event.json", "--metrics", "metrics.txt"];
        arguments.extend(more);
        arguments.push(&capture);
        run(self.path(), &arguments)
    }

    fn metrics(&self) -> String {
        fs::read_to_string(self.path().join("metrics.txt")).expect("metrics")
    }
}

/// Returns the values that alerted, each once.
fn values(run: &Run) -> Vec<String> {
    let value = |alert: &Value| alert["tapsieve"]["indicator"]["value"].to_string();
    let mut all = run.lines().iter().map(value).collect::<Vec<_>>();
    all.sort();
    all.dedup();
    all.iter().map(|value| value.trim_matches('"').to_owned()).collect()
}

const ADDRESS: &str = "30.44.40.1";
const NAME: &str = "one.pair-drop.test";

#[test]
fn what_is_said_around_an_attribute_decides() {
    let folder = Folder::new();
    for (more, want) in [
        (&[][..], &[ADDRESS, NAME][..]),
        (&["--tag", "!tlp:amber"], &[ADDRESS]),
        (&["--tag", "misp-galaxy:*"], &[NAME]),
        (&["--max-tlp", "green"], &[ADDRESS]),
        (&["--exclude-decayed"], &[NAME]),
        (&["--max-age-days", "60"], &[ADDRESS]),
        (&["--max-age-days", "60", "--as-of", "off"], &[ADDRESS, NAME]),
        (&["--own-network", "30.44.40.0/24"], &[NAME]),
        (&["--warninglists", "lists=inform"], &[ADDRESS, NAME]),
        (&["--warninglists", "lists", "--warninglist-action", "test names=off"], &[NAME]),
        (&["--warninglists", "lists", "--warninglist-action", "cidr=inform"], &[ADDRESS]),
    ] {
        let run = folder.replay(more);
        assert_eq!((run.code, values(&run)), (0, want.iter().map(|v| (*v).to_owned()).collect()));
    }
    for wrong in
        [["--max-tlp", "pink"], ["--tag", "!"], ["--as-of", "then"], ["--own-network", "x"]]
    {
        assert_eq!(folder.replay(&wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn hits_that_are_too_old_at_their_packet_are_counted() {
    let folder = Folder::new();
    let count = |run: &Run| run.lines().len();
    let all = count(&folder.replay(&[]));
    let aged = folder.replay(&["--max-age-days", "60"]);
    let expired = all - count(&aged);
    assert!(expired > 0);
    let metric = format!("tapsieve_alerts_expired_total {expired}\n");
    assert!(folder.metrics().contains(&metric), "{metric}");
    assert!(aged.stderr.contains(&format!("expired       {expired} hits")), "{}", aged.stderr);
    // as of now both are as old as the clock of this machine says: one of them surely
    let now = folder.replay(&["--max-age-days", "60", "--as-of", "now"]);
    assert!(!values(&now).contains(&NAME.to_owned()), "{}", now.text());
    assert!(folder.metrics().contains("indicators_refused_total{reason=\"expired\"}"));
}

#[test]
fn alerts_carry_what_is_said() {
    let folder = Folder::new();
    let lists = ["--warninglists", "lists=inform", "--warninglist-action", "cidr=downgrade"];
    let run = folder.replay(&lists);
    let alert = |value: &str| {
        let of = |alert: &Value| alert["tapsieve"]["indicator"]["value"] == value;
        run.lines().into_iter().find(of).expect(value)
    };
    let name = alert(NAME);
    let own = &name["tapsieve"];
    let indicator = &name["threat"]["indicator"];
    for (got, want) in [
        (&indicator["marking"], json!({"tlp": "AMBER", "tlp_version": "2.0"})),
        (&indicator["confidence"], json!("High")),
        (&indicator["sightings"], json!(1)),
        (&name["threat"]["technique"], json!({"id": ["T1071"], "name": ["Web Protocols"]})),
        (&own["tlp"], json!("AMBER")),
        (&own["pap"], json!("RED")),
        (&own["timing"], json!("after_last_seen")),
        (&own["warninglists"], json!([{"name": "Test names", "action": "inform"}])),
        (&own["sources"][0]["confidence"], json!(75)),
        (&own["sources"][0]["false_positives"], json!(1)),
        (&own["sources"][0]["decayed"], Value::Null),
    ] {
        assert_eq!(*got, want, "{name}");
    }
    let tags = name["tags"].as_array().expect("tags");
    assert!(tags.iter().all(|tag| !tag.to_string().contains("tapsieve:")), "{tags:?}");
    let address = alert(ADDRESS);
    let own = &address["tapsieve"];
    assert_eq!(address["threat"]["indicator"]["confidence"], json!("Low"));
    assert_eq!(own["warninglists"], json!([{"name": "Test addresses", "action": "downgrade"}]));
    assert_eq!((&own["sources"][0]["decayed"], &own["tlp"]), (&json!(true), &json!("GREEN")));
    let schema = fs::read_to_string(root().join("docs/alert.schema.json")).expect("the schema");
    let schema = serde_json::from_str(&schema).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for alert in run.lines() {
        let wrong = validator.iter_errors(&alert).map(|e| e.to_string()).collect::<Vec<_>>();
        assert!(wrong.is_empty(), "{wrong:?}: {alert}");
    }
}

#[test]
fn lists_that_are_damaged_are_told_and_the_rest_is_used() {
    let folder = Folder::new();
    let bad = json!({"name": "Bad", "type": "substring", "list": ["4", "pair-drop"]});
    let path: PathBuf = folder.path().join("bad.json");
    fs::write(&path, bad.to_string()).expect("a temporary file");
    let run = folder.replay(&["--warninglists", "bad.json"]);
    assert_eq!((run.code, values(&run)), (3, vec![ADDRESS.to_owned()]));
    assert!(run.stderr.contains("bad.json: entry 1 of \"Bad\" is left out"), "{}", run.stderr);
}

/// A capture of one segment that a client sends to 93.1.2.3.
fn segment(port: u16, text: &str) -> Vec<u8> {
    let length = u16::try_from(40 + text.len()).expect("short").to_be_bytes();
    let ip = [0x45, 0, length[0], length[1], 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 93, 1, 2, 3];
    let ports = [40_000_u16.to_be_bytes(), port.to_be_bytes()].concat();
    let tcp = [&ports[..], &[0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]].concat();
    let packet = [&ip[..], &tcp, text.as_bytes()].concat();
    let bytes = u32::try_from(packet.len()).expect("short");
    // raw IP, little-endian, whole seconds
    let head = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101];
    let frame = [1_795_000_000, 0, bytes, bytes];
    let words = head.into_iter().chain(frame).flat_map(u32::to_le_bytes);
    words.chain(packet).collect()
}

#[test]
fn a_first_fragment_is_a_loss() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut capture = segment(80, "GET /a/b HTTP/1.1\r\nHost: ev.test\r\n\r\n");
    // more fragments follow
    capture[24 + 16 + 6] = 0x20;
    fs::write(folder.path().join("in.pcap"), capture).expect("a temporary file");
    fs::write(folder.path().join("all.txt"), EV).expect("a temporary file");
    let run = run(folder.path(), &["replay", "--intel", "all.txt", "in.pcap"]);
    assert!(run.stderr.contains("losses        1: first IP fragments 1\n"), "{}", run.stderr);
    let books = "every frame: 1 in = 1 in flows + 0 without a packet";
    assert!(run.stderr.contains(books), "{}", run.stderr);
}

const EV: &str = "http://ev.test/a/b";
const EV_8080: &str = "http://ev.test:8080/a/b";

#[test]
fn a_request_is_for_the_end_that_it_is_sent_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let csv = format!(
        "type,value\nurl,{EV}\nurl,{EV_8080}\nhostname|port,ev.test|80\n\
         hostname|port,ev.test|8080\n"
    );
    fs::write(folder.path().join("all.csv"), csv).expect("a temporary file");
    for (port, text, want) in [
        // curl and browsers name the port in Host; many others leave it out
        (8080, "GET /a/b HTTP/1.1\r\nHost: ev.test:8080\r\n\r\n", &["ev.test|8080", EV_8080][..]),
        (8080, "GET /a/b HTTP/1.1\r\nHost: ev.test\r\n\r\n", &["ev.test|8080", EV, EV_8080]),
        (80, "GET /a/b HTTP/1.1\r\nHost: ev.test\r\n\r\n", &["ev.test|80", EV]),
        // a proxy's port says nothing of the URL's
        (
            8080,
            "GET http://ev.test/a/b HTTP/1.1\r\nHost: ev.test\r\n\r\n",
            &["ev.test|80", "ev.test|8080", EV],
        ),
    ] {
        fs::write(folder.path().join("in.pcap"), segment(port, text)).expect("a temporary file");
        let run = run(folder.path(), &["replay", "--intel", "all.csv", "in.pcap"]);
        assert_eq!(values(&run), want, "{port} {text} {}", run.stderr);
    }
}
