//! What the operator allows: which indicators are taken, and which of them are looked for.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::indicator::IndicatorType;
use crate::model::refusal::Refusal;
use crate::model::special::is_special;

/// The choices that decide whether an indicator's text is taken and looked for; by default the
/// strict ones.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// Takes addresses and prefixes of special purpose (RFC 6890).
    pub allow_special: bool,
    /// Takes names that many share as domains: public suffixes and top-level domains.
    pub allow_public_suffix: bool,
    /// Takes no addresses and prefixes that lie in these, or cover one: the site's own.
    pub own_networks: Vec<IpNet>,
    /// Looks for the hosts of URLs in the server names of TLS, where nothing else of a URL is
    /// visible.
    pub tls_url_hosts: bool,
    /// Types to look for that are off by default.
    pub opt_in: Vec<IndicatorType>,
}

impl Policy {
    /// Returns one that refuses no value for what it names, only for what it is.
    pub fn wide() -> Self {
        Self { allow_special: true, allow_public_suffix: true, ..Self::default() }
    }

    /// Tells whether a prefix lies in an own network, or covers one.
    pub fn is_own(&self, prefix: IpNet) -> bool {
        self.own_networks.iter().any(|own| own.contains(&prefix) || prefix.contains(own))
    }

    /// Says why an address is not taken, where it is not.
    ///
    /// # Errors
    /// It has a special purpose, or is the site's own.
    pub fn address(&self, ip: IpAddr) -> Result<(), Refusal> {
        if !self.allow_special && is_special(ip) {
            return Err(Refusal::SpecialPurpose);
        }
        if self.is_own(IpNet::from(ip)) { Err(Refusal::OwnNetwork) } else { Ok(()) }
    }
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
