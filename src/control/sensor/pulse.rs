//! Whether the pipeline moves: each capturer sends a block at least every 100 ms, full or not, each
//! worker that has such blocks tells of them at least every 50 ms, with hits or without, and the
//! reporter publishes twice a second. A thread that is stuck tells nothing.

use std::time::Duration;
use std::time::Instant;

use crate::report::live::Beats;

/// Quiet that is a trouble, and no life: a restart is the answer. Beyond what a busy machine, a
/// slow disk or a swapped page explains.
pub(super) const QUIET_MAX: Duration = Duration::from_secs(10);

/// Threads, and when each of them last told something.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    capturers: Vec<Member>,
    workers: Vec<Member>,
    reporter: Member,
    /// When someone last looked: the control thread.
    looked: Instant,
}

/// How often a thread has told something, and since when that number is the same.
#[derive(Clone, Copy, Debug)]
struct Member {
    beats: u64,
    since: Instant,
}

impl Member {
    fn see(&mut self, beats: Option<&u64>, now: Instant) {
        let beats = beats.copied().unwrap_or_default();
        if beats != self.beats {
            *self = Self { beats, since: now };
        }
    }

    fn is_quiet(&self, limit: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.since) > limit
    }
}

impl Pulse {
    /// Begins with threads that have just been started.
    pub(super) fn new(capturers: usize, workers: usize, now: Instant) -> Self {
        let new = Member { beats: 0, since: now };
        let (capturers, workers) = (vec![new; capturers], vec![new; workers]);
        Self { capturers, workers, reporter: new, looked: now }
    }

    /// Looks at what was told until now.
    pub(super) fn look(&mut self, told: &Beats, now: Instant) {
        self.looked = now;
        self.reporter.see(Some(&told.reporter), now);
        for (number, member) in (0..).zip(&mut self.capturers) {
            member.see(told.sources.get(&number), now);
        }
        for (number, member) in (0..).zip(&mut self.workers) {
            member.see(told.workers.get(&number), now);
        }
    }

    /// Returns the threads that have told nothing for longer than `limit`; where the one is among
    /// them through which the others are seen, that one.
    pub(super) fn quiet(&self, limit: Duration, now: Instant) -> Vec<String> {
        if now.saturating_duration_since(self.looked) > limit {
            return vec!["control".to_owned()];
        }
        if self.reporter.is_quiet(limit, now) {
            return vec!["reporter".to_owned()];
        }
        let named = |members: &[Member], name: &str| -> Vec<String> {
            let all = members.iter().enumerate();
            let quiet = all.filter(|(_, member)| member.is_quiet(limit, now));
            quiet.map(|(number, _)| format!("{name}-{number}")).collect()
        };
        [named(&self.capturers, "capturer"), named(&self.workers, "worker")].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// For each look its second, and how often reporter, capturer and two workers have told
    /// something; then who is quiet at a second.
    fn check(looks: &[(u64, [u64; 4])], at: u64, quiet: &[&str]) {
        let start = Instant::now();
        let after = |secs| start + Duration::from_secs(secs);
        let mut pulse = Pulse::new(1, 2, start);
        for (secs, [reporter, capturer, first, second]) in looks {
            let told = Beats {
                reporter: *reporter,
                sources: [(0, *capturer)].into(),
                workers: [(0, *first), (1, *second)].into(),
            };
            pulse.look(&told, after(*secs));
        }
        assert_eq!(pulse.quiet(LIMIT, after(at)), quiet, "{looks:?} at {at}");
    }

    #[test]
    fn who_tells_nothing_is_named() {
        check(&[], 10, &[]);
        check(&[], 11, &["control"]);
        check(&[(8, [1, 1, 1, 1])], 18, &[]);
        check(&[(8, [1, 1, 1, 1]), (16, [2, 2, 2, 2])], 20, &[]);
        check(&[(8, [1, 1, 1, 1]), (16, [2, 2, 2, 1])], 18, &[]);
        check(&[(8, [1, 1, 1, 1]), (16, [2, 2, 2, 1])], 20, &["worker-1"]);
        check(
            &[(8, [1, 1, 1, 1]), (16, [2, 1, 1, 1])],
            20,
            &["capturer-0", "worker-0", "worker-1"],
        );
        // of the others nothing is known
        check(&[(8, [1, 1, 1, 1]), (20, [1, 1, 1, 1])], 20, &["reporter"]);
        // one that never began
        check(&[(8, [1, 1, 0, 1]), (12, [2, 2, 0, 2])], 12, &["worker-0"]);
    }
}
