//! Live capture through libpcap: frames are copied once, out of the kernel's ring into blocks.
//!
//! Spec:   pcap(3PCAP), pcap-tstamp(7)
//! Reads:  one interface of any kind that libpcap knows
//! Yields: frames with VLAN tags put back by libpcap
//! Bounds: the ring (`ring_mebibytes`), `snap_bytes`; what the ring has no room for the kernel
//!         counts
//! Leaves: the ring's freeze count: libpcap does not tell it

use std::os::fd::AsFd;

use nix::net::if_::if_nametoindex;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use pcap::Active;
use pcap::BpfProgram;
use pcap::Capture;
use pcap::Packet;
use pcap::Precision;

use crate::model::block::Block;
use crate::model::bytes::narrow;
use crate::model::counters::Counters;
use crate::model::limits::BLOCK_FRAMES_MAX;
use crate::model::packet::Frame;
use crate::model::packet::FrameId;
use crate::model::time::Timestamp;
use crate::pipeline::capture::live::Clocking;
use crate::pipeline::capture::live::Fault;
use crate::pipeline::capture::live::LiveSettings;
use crate::pipeline::capture::live::Reading;
use crate::pipeline::capture::live::count;
use crate::pipeline::capture::packet_socket::ignore_outgoing;
use crate::pipeline::capture::packet_socket::join_fanout;
use crate::pipeline::capture::packet_socket::stamp_by_adapter;

/// Milliseconds after which the kernel hands over a part of the ring that is not full.
const RETIRE_MILLIS: i32 = 10;

/// LINKTYPE_RAW, and what libpcap calls it here (DLT_RAW).
const RAW: (u16, i32) = (101, 12);

/// A handle of libpcap.
pub(super) struct Handle {
    capture: Capture<Active>,
    interface: u32,
    link: u16,
    /// A frame that the last block had no room for.
    carried: Option<Frame>,
    /// Its bytes; the memory is kept.
    carried_bytes: Vec<u8>,
    kernel: Kernel,
}

/// The kernel's counters of a handle as last read: they wrap at 32 bits.
#[derive(Clone, Copy, Debug, Default)]
struct Kernel {
    received: u32,
    dropped: u32,
}

impl Handle {
    /// Opens an interface, and joins its group.
    pub(super) fn open(settings: &LiveSettings, group: Option<u16>) -> Result<Self, Fault> {
        let name = settings.interface.as_str();
        let ring_bytes = i32::try_from(settings.ring_mebibytes.saturating_mul(1 << 20));
        let mut capture = Capture::from_device(name)?
            .promisc(settings.promiscuous)
            .snaplen(i32::try_from(settings.snap_bytes).unwrap_or(i32::MAX))
            .buffer_size(ring_bytes.unwrap_or(i32::MAX))
            .timeout(RETIRE_MILLIS)
            .precision(Precision::Nano)
            .open()?
            .setnonblock()?;
        if !settings.filter.is_empty() {
            capture.filter(&settings.filter, true)?;
        }
        if name == "lo" {
            ignore_outgoing(capture.as_fd())?;
        }
        // libpcap's own way falls back to the host's clock and says nothing
        if settings.clocking == Clocking::Adapter {
            stamp_by_adapter(capture.as_fd(), name).map_err(Fault::Clock)?;
        }
        if let Some(group) = group {
            join_fanout(capture.as_fd(), group).map_err(Fault::Fanout)?;
        }
        Ok(Self {
            link: link_of(&capture),
            interface: if_nametoindex(name).unwrap_or_default(),
            capture,
            carried: None,
            carried_bytes: Vec::new(),
            kernel: Kernel::default(),
        })
    }

    /// Copies frames into a cleared block until it is full or the ring is empty.
    pub(super) fn fill(&mut self, block: &mut Block) -> Reading {
        let mut at = 0;
        if let Some(frame) = self.carried.take() {
            put(block, &mut at, frame, &self.carried_bytes);
        }
        loop {
            match self.capture.next_packet() {
                Ok(packet) => {
                    let frame = frame_of(&packet, self.link);
                    if !put(block, &mut at, frame, packet.data) {
                        self.carried = Some(frame);
                        self.carried_bytes.clear();
                        self.carried_bytes.extend_from_slice(packet.data);
                        return Reading::More;
                    }
                }
                Err(_) if !block.frames.is_empty() => return Reading::More,
                Err(pcap::Error::TimeoutExpired) => return Reading::Empty,
                Err(_gone) => return Reading::Gone,
            }
        }
    }

    /// Waits until there is something to read, or for a while.
    pub(super) fn wait(&self, millis: u16) {
        let mut fds = [PollFd::new(self.capture.as_fd(), PollFlags::POLLIN)];
        // an error of the interface shows when it is read
        let _ready = poll(&mut fds, PollTimeout::from(millis));
    }

    /// Reads the kernel's counters.
    pub(super) fn look(&mut self, counters: &mut Counters) {
        let Ok(stats) = self.capture.stats() else { return };
        let before = self.kernel;
        self.kernel = Kernel { received: stats.received, dropped: stats.dropped };
        let more = |now: u32, before: u32| u64::from(now.wrapping_sub(before));
        count(&mut counters.kernel_packets, more(stats.received, before.received));
        count(&mut counters.lost_ring, more(stats.dropped, before.dropped));
    }

    /// Tells whether the interface that was opened is still the one of its name.
    pub(super) fn is_current(&self, name: &str) -> bool {
        if_nametoindex(name) == Ok(self.interface)
    }
}

/// A handle that captures nothing: it knows an interface's link type, and filters for it.
pub(super) struct Probe(Capture<Active>);

impl Probe {
    /// Opens one.
    pub(super) fn of(settings: &LiveSettings) -> Result<Self, Fault> {
        let snap_bytes = i32::try_from(settings.snap_bytes).unwrap_or(i32::MAX);
        let capture = Capture::from_device(settings.interface.as_str())?
            .promisc(false)
            .snaplen(snap_bytes)
            .timeout(RETIRE_MILLIS)
            .open()?;
        Ok(Self(capture))
    }

    /// Returns the link type of the interface's frames.
    pub(super) fn link(&self) -> u16 {
        link_of(&self.0)
    }

    /// Compiles a filter for live frames, whose VLAN tags the kernel holds apart.
    pub(super) fn compile(&self, filter: &str) -> Result<BpfProgram, Fault> {
        Ok(self.0.compile(filter, true)?)
    }
}

fn link_of(capture: &Capture<Active>) -> u16 {
    match capture.get_datalink().0 {
        link if link == RAW.1 => RAW.0,
        link => u16::try_from(link).unwrap_or(u16::MAX),
    }
}

/// Copies a frame into a block; `false`: there is no room for it.
fn put(block: &mut Block, at: &mut usize, frame: Frame, bytes: &[u8]) -> bool {
    let end = at.saturating_add(bytes.len());
    let full = block.frames.len() >= BLOCK_FRAMES_MAX;
    let Some(room) = block.bytes.get_mut(*at..end).filter(|_| !full) else { return false };
    room.copy_from_slice(bytes);
    block.frames.push(Frame { at: narrow(*at), ..frame });
    *at = end;
    true
}

fn frame_of(packet: &Packet<'_>, link: u16) -> Frame {
    let secs = u64::try_from(packet.header.ts.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(packet.header.ts.tv_usec).unwrap_or(0);
    Frame {
        time: Timestamp::new(secs, nanos),
        id: FrameId::default(),
        at: 0,
        captured_bytes: narrow(packet.data.len()),
        wire_bytes: packet.header.len,
        link,
    }
}
