//! The index: every shape's tables, which observation asks which of them, and the builder.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::address::Address;
use crate::model::community_id::CommunityId;
use crate::model::digest::Digest;
use crate::model::digest::Ja4;
use crate::model::flow::FlowView;
use crate::model::flow::Side;
use crate::model::hit::Found;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::Match;
use crate::model::limits::SUBSTRINGS_BYTES_MAX;
use crate::model::observation::Observation;
use crate::model::observation::ObservationKind;
use crate::model::observation::Value;
use crate::model::pattern::Pattern;
use crate::model::policy::Policy;
use crate::model::policy::Usage;
use crate::model::url::ObservedUrl;
use crate::model::url::Scheme;
use crate::model::url::UrlBuffer;
use crate::model::url::UrlPattern;
use crate::model::url::UrlShape;
use crate::pipeline::matcher::beginning::UrlBeginnings;
use crate::pipeline::matcher::exact::INDICATORS_MAX;
use crate::pipeline::matcher::exact::Keys;
use crate::pipeline::matcher::exact::Row;
use crate::pipeline::matcher::exact::Tag;
use crate::pipeline::matcher::exact::Texts;
use crate::pipeline::matcher::pattern::Substrings;
use crate::pipeline::matcher::prefix::Prefixes;
use crate::pipeline::matcher::suffix::Names;
use crate::pipeline::matcher::table::Shelf;
use crate::pipeline::matcher::table::Weight;

/// Tag of an address that stands for itself.
const WHOLE: Tag = Tag(0);
/// Tag of an address that is half of a pair.
const HALF: Tag = Tag(1);

/// Everything that is looked for, compiled for look-up; immutable. A clone is the same memory.
#[derive(Clone, Debug, Default)]
pub struct Index {
    v4: Keys<4>,
    v6: Keys<16>,
    ends: Keys<18>,
    prefixes_v4: Prefixes<u32>,
    prefixes_v6: Prefixes<u128>,
    names: Names,
    urls: Texts,
    url_beginnings: UrlBeginnings,
    tls_hosts: Texts,
    ja3: Keys<16>,
    ja3s: Keys<16>,
    hassh: Keys<16>,
    hassh_server: Keys<16>,
    cert_md5: Keys<16>,
    cert_sha1: Keys<20>,
    cert_sha256: Keys<32>,
    ja4: Keys<{ Ja4::BYTES }>,
    community_ids: Keys<20>,
    user_agents: Texts,
    user_agent_parts: Substrings,
    ports: Keys<2>,
    len: u64,
}

impl Index {
    /// Finds what names a flow by its ends: addresses, addresses with ports, the responder's port,
    /// its community id. Replaces what `out` holds. The side is the end that was named, the
    /// opener's where both were.
    pub fn flow(&self, flow: &FlowView, out: &mut Vec<(Side, Found)>) {
        out.clear();
        let sides = [Side::Orig, Side::Resp].map(|side| (side, flow.end(side)));
        // both look-ups' loads are under way before the first is waited for
        let probes = sides.map(|(_, (address, _))| self.probe(address));
        for ((side, (address, port)), probe) in sides.into_iter().zip(probes) {
            self.address(address, probe, |found| out.push((side, found)));
            let exact = |(id, _)| (side, Found { indicator: id, grade: Match::Exact });
            out.extend(self.ends.find(&end_key(address, port)).map(exact));
            if side == Side::Resp {
                out.extend(self.ports.find(&port.to_be_bytes()).map(exact));
            }
        }
        if !self.community_ids.is_empty()
            && let Some(CommunityId(key)) = CommunityId::of(&flow.key)
        {
            let exact = |(id, _)| (Side::Orig, Found { indicator: id, grade: Match::Exact });
            out.extend(self.community_ids.find(&key).map(exact));
        }
        if out.len() > 1 {
            out.sort_unstable_by_key(|(side, found)| (*found, *side));
            out.dedup_by_key(|(_, found)| found.indicator);
        }
    }

