//! The site's hosts, the servers they talk to, and everyone's names and addresses.
//!
//! Three populations that never meet, so that nothing matches by accident:
//!
//! | population | IPv4 | IPv6 (low bits of the third group) | names (before the top-level domain) |
//! |---|---|---|---|
//! | background traffic | second byte < 224, third even | 0 | no digit |
//! | indicators absent from the traffic | second byte < 224, third odd | 1 | one digit |
//! | planted hits and near misses | second byte >= 224 | 2 | two digits |
//!
//! All of it is ordinary unicast space (outside RFC 6890); no name is a public suffix.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use super::random::Random;

/// Names that the background looks up.
const NAMES: usize = 60_000;
/// Hosts of the site.
const CLIENTS: usize = 8_000;
/// First byte of the site's own network: 131.90.0.0/16, which no other population uses.
const SITE: [u8; 2] = [131, 90];

const SYLLABLES: [&str; 64] = [
    "ba", "be", "bi", "bo", "bu", "ca", "ce", "co", "da", "de", "di", "do", "fa", "fe", "fi", "fo",
    "ga", "go", "ha", "he", "jo", "ka", "ki", "ko", "la", "le", "li", "lo", "lu", "ma", "me", "mi",
    "mo", "mu", "na", "ne", "ni", "no", "nu", "pa", "pe", "pi", "po", "ra", "re", "ri", "ro", "ru",
    "sa", "se", "si", "so", "ta", "te", "ti", "to", "tu", "va", "ve", "vi", "wa", "wi", "ze", "zo",
];
const DOMAINS: [&str; 20] = [
    "com", "net", "org", "com", "io", "info", "com", "de", "fr", "net", "nl", "com", "xyz", "top",
    "site", "org", "online", "it", "eu", "com",
];
const HOSTS: [&str; 16] = [
    "www",
    "cdn",
    "api",
    "img",
    "static",
    "mail",
    "login",
    "cdn3",
    "edge-7",
    "assets",
    "telemetry",
    "update",
    "a1.b",
    "eu-west.api",
    "s3",
    "news",
];
const V6: [u16; 8] = [0x2600, 0x2607, 0x2a00, 0x2a02, 0x2a04, 0x2404, 0x2803, 0x2c0f];

/// Which of the populations that never meet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tribe {
    Background,
    Absent,
    Planted,
}

/// Picks a rank of the background's names: few are asked for often, many seldom.
pub(crate) fn popular(random: &mut Random) -> usize {
    let u = random.unit();
    ((u * u * u * NAMES as f64) as usize).min(NAMES - 1)
}

/// The host name of a rank.
pub(crate) fn name(seed: u64, rank: usize) -> String {
    let mut random = Random::of(seed, 11, rank as u64);
    let domain = domain(&mut random, Tribe::Background);
    if random.percent(20) { domain } else { format!("{}.{domain}", random.pick(&HOSTS)) }
}

/// A registrable domain of a tribe.
pub(crate) fn domain(random: &mut Random, tribe: Tribe) -> String {
    let mut text = String::with_capacity(24);
    for _ in 0..random.within(3, 5) {
        let syllable = *random.pick(&SYLLABLES);
        text.push_str(syllable);
    }
    match tribe {
        Tribe::Background => {}
        Tribe::Absent => text.push_str(&random.within(0, 9).to_string()),
        Tribe::Planted => text.push_str(&random.within(10, 99).to_string()),
    }
    text.push('.');
    let top = *random.pick(&DOMAINS);
    text.push_str(top);
    text
}

/// A label that goes before a domain.
pub(crate) fn label(random: &mut Random) -> String {
    (*random.pick(&HOSTS)).to_owned()
}

/// One of the addresses of the server with a rank.
pub(crate) fn server(seed: u64, rank: usize, v6: bool, which: u64) -> IpAddr {
    let mut random = Random::of(seed, 12 + which % 3, rank as u64);
    if v6 {
        v6_addr(&mut random, Tribe::Background)
    } else {
        v4_addr(&mut random, Tribe::Background)
    }
}

/// One of the site's hosts.
pub(crate) fn client(random: &mut Random, v6: bool) -> IpAddr {
    client_at(random.below(CLIENTS), v6)
}

/// The host of the site with an index; beyond the site's size it is one more host.
pub(crate) fn client_at(index: usize, v6: bool) -> IpAddr {
    if v6 {
        let (high, low) = ((index >> 16) as u16, index as u16);
        return IpAddr::V6(Ipv6Addr::new(
            0x2a0c,
            0x9e80,
            high,
            index as u16 % 64,
            0x42,
            0xacff,
            0xfe00,
            low,
        ));
    }
    let spread = index + 256;
    IpAddr::V4(Ipv4Addr::new(SITE[0], SITE[1], (spread >> 8) as u8, spread as u8))
}

/// A resolver: mostly the site's two, sometimes a public one.
pub(crate) fn resolver(random: &mut Random, v6: bool) -> IpAddr {
    match (v6, random.below(10)) {
        (false, 0) => IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)),
        (false, n) => IpAddr::V4(Ipv4Addr::new(SITE[0], SITE[1], 0, 53 + (n % 2) as u8)),
        (true, n) => {
            IpAddr::V6(Ipv6Addr::new(0x2a0c, 0x9e80, 0, 0xff, 0, 0, 0, 0x53 + (n % 2) as u16))
        }
    }
}

/// An IPv4 address of a tribe.
pub(crate) fn v4_addr(random: &mut Random, tribe: Tribe) -> IpAddr {
    let first = loop {
        let byte = random.within(11, 223) as u8;
        // The bytes under which RFC 6890 has an entry, and the site's.
        if ![100, 127, 131, 169, 172, 192, 198, 203].contains(&byte) {
            break byte;
        }
    };
    let second =
        if tribe == Tribe::Planted { random.within(224, 255) } else { random.within(0, 223) };
    let third = match tribe {
        Tribe::Background => random.within(0, 127) * 2,
        Tribe::Absent => random.within(0, 127) * 2 + 1,
        Tribe::Planted => random.within(0, 255),
    };
    IpAddr::V4(Ipv4Addr::new(first, second as u8, third as u8, random.within(1, 254) as u8))
}

/// An IPv6 address of a tribe.
pub(crate) fn v6_addr(random: &mut Random, tribe: Tribe) -> IpAddr {
    let bits = random.draw();
    let third = (bits as u16 & !3)
        | match tribe {
            Tribe::Background => 0,
            Tribe::Absent => 1,
            Tribe::Planted => 2,
        };
    let last = (random.draw() as u16).max(1);
    IpAddr::V6(Ipv6Addr::new(
        *random.pick(&V6),
        (bits >> 16) as u16,
        third,
        (bits >> 32) as u16,
        0,
        0,
        (bits >> 48) as u16,
        last,
    ))
}
