//! One head: the request line or status, and the few header fields that matter.
//!
//! Spec:   RFC 9112 §3 (request line, target forms), §5 (fields), §5.2 (folding), §6.3 (body
//!         length)
//! Reads:  one head, whole or cut at the bound
//! Yields: `http.host`, `http.url`, `http.user_agent`
//! Bounds: `limits::HTTP_HEAD_BYTES_MAX`, `limits::HTTP_HEADERS_MAX`,
//!         `limits::HTTP_FOLDED_BYTES_MAX`
//! Leaves: all other header fields; percent-encoding, which stays as sent

use std::mem::MaybeUninit;

use crate::model::domain::Domain;
use crate::model::limits::HTTP_FOLDED_BYTES_MAX;
use crate::model::limits::HTTP_HEAD_BYTES_MAX;
use crate::model::limits::HTTP_HEADERS_MAX;
use crate::model::observation::Observation;
use crate::model::observation::ObservationKind;
use crate::model::observation::Place;
use crate::model::observation::Seen;
use crate::model::observation::Value;
use crate::pipeline::dissect::http::start::is_http;
use crate::pipeline::dissect::http::start::split_version;
use crate::pipeline::dissect::http::start::trim_blanks;

/// Nearly all URLs are shorter; longer ones pay for the larger buffer.
const URL_BYTES_USUAL: usize = 1024;

/// The largest length that programs count with signed numbers can send.
const LENGTH_MAX: u64 = u64::MAX >> 1;

/// What the head of a request shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Request<'a> {
    method: &'a [u8],
    target: &'a [u8],
    fields: Fields<'a>,
}

/// What the head of a response says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Response {
    /// The status; 0 if there is none.
    pub(super) status: u16,
    /// How its body ends.
    pub(super) body: Body,
}

/// How a body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Body {
    /// After so many bytes.
    Bytes(u64),
    /// With the last chunk.
    Chunked,
}

/// Values of the header fields that matter, the first of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    user_agent: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// Reads a head, strictly first; what the strict parser refuses is read leniently, as many
    /// servers do.
    pub(super) fn parse(head: &'a [u8]) -> Option<Self> {
        Self::strict(head).or_else(|| Self::lenient(head))
    }

    fn strict(head: &'a [u8]) -> Option<Self> {
        let mut lines = [const { MaybeUninit::uninit() }; HTTP_HEADERS_MAX];
        let mut request = httparse::Request::new(&mut []);
        request.parse_with_uninit_headers(head, &mut lines).ok().filter(|s| s.is_complete())?;
        let mut fields = Fields::default();
        for line in request.headers.iter() {
            fields.put(line.name.as_bytes(), line.value);
        }
        Some(Self { method: request.method?.as_bytes(), target: request.path?.as_bytes(), fields })
    }

    /// Reads a head that is folded, cut, or odd; the version may be missing (HTTP/0.9), but another
    /// protocol's is `None`.
    fn lenient(head: &'a [u8]) -> Option<Self> {
        let (line, rest) = split_line(head)?;
        let at = line.iter().position(|byte| matches!(byte, b' ' | b'\t'))?;
        let (method, line) = line.split_at_checked(at)?;
        let (target, version) = split_version(line);
        version.is_none_or(is_http).then(|| Self { method, target, fields: Fields::parse(rest) })
    }

    /// Tells whether it asks for a tunnel.
    pub(super) fn is_connect(&self) -> bool {
        self.method == b"CONNECT"
    }

    /// Returns how its body ends.
    pub(super) fn body(&self) -> Body {
        self.fields.body()
    }

    /// Tells host, URL and user agent.
    pub(super) fn tell(&self, seen: &mut impl Seen) {
        let authority = if self.is_connect() { Some(self.target) } else { authority(self.target) };
        let host = self.fields.host.filter(|host| !host.is_empty());
        if let Some(host) = host {
            unfold(host, |host| note_host(host, seen));
        }
        // of a tunnel the target is the truth, whatever Host says; of a URL it is when there is no
        // Host
        let is_news = |authority: &&[u8]| match host {
            None => true,
            Some(host) => self.is_connect() && !host.eq_ignore_ascii_case(authority),
        };
        if let Some(authority) = authority.filter(is_news) {
            note_host(authority, seen);
        }
        if !self.is_connect() {
            match (authority, host) {
                (None, Some(host)) => unfold(host, |host| note_url(host, self.target, seen)),
                (Some(_), _) => seen.note(Observation {
                    kind: ObservationKind::HttpUrl,
                    place: Place::HttpUrl,
                    value: Value::Absolute(self.target),
                }),
                (None, None) => {}
            }
        }
        if let Some(agent) = self.fields.user_agent.filter(|agent| !agent.is_empty()) {
            unfold(agent, |agent| {
                note(ObservationKind::HttpUserAgent, Place::HttpUserAgent, agent, seen);
            });
        }
    }
}

