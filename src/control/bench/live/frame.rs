//! Ethernet frames that the bench makes, with the marker by which the receiver knows them.

use std::net::Ipv4Addr;

use etherparse::PacketBuilder;

/// Octets of the frame check sequence: a frame's size in RFC 2544 counts them, but no socket sends
/// them.
pub(super) const CHECK_BYTES: usize = 4;

/// Where in a frame the sender's address stands.
const SOURCE_AT: std::ops::Range<usize> = 6..12;

/// Where the receiver's address stands.
const DESTINATION_AT: std::ops::Range<usize> = 0..6;

/// Who frames are for: locally administered, and no station's, so that no host answers.
const NOBODY: [u8; 6] = [0x02, 0x74, 0x73, 0xff, 0xff, 0xfe];

/// Bytes of the longest head that is made here: Ethernet, IPv4, TCP.
const HEAD_BYTES_TCP: usize = 14 + 20 + 20;

/// The same over UDP.
const HEAD_BYTES_UDP: usize = 14 + 20 + 8;

/// The sender's Ethernet address: the frames of one run have it, and no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker([u8; 6]);

/// One end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End(pub(super) Ipv4Addr, pub(super) u16);

/// What a TCP segment says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Segment {
    pub(super) seq: u32,
    /// 0: none.
    pub(super) ack: u32,
    pub(super) syn: bool,
    pub(super) fin: bool,
}

impl Marker {
    /// Returns the marker of this process.
    pub(super) fn of_this_run() -> Self {
        let [a, b, c, _] = std::process::id().to_le_bytes();
        Self([0x02, 0x74, 0x73, a, b, c])
    }

    /// Returns the capture filter that lets only marked frames through.
    pub(super) fn filter(self) -> String {
        let octets: Vec<String> = self.0.iter().map(|octet| format!("{octet:02x}")).collect();
        format!("ether src {}", octets.join(":"))
    }

    /// Marks a frame.
    pub(super) fn put(self, frame: &mut [u8]) {
        if let Some(source) = frame.get_mut(SOURCE_AT) {
            source.copy_from_slice(&self.0);
        }
        if let Some(destination) = frame.get_mut(DESTINATION_AT) {
            destination.copy_from_slice(&NOBODY);
        }
    }
}

/// Returns a UDP datagram in a frame.
pub(super) fn udp(from: End, to: End, payload: &[u8], marker: Marker) -> Vec<u8> {
    let head = PacketBuilder::ethernet2([0; 6], [0; 6])
        .ipv4(from.0.octets(), to.0.octets(), 64)
        .udp(from.1, to.1);
    let mut frame = Vec::with_capacity(HEAD_BYTES_UDP + payload.len());
    // a Vec takes all, and no payload here is over 64 KiB
    let _cannot_fail = head.write(&mut frame, payload);
    marker.put(&mut frame);
    frame
}

/// Returns a TCP segment in a frame.
pub(super) fn tcp(from: End, to: End, segment: Segment, payload: &[u8], marker: Marker) -> Vec<u8> {
    let mut head = PacketBuilder::ethernet2([0; 6], [0; 6])
        .ipv4(from.0.octets(), to.0.octets(), 64)
        .tcp(from.1, to.1, segment.seq, 64_240);
    if segment.ack > 0 {
        head = head.ack(segment.ack);
    }
    if segment.syn {
        head = head.syn();
    }
    if segment.fin {
        head = head.fin();
    }
    let mut frame = Vec::with_capacity(HEAD_BYTES_TCP + payload.len());
    let _cannot_fail = head.write(&mut frame, payload);
    marker.put(&mut frame);
    frame
}

/// Returns how many bytes of UDP payload make a frame of `size` octets with its check sequence.
pub(super) fn udp_room(size: u16) -> usize {
    usize::from(size).saturating_sub(CHECK_BYTES + HEAD_BYTES_UDP)
}

/// Returns how many bytes of TCP payload make a frame of `size` octets with its check sequence.
pub(super) fn tcp_room(size: u16) -> usize {
    usize::from(size).saturating_sub(CHECK_BYTES + HEAD_BYTES_TCP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_size_that_was_asked_for() {
        let marker = Marker([2, 0x74, 0x73, 1, 2, 3]);
        let (a, b) = (End(Ipv4Addr::new(198, 18, 0, 1), 1), End(Ipv4Addr::new(198, 19, 0, 1), 2));
        for size in [64, 128, 1_518] {
            let want = usize::from(size) - CHECK_BYTES;
            let datagram = udp(a, b, &vec![0; udp_room(size)], marker);
            let segment = tcp(a, b, Segment::default(), &vec![0; tcp_room(size)], marker);
            assert_eq!((datagram.len(), segment.len()), (want, want), "{size}");
            assert_eq!(datagram[SOURCE_AT], marker.0);
        }
        assert_eq!(marker.filter(), "ether src 02:74:73:01:02:03");
    }
}
