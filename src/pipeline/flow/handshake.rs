//! What TCP flags mean for a flow: who opened it, whether it is established or closed, whether a SYN begins a new one.
//!
//! Spec:   RFC 9293 §3.5 (SYN, handshake), §3.6 (close), §3.5.2 (reset); contract §3
//! Reads:  flags, sequence and acknowledgement numbers of one packet at a time
//! Yields: the marks of a flow
//! Bounds: a SYN may come `LATE_BYTES_MAX` of its sender's sequence space late
//! Leaves: validity of sequence numbers: a tap cannot know what an end accepts

use crate::model::flow::Heading;
use crate::model::packet::Packet;
use crate::model::packet::Payload;
use crate::model::packet::tcp_flag;
use crate::pipeline::flow::slot::FlowSlot;
use crate::pipeline::flow::slot::of;
use crate::pipeline::flow::slot::of_mut;

/// How far behind the first sequence number of a flow that was picked up without a SYN a SYN may be
/// to count as reordered; a window without scaling (RFC 9293 §3.1).
const LATE_BYTES_MAX: u32 = 65_535;

/// What was seen of a flow, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Marks(u16);

/// A bit of `Marks`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// The slot holds a flow.
    Live,
    /// The opener's packets head down.
    OpenerDown,
    /// A reset was seen.
    Reset,
    /// A synchronised segment was seen (ACK without SYN and RST).
    Established,
    /// TCP payload was seen.
    Data,
    /// The initial sequence number of the sender of these packets is known.
    Isn(Heading),
    /// Some sequence number of the sender of these packets is known.
    Seq(Heading),
    /// A FIN was seen from the sender of these packets.
    Fin(Heading),
}

impl Marks {
    /// Tells whether `mark` is set.
    pub fn has(self, mark: Mark) -> bool {
        self.0 & mark.bit() != 0
    }

    /// Sets `mark`.
    pub fn set(&mut self, mark: Mark) {
        self.0 |= mark.bit();
    }

    /// Clears `mark`.
    pub fn clear(&mut self, mark: Mark) {
        self.0 &= !mark.bit();
    }

    /// Returns the heading of the opener's packets.
    pub fn opener(self) -> Heading {
        if self.has(Mark::OpenerDown) { Heading::Down } else { Heading::Up }
    }

    /// Sets the heading of the opener's packets.
    pub fn set_opener(&mut self, heading: Heading) {
        match heading {
            Heading::Up => self.clear(Mark::OpenerDown),
            Heading::Down => self.set(Mark::OpenerDown),
        }
    }

    /// Tells whether the connection was closed from both ends, or reset.
    pub fn is_closed(self) -> bool {
        self.has(Mark::Reset)
            || (self.has(Mark::Fin(Heading::Up)) && self.has(Mark::Fin(Heading::Down)))
    }

    /// Tells whether the longer idle limit holds.
    pub fn is_established(self) -> bool {
        self.has(Mark::Established) && !self.is_closed()
    }
}

impl Mark {
    const fn bit(self) -> u16 {
        match self {
            Self::Live => 1,
            Self::OpenerDown => 1 << 1,
            Self::Reset => 1 << 2,
            Self::Established => 1 << 3,
            Self::Data => 1 << 4,
            Self::Isn(Heading::Up) => 1 << 5,
            Self::Isn(Heading::Down) => 1 << 6,
            Self::Seq(Heading::Up) => 1 << 7,
            Self::Seq(Heading::Down) => 1 << 8,
            Self::Fin(Heading::Up) => 1 << 9,
            Self::Fin(Heading::Down) => 1 << 10,
        }
    }
}

/// Tells whether `packet` begins a new flow although `slot` has its key and was not idle too long.
pub(super) fn begins_anew(slot: &FlowSlot, packet: &Packet) -> bool {
    if packet.payload != Payload::Tcp || packet.tcp_flags & tcp_flag::SYN == 0 {
        return false;
    }
    if packet.tcp_flags & tcp_flag::ACK == 0 {
        syn_begins_anew(slot, packet)
    } else {
        answer_begins_anew(slot, packet)
    }
}

