//! The alert as users get it: one JSON object a line, field names of the Elastic Common Schema
//! (contract §4).
//!
//! `docs/alert.schema.json` is made from these types. Fields are added, never renamed; unknown
//! values are left out.

use schemars::JsonSchema;
use serde::Serialize;

/// Version of the Elastic Common Schema whose names are used.
pub const ECS_VERSION: &str = "9.2.0";

/// Version of what is under `tapsieve`.
pub const SCHEMA: u32 = 1;

/// An indicator seen in traffic.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct Alert {
    /// Time of the frame that completed the value, RFC 3339 with nanoseconds.
    #[serde(rename = "@timestamp")]
    pub timestamp: String,
    /// The schema's version.
    pub ecs: Ecs,
    /// What kind of record this is.
    pub event: Event,
    /// The alert in one sentence.
    pub message: String,
    /// The flow's opener.
    pub source: End,
    /// The other end of the flow.
    pub destination: End,
    /// The flow.
    pub network: Network,
    /// TLS values of the same message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// DNS values of the same message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    /// URL of the same request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
    /// User agent of the same request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<UserAgent>,
    /// The indicator, as its first source tells it.
    pub threat: Threat,
    /// What saw it.
    pub observer: Observer,
    /// Tags of all sources, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What the Elastic Common Schema has no name for.
    pub tapsieve: Own,
}

/// The schema's version.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct Ecs {
    /// Version of the Elastic Common Schema.
    pub version: &'static str,
}

/// What kind of record this is.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct Event {
    /// 32 hex digits: the same for the same indicator, flow and place, in every replay.
    pub id: String,
    /// Always `alert`.
    pub kind: &'static str,
    /// Always `threat` and `network`.
    pub category: [&'static str; 2],
    /// Always `indicator`.
    #[serde(rename = "type")]
    pub kinds: [&'static str; 1],
    /// Always `tapsieve`.
    pub module: &'static str,
    /// Always `tapsieve.alert`.
    pub dataset: &'static str,
}

/// One end of a flow.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct End {
    /// Address.
    pub ip: String,
    /// Port, where the protocol has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// A flow.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct Network {
    /// Transport protocol: `tcp`, `udp`, `icmp`, `ipv6-icmp`, or nothing for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<&'static str>,
    /// IANA number of the transport protocol.
    pub iana_number: String,
    /// Application protocol that showed the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<&'static str>,
    /// `ipv4` or `ipv6`.
    #[serde(rename = "type")]
    pub family: &'static str,
    /// Community ID, version 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub community_id: Option<String>,
    /// Outermost VLAN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Vlan>,
    /// The next inner VLAN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner: Option<Inner>,
}

/// What a VLAN tag holds.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct Inner {
    /// The tag inside the outermost.
    pub vlan: Vlan,
}

/// A VLAN.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct Vlan {
    /// Its identifier.
    pub id: String,
}

/// TLS values.
#[derive(Serialize, JsonSchema, Debug, Clone, Default)]
pub struct Tls {
    /// Of the client's hello.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<TlsClient>,
    /// Of the server's hello and certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<TlsServer>,
}

/// Values of a ClientHello.
#[derive(Serialize, JsonSchema, Debug, Clone, Default)]
pub struct TlsClient {
    /// Server name that the client asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// JA3 digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ja3: Option<String>,
}

/// Values of a ServerHello and of a certificate.
#[derive(Serialize, JsonSchema, Debug, Clone, Default)]
pub struct TlsServer {
    /// JA3S digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ja3s: Option<String>,
    /// Digests of the certificate that the value belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<CertificateHash>,
}

/// Digests of a certificate, upper-case hex as the schema asks.
#[derive(Serialize, JsonSchema, Debug, Clone, Default)]
pub struct CertificateHash {
    /// MD5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// SHA-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
    /// SHA-256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// DNS values.
#[derive(Serialize, JsonSchema, Debug, Clone, Default)]
pub struct Dns {
    /// The question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<DnsQuestion>,
    /// Addresses of the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolved_ip: Vec<String>,
}

/// A DNS question.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct DnsQuestion {
    /// The name asked for.
    pub name: String,
}

/// A URL.
#[derive(Serialize, JsonSchema, Debug, Clone, Default)]
pub struct Url {
    /// Absolute, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<String>,
    /// Its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// A user agent.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct UserAgent {
    /// As sent.
    pub original: String,
}

