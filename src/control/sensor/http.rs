//! `/metrics`, `/healthz`, `/readyz`: how a sensor fares, for Prometheus and for whoever restarts
//! it. Few connections at once, one request each, little time: a client can cost it nothing else.
//! One more puts an end to the one that has been there longest, so slow clients keep nobody out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::time::Duration;

use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio::time::timeout;
use tracing::error;

use crate::control::cli::Failure;
use crate::control::sensor::confine::Measures;
use crate::control::sensor::feeds::Feed;
use crate::control::sensor::health::Health;
use crate::control::sensor::health::Seen;
use crate::control::sensor::health::Trouble;
use crate::control::sensor::pulse::QUIET_MAX;
use crate::model::plain::plain;
use crate::report::accounting;
use crate::report::live::Status;
use crate::report::metrics;
use crate::report::metrics::Live;
use crate::report::metrics::Totals;

/// How often the server looks whether it is to stop; and how long it rests after a failed accept.
const TURN: Duration = Duration::from_millis(100);

/// Connections at once; with one more, the oldest is closed.
const CONNECTIONS_MAX: usize = 32;

/// A connection's life: a request, an answer.
const CONNECTION_MAX: Duration = Duration::from_secs(10);

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What the pages are made of.
#[derive(Clone)]
pub(super) struct Page {
    pub(super) health: Arc<Health>,
    pub(super) status: Arc<Mutex<Status>>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) confinement: Measures,
}

/// A page: its status, its type, its text.
type Answer = (u16, &'static str, Vec<u8>);

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Takes an address to serve at.
///
/// # Errors
///
/// When it cannot be listened on.
pub(super) fn listen(listen: SocketAddr) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(listen).and_then(|bound| {
        bound.set_nonblocking(true)?;
        Ok(bound)
    });
    bound.map_err(|error| Failure::Listen { listen, why: error.to_string() })
}

impl Page {
    /// Serves on a thread of its own until told to stop.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(super) fn serve_beside(self, listener: TcpListener) -> Result<(), Failure> {
        let thread = Builder::new().name("http".to_owned());
        thread.spawn(move || self.serve(listener)).map(drop).map_err(Failure::Thread)
    }

    fn serve(self, listener: TcpListener) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let served = runtime.and_then(|runtime| {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                self.accept(&listener).await;
                Ok(())
            })
        });
        if let Err(error) = served {
            error!("the pages cannot be served: {error}");
        }
    }

    async fn accept(&self, listener: &tokio::net::TcpListener) {
        let mut open: VecDeque<JoinHandle<()>> = VecDeque::with_capacity(CONNECTIONS_MAX);
        while !self.stop.load(Ordering::Relaxed) {
            let Ok(accepted) = timeout(TURN, listener.accept()).await else { continue };
            let Ok((stream, _)) = accepted else {
                // out of descriptors, perhaps: the next one may do better
                sleep(TURN).await;
                continue;
            };
            open.retain(|connection| !connection.is_finished());
            if open.len() >= CONNECTIONS_MAX
                && let Some(oldest) = open.pop_front()
            {
                oldest.abort();
            }
            let page = self.clone();
            open.push_back(tokio::spawn(async move {
                let answer = service_fn(|request| page.answer(request));
                let connection = http1::Builder::new()
                    .keep_alive(false)
                    .max_buf_size(HEAD_BYTES_MAX)
                    .serve_connection(TokioIo::new(stream), answer);
                // a client that is slow, or talks nonsense, is its own problem
                let _ended = timeout(CONNECTION_MAX, connection).await;
            }));
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (code, kind, text) = match *request.method() {
            Method::GET | Method::HEAD => self.page(request.uri().path()),
            _ => (405, TEXT, b"only GET\n".to_vec()),
        };
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = hyper::StatusCode::from_u16(code).unwrap_or_default();
        response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
        Ok(response)
    }

    fn page(&self, path: &str) -> Answer {
        match path {
            "/metrics" => self.metrics(),
            "/healthz" => self.alive(),
            "/readyz" => self.ready(),
            "/" => (200, TEXT, b"tapsieve: /metrics /healthz /readyz\n".to_vec()),
            _ => (404, TEXT, b"there are /metrics, /healthz and /readyz\n".to_vec()),
        }
    }

    /// Alive is who moves: a thread that is stuck takes a restart.
    fn alive(&self) -> Answer {
        let line = |thread: &String| format!("{thread} is stuck\n");
        match self.health.quiet(QUIET_MAX).as_slice() {
            [] => (200, TEXT, b"alive\n".to_vec()),
            all => (503, TEXT, all.iter().map(line).collect::<String>().into_bytes()),
        }
    }

    fn ready(&self) -> Answer {
        let troubles = self.health.troubles(&self.status());
        let is_ready = troubles.iter().all(|trouble| trouble.is_warning);
        let line = |trouble: &Trouble| match trouble.is_warning {
            true => format!("warning: {}\n", plain(&trouble.text)),
            false => format!("{}\n", plain(&trouble.text)),
        };
        let (code, first) = if is_ready { (200, "ready\n") } else { (503, "") };
        let lines = troubles.iter().map(line).collect::<String>();
        (code, TEXT, format!("{first}{lines}").into_bytes())
    }

    fn metrics(&self) -> Answer {
        let (status, known) = (self.status(), self.health.known());
        let mut counters = status.counters();
        counters.intel_damaged = known.damaged;
        counters.lost_interface = known.traffic.had_no_room();
        let adapter = |(name, seen): (&String, &Seen)| metrics::Adapter {
            interface: name.clone(),
            packets: seen.adapter.received(),
            downs: seen.adapter.downs(),
            lost: seen.adapter.lost().collect(),
        };
        let adapters: Vec<_> = known.traffic.interfaces.iter().map(adapter).collect();
        let feed = |feed: &Feed| metrics::Feed {
            name: feed.name.clone(),
            success_secs: feed.success_secs,
            failures: feed.failures.clone(),
            pulls: feed.pulls.as_ref().map(|pulls| [pulls.count, pulls.wakes]),
        };
        let feeds: Vec<_> = known.feeds.0.iter().map(feed).collect();
        let [compiling_secs, refused_secs] = known.intel_secs();
        let page = metrics::exposition(&Totals {
            counters: &counters,
            alerts: &status.alerts,
            indicators: &known.indicators,
            set_version: &known.version,
            set_bytes: &known.bytes,
            refused: &known.left_out,
            replay: None,
            sinks: &status.sinks,
            live: Some(Live {
                status: &status,
                generation: known.generation,
                loaded_secs: known.loaded_secs,
                sets_refused: &known.refused,
                silences: &known.traffic.silences(),
                adapters: &adapters,
                stages: &accounting::stages(&status),
                feeds: &feeds,
                canary_age_secs: known.traffic.canary.as_ref().map(|c| c.age.as_secs_f64()),
                is_one_way: known.traffic.direction.is_one_only(),
                confinement: &self.confinement,
                is_ready: self.health.troubles(&status).iter().all(|one| one.is_warning),
                compiling_secs,
                refused_secs,
            }),
        });
        match page {
            Ok(text) => (200, METRICS, text),
            Err(error) => (500, TEXT, format!("{error}\n").into_bytes()),
        }
    }

    fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
