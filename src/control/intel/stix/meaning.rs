//! What one alternative of a pattern means: the MISP type that asks for the same, and its value.
//!
//! Spec:   STIX 2.1 §6 (cyber-observable objects and their properties); the patterns of MISP's own
//!         exports (misp-stix)
//! Reads:  the comparisons of one alternative
//! Yields: types of `model::indicator` with a value, or the property that none asks for
//! Bounds: those of the pattern
//! Leaves: protocols and other properties of a connection: no type asks for these beside a value
//!
//! A `domain-name` is exactly that name, so it is a `hostname`: what lies under it is not said.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::control::intel::stix::inexact::Inexact;
use crate::control::intel::stix::pattern::Comparison;
use crate::control::intel::stix::pattern::Operator;

/// An attribute that a pattern's alternative is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Told<'p> {
    /// MISP type, or, where none asks for it, the property itself.
    pub(super) kind: Cow<'p, str>,
    /// Value.
    pub(super) value: Cow<'p, str>,
}

/// What a property says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    /// An address or network, whichever end has it.
    Address,
    /// The address or name of an end of a connection.
    End(Side),
    /// The form in which that is given; it says nothing more.
    Form(Side),
    Port(Side),
    Name,
    /// An address of a name.
    Resolved,
    /// Something that is told alone, by its MISP type.
    Alone(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Source,
    Destination,
}

/// Properties; of those of extensions the last part, in lower case, since spellings differ.
const ROLES: &[(&str, Role)] = &[
    ("ipv4-addr:value", Role::Address),
    ("ipv6-addr:value", Role::Address),
    ("network-traffic:dst_ref.value", Role::End(Side::Destination)),
    ("network-traffic:src_ref.value", Role::End(Side::Source)),
    ("network-traffic:dst_ref.type", Role::Form(Side::Destination)),
    ("network-traffic:src_ref.type", Role::Form(Side::Source)),
    ("network-traffic:dst_port", Role::Port(Side::Destination)),
    ("network-traffic:src_port", Role::Port(Side::Source)),
    ("domain-name:value", Role::Name),
    // not of the standard, but OpenCTI's, and said plainly
    ("hostname:value", Role::Name),
    ("domain-name:resolves_to_refs[*].value", Role::Resolved),
    ("url:value", Role::Alone("url")),
    ("x509-certificate:hashes.sha-256", Role::Alone("x509-fingerprint-sha256")),
    ("x509-certificate:hashes.sha256", Role::Alone("x509-fingerprint-sha256")),
    ("x509-certificate:hashes.sha-1", Role::Alone("x509-fingerprint-sha1")),
    ("x509-certificate:hashes.sha1", Role::Alone("x509-fingerprint-sha1")),
    ("x509-certificate:hashes.md5", Role::Alone("x509-fingerprint-md5")),
    ("mac-addr:value", Role::Alone("mac-address")),
    ("autonomous-system:number", Role::Alone("AS")),
    (
        "network-traffic:extensions.http-request-ext.request_header.user-agent",
        Role::Alone("user-agent"),
    ),
    ("network-traffic:extensions.http-request-ext.request_method", Role::Alone("http-method")),
];

impl Role {
    /// Returns that of a property; `None`: no type asks for it.
    pub(super) fn of(path: &str) -> Option<Self> {
        let known = ROLES.iter().find(|(known, _)| known.eq_ignore_ascii_case(path));
        known.map(|(_, role)| *role)
    }
}

/// Returns the attribute that an alternative is. `hint` is the MISP type that it was made of, where
/// its maker says so.
///
/// # Errors
/// No attribute says the same.
pub(super) fn meaning<'p>(comparisons: &[Comparison<'p>], hint: &str) -> Result<Told<'p>, Inexact> {
    let role = |comparison: &&Comparison<'p>| Role::of(&comparison.path);
    let is_form = |c: &&Comparison<'p>| matches!(role(c), Some(Role::Form(_)));
    if let [first, ..] = comparisons
        && comparisons.iter().all(|c| role(&c).is_none())
    {
        return Ok(Told { kind: first.path.clone(), value: first.value.clone() });
    }
    let forms = comparisons.iter().filter(is_form).collect::<Vec<_>>();
    let rest = comparisons.iter().filter(|c| !is_form(c)).collect::<Vec<_>>();
    if !forms.iter().all(|form| agrees(form, &rest)) {
        return Err(Inexact::And);
    }
    match rest.as_slice() {
        [only] => alone(only, hint),
        [a, b] => pair(a, b, hint).or_else(|| pair(b, a, hint)).ok_or(Inexact::And),
        _ => Err(Inexact::And),
    }
}

