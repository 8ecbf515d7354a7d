//! Reports and groupings: what of them their indicators have.

use std::sync::Mutex;

use super::*;
use crate::control::intel::catalog::SourceRecord;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::harvest::Purpose;
use crate::control::intel::input::Listed;
use crate::control::intel::warninglist::Warninglists;

const RED: &str = "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed";
const GREEN: &str = "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da";

fn id(kind: &str, n: usize) -> String {
    format!("{kind}--{n:08x}-a1bc-4bf6-915e-215bdbf26eaf")
}

/// Returns an indicator of an address.
fn address(n: usize, more: &Value) -> Value {
    let mut object = indicator(&format!("[ipv4-addr:value = '9.9.9.{n}']"), more);
    object["id"] = json!(id("indicator", n));
    object
}

/// Returns a report of indicators.
fn report(n: usize, of: &[usize], more: &Value) -> Value {
    let refs = of.iter().map(|n| id("indicator", *n)).collect::<Vec<_>>();
    let mut object = json!({"type": "report", "id": id("report", n), "name": format!("Report {n}"),
        "modified": "2024-01-01T00:00:00.000Z", "published": "2024-01-01T00:00:00Z",
        "object_refs": refs});
    let fields = object.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    object
}

fn amber() -> IntelOptions {
    let filter = Filter { tlp_max: Some(Tlp::Amber), ..Filter::default() };
    IntelOptions { filter, ..IntelOptions::default() }
}

/// Returns the addresses of a set, each with title and tags of its sources.
fn told(compiled: &Compiled) -> Vec<(String, String, String)> {
    let catalog = &compiled.set.catalog;
    let one = |id| {
        let sources = catalog.sources(id).into_iter();
        sources.map(move |source| {
            let info = source.info.unwrap_or_default();
            (catalog.value(id).to_owned(), info, source.tags.join(" "))
        })
    };
    catalog.ids().flat_map(one).collect()
}

#[test]
fn an_indicator_has_what_its_report_says_wherever_that_stands() {
    let own = json!({"labels": ["c2"], "object_marking_refs": [GREEN]});
    let around = json!({"created_by_ref": IDENTITY, "object_marking_refs": [RED, MARKING],
        "labels": ["Threat-Report", "misp:tool=\"MISP-STIX-Converter\"", "apt"]});
    let objects = [
        address(1, &own),
        address(2, &json!({})),
        report(7, &[1], &around),
        json!({"type": "identity", "id": IDENTITY, "name": "CERN"}),
        json!({"type": "marking-definition", "id": MARKING, "name": "PAP:AMBER"}),
    ];
    for turn in 0..objects.len() {
        let mut objects = objects.clone();
        objects.rotate_left(turn);
        let all = compiled(&whole(&objects), &IntelOptions::default()).expect("usable");
        assert!(all.damages.is_empty(), "{:?}", all.damages);
        let catalog = &all.set.catalog;
        let source = catalog.ids().map(|id| catalog.sources(id).remove(0)).next();
        let source = source.expect("a source");
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(source.attribute, text("00000001-a1bc-4bf6-915e-215bdbf26eaf"));
        assert_eq!(source.event, text("00000007-a1bc-4bf6-915e-215bdbf26eaf"));
        assert_eq!((source.info, source.org), (text("Report 7"), text("CERN")));
        assert_eq!(source.tags, ["apt", "c2", "pap:amber", "tlp:green", "tlp:red"]);
        assert_eq!(source.comment, text("Campaign X: seen at a site"));
        let judged = compiled(&whole(&objects), &amber()).expect("usable");
        let none = String::new();
        assert_eq!(told(&judged), [("9.9.9.2".into(), "Campaign X".into(), none)]);
        assert_eq!(left_out(&judged), [("tlp", "ip-dst", 1)]);
    }
}

