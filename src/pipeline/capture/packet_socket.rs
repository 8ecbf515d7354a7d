//! What packet sockets and their rings ask of the kernel: unsafe code, beside two calls in
//! `control/memory.rs`.
//!
//! Spec:   packet(7); linux/if_packet.h; Documentation/networking/packet_mmap.rst, timestamping.rst
//! Bounds: a ring is `chunks` blocks of `CHUNK_BYTES`, mapped once, unmapped with its last user
#![allow(unsafe_code, reason = "socket options and memory that no safe interface knows")]

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use pcap::BpfInstruction;

use crate::model::block::Lent;

/// Bytes of one block of a ring.
pub(super) const CHUNK_BYTES: usize = 512 * 1024;

/// Where a block's status lies: `tpacket_block_desc.hdr.bh1.block_status`.
const STATUS_AT: usize = 8;
const _: () = assert!(CHUNK_BYTES.is_multiple_of(4096) && STATUS_AT.is_multiple_of(4));

/// Milliseconds after which the kernel hands over a block that is not full.
const RETIRE_MILLIS: libc::c_uint = 10;

/// Bytes of a slot, as the kernel wants one named; version 3 packs frames whatever it is.
const SLOT_BYTES: usize = 2_048;

/// Makes a packet socket one of a group: each packet goes to one of them, by a hash that is the
/// same for both directions of a flow; fragments are put together first.
///
/// # Errors
///
/// When the kernel refuses, as it does when another program uses the group otherwise.
pub(super) fn join_fanout(socket: BorrowedFd<'_>, group: u16) -> io::Result<()> {
    let mode = libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_DEFRAG;
    set(socket, libc::PACKET_FANOUT, &(u32::from(group) | (mode << 16)))
}

/// Leaves out what this host sends: a loopback interface shows it when it arrives.
///
/// # Errors
///
/// When the kernel refuses.
pub(super) fn ignore_outgoing(socket: BorrowedFd<'_>) -> io::Result<()> {
    set(socket, libc::PACKET_IGNORE_OUTGOING, &1_i32)
}

/// Takes the time of frames from the interface's adapter, which stamps all of them.
///
/// # Errors
///
/// When it has no clock, or does not stamp all frames yet and may not be told to (CAP_NET_ADMIN).
pub(super) fn stamp_by_adapter(socket: BorrowedFd<'_>, interface: &str) -> io::Result<()> {
    let all = libc::c_int::try_from(libc::HWTSTAMP_FILTER_ALL).unwrap_or_default();
    let mut stamps = libc::hwtstamp_config { flags: 0, tx_type: 0, rx_filter: 0 };
    // asking needs no capability, but not every driver answers
    let asked = of_stamps(socket, interface, (libc::SIOCGHWTSTAMP, &mut stamps));
    if asked.is_err() || stamps.rx_filter != all {
        stamps.rx_filter = all;
        of_stamps(socket, interface, (libc::SIOCSHWTSTAMP, &mut stamps))?;
    }
    if stamps.rx_filter != all {
        return Err(io::ErrorKind::Unsupported.into());
    }
    set(socket, libc::PACKET_TIMESTAMP, &libc::SOF_TIMESTAMPING_RAW_HARDWARE)
}

/// Asks which frames an adapter stamps, or tells it.
fn of_stamps(
    socket: BorrowedFd<'_>,
    interface: &str,
    (question, stamps): (libc::Ioctl, &mut libc::hwtstamp_config),
) -> io::Result<()> {
    let mut name = [0; libc::IFNAMSIZ];
    let bytes = interface.bytes().map(u8::cast_signed);
    // the last stays 0
    name.iter_mut().take(libc::IFNAMSIZ.saturating_sub(1)).zip(bytes).for_each(|(to, b)| *to = b);
    let ifr_ifru = libc::__c_anonymous_ifr_ifru { ifru_data: (&raw mut *stamps).cast() };
    let mut request = libc::ifreq { ifr_name: name, ifr_ifru };
    // SAFETY: both questions read and write a `hwtstamp_config` where `ifru_data` points to, and
    // `stamps` is one that lives through the call, as does `request`; the kernel keeps no pointer;
    // the descriptor is open as long as `socket` is borrowed.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), question, &raw mut request) };
    told(answer)
}

