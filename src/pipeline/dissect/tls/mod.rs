//! TLS: names, fingerprints and certificates of handshakes, from what is sent before encryption
//! begins.
//!
//! Spec:   RFC 8446 §4, §5 and D.4 (TLS 1.3, compatibility); RFC 5246 §7.4 (TLS 1.2); RFC 6101 §5.6
//!         (SSL 3.0); RFC 5246 E.2 (SSL 2.0 hellos)
//! Reads:  both sides' bytes, each side by itself and in either role, so captures of one direction
//!         work
//! Yields: `tls.sni`, `tls.client_hello`, `tls.server_hello`, `tls.certificate`
//! Bounds: `limits::TLS_MESSAGE_BYTES_MAX` for a hello and for each certificate, longer ones are
//!         skipped over; `limits::CERTIFICATES_MAX`
//! Leaves: whatever is encrypted; a second ClientHello behind early data; fingerprints of SSL 2.0
//!         hellos
//!
//! A side's state is small because nothing is kept: bytes stay unread until the message or
//! certificate that they belong to is whole, and are then read where they lie.

pub mod certificate;
pub mod hello;
pub mod ja3;
pub mod ja4;
mod pen;
mod record;
#[cfg(test)]
mod samples;
mod ssl2;

use md5::Digest;
use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::domain::Domain;
use crate::model::flow::Side;
use crate::model::limits::CERTIFICATES_MAX;
use crate::model::limits::TLS_MESSAGE_BYTES_MAX;
use crate::model::observation::Observation;
use crate::model::observation::ObservationKind;
use crate::model::observation::Place;
use crate::model::observation::Seen;
use crate::model::observation::Value;
use crate::model::step::Step;
use crate::model::step::Verdict;
use crate::pipeline::dissect::Dissect;
use crate::pipeline::dissect::Guess;
use crate::pipeline::dissect::tls::hello::ClientHello;
use crate::pipeline::dissect::tls::hello::ServerHello;
use crate::pipeline::dissect::tls::ja4::Transport;
use crate::pipeline::dissect::tls::record::Content;
use crate::pipeline::dissect::tls::record::HEADER_BYTES;
use crate::pipeline::dissect::tls::record::Lack;
use crate::pipeline::dissect::tls::record::Payload;
use crate::pipeline::dissect::tls::record::Record;

/// Bytes before a handshake message's body: kind and a 24-bit length.
const MESSAGE_HEADER_BYTES: usize = 4;

/// Bytes of the length before a certificate, and before the list of them.
const CERTIFICATE_HEADER_BYTES: u32 = 3;

/// Bytes passed over unseen at a time: the longest record, which is one of SSL 2.0.
const UNSEEN_BYTES_MAX: u32 = 0x7fff + 2;

/// Kinds of handshake messages, RFC 8446 §B.3, RFC 5246 §A.4.
mod kind {
    pub(super) const CLIENT_HELLO: u8 = 1;
    pub(super) const SERVER_HELLO: u8 = 2;
    pub(super) const CERTIFICATE: u8 = 11;

    /// Tells whether a message is sent in the clear before more of them: hello_request,
    /// new_session_ticket, the hello_retry_request of drafts, server_key_exchange,
    /// certificate_request, certificate_verify, certificate_url, certificate_status,
    /// supplemental_data.
    pub(super) fn is_passed_over(kind: u8) -> bool {
        matches!(kind, 0 | 4 | 6 | 12 | 13 | 15 | 21 | 22 | 23)
    }

    /// Tells whether a message is sent in the clear; behind a server_hello_done, a
    /// client_key_exchange or a finished nothing readable comes.
    pub(super) fn is_plain(kind: u8) -> bool {
        is_passed_over(kind) || matches!(kind, CLIENT_HELLO | SERVER_HELLO | CERTIFICATE | 14 | 16)
    }
}

/// A TLS connection.
#[derive(Debug, Default)]
pub struct Tls {
    orig: Half,
    resp: Half,
}

const _: () = assert!(size_of::<Tls>() <= 48);

