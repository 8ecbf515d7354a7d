//! Planted frames: each opens a flow of its own that exactly one indicator names, so that every
//! alert of a run is known beforehand; and the indicators among which the planted ones hide.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::Path;

use crate::control::bench::live::conversation;
use crate::control::bench::live::frame;
use crate::control::bench::live::frame::End;
use crate::control::bench::live::frame::Marker;
use crate::control::bench::live::frame::Segment;

/// Addresses and names that are planted, of each so many.
const PLANTED: u32 = 32;

/// Ports of one source before the next one takes its turn.
const PORTS: u32 = 60_000;

/// How planted frames look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    /// Datagrams of one size to a planted address.
    Sized(u16),
    /// In turn: such a datagram, a DNS question, a TLS hello, an HTTP request for a planted name.
    Mixed,
}

/// Makes planted frames, and knows what each must be found by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planted {
    pub(super) looks: Looks,
    pub(super) marker: Marker,
}

/// How one frame is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Address,
    Question,
    Hello,
    Request,
}

impl Planted {
    /// Returns frame `n`.
    pub(super) fn frame(self, n: u32) -> Vec<u8> {
        let from = opener(n);
        let to = |port| End(Ipv4Addr::new(198, 19, 0, 53), port);
        let name = name(n % PLANTED);
        let segment = Segment { seq: 1, ack: 1, ..Segment::default() };
        match self.form(n) {
            Form::Address => {
                let size = match self.looks {
                    Looks::Sized(size) => size,
                    Looks::Mixed => 256,
                };
                let to = End(address(n % PLANTED), 9);
                frame::udp(from, to, &vec![0; frame::udp_room(size)], self.marker)
            }
            Form::Question => {
                frame::udp(from, to(53), &conversation::question(&name, 0x5453), self.marker)
            }
            Form::Hello => {
                frame::tcp(from, to(443), segment, &conversation::hello(&name), self.marker)
            }
            Form::Request => {
                frame::tcp(from, to(80), segment, &conversation::request(&name), self.marker)
            }
        }
    }

    /// Tells which planted frame an alert speaks of, by its flow's opener and the indicator's
    /// value; `None`: no such frame can have been sent.
    pub(super) fn number(self, opener: Ipv4Addr, port: u16, value: &str) -> Option<u32> {
        let source = u32::from(opener).checked_sub(u32::from(first_opener()))?;
        let port = u32::from(port).checked_sub(1_024).filter(|port| *port < PORTS)?;
        let n = source.checked_mul(PORTS)?.checked_add(port)?;
        let wanted = match self.form(n) {
            Form::Address => address(n % PLANTED).to_string(),
            _ => name(n % PLANTED),
        };
        (value == wanted).then_some(n)
    }

    /// Tells whether only planted flows have this opener.
    pub(super) fn is_opener(ip: Ipv4Addr) -> bool {
        ip >= first_opener() && ip < Ipv4Addr::new(198, 19, 0, 0)
    }

    fn form(self, n: u32) -> Form {
        match (self.looks, n / PLANTED % 4) {
            (Looks::Sized(_), _) | (Looks::Mixed, 0) => Form::Address,
            (_, 1) => Form::Question,
            (_, 2) => Form::Hello,
            _ => Form::Request,
        }
    }
}

/// Who opens planted flow `n`: no other flow has this end.
fn opener(n: u32) -> End {
    let source = u32::from(first_opener()).saturating_add(n / PORTS);
    End(Ipv4Addr::from(source), u16::try_from(1_024 + n % PORTS).unwrap_or(u16::MAX))
}

/// In the range for benchmarks (RFC 2544 appendix C.2.2), beyond those of the traffic.
fn first_opener() -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 200, 1)
}

fn address(k: u32) -> Ipv4Addr {
    let [.., k] = k.to_be_bytes();
    Ipv4Addr::new(198, 19, 255, k)
}

fn name(k: u32) -> String {
    format!("planted-{k}.bench.tapsieve.example")
}

/// Writes the planted indicators, and `others` that no traffic of the bench shows, as CSV.
///
/// # Errors
///
/// When the file cannot be written.
pub(super) fn write_indicators(path: &Path, others: u32) -> std::io::Result<()> {
    let mut text = String::from("type,value\n");
    for k in 0..PLANTED {
        // a String takes all
        let _fits = writeln!(text, "ip-dst,{}\ndomain,{}", address(k), name(k));
    }
    let mut random = 0x7461_7073_6965_7665;
    for n in 0..others {
        let r = next(&mut random);
        let [a, b, c, d, ..] = r.to_le_bytes();
        let _fits = match n % 20 {
            0..=6 => writeln!(text, "domain,{r:x}.{n}.bench-other.example"),
            7..=8 => writeln!(text, "hostname,www.{r:x}.{n}.bench-other.example"),
            9..=13 => writeln!(text, "ip-dst,{}.{b}.{c}.{d}", 20 + a % 70),
            14 => writeln!(text, "ip-dst,{}.{b}.{c}.0/24", 20 + a % 70),
            15..=17 => {
                writeln!(text, "url,http://{r:x}.bench-other.example/{n}/{:x}", next(&mut random))
            }
            18 => writeln!(text, "ja3-fingerprint-md5,{r:016x}{:016x}", next(&mut random)),
            _ => writeln!(text, "x509-fingerprint-sha1,{r:016x}{:016x}{n:08x}", next(&mut random)),
        };
    }
    std::fs::write(path, text)
}

/// A number that looks random (`SplitMix64`).
pub(super) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_frame_is_known_by_its_alert_and_by_no_other() {
        let planted = Planted { looks: Looks::Mixed, marker: Marker::of_this_run() };
        for n in [0, 31, 32, 63, 64, 100, 127, 59_999, 60_000, 130_021] {
            let End(ip, port) = opener(n);
            let k = n % PLANTED;
            let (right, wrong) = match n / PLANTED % 4 {
                0 => (address(k).to_string(), name(k)),
                _ => (name(k), address(k).to_string()),
            };
            assert_eq!(planted.number(ip, port, &right), Some(n), "{n}");
            assert_eq!(planted.number(ip, port, &wrong), None, "{n}");
            assert_eq!(planted.number(ip, port, &name(k + 1)), None, "{n}");
        }
        assert_eq!(planted.number(Ipv4Addr::new(198, 18, 0, 1), 2_000, &name(0)), None);
    }
}
