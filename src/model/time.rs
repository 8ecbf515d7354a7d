//! Time as it came with a frame.

/// Nanoseconds since 1970-01-01 UTC, to the year 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Returns the time `secs` and `nanos` after the epoch; stops at the largest.
    pub fn new(secs: u64, nanos: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    /// Returns whole seconds since the epoch; stops at the year 2106.
    pub fn secs(self) -> u32 {
        u32::try_from(self.0.wrapping_div(1_000_000_000)).unwrap_or(u32::MAX)
    }

    /// Returns the nanoseconds since `earlier`, 0 where that is later.
    pub fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
