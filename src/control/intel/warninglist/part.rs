//! The parts of an indicator that lists are asked for: a composite is judged by its halves, each
//! as a value of its own type; a port says nothing.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::address::Address;
use crate::model::indicator::IndicatorType;
use crate::model::pattern::Pattern;

/// Part of an indicator's value.
#[derive(Clone, Debug)]
pub(super) struct Part<'v> {
    /// The types that it is of, a bit each.
    pub(super) scope: u32,
    /// Its addresses.
    pub(super) net: Option<IpNet>,
    /// Its canonical text, in lower case.
    text: Cow<'v, str>,
    /// The same as its feed has it, where that is the whole value.
    raw: &'v str,
    host: Host,
}

/// Where the host is in a part.
#[derive(Clone, Copy, Debug)]
enum Host {
    None,
    Whole,
    /// These bytes of the text.
    Within(usize, usize),
}

impl Part<'_> {
    /// Returns the texts that entries may be: in one form, then as the feed has it.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let raw = (!self.raw.is_empty() && self.raw != self.text).then_some(self.raw);
        std::iter::once(&*self.text).chain(raw)
    }

    /// Returns the name of a host in it.
    pub(super) fn host(&self) -> Option<&str> {
        match self.host {
            Host::None => None,
            Host::Whole => Some(&self.text),
            Host::Within(from, to) => self.text.get(from..to),
        }
    }
}

/// Returns the bit of a type.
pub(super) fn bit(ty: IndicatorType) -> u32 {
    1_u32.checked_shl(u32::try_from(ty.position()).unwrap_or(u32::MAX)).unwrap_or(0)
}

const _: () = assert!(IndicatorType::ALL.len() <= 32);

/// Returns the parts of an indicator.
pub(super) fn parts<'v>(
    ty: IndicatorType,
    pattern: &'v Pattern,
    value: &'v str,
) -> impl Iterator<Item = Part<'v>> {
    use IndicatorType as T;
    let own = bit(ty);
    let ip_types = match ty {
        T::IpSrcPort => own | bit(T::IpSrc),
        T::IpDstPort => own | bit(T::IpDst),
        T::DomainIp => own | bit(T::IpSrc) | bit(T::IpDst),
        _ => own,
    };
    let name_types = match ty {
        T::DomainIp => own | bit(T::Domain),
        T::HostnamePort => own | bit(T::Hostname),
        _ => own,
    };
    let raw = value.trim();
    let address = |address: &Address| net(IpNet::from(address.to_ip()), ip_types);
    let name = |name: &'v str, raw| Part {
        scope: name_types,
        net: None,
        text: Cow::Borrowed(name),
        raw,
        host: Host::Whole,
    };
    let (first, second) = match pattern {
        Pattern::Address(ip) | Pattern::AddressPort(ip, _) => (address(ip), None),
        Pattern::Prefix(prefix) => (net(*prefix, ip_types), None),
        Pattern::Domain(text) | Pattern::Hostname(text) => (name(text, raw), None),
        Pattern::HostnamePort(text, _) => (name(text, ""), None),
        Pattern::DomainIp(text, ip) => (name(text, ""), Some(address(ip))),
        Pattern::Url(url) => (whole_url(pattern, url.host(), raw, own), None),
        _ => {
            let text = Cow::Owned(pattern.to_string().to_lowercase());
            (Part { scope: own, net: None, text, raw, host: Host::None }, None)
        }
    };
    std::iter::once(first).chain(second)
}

fn net<'v>(net: IpNet, scope: u32) -> Part<'v> {
    let is_one = net.prefix_len() == net.max_prefix_len();
    let text = if is_one { net.addr().to_string() } else { net.to_string() };
    Part { scope, net: Some(net), text: Cow::Owned(text), raw: "", host: Host::None }
}

fn whole_url<'v>(pattern: &Pattern, host: &str, raw: &'v str, scope: u32) -> Part<'v> {
    let text = pattern.to_string().to_lowercase();
    let from = text.find("://").map_or(0, |at| at + 3);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let net = bare.parse::<IpAddr>().ok().map(IpNet::from);
    let host = Host::Within(from, from + host.len());
    Part { scope, net, text: Cow::Owned(text), raw, host }
}
