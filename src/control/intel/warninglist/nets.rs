//! Prefixes of all lists, nested: those around an address, and those that share any with a prefix.

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::bytes::narrow;

/// No prefix is around this one.
const NONE: u32 = u32::MAX;

/// Prefixes as ranges, those of IPv4 as IPv4-mapped ones of IPv6.
#[derive(Clone, Debug, Default)]
pub(super) struct Nets {
    /// By first address, the wider first: what is around a prefix comes before it.
    all: Vec<Net>,
    /// The first addresses of each list, sorted.
    firsts: Vec<(u32, Vec<u128>)>,
}

#[derive(Clone, Copy, Debug)]
struct Net {
    first: u128,
    last: u128,
    list: u32,
    /// The narrowest one around it.
    around: u32,
}

impl Nets {
    /// Adds a prefix of a list; lists come in order.
    pub(super) fn add(&mut self, net: IpNet, list: u32) {
        let (first, last) = range(net);
        self.all.push(Net { first, last, list, around: NONE });
        match self.firsts.last_mut() {
            Some((known, firsts)) if *known == list => firsts.push(first),
            _ => self.firsts.push((list, vec![first])),
        }
    }

    /// Sorts what was added.
    pub(super) fn finish(&mut self) {
        self.all.sort_unstable_by_key(|net| (net.first, Reverse(net.last), net.list));
        self.all.dedup_by_key(|net| (net.first, net.last, net.list));
        self.firsts.iter_mut().for_each(|(_, firsts)| firsts.sort_unstable());
        let mut open = Vec::<(u128, u32)>::new();
        for (number, net) in self.all.iter_mut().enumerate() {
            while open.pop_if(|(last, _)| *last < net.last).is_some() {}
            net.around = open.last().map_or(NONE, |(_, number)| *number);
            open.push((net.last, narrow(number)));
        }
    }

    /// Adds the lists of which a prefix lies around, or inside, this one.
    pub(super) fn find(&self, net: IpNet, out: &mut Vec<u32>) {
        let (first, last) = range(net);
        let mut at = self.all.partition_point(|net| net.first <= first).checked_sub(1);
        while let Some(net) = at.and_then(|at| self.all.get(at)) {
            if net.last >= last {
                out.push(net.list);
            }
            at = (net.around != NONE).then_some(net.around as usize);
        }
        if first == last {
            return;
        }
        for (list, firsts) in &self.firsts {
            let inside = firsts.get(firsts.partition_point(|known| *known < first));
            if inside.is_some_and(|known| *known <= last) {
                out.push(*list);
            }
        }
    }
}

fn range(net: IpNet) -> (u128, u128) {
    (number(net.network()), number(net.broadcast()))
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net() -> impl Strategy<Value = IpNet> {
        (0..16_u8, 0..4_u8, 28..=32_u8).prop_map(|(low, third, bits)| {
            let ip = IpAddr::from([9, 9, third, low]);
            IpNet::new(ip, bits).expect("a prefix").trunc()
        })
    }

    proptest! {
        #[test]
        fn the_same_as_asking_each_prefix(
            known in proptest::collection::vec((net(), 0..3_u32), 0..40),
            asked in net(),
        ) {
            let mut nets = Nets::default();
            let mut known = known;
            known.sort_by_key(|(_, list)| *list);
            known.iter().for_each(|(net, list)| nets.add(*net, *list));
            nets.finish();
            let mut found = Vec::new();
            nets.find(asked, &mut found);
            found.sort_unstable();
            found.dedup();
            let touches = |net: &IpNet| net.contains(&asked) || asked.contains(net);
            let mut want = known.iter().filter(|(net, _)| touches(net)).map(|(_, list)| *list)
                .collect::<Vec<_>>();
            want.dedup();
            prop_assert_eq!(found, want);
        }
    }
}
