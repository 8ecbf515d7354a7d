//! The search for the highest rate without loss (RFC 2544 section 26.1): the sender's maximum
//! first, then by halves, then once more to be sure. Knows no clock and no socket.

/// Trials that confirm a rate, each a little lower than the one that lost.
const CONFIRMATIONS_MAX: u32 = 4;

/// Halvings after which a receiver that still loses holds nothing worth the name.
const HALVINGS_BELOW_MAX: u32 = 10;

/// What the next trial is to send.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Ask {
    /// As much as goes.
    Maximum,
    /// Frames a second.
    Rate(f64),
}

/// One search.
#[derive(Clone, Debug)]
pub(super) struct Search {
    /// Part of the rate, such as 0.02, that the answer may be too low.
    resolution: f64,
    /// Highest rate that lost nothing.
    low: f64,
    /// Lowest rate that lost something.
    high: f64,
    /// What the sender can do at most.
    top: f64,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Phase {
    Maximum,
    Halving,
    /// At the sender's maximum or not; how many have lost.
    Confirming(bool, u32),
    Done(Found),
}

/// What a search found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Found {
    /// Frames a second; 0: even the lowest rate lost some.
    pub(super) rate: f64,
    /// A second trial at that rate lost nothing, either.
    pub(super) is_confirmed: bool,
    /// It was the sender that could not do more.
    pub(super) is_senders_limit: bool,
}

impl Search {
    /// Returns a search that ends when it is sure to `resolution`, a part of the rate.
    pub(super) fn new(resolution: f64) -> Self {
        Self { resolution, low: 0.0, high: 0.0, top: 0.0, phase: Phase::Maximum }
    }

    /// Returns how many trials one takes at most.
    pub(super) fn trials_max(resolution: f64) -> u32 {
        let halvings = (1.0 / resolution).log2().ceil().max(1.0) as u32;
        2 + HALVINGS_BELOW_MAX + halvings + 1 + CONFIRMATIONS_MAX
    }

    /// Returns what is to be tried next; `None`: it is over.
    pub(super) fn next(&self) -> Option<Ask> {
        match self.phase {
            Phase::Maximum | Phase::Confirming(true, _) => Some(Ask::Maximum),
            Phase::Halving => Some(Ask::Rate(f64::midpoint(self.low, self.high))),
            Phase::Confirming(false, _) => Some(Ask::Rate(self.low)),
            Phase::Done(_) => None,
        }
    }

    /// Returns what was found, or what is known by now.
    pub(super) fn found(&self) -> Found {
        match self.phase {
            Phase::Done(found) => found,
            phase => Found {
                rate: self.low,
                is_confirmed: false,
                is_senders_limit: matches!(phase, Phase::Confirming(true, _)),
            },
        }
    }

    /// Takes a trial's outcome: the rate that was reached, and whether nothing was lost.
    pub(super) fn take(&mut self, rate: f64, is_lossless: bool) {
        match (self.phase, is_lossless) {
            (Phase::Maximum, true) => {
                self.low = rate;
                self.phase = Phase::Confirming(true, 0);
            }
            (Phase::Maximum, false) => {
                (self.high, self.top) = (rate, rate);
                self.phase = Phase::Halving;
            }
            (Phase::Halving, true) => {
                let asked = f64::midpoint(self.low, self.high);
                self.low = rate.min(asked).max(self.low);
                // the sender was faster at its maximum, but is not now: no use in asking for more
                let is_slow = rate < asked * (1.0 - self.resolution);
                self.phase = if is_slow { Phase::Confirming(false, 0) } else { self.halve() };
            }
            (Phase::Halving, false) => {
                self.high = f64::midpoint(self.low, self.high);
                self.phase = self.halve();
            }
            (Phase::Confirming(is_senders_limit, _), true) => {
                let rate = rate.min(self.low);
                self.phase = Phase::Done(Found { rate, is_confirmed: true, is_senders_limit });
            }
            (Phase::Confirming(true, _), false) => {
                (self.low, self.high, self.top) = (0.0, rate, rate);
                self.phase = Phase::Halving;
            }
            (Phase::Confirming(false, lost), false) => {
                self.low *= (1.0 - 2.0 * self.resolution).max(0.5);
                self.phase = if lost + 1 < CONFIRMATIONS_MAX {
                    Phase::Confirming(false, lost + 1)
                } else {
                    self.ended(false)
                };
            }
            (Phase::Done(_), _) => {}
        }
    }

