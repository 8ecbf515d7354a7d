//! Prefix look-ups: every prefix that holds an address.
//!
//! The prefixes cut the address space into stretches; a stretch knows its innermost prefix, a
//! prefix the next wider one. A directory of leading bits leads to a few stretches, a binary search
//! to one of them, then each prefix found is one step. Per prefix: 8 bytes, and at most two
//! stretches of 9 (IPv6: 21).

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::indicator::IndicatorId;

const STRETCHES_PER_TOP: usize = 4;

/// Leading bits of the directory: 2^20 entries are 4 MiB, for 4 million stretches and more.
const TOP_BITS_MAX: u8 = 20;

/// Prefixes of one address family; `A` is an address as a number.
#[derive(Debug)]
pub(super) struct Prefixes<A> {
    /// First address and length of each prefix, until `finish`.
    added: Vec<(A, u8, IndicatorId)>,
    /// First address of each stretch, ascending.
    starts: Vec<A>,
    /// Innermost prefix of each stretch.
    inner: Vec<u32>,
    nodes: Vec<Node>,
    /// For each value of the leading bits the number of stretches that begin before it, and of
    /// all.
    tops: Vec<u32>,
    top_bits: u8,
}

impl<A: Bits> Prefixes<A> {
    /// Adds a prefix before `finish`; no bit is set below its mask.
    pub(super) fn add(&mut self, first: A, bits: u8, id: IndicatorId) {
        self.added.push((first, bits, id));
    }

    /// Cuts the address space into stretches.
    pub(super) fn finish(&mut self) {
        let mut added = std::mem::take(&mut self.added);
        added.sort_unstable();
        let mut open: Vec<(A, u32)> = Vec::new();
        for (first, bits, id) in added {
            self.close(&mut open, Some(first));
            let wider = open.last().map_or(NONE, |top| top.1);
            let node = narrow(self.nodes.len());
            self.nodes.push(Node { id, wider });
            open.push((first.last(bits), node));
            self.stretch(first, node);
        }
        self.close(&mut open, None);
        self.starts.shrink_to_fit();
        self.inner.shrink_to_fit();
        self.nodes.shrink_to_fit();
        self.index_tops();
    }

    /// Finds the prefixes that hold an address, innermost first.
    #[inline]
    pub(super) fn find(&self, address: A) -> impl Iterator<Item = IndicatorId> {
        let mut at =
            self.stretch_of(address).and_then(|i| self.inner.get(i)).copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            let node = self.nodes.get(index(at))?;
            at = node.wider;
            Some(node.id)
        })
    }

    /// Returns how many bytes it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        let starts = self.starts.capacity().saturating_mul(size_of::<A>());
        let inner = self.inner.capacity().saturating_mul(size_of::<u32>());
        let nodes = self.nodes.capacity().saturating_mul(size_of::<Node>());
        let tops = self.tops.capacity().saturating_mul(size_of::<u32>());
        starts.saturating_add(inner).saturating_add(nodes).saturating_add(tops)
    }

    #[inline]
    fn stretch_of(&self, address: A) -> Option<usize> {
        let top = address.top(self.top_bits);
        let from = index(*self.tops.get(top)?);
        let to = index(*self.tops.get(top.saturating_add(1))?);
        let near = self.starts.get(from..to)?;
        let after = near.partition_point(|start| *start <= address);
        from.saturating_add(after).checked_sub(1)
    }

    /// Builds the directory, one entry for about four stretches.
    fn index_tops(&mut self) {
        let wanted =
            self.starts.len().checked_div(STRETCHES_PER_TOP).and_then(usize::checked_ilog2);
        let bits = wanted.and_then(|bits| u8::try_from(bits).ok());
        self.top_bits = bits.unwrap_or(0).min(TOP_BITS_MAX);
        self.tops = vec![0; 1_usize.wrapping_shl(u32::from(self.top_bits)).saturating_add(1)];
        for start in &self.starts {
            let count = self.tops.get_mut(start.top(self.top_bits).saturating_add(1));
            count.into_iter().for_each(|count| *count = count.saturating_add(1));
        }
        let mut before = 0_u32;
        for count in &mut self.tops {
            before = before.saturating_add(*count);
            *count = before;
        }
    }

    /// Ends the open prefixes that end before `next`, or all.
    fn close(&mut self, open: &mut Vec<(A, u32)>, next: Option<A>) {
        while let Some(&(last, _)) = open.last() {
            if next.is_some_and(|next| next <= last) {
                return;
            }
            open.pop();
            let wider = open.last().map_or(NONE, |top| top.1);
            if let Some(start) = last.next() {
                self.stretch(start, wider);
            }
        }
    }

    /// Begins a stretch; the later of two that begin at one address counts.
    fn stretch(&mut self, start: A, node: u32) {
        if self.starts.last() == Some(&start) {
            self.inner.last_mut().into_iter().for_each(|inner| *inner = node);
            return;
        }
        self.starts.push(start);
        self.inner.push(node);
    }
}

