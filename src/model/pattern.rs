//! Patterns: what an indicator's text compiles to, one canonical form for each kind.
//!
//! Spec:   MISP attribute types; RFC 4291 §2.2, RFC 4632 §3.1 (addresses and prefixes)
//! Reads:  an attribute's type and value, as feeds have them
//! Yields: a pattern, or the reason why there is none
//! Bounds: `limits::URL_BYTES_MAX`, `limits::PREFIX_V4_BITS_MIN`, `limits::PREFIX_V6_BITS_MIN`
//! Leaves: types that no `IndicatorType` names

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

use ipnet::IpNet;

use crate::model::address::Address;
use crate::model::community_id::CommunityId;
use crate::model::digest::Digest;
use crate::model::digest::Ja4;
use crate::model::digest::hex;
use crate::model::domain::Domain;
use crate::model::indicator::IndicatorType;
use crate::model::limits::SUBSTRING_BYTES_MIN;
use crate::model::limits::URL_BYTES_MAX;
use crate::model::observation::ObservationKind;
use crate::model::plain::turns;
use crate::model::policy::Policy;
use crate::model::policy::Usage;
use crate::model::refang::refang;
use crate::model::refang::trim;
use crate::model::refusal::Refusal;
use crate::model::special::covers_special;
use crate::model::special::is_special_prefix;
use crate::model::special::is_wider_than_any;
use crate::model::url::Scheme;
use crate::model::url::UrlPattern;

/// What one indicator looks for. `Display` is its canonical text: equal patterns have equal texts.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Pattern {
    /// This address.
    Address(Address),
    /// Every address in this prefix; no bit is set below its mask.
    Prefix(IpNet),
    /// This address with this port.
    AddressPort(Address, u16),
    /// This name and all under it.
    Domain(Box<str>),
    /// This name.
    Hostname(Box<str>),
    /// This name and all under it, this address, or both; see [`Pattern::is_name_alone`].
    DomainIp(Box<str>, Address),
    /// This name with this port.
    HostnamePort(Box<str>, u16),
    /// This URL.
    Url(UrlPattern),
    /// This digest, as that kind of observation.
    Digest(ObservationKind, Digest),
    /// This JA4.
    Ja4(Ja4),
    /// The flow of this name.
    CommunityId(CommunityId),
    /// This user agent; where it holds `*`, one that has all parts between them, in that order.
    UserAgent(Box<str>),
    /// This port of a responder.
    Port(u16),
    /// This hardware address.
    MacAddress([u8; 6]),
    /// This autonomous system.
    As(u32),
    /// This cookie.
    Cookie(Box<str>),
    /// This method.
    HttpMethod(Box<str>),
}

const _: () = assert!(size_of::<Pattern>() <= 40);

