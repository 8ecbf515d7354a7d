//! Hits: an observation that an indicator names, on its way to the reporter.

use crate::model::batch::Span;
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
    /// The flow was open before the set that names it was in force.
    pub is_late: bool,
}
