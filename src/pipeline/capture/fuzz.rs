//! Fuzz entry: a capture file as a whole.

use std::io;
use std::io::Read;

use crate::model::block::Block;
use crate::model::bytes::index;
use crate::model::limits::BLOCK_FRAMES_MAX;
use crate::model::limits::FRAME_BYTES_MAX;
use crate::pipeline::capture::damage::Trouble;
use crate::pipeline::capture::reading::Filled;
use crate::pipeline::capture::reading::Reading;

/// Blocks read of one file: a compressed one of a few KiB may hold gigabytes.
const BLOCKS_MAX: usize = 8;

/// Gives a few bytes at a time, as a pipe may.
struct Trickle {
    bytes: io::Cursor<Vec<u8>>,
    piece: usize,
}

impl Read for Trickle {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let piece = room.len().min(self.piece);
        self.bytes.read(&mut room[..piece])
    }
}

/// What was read: number, time, link, lengths and bytes of each frame, and how it ended.
#[derive(PartialEq, Eq, Debug)]
struct Content {
    frames: Vec<(u64, u64, u16, u32, Vec<u8>)>,
    ended: Option<Result<(), Trouble>>,
}

/// Reads any bytes as a capture: frames lie inside their block and have rising numbers, and they
/// are the same ones however few bytes the input gives at a time.
pub fn fuzz(data: &[u8]) {
    let whole = read(data, usize::MAX);
    if data.len() <= 4_096 && whole.ended.is_some() {
        let pieces = read(data, 7);
        let both = pieces.frames.len().min(whole.frames.len());
        assert_eq!(pieces.frames[..both], whole.frames[..both]);
        // many small blocks may reach the bound that few large ones do not; and how much a
        // decompressor gives out before it notices damage depends on how much it was given
        let stopped = |content: &Content| {
            let ended = content.ended.as_ref();
            matches!(ended, Some(Err(Trouble::Stopped { .. } | Trouble::Unreadable(_))))
        };
        if pieces.ended.is_some() && !stopped(&pieces) && !stopped(&whole) {
            assert_eq!(pieces, whole);
        }
    }
}

fn read(data: &[u8], piece: usize) -> Content {
    let mut content = Content { frames: Vec::new(), ended: None };
    let input = Trickle { bytes: io::Cursor::new(data.to_vec()), piece };
    let mut reading = match Reading::open(Box::new(input)) {
        Ok(reading) => reading,
        Err(trouble) => {
            content.ended = Some(Err(trouble));
            return content;
        }
    };
    let mut block = Block::new(0);
    for _ in 0..BLOCKS_MAX {
        block.clear();
        let filled = reading.fill(&mut block);
        note(&block, &mut content);
        match filled {
            Filled::More => {}
            Filled::Ended => content.ended = Some(Ok(())),
            Filled::Damaged(trouble) => content.ended = Some(Err(trouble)),
        }
        if content.ended.is_some() {
            break;
        }
    }
    content
}

fn note(block: &Block, content: &mut Content) {
    assert!(block.frames.len() <= BLOCK_FRAMES_MAX);
    for frame in &block.frames {
        let end = index(frame.at).checked_add(index(frame.captured_bytes)).expect("an end");
        let bytes = block.bytes.get(index(frame.at)..end).expect("inside the block");
        assert!(frame.captured_bytes <= FRAME_BYTES_MAX);
        let number = frame.id.number();
        assert!(content.frames.last().is_none_or(|last| last.0 < number), "numbers rise");
        let seen = (number, frame.time.0, frame.link, frame.wire_bytes, bytes.to_vec());
        content.frames.push(seen);
    }
}
