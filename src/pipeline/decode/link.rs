//! Link layers that put nothing before IP, or a family number (BSD null and loopback), and what a
//! type number means.
//!
//! Spec:   LINKTYPE_NULL, LINKTYPE_LOOP, LINKTYPE_RAW, LINKTYPE_IPV4, LINKTYPE_IPV6 of the tcpdump
//!         group's registry
//! Reads:  one frame
//! Yields: where IP begins
//! Bounds: none needed: every header has one length
//! Leaves: families other than IP; all other link types

use crate::model::bytes::Cursor;
use crate::model::flow::Vlans;
use crate::pipeline::decode::DecodeError;
use crate::pipeline::decode::cooked;
use crate::pipeline::decode::ethernet;

/// AF_INET is 2 everywhere; AF_INET6 is 10 on Linux, 23 on Windows, 24 on NetBSD and OpenBSD, 28 on
/// FreeBSD, 30 on Darwin.
const FAMILIES: &[u32] = &[2, 10, 23, 24, 28, 30];

/// EtherTypes of IPv4 and IPv6 (IEEE 802 numbers).
const ETHER_TYPES: &[u32] = &[0x0800, 0x86dd];

/// Finds the IP packet in a frame of link type `link` (`LINKTYPE_*` number), and its VLAN tags.
#[inline]
pub(super) fn read(link: u16, bytes: &[u8]) -> Result<(&[u8], Vlans), DecodeError> {
    let mut c = Cursor::new(bytes);
    let mut vlans = Vlans::default();
    match link {
        1 => ethernet::read(&mut c, &mut vlans)?,
        0 | 108 => family(&mut c)?,
        12 | 14 | 101 | 228 | 229 => {}
        113 => cooked::read_v1(&mut c, &mut vlans)?,
        276 => cooked::read_v2(&mut c, &mut vlans)?,
        _ => return Err(DecodeError::LinkUnsupported),
    }
    Ok((c.rest(), vlans))
}

/// Reads a family number in the order of the capturing machine, which the capture does not tell.
/// Some systems write an EtherType in its last two bytes instead.
fn family(c: &mut Cursor<'_>) -> Result<(), DecodeError> {
    let family = c.u32().ok_or(DecodeError::LinkTruncated)?;
    let ether_type = family & 0xffff;
    let known = FAMILIES.contains(&family)
        || FAMILIES.contains(&family.swap_bytes())
        || ETHER_TYPES.contains(&ether_type);
    if known { Ok(()) } else { Err(DecodeError::LinkNotIp) }
}
