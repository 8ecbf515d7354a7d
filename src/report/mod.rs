//! Per hit: may allocate and wait. A replay waits for it, so that nothing is lost.

pub mod accounting;
pub mod alert;
pub mod canary;
pub mod live;
pub mod observation;
pub mod render;
pub mod reporter;
pub mod sink;
pub mod spool;
pub mod outlet;
pub mod metrics;
pub mod summary;
pub mod runaway;
mod threat;
pub mod progress;
