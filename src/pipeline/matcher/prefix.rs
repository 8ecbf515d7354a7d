//! Prefix look-ups: every prefix that holds an address.
//!
//! The prefixes cut the address space into stretches; a stretch knows its innermost prefix, a
//! prefix the next wider one. A directory of leading bits leads to a few stretches, a binary search
//! to one of them, then each prefix found is one step. Per prefix: 8 bytes, and at most two
//! stretches of 9 (IPv6: 21).

use std::fmt;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::indicator::IndicatorId;
use crate::pipeline::matcher::table::Item;
use crate::pipeline::matcher::table::Shelf;
use crate::pipeline::matcher::table::Table;

const STRETCHES_PER_TOP: usize = 4;

/// Leading bits of the directory: 2^20 entries are 4 MiB, for 4 million stretches and more.
const TOP_BITS_MAX: u8 = 20;

/// Prefixes around one address at most: two types of indicator for each of 129 lengths, with room.
/// What is damaged may lead in a circle.
const AROUND_MAX: usize = 512;

/// Prefixes of one address family; `A` is an address as a number.
#[derive(Clone, Debug)]
pub(super) struct Prefixes<A: Bits> {
    /// First address and length of each prefix, until `finish`.
    added: Vec<(A, u8, IndicatorId)>,
    /// First address of each stretch, ascending.
    starts: Table<A>,
    /// Innermost prefix of each stretch.
    inner: Table<u32>,
    nodes: Table<Node>,
    /// For each value of the leading bits the number of stretches that begin before it, and of
    /// all.
    tops: Table<u32>,
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
        let mut cut = Cut { starts: Vec::new(), inner: Vec::new(), nodes: Vec::new() };
        let mut open: Vec<(A, u32)> = Vec::new();
        for (first, bits, IndicatorId(id)) in added {
            cut.close(&mut open, Some(first));
            let wider = open.last().map_or(NONE, |top| top.1);
            let node = narrow(cut.nodes.len());
            cut.nodes.push(Node { id, wider });
            open.push((first.last(bits), node));
            cut.stretch(first, node);
        }
        cut.close(&mut open, None);
        let tops = tops(&cut.starts);
        self.top_bits = top_bits(&tops);
        (self.starts, self.inner) = (cut.starts.into(), cut.inner.into());
        (self.nodes, self.tops) = (cut.nodes.into(), tops.into());
    }

    /// Finds the prefixes that hold an address, innermost first.
    #[inline]
    pub(super) fn find(&self, address: A) -> impl Iterator<Item = IndicatorId> {
        let mut at =
            self.stretch_of(address).and_then(|i| self.inner.get(i)).copied().unwrap_or(NONE);
        let around = std::iter::from_fn(move || {
            let node = self.nodes.get(index(at))?;
            at = node.wider;
            Some(IndicatorId(node.id))
        });
        around.take(AROUND_MAX)
    }

    /// Puts its tables on a shelf, or takes them from there.
    pub(super) fn visit(&mut self, name: &'static str, shelf: &mut impl Shelf) {
        shelf.table([name, "tops"], &mut self.tops);
        shelf.table([name, "starts"], &mut self.starts);
        shelf.table([name, "inner"], &mut self.inner);
        shelf.table([name, "nodes"], &mut self.nodes);
        self.top_bits = top_bits(&self.tops);
    }

    /// Checks that stretches are sorted and lead to prefixes of `ids` indicators.
    pub(super) fn verify(&self, ids: u32) -> Result<(), &'static str> {
        let is_node = |at: u32| at == NONE || index(at) < self.nodes.len();
        if self.inner.len() != self.starts.len() || !self.starts.is_sorted_by(|a, b| a < b) {
            return Err("the stretches are not sorted");
        }
        if !self.tops.is_empty() && *self.tops != *tops(&self.starts) {
            return Err("the directory does not lead to the stretches");
        }
        if !self.inner.iter().all(|at| is_node(*at)) {
            return Err("a stretch leads to no prefix");
        }
        let is_outward = |(at, node): (u32, &Node)| node.wider == NONE || node.wider < at;
        if !(0_u32..).zip(self.nodes.iter()).all(is_outward) {
            return Err("a prefix is not inside a wider one");
        }
        let is_known = self.nodes.iter().all(|node| node.id < ids);
        is_known.then_some(()).ok_or("a prefix names no indicator of this set")
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
}

/// Builds the directory, one entry for about four stretches.
fn tops<A: Bits>(starts: &[A]) -> Vec<u32> {
    let wanted = starts.len().checked_div(STRETCHES_PER_TOP).and_then(usize::checked_ilog2);
    let bits = wanted.and_then(|bits| u8::try_from(bits).ok()).unwrap_or(0).min(TOP_BITS_MAX);
    let mut tops = vec![0_u32; 1_usize.wrapping_shl(u32::from(bits)).saturating_add(1)];
    for start in starts {
        let count = tops.get_mut(start.top(bits).saturating_add(1));
        count.into_iter().for_each(|count| *count = count.saturating_add(1));
    }
    let mut before = 0_u32;
    for count in &mut tops {
        before = before.saturating_add(*count);
        *count = before;
    }
    tops
}

/// Returns of how many leading bits a directory is.
fn top_bits(tops: &[u32]) -> u8 {
    let bits = tops.len().checked_sub(1).and_then(usize::checked_ilog2);
    bits.and_then(|bits| u8::try_from(bits).ok()).unwrap_or(0).min(TOP_BITS_MAX)
}

/// The stretches while they are cut.
struct Cut<A> {
    starts: Vec<A>,
    inner: Vec<u32>,
    nodes: Vec<Node>,
}

impl<A: Bits> Cut<A> {
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

impl<A: Bits> Default for Prefixes<A> {
    fn default() -> Self {
        Self {
            added: Vec::new(),
            starts: Table::default(),
            inner: Table::default(),
            nodes: Table::default(),
            tops: Table::default(),
            top_bits: 0,
        }
    }
}

/// An address as a number.
pub(super) trait Bits: Item + Ord + fmt::Debug {
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

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Node {
    /// Number of the indicator.
    id: u32,
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
