//! Lists of every mode, what they name, and what of them is left out.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::model::policy::Policy;

/// Reads lists, each a file of its own.
fn load(files: &[(&str, &str)], settings: &str) -> (Warninglists, Vec<String>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a temporary folder");
        fs::write(path, text).expect("a temporary file");
    }
    let mut all = WarninglistSettings::default();
    all.inputs.push((folder.path().to_owned(), None));
    for (name, action) in settings.split_whitespace().filter_map(|one| one.split_once('=')) {
        all.lists.insert(name.to_owned(), Action::from_name(action));
    }
    let (lists, damage) = Warninglists::load(&all);
    let damage = damage.iter().map(|damage| {
        let text = damage.to_string();
        text.split_once(".json: ").map_or(text.clone(), |(_, what)| what.to_owned())
    });
    (lists, damage.collect())
}

fn list(mode: &str, types: &str, entries: &str) -> String {
    format!(
        r#"{{"name":"L","version":1,"type":"{mode}","matching_attributes":[{types}],"list":[{entries}]}}"#
    )
}

fn judged(lists: &Warninglists, ty: &str, value: &str) -> Vec<u32> {
    let ty = IndicatorType::from_name(ty).expect("a type");
    let pattern = Pattern::from_text(ty, value, &Policy::wide()).expect(value);
    let mut named = Vec::new();
    lists.judge(ty, &pattern, value, &mut named);
    named
}

/// A list's mode, types and entries; then types and values, and whether the list names each.
fn check(mode: &str, types: &str, entries: &str, cases: &[(&str, &str, bool)]) {
    let (lists, damage) = load(&[("l.json", &list(mode, types, entries))], "");
    assert_eq!(damage, [""; 0]);
    for (ty, value, is_named) in cases {
        let named = judged(&lists, ty, value);
        assert_eq!(!named.is_empty(), *is_named, "{mode} {entries}: {ty} {value}");
    }
}

#[test]
fn a_string_is_the_whole_value() {
    check(
        "string",
        r#""domain","hostname","url","x509-fingerprint-sha1""#,
        r#""Google.com",".dot.example","http://a.example/X","AABBCCDDEEFF00112233445566778899AABBCCDD""#,
        &[
            ("domain", "google.com", true),
            ("domain", "GOOGLE[.]COM", true),
            ("domain", "www.google.com", false),
            ("domain", "dot.example", false),
            ("hostname|port", "google.com|443", true),
            ("url", "http://google.com/", false),
            ("url", "http://A.example/X", true),
            (
                "x509-fingerprint-sha1",
                "aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd",
                true,
            ),
        ],
    );
}

#[test]
fn a_hostname_has_all_under_it() {
    check(
        "hostname",
        r#""domain","hostname","url","domain|ip""#,
        r#""google.com",".bank.example","B\u00fccher.example""#,
        &[
            ("domain", "google.com", true),
            ("hostname", "www.google.com", true),
            ("hostname", "notgoogle.com", false),
            ("hostname", "google.com.evil.example", false),
            ("hostname", "www.bank.example", true),
            ("domain", "xn--bcher-kva.example", true),
            ("url", "https://www.google.com:8443/x?google.org", true),
            ("url", "http://evil.example/google.com", false),
            ("domain|ip", "www.google.com|9.9.9.9", true),
            ("hostname|port", "www.google.com|443", true),
        ],
    );
}

#[test]
fn a_prefix_shares_addresses_with_the_value() {
    check(
        "cidr",
        r#""ip-src","ip-dst","domain|ip""#,
        r#""9.9.8.0/23","8.8.8.8","2620:fe::/48","::ffff:9270:3d68""#,
        &[
            ("ip-dst", "9.9.9.9", true),
            ("ip-dst", "9.9.10.1", false),
            // MISP#3156: a prefix inside a listed one, and one around it
            ("ip-dst", "9.9.9.0/24", true),
            ("ip-dst", "9.9.0.0/16", true),
            ("ip-src", "8.0.0.0/9", true),
            ("ip-src", "8.9.0.0/16", false),
            ("ip-dst", "2620:fe::9", true),
            ("ip-dst", "146.112.61.104", true),
            ("ip-dst|port", "9.9.9.9|53", true),
            ("domain|ip", "evil.example|9.9.9.9", true),
            ("url", "http://9.9.9.9/", false),
        ],
    );
}

