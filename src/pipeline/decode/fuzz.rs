//! Fuzz entry: one frame of any link type.

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::counters::Counters;
use crate::model::packet::Frame;
use crate::model::packet::FrameId;
use crate::model::packet::Payload;
use crate::model::time::Timestamp;
use crate::pipeline::decode::FlowHasher;
use crate::pipeline::decode::decode;

/// Link types that the first byte chooses among: those that we read, and one that we do not.
const LINKS: &[u16] = &[1, 0, 108, 12, 14, 101, 228, 229, 113, 276, 147];

/// Where the frame lies in its block.
const AT: u32 = 1_000;

/// Reads any bytes as a frame: the payload lies inside it, the other direction has the same hash, a
/// copy that the capture cut shorter claims the same lengths, and no reason is uncounted.
pub fn fuzz(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let link = LINKS[usize::from(*first) % LINKS.len()];
    let hasher = FlowHasher::new(7);
    let frame = |captured: &[u8]| Frame {
        time: Timestamp(1),
        id: FrameId(1),
        at: AT,
        captured_bytes: narrow(captured.len()),
        wire_bytes: narrow(bytes.len()),
        link,
    };
    let packet = match decode(&frame(bytes), bytes, &hasher) {
        Ok(packet) => packet,
        Err(error) => {
            let mut counters = Counters::default();
            error.count(&mut counters);
            assert_eq!(counters.rows().iter().map(|row| row.value).sum::<u64>(), 1);
            return;
        }
    };
    let at = index(packet.payload_at.checked_sub(AT).expect("behind the frame's first byte"));
    let payload = bytes.get(at..).and_then(|rest| rest.get(..index(packet.payload_bytes)));
    assert!(payload.is_some(), "the payload is not inside the frame");
    assert_eq!(packet.hash, hasher.hash(&packet.key));
    assert!(packet.payload == Payload::Tcp || (packet.seq, packet.tcp_flags) == (0, 0));
    for cut in [bytes.len() / 2, at, bytes.len().saturating_sub(1)] {
        let Some(captured) = bytes.get(..cut) else { continue };
        if let Ok(shorter) = decode(&frame(captured), captured, &hasher) {
            assert_eq!((shorter.key, shorter.ip_bytes), (packet.key, packet.ip_bytes));
            let claims = |packet: &crate::model::packet::Packet| {
                packet.payload_bytes.saturating_add(packet.missing_bytes)
            };
            // a header that was captured in part makes the packet opaque: all behind IP counts then
            if shorter.payload == packet.payload {
                assert_eq!(claims(&shorter), claims(&packet), "cut at {cut}");
            }
        }
    }
}
