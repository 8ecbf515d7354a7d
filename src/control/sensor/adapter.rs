//! What an adapter received, and lost before the kernel had it, by the kernel's own statistics of
//! the interface.
//!
//! Spec: Documentation/networking/statistics.rst (`struct rtnl_link_stats64`)

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Why frames do not reach the kernel, and the statistics that count them. Drivers differ: some
/// count one frame under two of them, so their sum is an upper bound.
const REASONS: &[(&str, &[&str])] = &[
    ("missed", &["rx_missed_errors"]),
    ("overrun", &["rx_fifo_errors", "rx_over_errors"]),
    ("dropped", &["rx_dropped"]),
    ("damaged", &["rx_crc_errors", "rx_frame_errors", "rx_length_errors"]),
];

/// The reasons of what an adapter or its driver had no room for. Damage is the wire's; and the
/// kernel counts as dropped what packet sockets had, too, where no protocol takes a tagged frame.
const NO_ROOM: &[&str] = &["missed", "overrun"];

/// One interface's statistics since the sensor began. An interface that is made anew begins at 0,
/// which loses nothing here.
#[derive(Clone, Debug)]
pub(super) struct Adapter {
    folder: PathBuf,
    received: Count,
    downs: Count,
    lost: Vec<(&'static str, Count)>,
}

/// A count of somebody else's that may begin anew.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    seen: Option<u64>,
    since_start: u64,
}

impl Count {
    fn see(&mut self, now: Option<u64>) {
        let Some(now) = now else { return };
        let before = self.seen.replace(now);
        // the first look is the start
        let more = before.map_or(0, |before| now.checked_sub(before).unwrap_or(now));
        self.since_start = self.since_start.saturating_add(more);
    }
}

impl Adapter {
    /// Begins to count.
    pub(super) fn of(interface: &str) -> Self {
        Self::at(Path::new("/sys/class/net").join(interface).join("statistics"))
    }

    fn at(folder: PathBuf) -> Self {
        let lost = REASONS.iter().map(|(reason, _)| (*reason, Count::default())).collect();
        let (received, downs) = (Count::default(), Count::default());
        let mut adapter = Self { folder, received, downs, lost };
        adapter.look();
        adapter
    }

    /// Looks again; what cannot be read, as of an interface that is gone, stays as it was.
    pub(super) fn look(&mut self) {
        let read = |name: &str| {
            let text = fs::read_to_string(self.folder.join(name)).ok()?;
            text.trim().parse::<u64>().ok()
        };
        self.received.see(read("rx_packets"));
        self.downs.see(read("../carrier_down_count"));
        for ((_, count), (_, names)) in self.lost.iter_mut().zip(REASONS) {
            let sum = names
                .iter()
                .filter_map(|name| read(name))
                .fold(None, |sum: Option<u64>, n| Some(sum.unwrap_or_default().saturating_add(n)));
            count.see(sum);
        }
    }

    /// Returns how many packets it received since the start.
    pub(super) fn received(&self) -> u64 {
        self.received.since_start
    }

    /// Returns how often it lost its carrier since the start.
    pub(super) fn downs(&self) -> u64 {
        self.downs.since_start
    }

    /// Returns how many packets it lost since the start, by reason.
    pub(super) fn lost(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.lost.iter().map(|(reason, count)| (*reason, count.since_start))
    }

    /// Returns how many packets it or its driver had no room for since the start.
    pub(super) fn had_no_room(&self) -> u64 {
        self.lost().filter(|(reason, _)| NO_ROOM.contains(reason)).map(|(_, n)| n).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_begin_at_the_start_and_survive_a_new_interface() {
        let folder = tempfile::tempdir().expect("folder");
        let write = |name: &str, n: u64| {
            fs::write(folder.path().join(name), format!("{n}\n")).expect("written");
        };
        write("rx_packets", 1_000);
        write("rx_missed_errors", 7);
        write("rx_crc_errors", 3);
        let mut adapter = Adapter::at(folder.path().to_owned());
        let told = |adapter: &Adapter| (adapter.received(), adapter.had_no_room());
        assert_eq!(told(&adapter), (0, 0));
        write("rx_packets", 1_500);
        write("rx_missed_errors", 9);
        write("rx_dropped", 100);
        write("rx_crc_errors", 4);
        adapter.look();
        // what shows late begins late
        assert_eq!(told(&adapter), (500, 2));
        write("rx_dropped", 105);
        adapter.look();
        assert_eq!(told(&adapter), (500, 2));
        let lost: Vec<_> = adapter.lost().collect();
        assert_eq!(lost, [("missed", 2), ("overrun", 0), ("dropped", 5), ("damaged", 1)]);
        // gone, then made anew
        for name in ["rx_packets", "rx_missed_errors", "rx_dropped", "rx_crc_errors"] {
            fs::remove_file(folder.path().join(name)).expect("there");
        }
        adapter.look();
        write("rx_packets", 40);
        write("rx_missed_errors", 1);
        adapter.look();
        assert_eq!(told(&adapter), (540, 3));
    }
}
