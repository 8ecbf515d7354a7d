//! Ethernet, its VLAN tags, and IEEE 802.2 where it stands for an ethertype.
//!
//! Spec:   IEEE 802.3 §3.2.6 (type or length), IEEE 802.1Q §9 (tags), IEEE 802 §9.4 (SNAP)
//! Reads:  one frame
//! Yields: VLAN tags, where IP begins
//! Bounds: the frame's length; `limits::VLAN_TAGS_MAX` tags are kept
//! Leaves: PPPoE, MPLS, provider backbone bridges

use crate::model::bytes::Cursor;
use crate::model::flow::Vlans;
use crate::pipeline::decode::DecodeError;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: u16 = 0x8100;
const SERVICE_VLAN: u16 = 0x88a8;
const OLD_SERVICE_VLAN: u16 = 0x9100;
const PPPOE: u16 = 0x8864;
const MPLS: u16 = 0x8847;
const MPLS_MULTICAST: u16 = 0x8848;
const BACKBONE: u16 = 0x88e7;

/// Smaller numbers are lengths, of an IEEE 802.2 header and what follows it.
const ETHERTYPE_MIN: u16 = 0x0600;

/// Both service access points and the control byte of SNAP, then the organisation whose types are
/// ethertypes.
const SNAP: [u8; 6] = [0xaa, 0xaa, 3, 0, 0, 0];

/// Reads to the first byte of IP: destination, source, then the type and what it says.
pub(super) fn read(c: &mut Cursor<'_>, vlans: &mut Vlans) -> Result<(), DecodeError> {
    let _addresses = c.array::<12>().ok_or(DecodeError::LinkTruncated)?;
    let ethertype = c.u16().ok_or(DecodeError::LinkTruncated)?;
    read_ethertype(ethertype, c, vlans)
}

/// Reads from behind a type to the first byte of IP.
pub(super) fn read_ethertype(
    ethertype: u16,
    c: &mut Cursor<'_>,
    vlans: &mut Vlans,
) -> Result<(), DecodeError> {
    let mut ethertype = ethertype;
    loop {
        match ethertype {
            IPV4 | IPV6 => return Ok(()),
            VLAN | SERVICE_VLAN | OLD_SERVICE_VLAN => {
                vlans.push(c.u16().ok_or(DecodeError::LinkTruncated)?);
            }
            ..ETHERTYPE_MIN => {
                let head = c.array().ok_or(DecodeError::LinkTruncated)?;
                if head != SNAP {
                    return Err(DecodeError::LinkNotIp);
                }
            }
            PPPOE | MPLS | MPLS_MULTICAST | BACKBONE => return Err(DecodeError::LinkUnsupported),
            _ => return Err(DecodeError::LinkNotIp),
        }
        ethertype = c.u16().ok_or(DecodeError::LinkTruncated)?;
    }
}
