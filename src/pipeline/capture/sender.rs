//! Sends single frames on an interface: the canary's.
//!
//! Spec:   packet(7)
//! Reads:  nothing: the socket is of no protocol
//! Yields: nothing
//! Bounds: one frame a call; the interface's own queue
//! Leaves: pacing, to the caller

use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;

use nix::net::if_::if_nametoindex;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::send;
use nix::sys::socket::socket;

use crate::pipeline::capture::packet_socket;

/// A packet socket on one interface.
#[derive(Debug)]
pub struct Sender(OwnedFd);

impl Sender {
    /// Opens one.
    ///
    /// # Errors
    ///
    /// When the interface is not there, or sending on it is not permitted.
    pub fn open(interface: &str) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
        let number = if_nametoindex(interface)?;
        let number = i32::try_from(number).map_err(|_| io::ErrorKind::NotFound)?;
        packet_socket::bind(socket.as_fd(), number, packet_socket::NOTHING)?;
        Ok(Self(socket))
    }

    /// Sends a frame, link header and all.
    ///
    /// # Errors
    ///
    /// When the interface is gone, down, or has no room.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        let sent = send(self.0.as_raw_fd(), frame, MsgFlags::empty())?;
        if sent == frame.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}
