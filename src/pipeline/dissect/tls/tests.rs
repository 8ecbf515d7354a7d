//! Whole connections through the dissector: recorded ones, and the same cut, split and filled in
//! every way.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::flow::Side;
use crate::model::limits::CERTIFICATES_MAX;
use crate::model::limits::TLS_MESSAGE_BYTES_MAX;
use crate::model::step::Verdict;
use crate::pipeline::dissect::Dissect;
use crate::pipeline::dissect::Guess;
use crate::pipeline::dissect::drive::drive;
use crate::pipeline::dissect::tls::Tls;
use crate::pipeline::dissect::tls::fuzz;
use crate::pipeline::dissect::tls::hello::tests::client;
use crate::pipeline::dissect::tls::samples;

const SAMPLES: [&str; 4] =
    [samples::CLIENT_13, samples::SERVER_13, samples::CLIENT_12, samples::SERVER_12];

/// The values are those of tshark 4.0, `openssl x509` and the published text of JA4.
const CLIENT_13: &str = "
    tls_sni www.example.org
    ja3 0919709dd4c3a73afbe53fafaf04c792
    ja4 t13d3111h2_e8f1e7e78f70_1f22a2ca17c4
    tls_sni www.example.org
    ja3 0919709dd4c3a73afbe53fafaf04c792
    ja4 t13d3111h2_e8f1e7e78f70_1f22a2ca17c4";
const SERVER_13: &str = "
    ja3s 15af977ce25de452b96affa2addb1036
    ja3s 15af977ce25de452b96affa2addb1036";
const CLIENT_12: &str = "
    tls_sni www.example.org
    ja3 549910697ed383e132fce27455c4921f
    ja4 t12d0208h2_6d4732649639_e7e480e5a997
    cert_md5 59c67166548872e1dff29dafa31fd3bd
    cert_sha1 00ebb198f06e7fbc0b94308515c64d425d6c6800
    cert_sha256 f8e3f1cc783fee0151bc87ad0d2c0d671764e2bea650fcc2bec37a165e55fec8
    cert_name client 7";
const SERVER_12: &str = "
    ja3s 10b29985cd0ecd878ac083f059c42d51
    cert_md5 06271caa60e565f30e711fb38df492cb
    cert_sha1 a50790e0f0c505c79706abe847b50950c43d05aa
    cert_sha256 6cde928deaa6c7f8c6be95869fc53f424b975292f6ab508e989d1ff42e385d9f
    cert_name server.example.org
    cert_name www.example.org
    cert_name *.example.net";

/// Shows one side whole and byte by byte.
fn check(bytes: &[u8], expected: &str, verdict: Verdict) {
    let expected: Vec<_> =
        expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    for piece in [usize::MAX, 1] {
        let drive = drive::<Tls>(&[(Side::Orig, bytes)], piece);
        assert_eq!(drive.lines, expected);
        assert_eq!(drive.ended[0].unwrap_or(Verdict::More), verdict);
    }
}

/// What one side shown in these parts tells.
fn told(parts: &[&[u8]]) -> Vec<String> {
    let turns: Vec<_> = parts.iter().map(|part| (Side::Orig, *part)).collect();
    drive::<Tls>(&turns, usize::MAX).lines
}

/// A record of handshake bytes.
fn record(body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).expect("a record's body").to_be_bytes();
    [&[22, 3, 3], &len[..], body].concat()
}

/// A message in records of at most `most` bytes.
fn message(kind: u8, body: &[u8], most: usize) -> Vec<u8> {
    let whole = [&[kind], &len24(body)[..], body].concat();
    whole.chunks(most).flat_map(record).collect()
}

fn len24(bytes: &[u8]) -> [u8; 3] {
    let [_, len @ ..] = u32::try_from(bytes.len()).expect("24 bits").to_be_bytes();
    len
}

