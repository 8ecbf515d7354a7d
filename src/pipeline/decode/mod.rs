//! Bytes to packets: link layers, IP, transport.
//!
//! Spec:   each layer's file names its own; plain IPv4 and IPv6 with TCP and UDP in one go here
//!         (RFC 791 §3.1, RFC 8200 §3, RFC 9293 §3.1, RFC 768)
//! Reads:  one frame, as the link layer of its capture says
//! Yields: a packet, or why there is none
//! Bounds: each header's own length field, checked against the bytes that are there
//! Leaves: tunnels and fragments, which are counted

mod cooked;
mod ethernet;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod ip;
mod link;
#[cfg(test)]
mod samples;
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
    /// Returns the hasher of `seed`: all of a process use one, and nobody who sends packets may
    /// know it.
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

/// Walks the headers of one frame; `bytes` are the frame's, `payload_at` of the packet is the
/// block's.
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::prelude::prop_assert;
    use proptest::prelude::prop_assert_eq;
    use proptest::proptest;

    use super::DecodeError;
    use super::FlowHasher;
    use super::decode;
    use crate::model::counters::Counters;
    use crate::model::packet::Frame;
    use crate::model::packet::FrameId;
    use crate::model::packet::Packet;
    use crate::model::packet::Payload;
    use crate::model::time::Timestamp;
    use crate::pipeline::decode::samples;

    /// Where frames begin in the block of these tests.
    const AT: u32 = 1_000;

    fn walk(link: u16, bytes: &[u8], wire_bytes: u32) -> Result<Packet, DecodeError> {
        let captured_bytes = bytes.len() as u32;
        let id = FrameId::new(3, 9);
        let frame = Frame { time: Timestamp(5), id, at: AT, captured_bytes, wire_bytes, link };
        decode(&frame, bytes, &FlowHasher::new(1))
    }

    fn told(packet: &Packet) -> String {
        let (src, sport) = packet.key.sender(packet.heading);
        let (dst, dport) = packet.key.receiver(packet.heading);
        let vlans = packet.key.vlans.ids().map(|id| format!(" vlan {id}")).collect::<String>();
        let (at, there, missing) =
            (packet.payload_at - AT, packet.payload_bytes, packet.missing_bytes);
        let (kind, protocol, ip) = (packet.payload, packet.key.protocol, packet.ip_bytes);
        let ends = format!("{src} {sport} > {dst} {dport}{vlans}");
        format!("{kind:?} {protocol} {ends}: {at}+{there}-{missing} of {ip}")
    }

    /// Walks a frame that was captured whole.
    fn check(link: u16, bytes: &[u8], expected: &str) {
        check_cut(link, bytes, bytes.len(), expected);
    }

    /// Walks the first bytes of a frame, of `wire_bytes`.
    fn check_cut(link: u16, bytes: &[u8], wire_bytes: usize, expected: &str) {
        let read = match walk(link, bytes, wire_bytes as u32) {
            Ok(packet) => told(&packet),
            Err(error) => format!("{error:?}"),
        };
        assert_eq!(read, expected, "link {link}, {bytes:02x?}");
    }

    #[test]
    fn link_layers() {
        let udp = samples::v4(17, &samples::udp(b"hi"));
        let after = |head: &[u8]| [head, &udp].concat();
        let seen = |at: usize, vlans: &str| {
            format!("Udp 17 10.0.0.1 4000 > 10.0.0.2 53{vlans}: {at}+2-0 of 30")
        };
        let mac = [2; 12];
        let ethernet = |tail: &[u8]| after(&[&mac[..], tail].concat());
        for (link, bytes, at, vlans) in [
            (1, ethernet(&[8, 0]), 42, ""),
            (1, ethernet(&[0x81, 0, 0xe0, 5, 8, 0]), 46, " vlan 5"),
            (1, ethernet(&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 0, 8, 0]), 50, " vlan 7 vlan 0"),
            (
                1,
                ethernet(&[0x91, 0, 0, 1, 0x91, 0, 0, 2, 0x81, 0, 0, 3, 0x81, 0, 0, 4, 8, 0]),
                58,
                " vlan 1 vlan 2 vlan 3",
            ),
            (1, ethernet(&[0, 38, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0]), 50, ""),
            (101, udp.clone(), 28, ""),
            (12, udp.clone(), 28, ""),
            (14, udp.clone(), 28, ""),
            (228, udp.clone(), 28, ""),
            (0, after(&[2, 0, 0, 0]), 32, ""),
            (0, after(&[0, 0, 0, 2]), 32, ""),
            (108, after(&[0, 0, 0, 2]), 32, ""),
            (113, after(&[0, 4, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0]), 44, ""),
            (
                113,
                after(&[0, 4, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x81, 0, 0, 9, 8, 0]),
                48,
                " vlan 9",
            ),
            (276, after(&[8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0]), 48, ""),
        ] {
            check(link, &bytes, &seen(at, vlans));
        }
        let v6 = samples::v6(17, &samples::udp(b"hi"));
        for family in [10, 23, 24, 28, 30] {
            check(
                0,
                &[&[family, 0, 0, 0], &v6[..]].concat(),
                "Udp 17 2001:db8::1 4000 > 2001:db8::2 53: 52+2-0 of 50",
            );
        }
        check(229, &v6, "Udp 17 2001:db8::1 4000 > 2001:db8::2 53: 48+2-0 of 50");
    }

    #[test]
    fn frames_without_ip() {
        let mac = [2; 12];
        let ethernet = |tail: &[u8]| [&mac[..], tail].concat();
        check(1, &[], "LinkTruncated");
        check(1, &ethernet(&[8]), "LinkTruncated");
        check(1, &ethernet(&[0x81, 0, 0, 1]), "LinkTruncated");
        check(1, &ethernet(&[8, 6, 0, 1]), "LinkNotIp");
        check(1, &ethernet(&[0, 3, 0x42, 0x42, 3, 0, 0, 0, 0]), "LinkNotIp");
        check(1, &ethernet(&[0, 3, 0xaa, 0xaa, 3]), "LinkTruncated");
        check(1, &ethernet(&[0x88, 0x47, 0, 0]), "LinkUnsupported");
        check(1, &ethernet(&[0x88, 0x64, 0, 0]), "LinkUnsupported");
        check(1, &ethernet(&[8, 0]), "IpTruncated");
        check(1, &ethernet(&[8, 0, 0x15, 0]), "IpMalformed");
        check(0, &[7, 0, 0, 0, 1], "LinkNotIp");
        check(0, &[2, 0, 0], "LinkTruncated");
        check(113, &[0; 15], "LinkTruncated");
        check(113, &[0; 16], "LinkNotIp");
        check(276, &[8, 0, 0], "LinkTruncated");
        check(105, &[0; 100], "LinkUnsupported");
        check(u16::MAX, &[0; 100], "LinkUnsupported");
    }

    #[test]
    fn internet_headers() {
        let udp = samples::udp(b"hi");
        let v4 = |protocol, payload: &[u8]| samples::v4(protocol, payload);
        check(
            101,
            &samples::v4_options(17, &[1; 40], &udp),
            "Udp 17 10.0.0.1 4000 > 10.0.0.2 53: 68+2-0 of 70",
        );
        check(
            101,
            &v4(1, &[8, 0, 0, 0, 1, 2, 3, 4]),
            "Opaque 1 10.0.0.1 0 > 10.0.0.2 0: 20+8-0 of 28",
        );
        check(101, &v4(47, &[0; 5]), "Opaque 47 10.0.0.1 0 > 10.0.0.2 0: 20+5-0 of 25");
        check(101, &v4(132, &udp), "Opaque 132 10.0.0.1 4000 > 10.0.0.2 53: 20+10-0 of 30");
        check(101, &v4(255, &[]), "Opaque 255 10.0.0.1 0 > 10.0.0.2 0: 20+0-0 of 20");
        let behind_padding = [&v4(17, &udp)[..], &[0; 16]].concat();
        check(101, &behind_padding, "Udp 17 10.0.0.1 4000 > 10.0.0.2 53: 28+2-0 of 30");
        let auth = [&[17, 4, 0, 0][..], &[9; 20], &udp].concat();
        check(101, &v4(51, &auth), "Udp 17 10.0.0.1 4000 > 10.0.0.2 53: 52+2-0 of 54");
        check(101, &v4(51, &[17, 4, 0, 0]), "IpMalformed");
        let v6 = |protocol, payload: &[u8]| samples::v6(protocol, payload);
        let chain = [
            &[60, 0, 1, 4, 0, 0, 0, 0][..],
            &[43, 0, 1, 4, 0, 0, 0, 0],
            &[17, 0, 0, 0, 0, 0, 0, 0],
            &udp,
        ];
        check(
            101,
            &v6(0, &chain.concat()),
            "Udp 17 2001:db8::1 4000 > 2001:db8::2 53: 72+2-0 of 74",
        );
        check(
            101,
            &v6(58, &[128, 0, 0, 0]),
            "Opaque 58 2001:db8::1 0 > 2001:db8::2 0: 40+4-0 of 44",
        );
        check(
            101,
            &[&v6(59, &[])[..], &[0; 6]].concat(),
            "Opaque 59 2001:db8::1 0 > 2001:db8::2 0: 40+0-0 of 40",
        );
        check(101, &v6(60, &[17]), "IpMalformed");
        check(101, &v6(60, &[0, 0, 1, 4, 0, 0, 0, 0]), "IpMalformed");
    }

    #[test]
    fn lengths_that_are_not_so() {
        let tcp = samples::tcp(&[], b"hello");
        let v4 = samples::v4(6, &tcp);
        let with_total = |total: u16| {
            let mut bytes = v4.clone();
            bytes[2..4].copy_from_slice(&total.to_be_bytes());
            bytes
        };
        check(101, &with_total(0), "Tcp 6 10.0.0.1 4000 > 10.0.0.2 53: 40+5-0 of 45");
        check_cut(
            101,
            &with_total(0),
            9_000,
            "Tcp 6 10.0.0.1 4000 > 10.0.0.2 53: 40+5-8955 of 9000",
        );
        check(101, &with_total(50), "Tcp 6 10.0.0.1 4000 > 10.0.0.2 53: 40+5-5 of 50");
        check(101, &with_total(40), "Tcp 6 10.0.0.1 4000 > 10.0.0.2 53: 40+0-0 of 40");
        check(101, &with_total(39), "TransportMalformed");
        check(101, &with_total(19), "IpMalformed");
        let mut v6 = samples::v6(6, &tcp);
        v6[4..6].copy_from_slice(&[0, 0]);
        check(101, &v6, "Tcp 6 2001:db8::1 4000 > 2001:db8::2 53: 60+5-0 of 65");
        check_cut(101, &v6, 70_000, "Tcp 6 2001:db8::1 4000 > 2001:db8::2 53: 60+5-69935 of 70000");
        let with_datagram = |length: u16| {
            let mut udp = samples::udp(b"four");
            udp[4..6].copy_from_slice(&length.to_be_bytes());
            samples::v4(17, &udp)
        };
        check(101, &with_datagram(12), "Udp 17 10.0.0.1 4000 > 10.0.0.2 53: 28+4-0 of 32");
        check(101, &with_datagram(10), "Udp 17 10.0.0.1 4000 > 10.0.0.2 53: 28+2-0 of 32");
        check(101, &with_datagram(8), "Udp 17 10.0.0.1 4000 > 10.0.0.2 53: 28+0-0 of 32");
        check(101, &with_datagram(7), "TransportMalformed");
        check(101, &with_datagram(0), "Udp 17 10.0.0.1 4000 > 10.0.0.2 53: 28+4-0 of 32");
        check(101, &with_datagram(60), "Udp 17 10.0.0.1 4000 > 10.0.0.2 53: 28+4-0 of 32");
        let mut short = samples::tcp(&[], &[]);
        short[12] = 0x40;
        check(101, &samples::v4(6, &short), "TransportMalformed");
        short[12] = 0x60;
        check(101, &samples::v4(6, &short), "TransportMalformed");
    }

    #[test]
    fn fragments() {
        let tcp = samples::tcp(&[1; 12], b"hello");
        let mut v4 = samples::v4(6, &tcp);
        v4[6] = 0x40;
        check(101, &v4, "Tcp 6 10.0.0.1 4000 > 10.0.0.2 53: 52+5-0 of 57");
        v4[6] = 0x20;
        check(101, &v4, "Fragment 6 10.0.0.1 4000 > 10.0.0.2 53: 20+37-0 of 57");
        v4[7] = 1;
        check(101, &v4, "IpFragment");
        v4[6] = 0;
        check(101, &v4, "IpFragment");
        let v6 = |offset: u16| {
            let [high, low] = offset.to_be_bytes();
            samples::v6(44, &[&[6, 0, high, low, 0, 0, 0, 1], &tcp[..]].concat())
        };
        check(101, &v6(0), "Tcp 6 2001:db8::1 4000 > 2001:db8::2 53: 80+5-0 of 85");
        check(101, &v6(1), "Fragment 6 2001:db8::1 4000 > 2001:db8::2 53: 48+37-0 of 85");
        check(101, &v6(8), "IpFragment");
        check(101, &v6(9), "IpFragment");
        check(101, &samples::v4_fragment(17, &[1]), "TransportTruncated");
    }

    #[test]
    fn tcp_fields_are_read() {
        let packet = walk(101, &samples::v4(6, &samples::tcp(&[2; 8], b"x")), 49).unwrap();
        assert_eq!((packet.seq, packet.ack, packet.tcp_flags), (0x0102_0304, 0x0506_0708, 0x18));
        assert_eq!((packet.time, packet.frame), (Timestamp(5), FrameId::new(3, 9)));
        assert_eq!(packet.payload_at, AT + 48);
    }

    #[test]
    fn every_cut_is_survived_and_tells_no_other_flow() {
        for (link, bytes) in samples::all() {
            let whole = walk(link, &bytes, bytes.len() as u32).unwrap();
            for cut in 0..bytes.len() {
                let Ok(packet) = walk(link, &bytes[..cut], bytes.len() as u32) else { continue };
                assert_eq!((packet.key, packet.hash), (whole.key, whole.hash));
                assert!(packet.payload_at - AT + packet.payload_bytes <= cut as u32);
                assert_eq!(packet.ip_bytes, whole.ip_bytes);
                if packet.payload == whole.payload {
                    let claimed = |packet: &Packet| packet.payload_bytes + packet.missing_bytes;
                    assert_eq!(claimed(&packet), claimed(&whole));
                } else {
                    assert_eq!(packet.payload, Payload::Opaque);
                }
            }
        }
    }

    #[test]
    fn each_error_has_a_counter_of_its_own() {
        let mut counters = Counters::default();
        for error in [
            DecodeError::LinkTruncated,
            DecodeError::LinkUnsupported,
            DecodeError::LinkNotIp,
            DecodeError::IpTruncated,
            DecodeError::IpMalformed,
            DecodeError::IpFragment,
            DecodeError::TransportTruncated,
            DecodeError::TransportMalformed,
        ] {
            error.count(&mut counters);
        }
        let failures = counters.rows().into_iter().filter(|row| row.metric.starts_with("decode_"));
        assert!(failures.map(|row| row.value).eq([1; 8]));
    }

    #[test]
    fn hashes_depend_on_every_part_of_a_key() {
        let hash = |bytes: &[u8]| walk(1, bytes, bytes.len() as u32).unwrap().hash;
        let mut frame = samples::tagged();
        let first = hash(&frame);
        // VLAN tag, protocol, last octets of the addresses, ports
        for at in [15, 27, 33, 37, 39, 41] {
            frame[at] ^= 3;
            assert_ne!(hash(&frame), first, "{at}");
            frame[at] ^= 3;
        }
        assert_ne!(FlowHasher::new(2).hash(&walk(1, &frame, 99).unwrap().key), first);
    }

    proptest! {
        #[test]
        fn changed_frames_agree_with_etherparse(
            which in 0..100_usize,
            changes in vec((any::<u16>(), any::<u8>()), 0..4),
        ) {
            let all = samples::all();
            let (link, mut bytes) = all[which % all.len()].clone();
            for (at, byte) in changes {
                let at = usize::from(at) % bytes.len();
                bytes[at] = byte;
            }
            let read = walk(link, &bytes, bytes.len() as u32);
            if let Ok(packet) = read {
                let end = packet.payload_at - AT + packet.payload_bytes;
                prop_assert!(end <= bytes.len() as u32);
            }
            let theirs = if link == 1 {
                etherparse::SlicedPacket::from_ethernet(&bytes)
            } else {
                etherparse::SlicedPacket::from_ip(&bytes)
            };
            let (Ok(theirs), Ok(ours)) = (theirs, read) else { return Ok(()) };
            let (_, sport) = ours.key.sender(ours.heading);
            let (_, dport) = ours.key.receiver(ours.heading);
            match theirs.transport {
                Some(etherparse::TransportSlice::Tcp(tcp)) if ours.payload == Payload::Tcp => {
                    prop_assert_eq!((tcp.source_port(), tcp.destination_port()), (sport, dport));
                    prop_assert_eq!(tcp.sequence_number(), ours.seq);
                    prop_assert_eq!(tcp.payload().len() as u32, ours.payload_bytes);
                }
                Some(etherparse::TransportSlice::Udp(udp)) if ours.payload == Payload::Udp => {
                    prop_assert_eq!((udp.source_port(), udp.destination_port()), (sport, dport));
                    prop_assert_eq!(udp.payload().len() as u32, ours.payload_bytes);
                }
                _ => {}
            }
        }

        #[test]
        fn any_bytes_are_survived(
            link in 0..300_u16,
            bytes in vec(any::<u8>(), 0..200),
            wire: u32,
        ) {
            if let Ok(packet) = walk(link, &bytes, wire) {
                let end = packet.payload_at - AT + packet.payload_bytes;
                prop_assert!(end <= bytes.len() as u32);
            }
        }
    }
}
