//! URLs in one canonical form, and what an indicator's URL matches.
//!
//! Spec:   RFC 3986 §3, §5.2.4 (dot segments), §6.2.2 (normalising); RFC 3987 §3.1 (non-ASCII as
//!         UTF-8)
//! Reads:  a URL as feeds write it, with or without scheme; the absolute URL of an HTTP request
//! Yields: host and target as one key; scheme and port beside it
//! Bounds: `limits::URL_BYTES_MAX`
//! Leaves: other schemes than http and https

use std::fmt;
use std::fmt::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::domain::Domain;
use crate::model::limits::URL_BYTES_MAX;
use crate::model::policy::Policy;
use crate::model::refusal::Refusal;

/// Port of plain HTTP (RFC 9110 §4.2.1).
const HTTP_PORT: u16 = 80;

/// What one URL of a feed matches: host and target, and scheme and port where given.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct UrlPattern {
    /// Host, then path and query; the host alone where the shape says so.
    key: Box<str>,
    host_bytes: u32,
    scheme: Scheme,
    port: Option<u16>,
    shape: UrlShape,
}

impl UrlPattern {
    /// Reads a URL as feeds write it, refanged: `http://host:port/path?query`, the same without
    /// scheme, or with a trailing `*`.
    ///
    /// # Errors
    /// What is no URL that can be matched, and why.
    pub fn from_text(text: &str, policy: &Policy) -> Result<Self, Refusal> {
        let (text, is_prefix) = match text.strip_suffix('*') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (scheme, rest) = split_scheme(text)?;
        let (authority, target) = split_authority(rest.as_bytes());
        if authority.is_empty() {
            return Err(if target.is_empty() { Refusal::BadUrl } else { Refusal::PathOnly });
        }
        let authority = std::str::from_utf8(authority).map_err(|_| Refusal::BadUrl)?;
        let (host, port) = split_port(authority)?;
        let mut buffer = UrlBuffer::new();
        push_feed_host(&mut buffer, host, scheme, policy)?;
        let host_bytes = narrow(buffer.bytes.len());
        buffer.push_target(target).ok_or(Refusal::TooLong)?;
        let shape = match (buffer.bytes.get(index(host_bytes)..), is_prefix) {
            (Some(b"/"), _) => UrlShape::HostOnly,
            (_, true) => UrlShape::Prefix,
            (_, false) => UrlShape::Exact,
        };
        if shape == UrlShape::HostOnly {
            buffer.bytes.truncate(index(host_bytes));
        }
        let key = String::from_utf8(buffer.bytes).map_err(|_| Refusal::BadUrl)?.into_boxed_str();
        // a scheme without a port names its default one (RFC 9110 §4.2.1); a host alone names all
        // of it
        let is_implied = scheme == Scheme::Http && shape != UrlShape::HostOnly;
        let port = port.or(is_implied.then_some(scheme.default_port()));
        Ok(Self { key, host_bytes, scheme, port, shape })
    }

    /// Returns the text to look up: host and target, or the host alone.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the host.
    pub fn host(&self) -> &str {
        self.key.get(..index(self.host_bytes)).unwrap_or_default()
    }

    /// Returns the scheme that was given.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the port that was given, or that its scheme implies.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Returns how much of a URL it names.
    pub fn shape(&self) -> UrlShape {
        self.shape
    }
}

impl fmt::Display for UrlPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Scheme::Http => f.write_str("http://")?,
            Scheme::Https => f.write_str("https://")?,
            Scheme::Other => {}
        }
        f.write_str(self.host())?;
        let is_implied = self.scheme == Scheme::Http && self.shape != UrlShape::HostOnly;
        if let Some(port) = self.port.filter(|port| !is_implied || *port != HTTP_PORT) {
            write!(f, ":{port}")?;
        }
        f.write_str(self.key.get(index(self.host_bytes)..).unwrap_or_default())?;
        match self.shape {
            UrlShape::Exact => Ok(()),
            UrlShape::HostOnly => f.write_char('/'),
            UrlShape::Prefix => f.write_char('*'),
        }
    }
}

/// How much of a URL an indicator names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UrlShape {
    /// The host, and the whole target.
    Exact,
    /// The host alone: any request to it.
    HostOnly,
    /// The host, and the beginning of the target up to a border.
    Prefix,
}

