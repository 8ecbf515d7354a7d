//! A frame's place in its block, and what the header walk made of it.

use crate::model::flow::FlowKey;
use crate::model::flow::Heading;
use crate::model::time::Timestamp;

/// A frame of a replay: the input and the 1-based number in it, in one ordered word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FrameId(pub u64);

impl FrameId {
    const NUMBER_BITS: u32 = 40;
    const NUMBER_MASK: u64 = 0xff_ffff_ffff;

    /// Returns the id of frame `number` (1-based, up to 2^40) of input `file` (up to 2^24).
    pub fn new(file: u32, number: u64) -> Self {
        Self((u64::from(file) << Self::NUMBER_BITS) | (number & Self::NUMBER_MASK))
    }

    /// Returns the input's index in the order of reading.
    pub fn file(self) -> u32 {
        u32::try_from(self.0 >> Self::NUMBER_BITS).unwrap_or(u32::MAX)
    }

    /// Returns the 1-based number in the input.
    pub fn number(self) -> u64 {
        self.0 & Self::NUMBER_MASK
    }
}

/// One captured frame in a block, as its source tells it.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// When it was captured.
    pub time: Timestamp,
    /// Which frame it is.
    pub id: FrameId,
    /// Where its bytes begin in the block.
    pub at: u32,
    /// How many bytes of it there are.
    pub captured_bytes: u32,
    /// How many bytes it had on the wire.
    pub wire_bytes: u32,
    /// Its link type (`LINKTYPE_*` number).
    pub link: u16,
}

/// One decoded packet in a block: what the flow stage needs, and where its payload is.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// When it was captured.
    pub time: Timestamp,
    /// Which frame it was.
    pub frame: FrameId,
    /// Keyed hash of `key`; its high bits choose the shard.
    pub hash: u64,
    /// Its flow.
    pub key: FlowKey,
    /// Whole seconds of the latest time seen up to this frame in the whole input; never goes back.
    pub clock_secs: u32,
    /// Where the transport payload begins in the block.
    pub payload_at: u32,
    /// Bytes of transport payload that were captured.
    pub payload_bytes: u32,
    /// Bytes of transport payload that the headers claim but the capture cut off.
    pub missing_bytes: u32,
    /// Bytes of the IP packet (total length).
    pub ip_bytes: u32,
    /// TCP sequence number.
    pub seq: u32,
    /// TCP acknowledgement number.
    pub ack: u32,
    /// Which way it heads.
    pub heading: Heading,
    /// TCP flags (`tcp_flag`), 0 for other protocols.
    pub tcp_flags: u8,
    /// What follows the IP header.
    pub payload: Payload,
}

const _: () = assert!(size_of::<Packet>() <= 104);

/// What a packet's payload is to the flow stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Payload {
    /// A TCP segment.
    Tcp,
    /// A UDP datagram.
    Udp,
    /// The first fragment of either, which is not read.
    Fragment,
    /// Something that is counted but not read: another protocol, or a header that was cut.
    Opaque,
}

/// TCP flag bits (RFC 9293 §3.1).
pub mod tcp_flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// The acknowledgement field is significant.
    pub const ACK: u8 = 0x10;
}

/// IP protocol numbers that we read (IANA).
pub mod protocol {
    /// Internet Control Message.
    pub const ICMP: u8 = 1;
    /// Transmission Control.
    pub const TCP: u8 = 6;
    /// User Datagram.
    pub const UDP: u8 = 17;
    /// Datagram Congestion Control.
    pub const DCCP: u8 = 33;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// Stream Control Transmission.
    pub const SCTP: u8 = 132;
    /// Lightweight User Datagram.
    pub const UDP_LITE: u8 = 136;

    /// Tells whether a protocol has ports, in its first four bytes.
    pub fn has_ports(number: u8) -> bool {
        matches!(number, TCP | UDP | DCCP | SCTP | UDP_LITE)
    }
}
