//! Everybody talks at once: frames in the order of time, from as many conversations as are under
//! way.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::VecDeque;
use std::io::Result;

use super::flow::Flow;
use super::flow::Pool;
use super::pcap::Capture;

/// A conversation.
pub(crate) enum Talk {
    Flow(Box<Flow>),
    /// Whole frames, each with the microseconds until the one after it.
    Frames(VecDeque<(u64, Vec<u8>)>),
}

/// The conversations under way, by the time of their next frame.
pub(crate) struct Schedule {
    due: BinaryHeap<Reverse<(u64, usize)>>,
    talks: Vec<Option<Talk>>,
    free: Vec<usize>,
    pool: Pool,
    frame: Vec<u8>,
}

impl Schedule {
    /// Nobody talks yet.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            due: BinaryHeap::new(),
            talks: Vec::new(),
            free: Vec::new(),
            pool: Pool::new(seed),
            frame: Vec::with_capacity(1_600),
        }
    }

    /// Lets a conversation begin at `time_us`.
    pub(crate) fn begin(&mut self, time_us: u64, talk: Talk) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.talks.push(None);
            self.talks.len() - 1
        });
        self.talks[slot] = Some(talk);
        self.due.push(Reverse((time_us, slot)));
    }

    /// Writes all frames before `limit_us`.
    pub(crate) fn write_until(&mut self, limit_us: u64, capture: &mut Capture) -> Result<()> {
        while let Some(&Reverse((now_us, slot))) = self.due.peek()
            && now_us < limit_us
        {
            self.due.pop();
            let Some(talk) = &mut self.talks[slot] else { continue };
            let wait_us = match talk {
                Talk::Flow(flow) => flow.step(now_us, &self.pool, &mut self.frame),
                Talk::Frames(frames) => {
                    let Some((wait_us, frame)) = frames.pop_front() else { continue };
                    self.frame = frame;
                    (!frames.is_empty()).then_some(wait_us)
                }
            };
            capture.write(now_us, &self.frame)?;
            if let Some(wait_us) = wait_us {
                self.due.push(Reverse((now_us + wait_us, slot)));
            } else {
                self.talks[slot] = None;
                self.free.push(slot);
            }
        }
        Ok(())
    }
}
