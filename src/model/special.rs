//! Addresses of special purpose: never the address of one host on the Internet.
//!
//! Spec:   RFC 6890 §2.2 and the IANA registries it set up (not globally reachable ones); RFC 5771,
//!         RFC 4291 §2.7

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use ipnet::IpNet;
use ipnet::Ipv4Net;
use ipnet::Ipv6Net;

use crate::model::limits::PREFIX_V4_BITS_MIN;
use crate::model::limits::PREFIX_V6_BITS_MIN;

const SPECIAL_V4: &[Ipv4Net] = &[
    v4([0, 0, 0, 0], 8),       // "this network"
    v4([10, 0, 0, 0], 8),      // private
    v4([100, 64, 0, 0], 10),   // shared by carriers
    v4([127, 0, 0, 0], 8),     // loopback
    v4([169, 254, 0, 0], 16),  // link-local
    v4([172, 16, 0, 0], 12),   // private
    v4([192, 0, 0, 0], 24),    // protocol assignments
    v4([192, 0, 2, 0], 24),    // documentation
    v4([192, 88, 99, 0], 24),  // 6to4 relays, deprecated
    v4([192, 168, 0, 0], 16),  // private
    v4([198, 18, 0, 0], 15),   // benchmarking
    v4([198, 51, 100, 0], 24), // documentation
    v4([203, 0, 113, 0], 24),  // documentation
    v4([224, 0, 0, 0], 4),     // multicast
    v4([240, 0, 0, 0], 4),     // reserved, and broadcast
];

const SPECIAL_V6: &[Ipv6Net] = &[
    v6([0, 0, 0, 0], 96), // unspecified, loopback, IPv4-compatible; IPv4-mapped is read as IPv4
    v6([0x64, 0xff9b, 1, 0], 48), // local translation
    v6([0x100, 0, 0, 0], 64), // discard
    v6([0x2001, 0, 0, 0], 23), // protocol assignments: Teredo, benchmarking, ORCHID
    v6([0x2001, 0xdb8, 0, 0], 32), // documentation
    v6([0x2002, 0, 0, 0], 16), // 6to4
    v6([0x3fff, 0, 0, 0], 20), // documentation
    v6([0x5f00, 0, 0, 0], 16), // segment identifiers
    v6([0xfc00, 0, 0, 0], 7), // unique local
    v6([0xfe80, 0, 0, 0], 10), // link-local
    v6([0xfec0, 0, 0, 0], 10), // site-local, deprecated
    v6([0xff00, 0, 0, 0], 8), // multicast
];

/// Tells whether an address has a special purpose.
pub fn is_special(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => SPECIAL_V4.iter().any(|net| net.contains(&v4)),
        IpAddr::V6(v6) => SPECIAL_V6.iter().any(|net| net.contains(&v6)),
    }
}

/// Tells whether a prefix lies in one of special purpose.
pub fn is_special_prefix(prefix: IpNet) -> bool {
    match prefix {
        IpNet::V4(v4) => SPECIAL_V4.iter().any(|net| net.contains(&v4)),
        IpNet::V6(v6) => SPECIAL_V6.iter().any(|net| net.contains(&v6)),
    }
}

/// Tells whether a prefix is so wide that no one network can be meant.
pub fn is_wider_than_any(prefix: IpNet) -> bool {
    let bits_min = if prefix.addr().is_ipv4() { PREFIX_V4_BITS_MIN } else { PREFIX_V6_BITS_MIN };
    prefix.prefix_len() < bits_min && !is_special_prefix(prefix)
}

/// Tells whether a prefix covers one of special purpose.
pub fn covers_special(prefix: IpNet) -> bool {
    match prefix {
        IpNet::V4(v4) => SPECIAL_V4.iter().any(|net| v4.contains(net)),
        IpNet::V6(v6) => SPECIAL_V6.iter().any(|net| v6.contains(net)),
    }
}

/// Returns the special network that a prefix lies in or covers.
pub fn special_of(prefix: IpNet) -> Option<IpNet> {
    let v4 = SPECIAL_V4.iter().copied().map(IpNet::V4);
    let mut all = v4.chain(SPECIAL_V6.iter().copied().map(IpNet::V6));
    all.find(|net| net.contains(&prefix) || prefix.contains(net))
}

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6([a, b, c, d]: [u16; 4], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), bits)
}

#[cfg(test)]
mod tests {
    use super::covers_special;
    use super::is_special;
    use super::is_special_prefix;
    use super::special_of;

    fn check(text: &str, expected: bool) {
        let special = match text.parse() {
            Ok(ip) => is_special(ip),
            Err(_) => {
                let prefix = text.parse().expect("a prefix");
                let special = is_special_prefix(prefix) || covers_special(prefix);
                assert_eq!(special_of(prefix).is_some(), special, "{text}");
                special
            }
        };
        assert_eq!(special, expected, "{text}");
    }

    #[test]
    fn registry() {
        for text in "0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 169.254.1.1 172.31.255.255 192.168.0.1 \
            198.19.0.1 203.0.113.9 224.0.0.251 255.255.255.255 :: ::1 2001:db8::1 2002::1 \
            fd00::1 fe80::1 ff02::fb 3fff::1"
            .split_whitespace()
        {
            check(text, true);
        }
        for text in "9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.0.1 172.32.0.1 \
            192.167.1.1 198.17.255.255 198.20.0.0 223.255.255.255 2001:4860::8888 2a00::1 2003::1 \
            64:ff9b::101:101"
            .split_whitespace()
        {
            check(text, false);
        }
    }

    #[test]
    fn prefixes_inside_and_around() {
        check("10.1.0.0/16", true);
        check("192.0.0.0/8", true);
        check("203.0.112.0/23", true);
        check("203.0.112.0/24", false);
        check("2000::/3", true);
        check("2a00::/12", false);
    }
}
