//! What is kept of one flow: two cache lines.

use crate::model::flow::FlowKey;
use crate::model::flow::FlowView;
use crate::model::flow::Heading;
use crate::model::flow::Side;
use crate::model::packet::FrameId;
use crate::model::packet::Packet;
use crate::model::time::Timestamp;
use crate::pipeline::flow::NONE;
use crate::pipeline::flow::handshake::Mark;
use crate::pipeline::flow::handshake::Marks;
use crate::pipeline::flow::index::tag;
use crate::pipeline::flow::shown::ShownList;
use crate::pipeline::flow::stream::StreamId;
use crate::pipeline::flow::told::ToldList;

/// One flow of the table. The first cache line is what look-up and expiry read, the second what
/// every packet adds to.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(128))]
pub struct FlowSlot {
    pub(super) key: FlowKey,
    /// `clock_secs` of the last packet.
    pub(super) last_clock: u32,
    pub(super) marks: Marks,
    /// Of the set that the flow was last matched with, modulo 65,536.
    pub generation: u16,
    /// A `Reading` in four bytes.
    stream: u32,
    /// Latest time of a packet.
    pub(super) last: Timestamp,
    pub(super) first: Timestamp,
    pub(super) frame: FrameId,
    /// By heading.
    bytes: [u64; 2],
    /// By heading: the initial sequence number, or what passes for it until a SYN is seen.
    pub(super) isn: [u32; 2],
    /// Values told of this flow.
    pub told: ToldList,
    /// Values kept of this flow.
    pub shown: ShownList,
    /// What the index knows this slot by.
    pub(super) tag: u32,
    /// By heading.
    packets: [Count; 2],
}

/// A count of 48 bits, so that a slot fits its two lines: a flow of 10 million packets a second for
/// 300 days.
#[derive(Clone, Copy, Debug, Default)]
struct Count([u8; 6]);

const _: () = assert!(size_of::<FlowSlot>() == 128);

impl FlowSlot {
    /// Returns the flow that `packet` opens; nothing is counted yet.
    pub(super) fn new(packet: &Packet) -> Self {
        let mut marks = Marks::default();
        marks.set(Mark::Live);
        marks.set_opener(packet.heading);
        Self {
            key: packet.key,
            last_clock: packet.clock_secs,
            marks,
            generation: 0,
            stream: NONE,
            last: packet.time,
            first: packet.time,
            frame: packet.frame,
            bytes: [0; 2],
            isn: [0; 2],
            told: ToldList::default(),
            shown: ShownList::default(),
            tag: tag(packet.hash),
            packets: [Count::default(); 2],
        }
    }

    /// Adds a packet to the sums.
    pub(super) fn add(&mut self, packet: &Packet) {
        of_mut(&mut self.packets, packet.heading).add_one();
        let bytes = of_mut(&mut self.bytes, packet.heading);
        *bytes = bytes.saturating_add(u64::from(packet.ip_bytes));
        self.last_clock = self.last_clock.max(packet.clock_secs);
        self.last = self.last.max(packet.time);
        self.frame = packet.frame;
    }

    /// Reads a little of each cache line, to have them near.
    pub(super) fn touch(&self) -> u32 {
        self.last_clock ^ self.tag
    }

    /// Returns the packets of both sides so far.
    pub fn packets_total(&self) -> u64 {
        let [up, down] = self.packets;
        up.total().saturating_add(down.total())
    }

    /// Returns what hits and observations say of this flow.
    pub fn view(&self) -> FlowView {
        FlowView { key: self.key, opener: self.marks.opener(), first: self.first }
    }

    /// Returns how far the reading of this flow is.
    pub fn reading(&self) -> Reading {
        match self.stream {
            NONE => Reading::Unread,
            FINISHED => Reading::Finished,
            id => Reading::Open(StreamId(id)),
        }
    }

    /// Notes how far the reading of this flow is.
    pub fn set_reading(&mut self, reading: Reading) {
        self.stream = match reading {
            Reading::Unread => NONE,
            Reading::Finished => FINISHED,
            Reading::Open(StreamId(id)) => id,
        };
    }

    /// Returns the sequence number of the first byte that `side` sends, where a SYN told it.
    pub fn start(&self, side: Side) -> Option<u32> {
        let heading = side.heading(self.marks.opener());
        let isn = *of(&self.isn, heading);
        self.marks.has(Mark::Isn(heading)).then(|| isn.wrapping_add(1))
    }

    /// Returns why this flow is over: closed if it was, else `reason`.
    pub(super) fn reason(&self, reason: EndReason) -> EndReason {
        if self.marks.is_closed() { EndReason::Closed } else { reason }
    }

    /// Returns what is told of this flow when it is over.
    pub(super) fn end(&self, reason: EndReason, over_secs: u32) -> FlowEnd {
        let turn = |[up, down]: [u64; 2]| match self.marks.opener() {
            Heading::Up => [up, down],
            Heading::Down => [down, up],
        };
        FlowEnd {
            view: self.view(),
            packets: turn(self.packets.map(Count::total)),
            bytes: turn(self.bytes),
            last: self.last,
            frame: self.frame,
            over_secs,
            reason,
            reading: self.reading(),
            told: self.told,
            shown: self.shown,
        }
    }
}

impl Count {
    fn total(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    }

    fn add_one(&mut self) {
        let [a, b, c, d, e, f, _, _] = self.total().saturating_add(1).to_le_bytes();
        self.0 = [a, b, c, d, e, f];
    }
}

/// How far the reading of a flow's payload is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reading {
    /// No payload yet.
    Unread,
    /// A stream is being read.
    Open(StreamId),
    /// Nothing more is read: later packets only count.
    Finished,
}

const FINISHED: u32 = NONE - 1;

/// A flow that is over; its stream and its values must be released by who gets this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowEnd {
    /// The flow.
    pub view: FlowView,
    /// Packets of the opener, and of the other end.
    pub packets: [u64; 2],
    /// Bytes of IP packets of the opener, and of the other end.
    pub bytes: [u64; 2],
    /// Latest time of a packet.
    pub last: Timestamp,
    /// The last packet.
    pub frame: FrameId,
    /// Second of the packet clock at which it was over, however much later that was found out;
    /// `u32::MAX` where the input ended first.
    pub over_secs: u32,
    /// Why.
    pub reason: EndReason,
    /// The stream to release, if one is open.
    pub reading: Reading,
    /// The told values to release.
    pub told: ToldList,
    /// The kept values to release.
    pub shown: ShownList,
}

/// Why a flow is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndReason {
    /// No packet for the idle limit.
    Idle,
    /// Closed or reset, or a SYN began a new one.
    Closed,
    /// The table was full, and this one was idle longest.
    Evicted,
    /// The input ended.
    End,
}

/// Returns the one of a pair by heading that belongs to `heading`.
pub(super) fn of<T>(pair: &[T; 2], heading: Heading) -> &T {
    let [up, down] = pair;
    match heading {
        Heading::Up => up,
        Heading::Down => down,
    }
}

/// Returns the one of a pair by heading that belongs to `heading`, to change it.
pub(super) fn of_mut<T>(pair: &mut [T; 2], heading: Heading) -> &mut T {
    let [up, down] = pair;
    match heading {
        Heading::Up => up,
        Heading::Down => down,
    }
}
