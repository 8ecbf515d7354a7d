//! Composite objects, through the whole program: an address and its port, a name and its address.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tapsieve::control::intel::filter::Filter;
use tapsieve::model::marking::Tlp;

use crate::misp::puller::Puller;
use crate::misp::puller::attributes;
use crate::misp::puller::taken;
use crate::misp::stand::Stand;
use crate::misp::stand::State;
use crate::run::root;
use crate::run::run;
use crate::run::tapsieve;

/// In the capture of `fixtures/intel/port-conjunction` 30.44.52.1 answers at 8080 and 80,
/// 30.44.52.2 at 80 alone.
const PORTS: &str = "port-conjunction";

/// In that of `fixtures/intel/domain-ip` one.pair-drop.test is 30.44.40.1, and is visited there.
const NAMES: &str = "domain-ip";

fn part(ty: &str, relation: &str, value: &str) -> Value {
    json!({"type": ty, "object_relation": relation, "value": value, "to_ids": ty != "port"})
}

fn object(name: &str, parts: &[Value]) -> Value {
    json!({"name": name, "Attribute": parts})
}

/// What a replay with an event of such objects tells: type, value and how each matched, once.
fn told(case: &str, objects: &[Value], more: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let event = json!({"Event": {"info": "X", "id": "7", "Object": objects}});
    fs::write(folder.path().join("event.json"), event.to_string()).expect("a temporary file");
    let capture = root().join("fixtures/intel").join(case).join("input.pcap");
    let capture = capture.display().to_string();
    let mut arguments = vec!["replay", "--intel", "event.json"];
    arguments.extend(more);
    arguments.push(&capture);
    let run = run(folder.path(), &arguments);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let tell = |alert: Value| {
        let indicator = &alert["tapsieve"]["indicator"];
        let [ty, value] = ["type", "value"].map(|key| text(&indicator[key]));
        format!("{ty} {value} {}", text(&alert["tapsieve"]["match"]))
    };
    let mut all = run.lines().into_iter().map(tell).collect::<Vec<_>>();
    all.sort();
    all.dedup();
    all
}

#[test]
fn an_address_in_an_object_is_meant_with_its_ports() {
    let first = part("ip-dst", "ip", "30.44.52.1");
    let second = part("ip-dst", "ip-dst", "30.44.52.2");
    let objects = [
        object("ip-port", &[first.clone(), part("port", "dst-port", "8080")]),
        object("network-connection", &[second.clone(), part("port", "dst-port", "8080")]),
        object(
            "ip-port",
            &[second.clone(), part("port", "dst-port", "443"), part("port", "dst-port", "80")],
        ),
    ];
    assert_eq!(
        told(PORTS, &objects, &[]),
        ["ip-dst|port 30.44.52.1|8080 exact", "ip-dst|port 30.44.52.2|80 exact"]
    );
    let apart = ["ip-dst 30.44.52.1 exact", "ip-dst 30.44.52.2 exact"];
    assert_eq!(told(PORTS, &objects, &["--objects-in-parts"]), apart);
    // without a port that could be asked for, and in other objects, addresses are meant alone
    let objects =
        [object("ip-port", &[first]), object("url", &[second, part("port", "dst-port", "8080")])];
    assert_eq!(told(PORTS, &objects, &[]), apart);
}

#[test]
fn a_name_and_its_address_are_halves_of_one_indicator() {
    let name = part("domain", "domain", "one.pair-drop.test");
    let address = part("ip-dst", "ip", "30.44.40.1");
    let pair = [object("domain-ip", &[name.clone(), address.clone()])];
    let halves = ["both-halves", "one-half"];
    let want = halves.map(|how| format!("domain|ip one.pair-drop.test|30.44.40.1 {how}"));
    assert_eq!(told(NAMES, &pair, &[]), want);
    let apart = ["domain one.pair-drop.test exact", "ip-dst 30.44.40.1 exact"];
    assert_eq!(told(NAMES, &pair, &["--objects-in-parts"]), apart);
    let other = part("ip-dst", "ip", "30.44.40.99");
    let three = [object("domain-ip", &[name, address, other])];
    assert_eq!(told(NAMES, &three, &[]), apart);
}

