//! Live capture through a packet ring of our own: the kernel's blocks are lent to the matchers as
//! they are, and given back when the last of them is done.
//!
//! Spec:   packet(7); packet_mmap.rst, `TPACKET_V3`
//! Reads:  one interface; Ethernet or raw IP
//! Yields: frames where the kernel put them: none is copied
//! Bounds: the ring, `ring_mebibytes`; the kernel counts what it has no room for
//! Leaves: other link types: `backend = "pcap"` reads those
//!
//! The kernel fills blocks in turn, so they are taken and given back in turn. A ring of 64 MiB has
//! 128 blocks of 512 KiB; only a handful is lent at any time, so the rest waits for bursts.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use nix::net::if_::if_nametoindex;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::getsockopt;
use nix::sys::socket::socket;
use nix::sys::socket::sockopt::SocketError;

use crate::model::block::Block;
use crate::model::block::Lent;
use crate::model::bytes::index;
use crate::model::counters::Counters;
use crate::pipeline::capture::live::Clocking;
use crate::pipeline::capture::live::Fault;
use crate::pipeline::capture::live::LiveSettings;
use crate::pipeline::capture::live::Reading;
use crate::pipeline::capture::live::count;
use crate::pipeline::capture::live::libpcap;
use crate::pipeline::capture::live::tpacket::Kind;
use crate::pipeline::capture::live::tpacket::walk;
use crate::pipeline::capture::packet_socket as packet;
use crate::pipeline::capture::packet_socket::CHUNK_BYTES;
use crate::pipeline::capture::packet_socket::Chunk;

/// Link types that a ring is read of: Ethernet, raw IP.
const LINKS: &[u16] = &[1, 101];

/// Blocks of a ring at least: some are lent, one is being filled.
const CHUNKS_MIN: usize = 16;

/// Shortest and longest wait while a block is lent: `poll` would not wait then. Each wait costs a
/// change of thread, ten microseconds on some machines, so it is as long as a block takes to fill;
/// a ring of 64 MiB fills in 50 ms at 10 Gbit/s.
const LENT_WAIT: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(5)];

/// A packet socket with its ring.
#[derive(Debug)]
pub(super) struct Ring {
    socket: OwnedFd,
    interface: u32,
    kind: Kind,
    /// In the kernel's order.
    chunks: Vec<Arc<Chunk>>,
    /// The one that the kernel fills next, or has filled.
    next: usize,
    /// The oldest that is not given back yet.
    oldest: usize,
    /// How many are lent, from `oldest` on.
    lent: usize,
    pace: Pace,
}

/// How long blocks take to fill, of late.
#[derive(Debug)]
struct Pace {
    filled: Instant,
    block: Duration,
}

impl Pace {
    fn note(&mut self) {
        let now = Instant::now();
        let last = now.saturating_duration_since(self.filled);
        self.filled = now;
        // the mean of the last few
        self.block =
            self.block.saturating_mul(3).saturating_add(last).checked_div(4).unwrap_or(last);
    }

    fn wait(&self) -> Duration {
        let [shortest, longest] = LENT_WAIT;
        self.block.clamp(shortest, longest)
    }
}

