//! The flow table: which flow a packet belongs to, and when a flow is over (contract §3).
//!
//! A flow is over for a packet if the packet's `clock_secs` is more than the idle limit after that
//! of the flow's last packet, or its time more than that after the flow's latest. The sweep frees
//! memory only, by the first of the two: as `clock_secs` never goes back, what it ends is over for
//! every later packet, so results do not depend on when it runs.

use std::cmp::Ordering;
use std::hint::black_box;

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::counters::Counters;
use crate::model::flow::FlowKey;
use crate::model::flow::Side;
use crate::model::packet::Packet;
use crate::model::time::Timestamp;
use crate::pipeline::flow::NONE;
use crate::pipeline::flow::handshake;
use crate::pipeline::flow::handshake::Mark;
pub use crate::pipeline::flow::hint::Hint;
pub use crate::pipeline::flow::hint::Hints;
use crate::pipeline::flow::idle::Limits;
use crate::pipeline::flow::index::Index;
use crate::pipeline::flow::index::tag;
use crate::pipeline::flow::slot::EndReason;
use crate::pipeline::flow::slot::FlowEnd;
use crate::pipeline::flow::slot::FlowSlot;
use crate::pipeline::flow::wheel::Wheel;

/// Slots looked at together by the sweep, for the same reason.
const SWEEP_MAX: usize = 32;

/// Slots looked at to find the one idle longest when the table is full.
const EVICT_VISITS: usize = 8;

/// The flows of one worker.
#[derive(Debug)]
pub struct FlowTable {
    index: Index,
    /// Taken in one piece of address space; the system gives memory as slots are used.
    slots: Vec<FlowSlot>,
    /// The slots that hold no flow; the last freed is the first used.
    free: Vec<u32>,
    live: u32,
    flows_max: u32,
    wheel: Wheel,
    limits: Limits,
}

impl FlowTable {
    /// Returns a table for `flows_max` flows.
    pub fn new(flows_max: u32, tcp_idle_secs: u32, other_idle_secs: u32) -> Self {
        let limits = Limits { tcp_idle_secs, other_idle_secs };
        Self {
            index: Index::new(),
            slots: Vec::with_capacity(index(flows_max)),
            free: Vec::with_capacity(index(flows_max)),
            live: 0,
            flows_max,
            wheel: Wheel::new(flows_max, limits.shorter_secs()),
            limits,
        }
    }

    /// Returns the number of flows held.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// Returns the number of slots that ever held a flow.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Fetches the memory that `enter` will need for `packets`, all misses at once.
    pub fn gather(&self, packets: &[Packet], hints: &mut Hints) {
        hints.reset(packets.len());
        for (hint, packet) in hints.hints.iter_mut().zip(packets) {
            hint.word = self.index.home(tag(packet.hash));
        }
        for (hint, packet) in hints.hints.iter_mut().zip(packets) {
            let tag = tag(packet.hash);
            hint.slot = match hint.word.slot_of(tag) {
                Some(slot) => slot,
                None if hint.word.is_empty() => NONE,
                None => self.index.find(tag, |_| true).unwrap_or(NONE),
            };
        }
        let mut touched = 0;
        for (hint, _) in hints.hints.iter().zip(packets) {
            let slot = self.slots.get(index(hint.slot));
            touched ^= slot.map_or(0, FlowSlot::touch);
        }
        black_box(touched);
    }

