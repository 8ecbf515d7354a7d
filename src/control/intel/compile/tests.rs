//! Inputs of every format, and what set and ledger come of them.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::control::intel::filter::Filter;
use crate::control::intel::gate::LeftOut;
use crate::control::intel::ledger::Spot;
use crate::model::indicator::IndicatorType;
use crate::model::marking::Tlp;
use crate::model::refusal::Refusal;
use crate::model::story::Source;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a temporary folder");
        fs::write(&path, text).expect("a temporary file");
        path
    }
}

fn compiled(inputs: &[PathBuf]) -> Compiled {
    compile(inputs, &IntelOptions::default()).expect("something usable")
}

/// Compiles one file; checks type and value of each indicator, and that totals add up.
fn check(text: &str, want: &[(&str, &str)]) -> Compiled {
    let folder = Folder::new();
    let compiled = compiled(&[folder.file("feed", text)]);
    assert_eq!(values(&compiled), want, "{text}");
    adds_up(&compiled.ledger);
    compiled
}

fn values(compiled: &Compiled) -> Vec<(&str, &str)> {
    let catalog = &compiled.set.catalog;
    let ty = |id| catalog.indicator_type(id).expect("a type").name();
    catalog.ids().map(|id| (ty(id), catalog.value(id))).collect()
}

fn adds_up(ledger: &Ledger) {
    assert_eq!(ledger.seen, ledger.accepted_total() + ledger.left_out_total(), "{ledger:?}");
}

fn left_out(ledger: &Ledger) -> Vec<(&'static str, u64)> {
    ledger.left_out.iter().map(|(why, kinds)| (why.name(), kinds.values().sum())).collect()
}

const EVENT: &str = r#"{"Event":{"id":"7","uuid":"a026bf22-4e30-5550-9e1b-2bcd36288d04",
 "info":"Campaign X","timestamp":"1700000500","published":false,
 "Orgc":{"name":"CERN","uuid":"39a970c9-e4e2-5883-a2d3-09bc6ccf08a8"},"Tag":[{"name":"tlp:green"}],
 "Attribute":[
  {"type":"ip-dst","value":"198.51.100.7","uuid":"2d72a64d-a1bc-5bf6-915e-215bdbf26eaf",
   "to_ids":true,"timestamp":"1700000001","deleted":false,"Tag":[{"name":"TLP:AMBER+STRICT"}],
   "first_seen":"2015-01-01T00:00:00.000000+00:00","last_seen":null,"comment":" second stage "},
  {"type":"domain","value":"EVIL[.]example","to_ids":"1"},
  {"type":"domain","value":"deleted.example","to_ids":true,"deleted":"1"},
  {"type":"domain","value":"quiet.example","to_ids":"0"},
  {"type":"md5","value":"d41d8cd98f00b204e9800998ecf8427e","to_ids":true},
  {"type":"ip-dst","value":"999.1.1.1","to_ids":true}],
 "Object":[
  {"Attribute":[{"type":"text","object_relation":"ja4-type","value":"JA4","to_ids":false},
    {"type":"text","object_relation":"ja4-fingerprint","value":"t13d1516h2_8daaf6152771_e5627efa2ab1","to_ids":false}],
   "name":"ja4-plus"},
  {"name":"ja4-plus","Attribute":[{"type":"text","object_relation":"ja4-fingerprint","value":"t130200_1301_234ea6891581","to_ids":false},
    {"type":"text","object_relation":"ja4-type","value":"JA4S","to_ids":false}]},
  {"name":"ja3s","Attribute":[
    {"type":"ja3-fingerprint-md5","object_relation":"ja3-fingerprint-md5","value":"e7d705a3286e19ea42f587b344ee6865"},
    {"type":"ja3-fingerprint-md5","object_relation":"ja3s-fingerprint-md5","value":"f4febc55ea12b31ae17cfb7e614afda8","to_ids":false}]},
  {"name":"domain-ip","deleted":true,"Attribute":[{"type":"domain","value":"gone.example","to_ids":true}]}],
 "Galaxy":[{"GalaxyCluster":[{"tag_name":"misp-galaxy:x=\"y\""}]}]}}"#;

