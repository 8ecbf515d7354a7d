//! HTTP to all remote sources: one way to ask, whatever is asked for. Answers are streams.
//!
//! Spec:   RFC 9110 (status codes, `Retry-After`), RFC 9112, RFC 9111 is not used
//! Reads:  one answer to one question, gzip seen through
//! Yields: its status, headers and body, or why there is none, in words
//! Bounds: `CONNECT`, the settings' `read_secs` for each stretch of an answer, `ANSWER_SECS_MAX`
//!         and `ANSWER_BYTES_MAX` for a whole one, `REDIRECTS_MAX`, `SAID_BYTES_MAX`
//! Leaves: cookies, HTTP/2, caches; redirects to another host, port or scheme, which do not get the
//!         key

use std::error::Error;
use std::fmt;
use std::io;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use reqwest::Certificate;
use reqwest::Proxy;
use reqwest::Url;
use reqwest::blocking::Client;
use reqwest::blocking::Response;
use reqwest::header::ACCEPT;
use reqwest::header::AUTHORIZATION;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::LOCATION;
use reqwest::redirect::Policy;

use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::key::Key;
use crate::control::intel::remote::key::Secrets;
use crate::control::intel::remote::key::Shown;
use crate::control::intel::remote::key::file;

/// Time for a connection: name, TCP and TLS.
const CONNECT: Duration = Duration::from_secs(20);

/// Seconds of silence, before an answer and within it, unless the settings say otherwise: a server
/// may search for a minute before its first byte.
pub const READ_SECS: u32 = 120;

/// Time for one answer, so that one that trickles ends: 2 GB at 1 MB/s take half of it.
const ANSWER_SECS_MAX: u64 = 3_600;

/// Bytes of one answer, unpacked, where nothing narrower is asked: ten million attributes in one.
const ANSWER_BYTES_MAX: u64 = 16 << 30;

/// Redirects that are followed for one question.
const REDIRECTS_MAX: usize = 4;

/// Bytes of an answer that is read for what it says of an error.
const SAID_BYTES_MAX: u64 = 16 * 1024;

/// Characters of it that are told.
const SAID_CHARS_MAX: usize = 200;

/// Headers that say in how many seconds, or when, to come again; the first alone goes with any
/// answer (RFC 9110 §10.2.3), the others are MISP's and the IETF draft's, and count questions.
const AGAIN_IN: [&str; 3] = ["retry-after", "x-rate-limit-reset", "ratelimit-reset"];

/// Bytes of a file of authorities: those of the whole world have 300 KB.
const CA_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How a server is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpSettings {
    /// Where it is; never with credentials.
    pub url: Url,
    /// What it knows us by.
    pub key: Key,
    /// The authorities that are trusted; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// What stands between.
    pub proxy: ProxyRule,
    /// Seconds of silence after which it is left.
    pub read_secs: u32,
}

/// Which proxy is used.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ProxyRule {
    /// As `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the environment say.
    #[default]
    Environment,
    /// None.
    Direct,
    /// This one.
    Through(Url),
}

/// One server, ready to be asked.
pub struct Http {
    client: Client,
    key: Option<Shown>,
    origin: Url,
    trusted: String,
    read: Duration,
    secrets: Secrets,
}

/// A question.
#[derive(Clone, Debug)]
pub struct Question {
    /// Of the settings' host.
    pub url: Url,
    /// Media type of the answer.
    pub accept: &'static str,
    /// Headers beside.
    pub headers: Vec<(&'static str, String)>,
    /// JSON to POST; `None`: GET.
    pub json: Option<String>,
    /// Bytes of the answer, unpacked, at most.
    pub bytes_max: u64,
}

/// An answer: 200, or what else was asked for; a stream that ends with an error where it was cut.
#[derive(Debug)]
pub struct Answer {
    response: Response,
    place: String,
    until: Instant,
    bytes_max: u64,
    bytes_left: u64,
    read: Duration,
    failure: Option<RemoteError>,
}

impl Question {
    /// Asks for JSON with a GET.
    pub fn get(url: Url) -> Self {
        let (headers, bytes_max) = (Vec::new(), ANSWER_BYTES_MAX);
        Self { url, accept: "application/json", headers, json: None, bytes_max }
    }

    /// Tells whether it may be answered with 304: it is as you know it.
    fn is_conditional(&self) -> bool {
        let names = ["if-none-match", "if-modified-since"];
        self.headers.iter().any(|(name, _)| names.contains(name))
    }

