//! What a packet socket can do that libpcap does not offer: the crate's only unsafe code.
//!
//! Spec:   packet(7), `PACKET_FANOUT`; linux/if_packet.h
#![allow(unsafe_code, reason = "setsockopt of options that no safe interface knows")]

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

/// Makes a packet socket one of a group: each packet goes to one of them, by a hash that is the
/// same for both directions of a flow; fragments are put together first.
///
/// # Errors
///
/// When the kernel refuses, as it does when another program uses the group otherwise.
pub(super) fn join_fanout(socket: BorrowedFd<'_>, group: u16) -> io::Result<()> {
    let mode = libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_DEFRAG;
    let value: u32 = u32::from(group) | (mode << 16);
    let bytes = libc::socklen_t::try_from(size_of::<u32>()).unwrap_or_default();
    // SAFETY: `value` lives through the call, which reads `bytes` = 4 bytes of it and keeps no
    // pointer; the descriptor is open as long as `socket` is borrowed.
    let failed = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_FANOUT,
            (&raw const value).cast(),
            bytes,
        )
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