/// A URL's scheme.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// Another one in traffic; none given in an indicator.
    Other,
}

impl Scheme {
    fn default_port(self) -> u16 {
        match self {
            Self::Http => HTTP_PORT,
            Self::Https => 443,
            Self::Other => 0,
        }
    }
}

/// A URL seen in traffic, in its canonical form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObservedUrl<'b> {
    /// Its scheme.
    pub scheme: Scheme,
    /// Its port, or its scheme's.
    pub port: u16,
    /// The port is its own.
    pub has_port: bool,
    /// The host.
    pub host: &'b [u8],
    /// Host, then path and query.
    pub key: &'b [u8],
}

impl<'b> ObservedUrl<'b> {
    /// Reads the absolute URL of an HTTP request; `None` where it is none, or longer than any
    /// indicator.
    pub fn from_wire(wire: &[u8], buffer: &'b mut UrlBuffer) -> Option<Self> {
        let colon = wire.iter().position(|&byte| byte == b':')?;
        let (scheme, rest) = wire.split_at_checked(colon)?;
        let scheme = match scheme {
            s if s.eq_ignore_ascii_case(b"http") => Scheme::Http,
            s if s.eq_ignore_ascii_case(b"https") => Scheme::Https,
            _ => Scheme::Other,
        };
        let (authority, target) = split_authority(rest.strip_prefix(b"://")?);
        let (host, port) = split_wire_port(authority)?;
        buffer.bytes.clear();
        buffer.push_wire_host(host)?;
        let host_bytes = buffer.bytes.len();
        if host_bytes == 0 {
            return None;
        }
        buffer.push_target(target)?;
        let key = buffer.bytes.as_slice();
        let host = key.get(..host_bytes)?;
        let (has_port, port) = (port.is_some(), port.unwrap_or(scheme.default_port()));
        Some(Self { scheme, port, has_port, host, key })
    }
}

/// Memory to normalise one URL in; taken once, reused.
#[derive(Debug)]
pub struct UrlBuffer {
    bytes: Vec<u8>,
}

impl UrlBuffer {
    /// Takes the memory.
    pub fn new() -> Self {
        Self { bytes: Vec::with_capacity(URL_BYTES_MAX) }
    }

    fn push(&mut self, byte: u8) -> Option<()> {
        if self.bytes.len() >= URL_BYTES_MAX {
            return None;
        }
        self.bytes.push(byte);
        Some(())
    }

    fn push_wire_host(&mut self, host: &[u8]) -> Option<()> {
        if let Some(literal) = host.strip_prefix(b"[") {
            let literal = std::str::from_utf8(literal.strip_suffix(b"]")?).ok()?;
            return push_ip(self, IpAddr::V6(literal.parse().ok()?));
        }
        let end = host.iter().rposition(|&byte| byte != b'.')?;
        host.get(..=end)?.iter().try_for_each(|byte| self.push(byte.to_ascii_lowercase()))
    }

    /// Adds path and query: percent-encoding in one spelling, no dot segments, no fragment.
    fn push_target(&mut self, target: &[u8]) -> Option<()> {
        let target = target.split(|&byte| byte == b'#').next().unwrap_or_default();
        let cut = target.iter().position(|&byte| byte == b'?').unwrap_or(target.len());
        let (path, query) = target.split_at_checked(cut)?;
        self.push_path(path.strip_prefix(b"/").unwrap_or(path))?;
        self.push_encoded(query)
    }

    /// Adds `/` and each segment; `.` and `..` segments are worked off as they come (RFC 3986
    /// §5.2.4).
    fn push_path(&mut self, path: &[u8]) -> Option<()> {
        let base = self.bytes.len();
        let mut is_dot = false;
        for segment in path.split(|&byte| byte == b'/') {
            let start = self.bytes.len();
            self.push(b'/')?;
            self.push_encoded(segment)?;
            let written = self.bytes.get(start..).unwrap_or_default();
            is_dot = matches!(written, b"/." | b"/..");
            let goes_up = written == b"/..";
            if is_dot {
                self.bytes.truncate(start);
            }
            if goes_up {
                let above = self.bytes.get(base..).unwrap_or_default();
                let parent = above.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                self.bytes.truncate(base.saturating_add(parent));
            }
        }
        if is_dot { self.push(b'/') } else { Some(()) }
    }

