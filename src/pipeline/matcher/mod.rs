//! Observations to hits: one file per index shape.

pub mod sift;

use crate::model::flow::FlowView;
use crate::model::flow::Side;
use crate::model::hit::Found;
use crate::model::observation::Observation;

/// X
#[derive(Debug)]
pub struct Index;
impl Index {
    /// X
    pub fn flow(&self, _f: &FlowView, _o: &mut Vec<(Side, Found)>) {}
    /// X
    pub fn observe(&self, _o: &Observation<'_>, _f: &FlowView, _v: &mut Vec<Found>) {}
}
