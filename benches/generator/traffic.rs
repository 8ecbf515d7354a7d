//! Conversations that come and go: the profiles `mix` and `small`.

use std::collections::VecDeque;
use std::io::Result;

use super::dns::Lookup;
use super::expected::Expected;
use super::flow::Body;
use super::flow::Flow;
use super::flow::Turn;
use super::frame;
use super::frame::ACK;
use super::frame::End;
use super::frame::RST;
use super::frame::Route;
use super::frame::SYN;
use super::frame::Segment;
use super::frame::Side;
use super::http::Requests;
use super::pcap::Capture;
use super::plant::Carrier;
use super::plant::Case;
use super::plant::Plan;
use super::plant::Speech;
use super::population;
use super::random::Random;
use super::schedule::Schedule;
use super::schedule::Talk;
use super::tls::Handshake;
use super::tls::Length;

/// When every capture begins: 2024-06-10 06:13:20 UTC.
pub(crate) const START_US: u64 = 1_718_000_000_000_000;
/// Ports of planted flows; the background's are above.
const PLANTED_PORTS: (usize, usize) = (20_000, 10_000);
/// The largest flow.
const FLOW_BYTES_MAX: f64 = 20_000_000.0;
/// Coprime to any number of flows that is used: it scatters their sizes.
const SCATTER: usize = 1_000_003;

/// How much of what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) flows: usize,
    pub(crate) lookups: usize,
    pub(crate) scans: usize,
    pub(crate) duration_us: u64,
    pub(crate) tls_percent: u64,
    pub(crate) http_percent: u64,
    /// The smallest flow's bytes; `None`: every flow says a few words only.
    pub(crate) bytes_min: Option<f64>,
}

/// 4.5 M packets of about 660 bytes: what a site's uplink carries.
pub(crate) const MIX: Shape = Shape {
    flows: 200_000,
    lookups: 150_000,
    scans: 0,
    duration_us: 300_000_000,
    tls_percent: 64,
    http_percent: 28,
    bytes_min: Some(1_300.0),
};

/// 6 M packets of about 100 bytes: what costs most per byte.
pub(crate) const SMALL: Shape = Shape {
    flows: 300_000,
    lookups: 850_000,
    scans: 150_000,
    duration_us: 300_000_000,
    tls_percent: 8,
    http_percent: 30,
    bytes_min: None,
};

impl Shape {
    /// The same mixture, `scale` times as long.
    pub(crate) fn scaled(mut self, scale: f64) -> Self {
        let times = |n: usize| (n as f64 * scale) as usize;
        self.flows = times(self.flows);
        self.lookups = times(self.lookups);
        self.scans = times(self.scans);
        self.duration_us = times(self.duration_us as usize) as u64;
        self
    }
}

/// What is still to begin.
struct Traffic<'a> {
    seed: u64,
    shape: Shape,
    random: Random,
    cases: Vec<&'a Case>,
    flows: usize,
    lookups: usize,
    scans: usize,
}

/// Writes the capture of a shape with a plan's cases in it.
pub(crate) fn write(
    seed: u64,
    shape: Shape,
    plan: &Plan,
    capture: &mut Capture,
) -> Result<Expected> {
    let mut cases: Vec<&Case> = plan.cases.iter().collect();
    let mut random = Random::of(seed, 61, 0);
    random.shuffle(&mut cases);
    let lookups =
        cases.iter().filter(|case| matches!(case.carrier.speech, Speech::Lookup(_))).count();
    let flows = shape.flows.saturating_sub(cases.len() - lookups);
    let lookups = shape.lookups.saturating_sub(lookups);
    let mut traffic = Traffic { seed, shape, random, flows, lookups, scans: shape.scans, cases };
    let mut schedule = Schedule::new(seed);
    let mut expected = Expected::default();
    let total = traffic.left();
    let mean_us = shape.duration_us as f64 / total as f64;
    let mut now_us = START_US as f64;
    while traffic.left() > 0 {
        now_us += -mean_us * (1.0 - traffic.random.unit()).ln();
        let talk = traffic.next_talk(&mut expected);
        schedule.write_until(now_us as u64, capture)?;
        schedule.begin(now_us as u64, talk);
    }
    schedule.write_until(u64::MAX, capture)?;
    Ok(expected)
}