impl Dissect for Tls {
    fn probe(bytes: &[u8]) -> Guess {
        if bytes.first().is_some_and(|first| *first >= ssl2::MARK) {
            return ssl2::probe(bytes);
        }
        // What is not there yet is taken to be as it should.
        let mut header = [22, 3, 1, 0, 1];
        header.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        match (Record::parse(header), bytes.get(HEADER_BYTES)) {
            (None, _) => Guess::No,
            (Some(_), None) if bytes.len() < HEADER_BYTES => Guess::Maybe,
            (Some(record), first) if record.content == Content::Handshake && record.len > 0 => {
                first.map_or(Guess::Maybe, |kind| {
                    if kind::is_plain(*kind) { Guess::Yes } else { Guess::No }
                })
            }
            _ => Guess::Yes,
        }
    }

    fn feed(&mut self, side: Side, bytes: &[u8], seen: &mut impl Seen) -> Step {
        let (half, other) = match side {
            Side::Orig => (&mut self.orig, &self.resp),
            Side::Resp => (&mut self.resp, &self.orig),
        };
        let consumed = half.read(bytes, seen);
        debug_assert!(consumed <= u64::from(narrow(bytes.len()).saturating_add(UNSEEN_BYTES_MAX)));
        let verdict = match (half.ended, other.ended) {
            (false, _) => Verdict::More,
            (true, _) if !half.started && !other.started => Verdict::Alien,
            (true, false) => Verdict::SideDone,
            (true, true) => Verdict::Done,
        };
        Step { consumed, verdict }
    }
}

/// One side's reading.
#[derive(Debug, Default)]
struct Half {
    /// Handshake bytes to pass over before anything else.
    skip: u32,
    /// Bytes of the certificate list still ahead; 0 outside of one.
    list_left: u32,
    /// With fewer unread bytes there is nothing new to read.
    need: u32,
    /// Body bytes of the open handshake record still ahead.
    record_left: u16,
    /// Certificates read of the list.
    certificates: u8,
    /// A record was read.
    started: bool,
    /// A ChangeCipherSpec was seen: only a hello is still readable, of a TLS 1.3 connection
    /// (RFC 8446 §D.4).
    ciphered: bool,
    /// Nothing readable comes any more.
    ended: bool,
}

impl Half {
    /// Reads as far as possible; returns how many bytes need not be shown again.
    fn read(&mut self, bytes: &[u8], seen: &mut impl Seen) -> u64 {
        if self.ended || bytes.len() < index(self.need) {
            return 0;
        }
        self.need = 0;
        let mut consumed = 0_u64;
        let mut rest = bytes;
        while !self.ended {
            match self.step(rest, seen) {
                Ok(n) => {
                    consumed = consumed.saturating_add(u64::from(n));
                    let Some(tail) = rest.get(index(n)..) else { break };
                    rest = tail;
                }
                Err(Lack::More(n)) => {
                    let need = rest.len().saturating_add(n).min(TLS_MESSAGE_BYTES_MAX);
                    self.need = narrow(need);
                    break;
                }
                Err(Lack::Never) => self.ended = true,
            }
        }
        consumed
    }

    /// Reads the next thing; returns how many bytes it took, which may be more than are shown.
    fn step(&mut self, rest: &[u8], seen: &mut impl Seen) -> Result<u32, Lack> {
        if self.record_left == 0 {
            self.open(rest, seen)
        } else if self.skip > 0 {
            Ok(self.pass_over())
        } else if self.list_left > 0 {
            self.certificate(rest, seen)
        } else {
            self.message(rest, seen)
        }
    }

