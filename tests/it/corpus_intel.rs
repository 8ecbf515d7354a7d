//! Indicators of the world: others' events and lists, where that corpus lies beside the repository.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tapsieve::control::intel::IntelError;
use tapsieve::control::intel::IntelOptions;
use tapsieve::control::intel::compile::Compiled;
use tapsieve::control::intel::compile::compile;
use tapsieve::control::intel::warninglist::Action;
use tapsieve::control::intel::warninglist::Warninglists;
use tapsieve::model::indicator::IndicatorType;

use crate::run::corpus;

/// What becomes of each attribute of the corpus's event of quirks: type, value (or its beginning),
/// reason; those that are not here are indicators.
const QUIRKS_LEFT_OUT: &[(&str, &str, &str)] = &[
    ("ip-dst", "0.0.0.0/0", "too_short"),
    ("ip-dst", "203.0.113.010", "leading_zero"),
    ("ip-dst", "203.0.113.13,203.0.113.14", "several_values"),
    ("ip-dst", "203.0.113.16-203.0.113.31", "address_range"),
    ("ip-dst", "999.1.1.1", "bad_address"),
    ("ip-src|port", "203.0.113.23|0", "bad_port"),
    ("domain", "com", "public_suffix"),
    ("domain", "203.0.113.30", "address_in_name"),
    ("domain", "http://evil.example/path", "url_in_name"),
    ("domain", "labelxxxxxxxx", "bad_name"),
    ("domain", "aaaaaaaaaaaaaaaa", "bad_name"), // 254 characters: RFC 1035 §2.3.4 allows 253
    ("domain", "evil.example # comment", "bad_name"),
    ("url", "ftp://evil.example/f", "unsupported_scheme"),
    ("uri", "/gate.php?id=", "path_only"),
    ("user-agent", "Mozilla/4.0", "opt_in"),
    ("user-agent", "", "opt_in"),
    ("text", "JA4", "unsupported"),
    ("jarm-fingerprint", "07d14d16", "unsupported"),
    ("ip-dst", "203.0.113.60", "not_for_ids"),
    ("domain", "deleted.example", "deleted"),
    ("email-dst", "x@evil.example", "unsupported"),
    ("AS", "AS64500", "opt_in"),
    ("mac-address", "00:11:22:33:44:55", "opt_in"),
    ("sha256", "e3b0c442", "unsupported"),
];

fn lenient() -> IntelOptions {
    let mut options = IntelOptions::default();
    options.policy.allow_special = true;
    options
}

fn adds_up(path: &Path, compiled: &Compiled) {
    let ledger = &compiled.ledger;
    let sum = ledger.accepted_total() + ledger.left_out_total();
    assert_eq!(ledger.seen, sum, "{}", path.display());
}

pub(crate) fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
    found.sort();
}

/// Counts the objects in a JSON value that have both a type and a value, proposals aside: the
/// attributes.
pub(crate) fn attributes(json: &serde_json::Value, name: &str) -> u64 {
    match json {
        serde_json::Value::Array(list) => list.iter().map(|one| attributes(one, name)).sum(),
        serde_json::Value::Object(map) => {
            let own = name == "Attribute" && map.contains_key("value");
            let aside = ["ShadowAttribute", "ObjectReference"];
            let inner = map.iter().filter(|(name, _)| !aside.contains(&name.as_str()));
            u64::from(own) + inner.map(|(name, one)| attributes(one, name)).sum::<u64>()
        }
        _ => 0,
    }
}

