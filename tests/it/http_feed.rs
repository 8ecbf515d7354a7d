//! Feeds over HTTP, as a server gives them and as they are in the mirror.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;
use tapsieve::control::intel::IntelOptions;
use tapsieve::control::intel::compile::compile;
use tapsieve::control::intel::remote::source::RemoteKind;
use tapsieve::control::intel::remote::source::Scope;

use crate::run::corpus;
use crate::run::run;
use crate::web::Answered;
use crate::web::BYTES_MAX;
use crate::web::Web;
use crate::web::counts;
use crate::web::pull;

const A: &str = "2d72a64d-a1bc-5bf6-915e-215bdbf26eaf";
const B: &str = "a026bf22-4e30-5550-9e1b-2bcd36288d04";

/// Files that a server has; a test changes them.
type Files = Arc<Mutex<BTreeMap<String, Answered>>>;

fn serve(files: &[(&str, Answered)]) -> (Web, Files) {
    let all = files.iter().map(|(path, answer)| ((*path).to_owned(), answer.clone())).collect();
    let files: Files = Arc::new(Mutex::new(all));
    let shown = Arc::clone(&files);
    let web = Web::new(move |asked| {
        let files = shown.lock().expect("whole");
        let Some(answer) = files.get(&asked.path) else { return Answered::status(404) };
        let tag = answer.headers.iter().find(|(name, _)| name == "etag").map(|(_, tag)| tag);
        if tag.is_some() && asked.header("if-none-match") == tag.map(String::as_str) {
            return Answered::status(304);
        }
        answer.clone()
    });
    (web, files)
}

fn put(files: &Files, path: &str, answer: Answered) {
    files.lock().expect("whole").insert(path.to_owned(), answer);
}

/// Returns the values that the mirror gives.
fn values(folder: &Path) -> Vec<String> {
    let compiled = compile(&[folder.to_owned()], &IntelOptions::default()).expect("usable");
    assert!(compiled.damages.is_empty(), "{:?}", compiled.damages);
    let catalog = &compiled.set.catalog;
    catalog.ids().map(|id| catalog.value(id).to_owned()).collect()
}

fn event(value: &str) -> Answered {
    let event = json!({"Event": {"info": "X", "Attribute": [{"type": "domain", "value": value}]}});
    Answered::ok(event.to_string())
}

fn manifest(events: &[(&str, u64)]) -> Answered {
    let entry = |(name, secs): &(&str, u64)| ((*name).to_owned(), json!({"timestamp": secs}));
    let map = events.iter().map(entry).collect::<serde_json::Map<_, _>>();
    Answered::ok(Value::Object(map).to_string())
}

#[test]
fn a_file_is_fetched_when_it_changed() {
    let list = |text: &str, tag: &str| Answered::ok(text).with("etag", tag);
    let (web, files) = serve(&[("/list.txt", list("evil.example\n", "\"1\""))]);
    let folder = tempfile::tempdir().expect("a folder");
    let remote = web.remote("/list.txt", RemoteKind::Feed);
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (1, 0, 0, true));
    assert_eq!(values(folder.path()), ["evil.example"]);
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (0, 0, 0, false));
    let asked = web.asked();
    assert_eq!(asked[0].header("if-none-match"), None);
    assert_eq!(asked[1].header("if-none-match"), Some("\"1\""));
    put(&files, "/list.txt", list("worse.example\n", "\"2\""));
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (0, 1, 0, true));
    assert_eq!(values(folder.path()), ["worse.example"]);
    // a server that says nothing of changes: the bytes do
    put(&files, "/list.txt", Answered::ok("worse.example\n"));
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (0, 0, 0, false));
    // the file is lost: it is fetched whatever the server knows
    put(&files, "/list.txt", list("worse.example\n", "\"2\""));
    pull(&remote, folder.path()).expect("had");
    fs::remove_file(folder.path().join("feed")).expect("there");
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (1, 0, 0, true));
    // or somebody wrote into it
    fs::write(folder.path().join("feed"), "wor").expect("written");
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (0, 1, 0, true));
    assert_eq!(values(folder.path()), ["worse.example"]);
}