impl Pattern {
    /// Reads an attribute's value; trims and refangs it first.
    ///
    /// # Errors
    /// Why the value gives no pattern.
    pub fn from_text(ty: IndicatorType, text: &str, policy: &Policy) -> Result<Self, Refusal> {
        use IndicatorType as T;
        if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
            return Err(Refusal::BadText);
        }
        let plain = trim(text);
        if plain.chars().any(turns) {
            match ty {
                T::Domain | T::Hostname | T::DomainIp | T::HostnamePort => {
                    return Err(Refusal::BadName);
                }
                T::Url | T::Uri => return Err(Refusal::BadUrl),
                _ => {}
            }
        }
        let text = &*refang(plain);
        match plain.len() {
            0 => return Err(Refusal::Empty),
            1..=URL_BYTES_MAX => {}
            _ => return Err(Refusal::TooLong),
        }
        if text.is_empty() {
            return Err(Refusal::Empty);
        }
        let md5 = |kind| Digest::md5(text).map(|d| Self::Digest(kind, d)).ok_or(Refusal::BadDigest);
        match ty {
            T::IpSrc | T::IpDst => address_or_prefix(text, policy),
            T::IpSrcPort | T::IpDstPort => address_port(text, policy),
            T::Domain => domain(text, policy).map(Self::Domain),
            T::Hostname => hostname(text).map(Self::Hostname),
            T::DomainIp => {
                let (name, address) = text.split_once('|').ok_or(Refusal::BadAddress)?;
                let address = Address::from(ip(trim(address))?);
                Ok(Self::DomainIp(domain(trim(name), policy)?, address))
            }
            T::HostnamePort => {
                let pair = text.split_once('|').or_else(|| text.rsplit_once(':'));
                let (name, digits) = pair.ok_or(Refusal::BadPort)?;
                Ok(Self::HostnamePort(hostname(trim(name))?, port(trim(digits))?))
            }
            T::Url | T::Uri => UrlPattern::from_text(text, policy).map(Self::Url),
            T::Ja3 => md5(ObservationKind::Ja3),
            T::Ja3s => md5(ObservationKind::Ja3s),
            T::Hassh => md5(ObservationKind::Hassh),
            T::HasshServer => md5(ObservationKind::HasshServer),
            T::X509Md5 => md5(ObservationKind::CertMd5),
            T::X509Sha1 => Digest::sha1(text)
                .map(|digest| Self::Digest(ObservationKind::CertSha1, digest))
                .ok_or(Refusal::BadDigest),
            T::X509Sha256 => Digest::sha256(text)
                .map(|digest| Self::Digest(ObservationKind::CertSha256, digest))
                .ok_or(Refusal::BadDigest),
            T::Ja4 => Ja4::from_text(text.as_bytes()).map(Self::Ja4).ok_or(Refusal::BadFingerprint),
            T::CommunityId => {
                CommunityId::from_text(text).map(Self::CommunityId).ok_or(Refusal::BadCommunityId)
            }
            T::UserAgent => user_agent(plain).map(Self::UserAgent),
            T::Port => port(text).map(Self::Port),
            T::MacAddress => hex(text).map(Self::MacAddress).ok_or(Refusal::BadNumber),
            T::As => autonomous_system(text).map(Self::As),
            T::Cookie => Ok(Self::Cookie(plain.into())),
            T::HttpMethod => http_method(text).map(Self::HttpMethod),
        }
    }

    /// Tells whether only the name of a pair is looked for: names are parked at addresses of
    /// special purpose, where everyone is, and the site's own addresses are no indicators.
    pub fn is_name_alone(&self, policy: &Policy) -> bool {
        match self {
            Self::DomainIp(_, address) => policy.address(address.to_ip()).is_err(),
            _ => false,
        }
    }

    /// Tells whether it is looked for under a policy.
    pub fn usage(&self, policy: &Policy) -> Usage {
        use IndicatorType as T;
        let ty = match self {
            Self::Digest(ObservationKind::Hassh, _) => T::Hassh,
            Self::Digest(ObservationKind::HasshServer, _) => T::HasshServer,
            Self::UserAgent(_) => T::UserAgent,
            Self::Port(_) => T::Port,
            Self::MacAddress(_) => T::MacAddress,
            Self::As(_) => T::As,
            Self::Cookie(_) => T::Cookie,
            Self::HttpMethod(_) => T::HttpMethod,
            Self::Url(url) if url.scheme() == Scheme::Https && !policy.tls_url_hosts => {
                return Usage::TlsOnly;
            }
            _ => return Usage::Matched,
        };
        match (ty.is_observed(), ty.is_opt_in() && !policy.opt_in.contains(&ty)) {
            (false, _) => Usage::NotYetObserved,
            (true, true) => Usage::OptIn,
            (true, false) => Usage::Matched,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Prefix(prefix) => write!(f, "{prefix}"),
            Self::AddressPort(address, port) => write!(f, "{address}|{port}"),
            Self::Domain(text)
            | Self::Hostname(text)
            | Self::UserAgent(text)
            | Self::Cookie(text)
            | Self::HttpMethod(text) => f.write_str(text),
            Self::DomainIp(name, address) => write!(f, "{name}|{address}"),
            Self::HostnamePort(name, port) => write!(f, "{name}|{port}"),
            Self::Url(url) => write!(f, "{url}"),
            Self::Digest(_, digest) => write!(f, "{digest}"),
            Self::Ja4(ja4) => f.write_str(ja4.as_str()),
            Self::CommunityId(id) => write!(f, "{id}"),
            Self::Port(port) => write!(f, "{port}"),
            Self::MacAddress([a, b, c, d, e, g]) => {
                write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
            }
            Self::As(number) => write!(f, "AS{number}"),
        }
    }
}