/// Tells whether the form of an end says no more than its value does.
fn agrees(form: &Comparison<'_>, rest: &[&Comparison<'_>]) -> bool {
    let Some(Role::Form(side)) = Role::of(&form.path) else { return false };
    let ends = rest.iter().filter(|c| Role::of(&c.path) == Some(Role::End(side)));
    let mut forms = ends.map(|end| match address(&end.value) {
        Some(IpNet::V4(_)) => "ipv4-addr",
        Some(IpNet::V6(_)) => "ipv6-addr",
        None => "domain-name",
    });
    form.operator == Operator::Equal && forms.next().is_some_and(|known| known == form.value)
}

fn alone<'p>(comparison: &Comparison<'p>, hint: &str) -> Result<Told<'p>, Inexact> {
    let Comparison { path, operator, value } = comparison;
    let role = Role::of(path);
    let is_net = matches!(role, Some(Role::Address | Role::End(_))) && address(value).is_some();
    if *operator == Operator::Subset && !is_net {
        return Err(Inexact::Operator);
    }
    let kind = match role {
        Some(Role::Address) if hint == "ip-src" => "ip-src",
        Some(Role::Address) => "ip-dst",
        Some(Role::End(side)) => match (address(value), side) {
            (Some(_), Side::Source) => "ip-src",
            (Some(_), Side::Destination) => "ip-dst",
            (None, _) => name(hint),
        },
        Some(Role::Port(_)) => "port",
        Some(Role::Name) => name(hint),
        Some(Role::Alone("url")) if hint == "uri" => "uri",
        Some(Role::Alone(kind)) => kind,
        Some(Role::Form(_) | Role::Resolved) | None => {
            return Ok(Told { kind: path.clone(), value: value.clone() });
        }
    };
    Ok(Told { kind: kind.into(), value: value.clone() })
}

/// A name is exact unless MISP made the pattern of a `domain`.
fn name(hint: &str) -> &'static str {
    if hint == "domain" { "domain" } else { "hostname" }
}

/// Returns the attribute of an end and its port, or of a name and its address.
fn pair<'p>(a: &Comparison<'p>, b: &Comparison<'p>, hint: &str) -> Option<Told<'p>> {
    use Side::Destination as Dst;
    use Side::Source as Src;
    let is_address = address(&a.value).is_some();
    let kind = match (Role::of(&a.path)?, Role::of(&b.path)?) {
        (Role::Address | Role::End(Dst), Role::Port(Dst)) if is_address => "ip-dst|port",
        (Role::Address | Role::End(Src), Role::Port(Src)) if is_address => "ip-src|port",
        (Role::Name | Role::End(Dst), Role::Port(Dst)) if !is_address => "hostname|port",
        // both halves are wanted, which a domain|ip does not ask for
        (Role::Name, Role::Resolved) if hint == "domain|ip" => "domain|ip",
        _ => return None,
    };
    let is_equal = a.operator == Operator::Equal && b.operator == Operator::Equal;
    is_equal.then(|| Told { kind: kind.into(), value: format!("{}|{}", a.value, b.value).into() })
}