#[test]
fn a_warninglist_of_one_half_drops_that_half() {
    let name = part("domain", "domain", "one.pair-drop.test");
    let address = part("ip-dst", "ip", "30.44.40.1");
    let pair = [object("domain-ip", &[name, address])];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let list = |mode: &str, entry: &str| {
        let path = folder.path().join(format!("{mode}.json"));
        let list = json!({"name": mode, "type": mode, "version": 1, "list": [entry],
            "matching_attributes": ["ip-dst", "domain"]});
        fs::write(&path, list.to_string()).expect("a temporary file");
        format!("{}=drop", path.display())
    };
    let (addresses, names) = (list("cidr", "30.44.40.0/24"), list("hostname", "pair-drop.test"));
    let of_list = |list: &str| told(NAMES, &pair, &["--warninglists", list, "--tag", "!x"]);
    assert_eq!(of_list(&addresses), ["domain one.pair-drop.test exact"]);
    assert_eq!(of_list(&names), ["ip-dst 30.44.40.1 exact"]);
    // what its tags are is known after the object: it waits, with what belongs to it
    let halves = ["both-halves", "one-half"];
    let want = halves.map(|how| format!("domain|ip one.pair-drop.test|30.44.40.1 {how}"));
    assert_eq!(told(NAMES, &pair, &["--tag", "!x"]), want);
}

/// A server with an event of an address with its port and a name with its address, which were
/// changed two hours ago; the number of the event and the uuids of the objects' attributes.
fn objects() -> (Stand, u64, [Vec<String>; 2]) {
    let mut state = State::default();
    let event = state.event("Objects", &[]);
    let port = ("dst-port", "port", "443");
    let of_ports = state.object(event, "ip-port", &[("ip", "ip-dst", "30.44.7.1"), port]);
    let pair = [("domain", "domain", "evil.example"), ("ip", "ip-dst", "30.44.7.2")];
    let of_names = state.object(event, "domain-ip", &pair);
    state.attributes.iter_mut().for_each(|one| one.timestamp -= 7_200);
    (Stand::new(state), event, [of_ports, of_names])
}

/// What is said of one half counts for the pair, however it was pulled and whoever asks.
#[test]
fn what_is_left_out_of_a_servers_objects_takes_no_part() {
    let (stand, event, [of_ports, of_names]) = objects();
    let puller = Puller::new(&stand);
    puller.pull_well(&stand, &[]);
    stand.edit(|state| {
        state.tag(&of_ports[1], "tlp:red");
        state.tag(&of_names[0], "tlp:red");
        state.publish(event);
    });
    let amber = || Filter { tlp_max: Some(Tlp::Amber), ..Filter::default() };
    let types = |filter| {
        let found = taken(&puller.pulled(), filter).into_values();
        let mut found = found.map(|(ty, value)| format!("{ty} {value}")).collect::<Vec<_>>();
        found.sort();
        found
    };
    let apart = ["ip-dst 30.44.7.1", "ip-dst 30.44.7.2"];
    let pair = "domain|ip evil.example|30.44.7.2";
    // as changes, as all, and as the server's own settings ask
    for more in [&[][..], &["--full"]] {
        puller.pull_well(&stand, more);
        assert_eq!(types(amber()), apart, "{more:?}");
        assert_eq!(types(Filter::default()), [pair, pair, "ip-dst|port 30.44.7.1|443"]);
    }
    puller.pull_well(&stand, &["--max-tlp", "amber"]);
    assert_eq!(types(Filter::default()), apart);
}

/// An attribute with a tag.
fn tagged(mut part: Value, tag: &str) -> Value {
    part["Tag"] = json!([{ "name": tag }]);
    part
}