    /// Asks for JSON with a POST of JSON.
    pub fn post(url: Url, json: String) -> Self {
        Self { json: Some(json), ..Self::get(url) }
    }
}

impl HttpSettings {
    /// Returns settings for an address, the rest as usual.
    pub fn new(url: Url) -> Self {
        let (key, proxy) = (Key::default(), ProxyRule::default());
        Self { url, key, ca_file: None, proxy, read_secs: READ_SECS }
    }

    /// Returns the address below this one.
    ///
    /// # Errors
    /// They make none.
    pub fn below(&self, path: &str) -> Result<Url, RemoteError> {
        let mut base = self.url.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let wrong = |error| RemoteError::Settings { what: format!("{base}{path}: {error}") };
        base.join(path).map_err(wrong)
    }

    /// Makes ready to ask: reads the key and the authorities.
    ///
    /// # Errors
    /// They cannot be read, or are none.
    pub fn open(&self) -> Result<Http, RemoteError> {
        // the same for all; a second time changes nothing
        let _is_installed = rustls::crypto::ring::default_provider().install_default();
        let read = Duration::from_secs(u64::from(self.read_secs));
        let mut builder = Client::builder()
            .user_agent(concat!("tapsieve/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(read)
            .redirect(redirects());
        if let Some(path) = &self.ca_file {
            builder = builder.tls_certs_only(authorities(path)?);
        }
        builder = match &self.proxy {
            ProxyRule::Environment => proxies().map(|_| builder)?,
            ProxyRule::Direct => builder.no_proxy(),
            ProxyRule::Through(url) => {
                let proxy = Proxy::all(url.clone()).map_err(|error| settings("proxy", &error))?;
                builder.proxy(proxy)
            }
        };
        let client = builder.build().map_err(|error| settings("TLS", &error))?;
        let trusted = self.ca_file.as_ref().map(|path| path.display().to_string());
        let key = self.key.read()?;
        Ok(Http {
            client,
            secrets: Secrets::of(key.as_ref()),
            key,
            origin: self.url.clone(),
            trusted: trusted.unwrap_or_else(|| "the system's authorities".to_owned()),
            read,
        })
    }
}

/// Reads the address of a server.
///
/// # Errors
/// What is wrong with it: it is none, carries credentials, or would show the key to all on its way.
pub fn address(text: &str, allow_plain: bool) -> Result<Url, String> {
    let mut url =
        Url::parse(text.trim()).map_err(|error| format!("{} is no URL: {error}", bare(text)))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials do not belong into a URL: put them into key_file".to_owned());
    }
    url.set_fragment(None);
    match url.scheme() {
        _ if url.host_str().is_none_or(str::is_empty) => {
            Err("a URL with a host is wanted".to_owned())
        }
        "https" => Ok(url),
        "http" if allow_plain || is_loopback(&url) => Ok(url),
        "http" => Err(
            "http:// shows the key to all on its way: give https://, or allow_plain_http = true"
                .to_owned(),
        ),
        scheme => Err(format!("{scheme}:// is not read: give https://")),
    }
}

/// Returns what is no address without what may be secret in it.
fn bare(text: &str) -> String {
    match text.contains(['@', '?']) {
        true => "the address".to_owned(),
        false => format!("`{text}`"),
    }
}

/// Returns an address without what may be secret in it.
pub fn place(url: &Url) -> String {
    let mut url = url.clone();
    let _has_none = url.set_username("").and_then(|()| url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    url.as_str().trim_end_matches('/').to_owned()
}

/// Returns the TCP ports that questions go to: the server's, or those of proxies.
pub fn ports(settings: &HttpSettings) -> Vec<u16> {
    let proxies = match &settings.proxy {
        // what is wrong with them is told when the server is asked
        ProxyRule::Environment => proxies().unwrap_or_default(),
        ProxyRule::Direct => Vec::new(),
        ProxyRule::Through(url) => vec![url.clone()],
    };
    let all = proxies.iter().chain([&settings.url]);
    all.filter_map(Url::port_or_known_default).collect()
}

/// Returns the proxies that the environment names.
///
/// # Errors
/// One of them is none: it would be passed by.
fn proxies() -> Result<Vec<Url>, RemoteError> {
    let names =
        ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let named = names.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
    let named = named.filter(|(_, text)| !text.trim().is_empty());
    named.map(|(name, text)| proxy(name, text.trim())).collect()
}

/// Reads the address of a proxy, which may lack its scheme, and hold credentials.
fn proxy(name: &str, text: &str) -> Result<Url, RemoteError> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let wrong = |why: &str| RemoteError::Settings {
        what: format!("{name} of the environment is no proxy: {why}: mend or unset it"),
    };
    let url = Url::parse(&whole).map_err(|error| wrong(&error.to_string()))?;
    match url.scheme() {
        _ if url.host_str().is_none_or(str::is_empty) => Err(wrong("no host")),
        "http" | "https" => Ok(url),
        scheme => Err(wrong(&format!("{scheme}:// is not used, http:// is"))),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|ip| ip.is_loopback())
}

/// Follows what stays with the server; of all else the answer itself is given.
fn redirects() -> Policy {
    Policy::custom(|attempt| {
        let is_same = |from: &Url| is_same_origin(from, attempt.url());
        let stays = attempt.previous().first().is_some_and(is_same);
        match stays && attempt.previous().len() <= REDIRECTS_MAX {
            true => attempt.follow(),
            false => attempt.stop(),
        }
    })
}

fn is_same_origin(a: &Url, b: &Url) -> bool {
    let parts = |url: &Url| {
        (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default())
    };
    parts(a) == parts(b)
}

impl fmt::Debug for Http {
    /// Tells the address: the key is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Http({})", place(&self.origin))
    }
}

impl Http {
    /// Asks; what is not 200, or 304 where that was asked for, is an error.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn ask(&self, question: &Question) -> Result<Answer, RemoteError> {
        let url = question.url.clone();
        let place = place(&url);
        if !is_same_origin(&self.origin, &url) {
            return Err(RemoteError::Elsewhere { place: self::place(&self.origin), to: place });
        }
        let mut request = match &question.json {
            Some(json) => {
                let json = json.clone();
                self.client.post(url).header(CONTENT_TYPE, "application/json").body(json)
            }
            None => self.client.get(url),
        };
        request = request.header(ACCEPT, question.accept);
        for (name, value) in &question.headers {
            request = request.header(*name, value);
        }
        request = match &self.key {
            None => request,
            Some(Shown::Bare(key)) => request.header(AUTHORIZATION, key.clone()),
            Some(Shown::Bearer(token)) => request.bearer_auth(token),
            Some(Shown::Basic(user, password)) => request.basic_auth(user, Some(password)),
        };
        let until = Instant::now() + Duration::from_secs(ANSWER_SECS_MAX);
        let sent = request.send().map_err(reqwest::Error::without_url);
        let response = sent.map_err(|error| self.unanswered(place.clone(), &error))?;
        let (read, bytes_max) = (self.read, question.bytes_max);
        let bytes_left = bytes_max;
        let answer = Answer { response, place, until, bytes_max, bytes_left, read, failure: None };
        match answer.status() {
            200 => Ok(answer),
            304 if question.is_conditional() => Ok(answer),
            status => Err(answer.refused(status, &self.secrets)),
        }
    }