/// A Certificate message of certificates that are no DER.
fn chain(certificates: &[Vec<u8>], most: usize) -> Vec<u8> {
    let list = certificates.iter().flat_map(|one| [&len24(one)[..], one].concat());
    let list: Vec<u8> = list.collect();
    message(11, &[&len24(&list)[..], &list].concat(), most)
}

fn hello(ciphers: usize) -> Vec<u8> {
    client(0x0303, &vec![9; ciphers], &[])
}

/// The records' bodies behind one another.
fn payload(mut records: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = records {
        let (body, next) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        all.extend_from_slice(body);
        records = next;
    }
    all
}

#[test]
fn recorded_connections_are_read() {
    check(&samples::bytes(samples::CLIENT_13), CLIENT_13, Verdict::SideDone);
    check(&samples::bytes(samples::SERVER_13), SERVER_13, Verdict::SideDone);
    check(&samples::bytes(samples::CLIENT_12), CLIENT_12, Verdict::SideDone);
    check(&samples::bytes(samples::SERVER_12), SERVER_12, Verdict::SideDone);
}

#[test]
fn both_sides_end_a_connection() {
    let (client, server) = (samples::bytes(samples::CLIENT_12), samples::bytes(samples::SERVER_12));
    let drive = drive::<Tls>(&[(Side::Resp, &client), (Side::Orig, &server)], 100);
    assert_eq!(drive.ended, [Some(Verdict::Done); 2]);
    assert_eq!(drive.lines.len(), 14);
}

#[test]
fn every_cut_is_survived_and_tells_the_beginning() {
    for sample in SAMPLES {
        let bytes = samples::bytes(sample);
        let all = told(&[&bytes]);
        for cut in 0..bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            assert!(all.starts_with(&told(&[head])));
            assert_eq!(told(&[head, tail]), all);
            fuzz(head);
        }
    }
}

#[test]
fn messages_are_joined_over_records() {
    let messages = payload(&samples::bytes(samples::SERVER_12));
    for most in [1, 2, 3, 4, 5, 6, 7, 100, 16_384] {
        let split: Vec<u8> = messages.chunks(most).flat_map(record).collect();
        check(&split, SERVER_12, Verdict::SideDone);
    }
    for cut in 0..=messages.len() {
        let (head, tail) = messages.split_at(cut);
        check(&[record(head), record(tail)].concat(), SERVER_12, Verdict::SideDone);
    }
}

#[test]
fn alerts_and_empty_records_may_lie_anywhere() {
    let warning = [21, 3, 1, 0, 2, 1, 112];
    let messages = payload(&samples::bytes(samples::SERVER_12));
    for cut in 0..=messages.len() {
        let (head, tail) = messages.split_at(cut);
        let parts = [&warning[..], &record(head), &warning, &record(&[]), &warning, &record(tail)];
        check(&parts.concat(), SERVER_12, Verdict::SideDone);
    }
}

#[test]
fn what_is_encrypted_is_not_read() {
    let encrypted = [23, 3, 3, 0, 2, 9, 9];
    let cipher = [20, 3, 3, 0, 1, 1];
    let client = samples::bytes(samples::CLIENT_12);
    let hello = &client[..178];
    let hello_told = CLIENT_12.split("\n    cert").next().expect("a first part");
    check(&[hello, &encrypted, hello].concat(), hello_told, Verdict::SideDone);
    check(&[hello, &cipher, &record(&[0; 40])].concat(), hello_told, Verdict::SideDone);
    check(&[hello, &cipher, &record(&[1; 40])].concat(), hello_told, Verdict::SideDone);
    check(&[&cipher, &client[178..576]].concat(), "", Verdict::SideDone);
    check(&[hello, b"GET / HTTP/1.1"].concat(), hello_told, Verdict::SideDone);
    check(&encrypted, "", Verdict::SideDone);
    check(b"GET / HTTP/1.1\r\n", "", Verdict::Alien);
}