const EVENT_VALUES: &[(&str, &str)] = &[
    ("domain", "EVIL[.]example"),
    ("ja3-fingerprint-md5", "e7d705a3286e19ea42f587b344ee6865"),
    ("ja3s", "f4febc55ea12b31ae17cfb7e614afda8"),
    ("ja4", "t13d1516h2_8daaf6152771_e5627efa2ab1"),
];

#[test]
fn an_event_gives_what_matches_and_its_story() {
    let folder = Folder::new();
    let options = IntelOptions {
        policy: Policy { allow_special: true, ..Policy::default() },
        ..IntelOptions::default()
    };
    let compiled = compile(&[folder.file("event.json", EVENT)], &options).expect("usable");
    let catalog = &compiled.set.catalog;
    assert_eq!(values(&compiled)[0], ("ip-dst", "198.51.100.7"));
    assert_eq!(values(&compiled)[1..], *EVENT_VALUES);
    let id = catalog.find(IndicatorType::IpDst, "198.51.100.7").expect("an indicator");
    let told = Source {
        attribute: Some("2d72a64d-a1bc-5bf6-915e-215bdbf26eaf".to_owned()),
        event: Some("a026bf22-4e30-5550-9e1b-2bcd36288d04".to_owned()),
        event_id: Some(7),
        info: Some("Campaign X".to_owned()),
        org: Some("CERN".to_owned()),
        provider: Some("CERN".to_owned()),
        tags: ["TLP:AMBER+STRICT", "misp-galaxy:x=\"y\"", "tlp:green"].map(str::to_owned).into(),
        comment: Some("second stage".to_owned()),
        first_seen: Some("2015-01-01T00:00:00Z".to_owned()),
        last_seen: None,
        modified: Some("2023-11-14T22:13:21Z".to_owned()),
    };
    assert_eq!(catalog.sources(id), [told]);
    adds_up(&compiled.ledger);
    let left = [
        ("deleted", 2),
        ("unsupported", 3),
        ("other_ja4", 1),
        ("not_for_ids", 1),
        ("bad_address", 1),
    ];
    assert_eq!(left_out(&compiled.ledger), left);
}

