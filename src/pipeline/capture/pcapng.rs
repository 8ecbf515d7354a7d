//! pcapng: typed blocks in sections, each section with its byte order and interfaces.
//!
//! Spec:   draft-ietf-opsawg-pcapng §4.1-4.4 (section header, interface description, enhanced and simple packet),
//!         appendix A (obsolete packet block)
//! Reads:  all blocks; names, statistics, secrets, custom and unknown ones are passed over by their length
//! Yields: frames, without copying them
//! Bounds: `limits::BLOCK_RECORD_BYTES_MAX`, `limits::OVERSIZED_BYTES_MAX`, `limits::INTERFACES_MAX`
//! Leaves: options but if_tsresol and if_tsoffset; a simple packet has no time and takes the last one seen

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
    /// So many in a nanosecond.
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
        if major != VERSION_MAJOR {
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
        let power_of_ten = |n: u8| 10_u64.checked_pow(u32::from(n)).unwrap_or(u64::MAX);
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
