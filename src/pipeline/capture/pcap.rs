//! Classic pcap: a header, then records one after the other.
//!
//! Spec:   draft-ietf-opsawg-pcap §4 (file header), §5 (packet record); magics as libpcap and
//!         Wireshark know them
//! Reads:  micro- and nanosecond files of both byte orders, Kuznetzov's modified records, IXIA's
//!         lcap
//! Yields: frames, without copying them
//! Bounds: `limits::FRAME_BYTES_MAX`, `limits::OVERSIZED_BYTES_MAX`, `limits::BLOCK_FRAMES_MAX`
//! Leaves: the frame check sequence that the upper bits of the link type tell of; versions other
//!         than 2

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::limits::BLOCK_FRAMES_MAX;
use crate::model::limits::FRAME_BYTES_MAX;
use crate::model::limits::OVERSIZED_BYTES_MAX;
use crate::model::packet::Frame;
use crate::model::packet::FrameId;
use crate::model::time::Timestamp;
use crate::pipeline::capture::Format;
use crate::pipeline::capture::Place;
use crate::pipeline::capture::Stop;
use crate::pipeline::capture::Walk;
use crate::pipeline::capture::damage::Flaw;
use crate::pipeline::capture::order::Order;

pub(super) const FORMAT: Format =
    Format { looks: |head| magic(head).is_some(), walk: || Box::new(Pcap::default()) };

/// How the files of one magic are laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Variant {
    magic: u32,
    file_header_bytes: usize,
    record_header_bytes: usize,
    fraction_nanos: u64,
}

/// All of them: IXIA's put a length behind the file header, Kuznetzov's an interface, a protocol
/// and a direction behind each record header.
const VARIANTS: &[Variant] = &[
    variant(0xa1b2_c3d4, 24, 16, 1_000),
    variant(0xa1b2_3c4d, 24, 16, 1),
    variant(0xa1b2_cd34, 24, 24, 1_000),
    variant(0x1c00_01ac, 28, 16, 1),
    variant(0x1c00_01ab, 28, 16, 1),
];

/// The only version that was ever common; the layout of others is unknown.
const VERSION_MAJOR: u16 = 2;

/// Fields of all file headers: magic, version (major, minor), zone, accuracy, snap length, link
/// type.
const FILE_HEADER_BYTES: usize = 24;

/// Fields of all record headers: seconds, fraction, captured length, wire length.
const RECORD_HEADER_BYTES: usize = 16;

/// The walk over one pcap file.
#[derive(Default)]
struct Pcap {
    layout: Option<Layout>,
    number: u64,
}

/// What the file header says of the records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Layout {
    order: Order,
    variant: Variant,
    link: u16,
}

impl Walk for Pcap {
    fn walk(&mut self, bytes: &[u8], place: Place, frames: &mut Vec<Frame>) -> (usize, Stop) {
        let (layout, header_bytes) = match self.layout {
            Some(layout) => (layout, 0),
            None => match Layout::parse(bytes) {
                Ok(layout) => (layout, layout.variant.file_header_bytes),
                Err(stop) => return (0, stop),
            },
        };
        let Some(records) = bytes.get(header_bytes..) else {
            return (0, Stop::Short(header_bytes));
        };
        self.layout = Some(layout);
        let place = Place { at: place.at.wrapping_add(narrow(header_bytes)), ..place };
        let (walked, stop) = match layout.order {
            Order::Little => self.records::<false>(layout, records, place, frames),
            Order::Big => self.records::<true>(layout, records, place, frames),
        };
        (header_bytes.wrapping_add(walked), stop)
    }

    fn number(&self) -> u64 {
        self.number
    }
}

impl Pcap {
    /// Walks records: per record one header read, one comparison of lengths, one frame written.
    #[inline]
    fn records<const BIG: bool>(
        &mut self,
        layout: Layout,
        bytes: &[u8],
        place: Place,
        frames: &mut Vec<Frame>,
    ) -> (usize, Stop) {
        let word = if BIG { u32::from_be_bytes } else { u32::from_le_bytes };
        let before_bytes = layout.variant.record_header_bytes;
        let mut rest = bytes;
        let stop = loop {
            let Some((head, _)) = rest.split_first_chunk::<RECORD_HEADER_BYTES>() else {
                break Stop::Short(before_bytes);
            };
            let [secs, fraction, captured_bytes, wire_bytes] = words(head).map(word);
            if captured_bytes > FRAME_BYTES_MAX {
                break self.oversized(captured_bytes, wire_bytes, before_bytes);
            }
            let record_bytes = before_bytes.wrapping_add(index(captured_bytes));
            let Some((_, next)) = rest.split_at_checked(record_bytes) else {
                break Stop::Short(record_bytes);
            };
            if frames.len() >= BLOCK_FRAMES_MAX {
                break Stop::Full;
            }
            self.number = self.number.wrapping_add(1);
            let walked = bytes.len().wrapping_sub(rest.len());
            let nanos = u64::from(fraction).wrapping_mul(layout.variant.fraction_nanos);
            frames.push(Frame {
                time: Timestamp::new(u64::from(secs), nanos),
                id: FrameId::new(place.file, self.number),
                at: place.at.wrapping_add(narrow(walked.wrapping_add(before_bytes))),
                captured_bytes,
                wire_bytes,
                link: layout.link,
            });
            rest = next;
        };
        (bytes.len().wrapping_sub(rest.len()), stop)
    }

