//! Bytes to packets: link layers, IP, transport.

mod cooked;
mod ethernet;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod ip;
mod link;
mod transport;

use std::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

use crate::model::bytes::narrow;
use crate::model::counters::Counters;
use crate::model::flow::FlowKey;
use crate::model::packet::Frame;
use crate::model::packet::Packet;

/// Keyed hash of flows: both directions have one hash, because they have one key.
#[derive(Clone, Debug)]
pub struct FlowHasher {
    seed: u64,
    shared: SharedSeed,
}

impl FlowHasher {
    /// Returns the hasher of `seed`: all of a process use one, and nobody who sends packets may know it.
    pub fn new(seed: u64) -> Self {
        Self { seed, shared: SharedSeed::from_u64(seed) }
    }

    /// Returns the hash of a flow's key.
    pub fn hash(&self, key: &FlowKey) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write_u128(u128::from_le_bytes(key.low.0));
        hasher.write_u128(u128::from_le_bytes(key.high.0));
        hasher.write_u16(key.low_port);
        hasher.write_u16(key.high_port);
        hasher.write_u8(key.protocol);
        key.vlans.ids().for_each(|id| hasher.write_u16(id));
        hasher.finish()
    }
}

/// Why a frame gave no packet; one variant, one counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The capture ends inside the link header.
    LinkTruncated,
    /// A link type, or a layer below IP, that we do not read.
    LinkUnsupported,
    /// The frame holds no IP (ARP, LLDP, spanning tree ...).
    LinkNotIp,
    /// The capture ends inside the IP header.
    IpTruncated,
    /// The IP header contradicts itself.
    IpMalformed,
    /// A fragment that is not the first.
    IpFragment,
    /// The capture ends inside the ports.
    TransportTruncated,
    /// The transport header contradicts itself or the IP header.
    TransportMalformed,
}

const _: () = assert!(size_of::<DecodeError>() == 1);

impl DecodeError {
    /// Counts the frame under its reason.
    pub fn count(self, counters: &mut Counters) {
        let counter = match self {
            Self::LinkTruncated => &mut counters.decode_link_truncated,
            Self::LinkUnsupported => &mut counters.decode_link_unsupported,
            Self::LinkNotIp => &mut counters.decode_link_not_ip,
            Self::IpTruncated => &mut counters.decode_ip_truncated,
            Self::IpMalformed => &mut counters.decode_ip_malformed,
            Self::IpFragment => &mut counters.decode_ip_fragment,
            Self::TransportTruncated => &mut counters.decode_transport_truncated,
            Self::TransportMalformed => &mut counters.decode_transport_malformed,
        };
        *counter = counter.saturating_add(1);
    }
}

/// Walks the headers of one frame; `bytes` are the frame's, `payload_at` of the packet is the block's.
/// `clock_secs` is 0: the caller knows the clock.
///
/// # Errors
/// When the frame holds no packet that we read: a `DecodeError` says which counter.
pub fn decode(frame: &Frame, bytes: &[u8], hasher: &FlowHasher) -> Result<Packet, DecodeError> {
    let (network, vlans) = link::read(frame.link, bytes)?;
    let wire_bytes = frame.wire_bytes.saturating_sub(offset(bytes, network));
    let ip = ip::read(network, wire_bytes)?;
    let transport = transport::read(&ip)?;
    let src = (ip.src, transport.src_port);
    let dst = (ip.dst, transport.dst_port);
    let (key, heading) = FlowKey::new(src, dst, ip.protocol, vlans);
    let captured_bytes = narrow(transport.payload.len());
    Ok(Packet {
        time: frame.time,
        frame: frame.id,
        hash: hasher.hash(&key),
        key,
        clock_secs: 0,
        payload_at: frame.at.wrapping_add(offset(bytes, transport.payload)),
        payload_bytes: captured_bytes,
        missing_bytes: transport.payload_bytes.saturating_sub(captured_bytes),
        ip_bytes: ip.bytes,
        seq: transport.seq,
        ack: transport.ack,
        heading,
        tcp_flags: transport.tcp_flags,
        payload: transport.kind,
    })
}

/// Returns where `inner`, a part of `outer`, begins in it.
fn offset(outer: &[u8], inner: &[u8]) -> u32 {
    narrow(inner.as_ptr().addr().wrapping_sub(outer.as_ptr().addr()))
}
