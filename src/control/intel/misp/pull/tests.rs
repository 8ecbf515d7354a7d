//! Pulls from a server of a few attributes, and what they make of a folder.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::control::intel::IntelOptions;
use crate::control::intel::compile::compile;
use crate::control::intel::list_form::ListForm;
use crate::control::intel::remote::http::HttpSettings;
use crate::control::intel::remote::http::ProxyRule;
use crate::control::intel::remote::http::address;
use crate::control::intel::remote::source::RemoteKind;
use crate::control::intel::remote::source::STATE;

const EVENT: &str = "22222222-a1bc-4bf6-915e-215bdbf26eaf";

/// An attribute of the server: the digit in its UUID, value, time of change, soft-deleted.
#[derive(Clone)]
struct Row(u8, &'static str, u64, bool);

/// What the server has.
#[derive(Default)]
struct Held {
    rows: Vec<Row>,
    published: bool,
    event_secs: u64,
    /// This page of attributes is an error in JSON.
    broken_page: u64,
    asked: Vec<String>,
}

struct Server {
    held: Arc<Mutex<Held>>,
    remote: Remote,
    folder: TempDir,
}

impl Row {
    fn uuid(&self) -> String {
        format!("3333333{}-a1bc-4bf6-915e-215bdbf26eaf", self.0)
    }

    fn json(&self) -> Value {
        json!({
            "uuid": self.uuid(), "type": "domain", "value": self.1, "to_ids": true,
            "timestamp": self.2.to_string(), "deleted": self.3,
            "Event": { "uuid": EVENT, "id": "7" },
        })
    }
}

impl Held {
    fn answer(&mut self, path: &str, asked: &Value) -> Value {
        let number = |key: &str| asked.get(key).and_then(Value::as_u64);
        self.asked.push(format!("{path} {asked}"));
        let (page, limit) = (number("page").unwrap_or(1), number("limit").unwrap_or(100));
        if path == "/events/restSearch" {
            let since = number("timestamp").or(number("publish_timestamp")).unwrap_or(0);
            let event = json!({ "Event": {
                "uuid": EVENT, "id": "7", "info": "event", "timestamp": self.event_secs.to_string(),
                "published": self.published, "Orgc": { "name": "CERT" }, "Tag": [{ "name": "x" }],
            }});
            let is_in = page == 1 && self.event_secs >= since;
            return json!({ "response": if is_in { vec![event] } else { Vec::new() } });
        }
        if path == "/objects/restSearch" {
            return json!({ "response": [] });
        }
        if page == self.broken_page {
            return json!({ "name": "Invalid", "errors": "out of memory" });
        }
        let deleted = asked.get("deleted").is_some();
        let since = number("attribute_timestamp").unwrap_or(0);
        let uuids = asked.get("uuid").and_then(Value::as_array);
        let fits = |row: &&Row| {
            (deleted || !row.3)
                && row.2 >= since
                && uuids.is_none_or(|all| all.contains(&json!(row.uuid())))
        };
        let skip = usize::try_from((page - 1) * limit).expect("small");
        let rows = self.rows.iter().filter(fits).skip(skip);
        let rows = rows.take(usize::try_from(limit).expect("small")).map(Row::json);
        json!({ "response": { "Attribute": rows.collect::<Vec<_>>() } })
    }
}

impl Server {
    fn new(rows: Vec<Row>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let url = format!("http://{}", listener.local_addr().expect("has one"));
        let held = Held { rows, published: true, event_secs: 50, ..Held::default() };
        let held = Arc::new(Mutex::new(held));
        let of_thread = Arc::clone(&held);
        // ends with the process of this one test
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                one(stream.expect("a client"), &of_thread);
            }
        });
        let url = address(&url, false).expect("loopback");
        let http = HttpSettings { proxy: ProxyRule::Direct, ..HttpSettings::new(url) };
        let settings =
            MispSettings { page_attributes: 2, overlap_secs: 0, ..MispSettings::default() };
        let remote = Remote {
            name: "server".to_owned(),
            label: "server".to_owned(),
            http,
            period_secs: 60,
            reconcile_hours: 24,
            list_form: ListForm::Lines,
            kind: RemoteKind::Misp(settings),
        };
        Self { held, remote, folder: tempfile::tempdir().expect("folder") }
    }

    fn change(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.held.lock().expect("no panic"));
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Pulls; returns what is new, changed, gone, and whether anything differs.
    fn pull(&self, scope: Scope) -> ([u64; 3], bool) {
        let pulled = self.remote.pull(self.folder(), 1 << 20, scope).expect("pulled");
        assert!(pulled.trouble.is_none(), "{:?}", pulled.trouble);
        ([pulled.new, pulled.changed, pulled.gone], pulled.differs)
    }

    /// Returns the values that match.
    fn values(&self) -> Vec<String> {
        let compiled = compile(&[self.folder().to_owned()], &IntelOptions::default());
        let catalog = &compiled.expect("usable").set.catalog;
        catalog.ids().map(|id| catalog.value(id).to_owned()).collect()
    }
}

fn one(mut stream: TcpStream, held: &Mutex<Held>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("read") == 1 {
        head.extend(byte);
    }
    let head = String::from_utf8(head).expect("text").to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |text| text.trim().parse::<usize>().expect("a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a body");
    let path = head.split(' ').nth(1).unwrap_or_default().replace("restsearch", "restSearch");
    let asked = serde_json::from_slice(&body).expect("JSON");
    let answer = held.lock().expect("no panic").answer(&path, &asked).to_string();
    let length = answer.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all((head + &answer).as_bytes()).expect("written");
}

fn rows() -> Vec<Row> {
    vec![
        Row(1, "a.example", 10, false),
        Row(2, "b.example", 20, false),
        Row(3, "c.example", 30, false),
    ]
}