#[test]
fn an_odd_message_is_passed_over() {
    let client = samples::bytes(samples::CLIENT_12);
    for odd in [message(1, &[3, 3, 0], 99), message(0, &[], 99), message(11, &[0, 0, 9, 1], 99)] {
        check(&[&odd, &client[..]].concat(), CLIENT_12, Verdict::SideDone);
    }
}

#[test]
fn as_many_certificates_are_read_as_the_limit_says() {
    for n in [0, 1, CERTIFICATES_MAX - 1, CERTIFICATES_MAX, CERTIFICATES_MAX + 1] {
        let bytes = [chain(&vec![vec![9; 50]; n], 999), message(1, &hello(1), 99)].concat();
        let lines = told(&[&bytes]);
        let of = |kind| lines.iter().filter(|line| line.starts_with(kind)).count();
        assert_eq!((of("cert_sha1 "), of("ja3 ")), (n.min(CERTIFICATES_MAX), 1));
    }
}

#[test]
fn what_is_too_long_is_skipped_and_the_next_is_read() {
    const HEADERS: usize = 5 * (TLS_MESSAGE_BYTES_MAX / 16_384 + 1);
    let fits = TLS_MESSAGE_BYTES_MAX - HEADERS - 10;
    for (len, told_first) in [
        (fits, true),
        (TLS_MESSAGE_BYTES_MAX, false),
        (TLS_MESSAGE_BYTES_MAX + 1, false),
        (300_000, false),
    ] {
        let bytes = chain(&[vec![1; len], vec![2; 9]], 16_384);
        let whole = told(&[&bytes]);
        assert_eq!(drive::<Tls>(&[(Side::Orig, &bytes)], 1_448).lines, whole);
        assert_eq!(whole.len(), if told_first { 6 } else { 3 }, "{len}");
    }
    let long = [message(1, &hello(32_767), 16_384), message(1, &hello(2), 99)].concat();
    let lines = told(&[&long]);
    assert_eq!((lines.len(), &lines[1][..]), (2, "ja4 t12i020000_6dcb355e7e72_000000000000"));
}

#[test]
fn first_bytes_are_judged() {
    let guess = |bytes: &[u8], expected| assert_eq!(Tls::probe(bytes), expected, "{bytes:02x?}");
    for sample in SAMPLES {
        let bytes = samples::bytes(sample);
        (0..6).for_each(|n| guess(&bytes[..n], Guess::Maybe));
        guess(&bytes[..6], Guess::Yes);
        guess(&bytes, Guess::Yes);
    }
    guess(&[21, 3, 1, 0, 2], Guess::Yes);
    guess(&record(&[]), Guess::Yes);
    guess(&[22, 3, 1, 0, 40, 99], Guess::No);
    guess(&[22, 3, 9], Guess::No);
    guess(&[22, 3, 1, 0xff], Guess::No);
    guess(b"G", Guess::No);
    guess(&[0x80], Guess::Maybe);
    guess(b"\xff\xff\xff\xff", Guess::No);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_survived(data in vec(any::<u8>(), 0..300)) {
        fuzz(&data);
    }

    #[test]
    fn any_damage_is_survived(
        sample in 0..SAMPLES.len(),
        damage in vec((0..1_100_usize, any::<u8>()), 1..6),
    ) {
        let mut bytes = samples::bytes(SAMPLES[sample]);
        for (at, value) in damage {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        fuzz(&bytes);
    }

    #[test]
    fn any_records_are_survived(
        records in vec((20..25_u8, 0..20_u8, vec(any::<u8>(), 0..40)), 0..30),
    ) {
        let bytes: Vec<u8> = records
            .into_iter()
            .flat_map(|(content, kind, body)| {
                let mut bytes = record(&[&[kind, 0, 0], &body[..]].concat());
                bytes[0] = content;
                bytes
            })
            .collect();
        fuzz(&bytes);
    }
}
