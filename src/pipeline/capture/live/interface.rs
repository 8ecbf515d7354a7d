//! What the handles of one interface tell each other, and the control thread: since when all of
//! them share its flows, and why one cannot be opened again.
//!
//! Bounds: nothing here is touched for each frame, nor for a block once the handles have settled

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::model::time::Timestamp;
use crate::pipeline::capture::live::LiveError;

/// An interface, known to all of its handles.
#[derive(Debug)]
pub struct Interface {
    name: String,
    /// How many handles share it.
    handles: u16,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many handles are open.
    open: u16,
    /// When the last of them joined.
    joined: Timestamp,
    refusal: Option<Arc<LiveError>>,
}

impl Interface {
    /// Returns one whose handles are to be opened.
    pub(super) fn new(name: &str, handles: u16) -> Self {
        Self { name: name.to_owned(), handles, state: Mutex::default() }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns why the last try to open a handle again failed, until all of them are open.
    pub fn refusal(&self) -> Option<Arc<LiveError>> {
        self.state().refusal.clone()
    }

    /// Notes that one more handle is open.
    pub(super) fn join(&self, now: Timestamp) {
        let mut state = self.state();
        state.open = state.open.saturating_add(1);
        if state.open == self.handles {
            (state.joined, state.refusal) = (now, None);
        }
    }

    /// Notes that what came before is not wanted.
    pub(super) fn begin(&self, now: Timestamp) {
        self.state().joined = now;
    }

    /// Notes that one handle is gone.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        state.open = state.open.saturating_sub(1);
    }

    /// Notes why a handle cannot be opened again.
    pub(super) fn refuse(&self, error: LiveError) {
        self.state().refusal = Some(Arc::new(error));
    }

    /// Returns since when each flow has been in one handle only; never yet: later than all times.
    pub(super) fn since(&self) -> Timestamp {
        let state = self.state();
        if state.open == self.handles { state.joined } else { Timestamp(u64::MAX) }
    }

    #[allow(clippy::disallowed_methods, reason = "once a second at most, or while handles settle")]
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::capture::live::Fault;

    #[test]
    fn flows_are_whole_once_all_handles_have_joined_again() {
        let never = Timestamp(u64::MAX);
        let interface = Interface::new("tap0", 2);
        let why = || interface.refusal().map(|error| error.to_string());
        let refuse = |link| {
            let interface_name = interface.name().to_owned();
            interface.refuse(LiveError { interface: interface_name, fault: Fault::Link(link) });
        };
        let check = |since, refused: Option<&str>| {
            assert_eq!(interface.since(), since);
            assert_eq!(why().as_deref().map(|why| why.contains("tap0: ")), refused.map(|_| true));
            let told = why().unwrap_or_default();
            assert!(told.contains(refused.unwrap_or_default()), "{told}");
        };
        check(never, None);
        interface.join(Timestamp(10));
        check(never, None);
        interface.join(Timestamp(20));
        check(Timestamp(20), None);
        // one that lags behind is still open while the other is opened again
        interface.leave();
        refuse(5);
        check(never, Some("link type 5"));
        interface.join(Timestamp(30));
        check(Timestamp(30), None);
        interface.leave();
        check(never, None);
        refuse(6);
        refuse(7);
        check(never, Some("link type 7"));
        interface.join(Timestamp(40));
        check(Timestamp(40), None);
    }
}