/// Reads an address, a prefix, or (a slip that real events have) an address with a port.
fn address_or_prefix(text: &str, policy: &Policy) -> Result<Pattern, Refusal> {
    if let Some((ip, bits)) = text.split_once('/') {
        return prefix(trim(ip), trim(bits), policy);
    }
    if text.contains('|') || text.parse::<SocketAddr>().is_ok() {
        return address_port(text, policy);
    }
    address(text, policy).map(Pattern::Address)
}

fn address(text: &str, policy: &Policy) -> Result<Address, Refusal> {
    let ip = ip(text)?;
    policy.address(ip)?;
    Ok(Address::from(ip))
}

fn prefix(ip_text: &str, bits: &str, policy: &Policy) -> Result<Pattern, Refusal> {
    let written: IpAddr = ip_text.parse().map_err(|_| why_no_address(ip_text))?;
    let ip = written.to_canonical();
    let bits = match bits.parse::<Ipv4Addr>() {
        Ok(mask) => ipnet::ipv4_mask_to_prefix(mask).map_err(|_| Refusal::BadAddress)?,
        Err(_) => bits.parse::<u8>().map_err(|_| Refusal::BadAddress)?,
    };
    let is_mapped = ip.is_ipv4() && written.is_ipv6();
    let bits = if is_mapped { bits.checked_sub(96).ok_or(Refusal::TooShort)? } else { bits };
    let prefix = IpNet::new(ip, bits).map_err(|_| Refusal::BadAddress)?.trunc();
    let is_special = is_special_prefix(prefix);
    if is_wider_than_any(prefix) {
        return Err(Refusal::TooShort);
    }
    if !policy.allow_special && (is_special || covers_special(prefix)) {
        return Err(Refusal::SpecialPurpose);
    }
    if policy.is_own(prefix) {
        return Err(Refusal::OwnNetwork);
    }
    if bits == prefix.max_prefix_len() {
        return Ok(Pattern::Address(Address::from(ip)));
    }
    Ok(Pattern::Prefix(prefix))
}

/// Reads `address|port`, or the slips `a.b.c.d:port` and `[v6]:port`.
fn address_port(text: &str, policy: &Policy) -> Result<Pattern, Refusal> {
    if let Some((ip, digits)) = text.split_once('|') {
        return Ok(Pattern::AddressPort(address(trim(ip), policy)?, port(trim(digits))?));
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(Refusal::BadPort);
    }
    let (ip, digits) = text.rsplit_once(':').ok_or_else(|| why_no_address(text))?;
    if ip.contains(':') && !ip.starts_with('[') {
        return Err(Refusal::BadAddress);
    }
    Ok(Pattern::AddressPort(address(ip, policy)?, port(digits)?))
}

/// Reads an address, an IPv6 one perhaps in brackets; an IPv4-mapped one is IPv4.
fn ip(text: &str) -> Result<IpAddr, Refusal> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let ip: IpAddr = match inner {
        Some(inner) => IpAddr::V6(inner.parse().map_err(|_| why_no_address(inner))?),
        None => text.parse().map_err(|_| why_no_address(text))?,
    };
    Ok(ip.to_canonical())
}

