//! Hits: an observation that an indicator names, on its way to the reporter.

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::flow::FlowView;
use crate::model::flow::Side;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::Match;
use crate::model::observation::ObservationKind;
use crate::model::observation::Place;
use crate::model::packet::FrameId;
use crate::model::time::Timestamp;

/// What the matcher found for one observation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Found {
    /// The indicator.
    pub indicator: IndicatorId,
    /// How well it fits.
    pub grade: Match,
}

/// One observation that one indicator names, with its flow.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// Time of the frame that completed the value.
    pub time: Timestamp,
    /// That frame.
    pub frame: FrameId,
    /// Latest time in the whole input up to that frame, in whole seconds.
    pub clock_secs: u32,
    /// What was seen.
    pub kind: ObservationKind,
    /// Where.
    pub place: Place,
    /// Who sent it.
    pub side: Side,
    /// What named it, and how well.
    pub found: Found,
    /// The flow.
    pub flow: FlowView,
    /// The value as users see it, in the batch's bytes.
    pub value: Span,
    /// Other values of the same message, in the batch's `related` list.
    pub related: Span,
}

/// A stretch of a batch's memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// Where it begins.
    pub at: u32,
    /// How long it is.
    pub len: u32,
}

/// Hits of one block on their way to the reporter; the memory is reused.
#[derive(Debug, Default)]
pub struct HitBatch {
    /// The hits in the order found.
    pub hits: Vec<Hit>,
    /// Values seen beside the hits, for context: kind and value.
    pub related: Vec<(ObservationKind, Span)>,
    bytes: Vec<u8>,
}

impl HitBatch {
    /// Forgets the hits; keeps the memory.
    pub fn clear(&mut self) {
        self.hits.clear();
        self.related.clear();
        self.bytes.clear();
    }

    /// Copies a value in.
    pub fn keep(&mut self, value: &[u8]) -> Span {
        let span = Span { at: narrow(self.bytes.len()), len: narrow(value.len()) };
        self.bytes.extend_from_slice(value);
        span
    }

    /// Returns a value that was copied in.
    pub fn bytes(&self, span: Span) -> &[u8] {
        let end = index(span.at.saturating_add(span.len));
        self.bytes.get(index(span.at)..end).unwrap_or_default()
    }

    /// Returns the values seen beside a hit.
    pub fn related(&self, hit: &Hit) -> impl Iterator<Item = (ObservationKind, &[u8])> {
        let end = index(hit.related.at.saturating_add(hit.related.len));
        let list = self.related.get(index(hit.related.at)..end).unwrap_or_default();
        list.iter().map(|(kind, span)| (*kind, self.bytes(*span)))
    }
}
