//! What an attribute of a composite object is looked for as: the MISP type that says the same of
//! its parts, `ip-dst|port`, `ip-src|port` or `domain|ip`.

use crate::control::intel::Attribute;
use crate::control::intel::IntelOptions;
use crate::control::intel::Sibling;
use crate::model::indicator::IndicatorType;
use crate::model::pattern::Pattern;

/// An attribute with what belongs to it.
pub(super) struct Composed {
    pub(super) ty: IndicatorType,
    pub(super) pattern: Pattern,
    /// As MISP would write it.
    pub(super) spelling: String,
}

/// Returns an attribute with what its object says belongs to it, once for each port; nothing where
/// it stands for itself: it was asked for so, or the pair is none that could be looked for whole.
pub(super) fn composed(attribute: &Attribute<'_>, options: &IntelOptions) -> Vec<Composed> {
    use IndicatorType as T;
    if options.objects_in_parts {
        return Vec::new();
    }
    let value = attribute.value.trim();
    let value = one_address(value).unwrap_or(value);
    let (ty, spellings) = match (attribute.kind, attribute.sibling) {
        ("ip-dst", Sibling::Ports(ports)) => (T::IpDstPort, with_ports(value, ports)),
        ("ip-src", Sibling::Ports(ports)) => (T::IpSrcPort, with_ports(value, ports)),
        ("domain", Sibling::Half(address)) => (T::DomainIp, vec![format!("{value}|{address}")]),
        ("ip-dst" | "ip-src", Sibling::Half(name)) => {
            (T::DomainIp, vec![format!("{name}|{value}")])
        }
        _ => return Vec::new(),
    };
    let read = |spelling: String| {
        let pattern = Pattern::from_text(ty, &spelling, &options.policy).ok()?;
        let is_whole = !pattern.is_name_alone(&options.policy);
        is_whole.then_some(Composed { ty, pattern, spelling })
    };
    spellings.into_iter().map(read).collect::<Option<_>>().unwrap_or_default()
}

/// Returns the address of a prefix that is one address.
fn one_address(value: &str) -> Option<&str> {
    let bits = if value.contains(':') { "/128" } else { "/32" };
    value.strip_suffix(bits)
}

fn with_ports(address: &str, ports: &str) -> Vec<String> {
    ports.split(',').map(|port| format!("{address}|{port}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, value: &str, sibling: Sibling<'_>, want: &[&str]) {
        let attribute = Attribute { kind, value, sibling, ..Attribute::default() };
        let options = IntelOptions::default();
        let all = composed(&attribute, &options);
        let said = all.iter().map(|one| format!("{} {}", one.ty.name(), one.spelling));
        assert_eq!(said.collect::<Vec<_>>(), want, "{kind} {value} {sibling:?}");
        let options = IntelOptions { objects_in_parts: true, ..options };
        assert!(composed(&attribute, &options).is_empty());
    }

    #[test]
    fn addresses_with_each_of_their_ports() {
        let ports = Sibling::Ports("443,8443");
        let want = ["ip-dst|port 9.9.9.9|443", "ip-dst|port 9.9.9.9|8443"];
        check("ip-dst", " 9.9.9.9", ports, &want);
        check("ip-dst", "9.9.9.9/32", Sibling::Ports("443"), &["ip-dst|port 9.9.9.9|443"]);
        check("ip-src", "2620:fe::9", Sibling::Ports("53"), &["ip-src|port 2620:fe::9|53"]);
        check("hostname", "evil.example", ports, &[]);
        check("ip-dst", "9.9.9.9", Sibling::Silent, &[]);
    }

    #[test]
    fn names_with_their_address_and_addresses_with_their_name() {
        let want = ["domain|ip evil.example|9.9.9.9"];
        check("domain", "evil.example", Sibling::Half("9.9.9.9"), &want);
        check("ip-dst", "9.9.9.9", Sibling::Half("evil.example"), &want);
        check("hostname", "evil.example", Sibling::Half("9.9.9.9"), &[]);
    }

    #[test]
    fn what_is_no_pair_stands_for_itself() {
        check("ip-dst", "9.9.9.0/24", Sibling::Ports("443"), &[]);
        check("ip-dst", "10.1.2.3", Sibling::Ports("443"), &[]);
        check("domain", "evil.example", Sibling::Half("127.0.0.1"), &[]);
        check("ip-dst", "9.9.9.9", Sibling::Half("github.io"), &[]);
        check("domain", "evil.example", Sibling::Half("9.9.9.0/24"), &[]);
    }
}
