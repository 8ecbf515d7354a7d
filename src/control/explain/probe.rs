//! A probe: one value asked of a set in every form it may have in traffic.

use std::net::IpAddr;
use std::net::SocketAddr;

use ipnet::IpNet;

use crate::control::intel::set::IndicatorSet;
use crate::model::address::Address;
use crate::model::digest::Digest;
use crate::model::domain::Domain;
use crate::model::flow::FlowKey;
use crate::model::flow::FlowView;
use crate::model::flow::Vlans;
use crate::model::hit::Found;
use crate::model::indicator::IndicatorType;
use crate::model::indicator::Match;
use crate::model::observation::Observation;
use crate::model::observation::ObservationKind;
use crate::model::observation::Place;
use crate::model::observation::Value;
use crate::model::packet::protocol::TCP;
use crate::model::pattern::Pattern;
use crate::model::policy::Policy;
use crate::model::policy::Usage;
use crate::model::refang::refang;
use crate::model::time::Timestamp;
use crate::model::url::UrlBuffer;

/// Where names are seen, and where with a port.
const NAMES: &str = "dns_query, tls_sni, http_host or cert_name";
const NAMES_WITH_PORT: &str = "tls_sni, http_host or, of a proxy's client, http_url";

/// An indicator that covers the value, were it looked for.
pub(super) const COVERS: &str = "covers";

/// A value as a person gave it, and as it was before it was defanged.
pub(super) struct Probe {
    given: String,
    text: String,
    /// Its host, as an address or as a name.
    address: Option<Address>,
    name: Option<Domain>,
    port: u16,
}

impl Probe {
    /// Takes a value.
    pub(super) fn new(value: &str) -> Self {
        let text = refang(value).into_owned();
        let (host, port) = host(&text);
        let address = host.parse::<IpAddr>().ok().map(Address::from);
        let name = Domain::from_feed(&host).ok().filter(|_| address.is_none());
        Self { given: value.trim().to_owned(), text, address, name, port }
    }

    /// Returns what names the value, with the kind of observation it would be.
    pub(super) fn ask(&self, set: &IndicatorSet, policy: &Policy) -> Vec<(Found, &'static str)> {
        let mut asked = Asked { set, found: Vec::new() };
        let port = self.port;
        if let Some(address) = self.address {
            asked.address(address, port);
        }
        if let Some(name) = &self.name {
            asked.name(name.as_bytes(), port);
        }
        asked.text(ObservationKind::HttpUrl, self.url().as_bytes(), port);
        asked.text(ObservationKind::Ja4, self.text.as_bytes(), 0);
        asked.text(ObservationKind::HttpUserAgent, self.given.as_bytes(), 0);
        asked.digest(&self.text);
        asked.canonical(&self.given, policy);
        asked.found.sort_by_key(|(found, _)| *found);
        asked.found.dedup_by_key(|(found, _)| found.indicator);
        asked.found
    }

    /// Tells whether an attribute's value is the same, whole or as half of a pair.
    pub(super) fn is_same(&self, value: &str) -> bool {
        let plain = |text: &str| refang(text).trim_end_matches('.').to_lowercase();
        let wanted = plain(&self.text);
        plain(value) == wanted || value.split('|').any(|half| plain(half) == wanted)
    }

    /// Tells whether an indicator concerns the same host without naming the value, and what it
    /// lacks to do so.
    pub(super) fn near(&self, ty: IndicatorType, value: &str) -> Option<&'static str> {
        let wide = Policy::wide();
        let name = self.name.as_ref().map(Domain::as_str);
        let is_address = |address| self.address == Some(address);
        let is_inside = |net: IpNet| self.address.is_some_and(|a| net.contains(&a.to_ip()));
        let is_name = |host: &str| name == Some(host);
        let is_under = |parent: &str| {
            let under = name.and_then(|name| name.strip_suffix(parent));
            under.is_some_and(|head| head.is_empty() || head.ends_with('.'))
        };
        let is_url_host = |host: &str| {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            is_name(host) || bare.parse::<IpAddr>().is_ok_and(|ip| is_address(Address::from(ip)))
        };
        let (is_near, lacks) = match Pattern::from_text(ty, value, &wide).ok()? {
            Pattern::Address(address) => (is_address(address), COVERS),
            Pattern::Prefix(net) => (is_inside(net), COVERS),
            Pattern::Domain(parent) => (is_under(&parent), COVERS),
            Pattern::DomainIp(parent, ip) => (is_under(&parent) || is_address(ip), COVERS),
            Pattern::AddressPort(address, _) => (is_address(address), "needs_port"),
            Pattern::HostnamePort(host, _) if is_name(&host) => (true, "needs_port"),
            Pattern::HostnamePort(parent, _) | Pattern::Hostname(parent) => {
                (is_under(&parent), "needs_name")
            }
            Pattern::Url(url) => (is_url_host(url.host()), "needs_url"),
            _ => return None,
        };
        is_near.then_some(lacks)
    }

    fn url(&self) -> String {
        if self.text.contains("://") { self.text.clone() } else { format!("http://{}", self.text) }
    }
}

/// Returns the host of a value and its port, 0 where none is told.
fn host(text: &str) -> (String, u16) {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let default = if text.starts_with("https") { 443 } else { 80 };
    let port = if text.contains("://") { default } else { 0 };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Ok(end) = authority.parse::<SocketAddr>() {
        return (end.ip().to_string(), end.port());
    }
    let bare = authority.trim_start_matches('[').trim_end_matches(']');
    match authority.rsplit_once([':', '|']) {
        _ if bare.parse::<IpAddr>().is_ok() => (bare.to_owned(), port),
        Some((host, digits)) => match digits.parse() {
            Ok(port) => (host.to_owned(), port),
            Err(_) => (authority.to_owned(), port),
        },
        None => (authority.to_owned(), port),
    }
}