    /// Adds a packet to its flow, which it may open; the flow that had its place before is told to
    /// `ended`. `None` if the table may hold no flow at all.
    pub fn enter(
        &mut self,
        packet: &Packet,
        hint: Hint,
        counters: &mut Counters,
        ended: &mut impl FnMut(FlowEnd),
    ) -> Option<Entry<'_>> {
        counters.packets = counters.packets.saturating_add(1);
        let (id, event) = match self.find(packet, hint) {
            Some(id) => (id, self.renew(id, packet, counters, ended)),
            None => (self.open(packet, counters, ended)?, Event::Opened),
        };
        if event != Event::Known {
            counters.flows = counters.flows.saturating_add(1);
        }
        let slot = self.slots.get_mut(index(id))?;
        handshake::note(slot, packet);
        slot.add(packet);
        let side = Side::of(packet.heading, slot.view().opener);
        Some(Entry { slot, side, event })
    }

    /// Ends flows that are idle too long at `clock_secs`; looks at `visits_max` at most. Tells
    /// whether that was enough: no flow is left that was over by then.
    /// Two visits a packet and a few a call keep up: a packet opens one flow at most.
    pub fn sweep(
        &mut self,
        clock_secs: u32,
        visits_max: u32,
        counters: &mut Counters,
        ended: &mut impl FnMut(FlowEnd),
    ) -> bool {
        let mut left = visits_max;
        while left > 0 {
            let mut due = [NONE; SWEEP_MAX];
            let mut found = 0_u32;
            for (id, _) in due.iter_mut().zip(0..left) {
                let Some(next) = self.wheel.pop_due(clock_secs) else { break };
                *id = next;
                found = found.saturating_add(1);
            }
            self.visit(&due, clock_secs, counters, ended);
            if found == 0 {
                return true;
            }
            left = left.saturating_sub(found);
        }
        false
    }

    /// Ends all flows, in the order in which they were opened (time of the first packet, then key)
    /// where `ordered` says so. `clock_secs` is that of the whole input's end: flows that were idle
    /// by then expired, whether or not the sweep had come to them; the others were active.
    pub fn drain(
        &mut self,
        clock_secs: u32,
        ordered: bool,
        counters: &mut Counters,
        ended: &mut impl FnMut(FlowEnd),
    ) {
        let live = self.slots.iter().zip(0_u32..).filter(|(slot, _)| slot.marks.has(Mark::Live));
        let mut order: Vec<(Timestamp, u32)> = live.map(|(slot, id)| (slot.first, id)).collect();
        let key = |id: u32| self.slots.get(index(id)).map(|slot| slot.key);
        if ordered {
            order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| by_key(key(a.1), key(b.1))));
        }
        for slot in order.iter().filter_map(|(_, id)| self.slots.get(index(*id))) {
            let (reason, over_secs) = if self.limits.is_idle(slot, clock_secs) {
                (EndReason::Idle, self.limits.over_secs(slot))
            } else {
                (EndReason::End, u32::MAX)
            };
            let reason = slot.reason(reason);
            count(reason, counters);
            ended(slot.end(reason, over_secs));
        }
        *self = Self::new(self.flows_max, self.limits.tcp_idle_secs, self.limits.other_idle_secs);
    }

    fn find(&self, packet: &Packet, hint: Hint) -> Option<u32> {
        let is_its = |id: u32| {
            let slot = self.slots.get(index(id));
            slot.is_some_and(|slot| slot.key == packet.key && slot.marks.has(Mark::Live))
        };
        if is_its(hint.slot) {
            return Some(hint.slot);
        }
        self.index.find(tag(packet.hash), is_its)
    }

    /// Begins a new flow in the place of one that is over for `packet`.
    fn renew(
        &mut self,
        id: u32,
        packet: &Packet,
        counters: &mut Counters,
        ended: &mut impl FnMut(FlowEnd),
    ) -> Event {
        let Some(slot) = self.slots.get_mut(index(id)) else { return Event::Known };
        let reason = if self.limits.is_over(slot, packet) {
            slot.reason(EndReason::Idle)
        } else if handshake::begins_anew(slot, packet) {
            EndReason::Closed
        } else {
            return Event::Known;
        };
        count(reason, counters);
        ended(slot.end(reason, self.limits.over_secs(slot).min(packet.clock_secs)));
        *slot = FlowSlot::new(packet);
        Event::Reopened
    }

    /// Takes a slot for a new flow; where there is none left, that of the flow idle longest.
    fn open(
        &mut self,
        packet: &Packet,
        counters: &mut Counters,
        ended: &mut impl FnMut(FlowEnd),
    ) -> Option<u32> {
        if self.live >= self.flows_max {
            self.evict(packet.clock_secs, counters, ended);
        }
        let slot = FlowSlot::new(packet);
        let id = self.free.pop().unwrap_or_else(|| narrow(self.slots.len()));
        if id >= self.flows_max {
            return None;
        }
        match self.slots.get_mut(index(id)) {
            Some(place) => *place = slot,
            None => self.slots.push(slot),
        }
        self.live = self.live.saturating_add(1);
        self.index.insert(slot.tag, id);
        self.wheel.start(packet.clock_secs);
        self.wheel.put(id, self.limits.due_secs(&slot, packet.clock_secs));
        Some(id)
    }

    /// Ends the flow that is due first and had no packet since it was put into the wheel; if there
    /// is none among the first few, the one of them idle longest.
    fn evict(&mut self, clock_secs: u32, counters: &mut Counters, ended: &mut impl FnMut(FlowEnd)) {
        let mut firsts = [NONE; EVICT_VISITS];
        let mut idlest: Option<(u32, u32)> = None;
        for first in &mut firsts {
            let Some((id, at_secs)) = self.wheel.pop_first() else { break };
            *first = id;
            let Some(slot) = self.slots.get(index(id)) else { break };
            if idlest.is_none_or(|(last_clock, _)| slot.last_clock < last_clock) {
                idlest = Some((slot.last_clock, id));
            }
            if slot.last_clock.saturating_add(self.limits.shorter_secs()) < at_secs {
                break;
            }
        }
        for id in firsts {
            let Some(slot) = self.slots.get(index(id)) else { return };
            if idlest.is_none_or(|(_, idlest)| id != idlest) {
                self.wheel.put(id, self.limits.due_secs(slot, clock_secs));
            } else if self.limits.is_idle(slot, clock_secs) {
                self.end(id, (slot.reason(EndReason::Idle), clock_secs), counters, ended);
            } else {
                self.end(id, (EndReason::Evicted, clock_secs), counters, ended);
            }
        }
    }

    /// Ends those of the flows `due` that are idle too long, and puts the others back into the
    /// wheel.
    fn visit(
        &mut self,
        due: &[u32; SWEEP_MAX],
        clock_secs: u32,
        counters: &mut Counters,
        ended: &mut impl FnMut(FlowEnd),
    ) {
        // as in `gather`: all misses at once
        let touch = |id: &u32| self.slots.get(index(*id)).map_or(0, FlowSlot::touch);
        black_box(due.iter().fold(0, |all, id| all ^ touch(id)));
        let home = |id: &u32| self.slots.get(index(*id)).map(|slot| self.index.home(slot.tag));
        black_box(due.iter().filter_map(home).filter(|word| word.is_empty()).count());
        for id in due.iter().copied() {
            let Some(slot) = self.slots.get(index(id)) else { return };
            if self.limits.is_idle(slot, clock_secs) {
                self.end(id, (slot.reason(EndReason::Idle), clock_secs), counters, ended);
            } else {
                self.wheel.put(id, self.limits.due_secs(slot, clock_secs));
            }
        }
    }

    /// Frees the slot of a flow that is in no bucket of the wheel.
    fn end(
        &mut self,
        id: u32,
        (reason, clock_secs): (EndReason, u32),
        counters: &mut Counters,
        ended: &mut impl FnMut(FlowEnd),
    ) {
        let Some(slot) = self.slots.get_mut(index(id)) else { return };
        count(reason, counters);
        ended(slot.end(reason, self.limits.over_secs(slot).min(clock_secs)));
        slot.marks.clear(Mark::Live);
        self.free.push(id);
        self.index.remove(slot.tag, id);
        self.live = self.live.saturating_sub(1);
    }
}

/// A packet's flow.
#[derive(Debug)]
pub struct Entry<'t> {
    /// The flow.
    pub slot: &'t mut FlowSlot,
    /// Who sent the packet.
    pub side: Side,
    /// What the packet is to the flow.
    pub event: Event,
}

/// What a packet is to its flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The first; no flow had this key.
    Opened,
    /// The first; the flow that had this key is over.
    Reopened,
    /// A later one.
    Known,
}

fn count(reason: EndReason, counters: &mut Counters) {
    match reason {
        EndReason::Idle => counters.flows_expired = counters.flows_expired.saturating_add(1),
        EndReason::Evicted => counters.flows_evicted = counters.flows_evicted.saturating_add(1),
        EndReason::End => counters.flows_active = counters.flows_active.saturating_add(1),
        EndReason::Closed => counters.flows_closed = counters.flows_closed.saturating_add(1),
    }
}

fn by_key(a: Option<FlowKey>, b: Option<FlowKey>) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else { return Ordering::Equal };
    let ends = |key: &FlowKey| (key.low, key.high, key.low_port, key.high_port, key.protocol);
    ends(&a).cmp(&ends(&b)).then_with(|| a.vlans.ids().cmp(b.vlans.ids()))
}
