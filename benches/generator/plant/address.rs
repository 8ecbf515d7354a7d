//! Planted addresses, networks, and addresses with a port.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use super::Carrier;
use super::Lookup;
use super::Plan;
use super::Speech;
use super::flip;
use super::population;
use crate::generator::indicator::Indicator;

const V4_LENGTHS: [u32; 6] = [24, 28, 20, 16, 29, 25];
const V6_LENGTHS: [u32; 3] = [48, 64, 56];

/// An address at either end of a flow; the near miss is one bit beside it.
pub(super) fn exact(plan: &mut Plan, round: usize) {
    if round % 3 == 2 {
        return opener(plan, round);
    }
    responder(plan, round % 3 == 1);
}

/// An address that a flow goes to.
pub(super) fn responder(plan: &mut Plan, v6: bool) {
    let addr = plan.addr(v6);
    let indicator = [Indicator::new("ip-dst", addr.to_string())];
    let carrier = towards(plan, addr);
    plan.hit("flow", &indicator, carrier);
    let bit = plan.random.below(8) as u32;
    let carrier = towards(plan, flip(addr, bit));
    plan.near("flow", &indicator, carrier);
}

/// An address that opens a flow to the site.
fn opener(plan: &mut Plan, round: usize) {
    let addr = plan.addr(round % 2 == 1);
    let indicator = [Indicator::new("ip-src", addr.to_string())];
    let carrier = from(plan, addr, None);
    plan.hit("flow", &indicator, carrier);
    let carrier = from(plan, flip(addr, 1), None);
    plan.near("flow", &indicator, carrier);
}

/// An address that a name resolves to.
pub(super) fn answered(plan: &mut Plan, round: usize) {
    let addr = plan.addr(round % 2 == 1);
    let indicator = [Indicator::new("ip-dst", addr.to_string())];
    for hit in [true, false] {
        let name = background_name(plan);
        let lookup = Lookup::of_addr(&name, if hit { addr } else { flip(addr, 2) });
        if hit {
            plan.hit("dns_answer", &indicator, Carrier::lookup(lookup));
        } else {
            plan.near("dns_answer", &indicator, Carrier::lookup(lookup));
        }
    }
}

/// A network; the near miss is one bit outside it. Some of its addresses are indicators themselves.
pub(super) fn network(plan: &mut Plan, round: usize) {
    let (addr, net, outside, length) = if round % 3 == 2 {
        let addr = plan.v6();
        let length = *plan.random.pick(&V6_LENGTHS);
        let net = Ipv6Addr::from(u128::from(addr) & u128::MAX << (128 - length));
        (IpAddr::V6(addr), IpAddr::V6(net), flip(IpAddr::V6(addr), 128 - length), length)
    } else {
        let addr = plan.v4();
        let length = V4_LENGTHS[round % V4_LENGTHS.len()];
        let net = Ipv4Addr::from(u32::from(addr) & u32::MAX << (32 - length));
        (IpAddr::V4(addr), IpAddr::V4(net), flip(IpAddr::V4(addr), 32 - length), length)
    };
    let wide = Indicator::new("ip-dst", format!("{net}/{length}"));
    let mut hit = vec![wide.clone()];
    if round.is_multiple_of(4) {
        hit.push(Indicator::new("ip-dst", addr.to_string()));
    }
    let carrier = if round % 5 == 4 {
        let name = background_name(plan);
        Carrier::lookup(Lookup::of_addr(&name, addr))
    } else {
        towards(plan, addr)
    };
    let kind = if round % 5 == 4 { "dns_answer" } else { "flow" };
    plan.hit(kind, &hit, carrier);
    let carrier = towards(plan, outside);
    plan.near("flow", &[wide], carrier);
}

/// An address with a port on the same end; the near miss has another port, or the port at the other
/// end.
pub(super) fn with_port(plan: &mut Plan, round: usize) {
    let addr = plan.addr(false);
    let port = *plan.random.pick(&[443, 4_444, 8_443, 2_222, 9_001]);
    let speech = |plan: &mut Plan| match port {
        443 => Speech::Tls(Box::new(plan.handshake(None))),
        _ => Speech::Noise,
    };
    let towards_port = |plan: &mut Plan, port| Carrier {
        opener: None,
        responder: Some(addr),
        port,
        speech: speech(plan),
    };
    if round % 3 == 1 {
        let indicator = [Indicator::new("ip-src|port", format!("{addr}|{port}"))];
        let carrier = from(plan, addr, Some(port));
        plan.hit("flow", &indicator, carrier);
        let mut carrier = from(plan, addr, Some(port + 1));
        carrier.port = port;
        return plan.near("flow", &indicator, carrier);
    }
    let indicator = [Indicator::new("ip-dst|port", format!("{addr}|{port}"))];
    let carrier = towards_port(plan, port);
    plan.hit("flow", &indicator, carrier);
    if round % 3 == 2 {
        // An answer names the address, but no port.
        let name = background_name(plan);
        return plan.near("dns_answer", &indicator, Carrier::lookup(Lookup::of_addr(&name, addr)));
    }
    let carrier = towards_port(plan, port + 1);
    plan.near("flow", &indicator, carrier);
}

fn towards(plan: &mut Plan, addr: IpAddr) -> Carrier {
    let (port, speech) = plan.small_talk();
    Carrier { opener: None, responder: Some(addr), port, speech }
}

fn from(plan: &mut Plan, addr: IpAddr, port: Option<u16>) -> Carrier {
    let server = population::client(&mut plan.random, addr.is_ipv6());
    Carrier {
        opener: Some((addr, port)),
        responder: Some(server),
        port: 7_070,
        speech: Speech::Noise,
    }
}

fn background_name(plan: &mut Plan) -> String {
    let rank = population::popular(&mut plan.random);
    population::name(plan.seed, rank)
}
