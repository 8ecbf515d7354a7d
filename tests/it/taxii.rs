//! A collection of TAXII 2.1 as a stand-in gives it, as `taxii2-client` reads it, and as it is in
//! the mirror.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;

use serde_json::Value;
use serde_json::json;
use tapsieve::control::intel::IntelOptions;
use tapsieve::control::intel::compile::compile;
use tapsieve::control::intel::remote::key::Key;
use tapsieve::control::intel::remote::key::KeyPlace;
use tapsieve::control::intel::remote::key::KeyScheme;
use tapsieve::control::intel::remote::source::Remote;
use tapsieve::control::intel::remote::source::RemoteKind;
use tapsieve::control::intel::remote::source::STATE;
use tapsieve::control::intel::remote::source::Scope;

use crate::misp::peers::python;
use crate::misp::peers::run_script;
use crate::misp::stand::free_port;
use crate::web::Answered;
use crate::web::Asked;
use crate::web::BYTES_MAX;
use crate::web::Web;
use crate::web::counts;
use crate::web::pull;

const ID: &str = "91a7b528-80eb-42ed-a74d-c6fbd5a26116";
const MEDIA: &str = "application/taxii+json;version=2.1";
/// What the stand-in has, and how it behaves.
#[derive(Default)]
struct Shelf {
    /// Objects with the time at which each was added, in order.
    objects: Vec<(String, Value)>,
    /// Objects of a page.
    page: usize,
    /// It gives no `next`, so that clients go on by time.
    is_terse: bool,
    /// It says nothing of times.
    is_mute: bool,
    may_not_read: bool,
    /// Answers to come before the right ones.
    faults: Vec<Answered>,
    /// `user:password` in base64, where one is wanted.
    basic: Option<&'static str>,
}

type Shared = Arc<Mutex<Shelf>>;

fn collection() -> String {
    format!("/api1/collections/{ID}/")
}

fn serve(shelf: Shelf) -> (Web, Shared) {
    let shelf: Shared = Arc::new(Mutex::new(shelf));
    let shown = Arc::clone(&shelf);
    let web = Web::new(move |asked| answer(&mut shown.lock().expect("whole"), asked));
    (web, shelf)
}