impl Ring {
    /// Opens an interface, and joins its group.
    pub(super) fn open(settings: &LiveSettings, group: Option<u16>) -> Result<Self, Fault> {
        let name = settings.interface.as_str();
        let probe = libpcap::Probe::of(settings)?;
        let link = probe.link();
        if !LINKS.contains(&link) {
            return Err(Fault::Link(link));
        }
        let program = probe.compile(&settings.filter)?;
        let interface = if_nametoindex(name).map_err(io::Error::from)?;
        let at = i32::try_from(interface).map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
        // of no protocol: it hears nothing until it is bound, with ring and filter in place
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, None);
        let socket = socket.map_err(io::Error::from)?;
        let chunks = index(settings.ring_mebibytes)
            .saturating_mul((1 << 20_usize) / CHUNK_BYTES)
            .max(CHUNKS_MIN);
        let chunks = packet::ring(socket.as_fd(), chunks).map_err(Fault::Ring)?;
        packet::attach_filter(socket.as_fd(), program.get_instructions())?;
        if name == "lo" {
            packet::ignore_outgoing(socket.as_fd())?;
        }
        if settings.clocking == Clocking::Adapter {
            packet::stamp_by_adapter(socket.as_fd(), name).map_err(Fault::Clock)?;
        }
        if settings.promiscuous {
            packet::be_promiscuous(socket.as_fd(), at)?;
        }
        packet::bind(socket.as_fd(), at, packet::EVERYTHING)?;
        if let Some(group) = group {
            packet::join_fanout(socket.as_fd(), group).map_err(Fault::Fanout)?;
        }
        Ok(Self {
            socket,
            interface,
            kind: Kind { link, snap_bytes: settings.snap_bytes },
            chunks: chunks.into_iter().map(Arc::new).collect(),
            next: 0,
            oldest: 0,
            lent: 0,
            pace: Pace { filled: Instant::now(), block: Duration::ZERO },
        })
    }

    /// Lends the next block to a cleared one, where the kernel has filled it.
    pub(super) fn fill(&mut self, block: &mut Block, counters: &mut Counters) -> Reading {
        self.take_back();
        let Some(shared) = self.chunks.get_mut(self.next) else { return Reading::Gone };
        let Some(chunk) = Arc::get_mut(shared).filter(|chunk| !chunk.is_ours()) else {
            return Reading::Lent;
        };
        if !chunk.take() {
            return self.state();
        }
        self.pace.note();
        let walked = walk(chunk.bytes_mut(), self.kind, &mut block.frames);
        let lost = walked.told.saturating_sub(walked.found);
        count(&mut counters.lost_ring_damaged, u64::from(lost));
        count(&mut counters.ring_blocks_losing, u64::from(walked.losing));
        let lent: Arc<dyn Lent> = Arc::<Chunk>::clone(shared);
        block.lent = Some(lent);
        self.next = self.following(self.next);
        self.lent = self.lent.saturating_add(1);
        Reading::More
    }

    /// Waits until the kernel has filled a block, or for a while.
    pub(super) fn wait(&self, millis: u16) {
        if self.lent > 0 {
            std::thread::sleep(self.pace.wait());
            return;
        }
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        // an error of the interface shows when it is asked for
        let _ready = poll(&mut fds, PollTimeout::from(millis));
    }

    /// Reads the kernel's counters.
    pub(super) fn look(&mut self, counters: &mut Counters) {
        let Ok(counted) = packet::statistics(self.socket.as_fd()) else { return };
        count(&mut counters.kernel_packets, u64::from(counted.packets));
        count(&mut counters.lost_ring, u64::from(counted.drops));
        count(&mut counters.ring_freezes, u64::from(counted.freezes));
    }

    /// Tells whether the interface that was opened is still the one of its name.
    pub(super) fn is_current(&self, name: &str) -> bool {
        if_nametoindex(name) == Ok(self.interface)
    }

    /// Gives back to the kernel what nobody reads any more, in the kernel's order.
    fn take_back(&mut self) {
        while self.lent > 0 {
            let chunk = self.chunks.get_mut(self.oldest).and_then(Arc::get_mut);
            let Some(chunk) = chunk else { return };
            chunk.give_back();
            self.oldest = self.following(self.oldest);
            self.lent = self.lent.saturating_sub(1);
        }
    }

    /// Tells whether the silence is that of an interface that is gone or down.
    fn state(&self) -> Reading {
        match getsockopt(&self.socket, SocketError) {
            Ok(0) => Reading::Empty,
            // down: the socket hears of it again when it is up; gone: `is_current` sees that
            Ok(_) => Reading::Down,
            Err(_) => Reading::Gone,
        }
    }

    fn following(&self, at: usize) -> usize {
        let next = at.saturating_add(1);
        if next < self.chunks.len() { next } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::pipeline::capture::live::Backend;

    /// Lends the next block to one that was cleared.
    fn lent(ring: &mut Ring) -> Block {
        let mut block = Block::without_memory(1);
        while ring.fill(&mut block, &mut Counters::default()) == Reading::Empty {
            ring.wait(100);
        }
        block
    }

    #[test]
    fn a_ring_that_is_lent_out_is_not_empty() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
        let address = socket.local_addr().expect("has one");
        let settings = LiveSettings {
            interface: "lo".to_owned(),
            backend: Backend::Afpacket,
            threads: 1,
            ring_mebibytes: 1,
            snap_bytes: 128,
            filter: format!("udp and dst port {}", address.port()),
            promiscuous: false,
            clocking: Clocking::Host,
            cpus: Vec::new(),
        };
        let opened = Ring::open(&settings, None);
        let needed = std::env::var_os("TAPSIEVE_CI").is_some();
        assert!(opened.is_ok() || !needed, "no packet sockets: run as root");
        let Ok(mut ring) = opened else { return };
        let send = || socket.send_to(b"one", address).expect("sent");
        // each is handed over before the next is sent
        let mut blocks = Vec::new();
        for _ in 0..CHUNKS_MIN {
            send();
            blocks.push(lent(&mut ring));
        }
        assert!(blocks.iter().all(|block| block.frames.len() == 1));
        let mut block = Block::without_memory(1);
        let mut fill = |ring: &mut Ring| ring.fill(&mut block, &mut Counters::default());
        assert_eq!(fill(&mut ring), Reading::Lent);
        // not the oldest
        blocks.pop();
        assert_eq!(fill(&mut ring), Reading::Lent);
        blocks.remove(0);
        assert_eq!(fill(&mut ring), Reading::Empty);
        send();
        assert_eq!(lent(&mut ring).frames.len(), 1);
    }
}
