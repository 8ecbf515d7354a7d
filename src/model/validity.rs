//! Validity: whether an indicator still counts at a time.
//!
//! In MISP, `first_seen` and `last_seen` tell when something was seen, not when it may match: an
//! address that was last seen a year ago is still an indicator. So by themselves they leave nothing
//! out; an age has to be asked for.

const DAY_SECS: u32 = 86_400;

/// Which time an indicator's age is judged at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AsOf {
    /// That of the packet, so that an old capture is judged by what counted then.
    #[default]
    Packet,
    /// That at which the indicators are read.
    Now,
    /// None: ages are not judged.
    Off,
}

/// How old an indicator may be, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Validity {
    /// At which time.
    pub as_of: AsOf,
    /// Days since it was last seen, or else changed; `None`: any.
    pub days_max: Option<u32>,
}

impl Validity {
    /// Tells whether what was last seen, or changed, at one time is too old at another; what has no
    /// time is not.
    pub fn is_over(&self, last_secs: u32, at_secs: u32) -> bool {
        let days_max = self.days_max.unwrap_or(u32::MAX);
        let age_max = days_max.saturating_mul(DAY_SECS);
        last_secs != 0 && at_secs.saturating_sub(last_secs) > age_max
    }

    /// Tells whether ages count, and by that time.
    pub fn counts_as_of(&self, as_of: AsOf) -> bool {
        self.days_max.is_some() && self.as_of == as_of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_count_in_days() {
        let validity = Validity { as_of: AsOf::Packet, days_max: Some(30) };
        let at = 100 * DAY_SECS;
        for (last_secs, is_over) in [
            (0, false),
            (at + 1, false),
            (at - 30 * DAY_SECS, false),
            (at - 30 * DAY_SECS - 1, true),
        ] {
            assert_eq!(validity.is_over(last_secs, at), is_over, "{last_secs}");
        }
        assert!(!Validity::default().is_over(1, u32::MAX));
        assert!(validity.counts_as_of(AsOf::Packet) && !validity.counts_as_of(AsOf::Now));
        assert!(!Validity::default().counts_as_of(AsOf::Packet));
    }
}
