//! Sets as files: the same bytes whatever the order, the same answers as before, damage that is
//! told, and merging with everything kept.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::control::intel::compile::compile;
use crate::control::intel::compile::seed;
use crate::control::intel::compiled::fuzz::answers;
use crate::control::intel::compiled::layout::Section;
use crate::control::intel::compiled::store::Gathered;
use crate::control::intel::compiled::store::write;
use crate::control::intel::filter::Filter;
use crate::control::intel::filter::TagRule;
use crate::control::intel::warninglist::Action;
use crate::control::intel::warninglist::WarninglistSettings;
use crate::model::policy::Policy;
use crate::pipeline::matcher::table::Table;

const EVENT: &str = r#"{"Event":{"id":"7","uuid":"a026bf22-4e30-5550-9e1b-2bcd36288d04",
 "info":"Campaign X","timestamp":"1700000500","Orgc":{"name":"CERN"},"Tag":[{"name":"tlp:green"}],
 "Attribute":[
  {"type":"ip-dst","value":"203.0.113.9","uuid":"2d72a64d-a1bc-5bf6-915e-215bdbf26eaf",
   "to_ids":true,"timestamp":"1700000001","Tag":[{"name":"tlp:amber"},{"name":"a"}],
   "first_seen":"2015-01-01T00:00:00.000000+00:00","comment":"second stage"},
  {"type":"domain","value":"EVIL[.]example","to_ids":true},
  {"type":"url","value":"http://evil.example/a/b*","to_ids":true},
  {"type":"ja3-fingerprint-md5","value":"5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a","to_ids":true}],
 "Object":[{"name":"ja4-plus","Attribute":[
   {"type":"text","object_relation":"ja4-type","value":"JA4","to_ids":false},
   {"type":"text","object_relation":"ja4-fingerprint","value":"t13d1516h2_8daaf6152771_e5627efa2ab1","to_ids":false}]}]}}"#;

const CSV: &str = "uuid,event_id,category,type,value,comment,to_ids,date\n\
  2d72a64d-a1bc-5bf6-915e-215bdbf26eb0,8,x,domain,evil.example,other,1,20200101\n\
  2d72a64d-a1bc-5bf6-915e-215bdbf26eb1,8,x,ip-dst|port,203.0.113.9|443,,1,20200101\n\
  2d72a64d-a1bc-5bf6-915e-215bdbf26eb2,9,x,user-agent,*evil-bot*worse*,,1,20200101\n\
  2d72a64d-a1bc-5bf6-915e-215bdbf26eb3,9,x,hostname|port,c2.example|443,,1,20200101\n";

const LIST: &str = "9.0.0.0/8\n9.1.0.0/16\n2001:db8::/32\n2001:db8::ab\nevil.example\n\
  http://evil.example/a/b/c?d=e/f\nb.c.evil.example\n9.1.2.3\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).expect("a temporary file");
        path
    }

    /// The three feeds above.
    fn feeds(&self) -> Vec<PathBuf> {
        [("event", EVENT), ("csv", CSV), ("list", LIST)].map(|(n, text)| self.file(n, text)).into()
    }
}

fn options() -> IntelOptions {
    let opt_in = vec![IndicatorType::UserAgent];
    let policy = Policy { allow_special: true, opt_in, ..Policy::default() };
    IntelOptions { policy, ..IntelOptions::default() }
}

fn compiled(inputs: &[PathBuf]) -> Compiled {
    compile(inputs, &options()).expect("something usable")
}

fn bytes_of(set: &IndicatorSet) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(set, &mut bytes).expect("memory");
    bytes
}

fn bytes_with(set: &IndicatorSet, change: impl FnOnce(&mut Gathered)) -> Vec<u8> {
    let mut gathered = Gathered { parts: Vec::new(), seed: seed(set.version_text()) };
    shelve(set, &mut gathered);
    change(&mut gathered);
    let mut bytes = Vec::new();
    gathered.write(set, &mut bytes).expect("memory");
    bytes
}