    /// Tells a record that is merely long, which has a number, from a header that is none.
    fn oversized(&mut self, captured_bytes: u32, wire_bytes: u32, before_bytes: usize) -> Stop {
        if captured_bytes > OVERSIZED_BYTES_MAX || captured_bytes > wire_bytes {
            return Stop::Broken(Flaw::RecordBytes(captured_bytes));
        }
        self.number = self.number.wrapping_add(1);
        Stop::Oversized(u64::from(captured_bytes).wrapping_add(u64::from(narrow(before_bytes))))
    }
}

impl Layout {
    /// Reads the file header.
    fn parse(bytes: &[u8]) -> Result<Self, Stop> {
        let Some((head, _)) = bytes.split_first_chunk::<FILE_HEADER_BYTES>() else {
            return Err(Stop::Short(FILE_HEADER_BYTES));
        };
        let Some((order, variant)) = magic(head) else {
            return Err(Stop::Broken(Flaw::ByteOrder));
        };
        let [_, _, _, _, v0, v1, v2, v3, .., l0, l1, l2, l3] = *head;
        let [major, minor] = [[v0, v1], [v2, v3]].map(|half| order.u16(half));
        if major != VERSION_MAJOR {
            return Err(Stop::Broken(Flaw::Version { major, minor }));
        }
        let [_, _, high, low] = order.u32([l0, l1, l2, l3]).to_be_bytes();
        Ok(Self { order, variant, link: u16::from_be_bytes([high, low]) })
    }
}

const fn variant(magic: u32, file: usize, record: usize, fraction_nanos: u64) -> Variant {
    Variant { magic, file_header_bytes: file, record_header_bytes: record, fraction_nanos }
}

/// Finds the variant whose magic the first four bytes are, in either order.
fn magic(head: &[u8]) -> Option<(Order, Variant)> {
    let bytes = *head.first_chunk::<4>()?;
    [Order::Little, Order::Big].into_iter().find_map(|order| {
        let found = VARIANTS.iter().find(|variant| variant.magic == order.u32(bytes))?;
        Some((order, *found))
    })
}

/// Cuts a record header into its four words.
fn words(head: &[u8; RECORD_HEADER_BYTES]) -> [[u8; 4]; 4] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *head;
    [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]]
}

#[cfg(test)]
mod tests {
    use crate::model::limits::BLOCK_FRAMES_MAX;
    use crate::model::limits::FRAME_BYTES_MAX;
    use crate::model::limits::OVERSIZED_BYTES_MAX;
    use crate::pipeline::capture::damage::Flaw;
    use crate::pipeline::capture::damage::Trouble;
    use crate::pipeline::capture::order::Order;
    use crate::pipeline::capture::samples;
    use crate::pipeline::capture::samples::Told;

    const MICROS: u32 = 0xa1b2_c3d4;

    /// Reads a capture in reads of several sizes: its frames, its trouble and its oversized frames
    /// are as expected.
    fn check(bytes: &[u8], frames: &[Told], trouble: Option<&Trouble>, oversized: u64) {
        for read_bytes_max in [1, 7, 100, usize::MAX] {
            if read_bytes_max < 100 && bytes.len() > 10_000 {
                continue;
            }
            let (read, found, skipped) = samples::read(bytes, read_bytes_max);
            let told = read.iter().map(|(_, _, told)| told.clone()).collect::<Vec<_>>();
            assert!(told == frames, "{} frames, not {}: {found:?}", told.len(), frames.len());
            assert_eq!((found.as_ref(), skipped), (trouble, oversized));
            assert!(read.iter().all(|(link, _, _)| *link == 1));
        }
    }

    #[test]
    fn every_variant_in_both_orders() {
        let frames = samples::three();
        for order in [Order::Little, Order::Big] {
            check(&samples::pcap(order, MICROS, 0, &frames), &frames, None, 0);
            check(&samples::pcap(order, 0xa1b2_3c4d, 0, &frames), &frames, None, 0);
            check(&samples::pcap(order, 0xa1b2_cd34, 8, &frames), &frames, None, 0);
        }
    }