    /// Opens a record, or passes over one that is not of the handshake.
    fn open(&mut self, rest: &[u8], seen: &mut impl Seen) -> Result<u32, Lack> {
        if !self.started && rest.first().is_some_and(|first| *first >= ssl2::MARK) {
            let n = ssl2::read(rest, |certificate| tell_certificate(certificate, seen))?;
            self.started = true;
            return Ok(n);
        }
        let lack = HEADER_BYTES.saturating_sub(rest.len());
        let header = rest.first_chunk().ok_or(Lack::More(lack))?;
        let record = Record::parse(*header).ok_or(Lack::Never)?;
        self.started = true;
        match record.content {
            Content::ApplicationData => return Err(Lack::Never),
            Content::Handshake => {
                self.record_left = record.len;
                return Ok(narrow(HEADER_BYTES));
            }
            Content::ChangeCipherSpec => self.ciphered = true,
            Content::Alert | Content::Heartbeat => {}
        }
        Ok(narrow(HEADER_BYTES).saturating_add(u32::from(record.len)))
    }

    /// Passes over what is to be skipped in the open record.
    fn pass_over(&mut self) -> u32 {
        let n = self.skip.min(u32::from(self.record_left));
        self.skip = self.skip.saturating_sub(n);
        self.record_left = self.record_left.saturating_sub(u16::try_from(n).unwrap_or(u16::MAX));
        n
    }

    /// Reads a handshake message; of a list of certificates only what is before the first.
    fn message(&mut self, rest: &[u8], seen: &mut impl Seen) -> Result<u32, Lack> {
        let start = Payload::new(rest, self.record_left);
        let mut payload = start;
        let [kind, a, b, c] = payload.array::<MESSAGE_HEADER_BYTES>().map_err(reachable(rest))?;
        let len = u32::from_be_bytes([0, a, b, c]);
        match kind {
            kind::CLIENT_HELLO | kind::SERVER_HELLO => {
                if self.ciphered && !is_hello_like(payload, len).map_err(reachable(rest))? {
                    return Err(Lack::Never);
                }
                let mut body = payload;
                match body.show(index(len), |body| self.hello(kind, body, seen)) {
                    Ok(()) => payload = body,
                    Err(lack) => self.skip = skippable(rest, len, lack)?,
                }
            }
            _ if self.ciphered => return Err(Lack::Never),
            kind::CERTIFICATE => {
                let mut list = payload;
                let [a, b, c] = list.array().map_err(reachable(rest))?;
                let list_len = u32::from_be_bytes([0, a, b, c]);
                if list_len.checked_add(CERTIFICATE_HEADER_BYTES) == Some(len) {
                    payload = list;
                    self.list_left = list_len;
                    self.certificates = 0;
                } else {
                    self.skip = len;
                }
            }
            _ if kind::is_passed_over(kind) => self.skip = len,
            _ => return Err(Lack::Never),
        }
        Ok(self.settle(start, payload))
    }

    /// Reads one certificate of a list.
    fn certificate(&mut self, rest: &[u8], seen: &mut impl Seen) -> Result<u32, Lack> {
        let start = Payload::new(rest, self.record_left);
        let mut payload = start;
        let [a, b, c] = payload.array().map_err(reachable(rest))?;
        let len = u32::from_be_bytes([0, a, b, c]);
        let taken = len.saturating_add(CERTIFICATE_HEADER_BYTES);
        let more = usize::from(self.certificates) < CERTIFICATES_MAX;
        if !more {
            seen.cut();
        }
        if !more || len == 0 || taken > self.list_left {
            self.skip = std::mem::take(&mut self.list_left);
            return Ok(0);
        }
        let mut body = payload;
        match body.show(index(len), |der| tell_certificate(der, seen)) {
            Ok(()) => payload = body,
            Err(lack) => {
                self.skip = skippable(rest, len, lack)?;
                seen.cut();
            }
        }
        self.list_left = self.list_left.saturating_sub(taken);
        self.certificates = self.certificates.saturating_add(1);
        Ok(self.settle(start, payload))
    }

    /// Tells what a hello says, and whether it is the side's last readable word.
    fn hello(&mut self, kind: u8, body: &[u8], seen: &mut impl Seen) {
        if kind == kind::CLIENT_HELLO {
            if let Some(hello) = ClientHello::parse(body) {
                tell_client(hello, seen);
            }
        } else if let Some(hello) = ServerHello::parse(body) {
            let ja3s = ja3::server(hello);
            let value = Value::Digest(ja3s.as_ref());
            seen.note(Observation {
                kind: ObservationKind::Ja3s,
                place: Place::TlsServerHello,
                value,
            });
            self.ended = hello.is_encrypted_next();
        }
    }