fn why(bytes: &[u8]) -> String {
    open_bytes(bytes).expect_err("no good").to_string()
}

#[test]
fn the_order_of_inputs_leaves_no_trace() {
    let folder = Folder::new();
    let feeds = folder.feeds();
    let [event, csv, list] = [0, 1, 2].map(|at: usize| feeds[at].clone());
    let bytes = bytes_of(&compiled(&feeds).set);
    for order in [[&list, &csv, &event], [&csv, &event, &list], [&event, &list, &csv]] {
        let inputs = order.map(Clone::clone);
        assert!(bytes == bytes_of(&compiled(&inputs).set), "{inputs:?}");
    }
    let lines = LIST.lines().rev().chain(LIST.lines()).collect::<Vec<_>>().join("\n");
    let shuffled = folder.file("list", lines);
    assert!(bytes == bytes_of(&compiled(&[csv.clone(), event, shuffled, csv]).set), "shuffled");
    assert!(bytes != bytes_of(&compiled(&feeds[1..]).set), "what is left out is missing");
}

#[test]
fn a_file_answers_as_the_set_did() {
    let folder = Folder::new();
    let set = compiled(&folder.feeds()).set;
    let opened = open_bytes(&bytes_of(&set)).expect("a set");
    opened.verify().expect("whole");
    assert_eq!(answers(&opened.set), answers(&set));
    assert!(answers(&set).iter().filter(|answer| answer.contains("Found")).count() > 12);
    assert_eq!(opened.set.version, set.version);
    // what these would refuse was left out when it was compiled
    let policy = Policy { allow_public_suffix: true, ..options().policy };
    assert_eq!(opened.set.policy, policy);
    assert_eq!(bytes_of(&opened.set), bytes_of(&set));
}

/// Asks a set that lies, which may answer anything.
fn answers_are_no_panic(opened: &Opened) {
    drop(answers(&opened.set));
}

#[test]
fn no_flipped_or_missing_byte_goes_unseen() {
    let folder = Folder::new();
    let whole = bytes_of(&compiled(&[folder.file("list", "evil.example\n9.1.2.3\n")]).set);
    let told = |bytes: &[u8]| match open_bytes(bytes) {
        Ok(opened) => {
            answers_are_no_panic(&opened);
            opened.verify()
        }
        Err(error) => Err(error),
    };
    told(&whole).expect("whole");
    for at in 0..whole.len() {
        assert!(told(&whole[..at]).is_err(), "cut at {at}");
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(told(&flipped).is_err(), "flipped at {at}");
    }
    assert!(told(&[whole.as_slice(), &[0]].concat()).is_err(), "one byte more");
}

/// What people are told, and which of two nested prefixes is told of an address: nothing beside
/// says otherwise, so only the checksums speak for them.
const UNCHECKED: &[&str] = &["index/len", "prefixes_v4/inner", "prefixes_v6/inner"];

#[test]
fn bodies_that_lie_are_found_out() {
    // with checksums that fit them
    let folder = Folder::new();
    let set = compiled(&folder.feeds()).set;
    let (mut lies, mut unseen) = (0, Vec::new());
    for at in 0.. {
        let mut changed = None;
        let bytes = bytes_with(&set, |gathered| {
            let Some(part) = gathered.parts.get_mut(at) else { return };
            let mut body = (*part.bytes).as_ref().to_vec();
            body.iter_mut().for_each(|byte| *byte = !*byte);
            changed = Some((part.section.name(), body.len()));
            part.bytes = Box::new(body);
        });
        let Some((name, len)) = changed else { break };
        let Ok(opened) = open_bytes(&bytes) else { continue };
        answers_are_no_panic(&opened);
        match opened.verify() {
            Err(_) => lies += 1,
            Ok(()) if len == 0 || UNCHECKED.contains(&name.as_str()) => {}
            Ok(()) => unseen.push(name),
        }
    }
    assert_eq!(unseen, Vec::<String>::new());
    assert!(lies > 30, "{lies}");
}

