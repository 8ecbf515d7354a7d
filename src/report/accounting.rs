//! The books of each stage: what came in is what went out, what was dropped, and what is held.

use crate::report::live::Status;
use crate::report::outlet::SinkStatus;

/// One stage's books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// What came in since the start: packets, flows, streams, hits or alerts.
    pub taken: u64,
    /// What went out.
    pub given: u64,
    /// What was dropped, all of it counted under its reason.
    pub dropped: u64,
    /// What is inside now.
    pub held: u64,
    /// Whether things pass through at once: what stays is stuck.
    pub is_passage: bool,
    /// Whether both sides are counted by different threads: while things move, their counts are of
    /// different moments.
    pub spans_threads: bool,
}

impl Stage {
    /// Returns how much is nowhere, or in two places; 0: the books balance.
    pub fn unaccounted(&self) -> u64 {
        let known = self.given.saturating_add(self.dropped).saturating_add(self.held);
        known.abs_diff(self.taken)
    }

    /// Judges nothing by counts of different moments: only what has not moved since the books were
    /// made before must balance.
    pub fn settle(&mut self, before: Option<&Self>) {
        if self.spans_threads && before.is_none_or(|before| before.taken != self.taken) {
            self.taken = self.taken.max(self.given.saturating_add(self.dropped));
        }
    }

    /// Tells whether something is stuck: it was there when the books were made before, and nothing
    /// has moved since.
    pub fn is_stuck(&self, before: &Self) -> bool {
        self.is_passage && self.held > 0 && self == before
    }

    /// What is held cannot be counted by itself here: it is on its way between two threads. It is
    /// what is missing; if more came out than went in, it is nothing, and the books do not balance.
    fn on_the_way(name: &'static str, taken: u64, given: u64, dropped: u64) -> Self {
        let held = taken.saturating_sub(given.saturating_add(dropped));
        Self { name, taken, given, dropped, held, is_passage: true, spans_threads: true }
    }
}

/// Returns the books of all stages, in the order data meets them.
pub fn stages(status: &Status) -> Vec<Stage> {
    let counts = status.counters();
    let hits: u64 = counts.hits.iter().sum();
    let alerts: u64 = status.alerts.values().sum();
    let damaged = counts.lost_ring_damaged + counts.lost_ring_left;
    let lost = counts.lost_ring + counts.early_packets + damaged;
    let out = counts.kernel_packets.saturating_sub(lost).saturating_sub(counts.kernel_held);
    let closed = counts.flows_expired + counts.flows_closed;
    let read = counts.streams_read + counts.streams_alien + counts.streams_lost;
    let sinks = |what: fn(&SinkStatus) -> u64| status.sinks.iter().map(what).sum::<u64>();
    vec![
        Stage {
            name: "kernel",
            taken: counts.kernel_packets,
            given: out + counts.kernel_short,
            dropped: lost,
            held: counts.kernel_held,
            is_passage: true,
            spans_threads: false,
        },
        Stage::on_the_way("decode", counts.frames(), counts.packets, counts.decode_failures()),
        Stage {
            name: "flow",
            taken: counts.flows,
            given: closed,
            dropped: counts.flows_evicted,
            held: counts.flows_active,
            is_passage: false,
            spans_threads: false,
        },
        Stage {
            name: "reassembly",
            taken: counts.streams_opened,
            given: read,
            dropped: counts.streams_unfinished,
            held: counts.streams_active,
            is_passage: false,
            spans_threads: false,
        },
        Stage::on_the_way("reporter", hits, alerts, status.repeated + counts.hits_refused),
        Stage {
            name: "sink",
            taken: sinks(|sink| sink.given + sink.found),
            given: sinks(|sink| sink.delivered),
            dropped: sinks(|sink| sink.lost),
            held: sinks(|sink| sink.waiting),
            is_passage: false,
            spans_threads: false,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::counters::Counters;

    /// Counts of a source and of a worker, then how much each stage cannot account for.
    fn check(source: Counters, worker: Counters, unaccounted: [u64; 6]) {
        let mut status = Status::default();
        status.sources.insert(0, source);
        status.workers.insert(0, worker);
        let found: Vec<u64> = stages(&status).iter().map(Stage::unaccounted).collect();
        assert_eq!(found, unaccounted, "{:?}", stages(&status));
    }

    #[test]
    fn books_balance_or_say_by_how_much() {
        let source = Counters {
            kernel_packets: 100,
            lost_ring: 10,
            kernel_held: 5,
            live_packets: 85,
            decode_link_not_ip: 3,
            ..Counters::default()
        };
        let worker = Counters {
            packets: 80,
            flows: 7,
            flows_closed: 2,
            flows_expired: 1,
            flows_evicted: 1,
            flows_active: 3,
            streams_opened: 4,
            streams_read: 1,
            streams_unfinished: 2,
            streams_active: 1,
            ..Counters::default()
        };
        check(source.clone(), worker.clone(), [0; 6]);
        // more packets than frames; a flow that is nowhere
        let more = Counters { packets: 90, ..worker.clone() };
        check(source.clone(), more, [0, 8, 0, 0, 0, 0]);
        check(source.clone(), Counters { flows: 8, ..worker.clone() }, [0, 0, 1, 0, 0, 0]);
        check(source.clone(), Counters { streams_active: 3, ..worker.clone() }, [0, 0, 0, 2, 0, 0]);
        check(Counters { kernel_short: 4, ..source }, worker, [4, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn counts_of_different_moments_are_not_judged() {
        let stage = Stage::on_the_way("decode", 100, 104, 0);
        // taken, of the books before; then what cannot be accounted for
        for (before, unaccounted) in [(None, 0), (Some(90), 0), (Some(100), 4)] {
            let mut settled = stage;
            settled.settle(before.map(|taken| Stage { taken, ..stage }).as_ref());
            assert_eq!(settled.unaccounted(), unaccounted);
        }
    }
}