impl Response {
    /// Reads a head that begins with a version.
    pub(super) fn parse(head: &[u8]) -> Self {
        let (line, rest) = split_line(head).unwrap_or((head, &[]));
        let mut words =
            line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let status = words.nth(1).and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
        Self { status: status.unwrap_or(0), body: Fields::parse(rest).body() }
    }
}

impl<'a> Fields<'a> {
    fn parse(mut rest: &'a [u8]) -> Self {
        let mut fields = Self::default();
        while let Some((field, behind)) = split_field(rest) {
            rest = behind;
            let mut parts = field.splitn(2, |&byte| byte == b':');
            if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
                fields.put(name.trim_ascii(), value);
            }
        }
        fields
    }

    fn put(&mut self, name: &[u8], value: &'a [u8]) {
        let (slot, expected) = match name.len() {
            4 => (&mut self.host, &b"host"[..]),
            10 => (&mut self.user_agent, &b"user-agent"[..]),
            14 => (&mut self.length, &b"content-length"[..]),
            17 => (&mut self.coding, &b"transfer-encoding"[..]),
            _ => return,
        };
        if slot.is_none() && name.eq_ignore_ascii_case(expected) {
            *slot = Some(value.trim_ascii());
        }
    }

    /// Chunks go before a length (RFC 9112 §6.3). A length that is none, or that none can send, is
    /// no body: what it would hide is read.
    fn body(&self) -> Body {
        const CHUNKED: &[u8] = b"chunked";
        let chunked =
            |coding: &[u8]| coding.windows(CHUNKED.len()).any(|w| w.eq_ignore_ascii_case(CHUNKED));
        if self.coding.is_some_and(chunked) {
            return Body::Chunked;
        }
        let length = self.length.and_then(|length| std::str::from_utf8(length).ok()?.parse().ok());
        Body::Bytes(length.filter(|length| *length <= LENGTH_MAX).unwrap_or(0))
    }
}

/// Splits off the first line; its end is left out.
fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', text)?;
    let (line, rest) = text.split_at_checked(end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..)?))
}

/// Splits off the first field with the lines it is folded over; ends at an empty line or where the
/// text is cut.
fn split_field(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = 0_usize;
    loop {
        let (line, behind) = split_line(text.get(end..)?)?;
        if line.is_empty() && end == 0 {
            return None;
        }
        end = text.len().saturating_sub(behind.len());
        if !matches!(behind.first(), Some(b' ' | b'\t')) {
            return text.split_at_checked(end);
        }
    }
}

/// Returns the authority of an absolute URL, RFC 3986 §3.2, without user information.
fn authority(target: &[u8]) -> Option<&[u8]> {
    let colon = target.iter().position(|byte| !byte.is_ascii_alphanumeric())?;
    let rest = target.get(colon..)?.strip_prefix(b"://").filter(|_| colon > 0)?;
    let authority = rest.split(|byte| b"/?#".contains(byte)).next()?;
    authority.rsplit(|&byte| byte == b'@').next()
}

