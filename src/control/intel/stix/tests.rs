//! Bundles, and what set and ledger come of them.

mod reports;

use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use super::*;
use crate::control::intel::IntelError;
use crate::control::intel::IntelOptions;
use crate::control::intel::compile::Compiled;
use crate::control::intel::compile::compile;
use crate::control::intel::filter::Filter;
use crate::control::intel::filter::TagRule;
use crate::model::marking::Tlp;
use crate::model::story::Source;
use crate::model::validity::AsOf;
use crate::model::validity::Validity;

const UUID: &str = "2d72a64d-a1bc-5bf6-915e-215bdbf26eaf";
const IDENTITY: &str = "identity--39a970c9-e4e2-5883-a2d3-09bc6ccf08a8";
const MARKING: &str = "marking-definition--0b2d7c16-c1ce-4b8e-9d5e-6a3c2a0b6f10";
const AMBER: &str = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82";

fn whole(objects: &[Value]) -> String {
    json!({"type": "bundle", "id": format!("bundle--{UUID}"), "objects": objects}).to_string()
}

/// Returns a bundle of objects that are not versions of one: the first keeps its id.
fn bundle(objects: &[Value]) -> String {
    let mut objects = objects.to_vec();
    let is_own = |object: &Value| object["id"].as_str().is_some_and(|id| id.ends_with(UUID));
    let own = objects.iter_mut().filter(|object| is_own(object));
    for (n, object) in own.enumerate().skip(1) {
        let id = object.get("id").and_then(Value::as_str).unwrap_or_default();
        if let Some((kind, UUID)) = id.split_once("--") {
            object["id"] = json!(format!("{kind}--{n:08x}{}", UUID.get(8..).expect("a UUID")));
        }
    }
    whole(&objects)
}

/// Returns an indicator with a pattern, and with other fields instead of or beside its own.
fn indicator(pattern: &str, more: &Value) -> Value {
    let mut object = json!({
        "type": "indicator", "spec_version": "2.1", "id": format!("indicator--{UUID}"),
        "created": "2023-11-14T22:13:20.000Z", "modified": "2023-11-14T22:13:29.000Z",
        "name": "Campaign X", "description": "seen at a site", "pattern": pattern,
        "pattern_type": "stix", "valid_from": "2023-11-01T00:00:00Z",
    });
    let fields = object.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    object
}

fn compiled(text: &str, options: &IntelOptions) -> Result<Compiled, IntelError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path: PathBuf = folder.path().join("bundle");
    std::fs::write(&path, text).expect("a temporary file");
    let compiled = compile(&[path], options)?;
    let ledger = &compiled.ledger;
    assert_eq!(ledger.seen, ledger.accepted_total() + ledger.left_out_total(), "{text}");
    Ok(compiled)
}

fn values(compiled: &Compiled) -> Vec<(&str, &str)> {
    let catalog = &compiled.set.catalog;
    let ty = |id| catalog.indicator_type(id).expect("a type").name();
    catalog.ids().map(|id| (ty(id), catalog.value(id))).collect()
}

fn left_out(compiled: &Compiled) -> Vec<(&'static str, &str, u64)> {
    let all = compiled.ledger.left_out.iter();
    all.flat_map(|(why, kinds)| kinds.iter().map(|(kind, n)| (why.name(), kind.as_str(), *n)))
        .collect()
}

fn only_source(compiled: &Compiled) -> Source {
    let catalog = &compiled.set.catalog;
    let mut sources = catalog.ids().flat_map(|id| catalog.sources(id)).collect::<Vec<_>>();
    assert_eq!(sources.len(), 1, "{sources:?}");
    sources.remove(0)
}

