//! Halves of pairs that one flow has shown: what turns a later half into both.

use crate::model::hit::Found;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::Match;
use crate::model::limits::FLOW_HALVES_MAX;
use crate::model::observation::ObservationKind;

/// A half of a `domain|ip` pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Half {
    /// The name.
    Name,
    /// The address.
    Address,
}

impl Half {
    /// Returns the half that an observation can show.
    pub fn of(kind: ObservationKind) -> Self {
        match kind {
            ObservationKind::Flow | ObservationKind::DnsAnswer => Self::Address,
            _ => Self::Name,
        }
    }
}

/// The halves that one flow has shown; to be kept for flows that had a `Match::OneHalf` alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Halves {
    shown: [Option<(IndicatorId, Half)>; FLOW_HALVES_MAX],
    next: u8,
}

const _: () = assert!(FLOW_HALVES_MAX <= 256);

impl Halves {
    /// Remembers a found half, and grades it higher where the flow has shown the other; other grades are left.
    /// At the bound the oldest half is forgotten. To be emptied when another set takes over: it holds its numbers.
    pub fn grade(&mut self, found: &mut Found, half: Half) {
        if found.grade != Match::OneHalf {
            return;
        }
        let mut is_known = false;
        for (id, shown) in self.shown.iter().flatten() {
            if *id == found.indicator {
                is_known |= *shown == half;
                if *shown != half {
                    found.grade = Match::BothHalves;
                }
            }
        }
        if !is_known {
            let at = usize::from(self.next).checked_rem(FLOW_HALVES_MAX).unwrap_or(0);
            let place = self.shown.get_mut(at);
            place.into_iter().for_each(|place| *place = Some((found.indicator, half)));
            self.next = self.next.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(halves: &mut Halves, id: u32, half: Half, expected: Match) {
        let mut found = Found { indicator: IndicatorId(id), grade: Match::OneHalf };
        halves.grade(&mut found, half);
        assert_eq!(found.grade, expected);
    }

    #[test]
    fn the_second_half_is_graded_higher() {
        let mut halves = Halves::default();
        check(&mut halves, 1, Half::Name, Match::OneHalf);
        check(&mut halves, 1, Half::Name, Match::OneHalf);
        check(&mut halves, 2, Half::Address, Match::OneHalf);
        check(&mut halves, 1, Half::Address, Match::BothHalves);
        check(&mut halves, 1, Half::Name, Match::BothHalves);
        check(&mut halves, 2, Half::Name, Match::BothHalves);
    }

    #[test]
    fn at_the_bound_the_oldest_goes() {
        let mut halves = Halves::default();
        let last = u32::try_from(FLOW_HALVES_MAX).expect("small");
        (0..=last).for_each(|id| check(&mut halves, id, Half::Name, Match::OneHalf));
        check(&mut halves, 1, Half::Address, Match::BothHalves);
        check(&mut halves, 0, Half::Address, Match::OneHalf);
    }

    #[test]
    fn other_grades_stay() {
        let mut halves = Halves::default();
        let mut found = Found { indicator: IndicatorId(1), grade: Match::Exact };
        halves.grade(&mut found, Half::Name);
        check(&mut halves, 1, Half::Address, Match::OneHalf);
        assert_eq!(found.grade, Match::Exact);
    }
}
