//! Live capture on an interface: by a packet ring of our own (`ring`), or by libpcap (`libpcap`).
//!
//! Spec:   packet(7): `PACKET_MMAP` version 3, `PACKET_FANOUT`
//! Reads:  one interface, by one or several handles that share its flows
//! Yields: frames with the kernel's time, or the adapter's
//! Bounds: the ring (`ring_mebibytes`), `snap_bytes`; what the ring has no room for the kernel
//!         counts
//! Leaves: which frames an adapter lost before the kernel saw them: `control/sensor` asks it
#![allow(clippy::disallowed_methods, reason = "a live source is where time enters")]

mod interface;
mod libpcap;
mod ring;
mod tpacket;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::hash::Hasher;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use crate::model::block::Block;
use crate::model::bytes::narrow;
use crate::model::counters::Counters;
use crate::model::packet::FrameId;
use crate::model::time::Timestamp;
use crate::pipeline::capture::Source;
use crate::pipeline::capture::State;
pub use crate::pipeline::capture::live::interface::Interface;
use crate::pipeline::capture::live::libpcap::Handle;
use crate::pipeline::capture::live::ring::Ring;

/// Silence after which an empty block tells the time.
const SILENCE: Duration = Duration::from_millis(100);

/// How often the kernel's counters are read, and an interface that is gone is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long frames from before all handles were there may still lie in a ring; and how long one
/// that was opened again waits for the others.
const SETTLING: Duration = Duration::from_secs(2);

/// How long a source that was told to stop reads on, while the ring still has something.
const DRAIN_AT_MOST: Duration = Duration::from_secs(2);

/// How an interface is captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveSettings {
    /// The interface's name.
    pub interface: String,
    /// What reads it.
    pub backend: Backend,
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
    /// Whose clock stamps frames.
    pub clocking: Clocking,
    /// The CPU of each handle's thread; empty: any.
    pub cpus: Vec<u16>,
}

/// What reads an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// libpcap: any link type; each frame is copied once.
    Pcap,
    /// A packet ring of our own: Ethernet and raw IP; no frame is copied.
    Afpacket,
}

/// Whose clock stamps frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocking {
    /// The host's, when the kernel takes a frame.
    Host,
    /// The adapter's, when it arrives; one that does not stamp all frames is refused.
    Adapter,
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
    #[error(transparent)]
    Kernel(#[from] io::Error),
    /// The kernel's, of a group of handles.
    #[error("its handles cannot share its flows (PACKET_FANOUT): {0}")]
    Fanout(io::Error),
    /// The kernel's, of a ring.
    #[error("no memory for its ring (PACKET_RX_RING): {0}; give a smaller `ring_mebibytes`")]
    Ring(io::Error),
    /// The kernel's, of an adapter's clock.
    #[error(
        "its adapter does not stamp all frames ({0}; see `ethtool -T`): give `clock = \"host\"`"
    )]
    Clock(io::Error),
    /// Not Ethernet, not raw IP.
    #[error("`backend = \"afpacket\"` does not read link type {0}: use \"pcap\"")]
    Link(u16),
}

/// One handle on an interface.
pub struct Live {
    settings: LiveSettings,
    /// Group of the handles that share an interface; `None`: there is one.
    group: Option<u16>,
    /// Index of the first frame's input.
    source: u32,
    number: u64,
    capture: Option<Capture>,
    interface: Arc<Interface>,
    /// When it was opened last. Frames from before all handles had joined their group, or from
    /// before the start, are left out. Only for a while: later, times may go back as clocks are
    /// set, and a handle that cannot be opened again must not blind the others.
    opened: Instant,
    is_settled: bool,
    begun: Instant,
    begun_secs: u32,
    looked: Instant,
    stop: Arc<AtomicBool>,
    stopping: Option<Instant>,
    counters: Counters,
}

/// What reads an interface, open.
enum Capture {
    Pcap(Handle),
    Ring(Ring),
}

