//! One block of a packet ring: where its frames lie, and when they came.
//!
//! Spec:   linux/if_packet.h, `tpacket_block_desc`, `tpacket3_hdr`; packet_mmap.rst, `TPACKET_V3`
//! Reads:  one block that the kernel has filled
//! Yields: frames where they lie, VLAN tags put back in front of them (IEEE 802.1Q)
//! Bounds: `CHUNK_BYTES` a block; a header that leads out of it ends the walk
//! Leaves: the kernel's hash of a flow, its checksum's verdict
//!
//! ```text
//! block   0 version, 4 private offset, 8 status, 12 packets, 16 first packet's offset, 20 length
//! packet  0 next's offset, 4 seconds, 8 nanoseconds, 12 bytes kept, 16 bytes on the wire,
//!         20 status, 24 frame's offset (u16), 26 network header's (u16), 28 hash,
//!         32 VLAN TCI, 36 VLAN TPID (u16)
//! ```

use std::hint::black_box;

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::limits::BLOCK_FRAMES_MAX;
use crate::model::packet::Frame;
use crate::model::packet::FrameId;
use crate::model::time::Timestamp;
use crate::pipeline::capture::packet_socket::CHUNK_BYTES;

/// Bytes of a frame's header in the ring: `tpacket3_hdr` and the `sockaddr_ll` behind it.
const HEADER_BYTES: usize = 48 + 20;

/// Bytes of both MAC addresses, behind which a tag belongs.
const ADDRESSES_BYTES: usize = 12;

/// Bytes of a tag.
const TAG_BYTES: usize = 4;

/// A block's frames fit the list of a hand-over, however small they are.
const _: () = assert!(CHUNK_BYTES / (HEADER_BYTES + 28) <= BLOCK_FRAMES_MAX);

/// Where the last header byte of most frames is: Ethernet, IPv4, TCP.
const HEADERS_BYTES: usize = 14 + 20 + 20 - 1;

/// What a tag is called where the kernel does not say.
const TPID_8021Q: u16 = 0x8100;

/// Link type of Ethernet, the only one with tags.
const ETHERNET: u16 = 1;

/// What a block held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Walked {
    /// Frames that the kernel says it put there.
    pub(super) told: u32,
    /// Frames that were found.
    pub(super) found: u32,
    /// Whether the kernel was losing packets meanwhile.
    pub(super) losing: bool,
}

/// What is known of all frames of a ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// Their link type.
    pub(super) link: u16,
    /// Bytes kept of each at most, its tag included.
    pub(super) snap_bytes: u32,
}

/// Adds the frames of a block to `frames`; their ids are to be set.
pub(super) fn walk(block: &mut [u8], kind: Kind, frames: &mut Vec<Frame>) -> Walked {
    let mut walked = Walked { told: u32_at(block, 12).unwrap_or_default(), ..Walked::default() };
    let mut at = index(u32_at(block, 16).unwrap_or_default());
    let mut touched = 0;
    while walked.found < walked.told && frames.len() < BLOCK_FRAMES_MAX {
        let Some((frame, status, next)) = frame(block, at, kind) else { break };
        touched ^= touch(block, &frame);
        frames.push(frame);
        walked.found = walked.found.saturating_add(1);
        walked.losing |= status & libc::TP_STATUS_LOSING != 0;
        if next == 0 {
            break;
        }
        at = at.saturating_add(index(next));
    }
    black_box(touched);
    walked
}

/// Brings in the lines that decoding will read, while the next header is on its way: another core
/// wrote them, so each is a miss, and headers can only be found one after the other.
fn touch(block: &[u8], frame: &Frame) -> u8 {
    let at = index(frame.at);
    let byte = |at: usize| block.get(at).copied().unwrap_or_default();
    byte(at) ^ byte(at.saturating_add(HEADERS_BYTES))
}

