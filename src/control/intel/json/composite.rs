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

use std::borrow::Cow;

use crate::control::intel::Sibling;
use crate::control::intel::json::record::AttributeParts;
use crate::control::intel::mate::Mate;

/// Objects whose addresses are meant with the ports of their own end.
const WITH_PORTS: &[&str] = &["ip-port", "network-connection", "network-socket", "netflow", "ddos"];

/// The object of a name and its address.
const NAME_AND_ADDRESS: &str = "domain-ip";

/// Ports of one end; of an object with more, addresses are taken without.
const PORTS_MAX: usize = 64;

/// Addresses of an object; those of one with more are taken without ports.
const ADDRESSES_MAX: usize = 1_024;

/// Addresses that a port is told; that it is looked for with any beyond them is not asked.
const ADDRESSES_TOLD_MAX: usize = 64;

/// What the attributes of an object have for themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Telling {
    /// Tags and times; what says nothing is for detection.
    Each,
    /// Neither, as tags and times are the object's; what says nothing is not for detection.
    AsOne,
}

/// What an object says of its attributes; nothing where its template is none of these.
#[derive(Default)]
pub(super) struct Composite<'k> {
    /// Destination and source.
    ends: [End<'k>; 2],
    /// The only name and the only address that are for detection, each as often as it is there.
    pair: Option<[Vec<Mate<'k>>; 2]>,
}

/// The ports of an end, and the addresses that are meant with them.
#[derive(Default)]
struct End<'k> {
    ports: Vec<Mate<'k>>,
    addresses: Vec<Mate<'k>>,
}

impl Telling {
    fn mate(self, part: &AttributeParts) -> Mate<'_> {
        let mate = Mate::of(part);
        match self {
            Self::Each => mate,
            Self::AsOne => Mate { not_for_ids: !self.is_for_ids(part), told: None, ..mate },
        }
    }

    fn is_for_ids(self, part: &AttributeParts) -> bool {
        part.to_ids.0.unwrap_or(self == Self::Each)
    }
}

impl<'k> Composite<'k> {
    pub(super) fn of(object: &str, attributes: &'k [AttributeParts], telling: Telling) -> Self {
        let live = || attributes.iter().filter(|part| part.deleted.0 != Some(true));
        if WITH_PORTS.contains(&object) {
            let ports = |relation| ports(live().filter(|part| part.relation == relation), telling);
            let ends = ["dst-port", "src-port"].map(|relation| {
                let ports = ports(relation);
                End { ports, addresses: Vec::new() }
            });
            if live().filter(|part| is_address(&part.kind)).count() > ADDRESSES_MAX {
                return Self::default();
            }
            let mut this = Self { ends, pair: None };
            for part in live() {
                let Some(number) = this.end_of(part) else { continue };
                let end = &mut this.ends[number];
                if !end.ports.is_empty() && end.addresses.len() < ADDRESSES_TOLD_MAX {
                    end.addresses.push(telling.mate(part));
                }
            }
            return this;
        }
        if object != NAME_AND_ADDRESS {
            return Self::default();
        }
        let only = |is_one: fn(&str) -> bool| {
            let found = live().filter(|part| is_one(&part.kind) && telling.is_for_ids(part));
            let all = found.map(|part| telling.mate(part)).collect::<Vec<_>>();
            let one = &all.first()?.value;
            all.iter().all(|more| more.value.eq_ignore_ascii_case(one)).then_some(all)
        };
        let pair = only(|kind| kind == "domain").zip(only(is_address));
        Self { pair: pair.map(Into::into), ..Self::default() }
    }

    /// Returns the end that an attribute is an address of.
    fn end_of(&self, part: &AttributeParts) -> Option<usize> {
        match part.kind.as_str() {
            "ip-src" => Some(1),
            // that relation leaves open which end it is
            "ip-dst" if self.ends[0].ports.is_empty() && part.relation == "ip" => Some(1),
            "ip-dst" => Some(0),
            _ => None,
        }
    }

    /// Returns what is said of one attribute.
    pub(super) fn says_of(&self, part: &AttributeParts) -> Sibling<'_> {
        let [dst, src] = &self.ends;
        let addresses = match part.relation.as_str() {
            "dst-port" => dst.addresses.as_slice(),
            "src-port" => &src.addresses,
            _ => &[],
        };
        let ports = self.end_of(part).map_or(&[][..], |number| &self.ends[number].ports);
        let is = |mates: &[Mate<'_>]| {
            let value = part.value.trim();
            mates.first().is_some_and(|mate| mate.value.eq_ignore_ascii_case(value))
        };
        match &self.pair {
            _ if !addresses.is_empty() => Sibling::OfAddress(addresses),
            _ if !ports.is_empty() => Sibling::Ports(ports),
            Some([names, addresses]) if is(names) => Sibling::Half(addresses),
            Some([names, addresses]) if is(addresses) => Sibling::Half(names),
            _ => Sibling::Silent,
        }
    }
}

fn is_address(kind: &str) -> bool {
    matches!(kind, "ip-src" | "ip-dst")
}

