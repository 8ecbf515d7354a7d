//! Whether the canary came out at the end: its alert, at every sink.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

/// The canary that is on its way, and when one last came out.
#[derive(Debug, Default)]
pub struct Proof(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The name of the one that was sent last, and when.
    sent: Option<(String, Instant)>,
    /// When the one that came out last was sent.
    proved: Option<Instant>,
}

impl Proof {
    /// Notes that one is about to be sent.
    pub fn expect(&self, name: String) {
        self.lock().sent = Some((name, Instant::now()));
    }

    /// Returns when the one of this name was sent; `None`: it is not the one on its way.
    pub fn sent(&self, name: &str) -> Option<Instant> {
        let known = self.lock();
        known.sent.as_ref().filter(|(sent, _)| sent == name).map(|(_, at)| *at)
    }

    /// Notes that all sinks took the alert of the one that was sent then.
    pub fn prove(&self, sent: Instant) {
        let mut known = self.lock();
        known.proved = known.proved.max(Some(sent));
    }

    /// Returns when the one that came out last was sent.
    pub fn proved(&self) -> Option<Instant> {
        self.lock().proved
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_on_its_way_proves_anything() {
        let proof = Proof::default();
        assert_eq!(proof.sent("a"), None);
        proof.expect("a".to_owned());
        let sent = proof.sent("a").expect("on its way");
        proof.expect("b".to_owned());
        assert_eq!(proof.sent("a"), None);
        assert_eq!(proof.proved(), None);
        proof.prove(sent);
        assert_eq!(proof.proved(), Some(sent));
    }
}
