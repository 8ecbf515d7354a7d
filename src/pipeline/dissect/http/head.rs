//! One head: the request line or status, and the few header fields that matter.
//!
//! Spec:   RFC 9112 §3 (request line, target forms), §5 (fields), §5.2 (folding), §6.3 (body length)
//! Reads:  one head, whole or cut at the bound
//! Yields: `http.host`, `http.url`, `http.user_agent`
//! Bounds: `limits::HTTP_HEAD_BYTES_MAX`; `FOLDED_BYTES_MAX`
//! Leaves: all other header fields; percent-encoding, which stays as sent

use crate::model::domain::Domain;
use crate::model::limits::HTTP_HEAD_BYTES_MAX;
use crate::model::observation::Observation;
use crate::model::observation::ObservationKind;
use crate::model::observation::Place;
use crate::model::observation::Seen;
use crate::model::observation::Value;
use crate::pipeline::dissect::http::start::is_http;
use crate::pipeline::dissect::http::start::is_prefixed;
use crate::pipeline::dissect::http::start::split_version;
use crate::pipeline::dissect::http::start::trim_blanks;

/// Bytes kept of a value that is folded over lines; folding is obsolete, and long values were never folded much.
const FOLDED_BYTES_MAX: usize = 2 * 1024;

/// Nearly all URLs are shorter; longer ones pay for the larger buffer.
const URL_BYTES_USUAL: usize = 2 * 1024;

/// What the head of a request shows.
#[derive(Clone, Copy, Debug)]
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
#[derive(Clone, Copy, Debug, Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    user_agent: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// Reads a head; the version may be missing (HTTP/0.9), but another protocol's is `None`.
    pub(super) fn parse(head: &'a [u8]) -> Option<Self> {
        let (line, rest) = split_line(head)?;
        let at = line.iter().position(|byte| matches!(byte, b' ' | b'\t'))?;
        let (method, line) = line.split_at_checked(at)?;
        let (target, version) = split_version(line);
        if !version.is_none_or(is_http) {
            return None;
        }
        Some(Self { method, target, fields: Fields::parse(rest) })
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
        // of a tunnel the target is the truth; of a URL it is when there is no Host
        if let Some(authority) = authority.filter(|_| host.is_none() || self.is_connect()) {
            note_host(authority, seen);
        }
        if !self.is_connect() {
            match (authority, host) {
                (Some(_), _) => note(ObservationKind::HttpUrl, Place::HttpUrl, self.target, seen),
                (None, Some(host)) => unfold(host, |host| note_url(host, self.target, seen)),
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
            let Some(colon) = field.iter().position(|&byte| byte == b':') else { continue };
            let Some((name, value)) = field.split_at_checked(colon) else { continue };
            let slot = match name.trim_ascii() {
                name if name.eq_ignore_ascii_case(b"host") => &mut fields.host,
                name if name.eq_ignore_ascii_case(b"user-agent") => &mut fields.user_agent,
                name if name.eq_ignore_ascii_case(b"content-length") => &mut fields.length,
                name if name.eq_ignore_ascii_case(b"transfer-encoding") => &mut fields.coding,
                _ => continue,
            };
            if slot.is_none() {
                *slot = value.get(1..).map(<[u8]>::trim_ascii);
            }
        }
        fields
    }

    /// Chunks go before a length (RFC 9112 §6.3); a length that is none is no body.
    fn body(&self) -> Body {
        const CHUNKED: &[u8] = b"chunked";
        let chunked =
            |coding: &[u8]| coding.windows(CHUNKED.len()).any(|w| w.eq_ignore_ascii_case(CHUNKED));
        if self.coding.is_some_and(chunked) {
            return Body::Chunked;
        }
        let length = self.length.and_then(|length| std::str::from_utf8(length).ok()?.parse().ok());
        Body::Bytes(length.unwrap_or(0))
    }
}

/// Splits off the first line; its end is left out.
fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    let (line, rest) = text.split_at_checked(end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..)?))
}

/// Splits off the first field with the lines it is folded over; ends at an empty line or where the text is cut.
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
    b"http://".iter().for_each(|byte| url.push(*byte));
    host.iter().for_each(|byte| url.push(byte.to_ascii_lowercase()));
    target.iter().for_each(|byte| url.push(*byte));
    note(ObservationKind::HttpUrl, Place::HttpUrl, url.as_bytes(), seen);
}

/// Hands over a value in one line: each fold becomes a space (RFC 9112 §5.2).
fn unfold(value: &[u8], tell: impl FnOnce(&[u8])) {
    if !value.contains(&b'\n') {
        return tell(value);
    }
    let mut text = Text::<FOLDED_BYTES_MAX>::new();
    for (i, line) in value.split(|&byte| byte == b'\n').enumerate() {
        if i > 0 && text.len > 0 {
            text.push(b' ');
        }
        trim_blanks(line).trim_ascii_end().iter().for_each(|byte| text.push(*byte));
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

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len = self.len.saturating_add(1);
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
