//! TCP reassembly: each side's bytes in order, once, as slices to the dissector (RFC 9293 §3.4).
//!
//! In order and nothing kept: the dissector reads the packet's own bytes. Only what it leaves unread, and what came too
//! early, is copied. Where copies of a byte differ, the first that came counts. A gap ends the reading of its side.

use crate::model::counters::Counters;
use crate::model::flow::Side;
use crate::model::packet::Packet;
use crate::model::packet::tcp_flag;
use crate::model::step::Step;

/// The stream of one flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamId(pub(super) u32);

/// The streams that one worker reads, each with its dissector `D`.
#[derive(Debug)]
pub struct Streams<D> {
    streams: Vec<D>,
}

/// A TCP segment as reassembly sees it.
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
    /// What was captured of the payload.
    pub payload: &'a [u8],
    /// Bytes of the payload that the capture cut off.
    pub missing_bytes: u32,
}

/// What became of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// There is more to read.
    Open,
    /// Both sides are read.
    Done,
    /// Not, or no longer, a protocol we read.
    Alien,
    /// No side can be read on, one of them because bytes are missing or found no room.
    Lost,
}

impl<'a> Segment<'a> {
    /// Returns the segment in `packet`; `start` is what the flow knows of its side (`FlowSlot::start`).
    pub fn new(packet: &Packet, payload: &'a [u8], side: Side, start: Option<u32>) -> Self {
        let has = |flag: u8| packet.tcp_flags & flag != 0;
        Self {
            side,
            // a SYN takes the number before the first byte's
            seq: packet.seq.wrapping_add(u32::from(has(tcp_flag::SYN))),
            ack: has(tcp_flag::ACK).then_some(packet.ack),
            fin: has(tcp_flag::FIN),
            start,
            payload,
            missing_bytes: packet.missing_bytes,
        }
    }
}

impl<D: Default> Streams<D> {
    /// Returns room for `streams_max` streams.
    pub fn new(streams_max: u32) -> Self {
        let _ = streams_max;
        Self { streams: Vec::new() }
    }

    /// Begins to read a flow.
    pub fn open(&mut self) -> StreamId {
        self.streams.push(D::default());
        StreamId(0)
    }

    /// Takes a segment of a flow that is being read, payload or not, and shows `feed` what can be read now.
    /// After any outcome but `Open` the stream must be released.
    pub fn segment(
        &mut self,
        id: StreamId,
        segment: &Segment<'_>,
        counters: &mut Counters,
        mut feed: impl FnMut(&mut D, Side, &[u8]) -> Step,
    ) -> Outcome {
        let _ = (id, counters);
        if let Some(d) = self.streams.last_mut() {
            feed(d, segment.side, segment.payload);
        }
        Outcome::Open
    }

    /// Ends the reading of a flow and frees what it kept.
    pub fn release(&mut self, id: StreamId, counters: &mut Counters) {
        let _ = (id, counters);
    }
}
