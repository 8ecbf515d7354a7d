//! Classic pcap: a header, then records one after the other.
//!
//! Spec:   draft-ietf-opsawg-pcap §4 (file header), §5 (packet record); magics as libpcap and Wireshark know them
//! Reads:  micro- and nanosecond files of both byte orders, Kuznetzov's modified records, IXIA's lcap
//! Yields: frames, without copying them
//! Bounds: `limits::FRAME_BYTES_MAX`, `limits::OVERSIZED_BYTES_MAX`, `limits::BLOCK_FRAMES_MAX`
//! Leaves: the frame check sequence that the upper bits of the link type tell of; versions other than 2

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

/// All of them: IXIA's put a length behind the file header, Kuznetzov's an interface, a protocol and a direction
/// behind each record header.
const VARIANTS: &[Variant] = &[
    variant(0xa1b2_c3d4, 24, 16, 1_000),
    variant(0xa1b2_3c4d, 24, 16, 1),
    variant(0xa1b2_cd34, 24, 24, 1_000),
    variant(0x1c00_01ac, 28, 16, 1),
    variant(0x1c00_01ab, 28, 16, 1),
];

/// The only version that was ever common; the layout of others is unknown.
const VERSION_MAJOR: u16 = 2;

/// Fields of all file headers: magic, version (major, minor), zone, accuracy, snap length, link type.
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
