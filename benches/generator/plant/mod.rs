//! What is planted: for each kind of indicator, flows that it matches and flows that it almost
//! matches.
//!
//! A hit and its near miss come in pairs, made by one function of `KINDS`; each function varies
//! with its round.

mod address;
mod fingerprint;
mod name;
mod url;

use std::collections::HashSet;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use super::certificate;
use super::dns::Lookup;
use super::hello::Hello;
use super::hello::ServerHello;
use super::http::Requests;
use super::indicator::Indicator;
use super::population;
use super::population::Tribe;
use super::random::Random;
use super::tls::Handshake;

/// Every kind of pair; each adds one hit and one near miss.
const KINDS: [fn(&mut Plan, usize); 25] = [
    address::exact,
    address::answered,
    address::network,
    address::with_port,
    name::domain_asked,
    name::domain_in_hello,
    name::domain_in_host,
    name::domain_answered,
    name::domain_in_certificate,
    name::hostname,
    name::domain_and_addr,
    name::hostname_and_port,
    name::unflagged,
    url::exact,
    url::with_query,
    url::prefix,
    url::host_only,
    url::other_host,
    fingerprint::ja3,
    fingerprint::ja4,
    fingerprint::ja3s,
    fingerprint::certificate,
    address::exact,
    name::domain_in_hello,
    url::exact,
];

/// All that is planted.
pub(crate) struct Plan {
    seed: u64,
    random: Random,
    networks: HashSet<[u8; 2]>,
    domains: HashSet<String>,
    rare: u16,
    pub(crate) cases: Vec<Case>,
}

/// A flow, and the indicators that it must or must not be found by.
pub(crate) struct Case {
    pub(crate) hit: bool,
    /// The kind of observation that shows it.
    pub(crate) kind: &'static str,
    pub(crate) indicators: Vec<Indicator>,
    pub(crate) carrier: Carrier,
}

/// A flow before its free ends and times are drawn.
pub(crate) struct Carrier {
    pub(crate) opener: Option<(IpAddr, Option<u16>)>,
    pub(crate) responder: Option<IpAddr>,
    pub(crate) port: u16,
    pub(crate) speech: Speech,
}

/// What a flow says.
pub(crate) enum Speech {
    Lookup(Lookup),
    LookupTcp(Lookup),
    Tls(Box<Handshake>),
    Http(Requests),
    Noise,
}

impl Plan {
    /// Plants `hits` hits and as many near misses of every kind.
    pub(crate) fn every_kind(seed: u64, hits: usize) -> Self {
        let mut plan = Self::empty(seed);
        for i in 0..hits {
            KINDS[i % KINDS.len()](&mut plan, i / KINDS.len());
        }
        plan
    }

    /// Plants `hits` addresses that flows go to, and as many near misses, in that order in turn.
    pub(crate) fn addresses(seed: u64, hits: usize) -> Self {
        let mut plan = Self::empty(seed);
        for i in 0..hits {
            address::responder(&mut plan, i % 10 < 3);
        }
        plan
    }

    fn empty(seed: u64) -> Self {
        Self {
            seed,
            random: Random::of(seed, 51, 0),
            networks: HashSet::new(),
            domains: HashSet::new(),
            rare: 0,
            cases: Vec::new(),
        }
    }

    /// The indicators of all cases, each once, in the order of their planting.
    pub(crate) fn indicators(&self) -> Vec<Indicator> {
        let mut known = HashSet::new();
        let all = self.cases.iter().flat_map(|case| &case.indicators);
        all.filter(|one| known.insert(*one)).cloned().collect()
    }

    fn hit(&mut self, kind: &'static str, indicators: &[Indicator], carrier: Carrier) {
        self.cases.push(Case { hit: true, kind, indicators: indicators.to_vec(), carrier });
    }

    fn near(&mut self, kind: &'static str, indicators: &[Indicator], carrier: Carrier) {
        self.cases.push(Case { hit: false, kind, indicators: indicators.to_vec(), carrier });
    }

    /// An IPv4 address in a /16 of its own.
    fn v4(&mut self) -> Ipv4Addr {
        loop {
            let IpAddr::V4(addr) = population::v4_addr(&mut self.random, Tribe::Planted) else {
                continue;
            };
            let [a, b, _, _] = addr.octets();
            if self.networks.insert([a, b]) {
                return addr;
            }
        }
    }

    fn v6(&mut self) -> Ipv6Addr {
        loop {
            if let IpAddr::V6(addr) = population::v6_addr(&mut self.random, Tribe::Planted) {
                return addr;
            }
        }
    }

    /// An address whose neighbour `flip` gives is planted nowhere else.
    fn addr(&mut self, v6: bool) -> IpAddr {
        if v6 { IpAddr::V6(self.v6()) } else { IpAddr::V4(self.v4()) }
    }

    /// A registrable domain of its own.
    fn domain(&mut self) -> String {
        loop {
            let domain = population::domain(&mut self.random, Tribe::Planted);
            if self.domains.insert(domain.clone()) {
                return domain;
            }
        }
    }

    /// A name below a domain.
    fn below(&mut self, domain: &str) -> String {
        format!("{}.{domain}", population::label(&mut self.random))
    }

    /// A cipher that no program of the background offers, each time another.
    fn rare_cipher(&mut self) -> u16 {
        self.rare += 1;
        0xc03c + self.rare
    }

    /// A handshake of the background with a server name.
    fn handshake(&mut self, name: Option<&str>) -> Handshake {
        Handshake::background(self.seed, &mut self.random, name)
    }

    /// Something that a flow may say of which nothing is an indicator.
    fn small_talk(&mut self) -> (u16, Speech) {
        let rank = population::popular(&mut self.random);
        let name = population::name(self.seed, rank);
        match self.random.below(3) {
            0 => (443, Speech::Tls(Box::new(self.handshake(Some(&name))))),
            1 => (80, Speech::Http(Requests { host: name, planted: None })),
            _ => (self.random.within(30_100, 32_700) as u16, Speech::Noise),
        }
    }
}

impl Handshake {
    /// What a program of the background and its server say.
    pub(crate) fn background(seed: u64, random: &mut Random, name: Option<&str>) -> Self {
        let hello = Hello::draw(random, name);
        let answer = ServerHello::draw(random, &hello);
        let chain = if hello.offers_13() {
            Vec::new()
        } else {
            certificate::chain(seed, name.unwrap_or("gateway.internal"))
        };
        Self { hello, answer, chain }
    }
}

impl Carrier {
    /// A look-up at a resolver of the site.
    fn lookup(lookup: Lookup) -> Self {
        Self { opener: None, responder: None, port: 53, speech: Speech::Lookup(lookup) }
    }

    /// A flow from the site to a server of the background.
    fn outward(port: u16, speech: Speech) -> Self {
        Self { opener: None, responder: None, port, speech }
    }

    fn tls(handshake: Handshake) -> Self {
        Self::outward(443, Speech::Tls(Box::new(handshake)))
    }

    fn http(host: &str, planted: Option<&str>) -> Self {
        let port = host.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(80);
        let planted = planted.map(str::to_owned);
        Self::outward(port, Speech::Http(Requests { host: host.to_owned(), planted }))
    }
}

/// The address that differs in its bit `bit`, counted from the lowest.
fn flip(addr: IpAddr, bit: u32) -> IpAddr {
    match addr {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from(u32::from(v4) ^ 1 << bit)),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) ^ 1 << bit)),
    }
}