impl Traffic<'_> {
    fn left(&self) -> usize {
        self.flows + self.lookups + self.scans + self.cases.len()
    }

    /// Draws what begins next, so that everything is spread evenly.
    fn next_talk(&mut self, expected: &mut Expected) -> Talk {
        let mut at = self.random.below(self.left());
        if at < self.flows {
            self.flows -= 1;
            return self.flow();
        }
        at -= self.flows;
        if at < self.lookups {
            self.lookups -= 1;
            let route = self.route(None, None, 53);
            let lookup = Lookup::background(self.seed, &mut self.random);
            return self.exchange(&route, &lookup);
        }
        if at - self.lookups < self.scans {
            self.scans -= 1;
            return self.scan();
        }
        let port = PLANTED_PORTS.0 + self.cases.len() % PLANTED_PORTS.1;
        match self.cases.pop() {
            Some(case) => self.planted(case, port as u16, expected),
            None => self.scan(),
        }
    }

    /// A flow of the background.
    fn flow(&mut self) -> Talk {
        let rank = population::popular(&mut self.random);
        let name = population::name(self.seed, rank);
        let kind = self.random.within(0, 99);
        let (port, speech) = if kind < self.shape.tls_percent {
            let name = (!self.random.percent(4)).then_some(name);
            let handshake = match self.shape.bytes_min {
                Some(_) => Handshake::background(self.seed, &mut self.random, name.as_deref()),
                None => Handshake::brief(&mut self.random, name.as_deref()),
            };
            (443, Speech::Tls(Box::new(handshake)))
        } else if kind < self.shape.tls_percent + self.shape.http_percent {
            let port = if self.random.percent(5) { 8_080 } else { 80 };
            let host = if port == 80 { name } else { format!("{name}:{port}") };
            (port, Speech::Http(Requests { host, planted: None }))
        } else {
            (self.random.within(30_100, 32_700) as u16, Speech::Noise)
        };
        let length = self.length();
        let route = self.route(None, Some(rank), port);
        self.conversation(route, &speech, length)
    }

    /// Heavy-tailed: a Pareto distribution of index 1, cut at the largest flow; each of its
    /// quantiles once.
    fn length(&mut self) -> Length {
        let Some(least) = self.shape.bytes_min else { return Length::Brief };
        let at = (self.flows * (SCATTER % self.shape.flows)) % self.shape.flows;
        let quantile = (at as f64 + 0.5) / self.shape.flows as f64;
        Length::Bytes((least / (1.0 - quantile * (1.0 - least / FLOW_BYTES_MAX))) as usize)
    }

    fn planted(&mut self, case: &Case, port: u16, expected: &mut Expected) -> Talk {
        let route = self.route(Some((&case.carrier, port)), None, case.carrier.port);
        expected.note(case, &route);
        if let Speech::Lookup(lookup) = &case.carrier.speech {
            return self.exchange(&route, lookup);
        }
        let length = match self.shape.bytes_min {
            Some(_) => Length::Bytes(self.random.within(400, 40_000) as usize),
            None => Length::Brief,
        };
        self.conversation(route, &case.carrier.speech, length)
    }

    /// The ends of a flow: those of a planted one where it has any, the server with a rank, or a
    /// resolver.
    fn route(&mut self, planted: Option<(&Carrier, u16)>, rank: Option<usize>, port: u16) -> Route {
        let random = &mut self.random;
        let carrier = planted.map(|(carrier, _)| carrier);
        let v6 = match carrier.and_then(|carrier| carrier.responder) {
            Some(addr) => addr.is_ipv6(),
            None => random.percent(30),
        };
        let vlan = random.percent(10).then(|| random.within(110, 113) as u16);
        let mut client = End {
            addr: population::client(random, v6),
            port: random.within(32_768, 60_999) as u16,
        };
        if let Some((carrier, port)) = planted {
            client.port = port;
            if let Some((addr, fixed)) = carrier.opener {
                client = End { addr, port: fixed.unwrap_or(port) };
            }
        }
        let server = match (carrier.and_then(|carrier| carrier.responder), rank) {
            (Some(addr), _) => addr,
            (None, Some(rank)) => population::server(self.seed, rank, v6, random.draw()),
            (None, None) if port == 53 => population::resolver(random, v6),
            (None, None) => population::server(self.seed, population::popular(random), v6, 0),
        };
        Route { client, server: End { addr: server, port }, vlan }
    }

    fn conversation(&mut self, route: Route, speech: &Speech, length: Length) -> Talk {
        let random = &mut self.random;
        let turns = match speech {
            Speech::Tls(handshake) => handshake.script(random, length),
            Speech::Http(requests) => requests.script(random, length),
            Speech::LookupTcp(lookup) => lookup_turns(random, lookup),
            Speech::Noise | Speech::Lookup(_) => noise(random, length),
        };
        Talk::Flow(Box::new(Flow::new(random, route, turns)))
    }

    /// A look-up over UDP: a few go unanswered and are asked again.
    fn exchange(&mut self, route: &Route, lookup: &Lookup) -> Talk {
        let id = self.random.draw() as u16;
        let mut frames = VecDeque::with_capacity(2);
        let mut add = |side, wait_us, message: &[u8]| {
            let mut frame = Vec::with_capacity(80 + message.len());
            frame::udp(&mut frame, route, side, message);
            frames.push_back((wait_us, frame));
        };
        let query = lookup.query(id);
        if self.random.percent(1) {
            add(Side::Client, 1_000_000, &query);
        }
        add(Side::Client, self.random.within(200, 40_000), &query);
        add(Side::Server, 0, &lookup.response(id));
        Talk::Frames(frames)
    }

    /// Someone outside tries a port of the site: half of the hosts refuse, the others are silent.
    fn scan(&mut self) -> Talk {
        let rank = self.random.below(64);
        let host = population::client(&mut self.random, false);
        let route = Route {
            client: End {
                addr: population::server(self.seed, rank, false, 1),
                port: self.random.within(32_768, 60_999) as u16,
            },
            server: End {
                addr: host,
                port: *self.random.pick(&[22, 23, 80, 445, 3_389, 5_900, 8_080]),
            },
            vlan: None,
        };
        let seq = self.random.draw() as u32;
        let mut frames = VecDeque::with_capacity(2);
        let mut add = |side, seq, ack, flags| {
            let mut frame = Vec::with_capacity(80);
            frame::tcp(&mut frame, &route, side, Segment { seq, ack, flags, clock: 0 }, &[]);
            frames.push_back((90, frame));
        };
        add(Side::Client, seq, 0, SYN);
        if self.random.percent(50) {
            add(Side::Server, 0, seq.wrapping_add(1), RST | ACK);
        }
        Talk::Frames(frames)
    }
}

