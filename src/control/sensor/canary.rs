//! The canary of a sensor: a frame that it sends itself, once in a while, and whose alert must come
//! out at every sink.

use std::hash::BuildHasher;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use etherparse::PacketBuilder;

use crate::control::config::canary::CanaryConfig;
use crate::model::canary::CANARY_DOMAIN;
use crate::pipeline::capture::sender::Sender;
use crate::report::canary::Proof;

/// Source and destination station: with both the same, a switch that takes the frame sends it
/// nowhere.
const STATION: [u8; 6] = [0x02, b't', b'a', b'p', b's', b'i'];

/// Addresses that are nobody's (RFC 5737 §3).
const FROM: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const TO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Intervals without a canary that came out after which something is wrong.
const MISSED_MAX: u32 = 3;

/// Sends canaries.
#[derive(Debug)]
pub(super) struct Canary {
    config: CanaryConfig,
    sender: Option<Sender>,
    sent: Option<Instant>,
    proof: Arc<Proof>,
    /// Why the last one was not sent.
    trouble: Option<String>,
    began: Instant,
    count: u64,
}

/// How the canary fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CanaryState {
    /// The interface that it is sent on.
    pub(super) interface: String,
    /// How many were sent.
    pub(super) count: u64,
    /// For how long none has come out.
    pub(super) age: Duration,
    /// What is wrong, if none came out for too long.
    pub(super) trouble: Option<String>,
}

impl Canary {
    /// Begins; an interface that cannot be sent on now may be later.
    pub(super) fn new(config: &CanaryConfig) -> Self {
        Self {
            config: config.clone(),
            sender: Sender::open(&config.interface).ok(),
            sent: None,
            proof: Arc::default(),
            trouble: None,
            began: Instant::now(),
            count: 0,
        }
    }

    /// Returns where it is told which came out.
    pub(super) fn proof(&self) -> Arc<Proof> {
        Arc::clone(&self.proof)
    }

    /// Sends one, where it is time to.
    pub(super) fn turn(&mut self) {
        if self.sent.is_some_and(|sent| sent.elapsed() < self.config.interval) {
            return;
        }
        self.sent = Some(Instant::now());
        let sent = self.send();
        self.count += u64::from(sent.is_ok());
        self.trouble = sent.err().map(|error| error.to_string());
    }

    /// Returns how it fares.
    pub(super) fn state(&self) -> CanaryState {
        let age = self.proof.proved().unwrap_or(self.began).elapsed();
        let interface = self.config.interface.clone();
        let why = |trouble: &String| format!("the canary cannot be sent on {interface}: {trouble}");
        let silent = || silent(&self.proof.missing());
        let late = age > self.config.interval * MISSED_MAX;
        let trouble = late.then(|| self.trouble.as_ref().map_or_else(silent, why));
        CanaryState { interface, count: self.count, age, trouble }
    }

    fn send(&mut self) -> std::io::Result<()> {
        // nobody outside can know the name beforehand
        let nonce = foldhash::fast::RandomState::default().hash_one(Instant::now());
        let name = format!("{nonce:016x}.{CANARY_DOMAIN}");
        let frame = frame(nonce, &name);
        self.proof.expect(name);
        if self.sender.as_ref().is_some_and(|sender| sender.send(&frame).is_ok()) {
            return Ok(());
        }
        // the interface may have come back as another one
        let sender = Sender::open(&self.config.interface)?;
        sender.send(&frame)?;
        self.sender = Some(sender);
        Ok(())
    }
}

/// Says where canaries that were sent did not come out.
fn silent(missing: &[String]) -> String {
    match missing {
        [] => "the canary does not come out: what is sent is not alerted on".to_owned(),
        sinks => format!("the canary does not come out at {}", sinks.join(", ")),
    }
}

/// Returns a DNS query for the address of a name, in a frame.
fn frame(nonce: u64, name: &str) -> Vec<u8> {
    let [a, b, c, d, ..] = nonce.to_be_bytes();
    // a flow of its own each time
    let port = u16::from_be_bytes([a, b]) | 0x8000;
    let query = query([c, d], name);
    let packet = PacketBuilder::ethernet2(STATION, STATION)
        .ipv4(FROM.octets(), TO.octets(), 1)
        .udp(port, 53);
    let mut frame = Vec::with_capacity(packet.size(query.len()));
    // a query is far shorter than a packet may be, and memory takes all of it
    let _cannot_fail = packet.write(&mut frame, &query);
    frame
}

/// Returns a DNS query (RFC 1035 §4.1): recursion desired, one question of type A, class IN.
fn query([id_high, id_low]: [u8; 2], name: &str) -> Vec<u8> {
    let mut query = vec![id_high, id_low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap_or_default());
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_a_query_that_others_read() {
        let name = format!("0123456789abcdef.{CANARY_DOMAIN}");
        let frame = frame(0x0123_4567_89ab_cdef, &name);
        let packet = etherparse::SlicedPacket::from_ethernet(&frame).expect("whole");
        let Some(etherparse::TransportSlice::Udp(udp)) = packet.transport else {
            panic!("no UDP");
        };
        assert_eq!((udp.source_port(), udp.destination_port()), (0x8123, 53));
        let query = simple_dns::Packet::parse(udp.payload()).expect("DNS");
        assert_eq!(query.questions[0].qname.to_string(), name);
    }
}
