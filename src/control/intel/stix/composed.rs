//! Indicators that MISP made of a whole object: what its pattern asks for at once are the object's
//! attributes, each of which counts for itself, with what the others say of it.
//!
//! Spec:   patterns of MISP's own exports (misp-stix), with the label `misp:name` of the object's
//!         template
//! Reads:  the comparisons of one alternative
//! Yields: attributes with type and relation, as the object has them in MISP's own JSON
//! Bounds: those of the pattern
//! Leaves: attributes that are not for detection: MISP leaves them out of the pattern; of which
//!         type a name was: at an end it is that name alone, in a `domain-ip` a `domain`

use crate::control::intel::json::AttributeParts;
use crate::control::intel::json::Flag;
use crate::control::intel::stix::meaning::Role;
use crate::control::intel::stix::meaning::Side;
use crate::control::intel::stix::meaning::address;
use crate::control::intel::stix::pattern::Comparison;

/// The template whose `domain-name:value` is a `domain`.
const NAME_AND_ADDRESS: &str = "domain-ip";

/// Relations that MISP writes under `x_misp_`, as no property says them, and their types.
const CUSTOM: &[(&str, &str)] = &[
    ("community_id", "community-id"),
    ("domain", "domain"),
    ("host", "hostname"),
    ("hostname", "hostname"),
    ("ip", "ip-dst"),
    ("port", "port"),
    ("ptr_record", "domain"),
    ("received_header_hostname", "hostname"),
    ("received_header_ip", "ip-src"),
    ("subnet_announced", "ip-src"),
];

/// Names in a certificate, and what stands before each in the pattern.
const CERTIFICATE_NAMES: &str = "x509-certificate:x509_v3_extensions.subject_alternative_name";
const CERTIFICATE_NAME: &str = "DNS name:";

/// What an HTTP request asked for: a `uri` or a `url`.
const REQUEST: &str = "network-traffic:extensions.http-request-ext.request_value";

/// Returns the attributes of an object of this template that a pattern's alternative asks for.
pub(super) fn attributes(
    object: &str,
    comparisons: &[Comparison<'_>],
) -> impl Iterator<Item = AttributeParts> {
    comparisons.iter().filter_map(move |comparison| {
        let (kind, relation) = said(object, comparison)?;
        let value = comparison.value.strip_prefix(CERTIFICATE_NAME).unwrap_or(&comparison.value);
        Some(AttributeParts {
            kind: kind.to_owned(),
            relation: relation.to_owned(),
            value: value.to_owned(),
            to_ids: Flag(Some(true)),
            ..AttributeParts::default()
        })
    })
}

/// Returns type and relation of an attribute; `None`: it is the form of another.
fn said<'c>(object: &str, comparison: &'c Comparison<'_>) -> Option<(&'c str, &'c str)> {
    use Side::Destination;
    use Side::Source;
    let is_address = address(&comparison.value).is_some();
    Some(match Role::of(&comparison.path) {
        Some(Role::Form(_)) => return None,
        Some(Role::Address | Role::Resolved) => ("ip-dst", "ip"),
        Some(Role::End(Source)) if is_address => ("ip-src", "ip-src"),
        Some(Role::End(Destination)) if is_address => ("ip-dst", "ip-dst"),
        Some(Role::End(Source)) => ("hostname", "hostname-src"),
        Some(Role::End(Destination)) => ("hostname", "hostname-dst"),
        Some(Role::Port(Source)) => ("port", "src-port"),
        Some(Role::Port(Destination)) => ("port", "dst-port"),
        Some(Role::Name) if object == NAME_AND_ADDRESS => ("domain", "domain"),
        Some(Role::Name) => ("hostname", "hostname"),
        Some(Role::Alone(kind)) => (kind, kind),
        None => (unnamed(comparison), ""),
    })
}

/// Returns the type of what no property says; where it has none, the property.
fn unnamed<'c>(comparison: &'c Comparison<'_>) -> &'c str {
    let Comparison { path, value, .. } = comparison;
    let custom = path.rsplit_once(":x_misp_").and_then(|(_, name)| {
        CUSTOM.iter().find(|(relation, _)| *relation == name).map(|(_, kind)| *kind)
    });
    match path.as_ref() {
        REQUEST if value.contains("://") => "url",
        REQUEST => "uri",
        CERTIFICATE_NAMES if value.starts_with(CERTIFICATE_NAME) => "hostname",
        path => custom.unwrap_or(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::intel::stix::pattern::alternatives;

    fn check(object: &str, pattern: &str, want: &[&str]) {
        let all = alternatives(pattern);
        let [Ok(only)] = all.as_slice() else { panic!("{pattern}: {all:?}") };
        let told = attributes(object, only)
            .map(|parts| format!("{} {} {}", parts.kind, parts.relation, parts.value));
        assert_eq!(told.collect::<Vec<_>>(), want, "{pattern}");
    }

    #[test]
    fn an_object_is_its_attributes() {
        check(
            "domain-ip",
            "[domain-name:value = 'a.example' AND domain-name:x_misp_hostname = 'b.example' AND \
             domain-name:resolves_to_refs[*].value = '9.9.9.9' AND domain-name:x_misp_text = 'x']",
            &[
                "domain domain a.example",
                "hostname  b.example",
                "ip-dst ip 9.9.9.9",
                "domain-name:x_misp_text  x",
            ],
        );
        check(
            "network-connection",
            "[(network-traffic:src_ref.type = 'ipv4-addr' AND network-traffic:src_ref.value = \
             '9.9.9.18') AND (network-traffic:dst_ref.type = 'domain-name' AND \
             network-traffic:dst_ref.value = 'a.example') AND network-traffic:dst_port = '2000' \
             AND network-traffic:src_port = '1000' AND network-traffic:x_misp_community_id = '1:x']",
            &[
                "ip-src ip-src 9.9.9.18",
                "hostname hostname-dst a.example",
                "port dst-port 2000",
                "port src-port 1000",
                "community-id  1:x",
            ],
        );
        check(
            "url",
            "[url:value = 'http://a.example/b' AND url:x_misp_host = 'a.example' AND \
             url:x_misp_ip = '9.9.9.9']",
            &["url url http://a.example/b", "hostname  a.example", "ip-dst  9.9.9.9"],
        );
    }

    #[test]
    fn what_a_certificate_and_a_request_name_is_told() {
        check(
            "x509",
            "[x509-certificate:hashes.'SHA-1' = 'ab' AND \
             x509-certificate:x509_v3_extensions.subject_alternative_name = 'DNS name:a.example' \
             AND x509-certificate:x509_v3_extensions.subject_alternative_name = 'URI:x']",
            &[
                "x509-fingerprint-sha1 x509-fingerprint-sha1 ab",
                "hostname  a.example",
                "x509-certificate:x509_v3_extensions.subject_alternative_name  URI:x",
            ],
        );
        check(
            "http-request",
            "[network-traffic:extensions.'http-request-ext'.request_value = '/a' AND \
             network-traffic:extensions.'http-request-ext'.request_value = 'http://a.example/']",
            &["uri  /a", "url  http://a.example/"],
        );
    }
}
