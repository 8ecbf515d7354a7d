//! pcapng: typed blocks in sections, each section with its byte order and interfaces.
//!
//! Spec:   draft-ietf-opsawg-pcapng §4.1-4.4 (section header, interface description, enhanced and
//!         simple packet), appendix A (obsolete packet block)
//! Reads:  all blocks; names, statistics, secrets, custom and unknown ones are passed over by their
//!         length
//! Yields: frames, without copying them
//! Bounds: `limits::BLOCK_RECORD_BYTES_MAX`, `limits::OVERSIZED_BYTES_MAX`,
//!         `limits::INTERFACES_MAX`
//! Leaves: options but if_tsresol and if_tsoffset; a simple packet has no time and takes the last
//!         one seen

use crate::model::bytes::Cursor;
use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::limits::BLOCK_FRAMES_MAX;
use crate::model::limits::BLOCK_RECORD_BYTES_MAX;
use crate::model::limits::FRAME_BYTES_MAX;
use crate::model::limits::INTERFACES_MAX;
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
    Format { looks: |head| head.starts_with(&SECTION_BYTES), walk: || Box::new(PcapNg::default()) };

/// The section header's type reads the same in both orders.
const SECTION_BYTES: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Type and length before the body, length after it.
const FRAMING_BYTES: u32 = 12;
const ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const VERSION_MAJOR: u16 = 1;
/// Some writers call version 1.0 1.2 (pcapng draft §4.1).
const VERSIONS_MINOR: &[u16] = &[0, 2];

const OPTION_END: u16 = 0;
const OPTION_RESOLUTION: u16 = 9;
const OPTION_OFFSET: u16 = 14;

/// The walk over one pcapng file.
struct PcapNg {
    order: Order,
    interfaces: Vec<Interface>,
    number: u64,
    last: Timestamp,
}

/// What a section says of one interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Interface {
    link: u16,
    snap_bytes: u32,
    resolution: Resolution,
    offset_nanos: i64,
}

/// How long a tick is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Resolution {
    /// So many nanoseconds.
    Nanos(u64),
    /// So many in a nanosecond; 0: more than a number holds.
    PerNano(u64),
    /// Two to the power of minus this, of a second.
    Binary(u8),
}

/// What a packet block says of its frame.
#[derive(Clone, Copy)]
struct Told {
    interface: u32,
    /// `None`: the block has no time.
    ticks: Option<u64>,
    captured_bytes: u32,
    wire_bytes: u32,
    /// Where the frame begins in the block.
    at: usize,
}

impl Default for PcapNg {
    fn default() -> Self {
        let order = Order::Little;
        Self { order, interfaces: Vec::new(), number: 0, last: Timestamp::default() }
    }
}

impl Walk for PcapNg {
    fn walk(&mut self, bytes: &[u8], place: Place, frames: &mut Vec<Frame>) -> (usize, Stop) {
        let mut rest = bytes;
        let stop = loop {
            let walked = bytes.len().wrapping_sub(rest.len());
            let here = Place { at: place.at.wrapping_add(narrow(walked)), ..place };
            match self.block(rest, here, frames) {
                Ok(next) => rest = next,
                Err(stop) => break stop,
            }
        };
        (bytes.len().wrapping_sub(rest.len()), stop)
    }

    fn number(&self) -> u64 {
        self.number
    }
}

