//! From a hit and its indicator's stories to an alert.

use std::fmt::Write;

use sha2::Digest;
use sha2::Sha256;

use crate::model::batch::Batch;
use crate::model::community_id::CommunityId;
use crate::model::flow::FlowView;
use crate::model::flow::Side;
use crate::model::hit::Hit;
use crate::model::indicator::IndicatorType;
use crate::model::observation::ObservationKind;
use crate::model::observation::Place;
use crate::model::packet::protocol;
use crate::model::story::Source;
use crate::model::time::Timestamp;
use crate::model::validity::Validity;
use crate::report::alert::*;
use crate::report::observation::flow_value;
use crate::report::threat;

/// What an alert needs beside its hit.
#[derive(Default)]
pub struct Context<'a> {
    /// Names of the inputs, in the order of their index; empty for live sources.
    pub files: &'a [String],
    /// The sensor's name; `None` in a replay, whose alerts depend on nothing but its input.
    pub sensor: Option<&'a str>,
    /// How old an indicator may be at its packet.
    pub validity: Validity,
}

/// Why a hit gives no alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoAlert {
    /// This build does not know its indicator's type: a later one compiled the set.
    Unknown,
    /// The time of all its sources is over.
    Expired,
}

/// Returns the alert of a hit.
///
/// # Errors
/// Why there is none.
pub fn alert(hit: &Hit, batch: &Batch, context: &Context<'_>) -> Result<Alert, NoAlert> {
    let catalog = batch.catalog.as_ref().ok_or(NoAlert::Unknown)?;
    let mut sources = catalog.sources(hit.found.indicator);
    if threat::age(&mut sources, hit.time, context.validity) {
        return Err(NoAlert::Expired);
    }
    told(hit, batch, context, sources).ok_or(NoAlert::Unknown)
}

fn told(hit: &Hit, batch: &Batch, context: &Context<'_>, sources: Vec<Source>) -> Option<Alert> {
    let id = hit.found.indicator;
    let catalog = batch.catalog.as_ref()?;
    let (ty, misp_value) = catalog.indicator(id)?;
    let canonical = catalog.canonical(id)?;
    let value = match hit.kind {
        ObservationKind::Flow => flow_value(&hit.flow),
        _ => text(batch.bytes(hit.value)),
    };
    let mut values = vec![(hit.kind, value.clone())];
    values.extend(batch.related(hit).map(|(kind, bytes)| (kind, text(bytes))));
    let first = sources.first();
    let file = context.files.get(usize::try_from(hit.frame.file()).ok()?);
    let is_live = context.sensor.is_some();
    Some(Alert {
        timestamp: rfc3339(hit.time),
        ecs: Ecs { version: ECS_VERSION },
        event: event(hit, ty, &canonical),
        message: message(hit, ty, misp_value, first, &value),
        source: end(&hit.flow, Side::Orig),
        destination: end(&hit.flow, Side::Resp),
        network: network(&hit.flow, hit.place),
        tls: tls(&values),
        dns: dns(&values),
        url: url(&values),
        user_agent: one(&values, ObservationKind::HttpUserAgent)
            .map(|original| UserAgent { original }),
        threat: threat::threat(ty, (misp_value, &canonical), &sources),
        observer: Observer {
            kind: "sensor",
            vendor: "tapsieve",
            version: env!("CARGO_PKG_VERSION"),
            name: context.sensor.map(str::to_owned),
        },
        tags: threat::tags(&sources),
        tapsieve: Own {
            schema: SCHEMA,
            indicator: MispIndicator { kind: ty.name(), value: misp_value.to_owned() },
            tlp: threat::tlp(&sources),
            pap: threat::pap(&sources),
            warninglists: threat::warninglists(&sources),
            quarantine: None,
            timing: threat::timing(&sources, hit.time, context.validity),
            sources: sources.into_iter().map(threat::source).collect(),
            observed: Observed {
                kind: hit.kind.name(),
                place: hit.place.name(),
                value,
                side: hit.side.name(),
                file: file.cloned(),
                packet: (!is_live).then(|| hit.frame.number()),
            },
            grade: hit.found.grade.name(),
            late: hit.is_late,
            set: Set { version: catalog.version().to_owned() },
        },
    })
}

