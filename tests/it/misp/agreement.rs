//! PyMISP reads the stand-in as it would read MISP: what it finds is what the stand-in holds, and
//! what our client takes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::peers::python;
use super::peers::run_script;
use super::puller::Puller;
use super::stand::KEY;
use super::stand::Stand;
use super::stand::State;

/// Reads everything in pages of a few, as PyMISP's objects; writes what it found as JSON.
const READER: &str = r#"
import json, sys
from pymisp import PyMISP
url, ca, key, limit, pages = sys.argv[1:6]
misp = PyMISP(url, key, ssl=ca, timeout=20)
def paged(controller, **more):
    found = []
    for page in range(1, int(pages) + 1):
        got = misp.search(controller, limit=int(limit), page=page, pythonify=True, **more)
        assert isinstance(got, list), got
        found += got
    return found
def told(a):
    tags = sorted(t.name for t in a.tags)
    return [a.uuid, a.type, a.value, bool(a.to_ids), bool(a.deleted), tags]
ids = dict(to_ids=1, published=True)
print(json.dumps({
    "all": [told(a) for a in paged("attributes")],
    "ids": [told(a) for a in paged("attributes", include_event_tags=True, **ids)],
    "deleted": [told(a) for a in paged("attributes", deleted=[0, 1])],
    "ip": [told(a) for a in paged("attributes", type_attribute=["ip-dst", "ip-src"])],
    "green": [told(a) for a in paged("attributes", tags=["tlp:green"])],
    "events": [[e.uuid, e.info, bool(e.published), len(e.attributes), len(e.objects),
                sorted(t.name for t in e.tags)] for e in paged("events")],
    "objects": [[o.uuid, o.name, [[a.object_relation, a.type, a.value] for a in o.attributes]]
                for o in paged("objects")],
    "warninglists": [[w["Warninglist"]["name"], w["Warninglist"]["type"]]
                     for w in misp.warninglists()],
    "entries": [e["value"] for e in misp.get_warninglist(1)["Warninglist"]["WarninglistEntry"]],
    "version": misp.misp_instance_version["version"],
}))
"#;

/// Two published events and one that is not, an object, attributes of all kinds, some deleted.
pub(crate) fn sample() -> State {
    let mut state = State::default();
    let first = state.event("Loader", &["tlp:green"]);
    let second = state.event("Phishing", &["tlp:amber", "PAP:AMBER"]);
    let draft = state.event("Draft", &[]);
    for number in 0..12 {
        state.attribute(first, "ip-dst", &format!("30.44.1.{number}"));
        state.attribute(second, "domain", &format!("phish-{number}.example"));
    }
    state.attribute(first, "url", "http://loader.example/gate.php?a=1");
    state.attribute(first, "domain|ip", "both.example|30.44.2.1");
    let quiet = state.attribute(second, "hostname", "quiet.example");
    state.named(&quiet).to_ids = false;
    let tagged = state.attribute(second, "ip-src", "30.44.3.0/24");
    state.named(&tagged).tags.push("misp-galaxy:tool=\"Loader\"".to_owned());
    state.attribute(draft, "ip-dst", "30.44.9.9");
    let gone = state.attribute(second, "domain", "gone.example");
    state.soft_delete(&gone);
    state.publish(second);
    state.unpublish(draft);
    let ja4 = "t13d1516h2_8daaf6152771_e5627efa2ab1";
    state.object(
        first,
        "ja4-plus",
        &[("ja4-fingerprint", "text", ja4), ("ja4-type", "text", "JA4")],
    );
    state.warninglist("Names of others", "hostname", &["common.example", "shared.example"]);
    state
}

fn read(stand: &Stand, limit: u64) -> Option<Value> {
    let python = python()?;
    let puller = Puller::new(stand);
    let ca = puller.path("ca.pem").display().to_string();
    let (limit, pages) = (limit.to_string(), (60 / limit).to_string());
    let read = run_script(&python, &["-c", READER, &stand.url(), &ca, KEY, &limit, &pages]);
    Some(serde_json::from_slice(&read.stdout).expect("JSON"))
}

/// The first of each row, as a set; there is none twice.
fn names(rows: &Value) -> BTreeSet<String> {
    let rows = rows.as_array().expect("a list");
    let names = rows.iter().map(|row| row[0].as_str().expect("a uuid").to_owned());
    let names = names.collect::<BTreeSet<_>>();
    assert_eq!(names.len(), rows.len());
    names
}

#[test]
fn pymisp_reads_from_the_stand_in_what_it_holds() {
    let stand = Stand::new(sample());
    let Some(read) = read(&stand, 5) else { return };
    let state = stand.edit(|state| state.clone());
    let held = |is_so: &dyn Fn(&super::stand::Attribute) -> bool| {
        let kept = state.attributes.iter().filter(|one| is_so(one));
        kept.map(|one| one.uuid.clone()).collect::<BTreeSet<_>>()
    };
    let is_published = |one: &super::stand::Attribute| state.event_of(one.event).published;
    assert_eq!(names(&read["all"]), held(&|one| !one.deleted));
    assert_eq!(names(&read["ids"]), held(&|one| !one.deleted && one.to_ids && is_published(one)));
    assert_eq!(names(&read["deleted"]), held(&|_| true));
    assert_eq!(names(&read["ip"]), held(&|one| one.ty.starts_with("ip-")));
    assert_eq!(names(&read["green"]), held(&|one| one.event == 1));
    for row in read["deleted"].as_array().expect("a list") {
        let one = state.attributes.iter().find(|one| row[0] == one.uuid).expect("is held");
        assert_eq!(row[1], one.ty);
        assert_eq!(row[2], one.value);
        assert_eq!(row[3], one.to_ids);
        assert_eq!(row[4], one.deleted);
    }
    let tags = |uuid: &str| {
        let rows = read["ids"].as_array().expect("a list");
        rows.iter().find(|row| row[0] == uuid).expect("is there")[5].clone()
    };
    let tagged = state.attributes.iter().find(|one| one.ty == "ip-src").expect("is held");
    assert_eq!(
        tags(&tagged.uuid),
        serde_json::json!(["PAP:AMBER", "misp-galaxy:tool=\"Loader\"", "tlp:amber"])
    );
    assert_eq!(read["events"][0][1], "Loader");
    assert_eq!(read["events"][0][3], 14);
    assert_eq!(read["events"][0][4], 1);
    assert_eq!(read["events"][2][2], false);
    assert_eq!(read["objects"][0][1], "ja4-plus");
    assert_eq!(read["objects"][0][2][0][0], "ja4-fingerprint");
    assert_eq!(read["warninglists"], serde_json::json!([["Names of others", "hostname"]]));
    assert_eq!(read["entries"], serde_json::json!(["common.example", "shared.example"]));
    assert_eq!(read["version"], "2.5.40");
    for asked in stand.asked() {
        assert_eq!(asked.unknown(), Vec::<String>::new(), "{}", asked.path);
    }
}
