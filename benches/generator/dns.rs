//! DNS look-ups: a query and its response.
//!
//! Spec: RFC 1035 §4.1; RFC 3596 (AAAA); RFC 6891 (EDNS); RFC 9460 (HTTPS)

use std::net::IpAddr;

use super::population;
use super::random::Random;

pub(crate) const A: u16 = 1;
pub(crate) const AAAA: u16 = 28;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const PTR: u16 = 12;
const MX: u16 = 15;
const TXT: u16 = 16;
const HTTPS: u16 = 65;
const OPT: u16 = 41;

/// A question and what was answered to it.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) name: String,
    pub(crate) kind: u16,
    pub(crate) answers: Vec<Answer>,
    pub(crate) missing: bool,
}

/// One resource record's data.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Addr(IpAddr),
    Alias(String),
    Pointer(String),
    Mail(String),
    Text(String),
    Service,
}

impl Lookup {
    /// A look-up of the background.
    pub(crate) fn background(seed: u64, random: &mut Random) -> Self {
        let rank = population::popular(random);
        let name = population::name(seed, rank);
        let addr = |v6, which| Answer::Addr(population::server(seed, rank, v6, which));
        let (kind, answers) = match random.below(100) {
            0..56 => (A, (0..random.within(1, 4)).map(|n| addr(false, n)).collect()),
            56..82 => (AAAA, (0..random.within(1, 2)).map(|n| addr(true, n)).collect()),
            82..91 => (HTTPS, vec![Answer::Service]),
            91..94 => (TXT, vec![Answer::Text(format!("v=spf1 include:_spf.{name} ~all"))]),
            94..96 => {
                (MX, vec![Answer::Mail(format!("mx1.{name}")), Answer::Mail(format!("mx2.{name}"))])
            }
            96..98 => return Self::reverse(seed, random, rank),
            _ => (A, Vec::new()),
        };
        let mut lookup = Self { name, kind, missing: answers.is_empty(), answers };
        if matches!(kind, A | AAAA) && !lookup.missing && random.percent(30) {
            let alias = population::name(seed, population::popular(random));
            lookup.answers.insert(0, Answer::Alias(format!("{}.{alias}", random.hex(6))));
        }
        lookup
    }

    /// A look-up of an address with the address as its one answer.
    pub(crate) fn of_addr(name: &str, addr: IpAddr) -> Self {
        let kind = if addr.is_ipv4() { A } else { AAAA };
        Self { name: name.to_owned(), kind, answers: vec![Answer::Addr(addr)], missing: false }
    }

    fn reverse(seed: u64, random: &mut Random, rank: usize) -> Self {
        let IpAddr::V4(v4) = population::client(random, false) else {
            unreachable!("an IPv4 client was asked for")
        };
        let [a, b, c, d] = v4.octets();
        let host = population::name(seed, rank);
        let name = format!("{d}.{c}.{b}.{a}.in-addr.arpa");
        Self { name, kind: PTR, answers: vec![Answer::Pointer(host)], missing: false }
    }

    /// The query's bytes.
    pub(crate) fn query(&self, id: u16) -> Vec<u8> {
        let mut message = Message::default();
        message.head(id, 0x0120, [1, 0, 0, 1]);
        message.question(&self.name, self.kind);
        message.edns();
        message.bytes
    }

    /// The response's bytes.
    pub(crate) fn response(&self, id: u16) -> Vec<u8> {
        let flags = if self.missing { 0x8183 } else { 0x8180 };
        let mut message = Message::default();
        message.head(id, flags, [1, self.answers.len() as u16, u16::from(self.missing), 1]);
        message.question(&self.name, self.kind);
        let mut owner = self.name.clone();
        for answer in &self.answers {
            message.answer(&owner, answer);
            if let Answer::Alias(name) = answer {
                owner.clone_from(name);
            }
        }
        if self.missing {
            message.authority(&owner);
        }
        message.edns();
        message.bytes
    }
}

/// A message being written, with the names that later ones can point to.
#[derive(Default)]
struct Message {
    bytes: Vec<u8>,
    written: Vec<(String, u16)>,
}

impl Message {
    fn head(&mut self, id: u16, flags: u16, counts: [u16; 4]) {
        self.u16(id);
        self.u16(flags);
        for count in counts {
            self.u16(count);
        }
    }

    fn question(&mut self, name: &str, kind: u16) {
        self.name(name);
        self.u16(kind);
        self.u16(1);
    }

    fn answer(&mut self, owner: &str, answer: &Answer) {
        self.name(owner);
        let kind = match answer {
            Answer::Addr(IpAddr::V4(_)) => A,
            Answer::Addr(IpAddr::V6(_)) => AAAA,
            Answer::Alias(_) => CNAME,
            Answer::Pointer(_) => PTR,
            Answer::Mail(_) => MX,
            Answer::Text(_) => TXT,
            Answer::Service => HTTPS,
        };
        let length_at = self.record(kind, 300);
        match answer {
            Answer::Addr(IpAddr::V4(v4)) => self.bytes.extend_from_slice(&v4.octets()),
            Answer::Addr(IpAddr::V6(v6)) => self.bytes.extend_from_slice(&v6.octets()),
            Answer::Alias(name) | Answer::Pointer(name) => self.name(name),
            Answer::Mail(name) => {
                self.u16(10);
                self.name(name);
            }
            Answer::Text(text) => {
                self.bytes.push(text.len() as u8);
                self.bytes.extend_from_slice(text.as_bytes());
            }
            // Priority 1, the owner itself, ALPN h2.
            Answer::Service => self.bytes.extend_from_slice(&[0, 1, 0, 0, 1, 0, 3, 2, b'h', b'2']),
        }
        self.close_record(length_at);
    }

    /// The SOA record that comes with "no such name".
    fn authority(&mut self, name: &str) {
        let zone = name.split_once('.').map_or(name, |(_, zone)| zone);
        self.name(zone);
        let length_at = self.record(SOA, 900);
        self.name(&format!("ns1.{zone}"));
        self.name(&format!("hostmaster.{zone}"));
        for number in [2_024_061_001_u32, 7_200, 3_600, 1_209_600, 300] {
            self.bytes.extend_from_slice(&number.to_be_bytes());
        }
        self.close_record(length_at);
    }

    fn record(&mut self, kind: u16, seconds: u32) -> usize {
        self.u16(kind);
        self.u16(1);
        self.bytes.extend_from_slice(&seconds.to_be_bytes());
        self.u16(0);
        self.bytes.len() - 2
    }

    fn close_record(&mut self, length_at: usize) {
        let length = (self.bytes.len() - length_at - 2) as u16;
        self.bytes[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }

    fn edns(&mut self) {
        self.bytes.push(0);
        self.u16(OPT);
        self.u16(1_232);
        self.bytes.extend_from_slice(&[0; 6]);
    }

    /// Writes a name, with a pointer for what of it was written before (RFC 1035 §4.1.4).
    fn name(&mut self, name: &str) {
        let mut rest = name;
        while !rest.is_empty() {
            let known = self.written.iter().find(|(text, _)| text.eq_ignore_ascii_case(rest));
            if let Some(&(_, at)) = known {
                return self.u16(0xc000 | at);
            }
            self.written.push((rest.to_owned(), self.bytes.len() as u16));
            let (label, after) = rest.split_once('.').unwrap_or((rest, ""));
            self.bytes.push(label.len() as u8);
            self.bytes.extend_from_slice(label.as_bytes());
            rest = after;
        }
        self.bytes.push(0);
    }

    fn u16(&mut self, number: u16) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }
}
