//! tapsieve sieves network traffic for indicators of compromise.
//!
//! Modules in the order data meets them; `docs/ARCHITECTURE.md` is the map, and says which law each
//! folder lives under.

pub mod model;
pub mod pipeline;
pub mod report;
pub mod control;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