#[test]
fn totals_of_every_real_file_add_up() {
    let Some(corpus) = corpus() else { return };
    let mut all = Vec::new();
    for folder in ["misp", "lists"] {
        files(&corpus.join(folder), &mut all);
    }
    let mut usable = 0;
    for path in &all {
        match compile(std::slice::from_ref(path), &lenient()) {
            Ok(compiled) => {
                usable += 1;
                adds_up(path, &compiled);
                let text = fs::read(path).expect("a readable file");
                if let Ok(json) = serde_json::from_slice(&text) {
                    assert_eq!(compiled.ledger.seen, attributes(&json, ""), "{}", path.display());
                }
            }
            Err(IntelError::NothingUsable { .. } | IntelError::Unreadable(_)) => {}
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
    assert!(usable > 50, "only {usable} of {} files", all.len());
}

/// Reads the corpus's real warninglists; some of its files are empty.
#[test]
fn real_warninglists_are_read_and_every_attribute_is_told() {
    let Some(corpus) = corpus() else { return };
    let folder = corpus.join("misp/warninglists");
    let mut options = lenient();
    options.warninglists.inputs.push((folder, None));
    let (lists, damage) = Warninglists::load(&options.warninglists);
    let (odd, empty) =
        damage.iter().partition::<Vec<_>, _>(|damage| damage.what.starts_with("entry "));
    assert!(!lists.is_empty());
    assert!(empty.iter().all(|damage| damage.what == "empty file"), "{empty:?}");
    let odd = odd.iter().map(|damage| damage.what.as_str()).collect::<Vec<_>>();
    assert_eq!(odd.len(), 2, "{odd:?}");
    assert!(odd[0].contains("barclays") && odd[1].contains("corona helden"), "{odd:?}");
    let mut named = 0;
    for path in ["misp/feed-public", "misp/events", "lists/zeek-intel", "lists/ipsum"] {
        let path = corpus.join(path);
        let compiled = compile(std::slice::from_ref(&path), &options).expect("usable");
        adds_up(&path, &compiled);
        let ledger = &compiled.ledger;
        let by_list = ledger.warninglists.iter().filter(|((_, action), _)| *action == Action::Drop);
        let by_list = by_list.map(|(_, n)| n).sum::<u64>();
        let dropped = ledger.refused_by_reason().get("warninglist").copied().unwrap_or(0);
        assert!(dropped <= by_list, "{}: {dropped} of {by_list}", path.display());
        assert_eq!(dropped > 0, by_list > 0, "{}", path.display());
        named += by_list;
    }
    assert!(named > 100, "{named}");
}

#[test]
fn a_feed_and_the_search_of_its_attributes_agree() {
    let Some(corpus) = corpus() else { return };
    // a search for attributes does not tell what their objects say
    let options = IntelOptions { objects_in_parts: true, ..lenient() };
    let set = |path| compile(&[corpus.join(path)], &options).expect("usable").set;
    let [feed, search] = ["misp/feed-public", "misp/restsearch-public"].map(set);
    let values = |set: &tapsieve::control::intel::set::IndicatorSet| {
        let catalog = &set.catalog;
        let one = |id| (catalog.indicator_type(id), catalog.value(id).to_owned());
        catalog.ids().map(one).collect::<Vec<_>>()
    };
    assert_eq!(values(&feed), values(&search));
}

#[test]
fn quirks_are_treated_as_explained() {
    let Some(corpus) = corpus() else { return };
    let mut expected = BTreeMap::<&str, BTreeMap<String, u64>>::new();
    for (ty, _, reason) in QUIRKS_LEFT_OUT {
        *expected.entry(reason).or_default().entry((*ty).to_owned()).or_default() += 1;
    }
    let mut reader =
        csv::Reader::from_path(corpus.join("misp/synthetic/quirks_explained.csv")).expect("CSV");
    let rows = reader.records().map(|row| row.expect("a row")).collect::<Vec<_>>();
    for name in ["misp/synthetic/quirks_event.json", "misp/synthetic/quirks_restsearch.json"] {
        let compiled = compile(&[corpus.join(name)], &lenient()).expect("usable");
        let found = compiled.ledger.left_out.iter().map(|(why, types)| (why.name(), types.clone()));
        assert_eq!(found.collect::<BTreeMap<_, _>>(), expected, "{name}");
        let catalog = &compiled.set.catalog;
        let told = catalog.ids().flat_map(|id| catalog.sources(id));
        let told = told.filter_map(|source| source.attribute).collect::<BTreeSet<_>>();
        for row in &rows {
            let (uuid, ty, value) = (&row[0], &row[1], row[2].trim());
            let left_out = QUIRKS_LEFT_OUT.iter().any(|(left_type, begins, _)| {
                *left_type == ty
                    && value.starts_with(begins)
                    && begins.is_empty() == value.is_empty()
                    && (*begins != "com" || value == "com")
            });
            assert_ne!(told.contains(uuid), left_out, "{name}: {ty} {value}: {}", &row[3]);
        }
    }
}

#[test]
fn spellings_of_one_name_are_one_indicator() {
    let Some(corpus) = corpus() else { return };
    let quirks = corpus.join("misp/synthetic/quirks_event.json");
    let catalog = &compile(&[quirks], &lenient()).expect("usable").set.catalog;
    for (ty, canonical, attributes) in [
        (IndicatorType::Domain, "xn--bcher-malware-wob.example", 2),
        (IndicatorType::Domain, "evil.example", 3),
        (IndicatorType::IpDst, "198.51.100.7", 2),
        (IndicatorType::IpDst, "203.0.113.9", 1),
        (IndicatorType::IpDst, "2001:db8::ab", 1),
        (IndicatorType::IpDst, "203.0.113.70|443", 1),
        (IndicatorType::IpDstPort, "203.0.113.21|8443", 1),
        (IndicatorType::IpDstPort, "2001:db8::22|443", 1),
        (IndicatorType::DomainIp, "evil3.example|2001:db8::40", 1),
        (IndicatorType::Ja3s, "f4febc55ea12b31ae17cfb7e614afda8", 1),
        (IndicatorType::Ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1", 1),
        (IndicatorType::X509Sha1, "aabbccddeeff00112233445566778899aabbccdd", 1),
    ] {
        let id = catalog.find(ty, canonical);
        let found = id.map(|id| catalog.sources(id).len());
        assert_eq!(found, Some(attributes), "{} {canonical}", ty.name());
    }
}