/// A SYN: anew after a close or reset; anew with another number once anything but SYNs was seen.
/// The same number again is a retransmission; a number just behind the first one seen is a SYN that was overtaken.
fn syn_begins_anew(slot: &FlowSlot, packet: &Packet) -> bool {
    let marks = slot.marks;
    let known = *of(&slot.isn, packet.heading);
    let is_known = if marks.has(Mark::Isn(packet.heading)) {
        known == packet.seq
    } else if marks.has(Mark::Seq(packet.heading)) {
        known.wrapping_sub(packet.seq) <= LATE_BYTES_MAX
    } else {
        true
    };
    marks.is_closed() || (!is_known && is_past_opening(marks))
}

/// A SYN with ACK: ours if it acknowledges the SYN we know or repeats the number we know; else judged as a SYN is.
fn answer_begins_anew(slot: &FlowSlot, packet: &Packet) -> bool {
    let marks = slot.marks;
    let other = packet.heading.opposite();
    let answers = marks.has(Mark::Isn(other)) && packet.ack == of(&slot.isn, other).wrapping_add(1);
    let repeats =
        marks.has(Mark::Isn(packet.heading)) && packet.seq == *of(&slot.isn, packet.heading);
    let is_first = !marks.has(Mark::Isn(packet.heading)) && !marks.is_closed();
    !answers && !repeats && !is_first && is_past_opening(marks)
}

fn is_past_opening(marks: Marks) -> bool {
    marks.has(Mark::Established)
        || marks.has(Mark::Data)
        || marks.has(Mark::Reset)
        || marks.has(Mark::Fin(Heading::Up))
        || marks.has(Mark::Fin(Heading::Down))
}

/// Marks what `packet` says of its TCP connection.
pub(super) fn note(slot: &mut FlowSlot, packet: &Packet) {
    if packet.payload != Payload::Tcp {
        return;
    }
    let flags = packet.tcp_flags;
    let heading = packet.heading;
    if flags & tcp_flag::SYN != 0 {
        note_syn(slot, packet);
    } else if !slot.marks.has(Mark::Seq(heading)) && flags & tcp_flag::RST == 0 {
        *of_mut(&mut slot.isn, heading) = packet.seq.wrapping_sub(1);
        slot.marks.set(Mark::Seq(heading));
    }
    if flags & tcp_flag::RST != 0 {
        slot.marks.set(Mark::Reset);
    } else if flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::ACK {
        slot.marks.set(Mark::Established);
    }
    if flags & tcp_flag::FIN != 0 {
        slot.marks.set(Mark::Fin(heading));
    }
    if packet.payload_bytes > 0 || packet.missing_bytes > 0 {
        slot.marks.set(Mark::Data);
    }
}

/// A SYN tells its sender's number, its ACK the other end's; until payload was seen it also tells who opened.
/// Of two SYNs that cross, the first opened.
fn note_syn(slot: &mut FlowSlot, packet: &Packet) {
    let sender = packet.heading;
    let other = sender.opposite();
    let is_answer = packet.tcp_flags & tcp_flag::ACK != 0;
    let is_fresh = !slot.marks.has(Mark::Data);
    if is_fresh && !slot.marks.has(Mark::Isn(other)) {
        slot.marks.set_opener(if is_answer { other } else { sender });
    }
    if is_fresh || !slot.marks.has(Mark::Isn(sender)) {
        *of_mut(&mut slot.isn, sender) = packet.seq;
        slot.marks.set(Mark::Isn(sender));
        slot.marks.set(Mark::Seq(sender));
    }
    if is_answer && !slot.marks.has(Mark::Seq(other)) {
        *of_mut(&mut slot.isn, other) = packet.ack.wrapping_sub(1);
        slot.marks.set(Mark::Isn(other));
        slot.marks.set(Mark::Seq(other));
    }
}