impl PcapNg {
    /// Walks the block that `rest` begins with; returns what is behind it.
    fn block<'a>(
        &mut self,
        rest: &'a [u8],
        place: Place,
        frames: &mut Vec<Frame>,
    ) -> Result<&'a [u8], Stop> {
        let Some((&[k0, k1, k2, k3, l0, l1, l2, l3, m0, m1, m2, m3], _)) = rest.split_first_chunk()
        else {
            return Err(Stop::Short(index(FRAMING_BYTES)));
        };
        if [k0, k1, k2, k3] == SECTION_BYTES {
            self.order = section_order([m0, m1, m2, m3]).ok_or(Stop::Broken(Flaw::ByteOrder))?;
        }
        let kind = self.order.u32([k0, k1, k2, k3]);
        let block_bytes = self.order.u32([l0, l1, l2, l3]);
        if block_bytes < FRAMING_BYTES || !block_bytes.is_multiple_of(4) {
            return Err(Stop::Broken(Flaw::BlockBytes(block_bytes)));
        }
        if block_bytes > BLOCK_RECORD_BYTES_MAX {
            return Err(self.long(kind, block_bytes));
        }
        let Some((block, next)) = rest.split_at_checked(index(block_bytes)) else {
            return Err(Stop::Short(index(block_bytes)));
        };
        let Some((body, trailer)) = block.split_last_chunk::<4>() else {
            return Err(Stop::Broken(Flaw::BlockBytes(block_bytes)));
        };
        if self.order.u32(*trailer) != block_bytes {
            return Err(Stop::Broken(Flaw::Trailer));
        }
        let told = match kind {
            ENHANCED_PACKET => self.enhanced(body),
            SIMPLE_PACKET => self.simple(body),
            OBSOLETE_PACKET => self.obsolete(body),
            SECTION => return self.section(body).map(|()| next),
            INTERFACE => return self.interface(body).map(|()| next),
            _ => return Ok(next),
        };
        let told = told.ok_or(Stop::Broken(Flaw::Fields))?;
        self.frame(told, body, place, frames).map(|()| next)
    }

    /// Adds the frame of a packet block.
    fn frame(
        &mut self,
        told: Told,
        body: &[u8],
        place: Place,
        frames: &mut Vec<Frame>,
    ) -> Result<(), Stop> {
        let Some(interface) = self.interfaces.get(index(told.interface)) else {
            return Err(Stop::Broken(Flaw::Interface(told.interface)));
        };
        if index(told.captured_bytes) > body.len().saturating_sub(told.at) {
            return Err(Stop::Broken(Flaw::Fields));
        }
        if told.captured_bytes > FRAME_BYTES_MAX {
            self.number = self.number.wrapping_add(1);
            return Err(Stop::Oversized(u64::from(narrow(body.len())).wrapping_add(4)));
        }
        if frames.len() >= BLOCK_FRAMES_MAX {
            return Err(Stop::Full);
        }
        if let Some(ticks) = told.ticks {
            self.last = interface.time(ticks);
        }
        self.number = self.number.wrapping_add(1);
        frames.push(Frame {
            time: self.last,
            id: FrameId::new(place.file, self.number),
            at: place.at.wrapping_add(narrow(told.at)),
            captured_bytes: told.captured_bytes,
            wire_bytes: told.wire_bytes,
            link: interface.link,
        });
        Ok(())
    }

    /// Tells what to do with a block that does not fit into memory.
    fn long(&mut self, kind: u32, block_bytes: u32) -> Stop {
        let packet = matches!(kind, ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET);
        if packet && block_bytes <= OVERSIZED_BYTES_MAX {
            self.number = self.number.wrapping_add(1);
            return Stop::Oversized(u64::from(block_bytes));
        }
        if packet || matches!(kind, SECTION | INTERFACE) {
            return Stop::Broken(Flaw::BlockBytes(block_bytes));
        }
        Stop::Skip(u64::from(block_bytes))
    }

    /// type, length, interface, time (high, low), captured length, wire length, frame
    fn enhanced(&self, body: &[u8]) -> Option<Told> {
        let mut c = Cursor::new(body.get(8..)?);
        let interface = self.order.u32(c.array()?);
        self.packet(interface, c)
    }

    /// type, length, interface and drops (16 bits each), then as the enhanced block
    fn obsolete(&self, body: &[u8]) -> Option<Told> {
        let mut c = Cursor::new(body.get(8..)?);
        let interface = u32::from(self.order.u16(c.array()?));
        let _drops = c.u16()?;
        self.packet(interface, c)
    }

    /// Reads what enhanced and obsolete packets have in common.
    fn packet(&self, interface: u32, mut c: Cursor<'_>) -> Option<Told> {
        let [high, low] = [c.array()?, c.array()?].map(|word| u64::from(self.order.u32(word)));
        let captured_bytes = self.order.u32(c.array()?);
        let wire_bytes = self.order.u32(c.array()?);
        let ticks = Some(high.wrapping_shl(32) | low);
        Some(Told { interface, ticks, captured_bytes, wire_bytes, at: 28 })
    }

    /// type, length, wire length, frame: cut at the snap length of the first interface
    fn simple(&self, body: &[u8]) -> Option<Told> {
        let mut c = Cursor::new(body.get(8..)?);
        let wire_bytes = self.order.u32(c.array()?);
        let snap_bytes = match self.interfaces.first() {
            Some(Interface { snap_bytes: snap_bytes @ 1.., .. }) => *snap_bytes,
            _ => u32::MAX,
        };
        let captured_bytes = wire_bytes.min(snap_bytes).min(narrow(c.len()));
        Some(Told { interface: 0, ticks: None, captured_bytes, wire_bytes, at: 12 })
    }

    /// type, length, order magic, version (major, minor), section length, options
    fn section(&mut self, body: &[u8]) -> Result<(), Stop> {
        let Some((&[m0, m1, n0, n1], _)) = body.get(12..).and_then(<[u8]>::split_first_chunk)
        else {
            return Err(Stop::Broken(Flaw::Fields));
        };
        let [major, minor] = [[m0, m1], [n0, n1]].map(|half| self.order.u16(half));
        if major != VERSION_MAJOR || !VERSIONS_MINOR.contains(&minor) {
            return Err(Stop::Broken(Flaw::Version { major, minor }));
        }
        self.interfaces.clear();
        Ok(())
    }

    fn interface(&mut self, body: &[u8]) -> Result<(), Stop> {
        if self.interfaces.len() >= INTERFACES_MAX {
            return Err(Stop::Broken(Flaw::Interfaces));
        }
        let told = body.get(8..).and_then(|fields| Interface::parse(self.order, fields));
        self.interfaces.push(told.ok_or(Stop::Broken(Flaw::Fields))?);
        Ok(())
    }
}

