//! What the sources of an indicator say of it, in the schema's words: markings, confidence, actors,
//! techniques, and what is said of it here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::Ipv6Addr;

use jiff::Timestamp as Time;

use crate::model::confidence;
use crate::model::indicator::IndicatorType;
use crate::model::mark::Mark;
use crate::model::mark::Said;
use crate::model::marking::Pap;
use crate::model::marking::Tlp;
use crate::model::story::Source;
use crate::model::time::Timestamp;
use crate::model::validity::AsOf;
use crate::model::validity::Validity;
use crate::report::alert::*;

/// Confidence of a source whose value a warninglist has that downgrades it, at most.
const DOWNGRADED_MAX: u8 = 10;

/// Galaxies of software, as MISP names them.
const SOFTWARE: &[&str] = &[
    "android",
    "backdoor",
    "banker",
    "botnet",
    "cryptominers",
    "exploit-kit",
    "malpedia",
    "mitre-malware",
    "mitre-tool",
    "ransomware",
    "rat",
    "stealer",
    "tool",
];

/// Returns what is said of a source's attribute here.
fn said(source: &Source) -> Said<'_> {
    Said::of(source.tags.iter().map(String::as_str))
}

/// Leaves out the sources whose time is over at a packet's, as they say or as the operator does;
/// returns whether none is left of some.
pub(super) fn age(sources: &mut Vec<Source>, at: Timestamp, validity: Validity) -> bool {
    if validity.as_of != AsOf::Packet || sources.is_empty() {
        return false;
    }
    let secs = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<Time>().ok());
    sources.retain(|source| {
        let last = secs(&source.last_seen).or_else(|| secs(&source.modified));
        let last = last.and_then(|last| u32::try_from(last.as_second()).ok()).unwrap_or(0);
        let end = said(source).valid_until.and_then(|end| end.parse::<Time>().ok());
        let has_ended = end.is_some_and(|end| end.as_nanosecond() < i128::from(at.0));
        !has_ended && !validity.is_over(last, at.secs())
    });
    sources.is_empty()
}

/// Says where a packet lies among the times at which the sources saw the indicator.
pub(super) fn timing(
    sources: &[Source],
    at: Timestamp,
    validity: Validity,
) -> Option<&'static str> {
    if validity.as_of != AsOf::Packet {
        return None;
    }
    let nanos = |text: &Option<String>| {
        let time = text.as_ref()?.parse::<Time>().ok()?;
        u64::try_from(time.as_nanosecond()).ok()
    };
    let one = |source: &Source| {
        let (first, last) = (nanos(&source.first_seen), nanos(&source.last_seen));
        match (first, last) {
            (None, None) => None,
            (Some(first), _) if at.0 < first => Some("before_first_seen"),
            (_, Some(last)) if at.0 > last => Some("after_last_seen"),
            _ => Some("within"),
        }
    };
    let told = sources.iter().filter_map(one).collect::<BTreeSet<_>>();
    // "within" of one source counts more than what others say, and it sorts last
    told.iter()
        .next_back()
        .copied()
        .filter(|last| *last == "within" || told.len() == 1)
        .or_else(|| told.contains("after_last_seen").then_some("after_last_seen"))
}

/// Returns the indicator as its first source tells it, and the actors and techniques of all.
pub(super) fn threat(
    ty: IndicatorType,
    (value, canonical): (&str, &str),
    sources: &[Source],
) -> Threat {
    let first = sources.first();
    let of = |field: fn(&Source) -> &Option<String>| first.and_then(|s| field(s).clone());
    let ip = canonical.split('|').find_map(|half| half.parse::<IpAddr>().ok());
    let is_v6 = canonical.split(['|', '/']).any(|part| part.parse::<Ipv6Addr>().is_ok());
    let indicator = ThreatIndicator {
        kind: stix_type(ty, is_v6),
        name: value.to_owned(),
        ip: ip.map(|ip| ip.to_string()),
        provider: of(|s| &s.provider),
        first_seen: of(|s| &s.first_seen),
        last_seen: of(|s| &s.last_seen),
        modified_at: of(|s| &s.modified),
        description: of(|s| &s.info),
        confidence: first.and_then(confidence_of).map(confidence::word),
        sightings: first.and_then(|source| said(source).sightings),
        marking: first
            .and_then(|source| tlp(std::slice::from_ref(source)))
            .map(|tlp| Marking { tlp: tlp.to_owned(), tlp_version: "2.0" }),
    };
    let Galaxies { group, software, techniques } = Galaxies::of(sources);
    let framework = (!techniques.is_empty()).then_some("MITRE ATT&CK");
    let (id, name) = techniques.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
    let technique = framework.map(|_| Technique { id, name });
    Threat { indicator, framework, group, software, technique }
}

/// What the galaxies of an indicator name.
#[derive(Default)]
struct Galaxies {
    group: Option<Named>,
    software: Option<Named>,
    /// By id, so that each is there once.
    techniques: BTreeMap<String, String>,
}