/// Returns ports in their order; nothing where one of them is none, as then more is meant than we
/// can say. One that is there twice may be left out once.
fn ports<'k>(parts: impl Iterator<Item = &'k AttributeParts>, telling: Telling) -> Vec<Mate<'k>> {
    let port = |part: &'k AttributeParts| {
        let number = part.value.trim().parse::<u16>().ok().filter(|number| *number != 0)?;
        let mate = telling.mate(part);
        Some((number, Mate { value: Cow::Owned(number.to_string()), ..mate }))
    };
    let Some(mut ports) = parts.map(port).collect::<Option<Vec<_>>>() else {
        return Vec::new();
    };
    ports.sort_by_key(|(number, _)| *number);
    ports.dedup();
    if ports.len() > PORTS_MAX {
        return Vec::new();
    }
    ports.into_iter().map(|(_, mate)| mate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::intel::json::parts::Flag;
    use crate::control::intel::json::parts::Moment;
    use crate::control::intel::mate::Told;

    fn part(kind: &str, relation: &str, value: &str) -> AttributeParts {
        let [kind, relation, value] = [kind, relation, value].map(str::to_owned);
        let to_ids = Flag(Some(true));
        AttributeParts { kind, relation, value, to_ids, ..AttributeParts::default() }
    }

    /// What an object says of its attributes, one word each.
    fn check(object: &str, parts: &[AttributeParts], want: &[&str]) {
        for telling in [Telling::Each, Telling::AsOne] {
            let composite = Composite::of(object, parts, telling);
            let word = |part| {
                let sibling = composite.says_of(part);
                let values = sibling.mates().iter().map(|mate| &*mate.value).collect::<Vec<_>>();
                let values = values.join(",");
                match sibling {
                    Sibling::Ports(_) => format!("ports:{values}"),
                    Sibling::Half(_) => format!("half:{values}"),
                    Sibling::OfAddress(_) => format!("of:{values}"),
                    _ => "-".to_owned(),
                }
            };
            let said = parts.iter().map(word).collect::<Vec<_>>();
            assert_eq!(said, want, "{object} {parts:?}");
        }
    }

    #[test]
    fn an_address_has_the_ports_of_its_end() {
        let parts = [
            part("ip-dst", "ip-dst", "198.51.100.1"),
            part("ip-src", "ip-src", "198.51.100.2"),
            part("port", "dst-port", "8443"),
            part("port", "dst-port", " 443 "),
            part("port", "src-port", "53"),
            part("hostname", "hostname", "evil.example"),
        ];
        let of_dst = "of:198.51.100.1";
        let want = ["ports:443,8443", "ports:53", of_dst, of_dst, "of:198.51.100.2", "-"];
        for object in WITH_PORTS {
            check(object, &parts, &want);
        }
        check("domain-ip", &parts, &["-"; 6]);
        check("file", &parts, &["-"; 6]);
        let either = [part("ip-dst", "ip", "198.51.100.1"), part("port", "src-port", "53")];
        check("ip-port", &either, &["ports:53", "of:198.51.100.1"]);
        check("ip-port", &either[1..], &["-"]);
    }

    #[test]
    fn ports_that_are_none_or_too_many_leave_the_address_alone() {
        let address = part("ip-dst", "ip", "198.51.100.1");
        for port in ["any", "1-1024", "0", "65536", ""] {
            let parts =
                [address.clone(), part("port", "dst-port", "443"), part("port", "dst-port", port)];
            check("ip-port", &parts, &["-"; 3]);
        }
        let mut gone = part("port", "dst-port", "443");
        gone.deleted = Flag(Some(true));
        check("ip-port", &[address.clone(), gone], &["-"; 2]);
        let many = (1..=65).map(|port| part("port", "dst-port", &port.to_string()));
        let parts = many.chain([address]).collect::<Vec<_>>();
        check("ip-port", &parts, &["-"; 66]);
    }

    #[test]
    fn one_name_and_one_address_are_a_pair() {
        let name = part("domain", "domain", "evil.example");
        let address = part("ip-dst", "ip", "198.51.100.1");
        let pair = ["half:198.51.100.1", "half:evil.example"];
        check("domain-ip", &[name.clone(), address.clone()], &pair);
        let other = part("ip-dst", "ip", "198.51.100.2");
        check("domain-ip", &[name.clone(), address.clone(), other.clone()], &["-"; 3]);
        let not_ids = AttributeParts { to_ids: Flag(Some(false)), ..other };
        let three = [pair[0], pair[1], "-"];
        check("domain-ip", &[name.clone(), address.clone(), not_ids.clone()], &three);
        check("domain-ip", &[name.clone(), not_ids], &["-"; 2]);
        let host = part("hostname", "hostname", "www.evil.example");
        check("domain-ip", &[name, address, host], &three);
    }
    #[test]
    fn what_is_said_of_the_others_is_told() {
        let red =
            AttributeParts { tags: "tlp:red\u{1f}".to_owned(), ..part("port", "dst-port", "1") };
        let old = AttributeParts {
            last_seen: "1970-01-01T00:00:09Z".to_owned(),
            timestamp: Moment(99),
            decayed: Flag(Some(true)),
            ..part("port", "dst-port", "1")
        };
        let parts = [part("ip-dst", "ip", "198.51.100.1"), red, old];
        let composite = Composite::of("ip-port", &parts, Telling::Each);
        let said = composite.says_of(&parts[0]);
        let told = said.mates().iter().filter_map(|mate| mate.told.clone()).collect::<Vec<_>>();
        let red = Told { tags: "tlp:red\u{1f}".into(), ..Told::default() };
        assert_eq!(told, [red, Told { last_secs: 9, decayed: true, ..Told::default() }]);
        // of an object whose tags and times are those of all, one is as the other
        let composite = Composite::of("ip-port", &parts, Telling::AsOne);
        let said = composite.says_of(&parts[0]);
        assert_eq!(said.mates().iter().map(|mate| mate.told.clone()).collect::<Vec<_>>(), [None]);
        let unset = AttributeParts { to_ids: Flag(None), ..part("domain", "domain", "a.example") };
        let parts = [unset, part("ip-dst", "ip", "198.51.100.1")];
        for (telling, is_pair) in [(Telling::Each, true), (Telling::AsOne, false)] {
            let composite = Composite::of("domain-ip", &parts, telling);
            assert_eq!(composite.pair.is_some(), is_pair, "{telling:?}");
        }
    }
}