    /// Goes on while the answer is not sure enough.
    fn halve(&self) -> Phase {
        let bottom = self.top / f64::from(1_u32 << HALVINGS_BELOW_MAX);
        if self.high - self.low > self.resolution * self.high && self.high > bottom {
            return Phase::Halving;
        }
        if self.low > 0.0 { Phase::Confirming(false, 0) } else { self.ended(false) }
    }

    fn ended(&self, is_confirmed: bool) -> Phase {
        Phase::Done(Found { rate: self.low, is_confirmed, is_senders_limit: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a receiver that loses at more than `holds`, with a sender that can do `sends`.
    fn search(holds: f64, sends: f64, resolution: f64) -> (Found, u32) {
        let mut search = Search::new(resolution);
        let mut trials = 0;
        while let Some(ask) = search.next() {
            let rate = match ask {
                Ask::Maximum => sends,
                Ask::Rate(rate) => rate.min(sends),
            };
            search.take(rate, rate <= holds);
            trials += 1;
            assert!(trials <= Search::trials_max(resolution), "{holds} {sends} {resolution}");
        }
        (search.found(), trials)
    }

    #[test]
    fn the_highest_rate_is_found() {
        for holds in [1_000.0, 50_000.0, 123_456.0, 399_000.0] {
            for resolution in [0.01, 0.02, 0.1, 0.5] {
                let (found, _) = search(holds, 400_000.0, resolution);
                let short = (holds - found.rate) / holds;
                assert!((0.0..=resolution).contains(&short), "{holds} {resolution}: {found:?}");
                assert_eq!(found.is_confirmed, found.rate > 0.0);
                assert!(!found.is_senders_limit);
            }
        }
    }

    #[test]
    fn a_rate_that_is_asked_for_is_never_nothing() {
        for resolution in [0.01, 0.5] {
            let mut search = Search::new(resolution);
            search.take(400.0, false);
            search.take(200.0, true);
            while let Some(Ask::Rate(rate)) = search.next() {
                assert!(rate > 0.0, "{resolution}");
                search.take(rate, false);
            }
            assert!(!search.found().is_confirmed, "{resolution}");
        }
    }

    #[test]
    fn a_receiver_that_holds_all_takes_two_trials() {
        let (found, trials) = search(500_000.0, 400_000.0, 0.02);
        let want = Found { rate: 400_000.0, is_confirmed: true, is_senders_limit: true };
        assert_eq!((found, trials), (want, 2));
    }

    #[test]
    fn a_receiver_that_holds_nothing_ends_the_search() {
        let (found, _) = search(0.0, 400_000.0, 0.02);
        assert_eq!(found, Found { rate: 0.0, is_confirmed: false, is_senders_limit: false });
    }

    #[test]
    fn a_rate_that_loses_when_confirmed_is_lowered() {
        let mut search = Search::new(0.1);
        // lossless at 50 and, while halving, at 100; then 90 is the most
        search.take(200.0, false);
        search.take(100.0, true);
        while let Some(Ask::Rate(rate)) = search.next() {
            search.take(rate, rate <= 90.0);
        }
        let found = search.found();
        assert!(found.is_confirmed && found.rate <= 90.0 && found.rate > 60.0, "{found:?}");
    }

    #[test]
    fn a_maximum_that_loses_when_confirmed_is_searched_below() {
        let mut search = Search::new(0.02);
        search.take(400.0, true);
        search.take(400.0, false);
        assert_eq!(search.next(), Some(Ask::Rate(200.0)));
    }
}