impl Galaxies {
    fn of(sources: &[Source]) -> Self {
        let mut galaxies = Self::default();
        for (galaxy, cluster) in sources.iter().flat_map(|s| &s.tags).filter_map(|tag| cluster(tag))
        {
            let named = Named::of(cluster);
            if galaxy.ends_with("attack-pattern") {
                if let Some(id) = named.id {
                    galaxies.techniques.insert(id, named.name);
                }
            } else if galaxy.ends_with("threat-actor") || galaxy.ends_with("intrusion-set") {
                galaxies.group.get_or_insert(named);
            } else if SOFTWARE.contains(&galaxy) {
                galaxies.software.get_or_insert(named);
            }
        }
        galaxies
    }
}

impl Named {
    /// Parts a cluster's name from its MITRE id: `APT28 - G0007`.
    fn of(cluster: &str) -> Self {
        let is_id = |id: &str| {
            let digits = id.strip_prefix(['G', 'S', 'T']).unwrap_or_default();
            digits.starts_with(|c: char| c.is_ascii_digit())
        };
        match cluster.rsplit_once(" - ").filter(|(_, id)| is_id(id)) {
            Some((name, id)) => Self { id: Some(id.to_owned()), name: name.to_owned() },
            None => Self { id: None, name: cluster.to_owned() },
        }
    }
}

/// Returns galaxy and cluster of a tag, as `misp-galaxy:threat-actor="APT28"`.
fn cluster(tag: &str) -> Option<(&str, &str)> {
    let (galaxy, cluster) = tag.strip_prefix("misp-galaxy:")?.split_once('=')?;
    Some((galaxy, cluster.trim_matches('"')))
}

/// The schema's word for what an indicator is (STIX 2.1 cyber observable types).
fn stix_type(ty: IndicatorType, v6: bool) -> &'static str {
    use IndicatorType as T;
    match ty {
        T::IpSrc | T::IpDst | T::IpSrcPort | T::IpDstPort if v6 => "ipv6-addr",
        T::IpSrc | T::IpDst | T::IpSrcPort | T::IpDstPort => "ipv4-addr",
        T::Domain | T::Hostname | T::DomainIp | T::HostnamePort => "domain-name",
        T::Url | T::Uri => "url",
        T::X509Md5 | T::X509Sha1 | T::X509Sha256 => "x509-certificate",
        T::MacAddress => "mac-addr",
        T::As => "autonomous-system",
        T::UserAgent | T::Cookie | T::HttpMethod => "http-request",
        T::Ja3 | T::Ja3s | T::Ja4 | T::Hassh | T::HasshServer | T::CommunityId | T::Port => {
            "network-traffic"
        }
    }
}

/// Returns the strictest TLP of some sources.
pub(super) fn tlp(sources: &[Source]) -> Option<&'static str> {
    Tlp::strictest(each_tag(sources)).map(Tlp::name)
}

/// Returns the strictest PAP of some sources.
pub(super) fn pap(sources: &[Source]) -> Option<&'static str> {
    Pap::strictest(each_tag(sources)).map(Pap::name)
}

/// Returns the warninglists that have the indicator, by name, each with what it does.
pub(super) fn warninglists(sources: &[Source]) -> Vec<Listed> {
    let list = |tag| match Mark::of(tag)? {
        Mark::Downgraded(name) => Some((name, "downgrade")),
        Mark::Informed(name) => Some((name, "inform")),
        _ => None,
    };
    let lists = each_tag(sources).filter_map(list).collect::<BTreeSet<_>>();
    lists.into_iter().map(|(name, action)| Listed { name: name.to_owned(), action }).collect()
}

/// Returns the tags of all sources, sorted.
pub(super) fn tags(sources: &[Source]) -> Vec<String> {
    let all = each_tag(sources).filter(|tag| Mark::of(tag).is_none());
    all.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}

fn each_tag(sources: &[Source]) -> impl Iterator<Item = &str> {
    sources.iter().flat_map(|source| &source.tags).map(String::as_str)
}

fn confidence_of(source: &Source) -> Option<u8> {
    let said = said(source);
    let of_tags = confidence::of(source.tags.iter().map(String::as_str));
    let told = of_tags.into_iter().chain(said.confidence).min();
    match said.is_downgraded {
        true => Some(told.unwrap_or(DOWNGRADED_MAX).min(DOWNGRADED_MAX)),
        false => told,
    }
}

