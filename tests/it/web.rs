//! A web server of one test: plain HTTP on loopback, whose answers are a function of what is asked;
//! and pulling from it.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use reqwest::Url;
use tapsieve::control::intel::list_form::ListForm;
use tapsieve::control::intel::remote::RemoteError;
use tapsieve::control::intel::remote::http::HttpSettings;
use tapsieve::control::intel::remote::http::ProxyRule;
use tapsieve::control::intel::remote::source::Pulled;
use tapsieve::control::intel::remote::source::Remote;
use tapsieve::control::intel::remote::source::RemoteKind;
use tapsieve::control::intel::remote::source::Scope;

/// Bytes of a mirror, at most.
pub(crate) const BYTES_MAX: u64 = 1 << 30;

/// Pulls what is due.
pub(crate) fn pull(remote: &Remote, folder: &Path) -> Result<Pulled, RemoteError> {
    remote.pull(folder, BYTES_MAX, Scope::Due)
}

/// What is new, changed and gone, and whether the mirror differs.
pub(crate) fn counts(pulled: &Pulled) -> (u64, u64, u64, bool) {
    (pulled.new, pulled.changed, pulled.gone, pulled.differs)
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection ends so many bytes before the body does.
    pub(crate) cut: usize,
}

impl Answered {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A server until it is dropped.
pub(crate) struct Web {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// Begins to answer, one connection after the other.
    pub(crate) fn new(mut answer: impl FnMut(&Asked) -> Answered + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (asked, is_over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, over) = (Arc::clone(&asked), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let Ok(mut stream) = stream else { continue };
                let Some(one) = read(&stream) else { continue };
                log.lock().unwrap_or_else(PoisonError::into_inner).push(one.clone());
                write(&mut stream, &answer(&one));
            }
        });
        Self { url, asked, is_over, thread: Some(thread) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Returns the paths that were asked for since the last time.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.path).collect()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns a source at a path of it.
    pub(crate) fn remote(&self, path: &str, kind: RemoteKind) -> Remote {
        let url = Url::parse(&self.url(path)).expect("a URL");
        let http =
            HttpSettings { proxy: ProxyRule::Direct, read_secs: 5, ..HttpSettings::new(url) };
        let (name, label) = ("x".to_owned(), "x".to_owned());
        let list_form = ListForm::Lines;
        Remote { name, label, http, period_secs: 60, reconcile_hours: 24, list_form, kind }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let address = self.url.trim_start_matches("http://").to_owned();
        let _wakes_it = TcpStream::connect(address);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let target = first.split(' ').nth(1)?.to_owned();
    let url = Url::parse("http://x").ok()?.join(&target).ok()?;
    let query = url.query_pairs().map(|(a, b)| (a.into_owned(), b.into_owned())).collect();
    let headers = lines.map_while(Result::ok).take_while(|line| !line.is_empty());
    let headers = headers.filter_map(|line| {
        line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
    });
    Some(Asked { path: url.path().to_owned(), query, headers: headers.collect() })
}

fn write(stream: &mut TcpStream, answer: &Answered) {
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
    if answer.status != 304 {
        head += &format!("Content-Length: {}\r\n", answer.body.len());
    }
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let body = answer.body.get(..answer.body.len() - answer.cut).unwrap_or_default();
    // a client that went away is the test's matter
    let _gone = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(b"\r\n"))
        .and_then(|()| stream.write_all(body));
}