fn why_no_address(text: &str) -> Refusal {
    if text.contains([',', ';']) || text.split_whitespace().nth(1).is_some() {
        return Refusal::SeveralValues;
    }
    if text.contains('%') {
        return Refusal::ZoneId;
    }
    if let Some((from, to)) = text.split_once('-') {
        let is_range = from.parse::<IpAddr>().is_ok() && to.parse::<IpAddr>().is_ok();
        return if is_range { Refusal::AddressRange } else { Refusal::BadAddress };
    }
    let octets = || text.split('.').map(|octet| octet.parse::<u8>().ok());
    if octets().count() == 4 && octets().all(|octet| octet.is_some()) {
        return Refusal::LeadingZero;
    }
    Refusal::BadAddress
}

/// Reads a name that stands for all under it too; `*.` or `.` before it says the same.
/// One that many share is refused: a public suffix, or, as its default rule says, any top-level
/// domain.
fn domain(text: &str, policy: &Policy) -> Result<Box<str>, Refusal> {
    let bare = text.strip_prefix("*.").unwrap_or(text).trim_start_matches('.');
    let name = name(bare)?;
    let suffix = psl::suffix(name.as_bytes());
    if !policy.allow_public_suffix && suffix.is_some_and(|suffix| suffix == name.as_bytes()) {
        return Err(Refusal::PublicSuffix);
    }
    Ok(name.as_str().into())
}

fn hostname(text: &str) -> Result<Box<str>, Refusal> {
    if text.starts_with("*.") {
        return Err(Refusal::Wildcard);
    }
    name(text).map(|name| name.as_str().into())
}

fn name(text: &str) -> Result<Domain, Refusal> {
    if text.contains('/') {
        let is_prefix = text.parse::<IpNet>().is_ok();
        return Err(if is_prefix { Refusal::AddressInName } else { Refusal::UrlInName });
    }
    if ip(text).is_ok() || text.parse::<SocketAddr>().is_ok() {
        return Err(Refusal::AddressInName);
    }
    if text.contains([',', ';']) {
        return Err(Refusal::SeveralValues);
    }
    let name = Domain::from_feed(text).map_err(|_| Refusal::BadName)?;
    let top = name.parents().last().unwrap_or_default();
    if top.iter().all(u8::is_ascii_digit) { Err(Refusal::BadName) } else { Ok(name) }
}

fn port(text: &str) -> Result<u16, Refusal> {
    match text.parse() {
        Ok(0) | Err(_) => Err(Refusal::BadPort),
        Ok(port) => Ok(port),
    }
}

fn user_agent(text: &str) -> Result<Box<str>, Refusal> {
    let longest = text.split('*').map(str::len).max().unwrap_or_default();
    if text.contains('*') && longest < SUBSTRING_BYTES_MIN {
        return Err(Refusal::TooShort);
    }
    Ok(text.into())
}

fn autonomous_system(text: &str) -> Result<u32, Refusal> {
    let (head, tail) = text.split_at_checked(2).unwrap_or(("", text));
    let digits = if head.eq_ignore_ascii_case("as") { trim(tail) } else { text };
    digits.parse().map_err(|_| Refusal::BadNumber)
}