#[test]
fn objects_and_attributes_of_misp_are_in_their_event() {
    let attribute = id("x-misp-attribute", 1);
    let object = id("x-misp-object", 2);
    let text = whole(&[
        json!({"type": "x-misp-attribute", "id": attribute, "x_misp_type": "domain",
            "x_misp_value": "a.evil.com"}),
        json!({"type": "x-misp-object", "id": object, "x_misp_name": "x", "x_misp_attributes":
            [{"type": "domain", "value": "b.evil.com", "to_ids": true}]}),
        report(1, &[], &json!({"object_refs": [attribute, object], "labels": ["tlp:red"]})),
    ]);
    let all = compiled(&text, &IntelOptions::default()).expect("usable");
    let one = |name: &str| (name.to_owned(), "Report 1".to_owned(), "tlp:red".to_owned());
    assert_eq!(told(&all), [one("a.evil.com"), one("b.evil.com")]);
    let error = compiled(&text, &amber()).expect_err("nothing").to_string();
    assert!(error.contains("2 tlp"), "{error}");
}

#[test]
fn an_indicator_in_several_reports_is_in_each() {
    let text = whole(&[
        report(1, &[1, 1], &json!({"object_marking_refs": [RED]})),
        address(1, &json!({})),
        report(2, &[1], &json!({"object_marking_refs": [GREEN]})),
        json!({"type": "note", "id": id("note", 1), "object_refs": [id("indicator", 1)]}),
    ]);
    let one = |n: usize, tag: &str| ("9.9.9.1".to_owned(), format!("Report {n}"), tag.to_owned());
    let all = compiled(&text, &IntelOptions::default()).expect("usable");
    assert_eq!(told(&all), [one(1, "tlp:red"), one(2, "tlp:green")]);
    let judged = compiled(&text, &amber()).expect("usable");
    assert_eq!(told(&judged), [one(2, "tlp:green")]);
    assert_eq!(left_out(&judged), [("tlp", "ip-dst", 1)]);
}

#[test]
fn beyond_so_many_reports_the_strictest_marking_counts_and_that_is_said() {
    let red = json!({"object_marking_refs": [GREEN, RED]});
    let free = json!({});
    let mut objects =
        (0..70).map(|n| report(n, &[1], if n == 66 { &red } else { &free })).collect::<Vec<_>>();
    objects.extend([address(1, &free), address(2, &free)]);
    let all = compiled(&whole(&objects), &IntelOptions::default()).expect("usable");
    let [damage] = all.damages.as_slice() else { panic!("{:?}", all.damages) };
    let want = "1 objects are in more than 64 reports";
    assert!(damage.to_string().contains(want), "{damage}");
    let of_one = told(&all).into_iter().filter(|(value, ..)| value == "9.9.9.1");
    let tags = of_one.map(|(_, _, tags)| tags).collect::<Vec<_>>();
    assert_eq!(tags, vec!["tlp:red".to_owned(); 64]);
    let judged = compiled(&whole(&objects), &amber()).expect("usable");
    assert_eq!(values(&judged), [("ip-dst", "9.9.9.2")]);
}

