//! Tests of HTTP/1: tables of connections, each however cut.

use proptest::prelude::*;

use super::*;
use crate::model::limits::HTTP_LINE_BYTES_MAX;
use crate::model::limits::HTTP_METHOD_BYTES_MAX;
use crate::model::observation::Notes;
use crate::model::observation::Observation;
use crate::model::observation::Value;
use crate::pipeline::dissect::drive::Drive;
use crate::pipeline::dissect::drive::drive;
use crate::pipeline::dissect::drive::however_cut;

const MORE: [Option<Verdict>; 2] = [None, None];

/// What one side sent, and what is told of it, however it is cut; every prefix tells a part of
/// that.
fn check(sent: &[u8], expected: &[&str]) {
    check_ended(sent, expected, MORE);
}

fn check_ended(sent: &[u8], expected: &[&str], ended: [Option<Verdict>; 2]) {
    let drive = however_cut::<Http>(&[(Side::Orig, sent)]);
    assert_eq!((drive.lines, drive.ended), (own(expected), ended), "{}", sent.escape_ascii());
    for cut in 0..sent.len() {
        let seen = drive_whole(&sent[..cut]).lines;
        assert!(own(expected).starts_with(&seen), "cut at {cut}: {seen:?}");
    }
}

fn drive_whole(sent: &[u8]) -> Drive {
    drive::<Http>(&[(Side::Orig, sent)], usize::MAX)
}