#[test]
fn a_damaged_event_is_fetched_again_when_all_is_asked_for() {
    let a = format!("/feed/{A}.json");
    let (web, _files) = serve(&[
        ("/feed/manifest.json", manifest(&[(A, 1)]).with("etag", "\"1\"")),
        (&a, event("a.example")),
    ]);
    let folder = tempfile::tempdir().expect("a folder");
    let remote = web.remote("/feed/", RemoteKind::Feed);
    pull(&remote, folder.path()).expect("had");
    let path = folder.path().join(format!("{A}.json"));
    let whole = fs::read(&path).expect("there");
    fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    let pulled = remote.pull(folder.path(), BYTES_MAX, Scope::Everything).expect("had");
    assert!(pulled.differs);
    assert_eq!(fs::read(&path).expect("there"), whole);
}

#[test]
fn what_is_no_feed_leaves_the_old_one() {
    let (web, files) = serve(&[("/list.txt", Answered::ok("evil.example\n"))]);
    let folder = tempfile::tempdir().expect("a folder");
    let remote = web.remote("/list.txt", RemoteKind::Feed);
    pull(&remote, folder.path()).expect("had");
    for (answer, reason) in [
        (Answered::ok("<!DOCTYPE html><title>Login</title>"), "answer"),
        (Answered::ok(""), "answer"),
        (Answered { cut: 5, ..Answered::ok("worse.example\n") }, "cut"),
        (Answered::status(404), "not_found"),
        (Answered::status(403), "refused"),
        (Answered::status(301).with("location", "http://127.0.0.2:1/list.txt"), "redirect"),
    ] {
        put(&files, "/list.txt", answer);
        let error = pull(&remote, folder.path()).expect_err(reason);
        assert_eq!(error.reason(), reason, "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
        assert_eq!(values(folder.path()), ["evil.example"]);
    }
    put(&files, "/list.txt", Answered::ok("worse.example\n"));
    let error = remote.pull(folder.path(), 4, Scope::Due).expect_err("too large");
    assert_eq!(error.reason(), "local", "{error}");
    assert_eq!(values(folder.path()), ["evil.example"]);
}

#[test]
fn a_feed_of_columns_or_of_text_is_read_as_it_is_said() {
    let columns = "# id,dateadded,url,status,link\r\n\
        \"37\",\"2026-11-30\",\"http://evil.org/a,b\",\"online\",\"https://feed.example/37/\"\r\n";
    let text = "Seen: hxxp://evil[.]org/a, from 9.9.9.9 (and worse.net).\nSee our blog.\n";
    let (web, files) = serve(&[("/columns", Answered::ok(columns)), ("/text", Answered::ok(text))]);
    for (path, form, want) in [
        ("/columns", "csv:3", &["http://evil.org/a,b"][..]),
        ("/text", "freetext", &["9.9.9.9", "hxxp://evil[.]org/a", "worse.net"][..]),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let pull = || {
            let url = web.remote(path, RemoteKind::Feed).http.url.to_string();
            let words = ["intel", "pull", "--feed", &url, "--to", "pulled", "--list-form", form];
            run(folder.path(), &words)
        };
        let pulled = pull();
        assert_eq!(pulled.code, 0, "{}", pulled.stderr);
        let words = ["intel", "list", "--json", "--intel", "pulled", "--list-form", form];
        let listed = run(folder.path(), &words);
        assert_eq!(listed.code, 0, "{}", listed.stderr);
        let lines = listed.lines();
        let mut values = lines.iter().filter_map(|line| line["value"].as_str()).collect::<Vec<_>>();
        values.sort_unstable();
        assert_eq!(values, want, "{lines:?}");
        // what has none, read so, does not take its place
        put(&files, path, Answered::ok("no-value\n"));
        assert_eq!(pull().code, 1, "{form}");
    }
}

#[test]
fn of_a_folder_only_what_changed_is_fetched() {
    let (a, b) = (format!("/feed/{A}.json"), format!("/feed/{B}.json"));
    let (web, files) = serve(&[
        ("/feed/manifest.json", manifest(&[(A, 1), (B, 1), ("../../../../etc/passwd", 1)])),
        (&a, event("a.example")),
        (&b, event("b.example")),
    ]);
    let folder = tempfile::tempdir().expect("a folder");
    let remote = web.remote("/feed/", RemoteKind::Feed);
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (2, 0, 0, true));
    assert_eq!(values(folder.path()), ["a.example", "b.example"]);
    assert_eq!(web.paths(), ["/feed/manifest.json", &a, &b]);
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (0, 0, 0, false));
    assert_eq!(web.paths(), ["/feed/manifest.json"]);
    put(&files, &b, event("c.example"));
    put(&files, "/feed/manifest.json", manifest(&[(A, 1), (B, 2)]));
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (0, 1, 0, true));
    assert_eq!(web.paths(), ["/feed/manifest.json", &b]);
    assert_eq!(values(folder.path()), ["a.example", "c.example"]);
    put(&files, "/feed/manifest.json", manifest(&[(B, 2)]));
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (0, 0, 1, true));
    assert_eq!(values(folder.path()), ["c.example"]);
    assert!(!folder.path().join(format!("{A}.json")).exists());
}

