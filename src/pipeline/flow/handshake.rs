//! What TCP flags mean for a flow: who opened it, whether it is established or closed, whether a
//! SYN begins a new one.
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
pub(super) struct Marks(u16);

/// A bit of `Marks`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
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
    pub(super) fn has(self, mark: Mark) -> bool {
        self.0 & mark.bit() != 0
    }

    /// Sets `mark`.
    pub(super) fn set(&mut self, mark: Mark) {
        self.0 |= mark.bit();
    }

    /// Clears `mark`.
    pub(super) fn clear(&mut self, mark: Mark) {
        self.0 &= !mark.bit();
    }

    /// Returns the heading of the opener's packets.
    pub(super) fn opener(self) -> Heading {
        if self.has(Mark::OpenerDown) { Heading::Down } else { Heading::Up }
    }

    /// Sets the heading of the opener's packets.
    pub(super) fn set_opener(&mut self, heading: Heading) {
        match heading {
            Heading::Up => self.clear(Mark::OpenerDown),
            Heading::Down => self.set(Mark::OpenerDown),
        }
    }

    /// Tells whether the connection was closed from both ends, or reset.
    pub(super) fn is_closed(self) -> bool {
        self.has(Mark::Reset)
            || (self.has(Mark::Fin(Heading::Up)) && self.has(Mark::Fin(Heading::Down)))
    }

    /// Tells whether the longer idle limit holds.
    pub(super) fn is_established(self) -> bool {
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
/// The same number again is a retransmission; a number just behind the first one seen is a SYN that
/// was overtaken.
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

/// A SYN with ACK: ours if it acknowledges the SYN we know or repeats the number we know; else
/// judged as a SYN is.
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

/// A SYN tells its sender's number, its ACK the other end's; until payload was seen it also tells
/// who opened. Of two SYNs that cross, the first opened.
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

#[cfg(test)]
mod tests {
    use crate::model::address::Address;
    use crate::model::counters::Counters;
    use crate::model::flow::FlowKey;
    use crate::model::flow::Heading;
    use crate::model::flow::Vlans;
    use crate::model::packet::FrameId;
    use crate::model::packet::Packet;
    use crate::model::packet::Payload;
    use crate::model::packet::tcp_flag;
    use crate::model::time::Timestamp;
    use crate::pipeline::flow::slot::FlowEnd;
    use crate::pipeline::flow::table::FlowTable;
    use crate::pipeline::flow::table::Hint;

    /// Words: `>` or `<` (who sends), flags of `SAFR`, `=` sequence number, `/` acknowledgement,
    /// `+` payload bytes; or `@` the second at which what follows comes. The flows, as
    /// `opener:packets/packets` with `>` for the sender of `>`.
    fn check(script: &str, flows: &str) {
        let mut table = FlowTable::new(4, 3_600, 120);
        let mut counters = Counters::default();
        let mut ends: Vec<FlowEnd> = Vec::new();
        let mut clock_secs = 1_000;
        for word in script.split_whitespace() {
            if let Some(secs) = word.strip_prefix('@') {
                clock_secs = 1_000 + secs.parse::<u32>().unwrap();
                continue;
            }
            let packet = packet(word, clock_secs);
            let entry = table.enter(&packet, Hint::NONE, &mut counters, &mut |end| ends.push(end));
            assert!(entry.is_some());
        }
        table.drain(clock_secs, true, &mut counters, &mut |end| ends.push(end));
        let told = |end: &FlowEnd| {
            let opener = if end.view.opener == Heading::Up { '>' } else { '<' };
            format!("{opener}:{}/{}", end.packets[0], end.packets[1])
        };
        assert_eq!(ends.iter().map(told).collect::<Vec<_>>().join(" "), flows, "{script}");
        assert_eq!(counters.flows, u64::try_from(ends.len()).unwrap());
    }

    fn packet(word: &str, clock_secs: u32) -> Packet {
        let a = (Address::from_v4([10, 0, 0, 1]), 4_000);
        let b = (Address::from_v4([10, 0, 0, 2]), 443);
        let (src, dst) = if word.starts_with('>') { (a, b) } else { (b, a) };
        let (key, heading) = FlowKey::new(src, dst, 6, Vlans::default());
        let flags_end =
            word[1..].find(|c: char| !c.is_ascii_uppercase()).map_or(word.len(), |n| n + 1);
        let flag = |c| match c {
            'S' => tcp_flag::SYN,
            'A' => tcp_flag::ACK,
            'F' => tcp_flag::FIN,
            _ => tcp_flag::RST,
        };
        let number = |mark| {
            let (_, rest) = word.split_once(mark)?;
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().ok()
        };
        Packet {
            time: Timestamp::new(u64::from(clock_secs), 0),
            frame: FrameId::default(),
            hash: 1,
            key,
            clock_secs,
            payload_at: 0,
            payload_bytes: number('+').unwrap_or(0),
            missing_bytes: 0,
            ip_bytes: 40,
            seq: number('=').unwrap_or(0),
            ack: number('/').unwrap_or(0),
            heading,
            tcp_flags: word[1..flags_end].chars().map(flag).fold(0, |all, flag| all | flag),
            payload: Payload::Tcp,
        }
    }

    const SHAKE: &str = ">S=100 <SA=900/101 >A=101/901";

    #[test]
    fn the_opener_sent_the_syn_or_else_the_first_packet() {
        check(SHAKE, ">:2/1");
        check("<SA=900/101 >A=101/901", ">:1/1");
        check("<A=900/101+5 >A=101/905", "<:1/1");
        check(">A=101/901 <SA=900/101 >S=100", ">:2/1");
        check("<A=901/101 >S=100", ">:1/1");
        check("<A=901/101+5 >S=100 >A=101/906", "<:1/2");
        check(">S=100 <S=900 >SA=100/901 <SA=900/101", ">:2/2");
    }

    #[test]
    fn a_syn_after_a_close_or_reset_begins_a_new_flow() {
        check(&format!("{SHAKE} >FA=101 <FA=901 >A=102 >S=500 <SA=700/501"), ">:4/2 >:1/1");
        check(&format!("{SHAKE} >FA=101 <FA=901 >A=102 >S=100"), ">:4/2 >:1/0");
        check(&format!("{SHAKE} >FA=101 >S=500"), ">:3/1 >:1/0");
        check(&format!("{SHAKE} >FA=101 >S=100"), ">:4/1");
        check(&format!("{SHAKE} <R=901 >S=500"), ">:2/2 >:1/0");
        check(">S=100 <RA=0/101 >S=100 <RA=0/101", ">:1/1 >:1/1");
        check(&format!("{SHAKE} >FA=101 <FA=901 <S=500"), ">:3/2 <:1/0");
        check(&format!("{SHAKE} >FA=101 <FA=901 >A=102 <A=902"), ">:4/3");
    }

    #[test]
    fn a_syn_of_an_open_connection_is_a_retransmission_only_with_its_number() {
        check(">S=100 >S=100 <SA=900/101 <SA=900/101 >S=100", ">:3/2");
        check(">S=100 >S=200 <SA=900/201", ">:2/1");
        check(&format!("{SHAKE} >S=100"), ">:3/1");
        check(&format!("{SHAKE} >S=500 <SA=950/501"), ">:2/1 >:1/1");
        check(">S=100+4 >S=500", ">:1/0 >:1/0");
    }

    #[test]
    fn a_syn_picked_up_late_belongs_to_the_flow_it_opened() {
        check(">A=101/901+20 >S=100", ">:2/0");
        check(">A=101/901+20 >S=70000", ">:1/0 >:1/0");
        check(">A=70000/901+20 >S=100", ">:1/0 >:1/0");
        check("<A=901/101+5 >A=101/906 >S=100", "<:1/2");
    }

    #[test]
    fn an_answer_belongs_to_the_syn_it_acknowledges() {
        check(">S=100 >R=101 <SA=900/101", ">:2/1");
        check("<SA=900/101 <A=901/105+9 <FA=910/105 <SA=400/801", ">:0/3 >:0/1");
        check("<SA=900/101 <A=901/105+9 <SA=900/101", ">:0/3");
        check(">A=101/901 <R=901 <SA=400/801", ">:1/1 >:0/1");
    }

    #[test]
    fn established_flows_may_be_idle_longer() {
        check(&format!("{SHAKE} @3600 >A=101/901"), ">:3/1");
        check(&format!("{SHAKE} @3601 >A=101/901"), ">:2/1 >:1/0");
        check("<A=900/101+5 @3600 >A=101/905", "<:1/1");
        check(">S=100 @120 >S=100", ">:2/0");
        check(">S=100 @121 >S=100", ">:1/0 >:1/0");
        check(">S=100 <SA=900/101 @121 >A=101/901", ">:1/1 >:1/0");
        check(&format!("{SHAKE} <RA=901 @120 <RA=901"), ">:2/3");
        check(&format!("{SHAKE} <RA=901 @121 <RA=901"), ">:2/2 <:1/0");
        check(&format!("{SHAKE} >FA=101 @3600 <FA=901 @3721 >A=102"), ">:3/2 >:1/0");
    }
}
