//! What an attribute of a composite object is looked for as: the MISP type that says the same of
//! its parts, `ip-dst|port`, `ip-src|port` or `domain|ip`.

use crate::control::intel::Attribute;
use crate::control::intel::IntelOptions;
use crate::control::intel::Sibling;
use crate::control::intel::mate::Mate;
use crate::model::indicator::IndicatorType;
use crate::model::pattern::Pattern;

/// An attribute with what belongs to it.
pub(super) struct Composed {
    pub(super) ty: IndicatorType,
    pub(super) pattern: Pattern,
    /// As MISP would write it.
    pub(super) spelling: String,
}

/// Returns an attribute with those of its object that it is meant with, once for each; nothing
/// where it stands for itself: it was asked for so, there are none, or the pair is none that could
/// be looked for whole.
pub(super) fn composed(
    attribute: &Attribute<'_>,
    mates: &[&Mate<'_>],
    options: &IntelOptions,
) -> Vec<Composed> {
    use IndicatorType as T;
    if options.objects_in_parts {
        return Vec::new();
    }
    let value = attribute.value.trim();
    let value = one_address(value).unwrap_or(value);
    let (ty, is_first) = match (attribute.kind, attribute.sibling) {
        ("ip-dst", Sibling::Ports(_)) => (T::IpDstPort, true),
        ("ip-src", Sibling::Ports(_)) => (T::IpSrcPort, true),
        ("domain", Sibling::Half(_)) => (T::DomainIp, true),
        ("ip-dst" | "ip-src", Sibling::Half(_)) => (T::DomainIp, false),
        _ => return Vec::new(),
    };
    let mut mates = mates.iter().map(|mate| mate.value.as_ref()).collect::<Vec<_>>();
    // of each there may be several that differ in what is said of them alone
    mates.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
    let read = |mate: &str| {
        let spelling = if is_first { format!("{value}|{mate}") } else { format!("{mate}|{value}") };
        let pattern = Pattern::from_text(ty, &spelling, &options.policy).ok()?;
        let is_whole = !pattern.is_name_alone(&options.policy);
        is_whole.then_some(Composed { ty, pattern, spelling })
    };
    mates.into_iter().map(read).collect::<Option<_>>().unwrap_or_default()
}

/// Returns the address of a prefix that is one address.
fn one_address(value: &str) -> Option<&str> {
    let bits = if value.contains(':') { "/128" } else { "/32" };
    value.strip_suffix(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, value: &str, (sibling, with): (Sibling<'_>, &str), want: &[&str]) {
        let mate = |value: &str| Mate { value: value.to_owned().into(), ..Mate::default() };
        let mates = with.split(',').map(mate).collect::<Vec<_>>();
        let attribute = Attribute { kind, value, sibling, ..Attribute::default() };
        let options = IntelOptions::default();
        let mates = mates.iter().collect::<Vec<_>>();
        let all = composed(&attribute, &mates, &options);
        assert!(composed(&attribute, &[], &options).is_empty());
        let said = all.iter().map(|one| format!("{} {}", one.ty.name(), one.spelling));
        assert_eq!(said.collect::<Vec<_>>(), want, "{kind} {value} {sibling:?}");
        let options = IntelOptions { objects_in_parts: true, ..options };
        assert!(composed(&attribute, &mates, &options).is_empty());
    }

    #[test]
    fn addresses_with_each_of_their_ports() {
        let ports = (Sibling::Ports(&[]), "443,443,8443");
        let want = ["ip-dst|port 9.9.9.9|443", "ip-dst|port 9.9.9.9|8443"];
        check("ip-dst", " 9.9.9.9", ports, &want);
        check("ip-dst", "9.9.9.9/32", (Sibling::Ports(&[]), "443"), &["ip-dst|port 9.9.9.9|443"]);
        check("ip-src", "2620:fe::9", (Sibling::Ports(&[]), "53"), &["ip-src|port 2620:fe::9|53"]);
        check("hostname", "evil.example", ports, &[]);
        check("ip-dst", "9.9.9.9", (Sibling::Silent, "443"), &[]);
    }

    #[test]
    fn names_with_their_address_and_addresses_with_their_name() {
        let want = ["domain|ip evil.example|9.9.9.9"];
        check("domain", "evil.example", (Sibling::Half(&[]), "9.9.9.9"), &want);
        check("ip-dst", "9.9.9.9", (Sibling::Half(&[]), "evil.example"), &want);
        check("hostname", "evil.example", (Sibling::Half(&[]), "9.9.9.9"), &[]);
    }

    #[test]
    fn what_is_no_pair_stands_for_itself() {
        check("ip-dst", "9.9.9.0/24", (Sibling::Ports(&[]), "443"), &[]);
        check("ip-dst", "10.1.2.3", (Sibling::Ports(&[]), "443"), &[]);
        check("domain", "evil.example", (Sibling::Half(&[]), "127.0.0.1"), &[]);
        check("ip-dst", "9.9.9.9", (Sibling::Half(&[]), "github.io"), &[]);
        check("domain", "evil.example", (Sibling::Half(&[]), "9.9.9.0/24"), &[]);
    }
}
