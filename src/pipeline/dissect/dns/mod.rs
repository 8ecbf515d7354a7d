//! DNS over UDP and TCP, multicast DNS and LLMNR, on any port.
//!
//! Spec:   RFC 1035 §4.2 (transport); RFC 7766 §8 (TCP); RFC 6762 §18 (mDNS); RFC 4795 §2.1 (LLMNR)
//! Reads:  datagrams whole; of streams one message at a time, each behind its length
//! Yields: `dns.question`, `dns.answer`, `dns.answer.name`
//! Bounds: `limits::DNS_RECORDS_MAX`, `limits::DNS_POINTERS_MAX`
//! Leaves: owner names, TTLs, other record types, DNS over TLS, HTTPS and QUIC, NetBIOS names

mod message;

use crate::model::bytes::Cursor;
use crate::model::flow::Side;
use crate::model::observation::Observation;
use crate::model::observation::Seen;
use crate::model::step::Step;
use crate::model::step::Verdict;
use crate::pipeline::dissect::Dissect;
use crate::pipeline::dissect::Guess;
use crate::pipeline::dissect::dns::message::HEADER_BYTES;
use crate::pipeline::dissect::dns::message::Header;

/// Ports of DNS, mDNS and LLMNR: what is there is read as far as it goes, damaged or not.
const PORTS: [u16; 3] = [53, 5353, 5355];

/// NetBIOS names look like DNS and are not (RFC 1002 §4.2).
const NETBIOS_PORT: u16 = 137;

/// Reads one datagram of a flow between `ports`, in any order.
///
/// On the ports of DNS everything before the damage counts; elsewhere only a message without a
/// fault is one.
pub fn datagram(bytes: &[u8], ports: [u16; 2], seen: &mut impl Seen) -> Datagram {
    if !ports.iter().any(|port| PORTS.contains(port)) {
        let whole = !ports.contains(&NETBIOS_PORT)
            && Header::parse(bytes).is_some_and(Header::is_plausible)
            && message::read(bytes, &mut Unseen).is_flawless();
        if !whole {
            return Datagram::Alien;
        }
    }
    if bytes.len() < HEADER_BYTES {
        return Datagram::Alien;
    }
    if message::read(bytes, seen).has_ended() { Datagram::Whole } else { Datagram::Partial }
}

/// What a datagram was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Datagram {
    /// A message.
    Whole,
    /// A message, on a port of DNS, that could not be read to its end.
    Partial,
    /// No message.
    Alien,
}

/// Both sides of a DNS stream.
#[derive(Debug, Default)]
pub struct Dns {
    orig: Message,
    resp: Message,
}

/// The message that a side is in the middle of: its length once that was read, else 0.
#[derive(Debug, Default)]
struct Message {
    bytes: u16,
}

impl Dissect for Dns {
    fn probe(bytes: &[u8]) -> Guess {
        let mut c = Cursor::new(bytes);
        let Some(length) = c.u16() else { return Guess::Maybe };
        if usize::from(length) < HEADER_BYTES {
            return Guess::No;
        }
        let shown = c.rest();
        message::guess(shown.get(..usize::from(length)).unwrap_or(shown), usize::from(length))
    }

    fn feed(&mut self, side: Side, bytes: &[u8], seen: &mut impl Seen) -> Step {
        let message = match side {
            Side::Orig => &mut self.orig,
            Side::Resp => &mut self.resp,
        };
        let mut c = Cursor::new(bytes);
        let verdict = message.advance(&mut c, seen);
        let consumed = bytes.len().saturating_sub(c.len());
        Step { consumed: u64::try_from(consumed).unwrap_or(u64::MAX), verdict }
    }
}

impl Message {
    /// Reads every message that is there; its length is consumed ahead of it, so 65,535 bytes are
    /// the most kept.
    fn advance(&mut self, c: &mut Cursor<'_>, seen: &mut impl Seen) -> Verdict {
        loop {
            if self.bytes == 0 {
                let Some(bytes) = c.u16() else { return Verdict::More };
                if usize::from(bytes) < HEADER_BYTES {
                    return Verdict::Alien;
                }
                self.bytes = bytes;
            }
            let Some(message) = c.take(usize::from(self.bytes)) else { return Verdict::More };
            if !Header::parse(message).is_some_and(Header::is_sound) {
                return Verdict::Alien;
            }
            message::read(message, seen);
            self.bytes = 0;
        }
    }
}

/// Takes what a first reading sees, to judge a message before anything of it is told.
struct Unseen;

impl Seen for Unseen {
    fn note(&mut self, _: Observation<'_>) {}
}

/// Reads any bytes as datagrams and as a stream; the stream tells the same however it is cut.
#[cfg(any(test, fuzzing))]
pub fn fuzz(data: &[u8]) {
    use crate::model::observation::Notes;
    use crate::pipeline::dissect::drive::however_cut;
    use crate::pipeline::dissect::drive::line;

    let notes = |ports| {
        let mut notes = Notes::new();
        datagram(data, ports, &mut notes);
        notes.iter().map(|observation| line(&observation)).collect::<Vec<_>>()
    };
    let (strict, lenient) = (notes([40_000, 8053]), notes([40_000, 53]));
    assert!(strict.is_empty() || strict == lenient);
    however_cut::<Dns>(&[(Side::Orig, data)]);
}

#[cfg(test)]
mod tests;
