//! Reading mirrors: base and delta, and what the settings of a server leave out.

use std::collections::BTreeMap;
use std::fs;

use crate::control::intel::IntelOptions;
use crate::control::intel::compile::compile;
use crate::control::intel::misp::record::FORM;
use crate::control::intel::misp::record::FilterLine;
use crate::control::intel::misp::record::Header;
use crate::control::intel::misp::record::write;
use crate::control::intel::misp::stored::BASE;
use crate::control::intel::misp::stored::DELTA;

const DRAFT: &str = "11111111-a1bc-4bf6-915e-215bdbf26eaf";
const EVENT: &str = "22222222-a1bc-4bf6-915e-215bdbf26eaf";

fn header(id: u64, delta: bool, events: u64) -> Vec<u8> {
    let filter =
        FilterLine { published_only: true, tags: vec!["!tlp:red".to_owned()], max_tlp: None };
    let mut line = Vec::new();
    let (question, provider) = ("{}".to_owned(), "https://misp.example".to_owned());
    let since_secs = 0;
    write(
        &Header { form: FORM, id, delta, question, provider, events, since_secs, filter },
        &mut line,
    );
    line
}

fn event(uuid: &str, published: bool, info: &str) -> String {
    format!(
        "{{\"e\":\"{uuid}\",\"i\":7,\"t\":5,\"o\":\"CERT\",\"n\":\"{info}\",\"p\":{published}}}\n"
    )
}

fn attribute(digit: u8, event: &str, value: &str, more: &str) -> String {
    let uuid = format!("3333333{digit}-a1bc-4bf6-915e-215bdbf26eaf");
    format!("{{\"a\":\"{uuid}\",\"e\":\"{event}\",\"y\":\"domain\",\"v\":\"{value}\"{more}}}\n")
}

fn base() -> Vec<u8> {
    let events = event(DRAFT, false, "draft") + &event(EVENT, true, "event");
    let attributes = [
        attribute(1, EVENT, "kept.example", ""),
        attribute(2, EVENT, "old.example", ""),
        attribute(3, EVENT, "gone.example", ""),
        attribute(4, DRAFT, "draft.example", ""),
        attribute(5, EVENT, "red.example", ",\"g\":[\"tlp:red\"]"),
        attribute(6, EVENT, "idle.example", ",\"x\":true"),
    ];
    let attributes = attributes.concat() + "{\"end\":6}\n";
    [header(2, false, 2), events.into_bytes(), attributes.into_bytes()].concat()
}

/// A delta of the base with this number: one changes, one goes, one is new, the draft is published.
fn delta(id: u64) -> Vec<u8> {
    let events = event(DRAFT, true, "published");
    let attributes = [
        attribute(2, EVENT, "new.example", ""),
        attribute(3, EVENT, "gone.example", ",\"d\":true"),
        attribute(7, EVENT, "late.example", ""),
    ];
    let attributes = attributes.concat() + "{\"end\":3}\n";
    [header(id, true, 1), events.into_bytes(), attributes.into_bytes()].concat()
}

/// Compiles a mirror; returns the values that match, with their events, why others do not, and the
/// damage.
fn compiled(
    base: &[u8],
    delta: Option<&[u8]>,
) -> (Vec<(String, String)>, BTreeMap<&'static str, u64>, usize) {
    let folder = tempfile::tempdir().expect("folder");
    fs::write(folder.path().join(BASE), base).expect("written");
    if let Some(delta) = delta {
        fs::write(folder.path().join(DELTA), delta).expect("written");
    }
    let compiled = compile(&[folder.path().to_owned()], &IntelOptions::default()).expect("usable");
    let ledger = &compiled.ledger;
    assert_eq!(ledger.seen, ledger.accepted_total() + ledger.left_out_total());
    let catalog = &compiled.set.catalog;
    let told = |id| {
        let sources = catalog.sources(id);
        let [source] = sources.as_slice() else { panic!("one source") };
        assert_eq!(source.provider.as_deref(), Some("https://misp.example"));
        assert_eq!(source.org.as_deref(), Some("CERT"));
        (catalog.value(id).to_owned(), source.info.clone().unwrap_or_default())
    };
    let left = ledger.left_out.iter().map(|(why, kinds)| (why.name(), kinds.values().sum()));
    (catalog.ids().map(told).collect(), left.collect(), compiled.damages.len())
}

fn pairs(values: &[(&str, &str)]) -> Vec<(String, String)> {
    values.iter().map(|(value, info)| ((*value).to_owned(), (*info).to_owned())).collect()
}

#[test]
fn a_base_is_read_with_what_the_servers_settings_leave_out() {
    let (values, left, damage) = compiled(&base(), None);
    let all = [("gone.example", "event"), ("kept.example", "event"), ("old.example", "event")];
    assert_eq!(values, pairs(&all));
    assert_eq!(left, BTreeMap::from([("not_for_ids", 1), ("tags", 1), ("unpublished", 1)]));
    assert_eq!(damage, 0);
}

#[test]
fn a_delta_counts_before_its_base_and_that_of_another_does_not() {
    let (values, left, damage) = compiled(&base(), Some(&delta(2)));
    let all = [
        ("draft.example", "published"),
        ("kept.example", "event"),
        ("late.example", "event"),
        ("new.example", "event"),
    ];
    assert_eq!(values, pairs(&all));
    assert_eq!(left, BTreeMap::from([("deleted", 1), ("not_for_ids", 1), ("tags", 1)]));
    assert_eq!(damage, 0);
    let (values, ..) = compiled(&base(), Some(&delta(1)));
    assert_eq!(values, compiled(&base(), None).0);
}

#[test]
fn damage_is_told_and_the_rest_is_read() {
    let mut torn = base();
    torn.extend(b"{\"a\":\"33333338-a1bc-4bf6-915e-215bdbf26eaf\",\"y\":\"dom");
    let (values, _, damage) = compiled(&torn, None);
    assert_eq!((values.len(), damage), (3, 1));
}

#[test]
fn a_cut_shows_wherever_it_is() {
    let base = base();
    let lines = base.split_inclusive(|byte| *byte == b'\n').collect::<Vec<_>>();
    // the end; the last attribute and the end; one in the middle
    for kept in
        [lines[..9].concat(), lines[..8].concat(), [&lines[..4], &lines[5..]].concat().concat()]
    {
        let (_, _, damage) = compiled(&kept, None);
        assert_eq!(damage, 1, "{}", String::from_utf8_lossy(&kept));
    }
    let delta = delta(2);
    let lines = delta.split_inclusive(|byte| *byte == b'\n').collect::<Vec<_>>();
    for kept in [4, 5] {
        assert_eq!(compiled(&base, Some(&lines[..kept].concat())).2, 1, "{kept}");
    }
}