/// The indicator, as its first source tells it.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct Threat {
    /// The indicator.
    pub indicator: ThreatIndicator,
    /// What techniques are of: `MITRE ATT&CK`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framework: Option<&'static str>,
    /// An actor, of the galaxies of all sources the first; `tags` has all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Named>,
    /// Its software, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software: Option<Named>,
    /// Its techniques.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub technique: Option<Technique>,
}

/// An actor or a software.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct Named {
    /// MITRE's identifier, as `G0007`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    pub name: String,
}

/// Techniques; each name has the place of its id.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct Technique {
    /// Identifiers, as `T1192`.
    pub id: Vec<String>,
    /// Names.
    pub name: Vec<String>,
}

/// An indicator in the schema's words.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct ThreatIndicator {
    /// STIX type: `ipv4-addr`, `domain-name`, `url` ...
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The value.
    pub name: String,
    /// Its address, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Who provides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// First seen, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<String>,
    /// Last seen, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// Last change, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<String>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `None`, `Low`, `Medium` or `High`: the least that its tags say, and low where a warninglist
    /// has it that downgrades.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<&'static str>,
    /// How often it was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sightings: Option<u32>,
    /// Who may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub marking: Option<Marking>,
}

/// Who may see an indicator.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct Marking {
    /// Traffic light protocol: the strictest of its tags.
    pub tlp: String,
    /// Version of the protocol.
    pub tlp_version: &'static str,
}

/// What saw it.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct Observer {
    /// Always `sensor`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Always `tapsieve`.
    pub vendor: &'static str,
    /// Version of the program.
    pub version: &'static str,
    /// The sensor's name; not in a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What the Elastic Common Schema has no name for.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct Own {
    /// Version of this part.
    pub schema: u32,
    /// The indicator in MISP's words.
    pub indicator: MispIndicator,
    /// Traffic light protocol: the strictest of all sources, who may see this alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tlp: Option<&'static str>,
    /// Permissible actions protocol: the strictest of all sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pap: Option<&'static str>,
    /// Warninglists that have the indicator: it may be harmless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warninglists: Vec<Listed>,
    /// Where the packet lies among the times at which sources saw the indicator: `within`,
    /// `before_first_seen` or `after_last_seen`; only where they tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timing: Option<&'static str>,
    /// The last alert of this indicator: it alerted for so many hosts that it is in quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Quarantine>,
    /// Every attribute that gave it, sorted.
    pub sources: Vec<MispSource>,
    /// What was seen.
    pub observed: Observed,
    /// How well it fits.
    #[serde(rename = "match")]
    pub grade: &'static str,
    /// The flow was open before the indicator was in force; only then, and only from a sensor.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub late: bool,
    /// The indicator set that matched.
    pub set: Set,
}

/// An indicator in MISP's words.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct MispIndicator {
    /// Attribute type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Value as MISP has it.
    pub value: String,
}

/// Why an indicator is in quarantine: what follows is counted, not sent.
#[derive(Serialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarantine {
    /// Hosts of the site that it alerted for.
    pub hosts: u64,
    /// Seconds within which it did.
    pub window_secs: u32,
}

/// A warninglist that has an indicator.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it does: `downgrade` or `inform`.
    pub action: &'static str,
}

/// An attribute that gave an indicator.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct MispSource {
    /// Attribute UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// Event UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Event number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<u64>,
    /// What the event is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<String>,
    /// Organisation that made the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    /// Feed, server or file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The attribute's comment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// First seen, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<String>,
    /// Last seen, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// How sure it is, from 0 to 100: the least that its tags say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<u8>,
    /// How many have seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sightings: Option<u32>,
    /// How many call it a false positive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_positives: Option<u32>,
    /// By all of MISP's decaying models its time is over.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub decayed: bool,
    /// Tags of attribute and event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// What was seen.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct Observed {
    /// Kind of observation.
    pub kind: &'static str,
    /// Place of observation.
    pub place: &'static str,
    /// The value seen.
    pub value: String,
    /// Who sent it: `opener` or `responder`.
    pub side: &'static str,
    /// The input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The 1-based frame in it that completed the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet: Option<u64>,
}

/// An indicator set.
#[derive(Serialize, JsonSchema, Debug, Clone)]
pub struct Set {
    /// Hash of its canonical contents.
    pub version: String,
}