    fn unanswered(&self, place: String, error: &reqwest::Error) -> RemoteError {
        if error.is_timeout() {
            let secs = if error.is_connect() { CONNECT.as_secs() } else { self.read.as_secs() };
            let what = if error.is_connect() { "no connection" } else { "no answer" };
            return RemoteError::TimedOut { place, what: format!("{what} in {secs} s") };
        }
        let tls = chain(error).find_map(|cause| tls_fault(cause));
        match tls {
            Some(rustls::Error::InvalidCertificate(why)) => {
                let (why, trusted) = (format!("{why:?}"), self.trusted.clone());
                RemoteError::Untrusted { place, trusted, why }
            }
            _ if error.is_connect() => RemoteError::Unreachable { place, why: innermost(error) },
            _ if error.is_builder() => RemoteError::Settings { what: innermost(error) },
            _ => RemoteError::Cut { place, why: innermost(error) },
        }
    }
}

impl Answer {
    /// Returns the status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Returns a header, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Returns the address that answered, without credentials.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Returns how many bytes were read so far, unpacked.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_max - self.bytes_left
    }

    /// Returns why the body ended early, if it did.
    pub fn take_failure(&mut self) -> Option<RemoteError> {
        self.failure.take()
    }

    /// Reads no more of it than so many bytes.
    pub fn at_most(&mut self, bytes: u64) {
        self.bytes_left = self.bytes_left.min(bytes);
    }

    /// Returns how many more bytes are read of it.
    pub fn bytes_left(&self) -> u64 {
        self.bytes_left
    }

    /// Returns what an answer that is no success means.
    fn refused(mut self, status: u16, secrets: &Secrets) -> RemoteError {
        let to = self.header(LOCATION.as_str()).map(str::to_owned);
        if let (301..=303 | 305..=399, Some(to)) = (status, to) {
            let to = self.response.url().join(&to);
            let to = to.map_or("what is no address".to_owned(), |url| secrets.hide(&place(&url)));
            return RemoteError::Elsewhere { place: self.place, to };
        }
        if let 201..=299 | 304 = status {
            let what = match status {
                304 => "it says that nothing has changed (304), though it was asked for all",
                _ => "no whole answer",
            };
            let what = if status == 304 { what.to_owned() } else { format!("{what} ({status})") };
            return RemoteError::Answer { place: self.place, what, may_mend: true };
        }
        let wait = self.wait(if status == 429 { &AGAIN_IN } else { &AGAIN_IN[..1] });
        let mut body = Vec::new();
        // what there is of it: the status says enough
        let _cut = self.by_ref().take(SAID_BYTES_MAX).read_to_end(&mut body);
        let (place, said) = (self.place, said_but(&body, secrets));
        match status {
            401 | 403 => RemoteError::Refused { place, status, said },
            404 | 410 => RemoteError::Absent { place, said },
            429 => RemoteError::Busy { place, wait, said },
            408 | 425 | 500..=599 => RemoteError::Server { place, status, wait, said },
            _ => RemoteError::Rejected { place, status, said },
        }
    }

    /// Returns for how long the server wants to be left alone, by the first of these headers.
    fn wait(&self, named: &[&str]) -> Option<Duration> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let said = |name: &&str| {
            let text = self.header(name)?.trim();
            text.parse::<u64>().ok().or_else(|| date_secs(text))
        };
        let secs = named.iter().find_map(said)?;
        // some write the time at which it ends
        let secs = if secs > 1_000_000_000 { secs.saturating_sub(now) } else { secs };
        Some(Duration::from_secs(secs))
    }

    fn fail(&mut self, failure: RemoteError) -> io::Error {
        let error = io::Error::other(failure.to_string());
        self.failure = Some(failure);
        error
    }
}

