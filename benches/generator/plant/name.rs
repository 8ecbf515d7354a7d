//! Planted names: domains, host names, and both with an address or a port.

use super::Carrier;
use super::Handshake;
use super::Lookup;
use super::Plan;
use super::Speech;
use super::flip;
use super::population;
use crate::generator::certificate;
use crate::generator::dns;
use crate::generator::dns::Answer;
use crate::generator::indicator::Indicator;

/// A domain in a DNS question, by itself or with a label before it.
pub(super) fn domain_asked(plan: &mut Plan, round: usize) {
    let (indicator, seen, beside) = domain(plan, round);
    let carrier = asked(plan, &mixed_case(&seen, round), round);
    plan.hit("dns_query", &indicator, carrier);
    let carrier = asked(plan, &beside, round);
    plan.near("dns_query", &indicator, carrier);
}

/// A domain as the server name of a TLS hello; looked up before, as browsers do, in every third
/// round.
pub(super) fn domain_in_hello(plan: &mut Plan, round: usize) {
    let (indicator, seen, beside) = domain(plan, round + 1);
    if round % 3 == 2 {
        let carrier = asked(plan, &seen, 0);
        plan.hit("dns_query", &indicator, carrier);
    }
    let handshake = plan.handshake(Some(&seen));
    plan.hit("tls_sni", &indicator, Carrier::tls(handshake));
    let handshake = plan.handshake(Some(&beside));
    plan.near("tls_sni", &indicator, Carrier::tls(handshake));
}

/// A domain in the Host header.
pub(super) fn domain_in_host(plan: &mut Plan, round: usize) {
    let (indicator, seen, beside) = domain(plan, round + 2);
    plan.hit("http_host", &indicator, Carrier::http(&mixed_case(&seen, round), None));
    plan.near("http_host", &indicator, Carrier::http(&beside, None));
}

/// A domain that an answer points to.
pub(super) fn domain_answered(plan: &mut Plan, round: usize) {
    let (indicator, seen, beside) = domain(plan, round);
    for (hit, name) in [(true, seen), (false, beside)] {
        let rank = population::popular(&mut plan.random);
        let asked = population::name(plan.seed, rank);
        let lookup = match round % 3 {
            0 => {
                let addr = population::server(plan.seed, rank, false, 0);
                let mut lookup = Lookup::of_addr(&asked, addr);
                lookup.answers.insert(0, Answer::Alias(name));
                lookup
            }
            1 => {
                Lookup { name: asked, kind: 15, answers: vec![Answer::Mail(name)], missing: false }
            }
            _ => {
                let asked = format!("{}.7.90.131.in-addr.arpa", plan.random.within(1, 254));
                Lookup {
                    name: asked,
                    kind: 12,
                    answers: vec![Answer::Pointer(name)],
                    missing: false,
                }
            }
        };
        if hit {
            plan.hit("dns_name", &indicator, Carrier::lookup(lookup));
        } else {
            plan.near("dns_name", &indicator, Carrier::lookup(lookup));
        }
    }
}

/// A domain in a certificate, behind a hello that names nobody.
pub(super) fn domain_in_certificate(plan: &mut Plan, round: usize) {
    let (indicator, seen, beside) = domain(plan, round);
    for (hit, name) in [(true, seen), (false, beside)] {
        let mut handshake = classic(plan, None);
        let other = population::domain(&mut plan.random, population::Tribe::Background);
        let names = [other.clone(), name.clone()];
        let common = if round.is_multiple_of(2) { &other } else { &name };
        let signer = certificate::signer(&mut plan.random, "Harbour Secure Server CA");
        let leaf = certificate::leaf(&mut plan.random, common, &names, "Harbour Secure Server CA");
        handshake.chain = vec![leaf, signer];
        if hit {
            plan.hit("cert_name", &indicator, Carrier::tls(handshake));
        } else {
            plan.near("cert_name", &indicator, Carrier::tls(handshake));
        }
    }
}

/// A host name, which neither its siblings nor its children nor its parent match.
pub(super) fn hostname(plan: &mut Plan, round: usize) {
    let domain = plan.domain();
    let host = format!("gate.{domain}");
    let indicator = [Indicator::new("hostname", host.clone())];
    let beside = match round % 4 {
        0 => format!("gate2.{domain}"),
        1 => format!("www.{host}"),
        2 => domain,
        _ => format!("not{host}"),
    };
    for (hit, name) in [(true, host), (false, beside)] {
        let (kind, carrier) = match round % 3 {
            0 => ("dns_query", asked(plan, &name, round)),
            1 => {
                let handshake = plan.handshake(Some(&name));
                ("tls_sni", Carrier::tls(handshake))
            }
            _ => ("http_host", Carrier::http(&name, None)),
        };
        if hit {
            plan.hit(kind, &indicator, carrier);
        } else {
            plan.near(kind, &indicator, carrier);
        }
    }
}