fn answer(shelf: &mut Shelf, asked: &Asked) -> Answered {
    let json = |value: Value| Answered::ok(value.to_string()).with("content-type", MEDIA);
    if asked.header("accept") != Some(MEDIA) {
        return Answered::status(406);
    }
    if let Some(basic) = shelf.basic
        && asked.header("authorization") != Some(&format!("Basic {basic}"))
    {
        return Answered { body: br#"{"title":"no such user"}"#.to_vec(), ..Answered::status(401) };
    }
    let about = json!({"id": ID, "title": "Known bad", "can_read": !shelf.may_not_read,
        "can_write": false, "media_types": ["application/stix+json;version=2.1"]});
    match asked.path.strip_prefix("/").unwrap_or_default() {
        "taxii2/" => json(json!({"title": "X", "api_roots": ["http://x/api1/"]})),
        "api1/" => {
            json(json!({"title": "X", "versions": [MEDIA], "max_content_length": 1_000_000}))
        }
        "api1/collections/" => json(json!({"collections": [about]})),
        path if format!("/{path}") == collection() => json(about),
        path if format!("/{path}") == format!("{}objects/", collection()) => objects(shelf, asked),
        _ => Answered { body: br#"{"title":"nothing here"}"#.to_vec(), ..Answered::status(404) },
    }
}

fn objects(shelf: &mut Shelf, asked: &Asked) -> Answered {
    if !shelf.faults.is_empty() {
        return shelf.faults.remove(0);
    }
    let after = asked.parameter("added_after").unwrap_or_default();
    let from = asked.parameter("next").and_then(|at| at.parse().ok()).unwrap_or(0);
    let limit = asked.parameter("limit").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    let all = shelf.objects.iter().filter(|(added, _)| added.as_str() > after).collect::<Vec<_>>();
    let page = all.iter().skip(from).take(limit.min(shelf.page)).collect::<Vec<_>>();
    let end = from + page.len();
    let mut body = json!({"objects": page.iter().map(|(_, object)| object).collect::<Vec<_>>()});
    if end < all.len() {
        body["more"] = json!(true);
        if !shelf.is_terse {
            body["next"] = json!(end.to_string());
        }
    }
    let answer = Answered::ok(body.to_string()).with("content-type", MEDIA);
    match (page.first(), page.last(), shelf.is_mute) {
        (Some((first, _)), Some((last, _)), false) => {
            answer.with("X-TAXII-Date-Added-First", first).with("X-TAXII-Date-Added-Last", last)
        }
        _ => answer,
    }
}

fn time(n: usize) -> String {
    format!("2026-01-01T00:{:02}:{:02}.000000Z", n / 60, n % 60)
}

/// Returns an indicator of an address, in a version.
fn indicator(n: usize, address: &str, version: usize) -> Value {
    json!({"type": "indicator", "spec_version": "2.1",
        "id": format!("indicator--00000000-0000-4000-8000-{n:012}"),
        "created": time(0), "modified": time(version), "name": "X", "pattern_type": "stix",
        "pattern": format!("[ipv4-addr:value = '{address}']"), "valid_from": time(0),
        "created_by_ref": "identity--00000000-0000-4000-8000-000000000000"})
}

fn shelf(n: usize, page: usize) -> Shelf {
    let mut objects =
        (0..n).map(|n| (time(n), indicator(n, &format!("9.9.9.{n}"), 0))).collect::<Vec<_>>();
    objects.push((
        time(n),
        json!({"type": "identity", "name": "CERN", "created": time(0),
        "modified": time(0), "id": "identity--00000000-0000-4000-8000-000000000000"}),
    ));
    objects.push((time(n + 1), json!({"type": "malware", "id": "malware--x", "name": "M"})));
    Shelf { objects, page, ..Shelf::default() }
}

fn remote(web: &Web) -> Remote {
    web.remote(&collection(), RemoteKind::Taxii)
}

/// Returns the values that the mirror gives, and checks that all have their maker.
fn values(folder: &Path) -> Vec<String> {
    let compiled = compile(&[folder.to_owned()], &IntelOptions::default()).expect("usable");
    assert!(compiled.damages.is_empty(), "{:?}", compiled.damages);
    let catalog = &compiled.set.catalog;
    let value = |id| {
        assert!(catalog.sources(id).iter().all(|source| source.org.as_deref() == Some("CERN")));
        catalog.value(id).to_owned()
    };
    let mut all = catalog.ids().map(value).collect::<Vec<_>>();
    all.sort();
    all
}

fn addresses(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    let mut all = numbers.into_iter().map(|n| format!("9.9.9.{n}")).collect::<Vec<_>>();
    all.sort();
    all
}

#[test]
fn all_pages_are_read_whatever_way_they_are_joined() {
    for (page, is_terse, is_mute, asked) in
        [(3, false, false, 4), (100, false, false, 1), (3, true, false, 4), (3, false, true, 4)]
    {
        let (web, _) = serve(Shelf { is_terse, is_mute, ..shelf(10, page) });
        let folder = tempfile::tempdir().expect("a folder");
        let pulled = pull(&remote(&web), folder.path()).expect("had");
        assert_eq!(counts(&pulled), (11, 0, 0, true), "{page} {is_terse} {is_mute}");
        assert_eq!(values(folder.path()), addresses(0..10));
        assert_eq!(web.paths().len(), 1 + asked, "{page} {is_terse} {is_mute}");
    }
}

#[test]
fn changes_are_merged_and_a_full_pull_sees_what_is_gone() {
    let (web, shared) = serve(shelf(4, 3));
    let folder = tempfile::tempdir().expect("a folder");
    let remote = remote(&web);
    assert!(pull(&remote, folder.path()).expect("had").is_full);
    web.asked();
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (0, 0, 0, false));
    let asked = web.asked();
    let last = asked.last().and_then(|asked| asked.parameter("added_after"));
    assert_eq!(last, Some(time(5).as_str()));
    {
        let mut shelf = shared.lock().expect("whole");
        shelf.objects.push((time(20), indicator(7, "9.9.9.7", 0)));
        shelf.objects.push((time(21), indicator(0, "9.9.9.100", 9)));
        let mut revoked = indicator(1, "9.9.9.1", 9);
        revoked["revoked"] = json!(true);
        shelf.objects.push((time(22), revoked));
        // an old version that comes late changes nothing
        shelf.objects.push((time(23), indicator(0, "9.9.9.101", 3)));
    }
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (1, 1, 1, true));
    assert_eq!(values(folder.path()), addresses([2, 3, 7, 100]));
    shared.lock().expect("whole").objects.remove(2);
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (0, 0, 0, false));
    let full = remote.pull(folder.path(), BYTES_MAX, Scope::Everything).expect("had");
    assert_eq!((counts(&full), full.is_full), ((0, 0, 1, true), true));
    assert_eq!(values(folder.path()), addresses([3, 7, 100]));
    let again = remote.pull(folder.path(), BYTES_MAX, Scope::Everything).expect("had");
    assert_eq!(counts(&again), (0, 0, 0, false));
    let path = folder.path().join(STATE);
    let mut state: Value = serde_json::from_slice(&fs::read(&path).expect("there")).expect("JSON");
    assert!(!pull(&remote, folder.path()).expect("had").is_full);
    // a clock that was ahead is no reason to wait
    let ahead = state["full_secs"].as_u64().expect("a time") + 30 * 86_400;
    state["full_secs"] = ahead.into();
    fs::write(&path, state.to_string()).expect("written");
    assert!(pull(&remote, folder.path()).expect("had").is_full);
    let changes = Remote { reconcile_hours: 0, ..remote };
    assert!(pull(&changes, folder.path()).expect("had").is_full);
}

