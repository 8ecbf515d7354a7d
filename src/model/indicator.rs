//! Indicators: MISP's attribute types, the patterns they compile to, and the stories behind them.

use crate::model::observation::names;

/// Index of an indicator in its set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IndicatorId(pub u32);

names! {
    /// MISP attribute types that a set can hold; JA3S and JA4 have none in MISP and are named after
    /// their objects.
    IndicatorType {
        /// Address or prefix; the role is context.
        IpSrc = "ip-src",
        /// Address or prefix; the role is context.
        IpDst = "ip-dst",
        /// Address and port of one end.
        IpSrcPort = "ip-src|port",
        /// Address and port of one end.
        IpDstPort = "ip-dst|port",
        /// A name and its subdomains.
        Domain = "domain",
        /// Exactly a name.
        Hostname = "hostname",
        /// A name, an address, or both.
        DomainIp = "domain|ip",
        /// A name and the responder's port.
        HostnamePort = "hostname|port",
        /// An absolute URL.
        Url = "url",
        /// A URL or part of one.
        Uri = "uri",
        /// JA3 digest.
        Ja3 = "ja3-fingerprint-md5",
        /// JA3S digest, from a `ja3s` object.
        Ja3s = "ja3s",
        /// JA4 text, from a `ja4-plus` object.
        Ja4 = "ja4",
        /// HASSH digest of a client.
        Hassh = "hassh-md5",
        /// HASSH digest of a server.
        HasshServer = "hasshserver-md5",
        /// Certificate digest.
        X509Md5 = "x509-fingerprint-md5",
        /// Certificate digest.
        X509Sha1 = "x509-fingerprint-sha1",
        /// Certificate digest.
        X509Sha256 = "x509-fingerprint-sha256",
        /// Community id of a flow.
        CommunityId = "community-id",
        /// Whole user agent, or part of one where it holds `*`; opt-in.
        UserAgent = "user-agent",
        /// The responder's port; opt-in.
        Port = "port",
        /// Hardware address; opt-in.
        MacAddress = "mac-address",
        /// Autonomous system; opt-in.
        As = "AS",
        /// HTTP cookie; opt-in.
        Cookie = "cookie",
        /// HTTP method; opt-in.
        HttpMethod = "http-method",
    }
}

impl IndicatorType {
    /// Tells whether it is looked for only where the operator asks.
    pub fn is_opt_in(self) -> bool {
        matches!(
            self,
            Self::UserAgent
                | Self::Port
                | Self::MacAddress
                | Self::As
                | Self::Cookie
                | Self::HttpMethod
        )
    }

    /// Tells whether a dissector yields what it names.
    pub fn is_observed(self) -> bool {
        !matches!(
            self,
            Self::Hassh
                | Self::HasshServer
                | Self::MacAddress
                | Self::As
                | Self::Cookie
                | Self::HttpMethod
        )
    }
}

names! {
    /// How well an observation fits an indicator.
    Match {
        /// The very value.
        Exact = "exact",
        /// A name under it.
        Subdomain = "subdomain",
        /// An address inside its prefix.
        Cidr = "cidr",
        /// A URL that begins with it.
        Prefix = "prefix",
        /// A text that holds it.
        Substring = "substring",
        /// Both halves of a pair in one flow.
        BothHalves = "both-halves",
        /// One half of a pair.
        OneHalf = "one-half",
        /// The host of a URL alone.
        HostOnly = "host-only",
    }
}