/// A domain with its address: either half matches, or both.
pub(super) fn domain_and_addr(plan: &mut Plan, round: usize) {
    let (_, domain, beside) = domain(plan, 0);
    let addr = plan.addr(false);
    let indicator = [Indicator::new("domain|ip", format!("{domain}|{addr}"))];
    match round % 3 {
        0 => plan.hit("dns_query", &indicator, Carrier::lookup(Lookup::of_addr(&domain, addr))),
        1 => {
            let host = plan.below(&domain);
            let handshake = plan.handshake(Some(&host));
            plan.hit("tls_sni", &indicator, Carrier::tls(handshake));
        }
        _ => {
            let (port, speech) = plan.small_talk();
            plan.hit(
                "flow",
                &indicator,
                Carrier { opener: None, responder: Some(addr), port, speech },
            );
        }
    }
    plan.near("dns_query", &indicator, Carrier::lookup(Lookup::of_addr(&beside, flip(addr, 3))));
}

/// A host name with a port: both or nothing.
pub(super) fn hostname_and_port(plan: &mut Plan, round: usize) {
    let host = format!("relay.{}", plan.domain());
    let indicator = [Indicator::new("hostname|port", format!("{host}|8443"))];
    let mut towards = |name: &str, port| {
        if round.is_multiple_of(2) {
            let handshake = plan.handshake(Some(name));
            return Carrier::outward(port, Speech::Tls(Box::new(handshake)));
        }
        Carrier::http(&format!("{name}:{port}"), None)
    };
    let right = towards(&host, 8_443);
    let wrong = if round.is_multiple_of(3) {
        towards(&host, 8_444)
    } else {
        towards(&format!("not{host}"), 8_443)
    };
    let kind = if round.is_multiple_of(2) { "tls_sni" } else { "http_host" };
    plan.hit(kind, &indicator, right);
    plan.near(kind, &indicator, wrong);
}

/// A domain for context only (`to_ids` 0) beside one that counts.
pub(super) fn unflagged(plan: &mut Plan, round: usize) {
    let (indicator, seen, _) = domain(plan, round);
    let carrier = asked(plan, &seen, round);
    plan.hit("dns_query", &indicator, carrier);
    let context = plan.domain();
    let mut indicator = Indicator::new("domain", context.clone());
    indicator.to_ids = false;
    let carrier = asked(plan, &context, round);
    plan.near("dns_query", &[indicator], carrier);
}

/// A domain, a name that it matches, and one that it almost matches.
fn domain(plan: &mut Plan, round: usize) -> ([Indicator; 1], String, String) {
    let domain = plan.domain();
    let below = plan.below(&domain);
    let (indicator, seen, beside) = match round % 4 {
        0 => (domain.clone(), domain.clone(), format!("not{domain}")),
        1 => (domain.clone(), below, format!("{domain}.elsewhere.net")),
        2 => {
            // The parent of an indicator is not one.
            let inner = format!("c2.{domain}");
            (inner.clone(), plan.below(&inner), domain.clone())
        }
        _ => (domain.clone(), below, format!("www.x-{domain}")),
    };
    ([Indicator::new("domain", indicator)], seen, beside)
}

/// A look-up; over TCP in every seventh round.
fn asked(plan: &mut Plan, name: &str, round: usize) -> Carrier {
    let rank = population::popular(&mut plan.random);
    let mut lookup = Lookup::of_addr(name, population::server(plan.seed, rank, round % 2 == 1, 0));
    if round % 5 == 3 {
        lookup = Lookup { name: name.to_owned(), kind: dns::A, answers: Vec::new(), missing: true };
    }
    let mut carrier = Carrier::lookup(lookup);
    if round % 7 == 6
        && let Speech::Lookup(lookup) = carrier.speech
    {
        carrier.speech = Speech::LookupTcp(lookup);
    }
    carrier
}

/// A handshake whose certificates are in the clear.
pub(super) fn classic(plan: &mut Plan, name: Option<&str>) -> Handshake {
    let mut handshake = plan.handshake(name);
    handshake.hello = handshake.hello.without_13();
    handshake.answer = super::ServerHello::draw(&mut plan.random, &handshake.hello);
    handshake
}

/// Every third name with capitals, as resolvers that use 0x20 ask.
fn mixed_case(name: &str, round: usize) -> String {
    if round % 3 != 1 {
        return name.to_owned();
    }
    name.char_indices().map(|(i, c)| if i % 2 == 0 { c.to_ascii_uppercase() } else { c }).collect()
}