    /// Moves from one place to another; returns how many bytes lie between.
    fn settle(&mut self, from: Payload<'_>, to: Payload<'_>) -> u32 {
        self.record_left = to.record_left();
        narrow(from.len().saturating_sub(to.len()))
    }
}

/// Turns a wish for more bytes than are ever looked at into `Never`.
fn reachable(rest: &[u8]) -> impl FnOnce(Lack) -> Lack {
    let full = rest.len() >= TLS_MESSAGE_BYTES_MAX;
    move |lack| if full { Lack::Never } else { lack }
}

/// Returns how many bytes to skip where something is too long to be read; else passes on what
/// lacks.
fn skippable(rest: &[u8], len: u32, lack: Lack) -> Result<u32, Lack> {
    let long = index(len) > TLS_MESSAGE_BYTES_MAX || rest.len() >= TLS_MESSAGE_BYTES_MAX;
    if long && lack != Lack::Never { Ok(len) } else { Err(lack) }
}

/// Tells whether a hello's body begins as one: after a ChangeCipherSpec the bytes may be encrypted.
fn is_hello_like(mut body: Payload<'_>, len: u32) -> Result<bool, Lack> {
    /// Version, random, session id's length, cipher suite, and one byte for compression.
    const SHORTEST: u32 = 2 + 32 + 1 + 2 + 1;
    let [major, _] = body.array()?;
    Ok(len >= SHORTEST && index(len) <= TLS_MESSAGE_BYTES_MAX && major == 3)
}

fn tell_client(hello: ClientHello<'_>, seen: &mut impl Seen) {
    if let Some(name) = hello.server_name().and_then(Domain::from_text) {
        let value = Value::Text(name.as_bytes());
        seen.note(Observation { kind: ObservationKind::TlsSni, place: Place::TlsSni, value });
    }
    let place = Place::TlsClientHello;
    let ja3 = ja3::client(hello);
    let value = Value::Digest(ja3.as_ref());
    seen.note(Observation { kind: ObservationKind::Ja3, place, value });
    let ja4 = ja4::fingerprint(hello, Transport::Tcp);
    let value = Value::Text(&ja4);
    seen.note(Observation { kind: ObservationKind::Ja4, place, value });
}

fn tell_certificate(der: &[u8], seen: &mut impl Seen) {
    let place = Place::TlsCertificate;
    let mut digest = |kind, digest: &[u8]| {
        seen.note(Observation { kind, place, value: Value::Digest(digest) });
    };
    digest(ObservationKind::CertMd5, &Md5::digest(der));
    digest(ObservationKind::CertSha1, &Sha1::digest(der));
    digest(ObservationKind::CertSha256, &Sha256::digest(der));
    let _damaged = certificate::names(der, |name| {
        if let Some(name) = Domain::from_text(name) {
            let value = Value::Text(name.as_bytes());
            seen.note(Observation { kind: ObservationKind::CertName, place, value });
        }
    });
}

/// Reads any bytes as one side of a connection; they tell the same however they are cut, and what
/// they are taken for does not change as more of them come.
#[cfg(any(test, fuzzing))]
pub fn fuzz(data: &[u8]) {
    use crate::pipeline::dissect::drive::drive;
    let whole = drive::<Tls>(&[(Side::Orig, data)], usize::MAX).lines;
    for piece in [1, 7, 100] {
        assert_eq!(drive::<Tls>(&[(Side::Resp, data)], piece).lines, whole, "in pieces of {piece}");
    }
    let (head, _) = data.split_at(data.len() / 2);
    let (early, late) = (Tls::probe(head), Tls::probe(data));
    assert!(early == Guess::Maybe || early == late);
}

#[cfg(test)]
mod tests;
