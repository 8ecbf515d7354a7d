//! One question each to a server that answers with fixed bytes.

use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread::JoinHandle;

use super::*;
use crate::control::intel::remote::key::KeyPlace;
use crate::control::intel::remote::key::KeyScheme;

/// Answers each connection with the next bytes; gives back what was asked.
fn serve(answers: Vec<Vec<u8>>) -> (Url, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("http://{}/misp", listener.local_addr().expect("has one"));
    let thread = std::thread::spawn(move || {
        let one = |answer: Vec<u8>| {
            let (mut stream, _) = listener.accept().expect("a client");
            let asked = head(&mut stream);
            stream.write_all(&answer).expect("written");
            asked
        };
        answers.into_iter().map(one).collect()
    });
    (address(&url, false).expect("loopback"), thread)
}

fn head(stream: &mut TcpStream) -> String {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).expect("read") == 1 {
        text.extend(byte);
    }
    String::from_utf8(text).expect("text")
}

fn settings_of(url: Url) -> HttpSettings {
    HttpSettings { proxy: ProxyRule::Direct, read_secs: 1, ..HttpSettings::new(url) }
}

/// Asks a server that answers so; returns the body, or what is said.
fn ask(answer: &[u8]) -> Result<String, RemoteError> {
    let (url, thread) = serve(vec![answer.to_vec()]);
    let settings = settings_of(url);
    let http = settings.open().expect("ready");
    let question = Question::get(settings.below("attributes?x=1").expect("a URL"));
    let mut body = String::new();
    let read = http.ask(&question).and_then(|mut answer| {
        let read = answer.read_to_string(&mut body);
        read.map_err(|_| answer.take_failure().expect("says why"))
    });
    thread.join().expect("served");
    read.map(|_| body)
}

/// An answer, and what is said of it after the address.
fn check(answer: &[u8], reason: &str, said: &str) {
    let error = ask(answer).expect_err("no answer");
    assert_eq!(error.reason(), reason, "{error}");
    let line = error.to_string();
    let (place, what) = line.split_once(": ").expect("address: what");
    assert!(
        place.starts_with("http://127.0.0.1:") && place.ends_with("/misp/attributes"),
        "{line}"
    );
    assert!(what.starts_with(said), "{line}");
}

#[test]
fn answers_are_read_whole_and_unpacked() {
    let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    assert_eq!(ask(plain).expect("an answer"), "{}");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(b"{\"response\":[]}").expect("memory");
    let body = gz.finish().expect("memory");
    let mut packed = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    packed.extend(body);
    assert_eq!(ask(&packed).expect("an answer"), "{\"response\":[]}");
}

#[test]
fn what_is_no_answer_says_so() {
    check(
        b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n{\"name\":\"x\",\"message\":\"Authentication failed.\"}",
        "refused",
        "refused (403): Authentication failed.: is the key right",
    );
    check(
        b"HTTP/1.1 504 Gateway Time-out\r\nConnection: close\r\n\r\n<html><head><title>504 Gateway Time-out</title></head>",
        "server_error",
        "server error 504: a page for people, titled \"504 Gateway Time-out\"",
    );
    check(
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "not_found",
        "not found (404): check",
    );
    check(
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{\"a\"",
        "cut",
        "the answer was cut",
    );
    check(b"", "cut", "the answer was cut");
    check(
        b"HTTP/1.1 302 Found\r\nLocation: https://other.example/a?key=1\r\nContent-Length: 0\r\n\r\n",
        "redirect",
        "it redirects to https://other.example/a, which is not followed",
    );
    check(
        b"HTTP/1.1 418 Teapot\r\nConnection: close\r\n\r\nshort\nand stout",
        "rejected",
        "not accepted (418): short",
    );
}

/// What a server that has had enough says, and for how many seconds it is left alone, give or take
/// one.
fn check_wait(headers: &str, secs: Option<u64>) {
    let answer = format!("HTTP/1.1 429 Slow down\r\n{headers}Content-Length: 0\r\n\r\n");
    match ask(answer.as_bytes()) {
        Err(RemoteError::Busy { wait, .. }) => {
            let wait = wait.map(|wait| wait.as_secs());
            let is_near = wait.zip(secs).is_some_and(|(wait, secs)| wait.abs_diff(secs) <= 1);
            assert!(is_near || wait == secs, "{headers}: {wait:?}");
        }
        other => panic!("{headers}: {other:?}"),
    }
}

#[test]
fn only_200_is_an_answer() {
    for status in ["201 Created", "202 Accepted", "204 No Content", "206 Partial Content"] {
        let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n");
        check(answer.as_bytes(), "answer", "no whole answer (20");
    }
    let answer = b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n";
    check(answer, "answer", "it says that nothing has changed (304)");
    let (url, thread) = serve(vec![answer.to_vec()]);
    let settings = settings_of(url);
    let mut question = Question::get(settings.url.clone());
    question.headers.push(("if-none-match", "\"1\"".to_owned()));
    let answer = settings.open().expect("ready").ask(&question).expect("asked for");
    assert_eq!(answer.status(), 304);
    thread.join().expect("served");
}

#[test]
fn what_is_secret_is_not_told() {
    check(
        b"HTTP/1.1 302 Found\r\nLocation: https://user:pw@evil.example:99999/x?token=zzz\r\nContent-Length: 0\r\n\r\n",
        "redirect",
        "it redirects to what is no address, which is not followed",
    );
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("key");
    std::fs::write(&file, "me:sesame-open\n").expect("written");
    for (scheme, echo) in [
        (KeyScheme::Bare, "me:sesame-open"),
        (KeyScheme::Bearer, "Bearer me:sesame-open"),
        (KeyScheme::Basic, "Basic bWU6c2VzYW1lLW9wZW4="),
        (KeyScheme::Basic, "sesame-open"),
    ] {
        let body = format!("{{\"message\":\"bad key {echo}\"}}");
        let answer = format!("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n{body}");
        let (url, thread) = serve(vec![answer.into_bytes()]);
        let mut settings = settings_of(url);
        settings.key = Key { place: KeyPlace::File(file.clone()), scheme };
        let http = settings.open().expect("ready");
        let error = http.ask(&Question::get(settings.url.clone())).expect_err("refused");
        let said = error.to_string();
        assert!(said.contains("bad key") && said.contains("(the key)"), "{said}");
        assert!(!said.contains("sesame") && !said.contains("bWU6"), "{said}");
        thread.join().expect("served");
    }
}

#[test]
fn a_proxy_that_is_none_is_told() {
    for (text, port) in [("proxy.example:3128", 3128), ("http://u:p@proxy.example", 80)] {
        let url = proxy("HTTPS_PROXY", text).expect(text);
        assert_eq!(url.port_or_known_default(), Some(port));
    }
    for text in ["http://[broken", "http://proxy:99999", "ftp://proxy.example", "not a proxy"] {
        let error = proxy("HTTPS_PROXY", text).expect_err(text);
        assert!(error.to_string().starts_with("HTTPS_PROXY of the environment is no proxy"));
    }
}

#[test]
fn a_server_that_wants_to_be_left_alone_says_for_how_long() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let date = |secs: u64| {
        let time = jiff::Timestamp::from_second(secs.try_into().expect("small")).expect("a time");
        jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).expect("text")
    };
    check_wait("Retry-After: 7\r\n", Some(7));
    check_wait(&format!("Retry-After: {}\r\n", date(now + 90)), Some(90));
    check_wait(&format!("Retry-After: {}\r\n", date(now - 90)), Some(0));
    // MISP says seconds, others the time
    check_wait("X-Rate-Limit-Limit: 5\r\nX-Rate-Limit-Reset: 12\r\n", Some(12));
    check_wait(&format!("X-Rate-Limit-Reset: {}\r\n", now + 30), Some(30));
    check_wait("RateLimit-Reset: 3\r\n", Some(3));
    check_wait("Retry-After: 7\r\nX-Rate-Limit-Reset: 900\r\n", Some(7));
    check_wait("Retry-After: soon\r\nX-Rate-Limit-Reset: 900\r\n", Some(900));
    // what Redis says of a window that is over
    check_wait("X-Rate-Limit-Reset: -2\r\n", None);
    check_wait("", None);
}

