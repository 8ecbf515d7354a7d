//! One entry of a list: what it stands for, or why it cannot be meant (misp-warninglists#275: an
//! entry that matches nearly everything).

use std::net::IpAddr;

use ipnet::IpNet;

use crate::control::intel::warninglist::read::Mode;
use crate::model::domain::Domain;
use crate::model::special::is_wider_than_any;

/// What an entry stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    /// This value, in lower case.
    Value(String),
    /// This name and all under it, in lower case.
    Host(String),
    /// These addresses.
    Net(IpNet),
    /// Something inside a value: read with the others of its list.
    Later,
}

impl Entry {
    /// Reads an entry of a list.
    ///
    /// # Errors
    /// Why it is left out.
    pub(super) fn read(mode: Mode, text: &str) -> Result<Self, String> {
        let text = text.trim();
        match mode {
            _ if mode.is_expression() => Ok(Self::Later),
            _ if text.is_empty() => Err("it is empty".to_owned()),
            Mode::Cidr => net(text).map(Self::Net),
            Mode::Hostname => host(text).map(Self::Host),
            _ => Ok(Self::Value(text.to_lowercase())),
        }
    }
}

/// Reads a name, with or without a dot before and behind it, as MISP does.
fn host(text: &str) -> Result<String, String> {
    let bare = text.trim_matches('.');
    let name = match Domain::from_feed(bare) {
        Ok(name) => name.as_str().to_owned(),
        // as of a URL
        Err(_) if bare.parse::<IpAddr>().is_ok() || bare.is_empty() => bare.to_lowercase(),
        Err(why) => return Err(format!("{bare:?} is the name of no host: {why}")),
    };
    let suffix = psl::suffix(name.as_bytes());
    let is_top = !name.contains('.') && suffix.is_some_and(|suffix| suffix.is_known());
    match name.as_str() {
        "" => Err("it is empty".to_owned()),
        _ if is_top => Err(format!("{name:?} has all names of a top-level domain under it")),
        _ => Ok(name),
    }
}

fn net(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    let net = text.parse::<IpNet>().or_else(|_| address());
    let net = net.map_err(|_| format!("{text:?} is neither an address nor a prefix"))?.trunc();
    let net = canonical(net);
    if is_wider_than_any(net) {
        return Err(format!("{net} is wider than any network"));
    }
    Ok(net)
}

/// Returns an IPv4-mapped prefix as IPv4.
fn canonical(net: IpNet) -> IpNet {
    let bits = net.prefix_len().checked_sub(96).filter(|_| net.addr().is_ipv6());
    let ip = net.addr().to_canonical();
    bits.filter(|_| ip.is_ipv4()).and_then(|bits| IpNet::new(ip, bits).ok()).unwrap_or(net)
}
