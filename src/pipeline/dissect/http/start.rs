//! What a side's next bytes begin: a request, a response, or something else.
//!
//! Spec:   RFC 9112 §3, §4; RFC 9110 §5.6.2 (tokens), §9.3 (methods); RFC 4918 §9 (WebDAV);
//!         RFC 9113 §3.4 (HTTP/2's preface)
//! Reads:  no more than the first line
//! Yields: nothing
//! Bounds: `limits::HTTP_METHOD_BYTES_MAX`, `limits::HTTP_LINE_BYTES_MAX`
//! Leaves: the rest of the head

use crate::model::limits::HTTP_LINE_BYTES_MAX;
use crate::model::limits::HTTP_METHOD_BYTES_MAX;

/// Methods that are believed before their line is whole, if a path, a URL or an authority follows.
const METHODS: &[&[u8]] = &[
    b"GET",
    b"POST",
    b"HEAD",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"CONNECT",
    b"TRACE",
    b"PATCH",
    b"PROPFIND",
];

const RESPONSE: &[u8] = b"HTTP/";

/// First line of an HTTP/2 connection, which is none of ours.
const PREFACE_METHOD: &[u8] = b"PRI";

/// What unread bytes begin. Once it is told, more bytes do not change it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Start {
    /// A request.
    Request,
    /// A response.
    Response,
    /// Too few bytes to tell.
    Unknown,
    /// Neither.
    Foreign,
}

impl Start {
    /// Judges unread bytes that do not begin with a line end.
    pub(super) fn of(unread: &[u8]) -> Self {
        if unread.starts_with(RESPONSE) {
            return Self::Response;
        }
        let method_bytes =
            unread.iter().take(HTTP_METHOD_BYTES_MAX).take_while(|b| is_token(**b)).count();
        let Some((method, rest)) = unread.split_at_checked(method_bytes) else {
            return Self::Foreign;
        };
        match rest.first() {
            None => Self::Unknown,
            _ if method.is_empty() || method == PREFACE_METHOD => Self::Foreign,
            Some(b' ' | b'\t') => of_target(method, trim_blanks(rest)),
            Some(_) => Self::Foreign,
        }
    }
}

fn of_target(method: &[u8], rest: &[u8]) -> Start {
    let known = METHODS.contains(&method);
    match rest.first() {
        Some(b'/') if known => return Start::Request,
        Some(first) if method == b"CONNECT" && first.is_ascii_alphanumeric() => {
            return Start::Request;
        }
        _ => {}
    }
    if known && [&b"http://"[..], b"https://"].iter().any(|scheme| is_prefixed(rest, scheme)) {
        return Start::Request;
    }
    let shown = rest.get(..HTTP_LINE_BYTES_MAX).unwrap_or(rest);
    let line = shown.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let whole = line.len() < shown.len();
    if line.iter().any(|byte| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r')) {
        return Start::Foreign;
    }
    match whole {
        true if split_version(line).1.is_some_and(is_http) => Start::Request,
        false if shown.len() < HTTP_LINE_BYTES_MAX => Start::Unknown,
        _ => Start::Foreign,
    }
}

/// Splits what follows a method into the target and the version, if there is one: a last word with
/// a slash between letters and a digit.
pub(super) fn split_version(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    let line = line.trim_ascii();
    let at = line.iter().rposition(|byte| matches!(byte, b' ' | b'\t'));
    let (target, word) = match at {
        Some(at) => line.split_at_checked(at).unwrap_or((line, &[])),
        None => (&[][..], line),
    };
    let word = word.trim_ascii();
    let mut parts = word.splitn(2, |&byte| byte == b'/');
    let (name, number) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is_version = !name.is_empty()
        && name.iter().all(u8::is_ascii_alphabetic)
        && number.first().is_some_and(u8::is_ascii_digit);
    if is_version { (target.trim_ascii(), Some(word)) } else { (line, None) }
}

/// Tells whether a version is HTTP's, however written.
pub(super) fn is_http(version: &[u8]) -> bool {
    is_prefixed(version, RESPONSE)
}

/// Tells whether `text` begins with `prefix`, which is compared without regard to case.
pub(super) fn is_prefixed(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// Returns `text` from its first byte that is neither space nor tab.
pub(super) fn trim_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    text.get(blanks..).unwrap_or_default()
}

/// Characters of methods and header names, RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
