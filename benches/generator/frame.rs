//! Frames: Ethernet, 802.1Q, IPv4, IPv6, TCP, UDP, with right lengths and checksums.
//!
//! Spec: IEEE 802.3, 802.1Q; RFC 791; RFC 8200; RFC 9293; RFC 768; RFC 7323 (timestamps); RFC 1071
//!       (checksum)

use std::net::IpAddr;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The five-tuple of a flow but for its protocol, and its VLAN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) client: End,
    pub(crate) server: End,
    pub(crate) vlan: Option<u16>,
}

impl Route {
    /// The largest TCP payload of a frame: 1,500 bytes without the IP header and 32 bytes of TCP.
    pub(crate) fn segment_bytes_max(&self) -> usize {
        if self.server.addr.is_ipv4() { 1_448 } else { 1_428 }
    }
}

/// One end of a flow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) addr: IpAddr,
    pub(crate) port: u16,
}

/// Who sends: the opener of the flow or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What differs between the headers of one side's segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    /// Milliseconds, for the timestamp option.
    pub(crate) clock: u32,
}

/// Builds a frame with a TCP segment into `out`.
pub(crate) fn tcp(out: &mut Vec<u8>, route: &Route, side: Side, head: Segment, payload: &[u8]) {
    let options = if head.flags & SYN == 0 { 12 } else { 20 };
    let (src, dst) = begin(out, route, side, (TCP, 20 + options + payload.len()));
    let start = out.len();
    out.extend_from_slice(&src.port.to_be_bytes());
    out.extend_from_slice(&dst.port.to_be_bytes());
    out.extend_from_slice(&head.seq.to_be_bytes());
    out.extend_from_slice(&head.ack.to_be_bytes());
    let window: u16 = if side == Side::Client { 501 } else { 509 };
    out.extend_from_slice(&[((20 + options) as u8 / 4) << 4, head.flags]);
    out.extend_from_slice(&window.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    let stamp =
        head.clock.wrapping_add(if side == Side::Client { 0x1234_0000 } else { 0x6b00_1000 });
    let echo =
        head.clock.wrapping_add(if side == Side::Client { 0x6b00_0ff0 } else { 0x1233_fff0 });
    let echo = if head.flags & ACK == 0 { 0 } else { echo };
    if head.flags & SYN == 0 {
        out.extend_from_slice(&[1, 1, 8, 10]);
    } else {
        let mss = route.segment_bytes_max() as u16 + 12;
        out.extend_from_slice(&[2, 4, (mss >> 8) as u8, mss as u8, 4, 2, 8, 10]);
    }
    out.extend_from_slice(&stamp.to_be_bytes());
    out.extend_from_slice(&echo.to_be_bytes());
    if head.flags & SYN != 0 {
        out.extend_from_slice(&[1, 3, 3, 7]);
    }
    out.extend_from_slice(payload);
    let sum = transport_checksum(src.addr, dst.addr, TCP, &out[start..]);
    out[start + 16..start + 18].copy_from_slice(&sum.to_be_bytes());
}

/// Builds a frame with a UDP datagram into `out`.
pub(crate) fn udp(out: &mut Vec<u8>, route: &Route, side: Side, payload: &[u8]) {
    let length = 8 + payload.len();
    let (src, dst) = begin(out, route, side, (UDP, length));
    let start = out.len();
    out.extend_from_slice(&src.port.to_be_bytes());
    out.extend_from_slice(&dst.port.to_be_bytes());
    out.extend_from_slice(&(length as u16).to_be_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(payload);
    let sum = transport_checksum(src.addr, dst.addr, UDP, &out[start..]);
    let sum = if sum == 0 { 0xffff } else { sum };
    out[start + 6..start + 8].copy_from_slice(&sum.to_be_bytes());
}

/// Writes everything below the transport header; `next` is the protocol and its length.
fn begin(out: &mut Vec<u8>, route: &Route, side: Side, next: (u8, usize)) -> (End, End) {
    let (src, dst) = match side {
        Side::Client => (route.client, route.server),
        Side::Server => (route.server, route.client),
    };
    out.clear();
    out.extend_from_slice(&hardware(dst.addr, side == Side::Client));
    out.extend_from_slice(&hardware(src.addr, side == Side::Server));
    if let Some(vlan) = route.vlan {
        out.extend_from_slice(&[0x81, 0]);
        out.extend_from_slice(&vlan.to_be_bytes());
    }
    let hops = if side == Side::Client { 64 } else { 52 };
    let (protocol, length) = next;
    match (src.addr, dst.addr) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend_from_slice(&[0x08, 0x00]);
            let start = out.len();
            out.extend_from_slice(&[0x45, 0]);
            out.extend_from_slice(&((20 + length) as u16).to_be_bytes());
            out.extend_from_slice(&[src.port as u8, length as u8, 0x40, 0, hops, protocol, 0, 0]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
            let sum = fold(sum_of(&out[start..]));
            out[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            out.extend_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0]);
            out.extend_from_slice(&(length as u16).to_be_bytes());
            out.extend_from_slice(&[protocol, hops]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
        }
        _ => unreachable!("both ends of a route are of one family"),
    }
    (src, dst)
}

/// The hardware address of a host of the site, or the router's for everyone behind it.
fn hardware(addr: IpAddr, beyond_router: bool) -> [u8; 6] {
    if beyond_router {
        return [0x02, 0x1b, 0x21, 0x00, 0x00, 0x01];
    }
    let low = match addr {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(v6) => {
            let all = v6.octets();
            [all[12], all[13], all[14], all[15]]
        }
    };
    [0x02, 0x42, low[0], low[1], low[2], low[3]]
}

fn transport_checksum(src: IpAddr, dst: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let ends = match (src, dst) {
        (IpAddr::V4(a), IpAddr::V4(b)) => sum_of(&a.octets()) + sum_of(&b.octets()),
        (IpAddr::V6(a), IpAddr::V6(b)) => sum_of(&a.octets()) + sum_of(&b.octets()),
        _ => unreachable!("both ends of a route are of one family"),
    };
    fold(ends + u64::from(protocol) + segment.len() as u64 + sum_of(segment))
}

/// Adds up big-endian words; 32 bits at a time give the same sum once folded (RFC 1071 §2 (B)).
fn sum_of(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(4);
    let mut last = [0; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    let sum: u64 = words.map(|w| u64::from(u32::from_be_bytes([w[0], w[1], w[2], w[3]]))).sum();
    sum + u64::from(u32::from_be_bytes(last))
}

fn fold(mut sum: u64) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