/// Returns a source as alerts tell it.
pub(super) fn source(source: Source) -> MispSource {
    let confidence = confidence_of(&source);
    let Said { is_decayed, sightings, false_positives, .. } = said(&source);
    let mut tags = source.tags;
    tags.retain(|tag| Mark::of(tag).is_none());
    MispSource {
        attribute: source.attribute,
        event: source.event,
        event_id: source.event_id,
        info: source.info,
        org: source.org,
        provider: source.provider,
        comment: source.comment,
        first_seen: source.first_seen,
        last_seen: source.last_seen,
        confidence,
        sightings,
        false_positives,
        decayed: is_decayed,
        tags,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tags: &[&str]) -> Source {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Source { tags, ..Source::default() }
    }

    #[test]
    fn galaxies_name_actors_software_and_techniques() {
        let sources = [
            told(&["misp-galaxy:mitre-attack-pattern=\"Spearphishing Link - T1192\"", "x"]),
            told(&[
                "misp-galaxy:mitre-attack-pattern=\"Spearphishing Link - T1192\"",
                "misp-galaxy:mitre-intrusion-set=\"APT28 - G0007\"",
                "misp-galaxy:rat=\"Poison - Ivy\"",
            ]),
        ];
        let threat = threat(IndicatorType::Domain, ("a.example", "a.example"), &sources);
        let group = threat.group.map(|group| (group.name, group.id));
        assert_eq!(group, Some(("APT28".to_owned(), Some("G0007".to_owned()))));
        let software = threat.software.map(|software| (software.name, software.id));
        assert_eq!(software, Some(("Poison - Ivy".to_owned(), None)));
        let technique = threat.technique.map(|technique| (technique.id, technique.name));
        let want = (vec!["T1192".to_owned()], vec!["Spearphishing Link".to_owned()]);
        assert_eq!((technique, threat.framework), (Some(want), Some("MITRE ATT&CK")));
    }

    #[test]
    fn what_is_said_here_is_no_tag_of_misp() {
        let sources = [told(&[
            "misp:confidence-level=\"completely-confident\"",
            "tapsieve:decayed",
            "tapsieve:sightings=\"3\"",
            "tapsieve:warninglist-downgrade=\"B\"",
            "tapsieve:warninglist-inform=\"A\"",
            "tlp:red",
        ])];
        let lists = warninglists(&sources).into_iter().map(|list| (list.name, list.action));
        let want = [("A".to_owned(), "inform"), ("B".to_owned(), "downgrade")];
        assert_eq!(lists.collect::<Vec<_>>(), want);
        assert_eq!(tags(&sources), ["misp:confidence-level=\"completely-confident\"", "tlp:red"]);
        let threat = threat(IndicatorType::Domain, ("a.example", "a.example"), &sources);
        assert_eq!(
            (threat.indicator.confidence, threat.indicator.sightings),
            (Some("Low"), Some(3))
        );
        let [only] = sources;
        let told = source(only);
        assert_eq!((told.confidence, told.decayed, told.tags.len()), (Some(10), true, 2));
    }

    #[test]
    fn a_packet_lies_before_within_or_after() {
        let at = |first: &str, last: &str| {
            let time = |text: &str| (!text.is_empty()).then(|| format!("{text}T00:00:00Z"));
            Source { first_seen: time(first), last_seen: time(last), ..Source::default() }
        };
        let packet = Timestamp::new(1_577_836_800, 0); // 2020-01-01
        let (old, new) = (at("2018-01-01", "2019-01-01"), at("2021-01-01", ""));
        let now = at("2019-06-01", "2020-01-01");
        for (sources, want) in [
            (vec![Source::default()], None),
            (vec![old.clone()], Some("after_last_seen")),
            (vec![new.clone()], Some("before_first_seen")),
            (vec![now.clone()], Some("within")),
            (vec![new.clone(), old.clone()], Some("after_last_seen")),
            (vec![new.clone(), old.clone(), now.clone()], Some("within")),
        ] {
            assert_eq!(timing(&sources, packet, Validity::default()), want);
            let off = Validity { as_of: AsOf::Off, days_max: None };
            assert_eq!(timing(&sources, packet, off), None);
        }
        let days = Validity { days_max: Some(30), ..Validity::default() };
        for (source, is_over) in [(old, true), (new, false), (now, false)] {
            let mut sources = vec![source];
            assert_eq!(age(&mut sources, packet, days), is_over);
            assert_eq!(sources.is_empty(), is_over);
        }
        let until = |day: &str| told(&[&format!("tapsieve:valid-until=\"{day}T00:00:00Z\"")]);
        for (day, as_of, is_over) in [
            ("2019-12-31", AsOf::Packet, true),
            ("2020-01-02", AsOf::Packet, false),
            ("2019-12-31", AsOf::Off, false),
        ] {
            let validity = Validity { as_of, days_max: None };
            assert_eq!(age(&mut vec![until(day)], packet, validity), is_over, "{day}");
        }
    }

    #[test]
    fn a_source_is_as_sure_as_it_says_unless_its_tags_say_less() {
        let sure = "tapsieve:confidence=\"85\"";
        assert_eq!(confidence_of(&told(&[sure])), Some(85));
        let less = told(&[sure, "misp:confidence-level=\"rarely-confident\""]);
        assert_eq!(confidence_of(&less), Some(25));
    }
}
