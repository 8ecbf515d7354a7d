//! A stand-in MISP: a real HTTPS server on loopback with what MISP answers to the searches that a
//! client of indicators makes, whose contents a test edits and whose answers it lets go wrong.
//!
//! Spec:   MISP 2.5; see `answer`, `search`, `filter`
//! Reads:  restSearch of attributes, objects and events; warninglists; version, types, user
//! Leaves: all that writes; whatever the user may not see

mod answer;
mod body;
mod certificate;
pub(crate) mod faults;
mod filter;
mod listen;
mod search;
mod state;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use tokio_rustls::rustls::ServerConfig;

pub(crate) use certificate::Authority;
pub(crate) use certificate::Good;
pub(crate) use faults::Fault;
pub(crate) use faults::Rule;
pub(crate) use state::Attribute;
pub(crate) use state::State;
#[allow(unused_imports, reason = "the bench of pulling needs it")]
pub(crate) use state::made;

use listen::Listening;
#[allow(unused_imports, reason = "the bench of pulling needs none")]
pub(crate) use listen::free_port;

/// The API key that is asked for.
pub(crate) const KEY: &str = "k3yOfAStandInMispServerAndOfNothingElse0";

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) accepts_gzip: bool,
    pub(crate) body: Value,
    pub(crate) at: Instant,
}

/// What the server's thread and the test share.
pub(crate) struct Shared {
    state: Mutex<State>,
    rules: Mutex<Vec<Rule>>,
    asked: Mutex<Vec<Asked>>,
    tls: Mutex<Arc<ServerConfig>>,
    /// Before a connection is answered at all.
    delay: Mutex<Duration>,
    packs: Mutex<bool>,
    /// What happens once a page of a path was answered.
    after: Mutex<Vec<(&'static str, u64, Edit)>>,
}

/// A change of what the server holds.
type Edit = Box<dyn FnOnce(&mut State) + Send>;

/// The server; it ends when dropped.
pub(crate) struct Stand {
    shared: Arc<Shared>,
    authority: Authority,
    /// The network that it listens in, where that is not the test's own.
    namespace: Option<PathBuf>,
    port: u16,
    listening: Option<Listening>,
}

impl Stand {
    /// Starts one.
    pub(crate) fn new(state: State) -> Self {
        Self::within(state, None)
    }

    /// Starts one in the network namespace of a name.
    pub(crate) fn within(state: State, namespace: Option<&Path>) -> Self {
        let authority = Authority::new("the authority of a test");
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            rules: Mutex::default(),
            asked: Mutex::default(),
            tls: Mutex::new(authority.server(Good::Yes)),
            delay: Mutex::default(),
            packs: Mutex::default(),
            after: Mutex::default(),
        });
        let namespace = namespace.map(Path::to_owned);
        let listening = Listening::new(&shared, namespace.as_deref(), 0);
        let port = listening.port;
        Self { shared, authority, namespace, port, listening: Some(listening) }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its authority's certificate.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Changes what it holds.
    pub(crate) fn edit<R>(&self, edit: impl FnOnce(&mut State) -> R) -> R {
        edit(&mut lock(&self.shared.state))
    }

    /// Changes what it holds once, when a page of a path has been answered.
    pub(crate) fn after(
        &self,
        path: &'static str,
        page: u64,
        edit: impl FnOnce(&mut State) + Send + 'static,
    ) {
        lock(&self.shared.after).push((path, page, Box::new(edit)));
    }

    /// Lets answers go wrong.
    pub(crate) fn fail(&self, rule: Rule) {
        lock(&self.shared.rules).push(rule);
    }

    /// Lets all answers be right again.
    pub(crate) fn mend(&self) {
        lock(&self.shared.rules).clear();
    }

    /// Shows another certificate to those that connect from now on.
    pub(crate) fn show(&self, certificate: Arc<ServerConfig>) {
        *lock(&self.shared.tls) = certificate;
    }

    /// Lets whoever connects wait.
    pub(crate) fn delay(&self, delay: Duration) {
        *lock(&self.shared.delay) = delay;
    }

    /// Packs bodies, where the client takes them so.
    pub(crate) fn pack(&self) {
        *lock(&self.shared.packs) = true;
    }

    /// Takes what was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *lock(&self.shared.asked))
    }

    /// Takes what was asked of a path so far.
    pub(crate) fn asked_of(&self, path: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.path.starts_with(path)).collect()
    }

    /// Ends all connections; from now on they are refused.
    pub(crate) fn close(&mut self) {
        self.listening = None;
    }

    /// Listens again, at the same port.
    pub(crate) fn open(&mut self) {
        self.listening = Some(Listening::new(&self.shared, self.namespace.as_deref(), self.port));
    }
}

impl Asked {
    /// Parameters that MISP has not.
    pub(crate) fn unknown(&self) -> Vec<String> {
        filter::Filter::new(&self.body).unknown()
    }

    pub(crate) fn page(&self) -> u64 {
        filter::Filter::new(&self.body).number("page").unwrap_or(1)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panicked")
}