    #[test]
    fn ixia_has_a_longer_file_header_and_nanoseconds() {
        let mut bytes = samples::pcap(Order::Little, 0xa1b2_3c4d, 0, &samples::three());
        bytes[..4].copy_from_slice(&0x1c00_01ac_u32.to_le_bytes());
        bytes.splice(24..24, [0, 0, 0, 9]);
        check(&bytes, &samples::three(), None, 0);
    }

    #[test]
    fn a_header_alone_is_a_capture_of_nothing() {
        check(&samples::pcap(Order::Big, MICROS, 0, &[]), &[], None, 0);
    }

    #[test]
    fn odd_fields_are_tolerated() {
        let more_captured_than_sent = (5_000_000_000, vec![1, 2, 3], 2);
        check(
            &samples::pcap(
                Order::Little,
                MICROS,
                0,
                std::slice::from_ref(&more_captured_than_sent),
            ),
            &[more_captured_than_sent],
            None,
            0,
        );
        let mut bytes = samples::pcap(Order::Little, MICROS, 0, &[(0, vec![1], 1)]);
        bytes[28..32].copy_from_slice(&3_000_000_u32.to_le_bytes());
        check(&bytes, &[(3_000_000_000, vec![1], 1)], None, 0);
    }

    #[test]
    fn every_cut_gives_the_frames_before_it() {
        let frames = samples::three();
        let bytes = samples::pcap(Order::Little, MICROS, 0, &frames);
        let ends = [24, 24 + 16 + 11, 24 + 16 + 11 + 16, bytes.len()];
        for cut in 4..bytes.len() {
            let whole = ends.iter().rposition(|end| *end <= cut);
            let there = cut as u64 - whole.map_or(0, |n| ends[n]) as u64;
            let trouble = match whole {
                None => Some(Trouble::CutHeader { there, needed: 24 }),
                Some(_) if there == 0 => None,
                Some(n) => {
                    let record = if there < 16 { 16 } else { 16 + frames[n].1.len() as u64 };
                    let at = ends[n] as u64;
                    Some(Trouble::Cut { frame: n as u64, at, there, needed: record })
                }
            };
            let n = whole.unwrap_or(0);
            check(&bytes[..cut], &frames[..n], trouble.as_ref(), 0);
        }
    }

    #[test]
    fn records_around_the_longest_frame() {
        let after = (1_000, vec![9], 1);
        for (bytes, kept) in [
            (FRAME_BYTES_MAX - 1, true),
            (FRAME_BYTES_MAX, true),
            (FRAME_BYTES_MAX + 1, false),
            (3 * FRAME_BYTES_MAX, false),
        ] {
            let long = (0, vec![3; bytes as usize], bytes);
            let both = [long, after.clone()];
            let file = samples::pcap(Order::Big, MICROS, 0, &both);
            let (frames, oversized) = if kept { (&both[..], 0) } else { (&both[1..], 1) };
            check(&file, frames, None, oversized);
            let numbers = samples::read(&file, usize::MAX).0;
            assert_eq!(numbers.last().map(|(_, number, _)| *number), Some(2));
        }
    }

    #[test]
    fn a_claim_beyond_reason_ends_the_file() {
        for (captured, wire) in [(0xffff_fff0, 0xffff_fff0), (OVERSIZED_BYTES_MAX, 66)] {
            let mut bytes = samples::pcap(Order::Little, MICROS, 0, &samples::three());
            let at = bytes.len() as u64;
            bytes.extend([0; 8]);
            bytes.extend(samples::u32(Order::Little, captured));
            bytes.extend(samples::u32(Order::Little, wire));
            bytes.extend([1; 5_000]);
            let flaw = Flaw::RecordBytes(captured);
            let trouble = Trouble::Broken { frame: 3, at, flaw };
            check(&bytes, &samples::three(), Some(&trouble), 0);
        }
    }

    #[test]
    fn an_oversized_record_that_is_cut_says_so() {
        let file = samples::pcap(Order::Little, MICROS, 0, &[(0, vec![3; 300_000], 300_000)]);
        let trouble = Trouble::Cut { frame: 1, at: 24, there: 299_000, needed: 300_016 };
        check(&file[..24 + 299_000], &[], Some(&trouble), 1);
    }

    #[test]
    fn other_versions_are_refused() {
        let mut bytes = samples::pcap(Order::Little, MICROS, 0, &samples::three());
        bytes[4] = 1;
        let flaw = Flaw::Version { major: 1, minor: 4 };
        check(&bytes, &[], Some(&Trouble::Broken { frame: 0, at: 0, flaw }), 0);
    }

    #[test]
    fn more_frames_than_a_block_has_room_for() {
        let frames = (0..BLOCK_FRAMES_MAX as u64 * 2 + 3).map(|n| (n * 1_000, vec![n as u8], 1));
        let frames = frames.collect::<Vec<_>>();
        check(&samples::pcap(Order::Little, MICROS, 0, &frames), &frames, None, 0);
    }
}
