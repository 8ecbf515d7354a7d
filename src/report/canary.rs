//! Whether the canary came out at the end: its alert, at every sink.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use crate::model::canary::CANARY_DOMAIN;
use crate::report::alert::Alert;
use crate::report::outlet::SinkStatus;

/// Canaries that wait for a sink.
const GIVEN_MAX: usize = 16;

/// The canary that is on its way, and when one last came out.
#[derive(Debug, Default)]
pub struct Proof(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The name of the one that was sent last, and when.
    sent: Option<(String, Instant)>,
    /// When the one that came out last was sent.
    proved: Option<Instant>,
    /// The sinks that had not taken, or had lost, one that was given them later.
    missing: Vec<String>,
}

impl Proof {
    /// Notes that one is about to be sent.
    pub fn expect(&self, name: String) {
        self.lock().sent = Some((name, Instant::now()));
    }

    /// Returns when the one that came out last was sent.
    pub fn proved(&self) -> Option<Instant> {
        self.lock().proved
    }

    /// Returns the sinks at which one did not come out that came out of the pipeline, since one
    /// last came out at all.
    pub fn missing(&self) -> Vec<String> {
        self.lock().missing.clone()
    }

    /// Returns when the one of this name was sent; `None`: it is not the one on its way.
    fn sent(&self, name: &str) -> Option<Instant> {
        let known = self.lock();
        known.sent.as_ref().filter(|(sent, _)| sent == name).map(|(_, at)| *at)
    }

    /// Notes that all sinks took the alert of the one that was sent then.
    fn prove(&self, sent: Instant) {
        let mut known = self.lock();
        known.proved = known.proved.max(Some(sent));
        known.missing.clear();
    }

    fn miss(&self, sinks: Vec<String>) {
        self.lock().missing = sinks;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows the alerts of canaries to the sinks.
#[derive(Debug)]
pub(super) struct Watch {
    proof: Arc<Proof>,
    given: VecDeque<Given>,
}

/// A canary whose alert was given to the sinks.
#[derive(Debug)]
struct Given {
    sent: Instant,
    /// Which of all alerts it was.
    number: u64,
    /// How many each sink had lost before.
    lost: Vec<u64>,
}

impl Watch {
    pub(super) fn new(proof: Arc<Proof>) -> Self {
        Self { proof, given: VecDeque::new() }
    }

    /// Notes an alert that is about to be given, if it is the canary's: the `number`th of all.
    pub(super) fn note(
        &mut self,
        alert: &Alert,
        number: u64,
        sinks: impl Iterator<Item = SinkStatus>,
    ) {
        let own = &alert.tapsieve;
        if own.indicator.value == CANARY_DOMAIN
            && let Some(sent) = self.proof.sent(&own.observed.value)
            // a few that are on their way are enough to know
            && self.given.len() < GIVEN_MAX
        {
            let lost = sinks.map(|sink| sink.lost).collect();
            self.given.push_back(Given { sent, number, lost });
        }
    }

    /// Sees which of them every sink has taken. A sink that has lost anything since may have lost
    /// it: that one proves nothing.
    pub(super) fn look(&mut self, sinks: &[SinkStatus]) {
        while let Some(given) = self.given.front() {
            let names = |is_so: &dyn Fn(&SinkStatus, u64) -> bool| -> Vec<String> {
                let so = sinks.iter().zip(&given.lost).filter(|(sink, lost)| is_so(sink, **lost));
                so.map(|(sink, _)| sink.name.clone()).collect()
            };
            let losers = names(&|sink, lost| sink.lost != lost);
            let late = names(&|sink, _| sink.delivered + sink.lost < sink.found + given.number);
            if !losers.is_empty() {
                self.proof.miss(losers);
            } else if !late.is_empty() {
                return self.proof.miss(late);
            } else {
                self.proof.prove(given.sent);
            }
            self.given.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sinks: delivered and lost of each when a canary was given as the tenth alert, and later;
    /// where it has not come out, if anywhere.
    fn check(before: [(u64, u64); 2], later: [(u64, u64); 2], missing: Option<&[&str]>) {
        let proof = Arc::new(Proof::default());
        let sent = Instant::now();
        let sinks = |counts: [(u64, u64); 2]| {
            let all = ["one", "other"].into_iter().zip(counts);
            all.map(|(name, (delivered, lost))| SinkStatus {
                name: name.to_owned(),
                found: 5,
                delivered,
                lost,
                ..SinkStatus::default()
            })
        };
        let lost = sinks(before).map(|sink| sink.lost).collect();
        let mut watch = Watch::new(Arc::clone(&proof));
        watch.given.push_back(Given { sent, number: 10, lost });
        let later: Vec<SinkStatus> = sinks(later).collect();
        watch.look(&later);
        assert_eq!(proof.proved(), missing.is_none().then_some(sent), "{later:?}");
        assert_eq!(proof.missing(), missing.unwrap_or_default(), "{later:?}");
    }

    #[test]
    fn a_canary_proves_something_when_every_sink_took_it() {
        check([(14, 0), (0, 0)], [(15, 0), (15, 0)], None);
        check([(10, 4), (14, 0)], [(11, 4), (20, 0)], None);
        check([(14, 0), (0, 0)], [(15, 0), (14, 0)], Some(&["other"]));
        check([(14, 0), (0, 0)], [(14, 0), (0, 0)], Some(&["one", "other"]));
        // it is among those that were lost, perhaps
        check([(14, 0), (14, 0)], [(15, 0), (14, 1)], Some(&["other"]));
        check([(14, 0), (5, 9)], [(15, 0), (20, 10)], Some(&["other"]));
    }

    #[test]
    fn only_the_one_on_its_way_is_known() {
        let proof = Proof::default();
        assert_eq!(proof.sent("a"), None);
        proof.expect("a".to_owned());
        assert!(proof.sent("a").is_some());
        proof.expect("b".to_owned());
        assert_eq!(proof.sent("a"), None);
    }
}