#[test]
fn expressions_are_inside_the_value() {
    check(
        "substring",
        r#""domain","url","ip-dst""#,
        r#""Phish-Sim.example","52.168.52""#,
        &[
            ("domain", "a.phish-sim.example", true),
            ("url", "http://evil.example/?u=phish-sim.example", true),
            ("ip-dst", "52.168.52.134", true),
            ("hostname", "a.phish-sim.example", false),
        ],
    );
    check(
        "regex",
        r#""domain","url""#,
        r#""/^WWW[0-9]\\.good\\.example$/i","bad[.]test$""#,
        &[
            ("domain", "www7.good.example", true),
            ("domain", "www7.good.example.evil.test", false),
            ("domain", "bad.test", true),
            ("url", "http://www7.good.example/", false),
        ],
    );
}

#[test]
fn types_bound_what_a_list_names() {
    for (types, ty, value, is_named) in [
        (r#""ip-src""#, "ip-dst", "9.9.9.9", false),
        (r#""ip-src""#, "ip-src", "9.9.9.9", true),
        (r#""ALL""#, "ip-dst", "9.9.9.9", true),
        ("", "url", "http://9.9.9.9/x", true),
        (r#""domain|ip""#, "domain|ip", "a.example|9.9.9.9", true),
        (r#""ip-dst|port""#, "ip-dst", "9.9.9.9", false),
        (r#""md5""#, "ip-dst", "9.9.9.9", false),
    ] {
        check("cidr", types, r#""9.9.9.0/24""#, &[(ty, value, is_named)]);
    }
}

#[test]
fn entries_that_cannot_be_meant_are_left_out_and_told() {
    for (mode, entry, why) in [
        ("substring", "77", "so short"),
        ("substring", "", "so short"),
        ("string", " ", "empty"),
        ("hostname", "..", "empty"),
        ("hostname", ".com", "top-level"),
        ("cidr", "0.0.0.0/0", "wider"),
        ("cidr", "::/3", "wider"),
        ("cidr", "9.9.9.9/33", "neither"),
        ("cidr", "evil.example", "neither"),
        ("regex", "/(/", "no regular expression"),
        ("regex", "/x*/", "every value"),
        ("regex", "/(a{1000}){1000}/", "no regular expression"),
    ] {
        let good = match mode {
            "cidr" => "9.9.9.9",
            _ => "good.example",
        };
        let text = list(mode, "", &format!(r#"{entry:?},"{good}""#));
        let (lists, damage) = load(&[("l.json", &text)], "");
        assert!(damage.len() == 1 && damage[0].contains(why), "{mode} {entry:?}: {damage:?}");
        assert!(damage[0].starts_with("entry 1 of "), "{damage:?}");
        let ty = if mode == "cidr" { "ip-dst" } else { "domain" };
        assert_eq!(judged(&lists, ty, good), [0], "{mode}");
        let other = if mode == "cidr" { "77.8.7.7" } else { "777.other.test" };
        assert_eq!(judged(&lists, ty, other), [0; 0], "{mode} {entry:?}");
    }
}

#[test]
fn what_misp_answers_is_read() {
    let entries = r#""WarninglistEntry":[{"id":"1","value":"9.9.9.0/24","warninglist_id":"3"}]"#;
    for text in [
        format!(
            r#"{{"Warninglist":{{"id":"3","name":"L","type":"cidr","enabled":true,
            "valid_attributes":"ip-src, ip-dst",{entries}}}}}"#
        ),
        format!(
            r#"{{"Warninglist":{{"id":"3","name":"L","type":"cidr","version":"2",
            "WarninglistType":[{{"type":"ip-dst"}}],{entries}}}}}"#
        ),
        format!(r#"{{"Warninglists":[{{"Warninglist":{{"name":"L","type":"cidr",{entries}}}}}]}}"#),
        format!(r#"[{{"Warninglist":{{"name":"L","type":["cidr"],{entries}}}}}]"#),
        r#"{"name":"L","type":"cidr","list":{"9.9.9.0/24":"why it is here"}}"#.to_owned(),
    ] {
        let (lists, damage) = load(&[("l.json", &text)], "");
        assert_eq!(
            (damage.as_slice(), lists.list(0).map(|l| l.name.as_str())),
            (&[][..], Some("L"))
        );
        assert_eq!(judged(&lists, "ip-dst", "9.9.9.9"), [0], "{text}");
    }
    for (text, why) in [
        (
            r#"{"Warninglists":[{"Warninglist":{"id":"3","name":"L","type":"cidr"}}]}"#,
            "its entries",
        ),
        (r#"{"name":"L","type":"glob","list":["x"]}"#, "\"glob\""),
        (r#"{"Event":{}}"#, "no warninglist"),
        ("version https://git-lfs", "line 1"),
        ("", "empty file"),
    ] {
        let (lists, damage) = load(&[("l.json", text)], "");
        assert!(lists.is_empty() && damage.len() == 1, "{text}: {damage:?}");
        assert!(damage[0].contains(why), "{damage:?}");
    }
    let off = r#"{"Warninglist":{"name":"L","type":"cidr","enabled":false,"WarninglistEntry":[]}}"#;
    assert!(load(&[("l.json", off)], "").0.is_empty());
}

#[test]
fn lists_do_what_their_settings_say() {
    let known = list("string", "", r#""a.example""#)
        .replace("\"version\"", "\"category\":\"known\",\"version\"");
    let files = [
        ("lists/one/list.json", list("string", "", r#""a.example""#)),
        ("lists/two/list.json", known),
        ("lists/three/list.json", list("string", "", r#""a.example""#)),
    ];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let actions = |settings: &str| {
        let (lists, damage) = load(&files, settings);
        let named = judged(&lists, "domain", "a.example");
        let action = |list: &u32| lists.list(*list).expect("a list").action.name();
        (named.iter().map(action).collect::<Vec<_>>(), damage.len())
    };
    assert_eq!(actions(""), (vec!["drop", "drop", "inform"], 0));
    assert_eq!(actions("one=downgrade three=off"), (vec!["downgrade", "inform"], 0));
    assert_eq!(actions("l=inform"), (vec!["inform"; 3], 0));
    assert_eq!(actions("four=drop"), (vec!["drop", "drop", "inform"], 1));
}

/// The rule in the plainest words, to hold the tables against.
fn is_under(name: &str, entry: &str) -> bool {
    name == entry || name.ends_with(&format!(".{entry}"))
}

proptest! {
    #[test]
    fn names_are_named_as_the_plain_rule_says(
        entries in proptest::collection::vec("[ab]{1,2}(\\.[ab]{1,2}){1,2}", 1..8),
        name in "[ab]{1,2}(\\.[ab]{1,2}){1,3}",
    ) {
        let quoted = entries.iter().map(|entry| format!("{entry:?}")).collect::<Vec<_>>().join(",");
        for mode in ["string", "hostname"] {
            let (lists, _) = load(&[("l.json", &list(mode, "", &quoted))], "");
            let want = entries.iter().any(|entry| match mode {
                "string" => name == *entry,
                _ => is_under(&name, entry),
            });
            prop_assert_eq!(!judged(&lists, "hostname", &name).is_empty(), want, "{} {}", mode, name);
        }
    }
}

#[test]
fn what_is_odd_of_a_list_is_told() {
    let told = |text: &str| load(&[("l.json", text)], "").1;
    let one = r#"{"name":"L","type":"string","list":"evil.example"}"#;
    assert_eq!(told(one), ["its entries are one text: a list of texts is expected"]);
    let slip = list("string", r#""ipdst","md5","ALL""#, r#""9.9.9.9""#);
    assert_eq!(told(&slip), [r#""L" is for "ipdst", which is no type of MISP"#]);
    let hosts = list("hostname", "", r#""a b","9.9.9.9","good.example","a/b""#);
    let told_of = told(&hosts);
    assert_eq!(told_of.len(), 2, "{told_of:?}");
    assert!(told_of[0].starts_with(r#"entry 1 of "L" is left out: "a b" is the name of no host"#));
    let marked = format!("\u{feff}{}", list("string", "", r#""evil.example""#));
    let (lists, damage) = load(&[("l.json", &marked)], "");
    assert_eq!((damage.len(), judged(&lists, "domain", "evil.example").len()), (0, 1));
}

#[test]
fn a_name_that_no_list_has_is_told_though_there_is_no_list() {
    let lists = [("absent".to_owned(), None)].into_iter().collect();
    let settings = WarninglistSettings { inputs: Vec::new(), lists };
    let (_, damage) = Warninglists::load(&settings);
    let told = damage.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(r#"no warninglist is named "absent""#), "{told:?}");
}

#[test]
fn bounds_are_of_a_whole_file_and_of_all_substrings() {
    let entries = |n: usize| vec!["\"evil\""; n].join(",");
    let half = crate::model::limits::WARNINGLIST_ENTRIES_MAX / 2 + 1;
    let one = list("string", "", &entries(half));
    let (_, damage) = load(&[("l.json", &format!("[{one},{one}]"))], "");
    assert_eq!(damage, ["more than 4000000 entries"]);
    let long = format!("\"{}\"", "x".repeat(64 * 1024));
    let (lists, damage) =
        load(&[("l.json", &list("substring", "", &vec![long; 65].join(",")))], "");
    assert!(damage[0].ends_with("bytes of substrings"), "{}", damage[0]);
    assert!(judged(&lists, "domain", "evil.example").is_empty());
}