/// Makes an alert the last one of its indicator.
pub fn quarantine(alert: &mut Alert, quarantine: Quarantine) {
    let Quarantine { hosts, window_secs } = quarantine;
    let _cannot_fail = write!(
        alert.message,
        "; the indicator is in quarantine, as it alerted for {hosts} hosts within {window_secs} s: \
         what follows is counted, not sent"
    );
    alert.tapsieve.quarantine = Some(quarantine);
}

/// Returns observed bytes as text: what is not UTF-8 as `\xNN`. (JSON escapes control characters.)
pub fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _cannot_fail = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Returns RFC 3339 in UTC with nanoseconds.
pub fn rfc3339(time: Timestamp) -> String {
    let nanos = i128::from(time.0);
    match jiff::Timestamp::from_nanosecond(nanos) {
        Ok(stamp) => format!("{stamp:.9}"),
        Err(_) => String::from("2554-07-21T23:34:33.709551615Z"),
    }
}

/// The id of an alert: a hash of what makes it one (contract §4).
fn event(hit: &Hit, ty: IndicatorType, canonical: &str) -> Event {
    let mut sha = Sha256::new();
    for part in [ty.name().as_bytes(), canonical.as_bytes()] {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    let key = &hit.flow.key;
    sha.update(key.low.0);
    sha.update(key.low_port.to_be_bytes());
    sha.update(key.high.0);
    sha.update(key.high_port.to_be_bytes());
    sha.update([key.protocol]);
    for id in key.vlans.ids() {
        sha.update(id.to_be_bytes());
    }
    sha.update(hit.flow.first.0.to_be_bytes());
    sha.update(hit.place.name());
    Event {
        id: hex(sha.finalize().get(..16).unwrap_or_default()),
        kind: "alert",
        category: ["threat", "network"],
        kinds: ["indicator"],
        module: "tapsieve",
        dataset: "tapsieve.alert",
    }
}

/// Returns lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _cannot_fail = write!(out, "{byte:02x}");
    }
    out
}

fn message(
    hit: &Hit,
    ty: IndicatorType,
    value: &str,
    first: Option<&Source>,
    seen: &str,
) -> String {
    let mut out = format!("{} {value}", ty.name());
    if let Some(source) = first {
        let label = match (source.event_id, &source.info, &source.provider) {
            (Some(id), Some(info), _) => format!(" (MISP event {id} “{info}”)"),
            (None, Some(info), _) => format!(" (“{info}”)"),
            (_, None, Some(provider)) => format!(" ({provider})"),
            (Some(id), None, None) => format!(" (MISP event {id})"),
            (None, None, None) => String::new(),
        };
        out.push_str(&label);
    }
    let (from, _) = hit.flow.end(hit.side);
    let (to, _) = hit.flow.end(hit.side.opposite());
    let _cannot_fail = match hit.place {
        Place::Flow => {
            let (orig, _) = hit.flow.end(Side::Orig);
            let (resp, port) = hit.flow.end(Side::Resp);
            write!(out, " in a flow from {orig} to {resp} port {port}")
        }
        Place::DnsAnswer | Place::DnsAnswerName => {
            write!(out, " seen as {} {seen} sent to {to}", place_words(hit.place))
        }
        place => write!(out, " seen as {} {seen} from {from}", place_words(place)),
    };
    out
}

fn place_words(place: Place) -> &'static str {
    match place {
        Place::Flow => "flow",
        Place::DnsQuestion => "DNS question",
        Place::DnsAnswer => "DNS answer",
        Place::DnsAnswerName => "name in a DNS answer",
        Place::TlsSni => "TLS SNI",
        Place::QuicSni => "QUIC SNI",
        Place::TlsClientHello => "TLS client fingerprint",
        Place::QuicClientHello => "QUIC client fingerprint",
        Place::TlsServerHello => "TLS server fingerprint",
        Place::TlsCertificate => "TLS certificate",
        Place::HttpHost => "HTTP Host",
        Place::HttpUrl => "URL",
        Place::HttpUserAgent => "HTTP user agent",
        Place::SshBanner => "SSH banner",
        Place::SshKexinit => "SSH key exchange",
    }
}