/// How filling a block went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// It has frames; there may be more.
    More,
    /// There is nothing now.
    Empty,
    /// All of the ring is lent: there may be something once blocks are cleared.
    Lent,
    /// The interface is down; it may come back.
    Down,
    /// The interface is gone.
    Gone,
}

impl Live {
    /// Opens all handles of an interface; `first` is the number of the first source. `stop` ends
    /// the reading, once the rings are empty. With `waits` an interface that is down is opened once
    /// it is up.
    ///
    /// # Errors
    ///
    /// When the interface is not there, is down, may not be captured, or the filter is wrong.
    pub fn open(
        settings: &LiveSettings,
        first: u32,
        stop: &Arc<AtomicBool>,
        waits: bool,
    ) -> Result<Vec<Self>, LiveError> {
        let group = (settings.threads > 1).then(|| group_of(&settings.interface, first));
        let count = settings.threads.max(1);
        let interface = Arc::new(Interface::new(&settings.interface, count));
        let mut handles = Vec::new();
        for source in (first..).take(usize::from(count)) {
            let capture = match Capture::open(settings, group) {
                Ok(capture) => Some(capture),
                Err(_) if waits && is_down(&settings.interface) => None,
                Err(error) => return Err(error),
            };
            if capture.is_some() {
                interface.join(now());
            }
            handles.push(Self {
                settings: settings.clone(),
                group,
                source,
                number: 0,
                capture,
                interface: Arc::clone(&interface),
                opened: Instant::now(),
                is_settled: false,
                begun: Instant::now(),
                begun_secs: 0,
                looked: Instant::now(),
                stop: Arc::clone(stop),
                stopping: None,
                counters: Counters::default(),
            });
        }
        Self::begin(&mut handles);
        Ok(handles)
    }

    /// Begins anew: what came before is left out, and what was lost before was nobody's loss.
    pub fn begin(handles: &mut [Self]) {
        let since = now();
        for handle in handles {
            handle.interface.begin(since);
            (handle.opened, handle.is_settled) = (Instant::now(), false);
            (handle.begun, handle.begun_secs) = (handle.opened, since.secs());
            handle.look();
            let lost = std::mem::take(&mut handle.counters.lost_ring);
            count(&mut handle.counters.early_packets, lost);
        }
    }

    /// Returns its interface.
    pub fn interface(&self) -> &Arc<Interface> {
        &self.interface
    }

    /// Fills a block, or waits for something to fill it with.
    fn read(&mut self, block: &mut Block) -> State {
        let waited = Instant::now();
        loop {
            let Some(capture) = &mut self.capture else { return self.reconnect() };
            match capture.fill(block, &mut self.counters) {
                Reading::More => self.number_frames(block),
                Reading::Empty => {}
                // the capturer clears blocks before it comes again, and waits for one in the end
                Reading::Lent => return State::More,
                // it may come back as it is; whether it is down the control thread sees
                Reading::Down if capture.is_current(&self.settings.interface) => {}
                Reading::Down | Reading::Gone => self.let_go(),
            }
            if !block.frames.is_empty() || block.lent.is_some() {
                return State::More;
            }
            if self.stop.load(Ordering::Relaxed) {
                return State::Ended;
            }
            if waited.elapsed() >= SILENCE {
                return State::More;
            }
            if let Some(capture) = &self.capture {
                capture.wait(u16::try_from(SILENCE.as_millis()).unwrap_or(u16::MAX));
            }
        }
    }

