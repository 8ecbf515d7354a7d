//! What a composite object says that none of its attributes does: an address *and* its port, a name
//! *and* its address.
//!
//! Spec:   MISP core format §2.4 (Object); templates `ip-port`, `network-connection`,
//!         `network-socket`, `netflow`, `ddos` and `domain-ip` of misp-objects
//! Reads:  the attributes of one object, those that are deleted aside
//! Yields: for each attribute, what the object says of it
//! Bounds: `PORTS_MAX`, `ADDRESSES_MAX`
//! Leaves: names in objects with ports, as a DNS question has the name without the port; protocols;
//!         that both ends are meant together

use crate::control::intel::Sibling;
use crate::control::intel::json::record::AttributeParts;

/// Objects whose addresses are meant with the ports of their own end.
const WITH_PORTS: &[&str] = &["ip-port", "network-connection", "network-socket", "netflow", "ddos"];

/// The object of a name and its address.
const NAME_AND_ADDRESS: &str = "domain-ip";

/// Ports of one end; of an object with more, addresses are taken without.
const PORTS_MAX: usize = 64;

/// Addresses of an object; those of one with more are taken without ports.
const ADDRESSES_MAX: usize = 1_024;

/// What an object says of its attributes; nothing where its template is none of these.
#[derive(Default)]
pub(super) struct Composite<'k> {
    /// Ports of destination and source, separated by commas.
    dst_ports: String,
    src_ports: String,
    /// There is an address that ports are meant with, of either end.
    has_address: [bool; 2],
    /// The only name and the only address that are for detection.
    pair: Option<[&'k str; 2]>,
}

impl<'k> Composite<'k> {
    pub(super) fn of(object: &str, attributes: &'k [AttributeParts]) -> Self {
        let live = || attributes.iter().filter(|part| part.deleted.0 != Some(true));
        if WITH_PORTS.contains(&object) {
            let ports = |relation| ports(live().filter(|part| part.relation == relation));
            let (dst_ports, src_ports) = (ports("dst-port"), ports("src-port"));
            let addresses = live().filter(|part| is_address(&part.kind)).count();
            if addresses > ADDRESSES_MAX {
                return Self::default();
            }
            let mut this = Self { dst_ports, src_ports, ..Self::default() };
            this.has_address = [&this.dst_ports, &this.src_ports].map(|ports| {
                live().any(|part| !ports.is_empty() && this.ports_of(part) == ports.as_str())
            });
            return this;
        }
        if object != NAME_AND_ADDRESS {
            return Self::default();
        }
        let only = |is_one: fn(&str) -> bool| {
            let mut found =
                live().filter(|part| is_one(&part.kind) && part.to_ids.0 != Some(false));
            let one = found.next()?.value.trim();
            found.all(|more| more.value.trim().eq_ignore_ascii_case(one)).then_some(one)
        };
        let pair = only(|kind| kind == "domain").zip(only(is_address));
        Self { pair: pair.map(Into::into), ..Self::default() }
    }

    /// Returns the ports that an attribute is meant with, where it is an address.
    fn ports_of(&self, part: &AttributeParts) -> &str {
        match part.kind.as_str() {
            "ip-src" => &self.src_ports,
            // that relation leaves open which end it is
            "ip-dst" if self.dst_ports.is_empty() && part.relation == "ip" => &self.src_ports,
            "ip-dst" => &self.dst_ports,
            _ => "",
        }
    }

    /// Returns what is said of one attribute.
    pub(super) fn says_of(&self, part: &AttributeParts) -> Sibling<'_> {
        let ports = self.ports_of(part);
        let [dst, src] = self.has_address;
        let is_of_address = match part.relation.as_str() {
            "dst-port" => dst,
            "src-port" => src,
            _ => false,
        };
        match self.pair {
            _ if is_of_address => Sibling::OfAddress,
            _ if !ports.is_empty() => Sibling::Ports(ports),
            Some([name, address]) if part.value.trim().eq_ignore_ascii_case(name) => {
                Sibling::Half(address)
            }
            Some([name, address]) if part.value.trim().eq_ignore_ascii_case(address) => {
                Sibling::Half(name)
            }
            _ => Sibling::Silent,
        }
    }
}

