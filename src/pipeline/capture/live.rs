//! Live capture through libpcap: frames are copied once, out of the kernel's ring into blocks.
//!
//! Spec:   packet(7): `PACKET_MMAP` version 3, `PACKET_FANOUT`; pcap(3PCAP)
//! Reads:  one interface, by one or several handles that share its flows
//! Yields: frames with the kernel's time, VLAN tags put back by libpcap
//! Bounds: the ring (`ring_mebibytes`), `snap_bytes`; what the ring has no room for the kernel
//!         counts
//! Leaves: hardware time stamps
#![allow(clippy::disallowed_methods, reason = "a live source is where time enters")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use pcap::Active;
use pcap::Capture;
use pcap::Packet;
use pcap::Precision;
use std::os::fd::AsFd;

use crate::model::block::Block;
use crate::model::bytes::narrow;
use crate::model::counters::Counters;
use crate::model::limits::BLOCK_FRAMES_MAX;
use crate::model::packet::Frame;
use crate::model::packet::FrameId;
use crate::model::time::Timestamp;
use crate::pipeline::capture::Source;
use crate::pipeline::capture::State;
use crate::pipeline::capture::packet_socket::join_fanout;

/// Milliseconds after which the kernel hands over a part of the ring that is not full.
const RETIRE_MILLIS: i32 = 10;

/// Milliseconds of silence after which an empty block tells the time.
const SILENCE_MILLIS: u16 = 100;

/// How often the kernel's counters are read, and an interface that is gone is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a source that was told to stop reads on, while the ring still has something.
const DRAIN_AT_MOST: Duration = Duration::from_secs(2);

/// How an interface is captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSettings {
    /// The interface's name.
    pub interface: String,
    /// Handles, each with a thread and a ring of its own; they share the flows.
    pub threads: u16,
    /// Memory of each handle's ring, 1 to 2,047 MiB.
    pub ring_mebibytes: u32,
    /// Bytes kept of a frame, at most.
    pub snap_bytes: u32,
    /// BPF expression; empty: everything.
    pub filter: String,
    /// Frames for other stations, too.
    pub promiscuous: bool,
}

/// Why an interface cannot be captured.
#[derive(Debug, thiserror::Error)]
#[error("cannot capture on {interface}: {fault}")]
pub struct LiveError {
    interface: String,
    fault: Fault,
}

