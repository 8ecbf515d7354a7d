//! What both sides of a TLS connection say, up to the end of the handshake in the clear and beyond.
//!
//! Spec: RFC 8446 §2, §5.1; RFC 5246 §7.3; RFC 8422 §5.4 (ServerKeyExchange)

use super::flow::Body;
use super::flow::Turn;
use super::frame::Side;
use super::hello;
use super::hello::Hello;
use super::hello::ServerHello;
use super::random::Random;

const CHANGE_CIPHER: u8 = 0x14;
const ALERT: u8 = 0x15;
const HANDSHAKE: u8 = 0x16;
const DATA: u8 = 0x17;

/// How much is said after the handshake.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// So many bytes from the server.
    Bytes(usize),
    /// As little as a sensor on a mains switch would.
    Brief,
}

/// What is in the clear.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    pub(crate) hello: Hello,
    pub(crate) answer: ServerHello,
    /// Certificates, the server's own first; TLS 1.3 encrypts them.
    pub(crate) chain: Vec<Vec<u8>>,
}

impl Handshake {
    /// What a small device and its server say: TLS 1.2 with a session resumed, so that no
    /// certificate is sent.
    pub(crate) fn brief(random: &mut Random, name: Option<&str>) -> Self {
        let hello = Hello::brief(random, name);
        let answer = ServerHello { version: 0x0303, cipher: 0xc02b, extensions: vec![65_281, 23] };
        Self { hello, answer, chain: Vec::new() }
    }

    /// The turns of the connection.
    pub(crate) fn script(&self, random: &mut Random, length: Length) -> Vec<Turn> {
        let mut turns = Vec::new();
        let mut first = Turn::new(Side::Client, 200, hello_record(&self.hello, random));
        if random.percent(8) {
            first.cut = Some(random.within(3, 150) as usize);
        }
        turns.push(first);
        if self.hello.offers_13() {
            self.modern(random, &mut turns, length);
        } else {
            self.classic(random, &mut turns);
        }
        converse(random, &mut turns, length);
        turns
    }

    /// TLS 1.3: everything after the ServerHello is encrypted.
    fn modern(&self, random: &mut Random, turns: &mut Vec<Turn>, length: Length) {
        let mut flight = record(HANDSHAKE, 0x0303, &self.answer.write(random));
        flight.extend(record(CHANGE_CIPHER, 0x0303, &[1]));
        let sealed = if length == Length::Brief { 90 } else { random.within(1_900, 4_200) };
        flight.extend(record(DATA, 0x0303, &random.bytes(sealed as usize)));
        turns.push(Turn::new(Side::Server, 900, flight));
        let mut reply = record(CHANGE_CIPHER, 0x0303, &[1]);
        reply.extend(record(DATA, 0x0303, &random.bytes(53)));
        turns.push(Turn::new(Side::Client, 400, reply));
    }

    /// TLS 1.2 and older: the certificates are in the clear.
    fn classic(&self, random: &mut Random, turns: &mut Vec<Turn>) {
        let version = self.answer.version;
        if self.chain.is_empty() {
            return self.resumed(random, turns);
        }
        let mut messages = vec![self.answer.write(random), certificates(&self.chain)];
        let ephemeral = self.answer.cipher >> 8 == 0xc0;
        if ephemeral {
            messages.push(key_exchange(random, version));
        }
        messages.push(hello::message(14, &[]));
        let flight = if random.percent(40) {
            record(HANDSHAKE, version, &messages.concat())
        } else {
            messages.iter().flat_map(|message| record(HANDSHAKE, version, message)).collect()
        };
        turns.push(Turn::new(Side::Server, 900, flight));
        let secret = if ephemeral { 33 } else { 258 };
        let mut content = random.bytes(secret);
        if ephemeral {
            content[0] = 32;
        } else {
            content[..2].copy_from_slice(&[1, 0]);
        }
        let mut reply = record(HANDSHAKE, version, &hello::message(16, &content));
        reply.extend(finished(random, version));
        turns.push(Turn::new(Side::Client, 700, reply));
        turns.push(Turn::new(Side::Server, 300, finished(random, version)));
    }

    /// A session taken up again: no certificate, no key exchange (RFC 5246 §7.3).
    fn resumed(&self, random: &mut Random, turns: &mut Vec<Turn>) {
        let version = self.answer.version;
        let mut flight = answer_record(&self.answer, random);
        flight.extend(finished(random, version));
        turns.push(Turn::new(Side::Server, 900, flight));
        turns.push(Turn::new(Side::Client, 300, finished(random, version)));
    }
}

/// What ends a handshake: from here on everything is encrypted.
fn finished(random: &mut Random, version: u16) -> Vec<u8> {
    let mut out = record(CHANGE_CIPHER, version, &[1]);
    out.extend(record(HANDSHAKE, version, &random.bytes(40)));
    out
}

/// A ClientHello by itself, in its record.
pub(crate) fn hello_record(hello: &Hello, random: &mut Random) -> Vec<u8> {
    record(HANDSHAKE, 0x0301, &hello.write(random))
}

/// A ServerHello by itself, in its record.
pub(crate) fn answer_record(answer: &ServerHello, random: &mut Random) -> Vec<u8> {
    record(HANDSHAKE, answer.version, &answer.write(random))
}

/// Application data: requests and answers that nobody can read.
fn converse(random: &mut Random, turns: &mut Vec<Turn>, length: Length) {
    let Length::Bytes(bytes) = length else {
        turns.push(Turn::bulk(Side::Client, 500, Body::records(50)));
        turns.push(Turn::bulk(Side::Server, 500, Body::records(64)));
        return;
    };
    let rounds = if bytes > 200_000 { 1 } else { *random.pick(&[1, 1, 1, 2]) };
    for round in 0..rounds {
        let pause = if round == 0 { 500 } else { random.within(20_000, 4_000_000) };
        turns.push(Turn::bulk(
            Side::Client,
            pause,
            Body::records(random.within(120, 900) as usize),
        ));
        turns.push(Turn::bulk(Side::Server, 2_000, Body::records(bytes / rounds as usize + 60)));
    }
    if random.percent(50) {
        turns.push(Turn::new(Side::Client, 10_000, record(ALERT, 0x0303, &random.bytes(26))));
    }
}

/// A record of the record layer; a long message takes several.
fn record(kind: u8, version: u16, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 5);
    for part in content.chunks(16_384) {
        out.push(kind);
        out.extend_from_slice(&version.to_be_bytes());
        out.extend_from_slice(&(part.len() as u16).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

fn certificates(chain: &[Vec<u8>]) -> Vec<u8> {
    let list: Vec<u8> =
        chain.iter().flat_map(|one| [length24(one.len()).as_slice(), one].concat()).collect();
    hello::message(11, &[length24(list.len()).as_slice(), &list].concat())
}

/// ECDHE over X25519, signed with RSA.
fn key_exchange(random: &mut Random, version: u16) -> Vec<u8> {
    let mut body = vec![3, 0, 0x1d, 32];
    body.extend_from_slice(&random.bytes(32));
    if version >= 0x0303 {
        body.extend_from_slice(&[0x08, 0x04]);
    }
    body.extend_from_slice(&[1, 0]);
    body.extend_from_slice(&random.bytes(256));
    hello::message(12, &body)
}

fn length24(length: usize) -> [u8; 3] {
    [(length >> 16) as u8, (length >> 8) as u8, length as u8]
}
