//! `/metrics`, `/healthz`, `/readyz`: how a sensor fares, for Prometheus and for whoever restarts
//! it.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tiny_http::Header;
use tiny_http::Method;
use tiny_http::Response;
use tiny_http::Server;

use crate::control::cli::Failure;
use crate::control::sensor::health::Health;
use crate::report::live::Status;
use crate::report::metrics;
use crate::report::metrics::Live;
use crate::report::metrics::Totals;

/// How often the server looks whether it is to stop.
const TURN: Duration = Duration::from_millis(100);

/// What the pages are made of.
pub(super) struct Page<'a> {
    pub(super) health: &'a Health,
    pub(super) status: &'a Mutex<Status>,
    pub(super) stop: &'a AtomicBool,
}

/// A page: its status, its type, its text.
type Answer = (u16, &'static str, Vec<u8>);

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Page<'_> {
    /// Serves until told to stop.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub(super) fn serve(self, listen: SocketAddr) -> Result<(), Failure> {
        let server = Server::http(listen)
            .map_err(|error| Failure::Listen { listen, why: error.to_string() });
        let server = server.inspect_err(|_| self.stop.store(true, Ordering::Relaxed))?;
        while !self.stop.load(Ordering::Relaxed) {
            // an error is one client's: the next one is served
            let Ok(Some(request)) = server.recv_timeout(TURN) else { continue };
            let path = request.url().split('?').next().unwrap_or_default();
            let (code, kind, text) = match (request.method(), path) {
                (Method::Get | Method::Head, path) => self.answer(path),
                _ => (405, TEXT, b"only GET\n".to_vec()),
            };
            let header = Header::from_bytes("Content-Type", kind);
            let response = Response::from_data(text).with_status_code(code);
            let response = header.into_iter().fold(response, Response::with_header);
            let _client_went_away = request.respond(response);
        }
        Ok(())
    }

    fn answer(&self, path: &str) -> Answer {
        match path {
            "/metrics" => self.metrics(),
            "/healthz" => (200, TEXT, b"alive\n".to_vec()),
            "/readyz" => self.ready(),
            "/" => (200, TEXT, b"tapsieve: /metrics /healthz /readyz\n".to_vec()),
            _ => (404, TEXT, b"there are /metrics, /healthz and /readyz\n".to_vec()),
        }
    }

    fn ready(&self) -> Answer {
        let troubles = self.health.troubles(&self.status());
        match troubles.as_slice() {
            [] => (200, TEXT, b"ready\n".to_vec()),
            _ => (503, TEXT, (troubles.join("\n") + "\n").into_bytes()),
        }
    }

    fn metrics(&self) -> Answer {
        let (status, known) = (self.status(), self.health.known());
        let counters = status.counters();
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
                silence_secs: known.silence_secs(),
                is_ready: self.health.troubles(&status).is_empty(),
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
