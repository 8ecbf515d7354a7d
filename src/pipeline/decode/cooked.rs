//! Linux cooked captures: what the kernel tells of packets of interfaces with different link
//! layers.
//!
//! Spec:   LINKTYPE_LINUX_SLL and LINKTYPE_LINUX_SLL2 of the tcpdump group's registry
//! Reads:  one frame
//! Yields: VLAN tags, where IP begins
//! Bounds: the frame's length
//! Leaves: frames of netlink, CAN and IEEE 802.11 interfaces

use crate::model::bytes::Cursor;
use crate::model::flow::Vlans;
use crate::pipeline::decode::DecodeError;
use crate::pipeline::decode::ethernet;

/// Linux's number for "an IEEE 802.2 header follows" (`ETH_P_802_2`).
const LLC: u16 = 4;

/// packet type, hardware type, address length (16 bits each), address (8 bytes), protocol
pub(super) fn read_v1(c: &mut Cursor<'_>, vlans: &mut Vlans) -> Result<(), DecodeError> {
    let _told = c.array::<14>().ok_or(DecodeError::LinkTruncated)?;
    let protocol = c.u16().ok_or(DecodeError::LinkTruncated)?;
    read_protocol(protocol, c, vlans)
}

/// protocol, reserved (16 bits each), interface (32), hardware type (16), packet type, address
/// length (8 each), address (8 bytes)
pub(super) fn read_v2(c: &mut Cursor<'_>, vlans: &mut Vlans) -> Result<(), DecodeError> {
    let protocol = c.u16().ok_or(DecodeError::LinkTruncated)?;
    let _told = c.array::<18>().ok_or(DecodeError::LinkTruncated)?;
    read_protocol(protocol, c, vlans)
}

/// Protocols are ethertypes; Linux's own numbers are below all of them.
fn read_protocol(protocol: u16, c: &mut Cursor<'_>, vlans: &mut Vlans) -> Result<(), DecodeError> {
    match protocol {
        LLC | 0x0600.. => ethernet::read_ethertype(protocol, c, vlans),
        _ => Err(DecodeError::LinkNotIp),
    }
}