/// What is wrong with an interface.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// libpcap's words: not there, not permitted, a filter that makes no sense.
    #[error(transparent)]
    Pcap(#[from] pcap::Error),
    /// The kernel's.
    #[error("its handles cannot share its flows (PACKET_FANOUT): {0}")]
    Fanout(#[from] io::Error),
}

/// One handle on an interface.
pub struct Live {
    settings: LiveSettings,
    /// Group of the handles that share an interface; `None`: there is one.
    group: Option<u16>,
    /// Index of the first frame's input.
    source: u32,
    number: u64,
    capture: Option<Capture<Active>>,
    link: u16,
    /// Frames before this time were seen by every handle, as not all had joined the group.
    since: Timestamp,
    /// A frame that the last block had no room for.
    carried: Option<(Frame, Vec<u8>)>,
    kernel: Kernel,
    looked: Instant,
    stop: Arc<AtomicBool>,
    stopping: Option<Instant>,
    counters: Counters,
}

/// The kernel's counters of a handle as last read: they wrap at 32 bits.
#[derive(Clone, Copy, Debug, Default)]
struct Kernel {
    received: u32,
    dropped: u32,
    dropped_before: u32,
}

impl Live {
    /// Opens all handles of an interface; `first` is the number of the first source. `stop` ends
    /// the reading, once the rings are empty.
    ///
    /// # Errors
    ///
    /// When the interface is not there, may not be captured, or the filter is wrong.
    pub fn open(
        settings: &LiveSettings,
        first: u32,
        stop: &Arc<AtomicBool>,
    ) -> Result<Vec<Self>, LiveError> {
        let group = (settings.threads > 1).then(|| group_of(&settings.interface, first));
        let mut handles = Vec::new();
        for source in (first..).take(usize::from(settings.threads.max(1))) {
            let mut live = Self {
                settings: settings.clone(),
                group,
                source,
                number: 0,
                capture: None,
                link: 0,
                since: Timestamp::default(),
                carried: None,
                kernel: Kernel::default(),
                looked: Instant::now(),
                stop: Arc::clone(stop),
                stopping: None,
                counters: Counters::default(),
            };
            live.connect()
                .map_err(|fault| LiveError { interface: settings.interface.clone(), fault })?;
            handles.push(live);
        }
        if group.is_some() {
            let since = now();
            handles.iter_mut().for_each(|handle| handle.since = since);
        }
        Ok(handles)
    }

    /// Returns the name of its interface.
    pub fn interface(&self) -> &str {
        &self.settings.interface
    }

    /// Opens the handle, and puts it into its group.
    fn connect(&mut self) -> Result<(), Fault> {
        let settings = &self.settings;
        let ring_bytes = i32::try_from(settings.ring_mebibytes.saturating_mul(1 << 20));
        let mut capture = Capture::from_device(settings.interface.as_str())?
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
        if let Some(group) = self.group {
            join_fanout(capture.as_fd(), group)?;
        }
        self.link = u16::try_from(capture.get_datalink().0).unwrap_or(u16::MAX);
        self.kernel = Kernel::default();
        self.capture = Some(capture);
        Ok(())
    }

    /// Reads until the block is full or the ring is empty.
    fn read(&mut self, block: &mut Block) -> State {
        let mut at = self.take_carried(block);
        loop {
            let Some(capture) = &mut self.capture else { return self.reconnect(block) };
            match capture.next_packet() {
                Ok(packet) => {
                    let frame = frame_of(&packet, self.link);
                    if frame.time < self.since {
                        continue;
                    }
                    self.number = self.number.saturating_add(1);
                    let id = FrameId::new(self.source, self.number);
                    let frame = Frame { id, ..frame };
                    if !put(block, &mut at, frame, packet.data) {
                        self.carried = Some((frame, packet.data.to_vec()));
                        return State::More;
                    }
                }
                Err(pcap::Error::TimeoutExpired) => return self.wait(block),
                Err(_gone) => {
                    // what was dropped since the last look is known to nobody else
                    self.look();
                    self.capture = None;
                    count(&mut self.counters.interfaces_lost, 1);
                    return State::More;
                }
            }
        }
    }

    /// The ring is empty: hands over what there is, or waits for more.
    fn wait(&mut self, block: &Block) -> State {
        if !block.frames.is_empty() {
            return State::More;
        }
        if self.stop.load(Ordering::Relaxed) {
            return State::Ended;
        }
        if let Some(capture) = &self.capture {
            let mut fds = [PollFd::new(capture.as_fd(), PollFlags::POLLIN)];
            // an error of the interface shows when it is read
            let _ready = poll(&mut fds, PollTimeout::from(SILENCE_MILLIS));
        }
        State::More
    }

    /// The interface is gone: tries to open it again, now and then.
    fn reconnect(&mut self, block: &Block) -> State {
        if !block.frames.is_empty() {
            return State::More;
        }
        if self.stop.load(Ordering::Relaxed) {
            return State::Ended;
        }
        if self.looked.elapsed() < LOOK_EVERY || self.connect().is_err() {
            std::thread::sleep(Duration::from_millis(u64::from(SILENCE_MILLIS)));
        }
        State::More
    }

    fn take_carried(&mut self, block: &mut Block) -> usize {
        let mut at = 0;
        if let Some((frame, bytes)) = self.carried.take() {
            put(block, &mut at, frame, &bytes);
        }
        at
    }

    /// Reads the kernel's counters.
    fn look(&mut self) {
        self.looked = Instant::now();
        let Some(capture) = &mut self.capture else { return };
        let Ok(stats) = capture.stats() else { return };
        let before = self.kernel;
        self.kernel = Kernel {
            received: stats.received,
            dropped: stats.dropped,
            dropped_before: stats.if_dropped,
        };
        let more = |now: u32, before: u32| u64::from(now.wrapping_sub(before));
        let counters = &mut self.counters;
        count(&mut counters.kernel_packets, more(stats.received, before.received));
        count(&mut counters.lost_ring, more(stats.dropped, before.dropped));
        count(&mut counters.lost_interface, more(stats.if_dropped, before.dropped_before));
    }

    /// Tells whether a source that was told to stop has read on long enough.
    fn is_drained(&mut self) -> bool {
        if !self.stop.load(Ordering::Relaxed) {
            return false;
        }
        self.stopping.get_or_insert_with(Instant::now).elapsed() > DRAIN_AT_MOST
    }
}

impl Source for Live {
    fn fill(&mut self, block: &mut Block) -> State {
        let state = if self.is_drained() { State::Ended } else { self.read(block) };
        if block.frames.is_empty() {
            block.now_secs = now().secs();
        }
        let bytes = block.frames.iter().map(|frame| u64::from(frame.captured_bytes)).sum();
        count(&mut self.counters.live_packets, u64::from(narrow(block.frames.len())));
        count(&mut self.counters.live_bytes, bytes);
        block.last = FrameId::new(self.source, self.number);
        self.counters.handles_down = u64::from(self.capture.is_none());
        if state == State::Ended || (self.capture.is_some() && self.looked.elapsed() >= LOOK_EVERY)
        {
            self.look();
        }
        state
    }

    fn counters(&self) -> &Counters {
        &self.counters
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

/// A number for a group that no other process is likely to use on this interface.
fn group_of(interface: &str, first: u32) -> u16 {
    let pid = std::process::id();
    let name = interface.bytes().fold(0_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(byte));
    let [a, b, ..] = (pid ^ name ^ first.rotate_left(7)).to_le_bytes();
    u16::from_le_bytes([a, b])
}

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(now.as_secs(), u64::from(now.subsec_nanos()))
}

fn count(counter: &mut u64, n: u64) {
    *counter = counter.saturating_add(n);
}