fn own(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

/// A request of a host, URL and agent.
const ONE: &[u8] = b"GET /a?b#c HTTP/1.1\r\nHost: H.example\r\nUser-Agent: x/1 (y)\r\n\r\n";
const ONE_TOLD: [&str; 3] =
    ["http_host h.example", "http_url http://h.example/a?b#c", "http_user_agent x/1 (y)"];

#[test]
fn one_request() {
    check(ONE, &ONE_TOLD);
    check(
        b"get / http/1.0\nhOST : \t h.example. \n\n",
        &["http_host h.example", "http_url http://h.example./"],
    );
    check(b"BREW  /pot\tHTTP/1.3 \r\nHost:h\r\n\r\n", &["http_host h", "http_url http://h/pot"]);
    check(b"GET / HTTP/1.1\r\n\r\n", &[]);
    check(b"GET / HTTP/1.1\r\nHost:\r\nUser-Agent:\r\n\r\n", &[]);
    check(b"GET /\r\n\r\n", &[]);
    check(b"GET /x y HTTP/1.1\r\nHost: h\r\n\r\n", &["http_host h", "http_url http://h/x y"]);
    check(b"GET /z\r\nHost: h\r\n\r\n", &["http_host h", "http_url http://h/z"]);
}

#[test]
fn odd_heads() {
    check(
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nno colon\r\n: none\r\n\r\n",
        &["http_host a", "http_url http://a/"],
    );
    check(
        b"GET / HTTP/1.1\r\nHost:\r\n  a\r\n\t.b \r\nUser-Agent: x\r\n y\n\tz\r\n\r\n",
        &["http_host a .b", "http_url http://a .b/", "http_user_agent x y z"],
    );
    check(
        b"GET /\xe4 HTTP/1.1\r\nHost: \xe4\\\x01.x\r\nUser-Agent: \xff\r\n\r\n",
        &[
            r"http_host \\228\\\\\\001.x",
            r"http_url http://\xe4\\\x01.x/\xe4",
            r"http_user_agent \xff",
        ],
    );
}

#[test]
fn hosts_and_their_ports() {
    let check = |host: &str, told: &str, url: &str| {
        let sent = format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let (told, url) = (format!("http_host {told}"), format!("http_url {url}"));
        check(sent.as_bytes(), &[&told, &url]);
    };
    check("A.b:80", "a.b", "http://a.b/x");
    check("a.b:8080", "a.b", "http://a.b:8080/x");
    check("a.b:", "a.b", "http://a.b:/x");
    check("[2001:DB8::1]:80", "2001:db8::1", "http://[2001:db8::1]/x");
    check("[2001:db8::1]", "2001:db8::1", "http://[2001:db8::1]/x");
    check("2001:db8::1", "2001:db8::1", "http://2001:db8::1/x");
    check("192.0.2.1:81", "192.0.2.1", "http://192.0.2.1:81/x");
}

#[test]
fn target_forms() {
    let proxied = b"GET http://U@A.example:80/x?y HTTP/1.1\r\nHost: b.example\r\n\r\n";
    check(proxied, &["http_host b.example", "http_url http://U@A.example:80/x?y"]);
    let hostless = b"GET http://u:p@A.example:80/x?y HTTP/1.0\r\n\r\n";
    check(hostless, &["http_host a.example", "http_url http://u:p@A.example:80/x?y"]);
    let elsewhere = b"GET ftp://a.example HTTP/1.1\r\nHost: a.example\r\n\r\n";
    check(elsewhere, &["http_host a.example", "http_url ftp://a.example"]);
    let whole_server = b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
    check(whole_server, &["http_host a", "http_url http://a*"]);
}

/// Which URLs a request names whole.
#[derive(Default)]
struct Told(Vec<String>);

impl Seen for Told {
    fn note(&mut self, observation: Observation<'_>) {
        if let Value::Absolute(url) = observation.value {
            self.0.push(format!("absolute {}", url.escape_ascii()));
        }
    }
}

#[test]
fn who_names_a_url_whole() {
    let check = |sent: &str, want: &[&str]| {
        let (mut http, mut told) = (Http::default(), Told::default());
        http.feed(Side::Orig, sent.as_bytes(), &mut told);
        assert_eq!(told.0, want, "{sent}");
    };
    check("GET /a/b HTTP/1.0\r\n\r\n", &[]);
    check("GET /a HTTP/1.1\r\nHost: h\r\n\r\n", &[]);
    check("OPTIONS * HTTP/1.0\r\n\r\n", &[]);
    check("CONNECT h:1 HTTP/1.0\r\n\r\n", &[]);
    check("GET http://h/a HTTP/1.1\r\nHost: h\r\n\r\n", &["absolute http://h/a"]);
    check("GET http://h/a HTTP/1.0\r\n\r\n", &["absolute http://h/a"]);
}

#[test]
fn bodies_are_skipped() {
    let put = |fields: &str, body: &[u8]| {
        [format!("PUT / HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes(), body, ONE].concat()
    };
    check(&put("Content-Length: 5", b"GET /"), &ONE_TOLD);
    check(&put("content-length:0", b""), &ONE_TOLD);
    check(&put("Content-Length: 2", b"\0\0\r\n\r\n"), &ONE_TOLD);
    let chunks = b"5\r\nGET /\r\n00a ; x=\"y\"\r\n0123456789\r\n0\r\n\r\n";
    check(&put("Transfer-Encoding: gzip, Chunked\r\nContent-Length: 1", chunks), &ONE_TOLD);
    let bare = b"5\nGET /\n0\nTrailer: x\nHost: y\n\n";
    check(&put("Transfer-Encoding: chunked", bare), &ONE_TOLD);
    check(&put("Transfer-Encoding: identity", b""), &ONE_TOLD);
    for none in ["9223372036854775808", "18446744073709551615", "-1", "+5x", "1, 1", ""] {
        check(&put(&format!("Content-Length: {none}"), b""), &ONE_TOLD);
    }
    let skipped = drive_whole(b"PUT / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n\0");
    assert_eq!(skipped.ended, [Some(Verdict::Alien); 2]);
}

#[test]
fn a_body_is_not_asked_for() {
    let sent = b"PUT / HTTP/1.1\r\nContent-Length: 9223372036854775807\r\n\r\nx";
    let step = Http::default().feed(Side::Orig, sent, &mut Notes::new());
    let consumed = sent.len() as u64 - 1 + (u64::MAX >> 1);
    assert_eq!(step, Step { consumed, verdict: Verdict::More });
    let sent = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\nx";
    let step = Http::default().feed(Side::Orig, sent, &mut Notes::new());
    let head_bytes = sent.len() as u64 - 1;
    assert_eq!(step, Step { consumed: head_bytes + 0xf_ffff, verdict: Verdict::More });
}

#[test]
fn what_follows_a_request_and_is_none_ends_both_sides() {
    let alien = [Some(Verdict::Alien); 2];
    let after = |odd: &[u8]| [ONE, odd].concat();
    check_ended(&after(b"\x81\x05hello"), &ONE_TOLD, alien);
    check_ended(&after(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), &ONE_TOLD, alien);
    check_ended(&after(b"DESCRIBE rtsp://h/ RTSP/1.0\r\n\r\n"), &ONE_TOLD, alien);
    check_ended(&after(b"OPTIONS * RTSP/1.0\r\n\r\n"), &ONE_TOLD, alien);
    check_ended(&after(b"GET / RTSP/1.0\r\n\r\n"), &ONE_TOLD, alien);
    check_ended(&after(&[b'A'; 40]), &ONE_TOLD, alien);
    for odd in [&b"xyz\r\n"[..], b"-5\r\n", b"5x\r\n", b"10000000000000000\r\n"] {
        let head = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        check_ended(&[head, odd].concat(), &[], alien);
    }
}

#[test]
fn either_side_may_ask() {
    let answer = &b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nGET / HTTP/1.1\n"[..];
    let turns = [(Side::Resp, ONE), (Side::Orig, answer), (Side::Resp, ONE)];
    let drive = however_cut::<Http>(&turns);
    assert_eq!(drive.lines, [ONE_TOLD, ONE_TOLD].concat());
    assert_eq!(drive.ended, [Some(Verdict::SideDone), None]);
    // the middle of an answer, before any request
    let drive = however_cut::<Http>(&[(Side::Resp, b"\0\0\0"), (Side::Orig, ONE)]);
    assert_eq!(drive.lines, ONE_TOLD);
    assert_eq!(drive.ended, [None, Some(Verdict::SideDone)]);
}

#[test]
fn tunnels() {
    const CONNECT: &[u8] = b"CONNECT A.example:443 HTTP/1.1\r\nHost: b\r\n\r\n";
    const TOLD: [&str; 2] = ["http_host b", "http_host a.example"];
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
    const REFUSED: &[u8] = b"HTTP/1.1 407 No\r\nContent-Length: 9\r\n\r\nHTTP/1.1 ";
    const HELLO: &[u8] = b"\x16\x03\x01";
    let another = [Some(Verdict::Another); 2];
    let check = |turns: &[(Side, &[u8])], expected: &[&str], ended| {
        let drive = however_cut::<Http>(turns);
        assert_eq!((drive.lines, drive.ended), (own(expected), ended));
    };
    let (orig, resp) = (Side::Orig, Side::Resp);
    check(&[(orig, CONNECT)], &TOLD, MORE);
    check(&[(orig, CONNECT), (resp, OK)], &TOLD, another);
    check(&[(resp, CONNECT), (orig, b"HTTP/1.1 100 C\r\n\r\n"), (orig, OK)], &TOLD, another);
    check(&[(orig, CONNECT), (orig, HELLO)], &TOLD, another);
    let twice = [TOLD, TOLD].concat();
    check(&[(orig, CONNECT), (resp, REFUSED), (orig, CONNECT), (resp, OK)], &twice, another);
    check(&[(orig, CONNECT), (resp, REFUSED), (orig, HELLO)], &TOLD, [Some(Verdict::Alien); 2]);
    let inside = [&TOLD[..], &ONE_TOLD].concat();
    check(&[(orig, CONNECT), (orig, ONE), (resp, OK)], &inside, MORE);
    let literal = b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n";
    check(&[(orig, literal)], &["http_host 2001:db8::1"], MORE);
    let step = {
        let mut http = Http::default();
        let mut notes = Notes::new();
        http.feed(orig, CONNECT, &mut notes);
        http.feed(resp, &[OK, HELLO].concat(), &mut notes)
    };
    assert_eq!(step, Step { consumed: OK.len() as u64, verdict: Verdict::Another });
}

#[test]
fn heads_are_bounded() {
    let head = |bytes: usize| {
        let start = &b"GET /p HTTP/1.1\r\nHost: h\r\nX: "[..];
        let end = &b"\r\nUser-Agent: u\r\n\r\n"[..];
        [start, &vec![b'x'; bytes - start.len() - end.len()], end].concat()
    };
    let told = ["http_host h", "http_url http://h/p", "http_user_agent u"];
    let pieces = [usize::MAX, HTTP_HEAD_BYTES_MAX, 1_000, 1];
    for piece in pieces {
        for bytes in [HTTP_HEAD_BYTES_MAX - 1, HTTP_HEAD_BYTES_MAX] {
            let drive = drive::<Http>(&[(Side::Orig, &head(bytes))], piece);
            assert_eq!((drive.lines, drive.ended), (own(&told), MORE));
        }
        let drive = drive::<Http>(&[(Side::Orig, &head(HTTP_HEAD_BYTES_MAX + 1))], piece);
        assert_eq!(drive.ended, [Some(Verdict::SideDone), None]);
        assert_eq!(drive.lines[..2], told[..2]);
    }
    let path = "x".repeat(5_000);
    let sent = format!("GET /{path} HTTP/1.1\r\nHost: h\r\n\r\n");
    check(sent.as_bytes(), &["http_host h", &format!("http_url http://h/{path}")]);
}

#[test]
fn first_bytes() {
    let check = |sent: &[u8], expected: Guess| {
        for cut in 0..=sent.len() {
            let guess = Http::probe(&sent[..cut]);
            let early = cut < sent.len() && guess == Guess::Maybe;
            assert!(guess == expected || early, "{} {guess:?}", sent[..cut].escape_ascii());
        }
        for more in [&b"\n"[..], b" HTTP/1.1\r\n", b"\0"] {
            let sent = [sent, more].concat();
            let settled = expected == Guess::Maybe || Http::probe(&sent) == expected;
            assert!(settled, "{}", sent.escape_ascii());
        }
    };
    check(b"\r\nGET /", Guess::Yes);
    check(b"OPTIONS http://", Guess::Yes);
    check(b"CONNECT a", Guess::Yes);
    check(b"HTTP/", Guess::Yes);
    check(b"M-SEARCH * HTTP/1.1\r\n", Guess::Yes);
    check(b"foo bar HTTP/1.0\n", Guess::Yes);
    check(b"", Guess::Maybe);
    check(b"GET", Guess::Maybe);
    check(b"GET h", Guess::Maybe);
    check(b"PURGE /x", Guess::Maybe);
    check(b"PRI * HTTP/2.0", Guess::No);
    check(b"INVITE sip:a SIP/2.0\r\n", Guess::No);
    check(b"OPTIONS rtsp://a RTSP/1.0\r\n", Guess::No);
    check(b"SSH-2.0-OpenSSH_9.2 Debian\r\n", Guess::No);
    check(b"EHLO mail.example\r\n", Guess::No);
    check(b"\x16\x03", Guess::No);
    check(b"220 ", Guess::Maybe);
    check(b"220 mail ESMTP\r\n", Guess::No);
    check(b"GET \0", Guess::No);
    check(&[b'A'; HTTP_METHOD_BYTES_MAX], Guess::Maybe);
    check(&[b'A'; HTTP_METHOD_BYTES_MAX + 1], Guess::No);
    check(&[b"X ", &[b'y'; HTTP_LINE_BYTES_MAX][..]].concat(), Guess::No);
}

proptest! {
    #[test]
    fn anything_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz(&bytes);
    }

    #[test]
    fn anything_of_words_is_survived(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..30),
    ) {
        fuzz(&words.concat());
    }
}

const WORDS: &[&[u8]] = &[
    b"GET /",
    b"CONNECT a:1",
    b" HTTP/1.1",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"Host: h",
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 407",
    b"Content-Length: 4",
    b"Transfer-Encoding: chunked",
    b"4",
    b"0",
    b" ",
    b"\x16\x03",
];