#[test]
fn silence_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("http://{}/", listener.local_addr().expect("has one"));
    let settings = settings_of(address(&url, false).expect("loopback"));
    let http = settings.open().expect("ready");
    let error = http.ask(&Question::get(settings.url.clone())).expect_err("nobody answers");
    assert!(error.to_string().ends_with("no answer in 1 s"), "{error}");
    let port = listener.local_addr().expect("has one").port();
    drop(listener);
    let error = http.ask(&Question::get(settings.url.clone())).expect_err("nobody listens");
    let want = format!("http://127.0.0.1:{port}: cannot connect: ");
    assert!(error.to_string().starts_with(&want), "{error}");
}

#[test]
fn a_redirect_at_home_is_followed_with_the_key_and_no_other() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("key");
    std::fs::write(&file, "sesame\n").expect("written");
    let there =
        b"HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let end = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    let (url, thread) = serve(vec![there.to_vec(), end.to_vec()]);
    let mut settings = settings_of(url);
    settings.key = Key { place: KeyPlace::File(file), scheme: KeyScheme::Bare };
    let http = settings.open().expect("ready");
    let mut answer = http.ask(&Question::get(settings.url.clone())).expect("an answer");
    let mut body = String::new();
    answer.read_to_string(&mut body).expect("read");
    assert_eq!(body, "ok");
    let asked = thread.join().expect("served");
    assert!(asked[1].starts_with("GET /new "), "{asked:?}");
    assert!(asked.iter().all(|head| head.contains("authorization: sesame\r\n")), "{asked:?}");
    let other = Url::parse("http://127.0.0.1:1/").expect("a URL");
    let error = http.ask(&Question::get(other)).expect_err("another host");
    assert_eq!(error.reason(), "redirect");
}

#[test]
fn addresses_are_checked_before_a_key_goes_there() {
    let ok = |text: &str, plain| address(text, plain).map(|url| place(&url));
    assert_eq!(ok("https://misp.example/x/?y#z", false), Ok("https://misp.example/x".to_owned()));
    assert_eq!(ok("http://[::1]:8080", false), Ok("http://[::1]:8080".to_owned()));
    assert_eq!(ok("http://misp.example", true), Ok("http://misp.example".to_owned()));
    for (text, what) in [
        ("http://misp.example", "http:// shows the key"),
        ("http://127.0.0.1.example", "http:// shows the key"),
        ("https://me:key@misp.example", "credentials do not belong"),
        ("misp.example", "`misp.example` is no URL"),
        ("ftp://misp.example", "ftp:// is not read"),
    ] {
        let told = address(text, false).expect_err(text);
        assert!(told.starts_with(what), "{told}");
    }
}

#[test]
fn below_keeps_the_folder() {
    for base in ["https://h/misp", "https://h/misp/"] {
        let settings = HttpSettings::new(Url::parse(base).expect("a URL"));
        let url = settings.below("events/restSearch").expect("a URL");
        assert_eq!(url.as_str(), "https://h/misp/events/restSearch");
    }
}