#[test]
fn other_formats_and_machines_are_named() {
    let folder = Folder::new();
    let good = bytes_of(&compiled(&[folder.file("list", "evil.example\n")]).set);
    let with = |at: usize, bytes: &[u8]| {
        let mut other = good.clone();
        other[at..at + bytes.len()].copy_from_slice(bytes);
        why(&other)
    };
    assert!(with(8, &2_u32.to_ne_bytes()).contains("of format 2"));
    assert!(with(12, &0x0102_0304_u32.swap_bytes().to_ne_bytes()).contains("other byte order"));
    assert!(with(0, b"x").contains("not a compiled set"));
    assert!(why(&good[..good.len() - 64]).contains("fetch or compile it again"));
    assert!(why(&[]).contains("not a compiled set"));
}

#[test]
fn unknown_sections_are_skipped_unless_needed() {
    let folder = Folder::new();
    let set = compiled(&folder.feeds()).set;
    let add = |needed| {
        move |gathered: &mut Gathered| {
            gathered.table(["later", "thing"], &mut Table::from(vec![1_u64, 2, 3]));
            gathered.parts.last_mut().expect("added").section.needed = needed;
        }
    };
    let opened = open_bytes(&bytes_with(&set, add(0))).expect("a set");
    assert_eq!(opened.unknown, ["later/thing"]);
    opened.verify().expect("whole");
    assert_eq!(answers(&opened.set), answers(&set));
    assert!(why(&bytes_with(&set, add(1))).contains("later/thing"));

    // an older build did not write it yet
    let without = bytes_with(&set, |gathered| {
        gathered.parts.retain(|part| !part.section.name().starts_with("ports/"));
    });
    let opened = open_bytes(&without).expect("a set");
    assert_eq!(answers(&opened.set)[..40], answers(&set)[..40]);
    opened.verify().expect("whole");
}

#[test]
fn what_was_opted_in_is_known_though_there_is_none_of_it() {
    let folder = Folder::new();
    let list = folder.file("list", "evil.example\n");
    let opt_in = vec![IndicatorType::Port, IndicatorType::UserAgent];
    let policy = Policy { opt_in: opt_in.clone(), ..Policy::default() };
    let asked = IntelOptions { policy, ..IntelOptions::default() };
    let set = compile(std::slice::from_ref(&list), &asked).expect("a set").set;
    let opened = open_bytes(&bytes_of(&set)).expect("a set");
    opened.verify().expect("whole");
    let told =
        |set: &IndicatorSet| set.policy.opt_in.iter().map(|ty| ty.name()).collect::<Vec<_>>();
    let mut names = told(&opened.set);
    names.sort_unstable();
    assert_eq!(names, ["port", "user-agent"]);
    let path = folder.0.path().join("set");
    store(&set, &path).expect("a file");
    let taken = compile(std::slice::from_ref(&path), &asked).expect("a set");
    assert_eq!(taken.notes, Vec::<String>::new());
    // an older build did not write it yet, and had another version then
    let plain = compile(&[list], &IntelOptions::default()).expect("a set").set;
    assert_ne!(plain.version, set.version);
    let without = bytes_with(&plain, |gathered| {
        gathered.parts.retain(|part| part.section.name() != "policy/opted");
    });
    let opened = open_bytes(&without).expect("a set");
    opened.verify().expect("whole");
    assert!(told(&opened.set).is_empty());
}

#[test]
fn names_of_sections_are_distinct() {
    let folder = Folder::new();
    let set = compiled(&folder.feeds()).set;
    let mut names = Vec::new();
    bytes_with(&set, |gathered| {
        names.extend(gathered.parts.iter().map(|part| part.section.name));
    });
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    assert_eq!(Section::name_of(["user_agent_parts", "entries"]), *b"user_agent_parts/entries");
}