    /// Numbers the frames of a block; leaves out what is too early.
    fn number_frames(&mut self, block: &mut Block) {
        if !self.is_settled {
            let since = self.interface.since();
            let before = block.frames.len();
            block.frames.retain(|frame| frame.time >= since);
            let early = before.saturating_sub(block.frames.len());
            count(&mut self.counters.early_packets, u64::from(narrow(early)));
        }
        let mut bytes = 0_u64;
        for frame in &mut block.frames {
            self.number = self.number.saturating_add(1);
            frame.id = FrameId::new(self.source, self.number);
            bytes = bytes.saturating_add(u64::from(frame.captured_bytes));
        }
        count(&mut self.counters.live_packets, u64::from(narrow(block.frames.len())));
        count(&mut self.counters.live_bytes, bytes);
    }

    /// Gives up a handle whose interface is gone.
    fn let_go(&mut self) {
        // what was dropped since the last look is known to nobody else
        self.look();
        self.lose_held();
        self.capture = None;
        self.interface.leave();
        count(&mut self.counters.interfaces_lost, 1);
    }

    /// What the ring still holds goes with it.
    fn lose_held(&mut self) {
        let held = std::mem::take(&mut self.counters.kernel_held);
        count(&mut self.counters.lost_ring_left, held);
    }

    /// The interface is gone: tries to open it again, now and then.
    fn reconnect(&mut self) -> State {
        if self.stop.load(Ordering::Relaxed) {
            return State::Ended;
        }
        if self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            match Capture::open(&self.settings, self.group) {
                Ok(capture) => self.join_again(capture),
                Err(error) => self.interface.refuse(error),
            }
        }
        if self.capture.is_none() {
            std::thread::sleep(SILENCE);
        }
        State::More
    }

    /// Reads the interface again. A handle alone has all flows at once; one of several waits for
    /// the others, since the kernel deals flows anew with each that joins.
    fn join_again(&mut self, capture: Capture) {
        self.interface.join(now());
        self.capture = Some(capture);
        (self.opened, self.is_settled) = (Instant::now(), self.group.is_none());
    }

    /// Reads the kernel's counters; sees whether the interface is still the one that was opened.
    fn look(&mut self) {
        self.looked = Instant::now();
        self.is_settled |= self.opened.elapsed() > SETTLING;
        let Some(capture) = &mut self.capture else { return };
        capture.look(&mut self.counters);
        let counters = &mut self.counters;
        let taken = [
            counters.live_packets,
            counters.early_packets,
            counters.lost_ring_damaged,
            counters.lost_ring_left,
        ];
        let taken = taken.iter().fold(counters.lost_ring, |sum, n| sum.saturating_add(*n));
        counters.kernel_held = counters.kernel_packets.saturating_sub(taken);
        counters.kernel_short = taken.saturating_sub(counters.kernel_packets);
    }

    /// Looks, where it is time to; an interface that has another number now is another one.
    fn look_at_times(&mut self) {
        if self.capture.is_none() || self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.look();
        let name = &self.settings.interface;
        if self.capture.as_ref().is_some_and(|capture| !capture.is_current(name)) {
            self.let_go();
        }
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
        // not by the host's clock, which may be set: flows are idle by the time that passed
        let passed = u32::try_from(self.begun.elapsed().as_secs()).unwrap_or(u32::MAX);
        block.now_secs = self.begun_secs.saturating_add(passed);
        block.last = FrameId::new(self.source, self.number);
        if state == State::Ended {
            self.look();
            self.lose_held();
        } else {
            self.look_at_times();
        }
        self.counters.handles_down = u64::from(self.capture.is_none());
        state
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn lends(&self) -> bool {
        self.settings.backend == Backend::Afpacket
    }
}

impl Capture {
    fn open(settings: &LiveSettings, group: Option<u16>) -> Result<Self, LiveError> {
        let opened = match settings.backend {
            Backend::Pcap => Handle::open(settings, group).map(Self::Pcap),
            Backend::Afpacket => Ring::open(settings, group).map(Self::Ring),
        };
        opened.map_err(|fault| LiveError { interface: settings.interface.clone(), fault })
    }

    fn fill(&mut self, block: &mut Block, counters: &mut Counters) -> Reading {
        match self {
            Self::Pcap(handle) => handle.fill(block),
            Self::Ring(ring) => ring.fill(block, counters),
        }
    }