    /// Adds bytes: escapes of unreserved characters undone, all others in upper case, whatever a
    /// URL cannot hold escaped.
    fn push_encoded(&mut self, bytes: &[u8]) -> Option<()> {
        let mut rest = bytes;
        while let [first, tail @ ..] = rest {
            rest = tail;
            match (first, tail) {
                (b'%', [high, low, after @ ..]) if is_hex(*high) && is_hex(*low) => {
                    self.push_escaped((nibble(*high) << 4) | nibble(*low))?;
                    rest = after;
                }
                (b'%' | 0..=b' ' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{'..=b'}', _)
                | (0x7f.., _) => self.push_triplet(*first)?,
                _ => self.push(*first)?,
            }
        }
        Some(())
    }

    fn push_escaped(&mut self, byte: u8) -> Option<()> {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            return self.push(byte);
        }
        self.push_triplet(byte)
    }

    fn push_triplet(&mut self, byte: u8) -> Option<()> {
        self.push(b'%')?;
        self.push(hex_digit(byte >> 4))?;
        self.push(hex_digit(byte & 0x0f))
    }
}

impl Default for UrlBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl Write for UrlBuffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().try_for_each(|byte| self.push(byte)).ok_or(fmt::Error)
    }
}

/// Tells whether a key begins with a prefix that ends on a border: the end, `/`, `?` or `#` there.
pub fn begins_on_border(key: &[u8], prefix: &[u8]) -> bool {
    let is_border = |byte: &u8| b"/?#".contains(byte);
    key.strip_prefix(prefix).is_some_and(|rest| {
        rest.first().is_none_or(is_border) || prefix.last().is_some_and(is_border)
    })
}

