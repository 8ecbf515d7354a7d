//! What the operator allows: which indicators are taken, and which of them are looked for.

use crate::model::indicator::IndicatorType;

/// The choices that decide whether an indicator's text is taken and looked for; by default the
/// strict ones.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// Takes addresses and prefixes of special purpose (RFC 6890).
    pub allow_special: bool,
    /// Looks for the hosts of URLs in the server names of TLS, where nothing else of a URL is
    /// visible.
    pub tls_url_hosts: bool,
    /// Types to look for that are off by default.
    pub opt_in: Vec<IndicatorType>,
}

/// Whether a pattern is looked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Usage {
    /// It is.
    Matched,
    /// Only once its type is opted in.
    OptIn,
    /// Only once hosts of URLs are looked for in TLS.
    TlsOnly,
    /// No dissector yields what it names.
    NotYetObserved,
}

impl Usage {
    /// Returns the stable name in listings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::OptIn => "opt_in",
            Self::TlsOnly => "tls_only",
            Self::NotYetObserved => "not_yet_observed",
        }
    }
}
