//! One worker's ends of the channels: blocks come in, batches go out to the reporter, and what
//! happens when the reporter is behind.
//!
//! A replay waits: nothing is lost. A sensor's worker never waits, since blocks that it does not
//! let go would fill the kernel's ring: hits are kept for the next hand-over, up to a bound, then
//! the newest are refused and counted. A batch without hits tells only counts, which the next one
//! tells too.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use crossbeam_channel::TrySendError;

use crate::model::batch::Batch;
use crate::model::block::Block;
use crate::model::counters::Counters;
use crate::model::limits::BATCHES_KEPT_MAX;
use crate::model::limits::HITS_KEPT_MAX;
use crate::pipeline::worker::Worker;
use crate::report::reporter::Letter;

/// How often a worker tells a sensor's reporter what it has counted, where it has found nothing.
const TELL_EVERY: Duration = Duration::from_millis(50);

/// What a worker does while the reporter is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// It waits.
    Wait,
    /// It keeps its hits for later, and refuses some at a bound.
    Keep,
}

/// One worker's ends of the channels.
pub(super) struct Post {
    pub(super) blocks: Receiver<Arc<Block>>,
    /// By source.
    pub(super) returned: Vec<Sender<()>>,
    pub(super) letters: Letters,
}

/// Its end of the way to the reporter, and back.
pub(super) struct Letters {
    number: usize,
    tell: Sender<Letter>,
    spare: Receiver<Batch>,
    behind: Behind,
    /// What the reporter had no room for, oldest first.
    kept: VecDeque<Batch>,
    kept_hits: usize,
    refused: u64,
    /// When it last told of each source.
    told: Vec<Option<Instant>>,
}

impl Post {
    /// Serves blocks until the capturer has hung up.
    pub(super) fn serve(mut self, mut worker: Worker) -> Counters {
        let mut batch = self.letters.spare.recv().unwrap_or_default();
        let mut busy = Duration::ZERO;
        for block in &self.blocks {
            let began = Instant::now();
            worker.read(&block, &mut batch);
            busy += began.elapsed();
            if let Some(counted) = &mut batch.counted {
                counted.busy_nanos = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
                counted.blocks_waiting = self.blocks.len() as u64;
            }
            let source = block.source as usize;
            drop(block);
            // holds more than can be under way; the capturer may be gone
            let _why = self.returned.get(source).map(|returned| returned.try_send(()));
            batch = self.letters.hand_over(batch);
        }
        // no frame waits for this worker any more: it may wait for the reporter
        let mut letters = self.letters.at_the_end();
        let mut counters = worker.end(&mut batch, &mut |full| {
            let next = letters.hand_over(std::mem::take(full));
            *full = next;
        });
        counters.hits_refused = letters.refused;
        batch.settle();
        letters.send(batch);
        counters
    }
}

impl Letters {
    pub(super) fn new(
        number: usize,
        (tell, spare): (Sender<Letter>, Receiver<Batch>),
        behind: Behind,
        sources: usize,
    ) -> Self {
        let (kept, told) = (VecDeque::new(), vec![None; sources]);
        Self { number, tell, spare, behind, kept, kept_hits: 0, refused: 0, told }
    }

    /// Hands a batch over; returns an empty one.
    fn hand_over(&mut self, mut batch: Batch) -> Batch {
        if self.behind == Behind::Wait {
            self.send(batch);
            return self.spare.recv().unwrap_or_default();
        }
        if let Some(counted) = &mut batch.counted {
            counted.hits_refused = self.refused;
        }
        if batch.hits.is_empty() && self.kept.is_empty() && !self.is_due(&batch) {
            batch.clear();
            return batch;
        }
        self.kept_hits += batch.hits.len();
        self.kept.push_back(batch);
        self.send_kept();
        match self.newest_too_many() {
            Some(mut batch) => {
                batch.clear();
                batch
            }
            None => self.spare.try_recv().unwrap_or_default(),
        }
    }

    /// Tells whether counts are to be told again: of each source now and then, as every message
    /// wakes the reporter, and at each checkpoint.
    fn is_due(&mut self, batch: &Batch) -> bool {
        if batch.checkpoint.is_some() {
            return true;
        }
        let Some((source, _)) = &batch.captured else { return true };
        let Some(told) = self.told.get_mut(*source as usize) else { return true };
        let is_due = told.is_none_or(|told| told.elapsed() >= TELL_EVERY);
        if is_due {
            *told = Some(Instant::now());
        }
        is_due
    }

    /// Sends what is kept while the reporter has room.
    fn send_kept(&mut self) {
        while let Some(batch) = self.kept.pop_front() {
            let hits = batch.hits.len();
            match self.tell.try_send(Letter { worker: self.number, batch }) {
                Ok(()) => self.kept_hits -= hits,
                Err(TrySendError::Full(Letter { batch, .. })) => {
                    return self.kept.push_front(batch);
                }
                // only with the run
                Err(TrySendError::Disconnected(_)) => self.kept_hits -= hits,
            }
        }
    }

    /// Takes the newest batch back where it need not or cannot be kept; counts the hits in it.
    fn newest_too_many(&mut self) -> Option<Batch> {
        let hits = self.kept.back()?.hits.len();
        let is_too_many = self.kept.len() > BATCHES_KEPT_MAX || self.kept_hits > HITS_KEPT_MAX;
        if hits > 0 && !is_too_many {
            return None;
        }
        self.refused += hits as u64;
        self.kept_hits -= hits;
        self.kept.pop_back()
    }

    /// Waits from now on, first until the reporter has taken what is kept.
    fn at_the_end(mut self) -> Self {
        self.behind = Behind::Wait;
        while let Some(batch) = self.kept.pop_front() {
            self.send(batch);
        }
        self
    }