#[test]
fn bundles_are_known_whatever_the_order_of_their_fields() {
    for (text, is_stix) in [
        (r#"{"type":"bundle","id":"bundle--x","objects":[]}"#, true),
        (r#" {"id": "bundle--x", "objects": [{"type": "indi"#, true),
        (r#"{"spec_version":"2.0","objects":[{}]}"#, true),
        (r#"{"more":false,"objects":[]}"#, true),
        (r#"{"id":"bundle--x""#, true),
        (r#"{"id":"7","Event":{"objects":[]}}"#, false),
        (r#"{"Event":{"type":"bundle"}}"#, false),
        (r#"{"type":{"a":1},"objects":[]}"#, false),
        (r#"[{"type":"bundle"}]"#, false),
        ("type,value\n", false),
        ("", false),
    ] {
        assert_eq!(knows(text.as_bytes()), is_stix, "{text}");
    }
}

#[test]
fn every_alternative_is_accepted_or_told() {
    let text = bundle(&[
        indicator("[ipv4-addr:value IN ('9.9.9.9','9.9.9.10') OR file:name = 'x']", &json!({})),
        indicator("[domain-name:value = 'evil.example'] OR [url:value LIKE '%x']", &json!({})),
        indicator(
            "[domain-name:value = 'a.example'] AND [url:value = 'http://b.example/']",
            &json!({}),
        ),
        indicator("[ipv4-addr:value = '10.1.2.3']", &json!({})),
        indicator("[ipv4-addr:value = '9.9.9.11']", &json!({"revoked": true})),
        indicator("alert tcp any any -> any any", &json!({"pattern_type": "snort"})),
        indicator("", &json!({})),
        json!({"type": "indicator"}),
        json!({"type": "ipv4-addr", "value": "9.9.9.12"}),
        json!({"type": "relationship"}),
        json!("nonsense"),
    ]);
    let compiled = compiled(&text, &IntelOptions::default()).expect("usable");
    let want = [("ip-dst", "9.9.9.10"), ("ip-dst", "9.9.9.9"), ("hostname", "evil.example")];
    assert_eq!(values(&compiled), want);
    assert_eq!(
        left_out(&compiled),
        [
            ("unsupported", "file:name", 1),
            ("unsupported", "snort", 1),
            ("revoked", "ip-dst", 1),
            ("pattern_operator", "stix-pattern", 1),
            ("pattern_sequence", "stix-pattern", 1),
            ("pattern_syntax", "stix-pattern", 2),
            ("special_purpose", "ip-dst", 1),
        ]
    );
    assert!(compiled.damages.is_empty());
}

#[test]
fn what_is_said_of_an_indicator_is_carried() {
    let about = [
        json!({"type": "identity", "id": IDENTITY, "name": "CERN"}),
        json!({"type": "marking-definition", "id": MARKING, "definition_type": "statement",
            "definition": {"statement": "PAP:RED"}}),
    ];
    let one = indicator(
        "[ipv4-addr:value = '9.9.9.9']",
        &json!({"created_by_ref": IDENTITY, "object_marking_refs": [AMBER, MARKING],
            "labels": ["botnet", "misp:category=\"Network activity\""], "confidence": 85,
            "indicator_types": ["malicious-activity"], "valid_until": "2024-01-01T00:00:00.000Z"}),
    );
    let [identity, marking] = about;
    for order in
        [[&identity, &marking, &one], [&one, &identity, &marking], [&marking, &one, &identity]]
    {
        let text = bundle(&order.map(Clone::clone));
        let compiled = compiled(&text, &IntelOptions::default()).expect("usable");
        let source = only_source(&compiled);
        let text = |text: &str| Some(text.to_owned());
        let want = Source {
            attribute: text(UUID),
            event: None,
            event_id: None,
            info: text("Campaign X"),
            org: text("CERN"),
            provider: text("CERN"),
            tags: [
                "botnet",
                "malicious-activity",
                "pap:red",
                "tapsieve:confidence=\"85\"",
                "tapsieve:valid-until=\"2024-01-01T00:00:00Z\"",
                "tlp:amber",
            ]
            .map(str::to_owned)
            .to_vec(),
            comment: text("seen at a site"),
            first_seen: text("2023-11-01T00:00:00Z"),
            last_seen: None,
            modified: text("2023-11-14T22:13:29Z"),
        };
        assert_eq!(source, want);
    }
}

#[test]
fn a_marking_that_comes_later_is_judged_and_one_that_never_comes_is_named() {
    let definition = json!({"type": "marking-definition", "id": MARKING, "name": "TLP:RED",
        "extensions": {"extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d":
            {"extension_type": "property-extension", "tlp_2_0": "red"}}});
    let marked = json!({"object_marking_refs": [MARKING]});
    let red = indicator("[ipv4-addr:value = '9.9.9.9']", &marked);
    let free = indicator("[ipv4-addr:value = '9.9.9.10']", &json!({}));
    let filter = Filter { tlp_max: Some(Tlp::Amber), ..Filter::default() };
    let amber = IntelOptions { filter, ..IntelOptions::default() };
    let later = bundle(&[red.clone(), free.clone(), definition]);
    let judged = compiled(&later, &amber).expect("usable");
    assert_eq!(values(&judged), [("ip-dst", "9.9.9.10")]);
    assert_eq!(left_out(&judged), [("tlp", "ip-dst", 1)]);
    let never =
        compiled(&bundle(std::slice::from_ref(&red)), &IntelOptions::default()).expect("usable");
    assert_eq!(only_source(&never).tags, [MARKING]);
    let rule = TagRule::from_text("!marking-definition--*").expect("a rule");
    let filter = Filter { tags: vec![rule], ..Filter::default() };
    let known = IntelOptions { filter, ..IntelOptions::default() };
    let known = compiled(&bundle(&[red, free]), &known).expect("usable");
    assert_eq!(left_out(&known), [("tags", "ip-dst", 1)]);
}

/// STIX 2.1 §7.2.3: a marking of a part, as of the description alone, counts for the whole.
#[test]
fn a_marking_of_a_part_is_one_of_the_whole() {
    const RED: &str = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1";
    let part = json!({"granular_markings": [{"lang": "fr", "selectors": ["name"]},
        {"selectors": ["description"], "marking_ref": RED}]});
    let red = indicator("[ipv4-addr:value = '9.9.9.9']", &part);
    let free = |address: &str| indicator(&format!("[ipv4-addr:value = '{address}']"), &json!({}));
    let mut reported = free("9.9.9.11");
    let of_report = "indicator--4d72a64d-a1bc-5bf6-915e-215bdbf26eaf";
    reported["id"] = json!(of_report);
    let mut report = json!({"type": "report", "id": "report--5d72a64d-a1bc-5bf6-915e-215bdbf26eaf",
        "name": "R", "object_refs": [of_report]});
    report["granular_markings"] = part["granular_markings"].clone();
    let filter = Filter { tlp_max: Some(Tlp::Amber), ..Filter::default() };
    let amber = IntelOptions { filter, ..IntelOptions::default() };
    let text = bundle(&[red, free("9.9.9.10"), reported, report]);
    let judged = compiled(&text, &amber).expect("usable");
    assert_eq!(values(&judged), [("ip-dst", "9.9.9.10")]);
    assert_eq!(left_out(&judged), [("tlp", "ip-dst", 2)]);
}

#[test]
fn what_is_called_benign_alone_is_left_out() {
    let typed = |n: u8, more: &Value| indicator(&format!("[ipv4-addr:value = '9.9.9.{n}']"), more);
    let text = bundle(&[
        typed(1, &json!({"indicator_types": ["benign"]})),
        typed(2, &json!({"indicator_types": ["Benign"], "labels": ["botnet"]})),
        typed(3, &json!({"labels": ["benign"]})),
        typed(4, &json!({"indicator_types": ["benign", "compromised"]})),
        typed(5, &json!({"indicator_types": ["unknown"], "labels": ["benign"]})),
        typed(6, &json!({"indicator_types": []})),
    ]);
    let judged = compiled(&text, &IntelOptions::default()).expect("usable");
    let bad = [("ip-dst", "9.9.9.4"), ("ip-dst", "9.9.9.5"), ("ip-dst", "9.9.9.6")];
    assert_eq!(values(&judged), bad);
    assert_eq!(left_out(&judged), [("benign", "ip-dst", 3)]);
    let all = IntelOptions { include_non_ids: true, ..IntelOptions::default() };
    assert_eq!(values(&compiled(&text, &all).expect("usable")).len(), 6);
}

#[test]
fn a_time_that_is_none_is_told() {
    let text = bundle(&[
        indicator("[ipv4-addr:value = '9.9.9.1']", &json!({"modified": "yesterday"})),
        indicator("[ipv4-addr:value = '9.9.9.2']", &json!({"valid_from": "2025-13-45"})),
        indicator("[ipv4-addr:value = '9.9.9.3']", &json!({"valid_until": "9999-12-31T23:59:59Z"})),
    ]);
    let compiled = compiled(&text, &IntelOptions::default()).expect("usable");
    assert_eq!(values(&compiled).len(), 3);
    let notes = compiled.ledger.notes.iter().map(|((note, _), n)| (note.name(), *n));
    assert_eq!(notes.collect::<Vec<_>>(), [("bad_time", 2)]);
}

#[test]
fn what_ends_is_left_out_as_of_now_and_told_else() {
    let until = |time: &str| json!({"valid_until": time});
    let text = bundle(&[
        indicator("[ipv4-addr:value = '9.9.9.9']", &until("2024-01-01T00:00:00Z")),
        indicator("[ipv4-addr:value = '9.9.9.10']", &until("2199-01-01T00:00:00Z")),
    ]);
    for (as_of, want) in [
        (AsOf::Packet, &[("ip-dst", "9.9.9.10"), ("ip-dst", "9.9.9.9")][..]),
        (AsOf::Now, &[("ip-dst", "9.9.9.10")]),
        (AsOf::Off, &[("ip-dst", "9.9.9.10"), ("ip-dst", "9.9.9.9")]),
    ] {
        let validity = Validity { as_of, days_max: None };
        let filter = Filter { validity, ..Filter::default() };
        let options = IntelOptions { filter, ..IntelOptions::default() };
        let compiled = compiled(&text, &options).expect("usable");
        assert_eq!(values(&compiled), want);
        let ended = if as_of == AsOf::Now { vec![("ended", "ip-dst", 1)] } else { Vec::new() };
        assert_eq!(left_out(&compiled), ended);
    }
}

#[test]
fn misp_own_exports_keep_their_types() {
    let labels = |ty: &str, more: &[&str]| {
        let mut labels = vec![format!("misp:type=\"{ty}\""), "misp:category=\"x\"".to_owned()];
        labels.extend(more.iter().map(|label| (*label).to_owned()));
        json!({"labels": labels, "valid_until": "2024-01-01T00:00:00Z"})
    };
    let text = bundle(&[
        indicator("[domain-name:value = 'evil.example']", &labels("domain", &["tlp:green"])),
        indicator(
            "[domain-name:value = 'quiet.example']",
            &labels("domain", &["misp:to_ids=\"False\""]),
        ),
        json!({"type": "x-misp-attribute", "id": format!("x-misp-attribute--{UUID}"),
            "labels": ["misp:type=\"ja3-fingerprint-md5\""], "x_misp_type": "ja3-fingerprint-md5",
            "x_misp_value": "e7d705a3286e19ea42f587b344ee6865", "x_misp_comment": "c"}),
    ]);
    let compiled = compiled(&text, &IntelOptions::default()).expect("usable");
    let ja3 = ("ja3-fingerprint-md5", "e7d705a3286e19ea42f587b344ee6865");
    assert_eq!(values(&compiled), [("domain", "evil.example"), ja3]);
    assert_eq!(left_out(&compiled), [("not_for_ids", "domain", 1)]);
    let catalog = &compiled.set.catalog;
    let first = catalog.ids().next().map(|id| catalog.sources(id).remove(0)).expect("a source");
    assert_eq!(first.tags, ["tlp:green"]);
    assert_eq!(first.last_seen.as_deref(), Some("2024-01-01T00:00:00Z"));
}

/// Returns an indicator as MISP makes it of an object.
fn of_object(template: &str, pattern: &str) -> Value {
    let labels = [format!("misp:name=\"{template}\""), "misp:meta-category=\"network\"".to_owned()];
    let seen = "2023-11-14T22:13:29Z";
    indicator(pattern, &json!({"labels": labels, "name": null, "valid_from": seen}))
}

#[test]
fn objects_of_misp_are_their_attributes() {
    let (domain, ip) = ("domain-name:value", "domain-name:resolves_to_refs[*].value");
    let traffic = "network-traffic";
    let text = bundle(&[
        of_object("domain-ip", &format!("[{domain} = 'a.evil.com' AND {ip} = '9.9.9.1']")),
        of_object(
            "domain-ip",
            &format!("[{domain} = 'b.evil.com' AND {ip} = '9.9.9.2' AND {ip} = '9.9.9.3']"),
        ),
        of_object("domain-ip", &format!("[{domain} = 'c.evil.com']")),
        of_object(
            "url",
            "[url:value = 'http://d.evil.com/e' AND url:x_misp_domain = 'd.evil.com' AND \
             url:x_misp_port = '8080' AND url:x_misp_resource_path = '/e']",
        ),
        of_object(
            "ip-port",
            &format!(
                "[({traffic}:dst_ref.type = 'ipv4-addr' AND {traffic}:dst_ref.value = \
                 '9.9.9.4') AND {traffic}:dst_port = '443']"
            ),
        ),
        of_object("file", "[file:hashes.MD5 = 'ab' AND file:name = 'x']"),
        of_object("ip-port", &format!("[{traffic}:dst_ref.type = 'ipv4-addr']")),
    ]);
    let compiled = compiled(&text, &IntelOptions::default()).expect("usable");
    let want = [
        ("ip-dst", "9.9.9.2"),
        ("ip-dst", "9.9.9.3"),
        ("ip-dst|port", "9.9.9.4|443"),
        ("domain", "b.evil.com"),
        ("domain", "c.evil.com"),
        ("domain", "d.evil.com"),
        ("domain|ip", "a.evil.com|9.9.9.1"),
        ("url", "http://d.evil.com/e"),
    ];
    assert_eq!(values(&compiled), want);
    assert_eq!(
        left_out(&compiled),
        [
            ("unsupported", "file:hashes.MD5", 1),
            ("unsupported", "file:name", 1),
            ("unsupported", "url:x_misp_resource_path", 1),
            ("opt_in", "port", 1),
            ("of_address", "port", 1),
            ("pattern_and", "stix-pattern", 1),
        ]
    );
    // the pattern alone would ask for both, and for that name alone
    let pattern = format!("[{domain} = 'a.evil.com' AND {ip} = '9.9.9.1']");
    let other = indicator("[ipv4-addr:value = '9.9.9.9']", &json!({}));
    let plain = bundle(&[indicator(&pattern, &json!({})), other]);
    let plain = self::compiled(&plain, &IntelOptions::default()).expect("usable");
    assert_eq!(left_out(&plain), [("pattern_and", "stix-pattern", 1)]);
}

#[test]
fn custom_objects_are_read_as_in_misp_own_json() {
    let ja4 = "t13d1516h2_8daaf6152771_e5627efa2ab1";
    let own = "3d72a64d-a1bc-5bf6-915e-215bdbf26eaf";
    let object = |name: &str, attributes: Value| {
        json!({"type": "x-misp-object", "id": format!("x-misp-object--{UUID}"),
            "modified": "2023-11-14T22:13:29.000Z", "labels": [format!("misp:name=\"{name}\"")],
            "x_misp_name": name, "x_misp_comment": "of all", "x_misp_attributes": attributes})
    };
    let text = bundle(&[
        object(
            "ja4-plus",
            json!([
                {"type": "text", "object_relation": "ja4-fingerprint", "value": ja4, "uuid": own,
                    "comment": "of one"},
                {"type": "text", "object_relation": "ja4-type", "value": "JA4"},
            ]),
        ),
        {
            let mut other = object(
                "ja4-plus",
                json!([
                    {"type": "text", "object_relation": "ja4-fingerprint", "value": "t1_a_b"},
                    {"type": "text", "object_relation": "ja4-type", "value": "JA4S"},
                    {"type": "ip-dst", "object_relation": "ip-dst", "value": "9.9.9.1"},
                    {"type": "ip-dst", "object_relation": "ip-dst", "value": "9.9.9.2",
                        "to_ids": true},
                ]),
            );
            other["id"] = json!("x-misp-object--4d72a64d-a1bc-5bf6-915e-215bdbf26eaf");
            other
        },
        json!({"type": "x-misp-object", "x_misp_attributes": [7, {"value": {}}, "x"]}),
    ]);
    let compiled = compiled(&text, &IntelOptions::default()).expect("usable");
    assert_eq!(values(&compiled), [("ip-dst", "9.9.9.2"), ("ja4", ja4)]);
    assert_eq!(
        left_out(&compiled),
        [
            ("unsupported", "", 1),
            ("unsupported", "text", 2),
            ("other_ja4", "text", 1),
            ("not_for_ids", "ip-dst", 1),
        ]
    );
    let catalog = &compiled.set.catalog;
    let sources = catalog.ids().map(|id| catalog.sources(id).remove(0)).collect::<Vec<_>>();
    let told = |n: usize| (sources[n].attribute.as_deref(), sources[n].comment.as_deref());
    assert_eq!(told(0), (Some("4d72a64d-a1bc-5bf6-915e-215bdbf26eaf"), Some("of all")));
    assert_eq!(told(1), (Some(own), Some("of one")));
}

#[test]
fn of_several_versions_the_newest_counts() {
    let version = |day: u32, pattern: &str, more: &Value| {
        let mut object = indicator(pattern, more);
        object["modified"] = json!(format!("2024-01-{day:02}T00:00:00.000Z"));
        object
    };
    let none = json!({});
    let (old, new) = ("[ipv4-addr:value = '9.9.9.1']", "[ipv4-addr:value = '9.9.9.2']");
    let identity = |name: &str, day: u32| {
        json!({"type": "identity", "id": IDENTITY, "name": name,
            "modified": format!("2024-01-{day:02}T00:00:00Z")})
    };
    let by = json!({"created_by_ref": IDENTITY});
    for objects in [
        [version(1, old, &by), version(2, new, &by), identity("Old", 1), identity("New", 2)],
        [identity("New", 2), version(2, new, &by), version(1, old, &by), identity("Old", 1)],
    ] {
        let compiled = compiled(&whole(&objects), &IntelOptions::default()).expect("usable");
        assert_eq!(values(&compiled), [("ip-dst", "9.9.9.2")]);
        assert_eq!(left_out(&compiled), [("superseded", "ip-dst", 1)]);
        assert_eq!(only_source(&compiled).org.as_deref(), Some("New"));
    }
    let mut other = indicator("[ipv4-addr:value = '9.9.9.3']", &none);
    other["id"] = json!("indicator--4d72a64d-a1bc-5bf6-915e-215bdbf26eaf");
    let revoked = version(3, new, &json!({"revoked": true}));
    let text = whole(&[revoked, version(2, old, &none), other]);
    let compiled = compiled(&text, &IntelOptions::default()).expect("usable");
    assert_eq!(values(&compiled), [("ip-dst", "9.9.9.3")]);
    assert_eq!(left_out(&compiled), [("revoked", "ip-dst", 1), ("superseded", "ip-dst", 1)]);
}

#[test]
fn what_is_no_bundle_of_indicators_says_so() {
    let error = |text: &str| compiled(text, &IntelOptions::default()).expect_err(text).to_string();
    let observed = bundle(&[json!({"type": "ipv4-addr", "value": "9.9.9.9"})]);
    assert!(
        error(&observed).ends_with("a STIX bundle without indicators: what was observed is none")
    );
    assert!(error(&bundle(&[])).ends_with("an empty STIX bundle"));
    assert!(error(r#"{"type":"bundle","objects":[{"type":"indic"#).contains("broken JSON"));
    let odd = r#"{"type":"bundle","objects":{"type":["indicator"],"pattern":7,"labels":{"a":1}}}"#;
    assert!(error(odd).ends_with("a STIX bundle without indicators: what was observed is none"));
}

#[test]
fn a_large_bundle_whose_identities_come_last_is_read_as_it_comes() {
    let mut objects = (0..40_000)
        .map(|n| {
            let [a, b, c] = [n / 65_536, n / 256 % 256, n % 256];
            let by = json!({"created_by_ref": IDENTITY, "name": n.to_string()});
            let mut one = indicator(&format!("[ipv4-addr:value = '9.{a}.{b}.{c}']"), &by);
            one["id"] = json!(format!("indicator--{n:08x}{}", UUID.get(8..).expect("a UUID")));
            one
        })
        .collect::<Vec<_>>();
    objects.push(json!({"type": "identity", "id": IDENTITY, "name": "CERN"}));
    let compiled = compiled(&whole(&objects), &IntelOptions::default()).expect("usable");
    assert!(compiled.damages.is_empty(), "{:?}", compiled.damages);
    let catalog = &compiled.set.catalog;
    assert_eq!(catalog.len(), 40_000);
    let org = |id| catalog.sources(id).remove(0).org;
    assert!(catalog.ids().all(|id| org(id).as_deref() == Some("CERN")));
}

#[test]
fn a_compiled_set_tells_what_the_bundle_said() {
    let one = indicator(
        "[ipv4-addr:value = '9.9.9.9']",
        &json!({"confidence": 20, "valid_until": "2024-01-01T00:00:00Z"}),
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [bundle_path, list, set] = ["bundle", "list", "set"].map(|name| folder.path().join(name));
    std::fs::write(&bundle_path, bundle(&[one])).expect("a temporary file");
    std::fs::write(&list, "evil.example\n").expect("a temporary file");
    let options = IntelOptions::default();
    let first = compile(&[bundle_path], &options).expect("usable");
    crate::control::intel::compiled::store(&first.set, &set).expect("a file");
    let merged = compile(&[set, list], &options).expect("usable");
    let catalog = &merged.set.catalog;
    let tags = catalog.ids().flat_map(|id| catalog.sources(id)).flat_map(|source| source.tags);
    let want = ["tapsieve:confidence=\"20\"", "tapsieve:valid-until=\"2024-01-01T00:00:00Z\""];
    assert_eq!(tags.collect::<Vec<_>>(), want);
}