#[test]
fn what_changes_is_followed_and_what_is_withdrawn_shows_when_all_is_compared() {
    let server = Server::new(rows());
    assert_eq!(server.pull(Scope::Due), ([3, 0, 0], true));
    assert_eq!(server.values(), ["a.example", "b.example", "c.example"]);
    // nothing has changed: no file is written that would make a set anew
    let written = |name: &str| fs::metadata(server.folder().join(name)).and_then(|m| m.modified());
    let before = [BASE, DELTA].map(|name| written(name).expect("there"));
    assert_eq!(server.pull(Scope::Due), ([0, 0, 0], false));
    assert_eq!([BASE, DELTA].map(|name| written(name).expect("there")), before);
    let late = state::now_secs() + 10;
    server.change(|held| {
        held.rows[0] = Row(1, "new.example", late, false);
        held.rows[1] = Row(2, "b.example", late, true);
        held.rows.push(Row(4, "d.example", late, false));
    });
    assert_eq!(server.pull(Scope::Due), ([1, 1, 1], true));
    assert_eq!(server.values(), ["c.example", "d.example", "new.example"]);
    assert_eq!(server.pull(Scope::Due), ([0, 0, 0], false));
    // deleted for good: no list of changes has it
    server.change(|held| held.rows.retain(|row| row.0 != 3));
    assert_eq!(server.pull(Scope::Due), ([0, 0, 0], false));
    assert_eq!(server.pull(Scope::Everything), ([0, 0, 1], true));
    assert_eq!(server.values(), ["d.example", "new.example"]);
}

#[test]
fn drafts_match_once_their_event_is_published() {
    let server = Server::new(rows());
    server.change(|held| held.published = false);
    server.pull(Scope::Due);
    let none = compile(&[server.folder().to_owned()], &IntelOptions::default());
    assert!(none.is_err_and(|error| error.to_string().contains("3 unpublished")));
    server.change(|held| (held.published, held.event_secs) = (true, state::now_secs() + 10));
    assert_eq!(server.pull(Scope::Due), ([0, 0, 0], true));
    assert_eq!(server.values().len(), 3);
}

#[test]
fn a_comparison_that_breaks_changes_nothing() {
    let server = Server::new(rows());
    server.pull(Scope::Due);
    let before = fs::read(server.folder().join(BASE)).expect("there");
    server.change(|held| {
        held.rows.clear();
        held.broken_page = 1;
    });
    let outcome = server.remote.pull(server.folder(), 1 << 20, Scope::Everything);
    let error = outcome.expect_err("broken");
    assert_eq!(error.reason(), "answer", "{error}");
    assert!(error.to_string().ends_with("an answer without indicators: out of memory"), "{error}");
    assert_eq!(fs::read(server.folder().join(BASE)).expect("there"), before);
    assert_eq!(server.values().len(), 3);
    let too_small = server.remote.pull(server.folder(), 100, Scope::Everything);
    assert_eq!(too_small.expect_err("no room").reason(), "local");
    assert_eq!(fs::read(server.folder().join(BASE)).expect("there"), before);
}

#[test]
fn a_copy_that_was_cut_is_pulled_anew() {
    let server = Server::new(rows());
    server.pull(Scope::Due);
    for (name, lines, new) in [(BASE, 1, 0), (BASE, 2, 1), (DELTA, 1, 0)] {
        let path = server.folder().join(name);
        let text = fs::read_to_string(&path).expect("there");
        let all = text.split_inclusive('\n').collect::<Vec<_>>();
        fs::write(&path, all[..all.len() - lines].concat()).expect("written");
        assert_eq!(server.pull(Scope::Changes), ([new, 0, 0], true), "{name}");
        assert_eq!(server.pull(Scope::Changes), ([0, 0, 0], false), "{name}");
        assert_eq!(server.values().len(), 3);
    }
}

#[test]
fn a_clock_that_was_ahead_is_no_reason_to_wait() {
    let server = Server::new(rows());
    server.pull(Scope::Due);
    let path = server.folder().join(STATE);
    let state =
        || serde_json::from_slice::<State>(&fs::read(&path).expect("there")).expect("sound");
    let ahead = state::now_secs() + 10 * 365 * 86_400;
    let wrong = State { full_secs: ahead, since_secs: ahead, ..state() };
    fs::write(&path, serde_json::to_vec(&wrong).expect("JSON")).expect("written");
    server.change(|held| held.rows.retain(|row| row.0 != 3));
    assert_eq!(server.pull(Scope::Due), ([0, 0, 1], true));
    assert!(state().since_secs < ahead && state().full_secs < ahead);
    // and one of the server, in one answer
    let http = server.remote.http.open().expect("ready");
    let mut search = Search::new(&http, &server.remote.http);
    assert_eq!(search.begun_secs(7), 7);
    for (theirs, since) in [(5, 5), (9, 7)] {
        search.server_secs = Some(theirs);
        assert_eq!(search.begun_secs(7), since);
    }
}

#[test]
fn another_question_makes_another_base() {
    let mut server = Server::new(rows());
    server.pull(Scope::Due);
    let settings =
        MispSettings { page_attributes: 2, orgs: vec!["CERT".to_owned()], ..Default::default() };
    server.remote.kind = RemoteKind::Misp(settings);
    server.change(|held| held.asked.clear());
    assert_eq!(server.pull(Scope::Changes), ([0, 0, 0], true));
    let held = server.held.lock().expect("no panic");
    let all = held.asked.iter().all(|asked| asked.contains("\"org\":[\"CERT\"]"));
    assert!(all && !held.asked.is_empty(), "{:?}", held.asked);
}