impl<A> Default for Prefixes<A> {
    fn default() -> Self {
        Self {
            added: Vec::new(),
            starts: Vec::new(),
            inner: Vec::new(),
            nodes: Vec::new(),
            tops: Vec::new(),
            top_bits: 0,
        }
    }
}

/// An address as a number.
pub(super) trait Bits: Copy + Ord {
    /// Returns the last address of the prefix that begins here.
    fn last(self, bits: u8) -> Self;

    /// Returns the address after this one.
    fn next(self) -> Option<Self>;

    /// Returns its leading bits as a number; at most `TOP_BITS_MAX`.
    fn top(self, bits: u8) -> usize;
}

impl Bits for u32 {
    fn top(self, bits: u8) -> usize {
        let shift = Self::BITS.saturating_sub(u32::from(bits));
        index(self.checked_shr(shift).unwrap_or(0))
    }

    fn last(self, bits: u8) -> Self {
        self | Self::MAX.checked_shr(u32::from(bits)).unwrap_or(0)
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Bits for u128 {
    fn top(self, bits: u8) -> usize {
        let shift = Self::BITS.saturating_sub(u32::from(bits));
        usize::try_from(self.checked_shr(shift).unwrap_or(0)).unwrap_or_default()
    }

    fn last(self, bits: u8) -> Self {
        self | Self::MAX.checked_shr(u32::from(bits)).unwrap_or(0)
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    id: IndicatorId,
    wider: u32,
}

#[cfg(test)]
mod tests {
    use ipnet::Ipv4Net;
    use proptest::prelude::*;

    use super::Prefixes;
    use crate::model::indicator::IndicatorId;

    fn found(nets: &[Ipv4Net], address: u32) -> Vec<u32> {
        let mut prefixes = Prefixes::default();
        for (id, net) in (0..).zip(nets) {
            prefixes.add(u32::from(net.network()), net.prefix_len(), IndicatorId(id));
        }
        prefixes.finish();
        let mut ids: Vec<_> = prefixes.find(address).map(|id| id.0).collect();
        ids.sort_unstable();
        ids
    }

    fn check(nets: &str, address: &str, expected: &[u32]) {
        let nets: Vec<_> = nets.split_whitespace().map(|n| n.parse().expect("a prefix")).collect();
        let address = address.parse::<std::net::Ipv4Addr>().expect("an address");
        assert_eq!(found(&nets, address.into()), expected, "{address}");
    }

    #[test]
    fn every_prefix_is_named() {
        let nets = "9.0.0.0/8 9.1.0.0/16 9.1.2.0/24 9.1.2.0/24 8.0.0.0/8 255.255.255.0/24";
        check(nets, "9.1.2.3", &[0, 1, 2, 3]);
        check(nets, "9.1.3.0", &[0, 1]);
        check(nets, "9.2.0.0", &[0]);
        check(nets, "8.255.255.255", &[4]);
        check(nets, "7.255.255.255", &[]);
        check(nets, "10.0.0.0", &[]);
        check(nets, "255.255.255.255", &[5]);
        check("", "9.9.9.9", &[]);
    }

    proptest! {
        #[test]
        fn as_a_linear_scan(
            nets in prop::collection::vec((any::<u32>(), 0_u8..=32, 0_u32..4), 0..60),
            picks in prop::collection::vec((0_usize..60, any::<u32>(), 0_u32..34), 1..40),
        ) {
            // few distinct bits, so that prefixes nest, repeat and touch
            let nets: Vec<_> = nets
                .iter()
                .map(|(raw, bits, low)| {
                    let address = (raw & 0xc000_0000) | (low << (32 - u32::from(*bits)).min(30));
                    Ipv4Net::new(address.into(), *bits).expect("a length").trunc()
                })
                .collect();
            for (at, raw, shift) in picks {
                let near = nets.get(at).map_or(raw, |net| u32::from(net.broadcast()));
                let address = near.wrapping_add(raw.checked_shr(shift).unwrap_or(0) & 3);
                let expected: Vec<_> = (0..)
                    .zip(&nets)
                    .filter(|(_, net)| net.contains(&std::net::Ipv4Addr::from(address)))
                    .map(|(id, _)| id)
                    .collect();
                prop_assert_eq!(found(&nets, address), expected);
            }
        }
    }
}