#[test]
fn a_pull_that_was_killed_is_taken_up_whatever_became_of_its_events() {
    let a = format!("/{A}.json");
    let (web, files) = serve(&[("/manifest.json", manifest(&[(A, 1)])), (&a, event("a.example"))]);
    let folder = tempfile::tempdir().expect("a folder");
    let remote = web.remote("/manifest.json", RemoteKind::Feed);
    pull(&remote, folder.path()).expect("had");
    // the event was there, its manifest not yet
    fs::remove_file(folder.path().join("manifest.json")).expect("there");
    put(&files, &a, event("a.de"));
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (1, 0, 0, true));
    assert_eq!(values(folder.path()), ["a.de"]);
}

#[test]
fn a_server_in_trouble_says_when_it_is_over() {
    let since = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&since);
    let web = Web::new(move |_| {
        let mut asked = asked.lock().expect("whole");
        asked.push(Instant::now());
        match asked.len() {
            1 => Answered::status(503).with("retry-after", "3").with("x-rate-limit-reset", "900"),
            _ => Answered::ok("evil.example\n"),
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    pull(&web.remote("/list.txt", RemoteKind::Feed), folder.path()).expect("had");
    let asked = since.lock().expect("whole");
    assert!(asked[1] - asked[0] >= Duration::from_secs(3), "{asked:?}");
}

#[test]
fn an_event_that_cannot_be_had_stays_as_it_was_and_is_asked_for_again() {
    let (a, b) = (format!("/{A}.json"), format!("/{B}.json"));
    let (web, files) = serve(&[
        ("/manifest.json", manifest(&[(A, 1)]).with("etag", "\"1\"")),
        (&a, event("a.example")),
    ]);
    let folder = tempfile::tempdir().expect("a folder");
    let remote = web.remote("/manifest.json", RemoteKind::Feed);
    pull(&remote, folder.path()).expect("had");
    put(&files, "/manifest.json", manifest(&[(A, 2), (B, 2)]).with("etag", "\"2\""));
    put(&files, &a, Answered::status(404));
    put(&files, &b, event("b.example"));
    let pulled = pull(&remote, folder.path()).expect("had in part");
    assert_eq!(counts(&pulled), (1, 0, 0, true));
    assert_eq!(pulled.trouble.map(|error| error.reason()), Some("not_found"));
    assert_eq!(values(folder.path()), ["a.example", "b.example"]);
    put(&files, &a, event("c.example"));
    let pulled = pull(&remote, folder.path()).expect("had");
    assert_eq!((counts(&pulled), pulled.trouble.is_none()), ((0, 1, 0, true), true));
    assert_eq!(values(folder.path()), ["b.example", "c.example"]);
    for (answer, what) in [
        (Answered::ok("{}"), "names no event"),
        (Answered::ok("not JSON"), "no manifest of a MISP feed"),
    ] {
        put(&files, "/manifest.json", answer);
        let error = pull(&remote, folder.path()).expect_err(what).to_string();
        assert!(error.contains(what), "{error}");
        assert_eq!(values(folder.path()), ["b.example", "c.example"]);
    }
}

/// What answers a feed with success and is none, and what is said of it.
fn nonsense() -> Vec<(Answered, &'static str)> {
    let text = "Service unavailable\nPlease write to help@evil.example\nSorry\n";
    [
        (r#"{"error":"quota exceeded"}"#, "no MISP event"),
        (r#"{"Event":{"Attribute":[{"type":"domain","val"#, "broken JSON"),
        ("\u{feff}<!DOCTYPE html><title>Login</title>", "a page for people"),
        ("<!-- x --><html>", "a page for people"),
        ("<head><title>Login</title>", "a page for people"),
        (text, "indicator"),
        ("# nothing\n", "the copy stays"),
    ]
    .into_iter()
    .map(|(body, said)| (Answered::ok(body), said))
    .chain([202, 206].map(|status| {
        let answer = Answered { status, ..Answered::ok("worse.example\n") };
        (answer, "no whole answer (20")
    }))
    .collect()
}

#[test]
fn nonsense_that_is_called_a_success_leaves_the_old_file() {
    std::thread::scope(|threads| {
        for (answer, said) in nonsense() {
            threads.spawn(move || {
                let (web, files) = serve(&[("/list.txt", Answered::ok("evil.example\n"))]);
                let folder = tempfile::tempdir().expect("a folder");
                let remote = web.remote("/list.txt", RemoteKind::Feed);
                pull(&remote, folder.path()).expect("had");
                put(&files, "/list.txt", answer.clone());
                let error = pull(&remote, folder.path()).expect_err(said);
                assert_eq!(error.reason(), "answer", "{error}");
                assert!(error.to_string().contains(said), "{error}");
                assert_eq!(values(folder.path()), ["evil.example"]);
            });
        }
    });
}

#[test]
fn nonsense_that_is_called_a_success_leaves_the_old_event() {
    let a = format!("/{A}.json");
    let bodies = [
        r#"{"error":"x"}"#,
        "<html>",
        r#"{"Event":{"info":"x","Attribute":[]}}"#,
        r#"{"Event":{"info":"x","Attribute":[{"type":"domain""#,
        "worse.example\n",
    ];
    std::thread::scope(|threads| {
        for body in bodies {
            let a = &a;
            threads.spawn(move || {
                let (web, files) =
                    serve(&[("/manifest.json", manifest(&[(A, 1)])), (a, event("a.example"))]);
                let folder = tempfile::tempdir().expect("a folder");
                let remote = web.remote("/", RemoteKind::Feed);
                pull(&remote, folder.path()).expect("had");
                put(&files, "/manifest.json", manifest(&[(A, 2)]));
                put(&files, a, Answered::ok(body));
                for _ in 0..2 {
                    let pulled = pull(&remote, folder.path()).expect("had but for one");
                    let trouble = pulled.trouble.map(|error| error.reason());
                    assert_eq!(trouble, Some("answer"), "{body}");
                    assert_eq!(values(folder.path()), ["a.example"], "{body}");
                }
            });
        }
    });
}

#[test]
fn nothing_has_changed_is_no_first_answer() {
    for path in ["/list.txt", "/feed/"] {
        let web = Web::new(|_| Answered::status(304));
        let folder = tempfile::tempdir().expect("a folder");
        let error = pull(&web.remote(path, RemoteKind::Feed), folder.path()).expect_err("nothing");
        assert!(error.to_string().contains("(304)"), "{error}");
    }
}

#[test]
fn a_folder_of_someone_elses_is_left_as_it_is() {
    let (web, _) = serve(&[
        ("/manifest.json", manifest(&[(A, 1)])),
        (&format!("/{A}.json"), event("a.example")),
    ]);
    let folder = tempfile::tempdir().expect("a folder");
    let thesis = folder.path().join("thesis.txt");
    fs::write(&thesis, "years of work").expect("written");
    let remote = web.remote("/", RemoteKind::Feed);
    let error = pull(&remote, folder.path()).expect_err("refused");
    assert!(error.to_string().contains("not empty and no copy"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    assert!(web.asked().is_empty());
}

#[test]
fn only_what_is_ours_is_removed() {
    let (web, files) = serve(&[
        ("/manifest.json", manifest(&[(A, 1), (B, 1)])),
        (&format!("/{A}.json"), event("a.example")),
        (&format!("/{B}.json"), event("b.example")),
    ]);
    let folder = tempfile::tempdir().expect("a folder");
    let remote = web.remote("/", RemoteKind::Feed);
    pull(&remote, folder.path()).expect("had");
    let thesis = folder.path().join("thesis.txt");
    fs::write(&thesis, "years of work").expect("written");
    put(&files, "/manifest.json", manifest(&[(B, 1)]));
    assert_eq!(counts(&pull(&remote, folder.path()).expect("had")), (0, 0, 1, true));
    assert!(thesis.exists() && !folder.path().join(format!("{A}.json")).exists());
}

#[test]
fn another_source_takes_over_when_it_is_whole() {
    let (web, files) = serve(&[
        ("/manifest.json", manifest(&[(A, 1)])),
        (&format!("/{A}.json"), event("a.example")),
        ("/list.txt", Answered::status(404)),
        ("/other/manifest.json", manifest(&[(A, 1), (B, 1)])),
        (&format!("/other/{A}.json"), event("c.example")),
    ]);
    let folder = tempfile::tempdir().expect("a folder");
    let from = |path| pull(&web.remote(path, RemoteKind::Feed), folder.path());
    from("/").expect("had");
    from("/list.txt").expect_err("not there");
    assert_eq!(values(folder.path()), ["a.example"]);
    put(&files, "/list.txt", Answered::ok("b.example\n"));
    assert!(from("/list.txt").expect("had").differs);
    assert_eq!(values(folder.path()), ["b.example"]);
    // an event of the other folder is missing: what is here stays
    from("/other/").expect_err("not whole");
    assert_eq!(values(folder.path()), ["b.example"]);
    put(&files, &format!("/other/{B}.json"), event("d.example"));
    from("/other/").expect("had");
    assert_eq!(values(folder.path()), ["c.example", "d.example"]);
    from("/").expect("had");
    assert_eq!(values(folder.path()), ["a.example"]);
    assert!(!folder.path().join(format!("{B}.json")).exists());
}

#[test]
fn a_pipe_for_a_state_is_not_waited_for() {
    let (web, _) = serve(&[("/list.txt", Answered::ok("evil.example\n"))]);
    let folder = tempfile::tempdir().expect("a folder");
    let remote = web.remote("/list.txt", RemoteKind::Feed);
    pull(&remote, folder.path()).expect("had");
    let state = folder.path().join(".state.json");
    fs::remove_file(&state).expect("there");
    nix::unistd::mkfifo(&state, nix::sys::stat::Mode::S_IRWXU).expect("made");
    pull(&remote, folder.path()).expect("had");
    assert!(state.is_file());
}

/// The corpus's real feed, over the wire and from disk.
#[test]
fn a_real_feed_is_the_same_over_the_wire() {
    let Some(corpus) = corpus() else { return };
    let root: PathBuf = corpus.join("misp/feed-public");
    let from = root.clone();
    let web = Web::new(move |asked| {
        let name = asked.path.trim_start_matches('/');
        fs::read(from.join(name)).map_or_else(|_| Answered::status(404), Answered::ok)
    });
    let folder = tempfile::tempdir().expect("a folder");
    pull(&web.remote("/", RemoteKind::Feed), folder.path()).expect("had");
    let set = |path: &Path| {
        let set = compile(&[path.to_owned()], &IntelOptions::default()).expect("usable").set;
        set.catalog.ids().map(|id| set.catalog.value(id).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(set(folder.path()), set(&root));
}
