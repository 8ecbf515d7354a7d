//! Per hit: may allocate and wait; can never hold the pipeline up.

pub mod alert;
pub mod observation;
pub mod render;
pub mod reporter;
pub mod sink;
pub mod metrics;
pub mod summary;
pub mod progress;
