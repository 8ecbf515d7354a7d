//! TCP, UDP, and the ports of everything else that has them.
//!
//! Spec:   RFC 9293 §3.1; RFC 768; RFC 9260 §3 (SCTP), RFC 4340 §5.1 (DCCP), RFC 3828 §3
//!         (UDP-Lite): ports first
//! Reads:  the payload of an IP packet, or as much of it as was captured
//! Yields: ports, TCP sequence numbers and flags, payload
//! Bounds: the packet's length
//! Leaves: options, checksums
//!
//! Read by hand because etherparse refuses headers that the capture cut, and those still tell the
//! flow.

use crate::model::bytes::Cursor;
use crate::model::bytes::index;
use crate::model::packet::Payload;
use crate::model::packet::protocol;
use crate::pipeline::decode::DecodeError;
use crate::pipeline::decode::ip::Extent;
use crate::pipeline::decode::ip::Ip;

const TCP_HEADER_BYTES: u32 = 20;
const UDP_HEADER_BYTES: u32 = 8;

/// The transport header and payload of one packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transport<'a> {
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) tcp_flags: u8,
    pub(super) kind: Payload,
    /// What was captured of the payload.
    pub(super) payload: &'a [u8],
    /// Bytes of payload that the headers claim.
    pub(super) payload_bytes: u32,
}

/// Reads the transport header of `ip`.
#[inline(always)]
pub(super) fn read<'a>(ip: &Ip<'a>) -> Result<Transport<'a>, DecodeError> {
    match (ip.protocol, ip.extent) {
        (protocol::TCP, Extent::Whole) => read_tcp(ip),
        (protocol::UDP, Extent::Whole) => read_udp(ip),
        (protocol::TCP | protocol::UDP, Extent::FirstFragment) => {
            Ok(Transport { kind: Payload::Fragment, ..read_ports(ip)? })
        }
        (number, _) if protocol::has_ports(number) => read_ports(ip),
        _ => Ok(opaque(ip, (0, 0))),
    }
}

/// ports, sequence and acknowledgement number, header length (4 bits), flags, window, checksum,
/// urgent pointer
#[inline(always)]
fn read_tcp<'a>(ip: &Ip<'a>) -> Result<Transport<'a>, DecodeError> {
    let mut c = Cursor::new(ip.payload);
    let Some([s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, words, tcp_flags, _, _, _, _, _, _]) =
        c.array::<20>()
    else {
        return read_cut(ip, TCP_HEADER_BYTES);
    };
    let header_bytes = u32::from(words >> 4).wrapping_mul(4);
    if !(TCP_HEADER_BYTES..=ip.payload_bytes).contains(&header_bytes) {
        return Err(DecodeError::TransportMalformed);
    }
    let options_bytes = index(header_bytes.wrapping_sub(TCP_HEADER_BYTES));
    let _options = c.take(options_bytes.min(c.len()));
    Ok(Transport {
        src_port: u16::from_be_bytes([s0, s1]),
        dst_port: u16::from_be_bytes([d0, d1]),
        seq: u32::from_be_bytes([q0, q1, q2, q3]),
        ack: u32::from_be_bytes([a0, a1, a2, a3]),
        tcp_flags,
        kind: Payload::Tcp,
        payload: c.rest(),
        payload_bytes: ip.payload_bytes.wrapping_sub(header_bytes),
    })
}

/// ports, length, checksum. The length may be 0 in offloaded and jumbo datagrams; the shorter of it
/// and IP's counts.
#[inline(always)]
fn read_udp<'a>(ip: &Ip<'a>) -> Result<Transport<'a>, DecodeError> {
    let mut c = Cursor::new(ip.payload);
    let Some([s0, s1, d0, d1, l0, l1, _, _]) = c.array::<8>() else {
        return read_cut(ip, UDP_HEADER_BYTES);
    };
    let datagram_bytes = match u32::from(u16::from_be_bytes([l0, l1])) {
        0 => ip.payload_bytes,
        n if n < UDP_HEADER_BYTES => return Err(DecodeError::TransportMalformed),
        n => n.min(ip.payload_bytes),
    };
    let payload_bytes = datagram_bytes.saturating_sub(UDP_HEADER_BYTES);
    let payload = c.take(index(payload_bytes).min(c.len())).unwrap_or_default();
    Ok(Transport {
        src_port: u16::from_be_bytes([s0, s1]),
        dst_port: u16::from_be_bytes([d0, d1]),
        seq: 0,
        ack: 0,
        tcp_flags: 0,
        kind: Payload::Udp,
        payload,
        payload_bytes,
    })
}

/// Reads what there is of a header that was captured in part: its flow can be told, its payload not
/// be read.
fn read_cut<'a>(ip: &Ip<'a>, header_bytes: u32) -> Result<Transport<'a>, DecodeError> {
    if ip.payload_bytes < header_bytes {
        return Err(DecodeError::TransportMalformed);
    }
    read_ports(ip)
}

fn read_ports<'a>(ip: &Ip<'a>) -> Result<Transport<'a>, DecodeError> {
    let mut c = Cursor::new(ip.payload);
    let mut port = || c.u16().ok_or(DecodeError::TransportTruncated);
    Ok(opaque(ip, (port()?, port()?)))
}

fn opaque<'a>(ip: &Ip<'a>, (src_port, dst_port): (u16, u16)) -> Transport<'a> {
    Transport {
        src_port,
        dst_port,
        seq: 0,
        ack: 0,
        tcp_flags: 0,
        kind: Payload::Opaque,
        payload: ip.payload,
        payload_bytes: ip.payload_bytes,
    }
}
