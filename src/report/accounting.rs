//! The books of each stage: what came in is what went out, what was dropped, and what is held.
//!
//! Sources and workers count on threads of their own. Their counts are compared at a block that
//! all know, the checkpoint: what the source had handed over with it, and what the workers had read
//! when they had read it.

use std::collections::VecDeque;

use crate::model::batch::Checkpoint;
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
}

impl Stage {
    /// Returns how much is nowhere, or in two places; 0: the books balance.
    pub fn unaccounted(&self) -> u64 {
        let known = self.given.saturating_add(self.dropped).saturating_add(self.held);
        known.abs_diff(self.taken)
    }

    /// Tells whether something is stuck: it was there when the books were made before, and nothing
    /// has moved since.
    pub fn is_stuck(&self, before: &Self) -> bool {
        self.is_passage && self.held > 0 && self == before
    }
}

/// Puts together what workers tell of checkpoints.
#[derive(Debug)]
pub struct Checkpoints {
    workers: usize,
    /// What some workers have told, and how many.
    open: VecDeque<(Checkpoint, usize)>,
}

impl Checkpoints {
    /// Returns one of so many workers.
    pub fn new(workers: usize) -> Self {
        Self { workers, open: VecDeque::new() }
    }

    /// Takes what one worker tells; returns the sum when it is the last to tell. A checkpoint that
    /// not all tell of, as a worker could not, is forgotten with a later one.
    pub fn take(&mut self, told: Checkpoint) -> Option<Checkpoint> {
        let same = |known: &Checkpoint| (known.source, known.secs) == (told.source, told.secs);
        let place = self.open.iter().position(|(known, _)| same(known)).unwrap_or_else(|| {
            self.open.push_back((Checkpoint { packets: 0, ..told }, 0));
            self.open.len() - 1
        });
        let (sum, tellers) = &mut self.open[place];
        sum.packets += told.packets;
        *tellers += 1;
        let whole = (*tellers >= self.workers).then_some(*sum);
        if whole.is_some() {
            let is_past =
                |known: &Checkpoint| known.source == told.source && known.secs <= told.secs;
            self.open.retain(|(known, _)| !is_past(known));
        }
        if self.open.len() > OPEN_MAX {
            self.open.pop_front();
        }
        whole
    }
}

/// Checkpoints that some workers have told of and others not yet: seconds times sources.
const OPEN_MAX: usize = 1_024;

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
    let checked = |what: fn(&Checkpoint) -> u64| status.checkpoints.values().map(what).sum();
    let sinks = |what: fn(&SinkStatus) -> u64| status.sinks.iter().map(what).sum::<u64>();
    vec![
        Stage {
            name: "kernel",
            taken: counts.kernel_packets,
            given: out + counts.kernel_short,
            dropped: lost,
            held: counts.kernel_held,
            is_passage: true,
        },
        Stage {
            name: "decode",
            taken: checked(|checkpoint| checkpoint.frames),
            given: checked(|checkpoint| checkpoint.packets),
            dropped: checked(|checkpoint| checkpoint.failed),
            held: 0,
            is_passage: true,
        },
        Stage {
            name: "flow",
            taken: counts.flows,
            given: closed,
            dropped: counts.flows_evicted,
            held: counts.flows_active,
            is_passage: false,
        },
        Stage {
            name: "reassembly",
            taken: counts.streams_opened,
            given: read,
            dropped: counts.streams_unfinished,
            held: counts.streams_active,
            is_passage: false,
        },
        Stage {
            name: "reporter",
            taken: hits,
            given: alerts,
            dropped: status.repeated
                + status.expired
                + status.unknown
                + status.quarantined
                + counts.hits_refused,
            held: 0,
            is_passage: true,
        },
        Stage {
            name: "sink",
            taken: sinks(|sink| sink.given + sink.found),
            given: sinks(|sink| sink.delivered),
            dropped: sinks(|sink| sink.lost),
            held: sinks(|sink| sink.waiting),
            is_passage: false,
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
        let (frames, failed) = (source.frames(), source.decode_failures());
        let books = Checkpoint { frames, failed, packets: worker.packets, ..Checkpoint::default() };
        status.checkpoints.insert(0, books);
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
            packets: 82,
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
    fn a_checkpoint_is_whole_once_all_workers_have_told() {
        let of = |source, secs, packets| Checkpoint { source, secs, frames: 9, failed: 1, packets };
        let mut checkpoints = Checkpoints::new(2);
        // what is told, in turn, then the packets of the whole, if it is
        for (told, whole) in [
            (of(0, 1, 3), None),
            (of(1, 1, 2), None),
            (of(0, 2, 5), None),
            (of(0, 1, 4), Some(7)),
            (of(0, 3, 6), None),
            (of(0, 3, 6), Some(12)),
            // of second 2 only one told; the other's later word begins anew
            (of(0, 2, 5), None),
            (of(1, 1, 6), Some(8)),
        ] {
            assert_eq!(checkpoints.take(told).map(|sum| sum.packets), whole, "{told:?}");
        }
        assert_eq!(checkpoints.open.len(), 1);
        for secs in 0..2_000 {
            checkpoints.take(of(2, secs, 0));
        }
        assert_eq!(checkpoints.open.len(), OPEN_MAX);
    }
}