    fn send(&self, batch: Batch) {
        let _gone_only_with_the_run = self.tell.send(Letter { worker: self.number, batch });
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::bounded;

    use super::*;
    use crate::model::address::Address;
    use crate::model::batch::Checkpoint;
    use crate::model::batch::Span;
    use crate::model::flow::FlowKey;
    use crate::model::flow::FlowView;
    use crate::model::flow::Side;
    use crate::model::flow::Vlans;
    use crate::model::hit::Found;
    use crate::model::hit::Hit;
    use crate::model::indicator::IndicatorId;
    use crate::model::indicator::Match;
    use crate::model::observation::ObservationKind;
    use crate::model::observation::Place;
    use crate::model::packet::FrameId;
    use crate::model::time::Timestamp;

    fn hit() -> Hit {
        let end = (Address::default(), 0);
        let (key, opener) = FlowKey::new(end, end, 6, Vlans::default());
        let time = Timestamp(0);
        Hit {
            time,
            frame: FrameId(0),
            clock_secs: 0,
            kind: ObservationKind::Flow,
            place: Place::Flow,
            side: Side::Orig,
            found: Found { indicator: IndicatorId(0), grade: Match::Exact },
            flow: FlowView { key, opener, first: time },
            value: Span::default(),
            related: Span::default(),
            is_late: false,
        }
    }

    /// A worker's letters and the reporter's end, with room for two batches.
    fn letters(behind: Behind) -> (Letters, Receiver<Letter>) {
        let (tell, told) = bounded(2);
        let (give, spare) = bounded(2);
        (0..2).for_each(|_| give.send(Batch::default()).expect("room"));
        (Letters::new(0, (tell, spare), behind, 1), told)
    }

    fn batch(hits: usize) -> Batch {
        let mut batch = Batch::default();
        batch.counted = Some(Counters::default());
        batch.hits.extend((0..hits).map(|_| hit()));
        batch
    }

    /// Batches by their hits, handed over while nobody reads; then what was told and refused.
    fn check(batches: &[usize], told_hits: &[usize], refused: u64) {
        let (mut letters, told) = letters(Behind::Keep);
        for hits in batches {
            let empty = letters.hand_over(batch(*hits));
            assert!(empty.hits.is_empty() && empty.counted.is_none());
        }
        let count = letters.refused;
        let reader = std::thread::spawn(move || {
            told.iter().map(|told| told.batch.hits.len()).collect::<Vec<_>>()
        });
        drop(letters.at_the_end());
        assert_eq!((reader.join().expect("no panic").as_slice(), count), (told_hits, refused));
        let given: usize = batches.iter().sum();
        assert_eq!(given as u64, refused + told_hits.iter().sum::<usize>() as u64);
    }

    #[test]
    fn hits_are_kept_while_the_reporter_is_behind_then_refused() {
        check(&[1, 2], &[1, 2], 0);
        check(&[1, 2, 3, 0, 4, 0], &[1, 2, 3, 4], 0);
        check(&[0, 0, 0, 5], &[0, 0, 5], 0);
        let half = HITS_KEPT_MAX / 2;
        check(&[1, 1, half, half, 7, 0, 3], &[1, 1, half, half], 10);
        let many = [1; BATCHES_KEPT_MAX + 5];
        check(&many, &many[3..], 3);
    }

    #[test]
    fn what_was_refused_is_told_with_the_next_counts() {
        let (mut letters, told) = letters(Behind::Keep);
        for hits in [1, 1, HITS_KEPT_MAX, 9] {
            letters.hand_over(batch(hits));
        }
        let next = told.recv().expect("the first").batch.counted.expect("counts");
        assert_eq!(next.hits_refused, 0);
        told.recv().expect("the second");
        letters.hand_over(batch(0));
        let told: Vec<Letter> = told.try_iter().collect();
        let counts = told.last().and_then(|told| told.batch.counted.as_ref());
        assert_eq!(counts.map(|counts| counts.hits_refused), Some(9));
    }

    #[test]
    fn counts_alone_are_told_now_and_then_of_each_source() {
        let (mut letters, told) = letters(Behind::Keep);
        let of = |source: u32, hits: usize| {
            let mut batch = batch(hits);
            batch.captured = Some((source, Counters::default()));
            batch
        };
        letters.told = vec![None; 2];
        let mut check = of(0, 0);
        for (source, hits, is_told) in
            [(0, 0, true), (0, 0, false), (1, 0, true), (1, 0, false), (0, 1, true)]
        {
            // however long this thread rests in between
            let later = Instant::now() + Duration::from_secs(3_600);
            letters.told.iter_mut().flatten().for_each(|told| *told = later);
            assert!(letters.hand_over(of(source, hits)).captured.is_none());
            assert_eq!(told.try_recv().is_ok(), is_told, "{source} {hits}");
        }
        check.checkpoint = Some(Checkpoint::default());
        letters.hand_over(check);
        assert!(told.try_recv().is_ok());
        let before = Instant::now().checked_sub(TELL_EVERY);
        letters.told = vec![before; 2];
        letters.hand_over(of(1, 0));
        assert!(told.try_recv().is_ok());
    }

    #[test]
    fn a_replay_waits_for_its_reporter() {
        let (mut letters, told) = letters(Behind::Wait);
        let (spare, batches) = bounded(100);
        letters.spare = batches;
        let reader = std::thread::spawn(move || {
            for told in told {
                spare.send(Batch::default()).expect("room");
                if told.batch.hits.len() == 9 {
                    return true;
                }
            }
            false
        });
        for hits in 0..10 {
            letters.hand_over(batch(hits));
        }
        assert!(reader.join().expect("no panic"), "the last batch came");
        assert_eq!(letters.refused, 0);
    }
}