fn http_method(text: &str) -> Result<Box<str>, Refusal> {
    let is_token = text.bytes().all(|b| b.is_ascii_alphabetic() || b"-_".contains(&b));
    if is_token { Ok(text.to_ascii_uppercase().into()) } else { Err(Refusal::BadText) }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::Pattern;
    use crate::model::indicator::IndicatorType;
    use crate::model::policy::Policy;
    use crate::model::refusal::Refusal;

    /// Canonical text, or the reason in angle brackets; special-purpose addresses are allowed.
    fn read(ty: &str, value: &str, allow_special: bool) -> String {
        let ty = IndicatorType::from_name(ty).expect("a type");
        let policy = Policy { allow_special, ..Policy::default() };
        match Pattern::from_text(ty, value, &policy) {
            Ok(pattern) => format!("{pattern}"),
            Err(refusal) => format!("<{}>", refusal.reason()),
        }
    }

    fn check(ty: &str, value: &str, expected: &str) {
        assert_eq!(read(ty, value, true), expected, "{ty} {value:?}");
    }

    #[test]
    fn addresses() {
        check("ip-dst", "198.51.100.7", "198.51.100.7");
        check("ip-dst", "2001:DB8::00AB", "2001:db8::ab");
        check("ip-dst", "[2001:db8::1]", "2001:db8::1");
        check("ip-dst", "::ffff:203.0.113.9", "203.0.113.9");
        check("ip-dst", "203[.]0[.]113[.]11", "203.0.113.11");
        check("ip-dst", " 203.0.113.12 ", "203.0.113.12");
        check("ip-dst", "203.0.113.010", "<leading_zero>");
        check("ip-dst", "203.0.113.13,203.0.113.14", "<several_values>");
        check("ip-dst", "203.0.113.16-203.0.113.31", "<address_range>");
        check("ip-dst", "999.1.1.1", "<bad_address>");
        check("ip-dst", "107.183.86", "<bad_address>");
        check("ip-dst", "fe80::1%eth0", "<zone_id>");
        check("ip-dst", "evil.example", "<bad_address>");
        check("ip-dst", "", "<empty>");
        check("ip-dst", " \u{feff}", "<empty>");
    }

    #[test]
    fn prefixes() {
        check("ip-dst", "198.51.100.0/25", "198.51.100.0/25");
        check("ip-src", "198.51.100.77/25", "198.51.100.0/25");
        check("ip-dst", "198.51.100.0/255.255.255.0", "198.51.100.0/24");
        check("ip-dst", "198.51.100.7/32", "198.51.100.7");
        check("ip-dst", "2001:db8::1/128", "2001:db8::1");
        check("ip-dst", "2001:db8:dead::/48", "2001:db8:dead::/48");
        check("ip-dst", "::ffff:198.51.100.0/120", "198.51.100.0/24");
        check("ip-dst", "0.0.0.0/0", "<too_short>");
        check("ip-dst", "128.0.0.0/1", "<too_short>");
        check("ip-dst", "::/0", "<too_short>");
        check("ip-dst", "2000::/3", "<too_short>");
        check("ip-dst", "198.51.100.0/33", "<bad_address>");
        check("ip-dst", "198.51.100.0/", "<bad_address>");
        check("ip-dst", "198.51.100.0/255.0.255.0", "<bad_address>");
    }

    #[test]
    fn special_purpose_is_refused_unless_allowed() {
        for (ty, value) in [
            ("ip-dst", "10.1.2.3"),
            ("ip-dst", "127.0.0.1"),
            ("ip-src", "::ffff:10.1.2.3"),
            ("ip-src", "192.0.0.0/8"),
            ("ip-dst", "fe80::/10"),
            ("ip-dst|port", "203.0.113.20|4444"),
            ("url", "http://192.168.1.1/x"),
            ("url", "http://[fd00::1]:81/"),
        ] {
            assert_eq!(read(ty, value, false), "<special_purpose>", "{value}");
            assert!(!read(ty, value, true).starts_with('<'), "{value}");
        }
        assert_eq!(read("ip-dst", "9.9.9.0/24", false), "9.9.9.0/24");
    }

    #[test]
    fn names_that_many_share_are_refused_unless_allowed() {
        let wide = Policy::wide();
        for (ty, value, expected) in [
            ("domain", "com", "<public_suffix>"),
            ("domain", "*.com", "<public_suffix>"),
            ("domain", "com.", "<public_suffix>"),
            ("domain", "CO.UK", "<public_suffix>"),
            ("domain", "\u{440}\u{444}", "<public_suffix>"),
            ("domain", "anything.ck", "<public_suffix>"),
            ("domain", "www.ck", "www.ck"),
            ("domain", "nosuchtop", "<public_suffix>"),
            ("domain", "github.io", "<public_suffix>"),
            ("domain", "s3.amazonaws.com", "<public_suffix>"),
            ("domain|ip", "github.io|9.9.9.9", "<public_suffix>"),
            ("domain", "evil.github.io", "evil.github.io"),
            ("domain", "amazonaws.com", "amazonaws.com"),
            ("hostname", "github.io", "github.io"),
            ("hostname|port", "github.io|443", "github.io|443"),
            ("url", "http://github.io/x", "http://github.io/x"),
        ] {
            assert_eq!(read(ty, value, false), expected, "{value}");
            let ty = IndicatorType::from_name(ty).expect("a type");
            assert!(Pattern::from_text(ty, value, &wide).is_ok(), "{value}");
        }
    }

    #[test]
    fn own_addresses_are_refused() {
        let own = ["9.9.8.0/23", "2620:fe::/48"].map(|net| net.parse().expect("a prefix"));
        let policy = Policy { own_networks: own.into(), ..Policy::default() };
        for (ty, value, is_refused) in [
            ("ip-dst", "9.9.9.9", true),
            ("ip-src", "::ffff:9.9.9.9", true),
            ("ip-dst", "9.9.9.0/24", true),
            ("ip-dst", "9.9.0.0/16", true),
            ("ip-dst", "9.9.10.1", false),
            ("ip-dst", "2620:fe::9", true),
            ("ip-dst", "2620:ff::9", false),
            ("ip-dst|port", "9.9.9.9|53", true),
            ("url", "http://9.9.9.9/x", true),
            ("domain|ip", "evil.example|9.9.9.9", false),
        ] {
            let ty = IndicatorType::from_name(ty).expect("a type");
            let read = Pattern::from_text(ty, value, &policy);
            assert_eq!(read == Err(Refusal::OwnNetwork), is_refused, "{value}: {read:?}");
        }
    }

    #[test]
    fn a_pair_with_a_special_purpose_address_is_a_name() {
        let strict = Policy::default();
        let own = "9.9.8.0/23".parse().expect("a prefix");
        let at_home = Policy { own_networks: vec![own], ..Policy::default() };
        let wide = Policy::wide();
        for (value, alone) in [
            ("evil.example|203.0.113.40", true),
            ("evil.example|0.0.0.0", true),
            ("evil.example|::1", true),
            ("evil.example|9.9.9.9", false),
        ] {
            let pair = Pattern::from_text(IndicatorType::DomainIp, value, &strict).expect(value);
            assert_eq!(pair.to_string(), value);
            assert_eq!(pair.is_name_alone(&strict), alone, "{value}");
            assert!(!pair.is_name_alone(&wide), "{value}");
            assert!(pair.is_name_alone(&at_home), "{value}");
        }
    }

    #[test]
    fn control_characters_are_no_part_of_a_value() {
        for odd in ["\0", "\u{1b}[2J", "\u{7f}", "\u{85}x\u{9c}"] {
            for value in [format!("evil.example{odd}"), format!("{odd}evil.example")] {
                check("domain", &value, "<bad_text>");
            }
            check("hostname", &format!("a{odd}.evil.example"), "<bad_text>");
            check("url", &format!("http://evil.example/{odd}"), "<bad_text>");
            check("user-agent", &format!("Mozilla{odd}/4.0"), "<bad_text>");
        }
        check("domain", "\tevil.example\r\n", "evil.example");
        check("domain", "\u{202a}evil.example\u{202c}", "evil.example");
        for turned in ["d\u{202e}bidi.org", "a\u{200f}b.org", "a\u{2066}b.org"] {
            check("domain", turned, "<bad_name>");
            check("hostname", turned, "<bad_name>");
            check("url", &format!("http://{turned}/"), "<bad_url>");
        }
    }

    #[test]
    fn addresses_with_ports() {
        check("ip-dst|port", "203.0.113.20|4444", "203.0.113.20|4444");
        check("ip-dst|port", "203.0.113.21:8443", "203.0.113.21|8443");
        check("ip-dst|port", "2001:db8::21|443", "2001:db8::21|443");
        check("ip-dst|port", "[2001:db8::22]|443", "2001:db8::22|443");
        check("ip-dst|port", "[2001:db8::22]:443", "2001:db8::22|443");
        check("ip-dst", "203.0.113.70|443", "203.0.113.70|443");
        check("ip-dst", "203.0.113.70:443", "203.0.113.70|443");
        check("ip-src|port", "203.0.113.23|0", "<bad_port>");
        check("ip-src|port", "203.0.113.23|", "<bad_port>");
        check("ip-src|port", "203.0.113.23", "<bad_port>");
        check("ip-src|port", "2001:db8::1:443", "<bad_port>");
        check("ip-src|port", "203.0.113.23|70000", "<bad_port>");
        check("ip-src|port", "x|80", "<bad_address>");
    }

    #[test]
    fn names() {
        check("domain", "Evil-UPPER.Example", "evil-upper.example");
        check("domain", "trailing-dot.example.", "trailing-dot.example");
        check("domain", "evil(dot)example", "evil.example");
        check("domain", "bücher-malware.example", "xn--bcher-malware-wob.example");
        check("domain", "xn--bcher-malware-wob.example", "xn--bcher-malware-wob.example");
        check("domain", "_dmarc.evil.example", "_dmarc.evil.example");
        check("domain", "*.wild.example", "wild.example");
        check("domain", ".leading.example", "leading.example");
        check("domain", "evil.example\n", "evil.example");
        check("domain", "203.0.113.30", "<address_in_name>");
        check("domain", "2001:db8::1", "<address_in_name>");
        check("domain", "203.0.113.30:80", "<address_in_name>");
        check("domain", "203.0.113.0/24", "<address_in_name>");
        check("domain", "107.183.86", "<bad_name>");
        check("domain", "http://evil.example/path", "<url_in_name>");
        check("domain", "evil.example # comment", "<bad_name>");
        check("domain", "a..example", "<bad_name>");
        check("domain", "=evil.example", "=evil.example");
        check("domain", "a.example,b.example", "<several_values>");
        check("domain", &format!("{}.example", "l".repeat(64)), "<bad_name>");
        check("hostname", "host.sub.Evil.example", "host.sub.evil.example");
        check("hostname", "wpad", "wpad");
        check("hostname", "*.evil.example", "<wildcard>");
        check("hostname|port", "c2.evil.example|8080", "c2.evil.example|8080");
        check("hostname|port", "c2.evil.example:8080", "c2.evil.example|8080");
        check("hostname|port", "c2.evil.example", "<bad_port>");
        check("domain|ip", "EVIL3.example|2001:db8::40", "evil3.example|2001:db8::40");
        check("domain|ip", "evil3.example", "<bad_address>");
    }

    #[test]
    fn urls() {
        check("url", "http://evil.example/a/b?c=d", "http://evil.example/a/b?c=d");
        check("url", "hxxp://evil[.]example/x", "http://evil.example/x");
        check("url", "hxxps[:]//evil.example/", "https://evil.example/");
        check("url", "HTTP://EVIL.example:8080/Path", "http://evil.example:8080/Path");
        check("url", "http://user:pw@evil.example/", "http://evil.example/");
        check("url", "http://evil.example/%7Euser/%2e%2e/x", "http://evil.example/x");
        check("url", "http://evil.example/#frag", "http://evil.example/");
        check("url", "http://evil.example", "http://evil.example/");
        check(
            "url",
            "http://bücher-malware.example/ä",
            "http://xn--bcher-malware-wob.example/%C3%A4",
        );
        check("url", "http://[2001:DB8::50]/x", "http://[2001:db8::50]/x");
        check("url", "http://[::ffff:203.0.113.9]/x", "http://203.0.113.9/x");
        check("url", "http://evil.example/a/*", "http://evil.example/a/*");
        check("url", "evil.example/login.php", "evil.example/login.php");
        check("url", "now.asmkpo.com:80", "now.asmkpo.com:80/");
        check("url", "ftp://evil.example/f", "<unsupported_scheme>");
        check("url", "tcp://23.254.211.230", "<unsupported_scheme>");
        check("uri", "/gate.php?id=", "<path_only>");
        check("uri", "evil.example/gate.php?id=", "evil.example/gate.php?id=");
        check("url", "107.183.86", "<bad_url>");
        check("url", "Data/dtl.dat", "<bad_url>");
        check("url", "http://", "<bad_url>");
        check("url", "http://*.evil.example/", "<bad_url>");
        check("url", "http://evil.example:99999/", "<bad_port>");
        check(
            "url",
            &format!("http://evil.example/{}", "A".repeat(4096)),
            &format!("http://evil.example/{}", "A".repeat(4096)),
        );
        check("url", &format!("http://evil.example/{}", "A".repeat(20_000)), "<too_long>");
        check("url", &format!("http://evil.example/{}", "ä".repeat(8_000)), "<too_long>");
    }

    #[test]
    fn other_types() {
        check(
            "ja3-fingerprint-md5",
            "E7D705A3286E19EA42F587B344EE6866",
            "e7d705a3286e19ea42f587b344ee6866",
        );
        check("hassh-md5", "ec7378c1", "<bad_digest>");
        check(
            "x509-fingerprint-sha1",
            "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD",
            "aabbccddeeff00112233445566778899aabbccdd",
        );
        check("ja4", "JA4", "<bad_fingerprint>");
        check("community-id", "1:LQU9qZlK+B5F3KDmev6m5PMibrg=", "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        check("community-id", "x", "<bad_community_id>");
        check("user-agent", " Mozilla/4.0 (dot) ", "Mozilla/4.0 (dot)");
        check("user-agent", "*a*", "<too_short>");
        check("user-agent", "", "<empty>");
        check("port", "443", "443");
        check("port", "0", "<bad_port>");
        check("mac-address", "00-11-22-AA-44-55", "00:11:22:aa:44:55");
        check("AS", "as64500", "AS64500");
        check("AS", "x", "<bad_number>");
        check("http-method", "get", "GET");
        check("http-method", "g t", "<bad_text>");
        check("cookie", "a=b", "a=b");
    }

    proptest! {
        #[test]
        fn every_spelling_of_a_name_is_one_indicator(
            labels in prop::collection::vec("[a-z0-9]{1,8}", 1..4),
            dot in prop::sample::select(vec![".", "[.]", "(.)", "(dot)", "[dot]"]),
            upper in any::<bool>(),
            around in prop::sample::select(vec![["", ""], [" ", "\n"], ["", "."]]),
        ) {
            let plain = format!("{}.evil.example", labels.join("."));
            let mut spelt = plain.replace('.', dot);
            if upper {
                spelt = spelt.to_uppercase().replace("DOT", "dot");
            }
            let spelt = format!("{}{spelt}{}", around[0], around[1]);
            for ty in ["domain", "hostname"] {
                prop_assert_eq!(read(ty, &spelt, false), plain.clone(), "{} {:?}", ty, &spelt);
            }
        }

        #[test]
        fn every_spelling_of_an_address_is_one_indicator(
            ip in any::<[u8; 4]>(),
            bits in 8..=32_u8,
        ) {
            let ip = Ipv4Addr::from(ip);
            let plain = read("ip-dst", &ip.to_string(), true);
            prop_assert_eq!(&read("ip-src", &format!("::ffff:{ip}"), true), &plain);
            prop_assert_eq!(&read("ip-src", &format!("{ip}/32"), true), &plain);
            let mask = Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0));
            let prefix = read("ip-dst", &format!("{ip}/{bits}"), true);
            prop_assert_eq!(&read("ip-dst", &format!("{ip}/{mask}"), true), &prefix);
        }
    }

    #[test]
    fn canonical_texts_are_stable() {
        let values =
            ["http://evil.example/a/*", "evil.example:81/a?b", "http://[2001:db8::1]:8080/"];
        for value in values {
            check("url", value, value);
        }
        for (ty, value) in
            [("ip-dst|port", "2001:db8::21|443"), ("domain|ip", "a.example|2001:db8::1")]
        {
            check(ty, value, value);
        }
    }
}