#[test]
fn a_map_outlives_the_file_that_replaces_it() {
    let folder = Folder::new();
    let path = folder.0.path().join("set");
    let set_of = |text: &str| compiled(&[folder.file("list", text)]).set;
    let (old, new) = (set_of("evil.example\n"), set_of("c2.example\n9.1.2.3\n"));
    let bytes = store(&old, &path).expect("stored");
    assert_eq!(bytes, fs::metadata(&path).expect("a file").len());
    let opened = open(&path).expect("a set");
    store(&new, &path).expect("stored over it");
    assert_eq!(answers(&opened.set), answers(&old));
    opened.verify().expect("whole");
    assert_eq!(answers(&open(&path).expect("a set").set), answers(&new));
    let left = fs::read_dir(folder.0.path()).expect("folder").count();
    assert_eq!(left, 2, "no temporary file stays");
    assert!(store(&new, &folder.0.path().join("no/such/set")).is_err());
}

#[test]
fn merging_keeps_every_story() {
    let folder = Folder::new();
    let feeds = folder.feeds();
    let whole = bytes_of(&compiled(&feeds).set);
    let path = folder.0.path().join("set");
    for at in 0..feeds.len() {
        let mut rest = feeds.clone();
        store(&compiled(&[rest.remove(at)]).set, &path).expect("stored");
        rest.push(path.clone());
        let merged = compiled(&rest);
        assert_eq!(merged.damages, []);
        assert!(merged.opened.is_none());
        assert!(bytes_of(&merged.set) == whole, "{:?} as a set", feeds[at]);
    }
}

#[test]
fn alone_it_is_taken_as_it_is() {
    let folder = Folder::new();
    let set = compiled(&folder.feeds()).set;
    let path = folder.file("set", bytes_of(&set));
    let taken = compiled(std::slice::from_ref(&path));
    assert_eq!((&taken.set.version, taken.notes.len()), (&set.version, 0));
    assert_eq!(taken.ledger.seen, set.catalog.len() as u64);
    assert!(taken.opened.is_some());
    taken.verified().expect("whole");

    let policy =
        Policy { tls_url_hosts: true, opt_in: vec![IndicatorType::Port], ..options().policy };
    let late = IntelOptions { policy, ..options() };
    let taken = compile(std::slice::from_ref(&path), &late).expect("a set");
    assert!(taken.notes[0].contains("tls-url-hosts, opt-in port"), "{:?}", taken.notes);

    let canary = IntelOptions { canary: true, ..options() };
    let merged = compile(std::slice::from_ref(&path), &canary).expect("a set");
    assert!(merged.opened.is_none());
    assert!(merged.set.catalog.find(IndicatorType::Domain, CANARY_DOMAIN).is_some());
    store(&merged.set, &path).expect("stored");
    let taken = compile(std::slice::from_ref(&path), &canary).expect("a set");
    assert_eq!(taken.set.version, merged.set.version);
    assert!(taken.opened.is_some());
}

#[test]
fn what_warninglists_said_stays_where_a_set_is_merged() {
    let folder = Folder::new();
    let (list, more) = (folder.file("list", "evil.example\n"), folder.file("more", "9.1.2.3\n"));
    let warning = folder.file(
        "warninglist.json",
        r#"{"name":"W","type":"hostname","matching_attributes":["domain"],"list":["evil.example"]}"#,
    );
    let inputs = vec![(warning, Some(Action::Downgrade))];
    let warninglists = WarninglistSettings { inputs, ..WarninglistSettings::default() };
    let warned = compile(&[list], &IntelOptions { warninglists, ..options() }).expect("a set");
    let path = folder.file("set", bytes_of(&warned.set));
    let merged = compiled(&[path, more]);
    let id = merged.set.catalog.find(IndicatorType::Domain, "evil.example").expect("there");
    let tags = &merged.set.catalog.sources(id)[0].tags;
    assert_eq!(*tags, ["tapsieve:warninglist-downgrade=\"W\""]);
}

