//! When to look at which slot: one bucket a second, each a linked list.
//!
//! A slot is in exactly one bucket. It is not moved when a packet comes: it is looked at when its
//! bucket is due, and goes into a later one if its flow lives on. The links lie together, not in
//! the slots, so that walking a list misses the caches seldom.

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::pipeline::flow::NONE;

/// Buckets at most; longer idle limits are reached by looking more often.
const BUCKETS_MAX: u32 = 1 << 12;

/// Slots by the second in which they are looked at next.
#[derive(Debug)]
pub(super) struct Wheel {
    /// First slot of each bucket.
    heads: Vec<u32>,
    /// For each slot the one behind it in its bucket.
    links: Vec<u32>,
    /// No slot is due before this second.
    now_secs: u32,
    started: bool,
}

impl Wheel {
    /// Returns a wheel of `slots_max` slots for visits up to `ahead_secs` ahead.
    pub(super) fn new(slots_max: u32, ahead_secs: u32) -> Self {
        let buckets = ahead_secs.saturating_add(2).min(BUCKETS_MAX).next_power_of_two();
        let links = Vec::with_capacity(index(slots_max));
        Self { heads: vec![NONE; index(buckets)], links, now_secs: 0, started: false }
    }

    /// Puts `slot` into the bucket of `due_secs`, or the nearest the wheel has.
    pub(super) fn put(&mut self, slot: u32, due_secs: u32) {
        let latest_secs = self.now_secs.saturating_add(self.mask());
        let at_secs = due_secs.clamp(self.now_secs, latest_secs);
        let mask = self.mask();
        let Some(head) = self.heads.get_mut(index(at_secs & mask)) else { return };
        let next = std::mem::replace(head, slot);
        match self.links.get_mut(index(slot)) {
            Some(link) => *link = next,
            None => self.links.push(next),
        }
    }

    /// Takes the next slot that is due at `clock_secs`.
    pub(super) fn pop_due(&mut self, clock_secs: u32) -> Option<u32> {
        // where so much time passed that every bucket is due, one turn sees them all
        self.now_secs = self.now_secs.max(clock_secs.saturating_sub(self.mask()));
        while self.now_secs <= clock_secs {
            if let Some(slot) = self.pop(self.now_secs) {
                return Some(slot);
            }
            if self.now_secs == clock_secs {
                break;
            }
            self.now_secs = self.now_secs.saturating_add(1);
        }
        None
    }

    /// Takes the slot that is due first, whenever that is; with the second of its bucket.
    pub(super) fn pop_first(&mut self) -> Option<(u32, u32)> {
        let from_secs = self.now_secs;
        (0..=self.mask()).find_map(|ahead| {
            let at_secs = from_secs.wrapping_add(ahead);
            Some((self.pop(at_secs)?, at_secs))
        })
    }

    /// Begins at `clock_secs`, if nothing began it yet.
    pub(super) fn start(&mut self, clock_secs: u32) {
        if !self.started {
            self.started = true;
            self.now_secs = clock_secs;
        }
    }

    fn pop(&mut self, at_secs: u32) -> Option<u32> {
        let mask = self.mask();
        let head = self.heads.get_mut(index(at_secs & mask))?;
        let slot = *head;
        *head = *self.links.get(index(slot))?;
        Some(slot)
    }

    fn mask(&self) -> u32 {
        narrow(self.heads.len()).wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::Wheel;

    /// Puts slots 0, 1, 2 ... due at `due` after a start at 1,000, then takes what is due at each
    /// of `clocks`.
    fn check(due: &[u32], clocks: &[u32], taken: &[&[u32]]) {
        let mut wheel = Wheel::new(16, 14);
        wheel.start(1_000);
        due.iter().zip(0..).for_each(|(due_secs, slot)| wheel.put(slot, *due_secs));
        for (clock_secs, taken) in clocks.iter().zip(taken) {
            let mut found: Vec<u32> = Vec::new();
            while let Some(slot) = wheel.pop_due(*clock_secs) {
                found.push(slot);
            }
            found.sort_unstable();
            assert_eq!(found, *taken, "{due:?} at {clock_secs}");
        }
    }

    #[test]
    fn a_slot_is_due_in_its_second_or_at_the_wheels_end() {
        check(
            &[1_001, 1_005, 1_005],
            &[1_000, 1_001, 1_004, 1_005, 1_006],
            &[&[], &[0], &[], &[1, 2], &[]],
        );
        check(&[1_014, 1_015, 1_016, 5_000], &[1_014, 1_015], &[&[0], &[1, 2, 3]]);
        check(&[900, 1_000], &[1_000], &[&[0, 1]]);
    }

    #[test]
    fn after_a_leap_all_are_due_and_the_wheel_goes_on() {
        check(&[1_001, 1_014, 1_015], &[4_000_000_000], &[&[0, 1, 2]]);
        let mut wheel = Wheel::new(16, 14);
        wheel.start(1_000);
        wheel.put(0, 1_001);
        assert_eq!(wheel.pop_due(9_000), Some(0));
        wheel.put(0, 9_003);
        let due = (9_000..9_010).find(|clock_secs| wheel.pop_due(*clock_secs).is_some());
        assert!(due.is_some_and(|clock_secs| clock_secs <= 9_003));
    }

    #[test]
    fn the_first_due_is_found_wherever_it_is() {
        let mut wheel = Wheel::new(16, 14);
        wheel.start(1_000);
        wheel.put(0, 1_012);
        wheel.put(1, 1_003);
        assert_eq!(wheel.pop_first(), Some((1, 1_003)));
        assert_eq!(wheel.pop_first(), Some((0, 1_012)));
        assert_eq!(wheel.pop_first(), None);
    }
}