    /// Finds what names an observation of a flow. Replaces what `out` holds.
    pub fn observe(
        &self,
        observation: &Observation<'_>,
        flow: &FlowView,
        buffer: &mut UrlBuffer,
        out: &mut Vec<Found>,
    ) {
        use ObservationKind as K;
        out.clear();
        let (_, port) = flow.end(Side::Resp);
        match (observation.kind, observation.value) {
            (K::DnsAnswer, Value::Address(address)) => {
                self.address(address, self.probe(address), |found| out.push(found));
            }
            (K::DnsQuery | K::DnsName | K::CertName, Value::Text(name)) => {
                self.names.find(name, 0, out);
            }
            (K::TlsSni | K::QuicSni, Value::Text(name)) => {
                self.names.find(name, port, out);
                self.tls_host(name, port, out);
            }
            (K::HttpHost, Value::Text(name)) => self.names.find(name, port, out),
            (K::HttpUrl, Value::Text(text)) => {
                if let Some(url) = ObservedUrl::from_wire(text, buffer) {
                    // not all who speak to another port than the usual say so in Host
                    let other_port = if url.has_port { url.port } else { port };
                    self.url(&url, other_port, out);
                }
            }
            (K::HttpUrl, Value::Absolute(text)) => {
                if let Some(url) = ObservedUrl::from_wire(text, buffer) {
                    self.url(&url, url.port, out);
                    if url.port != port {
                        self.names.find_with_port(url.host, url.port, out);
                    }
                }
            }
            (K::HttpUserAgent, Value::Text(text)) => self.user_agent(text, out),
            (K::Ja4, Value::Text(text)) => {
                let ja4 = Ja4::from_text(text);
                out.extend(ja4.iter().flat_map(|ja4| self.ja4.find(&ja4.0)).map(exact));
            }
            (kind, Value::Digest(bytes)) => self.digest(kind, bytes, out),
            _ => {}
        }
        if out.len() > 1 {
            out.sort_unstable();
            out.dedup_by_key(|found| found.indicator);
        }
    }