    fn wait(&self, millis: u16) {
        match self {
            Self::Pcap(handle) => handle.wait(millis),
            Self::Ring(ring) => ring.wait(millis),
        }
    }

    fn look(&mut self, counters: &mut Counters) {
        match self {
            Self::Pcap(handle) => handle.look(counters),
            Self::Ring(ring) => ring.look(counters),
        }
    }

    fn is_current(&self, name: &str) -> bool {
        match self {
            Self::Pcap(handle) => handle.is_current(name),
            Self::Ring(ring) => ring.is_current(name),
        }
    }
}

/// Tells whether an interface is there, but switched off.
fn is_down(name: &str) -> bool {
    let mut all = getifaddrs().into_iter().flatten();
    let own = all.find(|entry| entry.interface_name == name);
    own.is_some_and(|entry| !entry.flags.contains(InterfaceFlags::IFF_UP))
}

/// A number for a group that no other process is likely to use on this interface.
fn group_of(interface: &str, first: u32) -> u16 {
    // in containers a process's number is small, and the same in each
    let pid = std::process::id() ^ narrow_hash(RandomState::new().build_hasher().finish());
    let name = interface.bytes().fold(0_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(byte));
    let [a, b, ..] = (pid ^ name ^ first.rotate_left(7)).to_le_bytes();
    u16::from_le_bytes([a, b])
}

fn narrow_hash(hash: u64) -> u32 {
    let [a, b, c, d, ..] = hash.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(now.as_secs(), u64::from(now.subsec_nanos()))
}

fn count(counter: &mut u64, n: u64) {
    *counter = counter.saturating_add(n);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::packet::Frame;

    fn live(interface: &Arc<Interface>) -> Live {
        let settings = LiveSettings {
            interface: interface.name().to_owned(),
            backend: Backend::Afpacket,
            threads: 2,
            ring_mebibytes: 1,
            snap_bytes: 128,
            filter: String::new(),
            promiscuous: false,
            clocking: Clocking::Host,
            cpus: Vec::new(),
        };
        Live {
            settings,
            group: Some(7),
            source: 0,
            number: 0,
            capture: None,
            interface: Arc::clone(interface),
            opened: Instant::now(),
            is_settled: false,
            begun: Instant::now(),
            begun_secs: 0,
            looked: Instant::now(),
            stop: Arc::default(),
            stopping: None,
            counters: Counters::default(),
        }
    }

    #[test]
    fn frames_from_before_all_handles_have_joined_are_left_out_and_counted() {
        let interface = Arc::new(Interface::new("tap0", 2));
        let mut live = live(&interface);
        // which of the frames of 10, 20 and 30 ns are kept
        let mut check = |settled: bool, kept: &[u64]| {
            let mut block = Block::without_memory(1);
            block.frames.extend([10, 20, 30].map(|ns| Frame {
                time: Timestamp(ns),
                id: FrameId::default(),
                at: 0,
                captured_bytes: 60,
                wire_bytes: 60,
                link: 1,
            }));
            (live.is_settled, live.counters) = (settled, Counters::default());
            live.number_frames(&mut block);
            let times: Vec<u64> = block.frames.iter().map(|frame| frame.time.0).collect();
            let (all, early) = (live.counters.live_packets, live.counters.early_packets);
            assert_eq!((times.as_slice(), all + early), (kept, 3));
            assert_eq!(live.counters.live_bytes, 60 * all);
        };
        interface.join(Timestamp(5));
        check(false, &[]);
        // the other does not come: not for ever
        check(true, &[10, 20, 30]);
        interface.join(Timestamp(20));
        check(false, &[20, 30]);
        interface.leave();
        check(false, &[]);
        interface.join(Timestamp(25));
        check(false, &[30]);
        check(true, &[10, 20, 30]);
    }
}
