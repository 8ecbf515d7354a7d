//! The canary: an indicator that only the sensor's own frames hit. Where its alert comes out, tap,
//! decode, match and sinks work.

/// The name that the canary's indicator looks for, with all below it; nobody has it (RFC 6761
/// §6.4).
pub const CANARY_DOMAIN: &str = "tapsieve-canary.invalid";

/// The tag of its alerts.
pub const CANARY_TAG: &str = "tapsieve:canary";