#[test]
fn what_is_left_out_takes_no_part_in_a_pair() {
    let name = part("domain", "domain", "one.pair-drop.test");
    let address = part("ip-dst", "ip", "30.44.40.1");
    let (red, green) = (tagged(name.clone(), "tlp:red"), tagged(address.clone(), "tlp:green"));
    let mut old = name.clone();
    old["last_seen"] = json!("2015-01-01T00:00:00+00:00");
    let mut new = address.clone();
    new["timestamp"] = json!("4000000000");
    let mut decayed = name.clone();
    decayed["decay_score"] = json!([{ "decayed": true }]);
    let draft = tagged(name.clone(), "workflow:state=\"draft\"");
    let alone = ["ip-dst 30.44.40.1 exact"];
    for (name, address, asked) in [
        (&red, &green, &["--max-tlp", "amber"][..]),
        (&draft, &green, &["--tag", "!workflow:*"]),
        (&name, &green, &["--tag", "tlp:*"]),
        (&old, &new, &["--max-age-days", "30", "--as-of", "now"]),
        (&decayed, &address, &["--exclude-decayed"]),
    ] {
        let pair = |parts: &[&Value]| {
            let parts = parts.iter().map(|part| (*part).clone()).collect::<Vec<_>>();
            [object("domain-ip", &parts)]
        };
        assert_eq!(told(NAMES, &pair(&[name, address]), asked), alone, "{asked:?}");
        let whole = told(NAMES, &pair(&[name, address]), &[]);
        assert!(whole[0].starts_with("domain|ip"), "{whole:?}");
    }
    // the same name is there twice: one of them is taken
    let twice = [object("domain-ip", &[red, name, green])];
    let halves = ["both-halves", "one-half"];
    let want = halves.map(|how| format!("domain|ip one.pair-drop.test|30.44.40.1 {how}"));
    assert_eq!(told(NAMES, &twice, &["--max-tlp", "amber"]), want);
}

#[test]
fn a_port_that_is_left_out_is_no_condition() {
    let address = tagged(part("ip-dst", "ip", "30.44.52.2"), "tlp:green");
    let http = part("port", "dst-port", "80");
    let red = tagged(part("port", "dst-port", "8080"), "tlp:red");
    let amber = &["--max-tlp", "amber"];
    let of = |ports: &[&Value]| {
        let ports = ports.iter().map(|port| (*port).clone());
        let parts = std::iter::once(address.clone()).chain(ports).collect::<Vec<_>>();
        [object("ip-port", &parts)]
    };
    assert_eq!(told(PORTS, &of(&[&red]), &[]), [""; 0]);
    assert_eq!(told(PORTS, &of(&[&red]), amber), ["ip-dst 30.44.52.2 exact"]);
    assert_eq!(told(PORTS, &of(&[&red, &http]), amber), ["ip-dst|port 30.44.52.2|80 exact"]);
}

/// Why the ports of an object are left out, each with its value.
fn ports_of(parts: &[Value], asked: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keep = part("domain", "domain", "evil.example");
    let event =
        json!({"Event": {"info": "X", "Attribute": [keep], "Object": [object("ip-port", parts)]}});
    fs::write(folder.path().join("event.json"), event.to_string()).expect("a temporary file");
    let mut arguments = vec!["intel", "explain", "--json", "--intel", "event.json"];
    arguments.extend(asked);
    let run = run(folder.path(), &arguments);
    let rows = run.lines().into_iter().filter(|row| row["type"] == "port");
    let row = |row: Value| format!("{} {}", row["value"], row["reason"]).replace('"', "");
    rows.map(row).collect()
}

#[test]
fn a_port_is_of_its_addresses_where_one_is_looked_for_with_it() {
    let port = part("port", "dst-port", "8080");
    let address = |value| part("ip-dst", "ip", value);
    let mut quiet = address("30.44.52.2");
    quiet["to_ids"] = json!(false);
    let red = tagged(address("30.44.52.2"), "tlp:red");
    let amber = &["--max-tlp", "amber"][..];
    for (parts, asked, want) in [
        (vec![address("30.44.52.2")], &[][..], "of_address"),
        (vec![address("30.44.52.0/24")], &[], "opt_in"),
        (vec![address("30.44.52.0/24"), address("30.44.52.2")], &[], "of_address"),
        (vec![address("10.1.2.3")], &[], "opt_in"),
        (vec![address("10.1.2.3")], &["--allow-special"], "of_address"),
        (vec![quiet.clone()], &[], "opt_in"),
        (vec![quiet], &["--include-non-ids"], "of_address"),
        (vec![red.clone()], amber, "opt_in"),
        (vec![red], &[], "of_address"),
    ] {
        let parts = [parts, vec![port.clone()]].concat();
        assert_eq!(ports_of(&parts, asked), [format!("8080 {want}")], "{parts:?} {asked:?}");
    }
    let parts = [address("30.44.52.2"), tagged(port, "tlp:red")];
    assert_eq!(ports_of(&parts, amber), ["8080 tlp"]);
}

