//! IPv4 and IPv6 with their options and extension headers.
//!
//! Spec:   RFC 791 §3.1; RFC 8200 §3, §4 (extension headers); RFC 4302 §2 (authentication header)
//! Reads:  a packet, or as much of it as was captured; trailing bytes that belong to the link layer
//!         are left out
//! Yields: addresses, protocol, payload, whether it is a first fragment
//! Bounds: the packet's length
//! Leaves: later fragments (`DecodeError::IpFragment`), checksums, jumbo payload options
//!
//! etherparse's strict slices first, its lax ones when they refuse: a snap length or a total length
//! of 0 (segmentation offload) is no error here. RFC 791 has no total length 0; we read on, as all
//! analysers do.

use etherparse::IpNumber;
use etherparse::Ipv4HeaderSlice;
use etherparse::Ipv4Slice;
use etherparse::Ipv6ExtensionSlice;
use etherparse::Ipv6ExtensionsSlice;
use etherparse::Ipv6HeaderSlice;
use etherparse::Ipv6Slice;
use etherparse::LaxIpv4Slice;
use etherparse::LaxIpv6Slice;

use crate::model::address::Address;
use crate::model::bytes::narrow;
use crate::pipeline::decode::DecodeError;
use crate::pipeline::decode::offset;

/// The fixed header, which the payload length leaves out (RFC 8200 §3).
const V6_HEADER_BYTES: u32 = 40;

/// One IP packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ip<'a> {
    pub(super) src: Address,
    pub(super) dst: Address,
    pub(super) protocol: u8,
    /// Whether it is a whole packet or the first fragment of one.
    pub(super) extent: Extent,
    /// Total length.
    pub(super) bytes: u32,
    /// What was captured of the payload.
    pub(super) payload: &'a [u8],
    /// Bytes of payload that the header claims.
    pub(super) payload_bytes: u32,
}

/// How much of a packet there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extent {
    Whole,
    FirstFragment,
}

/// Reads the packet that begins with `bytes`; `wire_bytes` of it were on the wire.
pub(super) fn read(bytes: &[u8], wire_bytes: u32) -> Result<Ip<'_>, DecodeError> {
    match bytes.first().map(|byte| byte >> 4) {
        Some(4) => read_v4(bytes, wire_bytes),
        Some(6) => read_v6(bytes, wire_bytes),
        Some(_) => Err(DecodeError::IpMalformed),
        None => Err(DecodeError::IpTruncated),
    }
}

fn read_v4(bytes: &[u8], wire_bytes: u32) -> Result<Ip<'_>, DecodeError> {
    if let Ok(slice) = Ipv4Slice::from_slice(bytes) {
        let payload = slice.payload();
        return v4(bytes, slice.header(), (payload.ip_number, payload.payload), wire_bytes);
    }
    let (slice, flaw) = LaxIpv4Slice::from_slice(bytes).map_err(|error| match error {
        etherparse::err::ipv4::HeaderSliceError::Len(_) => DecodeError::IpTruncated,
        etherparse::err::ipv4::HeaderSliceError::Content(_) => DecodeError::IpMalformed,
    })?;
    let payload = slice.payload();
    let read = v4(bytes, slice.header(), (payload.ip_number, payload.payload), wire_bytes);
    match flaw {
        Some(_) => read.and(Err(flawed(payload.incomplete))),
        None => read,
    }
}

/// `rest` is what follows the header and an authentication header: its protocol, and what was
/// captured of it.
fn v4<'a>(
    bytes: &[u8],
    header: Ipv4HeaderSlice<'_>,
    rest: (IpNumber, &'a [u8]),
    wire_bytes: u32,
) -> Result<Ip<'a>, DecodeError> {
    if header.fragments_offset().value() > 0 {
        return Err(DecodeError::IpFragment);
    }
    let total_bytes = match u32::from(header.total_len()) {
        0 => wire_bytes.max(narrow(bytes.len())),
        n if n < narrow(header.slice().len()) => return Err(DecodeError::IpMalformed),
        n => n,
    };
    let (protocol, payload) = rest;
    Ok(Ip {
        src: Address::from_v4(header.source()),
        dst: Address::from_v4(header.destination()),
        protocol: protocol.0,
        extent: if header.more_fragments() { Extent::FirstFragment } else { Extent::Whole },
        bytes: total_bytes,
        payload,
        payload_bytes: total_bytes.saturating_sub(offset(bytes, payload)),
    })
}

fn read_v6(bytes: &[u8], wire_bytes: u32) -> Result<Ip<'_>, DecodeError> {
    if let Ok(slice) = Ipv6Slice::from_slice(bytes) {
        let payload = slice.payload();
        let rest = (payload.ip_number, payload.payload);
        return v6(bytes, slice.header(), slice.extensions(), rest, wire_bytes);
    }
    let (slice, flaw) = LaxIpv6Slice::from_slice(bytes).map_err(|error| match error {
        etherparse::err::ipv6::HeaderSliceError::Len(_) => DecodeError::IpTruncated,
        etherparse::err::ipv6::HeaderSliceError::Content(_) => DecodeError::IpMalformed,
    })?;
    let payload = slice.payload();
    let rest = (payload.ip_number, payload.payload);
    let read = v6(bytes, slice.header(), slice.extensions(), rest, wire_bytes);
    match flaw {
        Some(_) => read.and(Err(flawed(payload.incomplete))),
        None => read,
    }
}

/// `rest` is what follows the extension headers: its protocol, and what was captured of it.
fn v6<'a>(
    bytes: &[u8],
    header: Ipv6HeaderSlice<'_>,
    extensions: &Ipv6ExtensionsSlice<'_>,
    rest: (IpNumber, &'a [u8]),
    wire_bytes: u32,
) -> Result<Ip<'a>, DecodeError> {
    let (protocol, payload) = rest;
    let total_bytes = match u32::from(header.payload_length()) {
        0 if header.next_header() == IpNumber::IPV6_NO_NEXT_HEADER => V6_HEADER_BYTES,
        0 => wire_bytes.max(narrow(bytes.len())),
        n => n.saturating_add(V6_HEADER_BYTES),
    };
    Ok(Ip {
        src: Address::from_v6(header.source()),
        dst: Address::from_v6(header.destination()),
        protocol: protocol.0,
        extent: extent(extensions)?,
        bytes: total_bytes,
        payload,
        payload_bytes: total_bytes.saturating_sub(offset(bytes, payload)),
    })
}

/// Looks for a fragment header; one of offset 0 without more to come is a whole packet (RFC 6946).
fn extent(extensions: &Ipv6ExtensionsSlice<'_>) -> Result<Extent, DecodeError> {
    if !extensions.is_fragmenting_payload() {
        return Ok(Extent::Whole);
    }
    let later = extensions.clone().into_iter().any(|extension| {
        matches!(extension, Ipv6ExtensionSlice::Fragment(f) if f.fragment_offset().value() > 0)
    });
    if later { Err(DecodeError::IpFragment) } else { Ok(Extent::FirstFragment) }
}

fn flawed(incomplete: bool) -> DecodeError {
    if incomplete { DecodeError::IpTruncated } else { DecodeError::IpMalformed }
}