#[test]
fn it_is_taken_as_it_is_where_the_same_is_asked_as_when_it_was_compiled() {
    let folder = Folder::new();
    let path = folder.file("set", bytes_of(&compiled(&folder.feeds()).set));
    let own = |net: &str| {
        let own_networks = vec![net.parse().expect("a network")];
        IntelOptions { policy: Policy { own_networks, ..options().policy }, ..options() }
    };
    let tags = vec![TagRule::from_text("!tlp:red").expect("a rule")];
    let tagged =
        IntelOptions { filter: Filter { tags, ..Filter::default() }, ..own("192.0.2.0/24") };
    let take = |options| compile(std::slice::from_ref(&path), &options).expect("a set");
    let mut versions = BTreeSet::new();
    for asked in [own("192.0.2.0/24"), own("198.51.100.0/24"), tagged] {
        let merged = take(asked.clone());
        assert!(merged.opened.is_none());
        assert!(merged.notes[0].contains("is read as a feed"), "{:?}", merged.notes);
        store(&merged.set, &path).expect("stored");
        let taken = take(asked);
        assert!(taken.opened.is_some() && taken.notes.is_empty(), "{:?}", taken.notes);
        assert_eq!(taken.set.version, merged.set.version);
        versions.insert(taken.verified().expect("whole").set.version.clone());
    }
    assert_eq!(versions.len(), 3);
    // who asks nothing takes what others asked for
    assert!(take(options()).opened.is_some());
}

#[test]
fn a_damaged_one_is_named() {
    let folder = Folder::new();
    let mut bytes = bytes_of(&compiled(&folder.feeds()).set);
    let list = folder.file("list", "evil.example\n");
    let last = bytes.iter().rposition(|byte| *byte != 0).expect("contents");
    bytes[last] ^= 1;
    let path = folder.file("set", &bytes);
    let merged = compiled(&[list, path.clone()]);
    assert_eq!(merged.set.catalog.len(), 1);
    assert!(merged.damages[0].to_string().contains("is damaged"), "{:?}", merged.damages);
    let alone = compiled(std::slice::from_ref(&path)).verified();
    assert!(alone.is_err_and(|error| error.to_string().starts_with(&path.display().to_string())));
    fs::write(&path, &bytes[..bytes.len() / 2]).expect("cut");
    let cut = compile(std::slice::from_ref(&path), &options()).expect_err("cut");
    assert!(cut.to_string().contains("fetch or compile it again"), "{cut}");
    assert!(open(Path::new("/dev/null")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_set_answers_the_same_from_a_file(
        picks in prop::collection::vec((0_usize..12, any::<u32>()), 1..80),
    ) {
        let line = |(form, n): &(usize, u32)| {
            let [a, b, c, d] = n.to_be_bytes();
            match form {
                0 => format!("{}.{b}.{c}.{d}", a % 8),
                1 => format!("203.0.113.{}", d % 16),
                2 => format!("9.{}.0.0/16", d % 4),
                3 => format!("2001:db8::{:x}", d % 4),
                4 => format!("2001:db8:{:x}::/48", d % 4),
                5 => format!("{}.evil.example", d % 4),
                6 => "evil.example".to_owned(),
                7 => format!("http://evil.example/a/{}*", ["", "b", "b/", "b/c"][usize::from(d % 4)]),
                8 => format!("http://evil.example/a/b/c?d={d}"),
                9 => format!("203.0.113.9:{}", 440 + u32::from(d % 8)),
                10 => format!("{:x}.example.org", n % 64),
                _ => "http://evil.example/".to_owned(),
            }
        };
        let folder = Folder::new();
        let list = folder.file("list", picks.iter().map(line).collect::<Vec<_>>().join("\n"));
        let Ok(made) = compile(&[list], &options()) else { return Ok(()) };
        let opened = open_bytes(&bytes_of(&made.set)).expect("a set");
        prop_assert!(opened.verify().is_ok());
        prop_assert_eq!(answers(&opened.set), answers(&made.set));
    }
}
