//! When a flow is over: its idle limits (contract §3).

use crate::model::packet::Packet;
use crate::pipeline::flow::slot::FlowSlot;

const SEC_NANOS: u64 = 1_000_000_000;

/// How long a flow may be idle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) tcp_idle_secs: u32,
    pub(super) other_idle_secs: u32,
}

impl Limits {
    /// Returns the limit that no flow is under.
    pub(super) fn shorter_secs(self) -> u32 {
        self.tcp_idle_secs.min(self.other_idle_secs)
    }

    fn idle_secs(self, slot: &FlowSlot) -> u32 {
        if slot.marks.is_established() { self.tcp_idle_secs } else { self.other_idle_secs }
    }

    /// Tells whether the flow is over at `clock_secs`; true for ever after, unless a packet comes
    /// first.
    pub(super) fn is_idle(self, slot: &FlowSlot, clock_secs: u32) -> bool {
        clock_secs.saturating_sub(slot.last_clock) > self.idle_secs(slot)
    }

    /// Returns the first second at which the flow is over, if no packet comes.
    pub(super) fn over_secs(self, slot: &FlowSlot) -> u32 {
        slot.last_clock.saturating_add(self.idle_secs(slot)).saturating_add(1)
    }

    /// Tells whether the flow is over for `packet`.
    pub(super) fn is_over(self, slot: &FlowSlot, packet: &Packet) -> bool {
        let idle_nanos = u64::from(self.idle_secs(slot)).saturating_mul(SEC_NANOS);
        self.is_idle(slot, packet.clock_secs) || packet.time.nanos_since(slot.last) > idle_nanos
    }

    /// Returns when to look at the flow next: when it could be over, were it closed meanwhile.
    pub(super) fn due_secs(self, slot: &FlowSlot, clock_secs: u32) -> u32 {
        let over_secs = slot.last_clock.saturating_add(self.idle_secs(slot));
        over_secs.min(clock_secs.saturating_add(self.shorter_secs())).saturating_add(1)
    }
}