    /// Returns how many indicators it looks for.
    pub fn len(&self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX)
    }

    /// Tells whether it looks for nothing.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns how many bytes its tables take.
    pub fn memory_bytes(&self) -> usize {
        let mut weight = Weight::default();
        self.clone().visit(&mut weight);
        weight.bytes
    }

    /// Takes an index from a shelf.
    ///
    /// # Errors
    /// When the user agents there are more than one automaton can hold.
    pub fn open(shelf: &mut impl Shelf) -> Result<Self, IndexError> {
        let mut index = Self::default();
        index.visit(shelf);
        index.user_agent_parts.start()?;
        Ok(index)
    }

    /// Puts all tables on a shelf, those that most packets ask first.
    pub fn store(&self, shelf: &mut impl Shelf) {
        self.clone().visit(shelf);
    }

    /// Checks that everything in it can be found and names one of `ids` indicators.
    ///
    /// # Errors
    /// The table that is damaged, and how.
    pub fn verify(&self, ids: u32) -> Result<(), (&'static str, &'static str)> {
        let tables = [
            ("v4", self.v4.verify(ids)),
            ("v6", self.v6.verify(ids)),
            ("ends", self.ends.verify(ids)),
            ("prefixes_v4", self.prefixes_v4.verify(ids)),
            ("prefixes_v6", self.prefixes_v6.verify(ids)),
            ("names", self.names.verify(ids)),
            ("urls", self.urls.verify(ids)),
            ("url_beginnings", self.url_beginnings.verify(ids)),
            ("tls_hosts", self.tls_hosts.verify(ids)),
            ("ja3", self.ja3.verify(ids)),
            ("ja3s", self.ja3s.verify(ids)),
            ("hassh", self.hassh.verify(ids)),
            ("hassh_server", self.hassh_server.verify(ids)),
            ("cert_md5", self.cert_md5.verify(ids)),
            ("cert_sha1", self.cert_sha1.verify(ids)),
            ("cert_sha256", self.cert_sha256.verify(ids)),
            ("ja4", self.ja4.verify(ids)),
            ("community_ids", self.community_ids.verify(ids)),
            ("user_agents", self.user_agents.verify(ids)),
            ("user_agent_parts", self.user_agent_parts.verify(ids)),
            ("ports", self.ports.verify(ids)),
        ];
        tables.into_iter().try_for_each(|(name, whole)| whole.map_err(|what| (name, what)))
    }

    fn visit(&mut self, shelf: &mut impl Shelf) {
        shelf.value(["index", "len"], &mut self.len);
        self.v4.visit("v4", shelf);
        self.v6.visit("v6", shelf);
        self.prefixes_v4.visit("prefixes_v4", shelf);
        self.prefixes_v6.visit("prefixes_v6", shelf);
        self.ends.visit("ends", shelf);
        self.ports.visit("ports", shelf);
        self.community_ids.visit("community_ids", shelf);
        self.names.visit("names", shelf);
        self.tls_hosts.visit("tls_hosts", shelf);
        self.ja3.visit("ja3", shelf);
        self.ja3s.visit("ja3s", shelf);
        self.ja4.visit("ja4", shelf);
        self.cert_md5.visit("cert_md5", shelf);
        self.cert_sha1.visit("cert_sha1", shelf);
        self.cert_sha256.visit("cert_sha256", shelf);
        self.hassh.visit("hassh", shelf);
        self.hassh_server.visit("hassh_server", shelf);
        self.urls.visit("urls", shelf);
        self.url_beginnings.visit("url_beginnings", shelf);
        self.user_agents.visit("user_agents", shelf);
        self.user_agent_parts.visit("user_agent_parts", shelf);
    }

    #[inline]
    fn probe(&self, address: Address) -> Option<u64> {
        match address.as_v4() {
            Some(v4) => self.v4.probe(&v4),
            None => self.v6.probe(&address.0),
        }
    }

    /// Finds the indicators of a probed address: itself, pairs, every prefix around it.
    #[inline]
    fn address(&self, address: Address, probe: Option<u64>, mut each: impl FnMut(Found)) {
        let whole_or_half = |(id, tag)| {
            let grade = if tag == HALF { Match::OneHalf } else { Match::Exact };
            Found { indicator: id, grade }
        };
        let inside = |id| Found { indicator: id, grade: Match::Cidr };
        match address.as_v4() {
            Some(v4) => {
                self.v4.find_probed(&v4, probe).map(whole_or_half).for_each(&mut each);
                self.prefixes_v4.find(u32::from_be_bytes(v4)).map(inside).for_each(each);
            }
            None => {
                self.v6.find_probed(&address.0, probe).map(whole_or_half).for_each(&mut each);
                self.prefixes_v6.find(u128::from_be_bytes(address.0)).map(inside).for_each(each);
            }
        }
    }

    fn url(&self, url: &ObservedUrl<'_>, other_port: u16, out: &mut Vec<Found>) {
        let graded = |grade| {
            move |row: Row| {
                let scheme = scheme_of(row.tag);
                let fits = (scheme == Scheme::Other || scheme == url.scheme)
                    && [0, url.port, other_port].contains(&row.port);
                fits.then_some(Found { indicator: row.id, grade })
            }
        };
        out.extend(self.urls.find(url.key).filter_map(graded(Match::Exact)));
        out.extend(self.urls.find(url.host).filter_map(graded(Match::HostOnly)));
        out.extend(self.url_beginnings.find(url.key).filter_map(graded(Match::Prefix)));
    }

    fn tls_host(&self, name: &[u8], port: u16, out: &mut Vec<Found>) {
        let rows = self.tls_hosts.find(name).filter(|row| row.port == 0 || row.port == port);
        out.extend(rows.map(|row| Found { indicator: row.id, grade: Match::HostOnly }));
    }

    fn user_agent(&self, text: &[u8], out: &mut Vec<Found>) {
        let rows = self.user_agents.find(text);
        out.extend(rows.map(|row| Found { indicator: row.id, grade: Match::Exact }));
        self.user_agent_parts.find(text, out);
    }

    fn digest(&self, kind: ObservationKind, bytes: &[u8], out: &mut Vec<Found>) {
        use ObservationKind as K;
        match kind {
            K::Ja3 => find_bytes(&self.ja3, bytes, out),
            K::Ja3s => find_bytes(&self.ja3s, bytes, out),
            K::Hassh => find_bytes(&self.hassh, bytes, out),
            K::HasshServer => find_bytes(&self.hassh_server, bytes, out),
            K::CertMd5 => find_bytes(&self.cert_md5, bytes, out),
            K::CertSha1 => find_bytes(&self.cert_sha1, bytes, out),
            K::CertSha256 => find_bytes(&self.cert_sha256, bytes, out),
            _ => {}
        }
    }
}