impl Read for Answer {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let place = self.place.clone();
        if Instant::now() >= self.until {
            let what = format!("the answer was not over in {ANSWER_SECS_MAX} s");
            return Err(self.fail(RemoteError::TimedOut { place, what }));
        }
        match self.response.read(bytes) {
            Ok(read) => {
                let Some(left) = self.bytes_left.checked_sub(read as u64) else {
                    self.bytes_left = 0;
                    let what = format!("an answer of over {} MiB", self.bytes_max >> 20);
                    return Err(self.fail(RemoteError::TooLarge { place, what }));
                };
                self.bytes_left = left;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let is_late = |cause: &reqwest::Error| cause.is_timeout();
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
                let failure = if inner.is_some_and(is_late) {
                    let what = format!("the answer stopped for {} s", self.read.as_secs());
                    RemoteError::TimedOut { place, what }
                } else {
                    RemoteError::Cut { place, why: innermost(&error) }
                };
                Err(self.fail(failure))
            }
        }
    }
}

/// Returns what a body says of an error: the message of JSON, the title of a page, the first line
/// of anything else.
pub fn said(body: &[u8]) -> String {
    said_but(body, &Secrets::default())
}

/// The same with what nobody may read hidden.
fn said_but(body: &[u8], secrets: &Secrets) -> String {
    let text = String::from_utf8_lossy(body);
    let json = serde_json::from_str::<serde_json::Value>(&text).ok();
    let message = json.as_ref().and_then(|json| {
        let keys = ["message", "errors", "error", "title", "description", "name"];
        let value = keys.iter().filter_map(|key| json.get(key)).find(|value| !value.is_null())?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    });
    let lower = text.to_ascii_lowercase();
    let title = || {
        let (at, end) = (lower.find("<title>")? + "<title>".len(), lower.find("</title>")?);
        Some(format!("a page for people, titled \"{}\"", text.get(at..end)?.trim()))
    };
    let line = || text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
    let told = secrets.hide(&message.or_else(title).or_else(line).unwrap_or_default());
    told.chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX).collect()
}

/// Reads a date of HTTP (RFC 9110 §5.6.7) as seconds since 1970.
pub fn date_secs(date: &str) -> Option<u64> {
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    u64::try_from(time.as_second()).ok()
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, RemoteError> {
    let wrong = |what: &str| RemoteError::Settings {
        what: format!("ca_file {}: {what}: certificates in PEM are wanted", path.display()),
    };
    let pem = file(path, "ca_file", CA_BYTES_MAX)?;
    let all = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&innermost(&error)))?;
    if all.is_empty() { Err(wrong("no certificate in it")) } else { Ok(all) }
}

fn settings(what: &str, error: &reqwest::Error) -> RemoteError {
    RemoteError::Settings { what: format!("{what}: {}", innermost(error)) }
}

/// Returns an error and what it came of, outermost first.
fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn tls_fault<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    // an I/O error names the source of what it wraps, not what it wraps
    let wrapped = || tls_fault(error.downcast_ref::<io::Error>()?.get_ref()?);
    error.downcast_ref().or_else(wrapped)
}

#[cfg(test)]
mod tests;
