//! Whether both directions of the traffic are seen: a mirror of one alone shows half of every
//! connection, and no answer.

use std::collections::VecDeque;

/// Looks that are remembered, one a second.
const LOOKS: usize = 60;

/// TCP packets in that time that are enough to judge by.
const PACKETS_MIN: u64 = 1_000;

/// Share of the rarer side below which there is one direction only: acknowledgements of a bulk
/// transfer are one packet in two to forty.
const SHARE_MIN_PER_MILLE: u64 = 5;

/// TCP packets of flows' openers and of their other ends, as of the last minute.
#[derive(Clone, Debug)]
pub(super) struct Direction {
    looks: VecDeque<[u64; 2]>,
}

impl Default for Direction {
    fn default() -> Self {
        Self { looks: [[0, 0]].into() }
    }
}

impl Direction {
    /// Notes the counts so far: openers', and the others'.
    pub(super) fn look(&mut self, counts: [u64; 2]) {
        self.looks.push_back(counts);
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
    }

    /// Tells whether one direction alone was seen in the last minute.
    pub(super) fn is_one_only(&self) -> bool {
        let (Some(first), Some(last)) = (self.looks.front(), self.looks.back()) else {
            return false;
        };
        let sides = [0, 1].map(|side: usize| {
            let [first, last] = [first, last].map(|look| look.get(side).copied());
            last.unwrap_or_default().saturating_sub(first.unwrap_or_default())
        });
        let sum = sides.iter().sum::<u64>();
        let least = sides.into_iter().min().unwrap_or_default();
        sum >= PACKETS_MIN && least * 1_000 < sum * SHARE_MIN_PER_MILLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts at each look, then whether one direction alone is seen.
    fn check(looks: &[[u64; 2]], one_only: bool) {
        let mut direction = Direction::default();
        looks.iter().for_each(|look| direction.look(*look));
        assert_eq!(direction.is_one_only(), one_only, "{looks:?}");
    }

    #[test]
    fn a_minute_with_one_side_only_is_told() {
        check(&[], false);
        check(&[[999, 0]], false);
        check(&[[1_000, 0]], true);
        check(&[[0, 0], [1_000, 30]], false);
        check(&[[0, 0], [0, 5_000]], true);
        // long ago
        let mut looks = vec![[0, 0], [5_000, 0]];
        looks.extend([[5_000, 0]; LOOKS]);
        check(&looks, false);
    }
}
