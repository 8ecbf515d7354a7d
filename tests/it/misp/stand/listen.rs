//! The thread that listens: TLS, HTTP/1.1, one task for each connection.

use std::convert::Infallible;
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use http_body_util::BodyExt;
use http_body_util::Limited;
use hyper::Request;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::ACCEPT_ENCODING;
use hyper::header::AUTHORIZATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use nix::sched::CloneFlags;
use nix::sched::setns;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::Asked;
use super::Shared;
use super::answer;
use super::body::Pieces;
use super::faults::Fault;
use super::faults::fault_of;
use super::lock;

/// Bytes of a request's body, at most.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// How long a client may take for its part.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns a port that is free, of those that the system gives to nobody who asks for any.
pub(crate) fn free_port() -> u16 {
    listener().local_addr().expect("an address").port()
}

/// Listens at such a port.
fn listener() -> TcpListener {
    static ASKED: AtomicU16 = AtomicU16::new(0);
    // tests are processes of their own: each begins elsewhere
    let first = u16::try_from(std::process::id() * 101 % 12_000).expect("small");
    let mut ports = (0..12_000).map(|_| ASKED.fetch_add(1, Ordering::Relaxed));
    let ports = ports.by_ref().map(|n| 20_000 + first.wrapping_add(n) % 12_000);
    let mut free = ports.filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    free.next().expect("a free port")
}

/// A thread that listens; it and all its connections end when this is dropped.
pub(crate) struct Listening {
    pub(crate) port: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    /// Listens at a port of loopback, any where it is 0, in the network of a namespace.
    pub(crate) fn new(shared: &Arc<Shared>, namespace: Option<&Path>, port: u16) -> Self {
        let (told, tells) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let (shared, namespace) = (Arc::clone(shared), namespace.map(Path::to_owned));
        let run = move || {
            if let Some(namespace) = namespace {
                let namespace = File::open(namespace).expect("a namespace");
                setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may");
            }
            let listener = match port {
                // one that nobody takes while it is closed
                0 => listener(),
                port => TcpListener::bind(("127.0.0.1", port)).expect("a port"),
            };
            told.send(listener.local_addr().expect("an address").port()).expect("is waited for");
            listener.set_nonblocking(true).expect("a socket can");
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
                tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        tokio::spawn(serve(stream, Arc::clone(&shared)));
                    }
                });
                let _dropped_or_told = stopped.await;
            });
        };
        let thread = std::thread::spawn(run);
        let port = tells.recv_timeout(PATIENCE).expect("it listens");
        Self { port, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _panicked_and_was_told = thread.join();
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let delay = *lock(&shared.delay);
    sleep(delay).await;
    let acceptor = TlsAcceptor::from(Arc::clone(&lock(&shared.tls)));
    // a client that does not trust us goes away
    let Ok(Ok(stream)) = timeout(PATIENCE, acceptor.accept(stream)).await else { return };
    let service = service_fn(|request| answered(request, Arc::clone(&shared)));
    let mut http = http1::Builder::new();
    let http = http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let _went_away = http.serve_connection(TokioIo::new(stream), service).await;
}

async fn answered(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Pieces>, Infallible> {
    let asked = read(request).await;
    lock(&shared.asked).push(asked.clone());
    let fault = fault_of(&mut lock(&shared.rules), &asked.path, asked.page());
    if let Some(Fault::Silence(time)) = fault {
        sleep(time).await;
    }
    let mut state = lock(&shared.state);
    if fault.is_none()
        && let Some(page) = answer::made_page(&state, &asked)
    {
        return Ok(page);
    }
    let asked = Asked { accepts_gzip: asked.accepts_gzip && *lock(&shared.packs), ..asked };
    let right = answer::right(&state, &asked);
    let mut after = lock(&shared.after);
    if let Some(at) = after.iter().position(|one| (one.0, one.1) == (&asked.path, asked.page())) {
        (after.remove(at).2)(&mut state);
    }
    Ok(answer::sent(right, fault, &asked))
}

async fn read(request: Request<Incoming>) -> Asked {
    let (head, body) = request.into_parts();
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let accepts_gzip = text(ACCEPT_ENCODING).is_some_and(|codings| codings.contains("gzip"));
    let key = text(AUTHORIZATION).map(str::to_owned);
    let body = timeout(PATIENCE, Limited::new(body, REQUEST_BYTES_MAX).collect()).await;
    let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
    Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        key,
        accepts_gzip,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        at: Instant::now(),
    }
}