/// Returns the frame whose header is at `at`, the header's status, and how far the next one is.
fn frame(block: &mut [u8], at: usize, kind: Kind) -> Option<(Frame, u32, u32)> {
    let header: [u8; 48] = *block.get(at..)?.first_chunk()?;
    let word = |at| u32_at(&header, at).unwrap_or_default();
    let (status, mut captured, mut wire) = (word(20), word(12), word(16));
    let mac = usize::from(u16_at(&header, 24)?);
    let mut start = at.checked_add(mac)?;
    // inside the block, and not in its own header
    block.get(start..start.checked_add(index(captured))?).filter(|_| mac >= HEADER_BYTES)?;
    let tagged = word(32) != 0 || status & libc::TP_STATUS_VLAN_VALID != 0;
    if tagged && kind.link == ETHERNET {
        let tci = u16::try_from(word(32) & 0xffff).unwrap_or_default();
        let told = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
        let tpid = u16_at(&header, 36).filter(|_| told).unwrap_or(TPID_8021Q);
        if put_tag(block, start, captured, [tpid, tci]) {
            start = start.checked_sub(TAG_BYTES)?;
            captured = captured.saturating_add(4).min(kind.snap_bytes);
            wire = wire.saturating_add(4);
        }
    }
    let frame = Frame {
        time: Timestamp::new(u64::from(word(4)), u64::from(word(8))),
        id: FrameId::default(),
        at: narrow(start),
        captured_bytes: captured,
        wire_bytes: wire,
        link: kind.link,
    };
    Some((frame, status, word(0)))
}

/// Moves the addresses of a frame forward and puts a tag behind them; `false`: the frame has no
/// addresses.
fn put_tag(block: &mut [u8], start: usize, captured: u32, tag: [u16; 2]) -> bool {
    let [tpid, tci] = tag.map(u16::to_be_bytes);
    let Some(from) = start.checked_sub(TAG_BYTES) else { return false };
    let Some(room) = block.get_mut(from..start.saturating_add(ADDRESSES_BYTES)) else {
        return false;
    };
    if index(captured) < ADDRESSES_BYTES {
        return false;
    }
    room.copy_within(TAG_BYTES.., 0);
    let Some(behind) = room.last_chunk_mut::<TAG_BYTES>() else { return false };
    let ([a, b], [c, d]) = (tpid, tci);
    *behind = [a, b, c, d];
    true
}