#[test]
fn answers_of_every_shape() {
    let plain = r#"{"type":"domain","value":"evil.example","to_ids":true,"event_id":"5"}"#;
    let with_event = r#"{"type":"domain","value":"evil.example","to_ids":true,
        "Event":{"id":"5","info":"X","uuid":"a026bf22-4e30-5550-9e1b-2bcd36288d04"}}"#;
    for text in [
        format!(r#"{{"Event":{{"id":5,"Attribute":[{plain}]}}}}"#),
        format!(r#"{{"Attribute":[{plain}],"analysis":"1","id":"5","info":"X"}}"#),
        format!(r#"{{"response":[{{"Event":{{"Attribute":[{plain}],"id":"5"}}}}]}}"#),
        format!(r#"{{"response":[{{"id":"5","Attribute":[{plain}]}}]}}"#),
        format!(r#"{{"response":{{"Event":{{"id":"5","Attribute":[{plain}]}}}}}}"#),
        format!(r#"{{"response":{{"Attribute":[{plain}]}}}}"#),
        format!(r#"{{"response":{{"Attribute":[{with_event}]}}}}"#),
        format!(r#"{{"Attribute":{with_event}}}"#),
        format!(r#"[{{"Event":{{"Attribute":[{plain}]}}}}]"#),
        format!(
            r#"{{"response":[{{"Object":{{"name":"x","Attribute":[{plain}],"Event":{{"id":"5"}}}}}}]}}"#
        ),
        format!("\u{feff}{{\"Event\":{{\"Attribute\":[{plain}]}}}}\n"),
    ] {
        let compiled = check(&text, &[("domain", "evil.example")]);
        let catalog = &compiled.set.catalog;
        let events = catalog.ids().flat_map(|id| catalog.sources(id)).map(|source| source.event_id);
        assert_eq!(events.collect::<Vec<_>>(), [Some(5)], "{text}");
        assert_eq!(compiled.damages, [], "{text}");
    }
}

#[test]
fn csv_as_misp_writes_it() {
    let text = "uuid,event_id,category,type,value,comment,to_ids,date,object_relation,attribute_tag,object_uuid,object_name,object_meta_category,event_info,event_source_org,event_tag\r\n\
        \"2d72a64d-a1bc-5bf6-915e-215bdbf26eaf\",7,\"Network activity\",\"domain\",\"evil.example\",\"a \"\"quoted\"\"\nremark, with comma\",1,1418217066,\"\",\"tlp:red,misp-galaxy:a=\"\"b, c\"\"\",\"\",\"\",\"\",\"Campaign X\",\"CERN\",\"osint\"\r\n\
        ,7,x,text,t13d1516h2_8daaf6152771_e5627efa2ab1,,0,0,\
        ja4-fingerprint,,u,ja4-plus,network,,,\r\n\
        ,7,x,domain,quiet.example,,0,0,,,,,,,,\r\n\
        ,7,x,ja3-fingerprint-md5,e7d705a3286e19ea42f587b344ee6865,,0,0,\
        ja3-fingerprint-md5,,u,ja3s,network,,,\r\n\
        short row\r\n";
    let md5 = "e7d705a3286e19ea42f587b344ee6865";
    let compiled = check(
        text,
        &[
            ("domain", "evil.example"),
            ("ja3-fingerprint-md5", md5),
            ("ja3s", md5),
            ("ja4", "t13d1516h2_8daaf6152771_e5627efa2ab1"),
        ],
    );
    let sources = compiled.set.catalog.sources(IndicatorId(0));
    let [source] = &sources[..] else { panic!("one source: {sources:?}") };
    let texts = [&source.info, &source.org, &source.provider, &source.modified];
    let texts = texts.map(|text| text.as_deref().unwrap_or_default());
    assert_eq!(texts, ["Campaign X", "CERN", "CERN", "2014-12-10T13:11:06Z"]);
    assert_eq!(source.event_id, Some(7));
    assert_eq!(source.tags, ["misp-galaxy:a=\"b, c\"", "osint", "tlp:red"]);
    assert_eq!(left_out(&compiled.ledger), [("unsupported", 1), ("not_for_ids", 1)]);
}

#[test]
fn csv_of_other_hands() {
    let want = &[("ip-dst", "9.9.9.9"), ("domain", "evil.example")];
    check("Type;Value\nip-dst;9.9.9.9\ndomain;evil.example\n", want);
    check("# made by hand\n\nvalue\ttype\n9.9.9.9\tip-dst\n# more\nevil.example\tdomain", want);
    check("sep=;\r\nType;Value\r\nip-dst;9.9.9.9\r\ndomain;evil.example\r\n", want);
    check("\u{feff}\"value\",\"x\",\"type\"\n9.9.9.9,,ip-dst\nevil.example,\"\",domain\n", want);
}

#[test]
fn csv_of_decay_scores_times_and_flags() {
    let text = "type,value,to_ids,deleted,date,last_seen,decay_score_score,decay_score_decayed,event_timestamp\n\
        domain,a.example,True,no,2020-01-01 10:00:00,,80,0,1577836800\n\
        domain,b.example,Y,F,20260901,,0,1,\n\
        domain,c.example,OFF,,,,,,\n\
        domain,d.example,maybe,,,2025-13-45,,,\n\
        domain,e.example,1,ON,,,,,\n";
    let [a, b, d] = ["a", "b", "d"].map(|name| format!("{name}.example"));
    let compiled = check(text, &[("domain", &*a), ("domain", &*b), ("domain", &*d)]);
    assert_eq!(left_out(&compiled.ledger), [("deleted", 1), ("not_for_ids", 1)]);
    let notes = compiled.ledger.notes.iter().map(|((note, _), n)| (note.name(), *n));
    assert_eq!(notes.collect::<Vec<_>>(), [("bad_time", 2), ("bad_flag", 1)]);
    let sources = |n| compiled.set.catalog.sources(IndicatorId(n)).remove(0);
    assert_eq!(sources(0).modified.as_deref(), Some("2020-01-01T10:00:00Z"));
    assert_eq!(sources(1).tags, ["tapsieve:decayed"]);
    let filter = Filter { exclude_decayed: true, ..Filter::default() };
    let options = IntelOptions { filter, ..IntelOptions::default() };
    let folder = Folder::new();
    let fresh = compile(&[folder.file("feed", text)], &options).expect("usable");
    assert_eq!(values(&fresh), [("domain", &*a), ("domain", &*d)]);
}

#[test]
fn json_times_are_read_or_told() {
    let one = |name: &str, time: &str| {
        format!(r#"{{"type":"domain","value":"{name}.example","timestamp":{time}}}"#)
    };
    let all = [
        one("a", "\"2020-01-01 10:00:00\""),
        one("b", "\"1577836800\""),
        one("c", "1577836800000"),
        one("d", "\"soon\""),
        one("e", "null"),
    ];
    let text = format!(r#"{{"Event":{{"Attribute":[{}]}}}}"#, all.join(","));
    let names = ["a", "b", "c", "d", "e"].map(|name| format!("{name}.example"));
    let compiled = check(&text, &names.each_ref().map(|name| ("domain", name.as_str())));
    let catalog = &compiled.set.catalog;
    let times = catalog.ids().map(|id| catalog.sources(id).remove(0).modified);
    let told = |text: &str| Some(text.to_owned());
    let want = [told("2020-01-01T10:00:00Z"), told("2020-01-01T00:00:00Z"), None, None, None];
    assert_eq!(times.collect::<Vec<_>>(), want);
    let notes = compiled.ledger.notes.iter().map(|((note, _), n)| (note.name(), *n));
    assert_eq!(notes.collect::<Vec<_>>(), [("bad_time", 2)]);
}

#[test]
fn one_odd_byte_costs_no_tag() {
    let text = b"type,value,attribute_tag,na\xefve\n\
        domain,a.example,\"caf\xe9,tlp:red\",\n\
        domain,b.example,\"foo\"\"bar,tlp:red\",\n\
        domain,c.example,tlp:green,\n";
    let filter = Filter { tlp_max: Some(Tlp::Amber), ..Filter::default() };
    let options = IntelOptions { filter, ..IntelOptions::default() };
    let folder = Folder::new();
    let amber = compile(&[folder.file("feed", text)], &options).expect("usable");
    assert_eq!(values(&amber), [("domain", "c.example")]);
    assert_eq!(left_out(&amber.ledger), [("tlp", 2)]);
}

#[test]
fn lists_and_zeek() {
    check(
        "# list\n9.9.9.9 # why\n9.9.8.0/24\n0.0.0.0 evil.example\nhttp://evil.example/a\n9.9.9.9:53\n",
        &[
            ("ip-dst", "9.9.8.0/24"),
            ("ip-dst", "9.9.9.9"),
            ("ip-dst|port", "9.9.9.9:53"),
            ("domain", "evil.example"),
            ("url", "http://evil.example/a"),
        ],
    );
    let zeek = "#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\n\
        evil.example\tIntel::DOMAIN\tFEED\tCampaign X\n\
        9.9.9.9\tIntel::ADDR\t-\t-\nx@y.example\tIntel::EMAIL\t-\t-\n";
    check(
        "\u{feff}#separator \\x2c\n#fields,indicator,indicator_type\n9.9.9.9,Intel::ADDR\n",
        &[("ip-dst", "9.9.9.9")],
    );
    let compiled = check(zeek, &[("ip-dst", "9.9.9.9"), ("hostname", "evil.example")]);
    let catalog = &compiled.set.catalog;
    let sources = catalog.ids().flat_map(|id| catalog.sources(id)).collect::<Vec<_>>();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let told = sources.iter().map(|source| (text(&source.provider), text(&source.info)));
    let want = [("feed", ""), ("FEED", "Campaign X")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(told.collect::<Vec<_>>(), want);
    let mails = &compiled.ledger.left_out[&LeftOut::Unsupported];
    assert_eq!(mails.get("Intel::EMAIL"), Some(&1));
}

#[test]
fn an_indicator_is_one_however_many_attributes_give_it() {
    let text = "type,value,event_id\ndomain,evil.example,2\ndomain,EVIL.example,1\n\
        domain,evil.example.,3\ndomain,evil.example,2\nhostname,evil.example,2\n";
    let compiled = check(text, &[("domain", "EVIL.example"), ("hostname", "evil.example")]);
    let catalog = &compiled.set.catalog;
    assert_eq!(catalog.canonical(IndicatorId(0)).as_deref(), Some("evil.example"));
    let events = catalog.sources(IndicatorId(0)).into_iter().map(|source| source.event_id);
    assert_eq!(events.collect::<Vec<_>>(), [Some(1), Some(2), Some(3)]);
}

#[test]
fn order_and_splitting_do_not_count() {
    let folder = Folder::new();
    let rows = |range: std::ops::Range<u32>| {
        range.map(|n| format!("domain,d{}.example,{}\n", n % 5_000, n % 7)).collect::<String>()
    };
    let one = folder.file("one", format!("type,value,event_id\n{}", rows(0..9_000)));
    let halves = [rows(4_000..9_000), rows(0..4_000)];
    let halves = halves.map(|half| format!("type,value,event_id\n{half}"));
    let event = folder.file("event.json", EVENT);
    // The provider of a CSV without organisations is its name, and alerts show it.
    let a = folder.file("a/one", &halves[0]);
    let b = folder.file("b/one", &halves[1]);
    let list = folder.file("list", "9.9.9.9\nevil.example\n");
    let first = compiled(&[one.clone(), event.clone(), list.clone()]);
    for inputs in [
        vec![list.clone(), one, event.clone()],
        vec![b.clone(), list.clone(), a.clone(), event.clone()],
    ] {
        let other = compiled(&inputs);
        assert_eq!(other.set.version, first.set.version);
        assert_eq!(values(&other), values(&first));
    }
    assert_ne!(compiled(&[a, b, event]).set.version, first.set.version);
    assert_eq!(first.set.version.len(), 32);
}

#[test]
fn a_feed_directory_with_faults_gives_the_rest() {
    let folder = Folder::new();
    let uuids = [1, 2, 3].map(|n| format!("a026bf22-4e30-5550-9e1b-2bcd3628{n:04}"));
    let manifest = uuids.iter().map(|uuid| format!(r#""{uuid}":{{"timestamp":"1700000009"}}"#));
    let manifest = manifest.collect::<Vec<_>>().join(",");
    let manifest = format!(r#"{{{manifest},"../../secret":{{"timestamp":0}}}}"#);
    folder.file("manifest.json", manifest);
    folder.file("hashes.csv", "744c07e886497f7b68f6f7fe57b7ab54,x\n");
    let attribute = |name: &str| format!(r#"{{"type":"domain","value":"{name}","to_ids":true}}"#);
    let good = format!(r#"{{"Event":{{"Attribute":[{}]}}}}"#, attribute("one.example"));
    folder.file(&format!("{}.json", uuids[0]), good);
    let broken = format!("{{\"Event\":{{\"Attribute\":[{},\n  oops", attribute("two.example"));
    folder.file(&format!("{}.json", uuids[1]), broken);
    folder.file("stranger.json", "{}");
    let compiled = compiled(&[folder.0.path().to_owned()]);
    assert_eq!(values(&compiled), [("domain", "one.example"), ("domain", "two.example")]);
    let sources = compiled.set.catalog.sources(IndicatorId(0));
    assert_eq!(sources[0].modified.as_deref(), Some("2023-11-14T22:13:29Z"));
    let damage = compiled.damages.iter().map(|d| (d.spot, d.what.as_str())).collect::<Vec<_>>();
    let [(at, broken), (_, missing), (_, stranger)] = damage[..] else { panic!("{damage:?}") };
    assert_eq!(
        (at, broken),
        (Spot::Column(2, 3), "broken JSON: expected value (read as MISP JSON)")
    );
    assert!(missing.starts_with("the manifest names it"), "{missing}");
    assert!(stranger.starts_with("no UUID"), "{stranger}");
}

#[test]
fn a_manifest_says_which_events_there_are_and_what_is_said_of_them() {
    let (folder, lists) = (Folder::new(), Folder::new());
    let uuids = [1, 2, 3].map(|n| format!("a026bf22-4e30-5550-9e1b-2bcd3628{n:04}"));
    let event = |uuid: &str, name: &str, tags: &str| {
        format!(
            r#"{{"Event":{{"uuid":"{uuid}","Attribute":[
            {{"type":"domain","value":"{name}","to_ids":true}}]{tags}}}}}"#
        )
    };
    let own = r#","Tag":[{"name":"tlp:green"}]"#;
    let [one, two, three] = &uuids;
    folder.file(&format!("{one}.json"), event(one, "one.example", ""));
    folder.file(&format!("{two}.json"), event(two, "two.example", own));
    folder.file(&format!("{three}.json"), event(one, "three.example", ""));
    let entry = |uuid: &str| format!(r#""{uuid}":{{"Tag":[{{"name":"tlp:red"}}]}}"#);
    let list = lists.file("list", "always.example\n");
    let told = |manifest: &str, filter: Filter| {
        folder.file("manifest.json", manifest);
        let options = IntelOptions { filter, ..IntelOptions::default() };
        let compiled =
            compile(&[folder.0.path().to_owned(), list.clone()], &options).expect("usable");
        let values = values(&compiled).into_iter().map(|(_, value)| value.to_owned());
        let damage = compiled.damages.iter().map(|damage| damage.what.clone());
        (values.collect::<Vec<_>>(), damage.collect::<Vec<_>>())
    };
    let two_of_three = format!("{{{},{}}}", entry(one), entry(two));
    let (values, damage) = told(&two_of_three, Filter::default());
    assert_eq!(values, ["always.example", "one.example", "two.example"]);
    assert_eq!(damage, [""; 0]);
    // tags of the manifest count where an event has none
    let amber = || Filter { tlp_max: Some(Tlp::Amber), ..Filter::default() };
    assert_eq!(told(&two_of_three, amber()).0, ["always.example", "two.example"]);
    // an event that is another one than it was named
    let (values, damage) = told(&format!("{{{}}}", entry(three)), Filter::default());
    assert_eq!(values, ["always.example", "three.example"]);
    assert!(damage[0].starts_with(&format!("the event in it is {one}")), "{damage:?}");
    // no event is no damage, and none is guessed
    for empty in ["{}", "[]"] {
        assert_eq!(told(empty, Filter::default()), (vec!["always.example".to_owned()], vec![]));
    }
    for broken in ["", "[1]", "{", "7", "{\"x"] {
        let (values, damage) = told(broken, Filter::default());
        assert_eq!((values, damage.len()), (vec!["always.example".to_owned()], 1), "{broken}");
    }
    let (values, damage) = told(&format!("{{{},", entry(one)), Filter::default());
    assert_eq!((values.len(), damage.len()), (2, 1), "what was named before the damage");
}

#[test]
fn nothing_usable_is_an_error() {
    let folder = Folder::new();
    let error = |text: &str| {
        let inputs = [folder.file("feed", text)];
        let error = compile(&inputs, &IntelOptions::default()).expect_err(text).to_string();
        error.replace(&folder.0.path().display().to_string(), "")
    };
    assert_eq!(
        error("10.0.0.1\n127.0.0.1\nmd5\n"),
        "no usable indicator in /feed: 3 attributes, left out: 2 special_purpose, 1 public_suffix; \
         see `tapsieve intel explain`"
    );
    assert_eq!(error(""), "/feed: empty file");
    assert_eq!(error(r#"{"type":"bundle","objects":[]}"#), "/feed: an empty STIX bundle");
    assert!(error(r#"{"a":[1,2"#).starts_with("/feed: line 1, column 9: broken JSON: EOF"));
    assert!(error("{}").contains("JSON, but no MISP event"));
    assert!(error("hassh-md5\n").contains("left out"));
    let missing = compile(&[folder.0.path().join("missing")], &IntelOptions::default());
    assert!(missing.is_err_and(|error| error.to_string().contains("missing: No such file")));
    assert!(matches!(compile(&[], &IntelOptions::default()), Err(IntelError::NoInput)));
}

#[test]
fn depth_bombs_and_odd_shapes_are_harmless() {
    let folder = Folder::new();
    let good = folder.file("good", "evil.example\n");
    for text in [
        format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{{\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{}{}", "{\"Event\":".repeat(100_000), "}".repeat(100_000)),
        r#"{"Event":[{"Attribute":{"type":["domain"],"value":{"a":1},"Tag":5,"Event":true}}]}"#.to_owned(),
        r#"{"Event":{"Attribute":[1,"x",null,[[]],{"value":"x"}],"Object":"x","Orgc":[],"Tag":{"a":1}}}"#.to_owned(),
        r#"{"response":null,"Event":"x","Attribute":7.5}"#.to_owned(),
    ] {
        let odd = folder.file("odd", &text);
        let compiled = compiled(&[good.clone(), odd]);
        assert_eq!(values(&compiled), [("domain", "evil.example")]);
        adds_up(&compiled.ledger);
    }
}

#[test]
fn every_cut_of_an_event_is_survived() {
    let folder = Folder::new();
    let good = folder.file("good", "evil.example\n");
    for cut in (1..EVENT.len()).step_by(7) {
        let Some(text) = EVENT.get(..cut) else { continue };
        let compiled = compiled(&[good.clone(), folder.file("cut", text)]);
        adds_up(&compiled.ledger);
        assert_eq!(compiled.damages.len(), 1, "{text}");
    }
}

#[test]
fn a_quote_that_never_closes_costs_its_own_stretch_only() {
    let rows = "domain,d.example\n".repeat(200_000);
    let text = format!("type,value\n{rows}domain,\"open\n{rows}domain,last.example\n");
    let folder = Folder::new();
    let ends = format!("type,value\n{rows}domain,\"open\n{rows}domain,\"last.example");
    for (text, line, rows) in [(text, 200_002, 400_001), (ends, 200_002, 400_000)] {
        let compiled = compiled(&[folder.file("feed", text)]);
        assert_eq!(compiled.ledger.accepted_total(), rows);
        adds_up(&compiled.ledger);
        let damage = compiled.damages.iter().map(|d| (d.spot, d.what.as_str())).collect::<Vec<_>>();
        let [(at, what)] = damage[..] else { panic!("{damage:?}") };
        assert_eq!(at, Spot::Line(line), "{what}");
        assert!(what.contains("never close") && what.ends_with(" (read as CSV)"), "{what}");
    }
}

#[test]
fn a_record_of_several_lines_is_never_split() {
    let comment = "a line of a comment\n".repeat(50);
    let rows = (0..4_000).map(|n| format!("domain,d{n}.example,\"{comment}\",0\n"));
    let text =
        format!("type,value,comment,to_ids\n{}domain,last.example,,1\n", rows.collect::<String>());
    let compiled = check(&text, &[("domain", "last.example")]);
    assert_eq!(left_out(&compiled.ledger), [("not_for_ids", 4_000)]);
    assert_eq!(compiled.damages, []);
}

#[test]
fn what_came_before_the_cut_of_a_packed_file_counts() {
    let folder = Folder::new();
    let names = (0..20_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let names = names.map(|n| format!("d{n:x}.example")).collect::<Vec<_>>();
    let rows = |name: &String| format!("domain,{name}\n");
    let attribute = |name: &String| format!(r#"{{"type":"domain","value":"{name}"}}"#);
    let attributes = names.iter().map(attribute).collect::<Vec<_>>().join(",");
    for text in [
        names.join("\n"),
        format!("type,value\n{}", names.iter().map(rows).collect::<String>()),
        format!(r#"{{"Event":{{"Attribute":[{attributes}]}}}}"#),
    ] {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gz, text.as_bytes()).expect("memory");
        let gz = gz.finish().expect("memory");
        let zst = zstd::encode_all(text.as_bytes(), 1).expect("memory");
        for packed in [gz, zst] {
            let whole = &packed[..packed.len() - 64];
            let compiled = compiled(&[folder.file("feed", whole)]);
            let accepted = compiled.ledger.accepted_total();
            assert!(accepted > 10_000, "{accepted}: {:?}", compiled.damages);
            assert!(values(&compiled).iter().all(|(_, name)| names.iter().any(|n| n == name)));
            assert_eq!(compiled.damages.len(), 1, "{:?}", compiled.damages);
        }
    }
}

#[test]
fn json_that_would_fill_memory_ends_in_damage() {
    use std::io::Read;
    let folder = Folder::new();
    let good = r#"{"type":"domain","value":"evil.example"}"#;
    let endless = || std::io::repeat(b'x').take(200 << 20);
    let event = format!(r#"{{"Event":{{"Attribute":[{good}],"info":""#);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::copy(&mut event.as_bytes().chain(endless()), &mut gz).expect("memory");
    let string = gz.finish().expect("memory");
    let many = vec![good; 400_000].join(",");
    let object = format!(
        r#"{{"Event":{{"Attribute":[{good}],"Object":[{{"name":"x","Attribute":[{many}]}}]}}}}"#
    );
    for (bytes, why) in [(string, "a string of more"), (object.into(), "an object of more")] {
        let compiled = compiled(&[folder.file("feed", bytes)]);
        assert_eq!(compiled.ledger.seen, 1);
        let [damage] = &compiled.damages[..] else { panic!("{:?}", compiled.damages) };
        assert!(damage.what.starts_with(why), "{damage}");
    }
}

#[test]
fn flags_and_parts_of_any_shape_leave_the_rest() {
    let good = r#"{"type":"domain","value":"evil.example","to_ids":null,"deleted":null}"#;
    for odd in ["-1", "-1.5", "1e300", "true", "null", "\"x\"", "[-1]", "[]"] {
        let text = format!(
            r#"{{"Event":{{"Orgc":{odd},"Org":{odd},"Tag":{odd},"Galaxy":{odd},
                "Attribute":[{good},{{"Tag":{odd},"Galaxy":{odd},"Object":{odd},"Event":{odd}}}]}}}}"#
        );
        let compiled = check(&text, &[("domain", "evil.example")]);
        assert_eq!(compiled.damages, [], "{text}");
    }
}

#[test]
fn a_pair_parked_at_a_special_address_matches_by_name() {
    let compiled = check(
        "type,value\ndomain|ip,evil.example|127.0.0.1\n",
        &[("domain|ip", "evil.example|127.0.0.1")],
    );
    let catalog = &compiled.set.catalog;
    assert_eq!(catalog.canonical(IndicatorId(0)).as_deref(), Some("evil.example|127.0.0.1"));
}

#[test]
fn folders_within_folders() {
    let folder = Folder::new();
    let uuid = "a026bf22-4e30-5550-9e1b-2bcd36280001";
    folder.file("all/feed/manifest.json", format!(r#"{{"{uuid}":{{"timestamp":"1700000009"}}}}"#));
    folder.file("all/feed/hashes.csv", "744c07e886497f7b68f6f7fe57b7ab54,x\n");
    let event = r#"{"Event":{"Attribute":[{"type":"domain","value":"one.example"}]}}"#;
    folder.file(&format!("all/feed/{uuid}.json"), event);
    folder.file("all/list", "two.example\n");
    folder.file(&format!("all/{}list", "deep/".repeat(17)), "three.example\n");
    let top = folder.0.path().join("all");
    std::os::unix::fs::symlink(top.join("feed"), top.join("link")).expect("a link");
    std::os::unix::fs::symlink(top.join("gone"), top.join("nothing")).expect("a link");
    let compiled = compiled(&[top]);
    assert_eq!(values(&compiled), [("domain", "one.example"), ("domain", "two.example")]);
    assert_eq!(compiled.ledger.seen, 2);
    let damage = compiled.damages.iter().map(|damage| damage.what.as_str()).collect::<Vec<_>>();
    assert_eq!(
        damage,
        [
            "too many folders deep: name it",
            "a link to a folder is not followed: name it",
            "neither a file nor a folder",
        ]
    );
}

#[test]
fn refusals_are_counted_by_reason_and_type() {
    let text =
        "type,value\nip-dst,0.0.0.0/0\ndomain,com\nip-dst|port,9.9.9.9|0\ndomain,ok.example\n";
    let compiled = check(text, &[("domain", "ok.example")]);
    for (refusal, ty) in [
        (Refusal::TooShort, "ip-dst"),
        (Refusal::PublicSuffix, "domain"),
        (Refusal::BadPort, "ip-dst|port"),
    ] {
        assert_eq!(compiled.ledger.left_out[&LeftOut::Refused(refusal)].get(ty), Some(&1), "{ty}");
    }
}
