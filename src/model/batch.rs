//! A batch: what one worker tells the reporter of one block; the memory is reused.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::counters::Counters;
use crate::model::flow::FlowView;
use crate::model::flow::Side;
use crate::model::hit::Hit;
use crate::model::observation::ObservationKind;
use crate::model::observation::Place;
use crate::model::observation::Value;
use crate::model::packet::FrameId;
use crate::model::story::Catalog;
use crate::model::time::Timestamp;

/// Hits and sightings in the order found, and the bytes of their values.
#[derive(Default)]
pub struct Batch {
    /// Observations that an indicator names.
    pub hits: Vec<Hit>,
    /// Values seen beside the hits, for context: kind and value.
    pub related: Vec<(ObservationKind, Span)>,
    /// All observations, where someone asked for them.
    pub sightings: Vec<Sighting>,
    /// Every frame up to this one is done by the worker that tells.
    pub watermark: FrameId,
    /// Seconds of the packet clock before which nothing more comes, hits or sightings; those of a
    /// flow's end too, where someone asked for flows.
    pub settled_secs: u64,
    /// What the worker that tells has counted so far, where it is of a block.
    pub counted: Option<Counters>,
    /// Which source the block was of, and what was counted there.
    pub captured: Option<(u32, Counters)>,
    /// What the worker that tells has read of a source up to its latest checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// The stories of the set that the hits are of.
    pub catalog: Option<Arc<dyn Catalog>>,
    /// How many sets were in force before that one.
    pub generation: u64,
    bytes: Vec<u8>,
}

/// The books of one source at a block: what came in so far, and what of it one worker has read, or
/// all have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The source.
    pub source: u32,
    /// The second that the block began.
    pub secs: u32,
    /// Frames that the source handed over.
    pub frames: u64,
    /// Those that could not be decoded.
    pub failed: u64,
    /// Packets that were read.
    pub packets: u64,
}

/// One observation with its flow, for the observations file.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// Time of the frame that completed the value; for a flow that of its first packet.
    pub time: Timestamp,
    /// The frame that completed the value; for a flow its last.
    pub frame: FrameId,
    /// The packet clock at that frame; for a flow when it was over, `u32::MAX` at the input's end.
    pub clock_secs: u32,
    /// What was seen.
    pub kind: ObservationKind,
    /// Where.
    pub place: Place,
    /// Who sent it.
    pub side: Side,
    /// The flow.
    pub flow: FlowView,
    /// The value as users see it, in the batch's bytes; empty for a flow.
    pub value: Span,
    /// What the flow carried, where it is a flow that ended.
    pub totals: Option<FlowTotals>,
}

/// What a flow carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlowTotals {
    /// Packets of the opener and of the other end.
    pub packets: [u64; 2],
    /// IP bytes of the opener and of the other end.
    pub bytes: [u64; 2],
    /// Time of the last packet.
    pub end: Timestamp,
}

/// A stretch of a batch's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub at: u32,
    /// How long it is.
    pub len: u32,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hits, sightings, watermark, .. } = self;
        write!(f, "{} hits, {} sightings up to {watermark:?}", hits.len(), sightings.len())
    }
}

impl Batch {
    /// Forgets everything; keeps the memory.
    pub fn clear(&mut self) {
        self.hits.clear();
        self.related.clear();
        self.sightings.clear();
        self.catalog = None;
        (self.counted, self.captured, self.checkpoint) = (None, None, None);
        self.bytes.clear();
    }

    /// Marks the last batch of a worker: nothing comes after it.
    pub fn settle(&mut self) {
        self.watermark = FrameId(u64::MAX);
        self.settled_secs = u64::MAX;
    }

    /// Copies a value in.
    pub fn keep(&mut self, value: &[u8]) -> Span {
        let span = Span { at: narrow(self.bytes.len()), len: narrow(value.len()) };
        self.bytes.extend_from_slice(value);
        span
    }

    /// Copies a value in as users see it: digests as lower-case hex, addresses in their canonical
    /// text (RFC 5952).
    pub fn keep_shown(&mut self, value: &Value<'_>) -> Span {
        let at = narrow(self.bytes.len());
        match value {
            Value::Text(text) | Value::Absolute(text) => self.bytes.extend_from_slice(text),
            Value::Digest(digest) => {
                for byte in *digest {
                    self.bytes.extend([hex_digit(byte >> 4), hex_digit(byte & 0x0f)]);
                }
            }
            Value::Address(address) => {
                // writing to a Vec cannot fail
                let _ok = write!(self.bytes, "{address}");
            }
        }
        Span { at, len: narrow(self.bytes.len()).saturating_sub(at) }
    }

    /// Returns a value that was copied in.
    pub fn bytes(&self, span: Span) -> &[u8] {
        let end = index(span.at.saturating_add(span.len));
        self.bytes.get(index(span.at)..end).unwrap_or_default()
    }

    /// Returns how many bytes of values it holds.
    pub fn held_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the values seen beside a hit.
    pub fn related(&self, hit: &Hit) -> impl Iterator<Item = (ObservationKind, &[u8])> {
        let end = index(hit.related.at.saturating_add(hit.related.len));
        let list = self.related.get(index(hit.related.at)..end).unwrap_or_default();
        list.iter().map(|(kind, span)| (*kind, self.bytes(*span)))
    }
}

fn hex_digit(nibble: u8) -> u8 {
    b"0123456789abcdef".get(usize::from(nibble)).copied().unwrap_or(b'?')
}