/// Collects patterns, then compiles them.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    index: Index,
    policy: Policy,
    seed: u64,
}

impl IndexBuilder {
    /// Returns a builder that takes what a policy looks for; the seed goes into all hashes.
    pub fn new(policy: &Policy, seed: u64) -> Self {
        Self { index: Index::default(), policy: policy.clone(), seed }
    }

    /// Takes an indicator; one that is not looked for is left out, and the answer says why.
    ///
    /// # Panics
    /// When there are more than half a thousand million indicators, or more than 4 GiB of their
    /// texts.
    pub fn add(&mut self, id: IndicatorId, pattern: &Pattern) -> Usage {
        assert!(id.0 <= INDICATORS_MAX, "more indicators than an index can number");
        let usage = pattern.usage(&self.policy);
        if usage != Usage::Matched {
            return usage;
        }
        let index = &mut self.index;
        index.len = index.len.saturating_add(1);
        match pattern {
            Pattern::Address(address) => add_address(index, *address, id, WHOLE),
            Pattern::Prefix(IpNet::V4(net)) => {
                index.prefixes_v4.add(net.network().to_bits(), net.prefix_len(), id);
            }
            Pattern::Prefix(IpNet::V6(net)) => {
                index.prefixes_v6.add(net.network().to_bits(), net.prefix_len(), id);
            }
            Pattern::AddressPort(address, port) => {
                index.ends.add(end_key(*address, *port), id, WHOLE);
            }
            Pattern::Domain(name) => index.names.add_domain(name, id),
            Pattern::Hostname(name) => index.names.add_hostname(name, id),
            Pattern::DomainIp(name, address) => {
                index.names.add_pair(name, id);
                if !pattern.is_name_alone(&self.policy) {
                    add_address(index, *address, id, HALF);
                }
            }
            Pattern::HostnamePort(name, port) => index.names.add_with_port(name, *port, id),
            Pattern::Url(url) => add_url(index, url, id, self.policy.tls_url_hosts),
            Pattern::Digest(kind, digest) => add_digest(index, *kind, digest, id),
            Pattern::Ja4(ja4) => index.ja4.add(ja4.0, id, WHOLE),
            Pattern::CommunityId(CommunityId(key)) => {
                index.community_ids.add(*key, id, WHOLE);
            }
            Pattern::UserAgent(text) if text.contains('*') => index.user_agent_parts.add(text, id),
            Pattern::UserAgent(text) => index.user_agents.add(text, id, WHOLE, 0),
            Pattern::Port(port) => index.ports.add(port.to_be_bytes(), id, WHOLE),
            Pattern::MacAddress(_)
            | Pattern::As(_)
            | Pattern::Cookie(_)
            | Pattern::HttpMethod(_) => return Usage::NotYetObserved,
        }
        usage
    }

    /// Compiles what was taken, the tables side by side on all cores.
    ///
    /// # Errors
    /// When the user agents with `*` are more than one automaton can hold.
    pub fn build(self) -> Result<Index, IndexError> {
        let (mut whole, seed) = (self.index, self.seed);
        let index = &mut whole;
        let mut parts = Ok(());
        rayon::scope(|scope| {
            scope.spawn(|_| index.names.finish(seed));
            scope.spawn(|_| index.urls.finish(seed));
            scope.spawn(|_| index.tls_hosts.finish(seed));
            scope.spawn(|_| index.v4.finish(seed));
            scope.spawn(|_| index.v6.finish(seed));
            scope.spawn(|_| index.ends.finish(seed));
            scope.spawn(|_| index.prefixes_v4.finish());
            scope.spawn(|_| index.prefixes_v6.finish());
            scope.spawn(|_| index.ja3.finish(seed));
            scope.spawn(|_| index.ja3s.finish(seed));
            scope.spawn(|_| index.hassh.finish(seed));
            scope.spawn(|_| index.hassh_server.finish(seed));
            scope.spawn(|_| index.cert_md5.finish(seed));
            scope.spawn(|_| index.cert_sha1.finish(seed));
            scope.spawn(|_| index.cert_sha256.finish(seed));
            scope.spawn(|_| index.ja4.finish(seed));
            scope.spawn(|_| index.community_ids.finish(seed));
            scope.spawn(|_| index.user_agents.finish(seed));
            scope.spawn(|_| index.ports.finish(seed));
            scope.spawn(|_| index.url_beginnings.finish(seed));
            scope.spawn(|_| parts = index.user_agent_parts.finish(seed));
        });
        parts.map(|()| whole)
    }
}