struct Asked<'s> {
    set: &'s IndicatorSet,
    found: Vec<(Found, &'static str)>,
}

impl Asked<'_> {
    fn address(&mut self, address: Address, port: u16) {
        let mut found = Vec::new();
        self.set.index.flow(&flow(address, port), &mut found);
        let flow = ObservationKind::Flow.name();
        self.found.extend(found.into_iter().map(|(_, found)| (found, flow)));
    }

    /// Asks first what needs no port; what is found twice keeps its first place.
    fn name(&mut self, name: &[u8], port: u16) {
        use ObservationKind as K;
        self.observe(K::DnsQuery, Value::Text(name), 0, NAMES);
        self.observe(K::HttpHost, Value::Text(name), port, NAMES_WITH_PORT);
        self.observe(K::TlsSni, Value::Text(name), port, K::TlsSni.name());
    }

    fn text(&mut self, kind: ObservationKind, text: &[u8], port: u16) {
        self.observe(kind, Value::Text(text), port, kind.name());
    }

    fn digest(&mut self, text: &str) {
        use ObservationKind as K;
        let md5 = [K::Ja3, K::Ja3s, K::Hassh, K::HasshServer, K::CertMd5];
        let forms = [
            (Digest::md5(text), &md5[..]),
            (Digest::sha1(text), &[K::CertSha1]),
            (Digest::sha256(text), &[K::CertSha256]),
        ];
        for (digest, kinds) in forms {
            for (digest, kind) in digest.iter().flat_map(|d| kinds.iter().map(move |k| (d, *k))) {
                self.observe(kind, Value::Digest(digest.as_bytes()), 0, kind.name());
            }
        }
    }

    fn observe(
        &mut self,
        kind: ObservationKind,
        value: Value<'_>,
        port: u16,
        seen_as: &'static str,
    ) {
        let observation = Observation { kind, place: Place::Flow, value };
        let flow = flow(Address::default(), port);
        let mut found = Vec::new();
        self.set.index.observe(&observation, &flow, &mut UrlBuffer::new(), &mut found);
        self.found.extend(found.into_iter().map(|found| (found, seen_as)));
    }

    /// Finds the value among indicators of every type, such as community ids, which only a whole
    /// flow shows.
    fn canonical(&mut self, text: &str, policy: &Policy) {
        for ty in IndicatorType::ALL {
            let Ok(pattern) = Pattern::from_text(*ty, text, policy) else { continue };
            if pattern.usage(policy) != Usage::Matched {
                continue;
            }
            if let Some(id) = self.set.catalog.find(*ty, &pattern.to_string()) {
                let found = Found { indicator: id, grade: Match::Exact };
                self.found.push((found, ty.name()));
            }
        }
    }
}

/// Returns a flow with the address and port at both ends, so that either end is asked.
fn flow(address: Address, port: u16) -> FlowView {
    let end = (address, port);
    let (key, opener) = FlowKey::new(end, end, TCP, Vlans::default());
    FlowView { key, opener, first: Timestamp::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_of_values() {
        for (value, host, port) in [
            ("evil.example", "evil.example", 0),
            ("evil[.]example:8080", "evil.example", 8080),
            ("hxxps://evil.example/a", "evil.example", 443),
            ("http://evil.example:81/a?b", "evil.example", 81),
            ("192.0.2.1", "192.0.2.1", 0),
            ("192.0.2.1:53", "192.0.2.1", 53),
            ("192.0.2.1|53", "192.0.2.1", 53),
            ("2001:db8::1", "2001:db8::1", 0),
            ("[2001:db8::1]:53", "2001:db8::1", 53),
            ("http://[2001:db8::1]/x", "2001:db8::1", 80),
        ] {
            assert_eq!(super::host(&refang(value)), (host.to_owned(), port), "{value}");
        }
    }

    #[test]
    fn what_is_near_says_what_it_lacks() {
        use IndicatorType as T;
        for (value, ty, other, lacks) in [
            ("10.1.2.3", T::IpDst, "10.0.0.0/8", Some("covers")),
            ("9.9.9.9", T::IpDstPort, "9.9.9.9|53", Some("needs_port")),
            ("9.9.9.9", T::Url, "http://9.9.9.9/x", Some("needs_url")),
            ("2001:db8::1", T::Url, "http://[2001:db8::1]/x", Some("needs_url")),
            ("9.9.9.9", T::IpDst, "9.9.9.8", None),
            ("a.evil.example", T::Domain, "evil.example", Some("covers")),
            ("notevil.example", T::Domain, "evil.example", None),
            ("a.evil.example", T::Hostname, "evil.example", Some("needs_name")),
            ("evil.example", T::Hostname, "a.evil.example", None),
            ("evil.example", T::HostnamePort, "evil.example|81", Some("needs_port")),
            ("http://evil.example/b", T::Url, "http://EVIL.example/a", Some("needs_url")),
            ("evil.example", T::DomainIp, "evil.example|9.9.9.9", Some("covers")),
            ("", T::Domain, "evil.example", None),
        ] {
            assert_eq!(Probe::new(value).near(ty, other), lacks, "{value} {other}");
        }
    }

    #[test]
    fn the_same_value_in_other_words() {
        for (value, other, same) in [
            ("evil.example", "EVIL[.]example.", true),
            ("203.0.113.40", "evil.example|203.0.113.40", true),
            ("evil.example", "www.evil.example", false),
        ] {
            assert_eq!(Probe::new(value).is_same(other), same, "{value} {other}");
        }
    }
}
