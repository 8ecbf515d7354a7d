//! What `ethtool` prints.

use std::collections::BTreeMap;

/// Returns the values under a heading, by name: "RX: 512" below "Current hardware settings:".
pub(super) fn section(text: &str, heading: &str) -> BTreeMap<String, String> {
    let below = text.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
    below.map_while(|line| pair(line).filter(|(_, value)| !value.is_empty())).collect()
}

/// Returns all "name: value" lines.
pub(super) fn pairs(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(pair).collect()
}

/// Returns the number of a name; `n/a` is none.
pub(super) fn number(pairs: &BTreeMap<String, String>, name: &str) -> Option<u64> {
    pairs.get(name)?.parse().ok()
}

/// Tells whether a feature is on, and whether that can be changed.
pub(super) fn feature(text: &str, name: &str) -> Option<(bool, bool)> {
    let value = pairs(text).remove(name)?;
    Some((value.starts_with("on"), !value.contains("[fixed]")))
}

/// What spreads flows over queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spread {
    /// Queues that there are.
    pub(super) rings: u64,
    /// Queues that the table names.
    pub(super) used: u64,
    /// The hash's key; empty where the driver does not tell.
    pub(super) key: Vec<u8>,
    /// The driver makes both directions alike before it hashes.
    pub(super) is_symmetric: bool,
}

impl Spread {
    /// Reads `ethtool -x`.
    pub(super) fn parse(text: &str) -> Self {
        let first = text.lines().next().unwrap_or_default();
        let rings = first.split_whitespace().filter_map(|word| word.parse().ok()).next_back();
        let mut used: Vec<u64> = Vec::new();
        let table = text.lines().skip(1).take_while(|line| !line.starts_with("RSS"));
        for (_, row) in table.filter_map(|line| line.split_once(':')) {
            used.extend(row.split_whitespace().filter_map(|queue| queue.parse::<u64>().ok()));
        }
        used.sort_unstable();
        used.dedup();
        let key = text.lines().skip_while(|line| !line.starts_with("RSS hash key:")).nth(1);
        let key = key.unwrap_or_default().trim();
        let bytes: Option<Vec<u8>> =
            key.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
        let is_on = |line: &str| line.starts_with("symmetric") && line.ends_with(": on");
        Self {
            rings: rings.unwrap_or_default(),
            used: used.len() as u64,
            key: bytes.unwrap_or_default(),
            is_symmetric: text.lines().any(|line| is_on(line.trim())),
        }
    }

    /// Tells whether both directions of a flow come to one queue: a Toeplitz hash does so where
    /// its key repeats every 16 bits.
    pub(super) fn joins_directions(&self) -> bool {
        let pairs: Vec<&[u8]> = self.key.chunks_exact(2).collect();
        self.is_symmetric || (!pairs.is_empty() && pairs.iter().all(|pair| pair == &pairs[0]))
    }
}

fn pair(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPREAD: &str = "RX flow hash indirection table for eth1 with 4 RX ring(s):\n    \
        0:      0     1     2     3     0     1     2     3\n    8:      0     1     2     3\n\
        RSS hash key:\n6d:5a:6d:5a\nRSS hash function:\n    toeplitz: on\n    xor: off\n";

    fn check(text: &str, rings: u64, used: u64, joins: bool) {
        let spread = Spread::parse(text);
        let found = (spread.rings, spread.used, spread.joins_directions());
        assert_eq!(found, (rings, used, joins), "{text}");
    }

    #[test]
    fn spreads_are_read() {
        check(SPREAD, 4, 4, true);
        check(&SPREAD.replace("6d:5a:6d:5a", "6d:5a:56:da"), 4, 4, false);
        check(&format!("{}    symmetric-xor: on\n", SPREAD.replace("5a:6d", "5a:99")), 4, 4, true);
        check(&SPREAD.replace("1     2     3", "0     0     0"), 4, 1, true);
        let virtio = "RX flow hash indirection table for eth0 with 1 RX ring(s):\n\
            Operation not supported\nRSS hash key:\nOperation not supported\n";
        check(virtio, 1, 0, false);
        check("", 0, 0, false);
    }

    #[test]
    fn sections_end_where_others_begin() {
        let text = "Ring parameters for eth1:\nPre-set maximums:\nRX:\t\t4096\nRX Mini:\tn/a\n\
            Current hardware settings:\nRX:\t\t512\nRX Mini:\tn/a\n";
        let maximums = section(text, "Pre-set");
        let current = section(text, "Current");
        assert_eq!((number(&maximums, "RX"), number(&current, "RX")), (Some(4096), Some(512)));
        assert_eq!(number(&current, "RX Mini"), None);
    }
}