#[test]
fn objects_of_events_that_are_not_asked_for_are_left_out() {
    let mut state = State::default();
    let [wanted, other] = [1, 4].map(|level| {
        let event = state.event("Objects", &[]);
        state.level(event, level);
        let ja4 = format!("t13d1516h2_8daaf6152771_b0da82dd165{level}");
        state.object(event, "ja4-plus", &[("ja4-fingerprint", "text", &ja4)]);
        let port = ("dst-port", "port", "443");
        let address = format!("30.44.8.{level}");
        state.object(event, "ip-port", &[("ip", "ip-dst", &address), port]);
        event
    });
    assert_ne!(wanted, other);
    let stand = Stand::new(state);
    let puller = Puller::new(&stand);
    let text = format!(
        "[[capture]]\ninterface = \"lo\"\n[[intel]]\nmisp = \"{}\"\nname = \"one\"\n\
         key_file = \"key\"\nca_file = \"ca.pem\"\nthreat_levels = [\"high\"]\n[[sink]]\n\
         type = \"file\"\npath = \"alerts\"\n[mirror]\npath = \"mirrors\"\n[drop]\nuser = \"\"\n",
        stand.url()
    );
    fs::write(puller.path("s.toml"), text).expect("written");
    let mut command = tapsieve(&puller.path(""));
    command.args(["intel", "pull", "--config", "s.toml"]);
    let pulled = puller.bounded(&mut command, Duration::from_secs(60));
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
    let found = attributes(&puller.path("mirrors/one")).into_values();
    let mut found = found.map(|(ty, value)| format!("{ty} {value}")).collect::<Vec<_>>();
    found.sort();
    assert_eq!(found, ["ip-dst|port 30.44.8.1|443", "ja4 t13d1516h2_8daaf6152771_b0da82dd1651"]);
}

#[test]
fn a_servers_objects_keep_their_meaning_through_every_pull() {
    let (stand, event, [of_ports, of_names]) = objects();
    let puller = Puller::new(&stand);
    let check = |want: &[(&str, &str, &str)]| {
        puller.pull_well(&stand, &[]);
        let found = puller.attributes();
        let found = found.iter().map(|(uuid, (ty, value))| (&**uuid, &**ty, &**value));
        let mut want = want.to_vec();
        want.sort_unstable();
        assert_eq!(found.collect::<Vec<_>>(), want);
    };
    let [address, port] = [&*of_ports[0], &*of_ports[1]];
    let [name, half] = [&*of_names[0], &*of_names[1]];
    let named = [
        (name, "domain|ip", "evil.example|30.44.7.2"),
        (half, "domain|ip", "evil.example|30.44.7.2"),
    ];
    check(&[(address, "ip-dst|port", "30.44.7.1|443"), named[0], named[1]]);
    // the port is another: the address has not changed, its object has
    let change = |uuid: &str, value: &str| {
        stand.edit(|state| {
            state.change(uuid, value);
            state.publish(event);
        });
    };
    change(port, "8443");
    check(&[(address, "ip-dst|port", "30.44.7.1|8443"), named[0], named[1]]);
    // taken out of its object and back: what it belongs to is as new as it is
    let of_object = |is_in: bool| {
        stand.edit(|state| {
            state.change(address, "30.44.7.1");
            state.named(address).object = u64::from(is_in);
            state.publish(event);
        });
    };
    of_object(false);
    check(&[(address, "ip-dst", "30.44.7.1"), named[0], named[1]]);
    of_object(true);
    check(&[(address, "ip-dst|port", "30.44.7.1|8443"), named[0], named[1]]);
    // the address is another, and has its port still
    change(address, "30.44.7.3");
    check(&[(address, "ip-dst|port", "30.44.7.3|8443"), named[0], named[1]]);
    stand.edit(|state| {
        state.soft_delete(port);
        state.soft_delete(half);
        state.publish(event);
    });
    check(&[(address, "ip-dst", "30.44.7.3"), (name, "domain", "evil.example")]);
}