impl Interface {
    /// link type, reserved, snap length, options
    fn parse(order: Order, fields: &[u8]) -> Option<Self> {
        let mut c = Cursor::new(fields);
        let link = order.u16(c.array()?);
        let _reserved = c.u16()?;
        let snap_bytes = order.u32(c.array()?);
        let mut told =
            Self { link, snap_bytes, resolution: Resolution::Nanos(1_000), offset_nanos: 0 };
        while let Some((code, value)) = option(order, &mut c) {
            match (code, value) {
                (OPTION_END, _) => break,
                (OPTION_RESOLUTION, [power]) => told.resolution = Resolution::parse(*power),
                (OPTION_OFFSET, &[a, b, c, d, e, f, g, h]) => {
                    let secs = order.i64([a, b, c, d, e, f, g, h]);
                    told.offset_nanos = secs.saturating_mul(1_000_000_000);
                }
                _ => {}
            }
        }
        Some(told)
    }

    fn time(&self, ticks: u64) -> Timestamp {
        let nanos = match self.resolution {
            Resolution::Nanos(n) => ticks.saturating_mul(n),
            Resolution::PerNano(n) => ticks.checked_div(n).unwrap_or(0),
            Resolution::Binary(bits) => {
                let nanos = u128::from(ticks).wrapping_mul(1_000_000_000);
                u64::try_from(nanos.wrapping_shr(u32::from(bits))).unwrap_or(u64::MAX)
            }
        };
        Timestamp(nanos.saturating_add_signed(self.offset_nanos))
    }
}

impl Resolution {
    /// Reads if_tsresol: the upper bit chooses the base, the others are the negative exponent.
    fn parse(power: u8) -> Self {
        let power_of_ten = |n: u8| 10_u64.checked_pow(u32::from(n)).unwrap_or(0);
        match power {
            0..=9 => Self::Nanos(power_of_ten(9_u8.wrapping_sub(power))),
            10..=127 => Self::PerNano(power_of_ten(power.wrapping_sub(9))),
            128.. => Self::Binary(power & 0x7f),
        }
    }
}

fn section_order(magic: [u8; 4]) -> Option<Order> {
    [Order::Little, Order::Big].into_iter().find(|order| order.u32(magic) == ORDER_MAGIC)
}