fn end(flow: &FlowView, side: Side) -> End {
    let (address, port) = flow.end(side);
    End { ip: address.to_string(), port: protocol::has_ports(flow.key.protocol).then_some(port) }
}

/// Returns the name of a transport protocol.
pub fn transport_name(number: u8) -> Option<&'static str> {
    Some(match number {
        protocol::TCP => "tcp",
        protocol::UDP => "udp",
        protocol::ICMP => "icmp",
        protocol::ICMPV6 => "ipv6-icmp",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        132 => "sctp",
        _ => return None,
    })
}

fn network(flow: &FlowView, place: Place) -> Network {
    let mut ids = flow.key.vlans.ids().map(|id| Vlan { id: id.to_string() });
    Network {
        transport: transport_name(flow.key.protocol),
        iana_number: flow.key.protocol.to_string(),
        protocol: match place.name().split('.').next() {
            Some("flow") | None => None,
            name => name,
        },
        family: if flow.key.low.as_v4().is_some() && flow.key.high.as_v4().is_some() {
            "ipv4"
        } else {
            "ipv6"
        },
        community_id: CommunityId::of(&flow.key).map(|id| id.to_string()),
        vlan: ids.next(),
        inner: ids.next().map(|vlan| Inner { vlan }),
    }
}

type Values = [(ObservationKind, String)];

fn one(values: &Values, kind: ObservationKind) -> Option<String> {
    values.iter().find(|(k, _)| *k == kind).map(|(_, value)| value.clone())
}

fn tls(values: &Values) -> Option<Tls> {
    use ObservationKind as K;
    let client = TlsClient {
        server_name: one(values, K::TlsSni).or_else(|| one(values, K::QuicSni)),
        ja3: one(values, K::Ja3),
    };
    let upper = |kind| one(values, kind).map(|hex| hex.to_uppercase());
    let hash = CertificateHash {
        md5: upper(K::CertMd5),
        sha1: upper(K::CertSha1),
        sha256: upper(K::CertSha256),
    };
    let hash = (hash.md5.is_some() || hash.sha1.is_some() || hash.sha256.is_some()).then_some(hash);
    let server = TlsServer { ja3s: one(values, K::Ja3s), hash };
    let client = (client.server_name.is_some() || client.ja3.is_some()).then_some(client);
    let server = (server.ja3s.is_some() || server.hash.is_some()).then_some(server);
    (client.is_some() || server.is_some()).then_some(Tls { client, server })
}

fn dns(values: &Values) -> Option<Dns> {
    let question = one(values, ObservationKind::DnsQuery).map(|name| DnsQuestion { name });
    let answers = values.iter().filter(|(kind, _)| *kind == ObservationKind::DnsAnswer);
    let mut resolved_ip: Vec<String> = answers.map(|(_, value)| value.clone()).collect();
    resolved_ip.sort();
    resolved_ip.dedup();
    (question.is_some() || !resolved_ip.is_empty()).then_some(Dns { question, resolved_ip })
}

fn url(values: &Values) -> Option<Url> {
    let full = one(values, ObservationKind::HttpUrl);
    let domain = one(values, ObservationKind::HttpHost);
    (full.is_some() || domain.is_some()).then_some(Url { full, domain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_escaped() {
        assert_eq!(text(b"a\xffb\xc3\xa9"), "a\\xffb\u{e9}");
    }

    #[test]
    fn times_have_nine_digits() {
        let time = Timestamp::new(1_718_000_000, 706_122_000);
        assert_eq!(rfc3339(time), "2024-06-10T06:13:20.706122000Z");
        assert_eq!(rfc3339(Timestamp(u64::MAX)), "2554-07-21T23:34:33.709551615Z");
    }
}