/// Takes frames for other stations, too, as long as the socket is open.
///
/// # Errors
///
/// When the interface refuses.
pub(super) fn be_promiscuous(socket: BorrowedFd<'_>, interface: i32) -> io::Result<()> {
    let request = libc::packet_mreq {
        mr_ifindex: interface,
        mr_type: u16::try_from(libc::PACKET_MR_PROMISC).unwrap_or_default(),
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set(socket, libc::PACKET_ADD_MEMBERSHIP, &request)
}

/// Lets the kernel keep what a program wants, and no more bytes than it says.
///
/// # Errors
///
/// When the kernel refuses the program.
pub(super) fn attach_filter(socket: BorrowedFd<'_>, program: &[BpfInstruction]) -> io::Result<()> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        // both are the kernel's `struct sock_filter`; it reads them only
        filter: program.as_ptr().cast_mut().cast(),
    };
    set_at(socket, (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER), &filter)
}

/// Protocol of a socket that only sends.
pub(super) const NOTHING: libc::c_int = 0;

/// Protocol of a socket that takes all there is.
pub(super) const EVERYTHING: libc::c_int = libc::ETH_P_ALL;

/// Binds a socket to an interface: it takes what arrives there of a protocol from now on.
///
/// # Errors
///
/// When the interface is gone or down.
pub(super) fn bind(
    socket: BorrowedFd<'_>,
    interface: i32,
    protocol: libc::c_int,
) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).unwrap_or_default(),
        sll_protocol: u16::try_from(protocol).unwrap_or_default().to_be(),
        sll_ifindex: interface,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let at = (&raw const address).cast();
    // SAFETY: `address` lives through the call, which reads its `size_of` bytes and keeps no
    // pointer; the descriptor is open as long as `socket` is borrowed.
    let failed = unsafe { libc::bind(socket.as_raw_fd(), at, bytes_of(&address)) };
    told(failed)
}

/// What the kernel counted since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Statistics {
    /// Packets that it had for the ring, the dropped ones included.
    pub(super) packets: u32,
    /// Those that the ring had no room for.
    pub(super) drops: u32,
    /// How often the ring was full.
    pub(super) freezes: u32,
}

/// Asks the kernel what it counted for a socket with a ring; it begins anew each time.
///
/// # Errors
///
/// When the kernel refuses.
pub(super) fn statistics(socket: BorrowedFd<'_>) -> io::Result<Statistics> {
    let mut counted = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
    let mut bytes = bytes_of(&counted);
    let at = (&raw mut counted).cast();
    let descriptor = socket.as_raw_fd();
    // SAFETY: the kernel writes at most `bytes` bytes into `counted`, which is of plain numbers and
    // lives through the call; the descriptor is open as long as `socket` is borrowed.
    let failed = unsafe {
        libc::getsockopt(descriptor, libc::SOL_PACKET, libc::PACKET_STATISTICS, at, &raw mut bytes)
    };
    told(failed)?;
    Ok(Statistics {
        packets: counted.tp_packets,
        drops: counted.tp_drops,
        freezes: counted.tp_freeze_q_cnt,
    })
}