/// Why indicators could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Too many of them.
    #[error("user agents with `*` of over {SUBSTRINGS_BYTES_MAX} bytes together")]
    TooManySubstrings,
    /// Too many for their automaton.
    #[error("too many user agents with `*` for one automaton")]
    Patterns(#[source] aho_corasick::BuildError),
}

fn add_address(index: &mut Index, address: Address, id: IndicatorId, tag: Tag) {
    match address.to_ip() {
        IpAddr::V4(v4) => index.v4.add(v4.octets(), id, tag),
        IpAddr::V6(v6) => index.v6.add(v6.octets(), id, tag),
    }
}

fn add_url(index: &mut Index, url: &UrlPattern, id: IndicatorId, tls_hosts: bool) {
    let (scheme, port) = (url.scheme(), url.port().unwrap_or(0));
    match url.shape() {
        UrlShape::Exact | UrlShape::HostOnly => {
            index.urls.add(url.key(), id, scheme_tag(scheme), port);
        }
        UrlShape::Prefix => {
            index.url_beginnings.add(url.key(), id, scheme_tag(scheme), port);
        }
    }
    if tls_hosts && scheme != Scheme::Http {
        index.tls_hosts.add(url.host(), id, WHOLE, port);
    }
}

fn add_digest(index: &mut Index, kind: ObservationKind, digest: &Digest, id: IndicatorId) {
    use ObservationKind as K;
    match (kind, *digest) {
        (K::Ja3, Digest::Md5(key)) => index.ja3.add(key, id, WHOLE),
        (K::Ja3s, Digest::Md5(key)) => index.ja3s.add(key, id, WHOLE),
        (K::Hassh, Digest::Md5(key)) => index.hassh.add(key, id, WHOLE),
        (K::HasshServer, Digest::Md5(key)) => index.hassh_server.add(key, id, WHOLE),
        (K::CertMd5, Digest::Md5(key)) => index.cert_md5.add(key, id, WHOLE),
        (K::CertSha1, Digest::Sha1(key)) => index.cert_sha1.add(key, id, WHOLE),
        (K::CertSha256, Digest::Sha256(key)) => index.cert_sha256.add(key, id, WHOLE),
        _ => {}
    }
}

fn exact((id, _): (IndicatorId, Tag)) -> Found {
    Found { indicator: id, grade: Match::Exact }
}

fn find_bytes<const N: usize>(keys: &Keys<N>, bytes: &[u8], out: &mut Vec<Found>) {
    let key = <[u8; N]>::try_from(bytes);
    out.extend(key.iter().flat_map(|key| keys.find(key)).map(exact));
}

fn end_key(address: Address, port: u16) -> [u8; 18] {
    let mut key = [0; 18];
    let (ip, tail) = key.split_at_mut(16);
    ip.copy_from_slice(&address.0);
    tail.copy_from_slice(&port.to_be_bytes());
    key
}

fn scheme_tag(scheme: Scheme) -> Tag {
    match scheme {
        Scheme::Other => Tag(0),
        Scheme::Http => Tag(1),
        Scheme::Https => Tag(2),
    }
}

fn scheme_of(tag: Tag) -> Scheme {
    match tag {
        Tag(1) => Scheme::Http,
        Tag(2) => Scheme::Https,
        _ => Scheme::Other,
    }
}