#[test]
fn a_report_that_comes_later_marks_what_is_in_the_mirror() {
    let (web, shared) = serve(shelf(3, 2));
    let folder = tempfile::tempdir().expect("a folder");
    let remote = remote(&web);
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (4, 0, 0, true));
    let refs = [indicator(0, "9.9.9.0", 0)["id"].clone(), json!("malware--x")];
    let report = json!({"type": "report", "id": format!("report--{ID}"), "name": "An event",
        "modified": "2024-01-01T00:00:00Z", "labels": ["tlp:red"], "object_refs": refs});
    shared.lock().expect("whole").objects.push((time(20), report));
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (1, 0, 0, true));
    let paths = [folder.path().to_owned()];
    let compiled = compile(&paths, &IntelOptions::default()).expect("usable");
    let catalog = &compiled.set.catalog;
    let sources = catalog.ids().flat_map(|id| catalog.sources(id));
    let of = sources.filter(|source| source.event.as_deref() == Some(ID));
    let told = of.map(|source| (source.info, source.tags)).collect::<Vec<_>>();
    assert_eq!(told, [(Some("An event".to_owned()), vec!["tlp:red".to_owned()])]);
}

#[test]
fn faults_on_the_way_are_tried_again_or_leave_the_old_bundle() {
    let (web, shared) = serve(shelf(4, 3));
    let folder = tempfile::tempdir().expect("a folder");
    let body = json!({"objects": [indicator(0, "9.9.9.0", 0)], "more": false}).to_string();
    shared.lock().expect("whole").faults = vec![
        Answered::status(504),
        Answered { cut: 20, ..Answered::ok(body) },
        Answered::ok("{\"objects\":[{"),
    ];
    assert_eq!(counts(&pull(&remote(&web), folder.path()).expect("had")), (5, 0, 0, true));
    let old = fs::read(folder.path().join("bundle.json")).expect("a bundle");
    for (fault, reason) in [
        (Answered::status(403), "refused"),
        (Answered::ok(r#"{"more":true,"objects":[]}"#), "answer"),
        (Answered::status(406), "rejected"),
    ] {
        shared.lock().expect("whole").faults = vec![fault];
        let error = remote(&web).pull(folder.path(), BYTES_MAX, Scope::Everything);
        let error = error.expect_err(reason);
        assert_eq!(error.reason(), reason, "{error}");
        assert_eq!(fs::read(folder.path().join("bundle.json")).expect("a bundle"), old);
    }
}

#[test]
fn nonsense_that_is_called_a_success_leaves_the_old_bundle() {
    let (web, shared) = serve(shelf(4, 3));
    let folder = tempfile::tempdir().expect("a folder");
    pull(&remote(&web), folder.path()).expect("had");
    let old = fs::read(folder.path().join("bundle.json")).expect("a bundle");
    let identity = json!({"type": "identity", "name": "CERN", "created": time(0),
        "modified": time(0), "id": "identity--00000000-0000-4000-8000-000000000000"});
    for (body, said) in [
        (r#"{"error":"quota"}"#.to_owned(), "where objects are wanted"),
        ("{}".to_owned(), "the copy stays"),
        (json!({"objects": [identity]}).to_string(), "the copy stays"),
        (r#"{"objects":[1,2]}"#.to_owned(), "no envelope"),
    ] {
        shared.lock().expect("whole").faults = vec![Answered::ok(body); 4];
        let error = remote(&web).pull(folder.path(), BYTES_MAX, Scope::Everything);
        shared.lock().expect("whole").faults.clear();
        let error = error.expect_err(said);
        assert_eq!(error.reason(), "answer", "{error}");
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(fs::read(folder.path().join("bundle.json")).expect("a bundle"), old);
    }
}

/// Serves pages that a function of the number of the question makes.
fn endless(mut page: impl FnMut(usize) -> Value + Send + 'static) -> Web {
    let mut n = 0;
    Web::new(move |asked| {
        if !asked.path.ends_with("objects/") {
            return Answered::ok(json!({"id": ID, "title": "X", "can_read": true}).to_string());
        }
        n += 1;
        Answered::ok(page(n).to_string())
    })
}

#[test]
fn what_has_no_end_is_ended() {
    let next = |n: usize| if n.is_multiple_of(2) { "a" } else { "b" };
    let same =
        move |n| json!({"more": true, "next": next(n), "objects": [indicator(1, "9.9.9.1", 0)]});
    let empty = move |n| json!({"more": true, "next": next(n), "objects": []});
    let web = endless(same);
    let folder = tempfile::tempdir().expect("a folder");
    let error = pull(&remote(&web), folder.path()).expect_err("the same").to_string();
    assert!(error.contains("brings the same again"), "{error}");
    assert_eq!(web.paths().len(), 1 + 2);
    let web = endless(empty);
    let error = pull(&remote(&web), &folder.path().join("x")).expect_err("the same").to_string();
    assert!(error.contains("brings the same again"), "{error}");
    assert_eq!(web.paths().len(), 1 + 3);
    // always other objects: the mirror's bound
    let web = endless(|n| {
        let pattern = format!("[domain-name:value = '{}.evil.example']", "x".repeat(60_000));
        let mut object = indicator(n, "9.9.9.1", 0);
        object["pattern"] = json!(pattern);
        json!({"more": true, "next": n.to_string(), "objects": [object]})
    });
    let folder = tempfile::tempdir().expect("a folder");
    let error = remote(&web).pull(folder.path(), 1 << 20, Scope::Due).expect_err("too much");
    assert_eq!(error.reason(), "too_large", "{error}");
    assert!(error.to_string().contains("more than 1 MiB in one pull"), "{error}");
    assert!(web.paths().len() < 30);
}

#[test]
fn what_cannot_be_taken_is_counted_and_told() {
    let mut nameless = indicator(1, "9.9.9.1", 0);
    nameless["id"] = json!("");
    let mut large = indicator(2, "9.9.9.2", 0);
    large["x"] = json!(vec![0; 3 << 20]);
    let objects = json!({"objects": [nameless, large, indicator(3, "9.9.9.3", 0)]});
    let web = endless(move |_| objects.clone());
    let folder = tempfile::tempdir().expect("a folder");
    let pulled = pull(&remote(&web), folder.path()).expect("had but for two");
    assert_eq!(counts(&pulled), (1, 0, 0, true));
    let said = pulled.trouble.expect("told").to_string();
    assert!(said.contains("1 without an id") && said.contains("1 too large"), "{said}");
}

#[test]
fn a_collection_may_be_empty_at_first() {
    let web = endless(|_| json!({}));
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(counts(&pull(&remote(&web), folder.path()).expect("had")), (0, 0, 0, true));
    assert_eq!(counts(&pull(&remote(&web), folder.path()).expect("had")), (0, 0, 0, false));
}

#[test]
fn text_of_a_server_steers_no_terminal_and_tells_no_key() {
    let web = Web::new(|asked| {
        let key = asked.header("authorization").unwrap_or_default().to_owned();
        let title = format!("\u{1b}]0;x\u{7}\u{202e}gnp {key}");
        Answered::ok(json!({"collections": [{"id": "x\u{9b}2J", "title": title}]}).to_string())
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key");
    fs::write(&file, "open-sesame\n").expect("written");
    let mut known = remote(&web);
    known.http.key = Key { place: KeyPlace::File(file), scheme: KeyScheme::Bearer };
    let error = pull(&known, &folder.path().join("mirror")).expect_err("no collection");
    let said = error.to_string();
    assert!(said.contains(r"\u{1b}]0;x\u{7}\u{202e}gnp Bearer (the key)"), "{said}");
    assert!(said.contains(r"x\u{9b}2J") && !said.contains("sesame"), "{said}");
}

/// A server of others, whose `next` is the same on every page.
struct Medallion(std::process::Child);

impl Drop for Medallion {
    fn drop(&mut self) {
        let _is_over = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn medallion_is_read_to_its_last_page() {
    let Some(python) = python() else { return };
    let medallion = python.with_file_name("medallion");
    let folder = tempfile::tempdir().expect("a folder");
    let objects = (0..35).map(|n| indicator(n, &format!("9.9.9.{n}"), n)).collect::<Vec<_>>();
    let manifest = (0..35).map(|n| {
        json!({"date_added": time(n), "id": objects[n]["id"], "version": time(n),
            "media_type": "application/stix+json;version=2.1"})
    });
    let shelf = json!({"id": ID, "title": "X", "description": "", "can_read": true,
        "can_write": false, "media_types": ["application/stix+json;version=2.1"],
        "manifest": manifest.collect::<Vec<_>>(), "objects": objects});
    let data = json!({
        "/discovery": {"title": "X", "api_roots": []},
        "api1": {"information": {"title": "X", "versions": [MEDIA], "max_content_length": 9_999},
            "status": [], "collections": [shelf]},
    });
    let [data_file, settings] = ["data.json", "conf.json"].map(|name| folder.path().join(name));
    fs::write(&data_file, data.to_string()).expect("written");
    let module = "medallion.backends.memory_backend";
    let conf = json!({"backend": {"module": module, "module_class": "MemoryBackend",
        "filename": data_file}, "users": {"me": "it"}, "taxii": {"max_page_size": 10}});
    fs::write(&settings, conf.to_string()).expect("written");
    let port = free_port();
    let log = fs::File::create(folder.path().join("log")).expect("made");
    let server = Command::new(medallion)
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .arg(&settings)
        .stdout(log.try_clone().expect("a handle"))
        .stderr(log)
        .spawn()
        .expect("medallion starts");
    let _server = Medallion(server);
    let started = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        assert!(started.elapsed().as_secs() < 60, "medallion does not listen: {log}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let key = folder.path().join("key");
    fs::write(&key, "me:it\n").expect("written");
    let (web, _) = serve(Shelf::default());
    let mut known = remote(&web);
    let url = format!("http://127.0.0.1:{port}{}", collection());
    known.http.url = url.parse().expect("a URL");
    known.http.key = Key { place: KeyPlace::File(key), scheme: KeyScheme::Basic };
    let mirror = folder.path().join("mirror");
    assert_eq!(counts(&pull(&known, &mirror).expect("had")), (35, 0, 0, true));
    assert_eq!(counts(&pull(&known, &mirror).expect("had")), (0, 0, 0, false));
}

#[test]
fn an_address_that_is_no_collection_is_told_what_it_is() {
    let (web, shared) = serve(shelf(1, 3));
    let folder = tempfile::tempdir().expect("a folder");
    for (path, want) in [
        ("/taxii2/", "its API roots are http://x/api1/"),
        (
            "/api1/",
            &format!(
                "an API root, not a collection: give one of collections/ID/: {ID} (Known bad)"
            )[..],
        ),
        ("/api1/collections/", "a list of collections: give one of"),
        ("/api1/collections/none/", "not found (404): nothing here"),
    ] {
        let error = pull(&web.remote(path, RemoteKind::Taxii), folder.path()).expect_err(path);
        assert!(error.to_string().contains(want), "{path}: {error}");
    }
    shared.lock().expect("whole").may_not_read = true;
    let error = pull(&remote(&web), folder.path()).expect_err("unreadable").to_string();
    assert!(error.contains("may not be read with this key"), "{error}");
}

#[test]
fn user_and_password_come_from_a_file() {
    let (web, _) = serve(Shelf { basic: Some("bWU6aXQ="), ..shelf(1, 3) });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key");
    fs::write(&file, "me:it\n").expect("written");
    let mut known = remote(&web);
    let mirror = folder.path().join("mirror");
    let error = pull(&known, &mirror).expect_err("no key");
    assert!(error.to_string().contains("refused (401): no such user"), "{error}");
    known.http.key = Key { place: KeyPlace::File(file), scheme: KeyScheme::Basic };
    assert_eq!(counts(&pull(&known, &mirror).expect("had")), (2, 0, 0, true));
}

/// The stand-in is no invention of ours: a client of others reads the same of it.
#[test]
fn taxii2_client_reads_the_same() {
    let Some(python) = python() else { return };
    let (web, _) = serve(shelf(10, 3));
    let script = "import sys, json\n\
        from taxii2client.v21 import Collection, as_pages\n\
        c = Collection(sys.argv[1])\n\
        assert c.can_read and c.title == 'Known bad'\n\
        for page in as_pages(c.get_objects, per_request=4):\n    \
            for o in page.get('objects', []):\n        \
                print(o['id'])\n";
    let text = run_script(&python, &["-c", script, &web.url(&collection())]).text();
    let mut theirs = text.lines().filter(|id| !id.starts_with("malware")).collect::<Vec<_>>();
    theirs.sort_unstable();
    let folder = tempfile::tempdir().expect("a folder");
    pull(&remote(&web), folder.path()).expect("had");
    let bundle = fs::read(folder.path().join("bundle.json")).expect("a bundle");
    let bundle: Value = serde_json::from_slice(&bundle).expect("JSON");
    let objects = bundle["objects"].as_array().expect("objects");
    let mut ours = objects.iter().filter_map(|one| one["id"].as_str()).collect::<Vec<_>>();
    ours.sort_unstable();
    assert_eq!(ours, theirs);
}