/// A look-up over TCP: each message after its length (RFC 7766 §8).
fn lookup_turns(random: &mut Random, lookup: &Lookup) -> Vec<Turn> {
    let id = random.draw() as u16;
    let framed = |message: Vec<u8>| [&(message.len() as u16).to_be_bytes()[..], &message].concat();
    vec![
        Turn::new(Side::Client, 50, framed(lookup.query(id))),
        Turn::new(Side::Server, 900, framed(lookup.response(id))),
    ]
}

/// A protocol of nobody: it begins as no other does.
pub(crate) fn noise(random: &mut Random, length: Length) -> Vec<Turn> {
    let opening =
        |random: &mut Random| [&[0, 0, 0, 40, 0xfe, 0xed][..], &random.bytes(36)].concat();
    match length {
        Length::Bytes(bytes) => vec![
            Turn::new(Side::Client, 500, opening(random)),
            Turn::bulk(Side::Server, 800, Body::Noise(bytes)),
        ],
        Length::Brief => {
            let mut turns = vec![Turn::new(Side::Client, 500, opening(random)[..18].to_vec())];
            for _ in 0..random.within(2, 4) {
                turns.push(Turn::bulk(
                    Side::Server,
                    700,
                    Body::Noise(random.within(10, 72) as usize),
                ));
                let pause = random.within(1_000, 2_000_000);
                turns.push(Turn::bulk(
                    Side::Client,
                    pause,
                    Body::Noise(random.within(10, 72) as usize),
                ));
            }
            turns
        }
    }
}