/// Tells the host of an authority: no port, no brackets.
fn note_host(authority: &[u8], seen: &mut impl Seen) {
    let host = match authority.strip_prefix(b"[") {
        Some(literal) => literal.split(|&byte| byte == b']').next(),
        None if authority.iter().filter(|byte| **byte == b':').count() > 1 => Some(authority),
        None => authority.split(|&byte| byte == b':').next(),
    };
    if let Some(host) = host.and_then(|host| Domain::from_text(host.trim_ascii())) {
        note(ObservationKind::HttpHost, Place::HttpHost, host.as_bytes(), seen);
    }
}

fn note_url(host: &[u8], target: &[u8], seen: &mut impl Seen) {
    let host = host.strip_suffix(b":80").unwrap_or(host);
    let url_bytes = host.len().saturating_add(target.len()).saturating_add(7);
    if url_bytes <= URL_BYTES_USUAL {
        note_url_within::<URL_BYTES_USUAL>(host, target, seen);
    } else {
        note_url_within::<HTTP_HEAD_BYTES_MAX>(host, target, seen);
    }
}

#[inline(never)]
fn note_url_within<const N: usize>(host: &[u8], target: &[u8], seen: &mut impl Seen) {
    let mut url = Text::<N>::new();
    url.push(b"http://");
    url.push(host);
    url.lower();
    url.push(target);
    note(ObservationKind::HttpUrl, Place::HttpUrl, url.as_bytes(), seen);
}

/// Hands over a value in one line: each fold becomes a space (RFC 9112 §5.2).
fn unfold(value: &[u8], tell: impl FnOnce(&[u8])) {
    if memchr::memchr(b'\n', value).is_none() {
        return tell(value);
    }
    let mut text = Text::<HTTP_FOLDED_BYTES_MAX>::new();
    for (i, line) in value.split(|&byte| byte == b'\n').enumerate() {
        if i > 0 && text.len > 0 {
            text.push(b" ");
        }
        text.push(trim_blanks(line).trim_ascii_end());
    }
    tell(text.as_bytes());
}

fn note(kind: ObservationKind, place: Place, text: &[u8], seen: &mut impl Seen) {
    seen.note(Observation { kind, place, value: Value::Text(text) });
}

/// Text on the stack; what does not fit is left out.
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    fn push(&mut self, text: &[u8]) {
        let room = N.saturating_sub(self.len);
        let fitting = text.get(..room).unwrap_or(text);
        let end = self.len.saturating_add(fitting.len());
        if let Some(slot) = self.bytes.get_mut(self.len..end) {
            slot.copy_from_slice(fitting);
            self.len = end;
        }
    }

    fn lower(&mut self) {
        if let Some(text) = self.bytes.get_mut(..self.len) {
            text.make_ascii_lowercase();
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Request;

    #[test]
    fn what_only_lenient_reading_reads() {
        for head in [
            &b"GET / HTTP/1.2\r\n\r\n"[..],
            b"GET  / HTTP/1.1\r\n\r\n",
            b"GET /\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost:\r\n h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: \0\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: cut",
        ] {
            let both = (Request::strict(head), Request::lenient(head).is_some());
            assert_eq!(both, (None, true), "{}", head.escape_ascii());
        }
        let many = ["GET / HTTP/1.1\n", &"x:y\n".repeat(200), "Host: h\n\n"].concat();
        let fields = Request::parse(many.as_bytes()).map(|request| request.fields);
        assert_eq!(fields.and_then(|fields| fields.host), Some(&b"h"[..]));
    }

    proptest! {
        #[test]
        fn both_readings_agree(
            method in "GET|POST|[!-~]{1,3}",
            path in "/[!-~ü ]{0,9}",
            version in "1[.][012]",
            end in "\r\n|\n",
            fields in prop::collection::vec(
                ("Host|user-Agent|CONTENT-length|[!-~]{1,4}", "[ \t]{0,2}[ -~ü]{0,9}[ \t]?"), 0..5),
        ) {
            let mut head = [&method, " ", &path, " HTTP/", &version, &end].concat();
            for (name, value) in &fields {
                head.push_str(&[name, ":", value, &end].concat());
            }
            head.push_str(&end);
            if let Some(strict) = Request::strict(head.as_bytes()) {
                prop_assert_eq!(Some(strict), Request::lenient(head.as_bytes()), "{}", head);
            }
        }
    }
}
