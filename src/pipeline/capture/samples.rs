//! Captures made in code, for the tests of this folder: the same frames in every format.

use std::io::Read;
use std::io::Write;

use crate::model::block::Block;
use crate::model::packet::Frame;
use crate::pipeline::capture::damage::Trouble;
use crate::pipeline::capture::order::Order;
use crate::pipeline::capture::reading::Filled;
use crate::pipeline::capture::reading::Reading;

/// A frame to write: nanoseconds since the epoch, bytes, bytes on the wire.
pub(super) type Told = (u64, Vec<u8>, u32);

/// Three frames: a short one, an empty one, one that was cut on capture.
pub(super) fn three() -> Vec<Told> {
    vec![
        (1_600_000_000_123_456_000, b"first frame".to_vec(), 11),
        (1_600_000_000_123_457_000, Vec::new(), 0),
        (1_600_000_001_000_000_000, vec![7; 61], 1_500),
    ]
}

fn u16(order: Order, n: u16) -> [u8; 2] {
    if order == Order::Big { n.to_be_bytes() } else { n.to_le_bytes() }
}

pub(super) fn u32(order: Order, n: u32) -> [u8; 4] {
    if order == Order::Big { n.to_be_bytes() } else { n.to_le_bytes() }
}

/// A pcap file header and records; `extra` bytes follow each record header.
pub(super) fn pcap(order: Order, magic: u32, extra: usize, frames: &[Told]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(u32(order, magic));
    out.extend(u16(order, 2));
    out.extend(u16(order, 4));
    out.extend([0; 8]);
    out.extend(u32(order, 65_535));
    out.extend(u32(order, 0x5000_0001)); // four bytes of frame check sequence, Ethernet
    let nanos = if magic == 0xa1b2_3c4d { 1 } else { 1_000 };
    for (time, bytes, wire_bytes) in frames {
        out.extend(u32(order, (time / 1_000_000_000) as u32));
        out.extend(u32(order, (time % 1_000_000_000 / nanos) as u32));
        out.extend(u32(order, bytes.len() as u32));
        out.extend(u32(order, *wire_bytes));
        out.extend(vec![0xee; extra]);
        out.extend(bytes);
    }
    out
}

/// A pcapng block.
pub(super) fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut padded = body.to_vec();
    padded.resize(body.len().next_multiple_of(4), 0);
    let bytes = u32(order, padded.len() as u32 + 12);
    [&u32(order, kind)[..], &bytes, &padded, &bytes].concat()
}

/// A section header of unknown length.
pub(super) fn section(order: Order) -> Vec<u8> {
    let fields = [&u32(order, 0x1a2b_3c4d)[..], &u16(order, 1), &u16(order, 0), &[0xff; 8]];
    block(order, 0x0a0d_0d0a, &fields.concat())
}

/// An interface of a link type, with a resolution and an offset in seconds.
pub(super) fn interface(order: Order, link: u16, resolution: u8, offset_secs: i64) -> Vec<u8> {
    let offset =
        if order == Order::Big { offset_secs.to_be_bytes() } else { offset_secs.to_le_bytes() };
    let fields = [
        &u16(order, link)[..],
        &[0; 2],
        &u32(order, 0),
        &u16(order, 9),
        &u16(order, 1),
        &[resolution, 0, 0, 0],
        &u16(order, 14),
        &u16(order, 8),
        &offset,
        &[0; 4],
    ];
    block(order, 1, &fields.concat())
}

/// An enhanced packet.
pub(super) fn packet(order: Order, interface: u32, ticks: u64, told: &Told) -> Vec<u8> {
    let (_, bytes, wire_bytes) = told;
    let fields = [
        &u32(order, interface)[..],
        &u32(order, (ticks >> 32) as u32),
        &u32(order, ticks as u32),
        &u32(order, bytes.len() as u32),
        &u32(order, *wire_bytes),
        bytes,
    ];
    block(order, 6, &fields.concat())
}

/// A pcapng file of one interface that counts nanoseconds.
pub(super) fn pcapng(order: Order, frames: &[Told]) -> Vec<u8> {
    let packets = frames.iter().map(|told| packet(order, 0, told.0, told)).collect::<Vec<_>>();
    [section(order), interface(order, 1, 9, 0), packets.concat()].concat()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

pub(super) fn lz4(bytes: &[u8]) -> Vec<u8> {
    let small = lz4_flex::frame::BlockSize::Max64KB;
    let small = lz4_flex::frame::FrameInfo::new().block_size(small);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(small, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What was read: link type, number and frame.
pub(super) type Seen = (u16, u64, Told);

/// Reads a capture to its end, `read_bytes_max` bytes at once.
pub(super) fn read(bytes: &[u8], read_bytes_max: usize) -> (Vec<Seen>, Option<Trouble>, u64) {
    read_from(std::io::Cursor::new(bytes.to_vec()), read_bytes_max)
}

pub(super) fn read_from(
    input: impl Read + Send + 'static,
    read_bytes_max: usize,
) -> (Vec<Seen>, Option<Trouble>, u64) {
    let mut reading = match Reading::open(Box::new(input)) {
        Ok(reading) => reading,
        Err(trouble) => return (Vec::new(), Some(trouble), 0),
    };
    reading.read_bytes_max = read_bytes_max;
    let mut block = Block::new(0);
    let mut all = Vec::new();
    loop {
        block.clear();
        let filled = reading.fill(&mut block);
        all.extend(block.frames.iter().map(|frame| told(frame, &block.bytes)));
        match filled {
            Filled::More => assert!(!block.frames.is_empty()),
            Filled::Ended => return (all, None, reading.oversized),
            Filled::Damaged(trouble) => return (all, Some(trouble), reading.oversized),
        }
    }
}

fn told(frame: &Frame, bytes: &[u8]) -> Seen {
    let at = frame.at as usize;
    let bytes = bytes[at..at + frame.captured_bytes as usize].to_vec();
    (frame.link, frame.id.number(), (frame.time.0, bytes, frame.wire_bytes))
}