/// Returns a number in the machine's order, as the kernel writes it.
fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KIND: Kind = Kind { link: ETHERNET, snap_bytes: 20 };

    /// A frame as the kernel lays it out: bytes, their number on the wire, status, TCI and TPID.
    struct Laid<'b> {
        bytes: &'b [u8],
        wire: u32,
        status: u32,
        tag: [u16; 2],
    }

    fn laid(bytes: &[u8]) -> Laid<'_> {
        Laid { bytes, wire: bytes.len() as u32, status: 1, tag: [0, 0] }
    }

    fn block(frames: &[Laid<'_>]) -> Vec<u8> {
        let mut block = vec![0; 48];
        block[12..16].copy_from_slice(&(frames.len() as u32).to_ne_bytes());
        block[16..20].copy_from_slice(&48_u32.to_ne_bytes());
        for (n, frame) in frames.iter().enumerate() {
            let at = block.len();
            let mac = 86_usize;
            let step = (mac + frame.bytes.len()).next_multiple_of(8);
            block.resize(at + step, 0);
            let last = n + 1 == frames.len();
            let mut put = |offset: usize, value: u32| {
                block[at + offset..][..4].copy_from_slice(&value.to_ne_bytes());
            };
            put(0, if last { 0 } else { step as u32 });
            put(4, 7);
            put(8, n as u32);
            put(12, frame.bytes.len() as u32);
            put(16, frame.wire);
            put(20, frame.status);
            put(32, u32::from(frame.tag[0]));
            block[at + 24..][..2].copy_from_slice(&(mac as u16).to_ne_bytes());
            block[at + 36..][..2].copy_from_slice(&frame.tag[1].to_ne_bytes());
            block[at + mac..][..frame.bytes.len()].copy_from_slice(frame.bytes);
        }
        block
    }

    /// What a block holds: bytes and wire length of each frame.
    fn check(frames: &[Laid<'_>], link: u16, expected: &[(&[u8], u32)]) {
        let mut block = block(frames);
        let mut found = Vec::new();
        let walked = walk(&mut block, Kind { link, snap_bytes: 1_000 }, &mut found);
        assert_eq!(walked.told, walked.found);
        let bytes = |frame: &Frame| &block[frame.at as usize..][..frame.captured_bytes as usize];
        let told: Vec<_> = found.iter().map(|frame| (bytes(frame), frame.wire_bytes)).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn frames_lie_where_the_headers_say() {
        check(&[], ETHERNET, &[]);
        let cut = Laid { wire: 1_500, ..laid(b"second") };
        check(&[laid(b"first frame"), cut], 101, &[(b"first frame", 11), (b"second", 1_500)]);
    }

    #[test]
    fn tags_are_put_back() {
        let plain = b"ddddddssssss\x08\x00body";
        let valid = libc::TP_STATUS_VLAN_VALID;
        let told = valid | libc::TP_STATUS_VLAN_TPID_VALID;
        let tagged = |status, tag| Laid { status, tag, ..laid(plain) };
        check(
            &[
                tagged(valid, [5, 0]),
                tagged(told, [0x2005, 0x88a8]),
                tagged(valid, [0, 0]),
                tagged(1, [7, 0]),
                laid(plain),
            ],
            ETHERNET,
            &[
                (b"ddddddssssss\x81\x00\x00\x05\x08\x00body", 22),
                (b"ddddddssssss\x88\xa8\x20\x05\x08\x00body", 22),
                (b"ddddddssssss\x81\x00\x00\x00\x08\x00body", 22),
                (b"ddddddssssss\x81\x00\x00\x07\x08\x00body", 22),
                (plain, 18),
            ],
        );
        // no more bytes than are to be kept
        let mut block = block(&[tagged(valid, [5, 0])]);
        let mut found = Vec::new();
        walk(&mut block, KIND, &mut found);
        assert_eq!((found[0].captured_bytes, found[0].wire_bytes), (20, 22));
        // no addresses to put it behind; no Ethernet
        check(&[Laid { status: valid, ..laid(b"short") }], ETHERNET, &[(b"short", 5)]);
        check(&[tagged(valid, [5, 0])], 101, &[(plain, 18)]);
    }

    #[test]
    fn losing_is_told() {
        let losing = Laid { status: 1 | libc::TP_STATUS_LOSING, ..laid(b"x") };
        let mut block = block(&[laid(b"y"), losing]);
        let walked = walk(&mut block, KIND, &mut Vec::new());
        assert_eq!(walked, Walked { told: 2, found: 2, losing: true });
    }

    #[test]
    fn headers_that_lead_out_end_the_walk() {
        for (at, value) in [(48 + 12, 1_u32 << 20), (48 + 24, 4), (48, u32::MAX), (16, 1 << 30)] {
            let mut block = block(&[laid(b"first"), laid(b"second")]);
            block[at..at + 4].copy_from_slice(&value.to_ne_bytes());
            let walked = walk(&mut block, KIND, &mut Vec::new());
            assert!(walked.told == 2 && walked.found < 2, "{at}: {walked:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..600),
            told: u8,
        ) {
            if let Some(count) = bytes.get_mut(12..16) {
                count.copy_from_slice(&u32::from(told).to_ne_bytes());
            }
            let mut frames = Vec::new();
            let walked = walk(&mut bytes, KIND, &mut frames);
            prop_assert!(walked.found <= walked.told);
            for frame in frames {
                let end = frame.at as usize + frame.captured_bytes as usize;
                prop_assert!(end <= bytes.len());
            }
        }
    }
}
