//! Per change: command line, indicator feeds, the threads of a run. Ordinary Rust.

pub mod intel;
pub mod explain;