fn is_address(kind: &str) -> bool {
    matches!(kind, "ip-src" | "ip-dst")
}

/// Returns ports in their order, each once; nothing where one of them is none, as then more is
/// meant than we can say.
fn ports<'k>(parts: impl Iterator<Item = &'k AttributeParts>) -> String {
    let port = |part: &AttributeParts| part.value.trim().parse::<u16>().ok().filter(|n| *n != 0);
    let Some(mut ports) = parts.map(port).collect::<Option<Vec<_>>>() else {
        return String::new();
    };
    ports.sort_unstable();
    ports.dedup();
    if ports.len() > PORTS_MAX {
        return String::new();
    }
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::intel::json::parts::Flag;

    fn part(kind: &str, relation: &str, value: &str) -> AttributeParts {
        let [kind, relation, value] = [kind, relation, value].map(str::to_owned);
        AttributeParts { kind, relation, value, ..AttributeParts::default() }
    }

    fn check(object: &str, parts: &[AttributeParts], want: &[Sibling<'_>]) {
        let composite = Composite::of(object, parts);
        let said = parts.iter().map(|part| composite.says_of(part)).collect::<Vec<_>>();
        assert_eq!(said, want, "{object} {parts:?}");
    }

    #[test]
    fn an_address_has_the_ports_of_its_end() {
        use Sibling::OfAddress;
        use Sibling::Ports;
        use Sibling::Silent;
        let parts = [
            part("ip-dst", "ip-dst", "198.51.100.1"),
            part("ip-src", "ip-src", "198.51.100.2"),
            part("port", "dst-port", "8443"),
            part("port", "dst-port", " 443 "),
            part("port", "src-port", "53"),
            part("hostname", "hostname", "evil.example"),
        ];
        let want = [Ports("443,8443"), Ports("53"), OfAddress, OfAddress, OfAddress, Silent];
        for object in WITH_PORTS {
            check(object, &parts, &want);
        }
        check("domain-ip", &parts, &[Silent; 6]);
        check("file", &parts, &[Silent; 6]);
        let either = [part("ip-dst", "ip", "198.51.100.1"), part("port", "src-port", "53")];
        check("ip-port", &either, &[Ports("53"), OfAddress]);
        check("ip-port", &either[1..], &[Silent]);
    }

    #[test]
    fn ports_that_are_none_or_too_many_leave_the_address_alone() {
        let address = part("ip-dst", "ip", "198.51.100.1");
        for port in ["any", "1-1024", "0", "65536", ""] {
            let parts =
                [address.clone(), part("port", "dst-port", "443"), part("port", "dst-port", port)];
            check("ip-port", &parts, &[Sibling::Silent; 3]);
        }
        let mut gone = part("port", "dst-port", "443");
        gone.deleted = Flag(Some(true));
        check("ip-port", &[address.clone(), gone], &[Sibling::Silent; 2]);
        let many = (1..=65).map(|port| part("port", "dst-port", &port.to_string()));
        let parts = many.chain([address]).collect::<Vec<_>>();
        check("ip-port", &parts, &[Sibling::Silent; 66]);
    }

    #[test]
    fn one_name_and_one_address_are_a_pair() {
        use Sibling::Half;
        use Sibling::Silent;
        let name = part("domain", "domain", "evil.example");
        let address = part("ip-dst", "ip", "198.51.100.1");
        let pair = [Half("198.51.100.1"), Half("evil.example")];
        check("domain-ip", &[name.clone(), address.clone()], &pair);
        let other = part("ip-dst", "ip", "198.51.100.2");
        check("domain-ip", &[name.clone(), address.clone(), other.clone()], &[Silent; 3]);
        let not_ids = AttributeParts { to_ids: Flag(Some(false)), ..other };
        let three = [pair[0], pair[1], Silent];
        check("domain-ip", &[name.clone(), address.clone(), not_ids.clone()], &three);
        check("domain-ip", &[name.clone(), not_ids], &[Silent; 2]);
        let host = part("hostname", "hostname", "www.evil.example");
        check("domain-ip", &[name, address, host], &three);
    }
}
