//! Very many flows alive at once, six packets each, taking turns: the profile `wide`.
//!
//! No flow has a state here: each packet is made from its flow's number, so a million flows need no
//! memory.

use std::io::Result;

use super::expected::Expected;
use super::frame;
use super::frame::ACK;
use super::frame::End;
use super::frame::PSH;
use super::frame::Route;
use super::frame::SYN;
use super::frame::Segment;
use super::frame::Side;
use super::hello::Hello;
use super::hello::ServerHello;
use super::pcap::Capture;
use super::plant::Case;
use super::plant::Plan;
use super::population;
use super::random::Random;
use super::tls;
use super::traffic::START_US;

/// Flows of the full profile.
pub(crate) const FLOWS: usize = 1_000_000;
/// Microseconds between two packets of the capture.
const GAP_US: u64 = 20;
/// Hosts of the site that take part; each opens flows from as many ports as it needs.
const HOSTS: usize = 20_000;

/// What flows say in their fourth and fifth packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Payload {
    /// Half HTTP, a quarter TLS, a quarter of no known protocol.
    Mixed,
    /// No known protocol.
    Opaque,
}

/// Writes the capture: all flows' SYN, then all flows' answers, and so on.
pub(crate) fn write(
    seed: u64,
    flows: usize,
    payload: Payload,
    plan: &Plan,
    capture: &mut Capture,
) -> Result<Expected> {
    let mut expected = Expected::default();
    for (at, case) in plan.cases.iter().enumerate() {
        expected.note(case, &route(seed, flows, at * flows / plan.cases.len(), plan));
    }
    let mut out = Vec::with_capacity(1_600);
    let mut now_us = START_US;
    for step in 0..6 {
        for flow in 0..flows {
            let route = route(seed, flows, flow, plan);
            packet(seed, (flow, step), &route, payload, &mut out);
            capture.write(now_us, &out)?;
            now_us += GAP_US;
        }
    }
    Ok(expected)
}

/// The ends of a flow; the planted ones are spread evenly.
fn route(seed: u64, flows: usize, flow: usize, plan: &Plan) -> Route {
    let mut random = Random::of(seed, 71, flow as u64);
    let case = planted(flows, flow, plan);
    let responder = case.and_then(|case| case.carrier.responder);
    let v6 = responder.map_or_else(|| random.percent(30), |addr| addr.is_ipv6());
    let client =
        End { addr: population::client_at(flow % HOSTS, v6), port: 32_768 + (flow / HOSTS) as u16 };
    let port = match flow % 4 {
        0 | 1 => 80,
        2 => 443,
        _ => 7_070,
    };
    let rank = population::popular(&mut random);
    let addr = responder.unwrap_or_else(|| population::server(seed, rank, v6, random.draw()));
    let vlan = random.percent(10).then(|| random.within(110, 113) as u16);
    Route { client, server: End { addr, port }, vlan }
}

/// The case whose flow has this number: number `at * flows / cases` for the case with index `at`.
fn planted(flows: usize, flow: usize, plan: &Plan) -> Option<&Case> {
    let cases = plan.cases.len();
    let at = (flow * cases).div_ceil(flows);
    (at < cases && at * flows / cases == flow).then(|| &plan.cases[at])
}

fn packet(seed: u64, which: (usize, u32), route: &Route, payload: Payload, out: &mut Vec<u8>) {
    let (flow, step) = which;
    let mut random = Random::of(seed, 72, flow as u64);
    let (here, there) = (random.draw() as u32, random.draw() as u32);
    let clock = step * 900;
    let mut send = |side, seq, ack, flags, payload: &[u8]| {
        frame::tcp(out, route, side, Segment { seq, ack, flags, clock }, payload);
    };
    let (first, second) = (here.wrapping_add(1), there.wrapping_add(1));
    match step {
        0 => return send(Side::Client, here, 0, SYN, &[]),
        1 => return send(Side::Server, there, first, SYN | ACK, &[]),
        2 => return send(Side::Client, first, second, ACK, &[]),
        _ => {}
    }
    let (request, answer) = words(seed, flow, payload, &mut random);
    let after = first.wrapping_add(request.len() as u32);
    match step {
        3 => send(Side::Client, first, second, PSH | ACK, &request),
        4 => send(Side::Server, second, after, PSH | ACK, &answer),
        _ => send(Side::Client, after, second.wrapping_add(answer.len() as u32), ACK, &[]),
    }
}

/// The one request and the one answer of a flow.
fn words(seed: u64, flow: usize, payload: Payload, random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    let rank = population::popular(random);
    match flow % 4 {
        _ if payload == Payload::Opaque => (vec![0xfe; 20], vec![0xef; 24]),
        0 | 1 => {
            let host = population::name(seed, rank);
            let request = format!("GET /{} HTTP/1.1\r\nHost: {host}\r\n\r\n", random.hex(4));
            (request.into_bytes(), b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())
        }
        2 => {
            let hello = Hello::brief(random, Some(&population::name(seed, rank)));
            let answer = ServerHello::draw(random, &hello);
            (tls::hello_record(&hello, random), tls::answer_record(&answer, random))
        }
        _ => (vec![0xfe; 20], vec![0xef; 24]),
    }
}