/// Returns an address or network.
pub(super) fn address(text: &str) -> Option<IpNet> {
    let one = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(|_| one()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::intel::stix::pattern::alternatives;

    /// Says the one alternative of a pattern as `type value`, or its reason.
    fn told(pattern: &str, hint: &str) -> String {
        let all = alternatives(pattern);
        let [Ok(only)] = all.as_slice() else { panic!("{pattern}: {all:?}") };
        match meaning(only, hint) {
            Ok(told) => format!("{} {}", told.kind, told.value),
            Err(why) => why.reason().to_owned(),
        }
    }

    #[test]
    fn what_a_type_says_is_taken() {
        let sha256 = "x509-fingerprint-sha256 ab";
        for (pattern, want) in [
            ("[ipv4-addr:value = '9.9.9.9']", "ip-dst 9.9.9.9"),
            ("[ipv4-addr:value ISSUBSET '9.9.9.0/24']", "ip-dst 9.9.9.0/24"),
            ("[ipv6-addr:value = '2001:db8::1']", "ip-dst 2001:db8::1"),
            ("[domain-name:value = 'evil.example']", "hostname evil.example"),
            ("[hostname:value = 'evil.example']", "hostname evil.example"),
            ("[url:value = 'http://evil.example/a']", "url http://evil.example/a"),
            ("[x509-certificate:hashes.'SHA-256' = 'ab']", sha256),
            ("[x509-certificate:hashes.SHA256 = 'ab']", sha256),
            ("[network-traffic:dst_ref.value = '9.9.9.9']", "ip-dst 9.9.9.9"),
            ("[network-traffic:src_ref.value = '9.9.9.9']", "ip-src 9.9.9.9"),
            ("[network-traffic:dst_ref.value = 'evil.example']", "hostname evil.example"),
            (
                "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '9.9.9.9']",
                "ip-dst 9.9.9.9",
            ),
            (
                "[network-traffic:dst_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '9.9.9.9' AND network-traffic:dst_port = '443']",
                "ip-dst|port 9.9.9.9|443",
            ),
            (
                "[network-traffic:src_port = 53 AND network-traffic:src_ref.value = '9.9.9.9']",
                "ip-src|port 9.9.9.9|53",
            ),
            (
                "[domain-name:value = 'evil.example' AND network-traffic:dst_port = 8080]",
                "hostname|port evil.example|8080",
            ),
            ("[network-traffic:dst_port = 4444]", "port 4444"),
            (
                "[network-traffic:extensions.'http-request-ext'.request_header.'User-Agent' = 'Evil']",
                "user-agent Evil",
            ),
            ("[file:hashes.MD5 = 'ab']", "file:hashes.MD5 ab"),
            ("[file:name = 'a' AND file:hashes.MD5 = 'ab']", "file:name a"),
            ("[ipv4-addr:value = 'nonsense']", "ip-dst nonsense"),
        ] {
            assert_eq!(told(pattern, ""), want, "{pattern}");
        }
    }

    #[test]
    fn what_asks_for_more_is_not() {
        for pattern in [
            "[domain-name:value = 'evil.example' AND domain-name:resolves_to_refs[*].value = '9.9.9.9']",
            "[network-traffic:dst_ref.value = '9.9.9.9' AND network-traffic:src_port = 53]",
            "[network-traffic:dst_ref.value = '9.9.9.9' AND network-traffic:protocols[*] = 'tcp']",
            "[network-traffic:dst_ref.value ISSUBSET '9.9.9.0/24' AND network-traffic:dst_port = 53]",
            "[network-traffic:dst_ref.type = 'ipv6-addr' AND network-traffic:dst_ref.value = '9.9.9.9']",
            "[network-traffic:src_ref.type = 'ipv4-addr' AND network-traffic:dst_ref.value = '9.9.9.9']",
            "[network-traffic:dst_ref.type = 'ipv4-addr']",
            "[domain-name:value = 'a.example' AND domain-name:value = 'b.example']",
            "[domain-name:value = 'a.example' AND file:hashes.MD5 = 'ab']",
        ] {
            assert_eq!(told(pattern, ""), "pattern_and", "{pattern}");
        }
        let subset = "[domain-name:value ISSUBSET 'evil.example']";
        assert_eq!(told(subset, ""), "pattern_operator");
    }

    #[test]
    fn misp_says_what_it_was() {
        for (pattern, hint, want) in [
            ("[domain-name:value = 'evil.example']", "domain", "domain evil.example"),
            ("[ipv4-addr:value = '9.9.9.9']", "ip-src", "ip-src 9.9.9.9"),
            (
                "[domain-name:value = 'evil.example' AND domain-name:resolves_to_refs[*].value = '9.9.9.9']",
                "domain|ip",
                "domain|ip evil.example|9.9.9.9",
            ),
            ("[url:value = '/gate.php']", "uri", "uri /gate.php"),
            ("[url:value = 'http://evil.example/']", "link", "url http://evil.example/"),
        ] {
            assert_eq!(told(pattern, hint), want, "{pattern}");
        }
    }
}