/// Reads an option: code, length, value, padding to four bytes.
fn option<'a>(order: Order, c: &mut Cursor<'a>) -> Option<(u16, &'a [u8])> {
    let code = order.u16(c.array()?);
    let value_bytes = usize::from(order.u16(c.array()?));
    let value = c.take(value_bytes)?;
    let padding = value_bytes.wrapping_neg() & 3;
    let _zeroes = c.take(padding.min(c.len()));
    Some((code, value))
}

#[cfg(test)]
mod tests {
    use crate::model::limits::FRAME_BYTES_MAX;
    use crate::pipeline::capture::damage::Flaw;
    use crate::pipeline::capture::damage::Trouble;
    use crate::pipeline::capture::order::Order;
    use crate::pipeline::capture::samples;
    use crate::pipeline::capture::samples::Told;

    const BOTH: [Order; 2] = [Order::Little, Order::Big];

    /// Reads a capture: link type and frame of each, and what is wrong.
    fn check(bytes: &[u8], frames: &[(u16, Told)], trouble: Option<&Trouble>) {
        for read_bytes_max in [3, usize::MAX] {
            let (read, found, _) = samples::read(bytes, read_bytes_max);
            let told = read.iter().map(|(link, _, told)| (*link, told.clone())).collect::<Vec<_>>();
            assert!(told == frames, "{told:?} {found:?}");
            assert_eq!(found.as_ref(), trouble);
        }
    }

    fn frame(link: u16, nanos: u64) -> (u16, Told) {
        (link, (nanos, vec![1, 2, 3, 4, 5], 5))
    }

    #[test]
    fn both_orders_give_the_same_frames() {
        let frames = samples::three();
        let expected = frames.iter().map(|told| (1, told.clone())).collect::<Vec<_>>();
        for order in BOTH {
            check(&samples::pcapng(order, &frames), &expected, None);
        }
    }

    #[test]
    fn ticks_of_every_resolution_and_offset() {
        for order in BOTH {
            for (resolution, offset_secs, ticks, nanos) in [
                (6, 0, 1_500_000, 1_500_000_000),
                (9, 0, 1_500_000, 1_500_000),
                (0, 0, 2, 2_000_000_000),
                (12, 0, 1_999_999, 1_999),
                (127, 0, u64::MAX, 0),
                (0x80, 0, 3, 3_000_000_000),
                (0x8a, 0, 1_536, 1_500_000_000),
                (0xa0, 0, 0x1_8000_0000, 1_500_000_000),
                (0xff, 0, u64::MAX, 0),
                (6, 100, 1, 100_000_001_000),
                (6, -1, 1_500_000, 500_000_000),
                (6, i64::MIN, 1, 0),
                (0, 0, u64::MAX, u64::MAX),
            ] {
                let (link, told) = frame(101, nanos);
                let file = [
                    samples::section(order),
                    samples::interface(order, link, resolution, offset_secs),
                    samples::packet(order, 0, ticks, &told),
                ];
                check(&file.concat(), &[(link, told)], None);
            }
        }
    }

    #[test]
    fn every_section_has_its_order_and_interfaces() {
        let mut file = Vec::new();
        let mut frames = Vec::new();
        for (order, link) in [(Order::Little, 1), (Order::Big, 101), (Order::Little, 113)] {
            let (first, second) = (frame(link, 1_000), frame(276, 7));
            file.extend(samples::section(order));
            file.extend(samples::interface(order, link, 6, 0));
            file.extend(samples::interface(order, 276, 9, 0));
            file.extend(samples::packet(order, 1, 7, &second.1));
            file.extend(samples::packet(order, 0, 1, &first.1));
            frames.extend([second, first]);
        }
        check(&file, &frames, None);
    }

