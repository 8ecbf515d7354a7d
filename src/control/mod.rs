//! Per change: command line, indicator feeds, the threads of a run. Ordinary Rust.

pub mod cli;
pub mod compile;
pub mod config;
mod cpu_list;
mod ethtool;
mod tool;
pub mod doctor;
pub mod replay;
pub mod sensor;
pub mod log;
pub mod signals;
pub mod observe;
pub mod bench;
pub mod explain;
pub mod output;
pub mod pull;
pub mod post;
pub mod supervisor;
pub mod intel;
