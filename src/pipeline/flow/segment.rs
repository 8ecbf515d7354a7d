//! A TCP segment as reassembly sees it.

use crate::model::flow::Side;
use crate::model::packet::Packet;
use crate::model::packet::tcp_flag;

/// What one packet brings to the stream of its flow.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Who sent it.
    pub side: Side,
    /// Sequence number of the first payload byte.
    pub seq: u32,
    /// What its sender has received of the other side.
    pub ack: Option<u32>,
    /// Whether its sender sends no more after it.
    pub fin: bool,
    /// Where a SYN told it: the sequence number of the side's first byte.
    pub start: Option<u32>,
    /// Whether it may be a keep-alive probe, which has one garbage byte that its receiver has (RFC
    /// 9293 §3.8.4).
    pub probe: bool,
    /// What was captured of the payload.
    pub payload: &'a [u8],
    /// Bytes of the payload that the capture cut off.
    pub missing_bytes: u32,
}

impl<'a> Segment<'a> {
    /// Returns the segment in `packet`; `start` is what the flow knows of its side
    /// (`FlowSlot::start`).
    pub fn new(packet: &Packet, payload: &'a [u8], side: Side, start: Option<u32>) -> Self {
        let has = |flag: u8| packet.tcp_flags & flag != 0;
        Self {
            side,
            // a SYN takes the number before the first byte's
            seq: packet.seq.wrapping_add(u32::from(has(tcp_flag::SYN))),
            ack: has(tcp_flag::ACK).then_some(packet.ack),
            fin: has(tcp_flag::FIN),
            start,
            probe: payload.len() == 1 && packet.tcp_flags == tcp_flag::ACK,
            payload,
            missing_bytes: packet.missing_bytes,
        }
    }
}
