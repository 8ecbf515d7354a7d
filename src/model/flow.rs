//! Flows: a five-tuple and its VLAN tags, both directions (contract §3).

use crate::model::address::Address;
use crate::model::limits::VLAN_TAGS_MAX;
use crate::model::time::Timestamp;

/// What tells a flow from all others: end points in address order, so both directions have one key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowKey {
    /// The end point whose (address, port) sorts first.
    pub low: Address,
    /// The other end point.
    pub high: Address,
    /// Port of `low`; 0 where the protocol has none.
    pub low_port: u16,
    /// Port of `high`; 0 where the protocol has none.
    pub high_port: u16,
    /// IP protocol number (IANA).
    pub protocol: u8,
    /// VLAN tags, outermost first.
    pub vlans: Vlans,
}

const _: () = assert!(size_of::<FlowKey>() == 44);

impl FlowKey {
    /// Returns the key of a packet and which way it heads.
    pub fn new(
        src: (Address, u16),
        dst: (Address, u16),
        protocol: u8,
        vlans: Vlans,
    ) -> (Self, Heading) {
        let (low, high, heading) =
            if src <= dst { (src, dst, Heading::Up) } else { (dst, src, Heading::Down) };
        let key =
            Self { low: low.0, high: high.0, low_port: low.1, high_port: high.1, protocol, vlans };
        (key, heading)
    }

    /// Returns the end point that sends packets of this heading.
    pub fn sender(&self, heading: Heading) -> (Address, u16) {
        match heading {
            Heading::Up => (self.low, self.low_port),
            Heading::Down => (self.high, self.high_port),
        }
    }

    /// Returns the end point that receives packets of this heading.
    pub fn receiver(&self, heading: Heading) -> (Address, u16) {
        self.sender(heading.opposite())
    }
}

/// Which way a packet heads between the two end points of its key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Heading {
    /// From `low` to `high`.
    #[default]
    Up,
    /// From `high` to `low`.
    Down,
}

impl Heading {
    /// Returns the other heading.
    pub fn opposite(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }
}

/// Who sent: the flow's opener or the other end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// The opener: the sender of the SYN, else of the first packet seen.
    Orig,
    /// The other end.
    Resp,
}

impl Side {
    /// Returns the other side.
    pub fn opposite(self) -> Self {
        match self {
            Self::Orig => Self::Resp,
            Self::Resp => Self::Orig,
        }
    }

    /// Returns the side that sends packets of `heading` in a flow opened by packets of `opener`.
    pub fn of(heading: Heading, opener: Heading) -> Self {
        if heading == opener { Self::Orig } else { Self::Resp }
    }

    /// Returns the heading of this side's packets in a flow opened by packets of `opener`.
    pub fn heading(self, opener: Heading) -> Heading {
        match self {
            Self::Orig => opener,
            Self::Resp => opener.opposite(),
        }
    }

    /// Returns the name in alerts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Orig => "opener",
            Self::Resp => "responder",
        }
    }
}

/// What hits and observations say of their flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowView {
    /// The flow's key.
    pub key: FlowKey,
    /// Heading of the opener's packets.
    pub opener: Heading,
    /// Time of the flow's first packet.
    pub first: Timestamp,
}

impl FlowView {
    /// Returns the address and port of one side.
    pub fn end(&self, side: Side) -> (Address, u16) {
        self.key.sender(side.heading(self.opener))
    }
}

/// A stack of VLAN identifiers, outermost first; deeper ones than `VLAN_TAGS_MAX` are not kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Vlans {
    ids: [u16; VLAN_TAGS_MAX],
}

const PRESENT: u16 = 0x8000;

impl Vlans {
    /// Adds an inner tag; `id` has 12 bits (IEEE 802.1Q §9.6). A fourth tag is left out.
    pub fn push(&mut self, id: u16) {
        if let Some(free) = self.ids.iter_mut().find(|slot| **slot == 0) {
            *free = PRESENT | (id & 0x0fff);
        }
    }

    /// Returns the identifiers, outermost first.
    pub fn ids(self) -> impl Iterator<Item = u16> {
        self.ids.into_iter().take_while(|id| *id != 0).map(|id| id & 0x0fff)
    }

    /// Tells whether there was no tag.
    pub fn is_empty(self) -> bool {
        self.ids == [0; VLAN_TAGS_MAX]
    }
}

#[cfg(test)]
mod tests {
    use super::Address;
    use super::FlowKey;
    use super::Heading;
    use super::Vlans;

    #[test]
    fn both_directions_have_one_key() {
        let a = (Address::from_v4([9, 0, 0, 1]), 53);
        let b = (Address::from_v4([8, 0, 0, 1]), 4000);
        let (there, up) = FlowKey::new(a, b, 17, Vlans::default());
        let (back, down) = FlowKey::new(b, a, 17, Vlans::default());
        assert_eq!(there, back);
        assert_eq!((up, down), (Heading::Down, Heading::Up));
        assert_eq!(there.sender(up), a);
        assert_eq!(there.receiver(up), b);
    }

    #[test]
    fn tags_keep_their_order_and_zero_is_a_tag() {
        let mut tags = Vlans::default();
        assert!(tags.is_empty());
        for id in [0, 5, 4095, 7] {
            tags.push(id);
        }
        assert_eq!(tags.ids().collect::<Vec<_>>(), [0, 5, 4095]);
    }
}