    #[test]
    fn simple_and_obsolete_packets() {
        for order in BOTH {
            let obsolete = [
                &[0, 0, 0xff, 0xff][..], // interface 0, drops unknown
                &samples::u32(order, 0),
                &samples::u32(order, 9),
                &samples::u32(order, 2),
                &samples::u32(order, 60),
                &[8, 8],
            ];
            let simple = [&samples::u32(order, 3)[..], &[5, 5, 5]];
            let file = [
                samples::section(order),
                samples::interface(order, 1, 9, 0),
                samples::block(order, 2, &obsolete.concat()),
                samples::block(order, 3, &simple.concat()),
            ];
            let expected = [(1, (9, vec![8, 8], 60)), (1, (9, vec![5, 5, 5], 3))];
            check(&file.concat(), &expected, None);
        }
    }

    #[test]
    fn blocks_of_other_types_are_passed_over_whatever_their_length() {
        let order = Order::Little;
        let (link, told) = frame(1, 7);
        for (kind, bytes) in [(4, 20), (5, 0), (10, 8), (0xbad, 4), (0x4000_0bad, 2_000_000)] {
            let file = [
                samples::section(order),
                samples::block(order, kind, &vec![1; bytes]),
                samples::interface(order, link, 9, 0),
                samples::block(order, kind, &vec![1; bytes]),
                samples::packet(order, 0, 7, &told),
                samples::block(order, kind, &vec![1; bytes]),
            ];
            check(&file.concat(), &[(link, told.clone())], None);
        }
    }

    #[test]
    fn every_cut_gives_the_frames_before_it() {
        for order in BOTH {
            let frames = samples::three();
            let file = samples::pcapng(order, &frames);
            let whole = samples::read(&file, usize::MAX).0;
            for cut in 4..file.len() {
                let (read, trouble, _) = samples::read(&file[..cut], usize::MAX);
                assert_eq!(read[..], whole[..read.len()]);
                let at_border =
                    [28, 72].contains(&cut) || samples::read(&file[cut..], 1).0.is_empty();
                assert!(trouble.is_some() || at_border, "{cut}");
            }
        }
    }

    #[test]
    fn contradictions_end_the_file_where_they_are() {
        let order = Order::Big;
        let start = [samples::section(order), samples::interface(order, 1, 9, 0)].concat();
        let good = frame(1, 7);
        let packet = samples::packet(order, 0, 7, &good.1);
        let at = (start.len() + packet.len()) as u64;
        let changed = |offset: usize, word: u32| {
            let mut bytes = packet.clone();
            bytes[offset..offset + 4].copy_from_slice(&word.to_be_bytes());
            bytes
        };
        for (block, flaw) in [
            (changed(4, 8), Flaw::BlockBytes(8)),
            (changed(4, 41), Flaw::BlockBytes(41)),
            (changed(4, 0xffff_fffc), Flaw::BlockBytes(0xffff_fffc)),
            (changed(packet.len() - 4, 44), Flaw::Trailer),
            (changed(8, 1), Flaw::Interface(1)),
            (changed(20, 9), Flaw::Fields),
            (samples::block(order, 6, &[0; 8]), Flaw::Fields),
            (samples::block(order, 1, &[0; 4]), Flaw::Fields),
            (samples::block(order, 0x0a0d_0d0a, &[0; 16]), Flaw::ByteOrder),
            (samples::block(order, 0x0a0d_0d0a, &[0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 1]), {
                Flaw::Version { major: 1, minor: 1 }
            }),
        ] {
            let file = [&start[..], &packet, &block, &packet].concat();
            let trouble = Trouble::Broken { frame: 1, at, flaw };
            check(&file, std::slice::from_ref(&good), Some(&trouble));
        }
    }

    #[test]
    fn a_frame_too_long_is_left_out_and_counted() {
        let order = Order::Little;
        let (link, told) = frame(1, 7);
        for bytes in [FRAME_BYTES_MAX + 1, 2 * FRAME_BYTES_MAX] {
            let file = [
                samples::section(order),
                samples::interface(order, link, 9, 0),
                samples::packet(order, 0, 7, &(7, vec![0; bytes as usize], bytes)),
                samples::packet(order, 0, 7, &told),
            ];
            let (read, trouble, oversized) = samples::read(&file.concat(), usize::MAX);
            assert_eq!((trouble, oversized), (None, 1));
            assert_eq!(read, [(link, 2, told.clone())]);
        }
    }
}