#[test]
fn of_a_bundle_without_its_end_nothing_passes_a_filter() {
    let none = json!({});
    let text = whole(&[address(1, &none), report(1, &[1], &json!({"labels": ["tlp:red"]}))]);
    let text = text.strip_suffix(r#"],"type":"bundle"}"#).expect("a bundle's end");
    let all = compiled(text, &IntelOptions::default()).expect("usable");
    assert_eq!(values(&all), [("ip-dst", "9.9.9.1")]);
    let error = compiled(text, &amber()).expect_err("nothing").to_string();
    assert!(error.contains("broken JSON") && error.contains("nothing of it is taken"), "{error}");
}

#[test]
fn of_reports_the_newest_version_counts_and_none_that_was_revoked() {
    let at = |day: usize, more: Value| {
        let mut more = more;
        more["modified"] = json!(format!("2024-01-{day:02}T00:00:00Z"));
        more
    };
    let none = json!({});
    for turn in 0..5 {
        let mut objects = [
            report(1, &[1, 2], &at(1, json!({"name": "Old", "object_marking_refs": [RED]}))),
            report(1, &[1], &at(2, json!({"name": "New"}))),
            report(2, &[1], &json!({"revoked": true, "labels": ["gone"]})),
            address(1, &none),
            address(2, &none),
        ];
        objects.rotate_left(turn);
        let all = compiled(&whole(&objects), &IntelOptions::default()).expect("usable");
        let one = |value: &str, info: &str| (value.to_owned(), info.to_owned(), String::new());
        assert_eq!(told(&all), [one("9.9.9.1", "New"), one("9.9.9.2", "Campaign X")]);
    }
}

#[test]
fn an_event_that_is_not_published_is_a_grouping() {
    let grouping = |n: usize, context: &str| {
        let mut object = report(n, &[n], &json!({"type": "grouping", "context": context}));
        object.as_object_mut().expect("an object").remove("published");
        object
    };
    let none = json!({});
    let text = whole(&[
        grouping(1, "suspicious-activity"),
        grouping(2, "unspecified"),
        report(3, &[3], &none),
        address(1, &none),
        address(2, &none),
        address(3, &none),
    ]);
    let filter = Filter { published_only: true, ..Filter::default() };
    let options = IntelOptions { filter, ..IntelOptions::default() };
    let published = compiled(&text, &options).expect("usable");
    assert_eq!(values(&published), [("ip-dst", "9.9.9.2"), ("ip-dst", "9.9.9.3")]);
    assert_eq!(left_out(&published), [("unpublished", "ip-dst", 1)]);
}

/// Reads a bundle whose context is bounded; returns values with their tags, and what is said.
fn bounded(objects: &[Value], refs_max: usize, bytes_max: usize) -> (bool, Vec<String>, String) {
    let mut context = Context::bounded(refs_max, bytes_max);
    let text = whole(objects);
    let _broken = json::parse(text.as_bytes(), Top(&mut context));
    let is_over = context.is_over();
    let folder = tempfile::tempdir().expect("a folder");
    let file = Listed { path: folder.path().join("bundle"), ..Listed::default() };
    let tags = Mutex::new(Vec::new());
    let give = |harvest: Harvest<'_>| {
        let text = |tag: &u32| harvest.strings.texts.get(*tag).to_owned();
        let of = |source: &SourceRecord| {
            harvest.tags.lists.get(source.tags).iter().map(text).collect::<Vec<_>>().join(" ")
        };
        tags.lock().expect("whole").extend(harvest.sources.iter().map(of));
    };
    let options = IntelOptions::default();
    let lists = Warninglists::default();
    let purpose = Purpose::Compile;
    let gather = Gather { options: &options, lists: &lists, file: &file, purpose, give: &give };
    let mut bundle = Bundle::new(&gather, context.finish());
    let outcome = json::parse(text.as_bytes(), Top(&mut bundle));
    let fault = bundle.finish(outcome.map_err(|error| json::fault(&error)));
    let said = fault.err().map_or_else(String::new, |fault| fault.what);
    (is_over, tags.into_inner().expect("whole"), said)
}

#[test]
fn at_the_bound_of_references_the_strictest_marking_counts_for_all() {
    let free = json!({});
    let objects = [
        report(1, &[1, 2], &json!({"object_marking_refs": [AMBER]})),
        report(2, &[2, 3], &json!({"object_marking_refs": [RED]})),
        address(1, &free),
        address(2, &free),
        address(3, &free),
    ];
    let (_, tags, said) = bounded(&objects, 4, usize::MAX);
    assert_eq!((tags, said), (vec![String::new(); 4], String::new()));
    let (_, tags, said) = bounded(&objects, 3, usize::MAX);
    assert_eq!(tags, vec!["tlp:red".to_owned(); 4]);
    assert!(said.starts_with("reports refer to more than"), "{said}");
    assert!(bounded(&objects, 4, 10_000).1.len() == 4);
    assert!(!bounded(&objects, 4, 10_000).0);
    assert!(bounded(&objects, 4, 100).0);
}