/// Gives a socket a ring of `chunks` blocks, with room for a VLAN tag before each frame.
///
/// # Errors
///
/// When the kernel lacks version 3 of rings, or the memory.
pub(super) fn ring(socket: BorrowedFd<'_>, chunks: usize) -> io::Result<Vec<Chunk>> {
    let number = |n: usize| libc::c_uint::try_from(n).map_err(|_| io::ErrorKind::InvalidInput);
    let bytes = chunks.checked_mul(CHUNK_BYTES).ok_or(io::ErrorKind::InvalidInput)?;
    set(socket, libc::PACKET_VERSION, &libc::tpacket_versions::TPACKET_V3)?;
    set(socket, libc::PACKET_RESERVE, &4_u32)?;
    let request = libc::tpacket_req3 {
        tp_block_size: number(CHUNK_BYTES)?,
        tp_block_nr: number(chunks)?,
        tp_frame_size: number(SLOT_BYTES)?,
        tp_frame_nr: number(bytes.checked_div(SLOT_BYTES).unwrap_or_default())?,
        tp_retire_blk_tov: RETIRE_MILLIS,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    set(socket, libc::PACKET_RX_RING, &request)?;
    let map = Arc::new(Map::of(socket, bytes)?);
    let chunk = |number| Chunk { map: Arc::clone(&map), number, ours: false };
    Ok((0..chunks).map(chunk).collect())
}

/// The memory of a ring, shared with the kernel.
#[derive(Debug)]
struct Map {
    at: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a map is an address and a length; what it may be used for, and by whom, is each chunk's.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    fn of(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let descriptor = socket.as_raw_fd();
        let anywhere = std::ptr::null_mut();
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours; the
        // kernel keeps the socket open for as long as it is mapped.
        let at = unsafe { libc::mmap(anywhere, bytes, access, libc::MAP_SHARED, descriptor, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { at, bytes })
    }

    /// Returns where a chunk begins.
    fn chunk(&self, number: usize) -> NonNull<u8> {
        let offset = number.saturating_mul(CHUNK_BYTES);
        debug_assert!(offset.saturating_add(CHUNK_BYTES) <= self.bytes);
        // SAFETY: chunks are made by `ring` alone, with numbers below `bytes / CHUNK_BYTES`, so the
        // offset is inside the mapping.
        unsafe { self.at.add(offset) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and no chunk is left that could lend a part.
        let _stays_mapped_then = unsafe { libc::munmap(self.at.as_ptr().cast(), self.bytes) };
    }
}

/// One block of a ring: the kernel's to fill, or ours to read. There is one of each number, so
/// whoever has it alone (`&mut`) decides.
#[derive(Debug)]
pub(super) struct Chunk {
    map: Arc<Map>,
    number: usize,
    ours: bool,
}

impl Chunk {
    /// Takes it from the kernel, where that has filled it; tells whether it is ours.
    pub(super) fn take(&mut self) -> bool {
        // pairs with the kernel's barrier: what it wrote is seen once the status is
        let user = libc::TP_STATUS_USER;
        self.ours = self.ours || self.status().load(Ordering::Acquire) & user != 0;
        self.ours
    }

    /// Gives it back to the kernel.
    pub(super) fn give_back(&mut self) {
        if std::mem::take(&mut self.ours) {
            self.status().store(libc::TP_STATUS_KERNEL, Ordering::Release);
        }
    }

    /// Tells whether it is ours.
    pub(super) fn is_ours(&self) -> bool {
        self.ours
    }

    /// Returns its bytes, header and all; none while it is the kernel's.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        if !self.ours {
            return &mut [];
        }
        let at = self.map.chunk(self.number).as_ptr();
        // SAFETY: `CHUNK_BYTES` bytes from `at` are inside the mapping, which `self.map` keeps; the
        // kernel leaves them alone while the chunk is ours; this chunk is the only one of its
        // number and is borrowed for as long as the slice, so nobody of ours reads or writes them.
        unsafe { std::slice::from_raw_parts_mut(at, CHUNK_BYTES) }
    }

    fn status(&self) -> &AtomicU32 {
        let at = self.map.chunk(self.number);
        // SAFETY: `STATUS_AT` is inside the chunk, whose start is inside the mapping.
        let at = unsafe { at.add(STATUS_AT) };
        // SAFETY: aligned, as blocks are pages and `STATUS_AT` is a multiple of 4; inside the
        // mapping, which `self.map` keeps; the kernel accesses it as one word, and we write it
        // nowhere else: `bytes_mut` is exclusive, and its only user leaves the header alone.
        unsafe { AtomicU32::from_ptr(at.cast().as_ptr()) }
    }
}

impl Lent for Chunk {
    fn bytes(&self) -> &[u8] {
        if !self.ours {
            return &[];
        }
        let at = self.map.chunk(self.number).as_ptr();
        // SAFETY: as in `bytes_mut`; and whoever would give it back or write it needs the chunk
        // alone (`&mut`), which this borrow rules out.
        unsafe { std::slice::from_raw_parts(at, CHUNK_BYTES) }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn set<T: Copy>(socket: BorrowedFd<'_>, option: libc::c_int, value: &T) -> io::Result<()> {
    set_at(socket, (libc::SOL_PACKET, option), value)
}

/// Sets an option whose value the kernel knows as `T`.
fn set_at<T: Copy>(
    socket: BorrowedFd<'_>,
    (level, option): (libc::c_int, libc::c_int),
    value: &T,
) -> io::Result<()> {
    let at = (&raw const *value).cast();
    // SAFETY: `value` lives through the call, which reads its `size_of` bytes (and, of a filter,
    // the program it points to, which outlives it) and keeps no pointer; the descriptor is open as
    // long as `socket` is borrowed.
    let failed =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, at, bytes_of(value)) };
    told(failed)
}

fn bytes_of<T>(_value: &T) -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or_default()
}

fn told(failed: libc::c_int) -> io::Result<()> {
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