fn split_scheme(text: &str) -> Result<(Scheme, &str), Refusal> {
    match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Ok((Scheme::Http, rest)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => Ok((Scheme::Https, rest)),
        Some((scheme, _)) if is_scheme(scheme) => Err(Refusal::UnsupportedScheme),
        _ => Ok((Scheme::Other, text.strip_prefix("//").unwrap_or(text))),
    }
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// Splits before the first `/`, `?` or `#`, and leaves user information out.
fn split_authority(rest: &[u8]) -> (&[u8], &[u8]) {
    let cut = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    let (authority, target) = rest.split_at_checked(cut).unwrap_or((rest, &[]));
    (authority.rsplit(|&byte| byte == b'@').next().unwrap_or_default(), target)
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), Refusal> {
    let (host, port) = match split_wire_port(authority.as_bytes()) {
        Some((host, port)) => (std::str::from_utf8(host).map_err(|_| Refusal::BadUrl)?, port),
        None => return Err(Refusal::BadPort),
    };
    if port == Some(0) { Err(Refusal::BadPort) } else { Ok((host, port)) }
}

fn split_wire_port(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    if authority.last() == Some(&b']') {
        return Some((authority, None));
    }
    let Some(colon) = authority.iter().rposition(|&byte| byte == b':') else {
        return Some((authority, None));
    };
    let (host, port) = authority.split_at_checked(colon)?;
    match port.strip_prefix(b":")? {
        b"" => Some((host, None)),
        digits if digits.iter().all(u8::is_ascii_digit) => {
            Some((host, Some(std::str::from_utf8(digits).ok()?.parse().ok()?)))
        }
        _ => None,
    }
}

fn push_feed_host(
    buffer: &mut UrlBuffer,
    host: &str,
    scheme: Scheme,
    policy: &Policy,
) -> Result<(), Refusal> {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let ip = match literal {
        Some(literal) => Some(IpAddr::V6(literal.parse().map_err(|_| Refusal::BadUrl)?)),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    };
    if let Some(ip) = ip {
        policy.address(ip.to_canonical())?;
        return push_ip(buffer, ip).ok_or(Refusal::TooLong);
    }
    let name = Domain::from_feed(host).map_err(|_| Refusal::BadUrl)?;
    let top = name.parents().last().unwrap_or_default();
    let is_single = top.len() == name.as_bytes().len();
    if top.iter().all(u8::is_ascii_digit) || (is_single && scheme == Scheme::Other) {
        return Err(Refusal::BadUrl);
    }
    buffer.write_str(name.as_str()).map_err(|_| Refusal::TooLong)
}

fn push_ip(buffer: &mut UrlBuffer, ip: IpAddr) -> Option<()> {
    match ip.to_canonical() {
        IpAddr::V4(v4) => write!(buffer, "{v4}").ok(),
        IpAddr::V6(v6) => write!(buffer, "[{}]", Ipv6Addr::from(v6.octets())).ok(),
    }
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit.wrapping_sub(b'0'),
        b'a'..=b'f' => digit.wrapping_sub(b'a').wrapping_add(10),
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { nibble.wrapping_add(b'0') } else { nibble.wrapping_sub(10).wrapping_add(b'A') }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Host and target, and the port.
    type Read = Option<(String, u16)>;

    fn both(feed: &str, wire: &[u8]) -> (Read, Read) {
        let policy = Policy { allow_special: true, ..Policy::default() };
        let pattern = UrlPattern::from_text(feed, &policy).ok();
        let mut buffer = UrlBuffer::new();
        let observed = ObservedUrl::from_wire(wire, &mut buffer);
        let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        let end = |url: &UrlPattern| match url.shape() {
            UrlShape::HostOnly => format!("{}/", url.key()),
            _ => url.key().to_owned(),
        };
        let port = |url: &UrlPattern| url.port().unwrap_or(url.scheme().default_port());
        (pattern.map(|url| (end(&url), port(&url))), observed.map(|url| (text(url.key), url.port)))
    }

    fn check(url: &str, key: &str, port: u16) {
        let (feed, wire) = both(url, url.as_bytes());
        assert_eq!(feed, Some((key.to_owned(), port)), "feed {url}");
        assert_eq!(wire, Some((key.to_owned(), port)), "wire {url}");
    }

    #[test]
    fn both_doors_agree() {
        check("http://evil.example", "evil.example/", 80);
        check("HTTPS://Evil.Example./A/../b", "evil.example/b", 443);
        check("http://evil.example:8080?x", "evil.example/?x", 8080);
        check("http://evil.example:/a?", "evil.example/a?", 80);
        check(
            "http://u:p@evil.example/%7e%2F%zz% %c3%a4",
            "evil.example/~%2F%25zz%25%20%C3%A4",
            80,
        );
        check("http://evil.example/ä", "evil.example/%C3%A4", 80);
        check("http://[2001:DB8:0::1]:81/", "[2001:db8::1]/", 81);
        check("http://evil.example/a//b/./../c/..", "evil.example/a//", 80);
        check("http://evil.example/../../a/.", "evil.example/a/", 80);
        check("http://evil.example/a?b=/../c#d?e", "evil.example/a?b=/../c", 80);
        check("http://evil.example/a*b", "evil.example/a*b", 80);
    }

    #[test]
    fn wire_that_is_no_url() {
        for wire in [
            "",
            "http",
            "http://",
            "http:///x",
            "/x",
            "http://a:b/",
            "http://a:99999/",
            "http://[::1/",
            "http://[x]/",
        ] {
            assert_eq!(both("", wire.as_bytes()).1, None, "{wire}");
        }
        let long = format!("http://evil.example/{}", "a".repeat(URL_BYTES_MAX));
        assert_eq!(both("", long.as_bytes()).1, None);
        let most = long.get(..URL_BYTES_MAX + "http://".len()).expect("longer");
        assert_eq!(both("", most.as_bytes()).1.map(|url| url.0.len()), Some(URL_BYTES_MAX));
    }

    proptest! {
        #[test]
        fn any_target_agrees(target in "[/?#%a-zA-Z0-9.~ äé\"<>{}|:@!$&'()+,;=_^`\\\\-]{0,40}") {
            let url = format!("http://evil.example/{target}");
            let (feed, wire) = both(&url, url.as_bytes());
            prop_assert!(feed.is_some());
            prop_assert_eq!(feed, wire);
        }

        #[test]
        fn normalising_twice_changes_nothing(target in "[/?#%a-f0-9.~ä]{0,40}") {
            let url = format!("http://evil.example/{target}");
            let first = both("", url.as_bytes()).1.expect("a URL");
            let second = both("", format!("http://{}", first.0).as_bytes()).1.expect("a URL");
            prop_assert_eq!(first, second);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _any = both("", &bytes);
            let _target = both("", &[b"http://a.b/".as_slice(), &bytes].concat());
        }
    }
}
