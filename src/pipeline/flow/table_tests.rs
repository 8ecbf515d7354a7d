//! Tests of the flow table: its words one by one, and a map with the same rules.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;

use crate::model::address::Address;
use crate::model::counters::Counters;
use crate::model::flow::FlowKey;
use crate::model::flow::Side;
use crate::model::flow::Vlans;
use crate::model::packet::FrameId;
use crate::model::packet::Packet;
use crate::model::packet::Payload;
use crate::model::packet::tcp_flag;
use crate::model::time::Timestamp;
use crate::pipeline::flow::handshake;
use crate::pipeline::flow::hint::Hint;
use crate::pipeline::flow::hint::Hints;
use crate::pipeline::flow::idle::Limits;
use crate::pipeline::flow::slot::EndReason;
use crate::pipeline::flow::slot::FlowEnd;
use crate::pipeline::flow::slot::FlowSlot;
use crate::pipeline::flow::table::Event;
use crate::pipeline::flow::table::FlowTable;

const TCP_IDLE_SECS: u32 = 50;
const OTHER_IDLE_SECS: u32 = 10;
const LIMITS: Limits = Limits { tcp_idle_secs: TCP_IDLE_SECS, other_idle_secs: OTHER_IDLE_SECS };

/// A packet of host `n` (an even one over UDP, an odd one over TCP) or of its peer.
fn packet(n: u32, secs: u32, up: bool) -> Packet {
    let a = (Address::from_v4(n.to_be_bytes()), 4_000);
    let b = (Address::from_v4([200, 0, 0, 1]), 53);
    let (src, dst) = if up { (a, b) } else { (b, a) };
    let is_tcp = n % 2 == 1;
    let protocol = if is_tcp { 6 } else { 17 };
    let (key, heading) = FlowKey::new(src, dst, protocol, Vlans::default());
    Packet {
        time: Timestamp::new(u64::from(secs), 0),
        frame: FrameId::new(0, 1),
        // hosts share hashes, so that some look-ups meet a wrong slot
        hash: u64::from(n / 3),
        key,
        clock_secs: secs,
        payload_at: 0,
        payload_bytes: 0,
        missing_bytes: 0,
        ip_bytes: 28 + n,
        seq: 0,
        ack: 0,
        heading,
        tcp_flags: 0,
        payload: if is_tcp { Payload::Tcp } else { Payload::Udp },
    }
}

struct Bed {
    table: FlowTable,
    counters: Counters,
    ends: Vec<FlowEnd>,
}

impl Bed {
    fn new(flows_max: u32) -> Self {
        let table = FlowTable::new(flows_max, TCP_IDLE_SECS, OTHER_IDLE_SECS);
        Self { table, counters: Counters::default(), ends: Vec::new() }
    }

    fn enter(&mut self, packet: &Packet, hint: Hint) -> (Event, Side) {
        let Self { table, counters, ends } = self;
        let entry = table.enter(packet, hint, counters, &mut |end| ends.push(end)).unwrap();
        (entry.event, entry.side)
    }

    fn sweep(&mut self, clock_secs: u32, visits_max: u32) -> bool {
        let Self { table, counters, ends } = self;
        table.sweep(clock_secs, visits_max, counters, &mut |end| ends.push(end))
    }

    fn drain(&mut self, clock_secs: u32) {
        let Self { table, counters, ends } = self;
        table.drain(clock_secs, true, counters, &mut |end| ends.push(end));
    }

    fn hosts(&self) -> Vec<u32> {
        let low = |end: &FlowEnd| u32::from_be_bytes(end.view.key.low.as_v4().unwrap());
        self.ends.iter().map(low).collect()
    }
}

#[test]
fn packets_of_both_ends_are_one_flow() {
    let mut bed = Bed::new(8);
    assert_eq!(bed.enter(&packet(2, 5, false), Hint::NONE), (Event::Opened, Side::Orig));
    assert_eq!(bed.enter(&packet(2, 6, true), Hint::NONE), (Event::Known, Side::Resp));
    assert_eq!(bed.enter(&packet(2, 6, false), Hint::NONE), (Event::Known, Side::Orig));
    assert_eq!(bed.enter(&packet(4, 6, false), Hint::NONE), (Event::Opened, Side::Orig));
    bed.drain(6);
    let end = &bed.ends[0];
    assert_eq!((end.packets, end.bytes), ([2, 1], [60, 30]));
    assert_eq!((end.view.first, end.last), (Timestamp::new(5, 0), Timestamp::new(6, 0)));
    assert_eq!((end.reason, bed.ends.len()), (EndReason::End, 2));
}

#[test]
fn idle_flows_are_over_by_the_clock_or_by_their_time() {
    for (time_secs, clock_secs, event) in [
        (110, 110, Event::Known),
        (111, 111, Event::Reopened),
        (100, 111, Event::Reopened),
        (111, 100, Event::Reopened),
        (90, 100, Event::Known),
    ] {
        let mut bed = Bed::new(8);
        bed.enter(&packet(2, 100, true), Hint::NONE);
        let next = Packet { clock_secs, ..packet(2, time_secs, true) };
        assert_eq!(bed.enter(&next, Hint::NONE).0, event, "{time_secs} {clock_secs}");
    }
}

#[test]
fn the_flow_idle_longest_goes_when_the_table_is_full() {
    for (flows, evicted) in [(7, 0), (8, 0), (9, 1), (20, 12)] {
        let mut bed = Bed::new(8);
        for n in 0..flows {
            bed.enter(&packet(n * 2, 100 + n / 4, true), Hint::NONE);
        }
        assert_eq!(bed.counters.flows_evicted, evicted);
        assert_eq!(bed.table.live(), flows.min(8));
        assert_eq!(u64::from(flows), bed.counters.flows);
    }
    let mut bed = Bed::new(4);
    for n in 0..4 {
        bed.enter(&packet(n * 2, 100 + n, true), Hint::NONE);
    }
    bed.enter(&packet(0, 104, true), Hint::NONE);
    bed.enter(&packet(90, 105, true), Hint::NONE);
    assert_eq!(bed.hosts(), [2]);
    bed.enter(&packet(92, 113, true), Hint::NONE);
    assert_eq!(bed.hosts(), [2, 4]);
    assert_eq!(bed.ends[1].reason, EndReason::Idle);
    assert_eq!(bed.counters.flows_evicted, 1);
}

#[test]
fn a_table_for_no_flow_holds_none() {
    let mut table = FlowTable::new(0, 1, 1);
    let mut counters = Counters::default();
    assert!(table.enter(&packet(1, 1, true), Hint::NONE, &mut counters, &mut |_| {}).is_none());
}

#[test]
fn the_sweep_frees_slots_a_few_at_a_time() {
    let mut bed = Bed::new(1_000);
    for n in 0..100 {
        bed.enter(&packet(n * 2, 100, true), Hint::NONE);
    }
    bed.sweep(110, 1_000);
    assert_eq!(bed.table.live(), 100);
    bed.sweep(111, 33);
    assert_eq!(bed.table.live(), 67);
    bed.sweep(111, 1_000);
    assert_eq!((bed.table.live(), bed.counters.flows_expired), (0, 100));
    for n in 0..100 {
        bed.enter(&packet(n * 2, 112, true), Hint::NONE);
    }
    assert_eq!(bed.table.slots(), 100);
}

#[test]
fn the_rest_is_told_in_the_order_of_opening() {
    let mut bed = Bed::new(100);
    for (n, secs) in [(8, 5), (6, 5), (2, 7), (4, 3), (10, 5)] {
        bed.enter(&packet(n, secs, true), Hint::NONE);
    }
    bed.drain(7);
    assert_eq!(bed.hosts(), [4, 6, 8, 10, 2]);
    assert_eq!(bed.table.live(), 0);
}

/// Packets of 30 hosts; time goes on, leaps now and then, and some packets are late.
fn packets() -> impl Strategy<Value = Vec<Packet>> {
    let step = (0_u32..30, 0_u32..100, any::<bool>(), 0_usize..6, 0_u32..3, 0_u32..3);
    vec(step, 1..500).prop_map(|steps| {
        let (mut clock_secs, mut number) = (1_000, 0);
        let next = |(n, leap, up, flags, seq, ack)| {
            number += 1;
            clock_secs += match leap {
                0..90 => 0,
                90..98 => leap - 88,
                98 => TCP_IDLE_SECS + 5,
                _ => 100_000,
            };
            let late_secs = if leap < 10 { leap * 3 } else { 0 };
            let tcp_flags = [
                tcp_flag::SYN,
                tcp_flag::SYN | tcp_flag::ACK,
                tcp_flag::ACK,
                tcp_flag::ACK,
                tcp_flag::FIN | tcp_flag::ACK,
                tcp_flag::RST,
            ][flags];
            let packet = packet(n, clock_secs - late_secs, up);
            let frame = FrameId::new(0, number);
            Packet { clock_secs, tcp_flags, seq, ack, frame, ..packet }
        };
        steps.into_iter().map(next).collect()
    })
}

/// The same rules on a map that never sweeps.
fn model(packets: &[Packet], limits: Limits) -> Vec<FlowEnd> {
    let mut flows: HashMap<FlowKey, FlowSlot> = HashMap::new();
    let mut ends = Vec::new();
    for packet in packets {
        let slot = flows.entry(packet.key).or_insert_with(|| FlowSlot::new(packet));
        let over_secs = limits.over_secs(slot).min(packet.clock_secs);
        if limits.is_over(slot, packet) {
            ends.push(slot.end(slot.reason(EndReason::Idle), over_secs));
            *slot = FlowSlot::new(packet);
        } else if handshake::begins_anew(slot, packet) {
            ends.push(slot.end(EndReason::Closed, over_secs));
            *slot = FlowSlot::new(packet);
        }
        handshake::note(slot, packet);
        slot.add(packet);
    }
    let clock_secs = packets.last().map_or(0, |packet| packet.clock_secs);
    for slot in flows.values() {
        ends.push(match limits.is_idle(slot, clock_secs) {
            true => slot.end(slot.reason(EndReason::Idle), limits.over_secs(slot)),
            false => slot.end(slot.reason(EndReason::End), u32::MAX),
        });
    }
    ends
}

proptest! {
    #[test]
    fn is_a_map_with_the_same_rules(
        packets in packets(),
        batch in 1_usize..=256,
        visits_max in 0_u32..100,
    ) {
        let mut bed = Bed::new(30);
        let mut hints = Hints::default();
        let mut settled = (0, 0);
        for gathered in packets.chunks(batch) {
            bed.table.gather(gathered, &mut hints);
            for (packet, hint) in gathered.iter().zip(hints.iter()) {
                bed.enter(packet, hint);
            }
            let clock_secs = gathered[gathered.len() - 1].clock_secs;
            if bed.sweep(clock_secs, visits_max) {
                settled = (bed.ends.len(), clock_secs);
            }
            let (told, settled_secs) = settled;
            prop_assert!(bed.ends[told..].iter().all(|end| end.over_secs >= settled_secs));
        }
        let clock_secs = packets[packets.len() - 1].clock_secs;
        bed.drain(clock_secs);
        let mut expected = model(&packets, LIMITS);
        let by = |end: &FlowEnd| (end.frame, end.view.key.low);
        bed.ends.sort_by_key(by);
        expected.sort_by_key(by);
        prop_assert_eq!(&bed.ends, &expected);
        prop_assert_eq!(bed.counters.flows_evicted, 0);
        let idle = expected.iter().filter(|end| end.reason == EndReason::Idle).count();
        prop_assert_eq!(bed.counters.flows_expired, u64::try_from(idle).unwrap());
    }

    #[test]
    fn memory_follows_when_time_goes_on(packets in packets()) {
        let mut bed = Bed::new(30);
        let mut clock_secs = 0;
        for packet in &packets {
            bed.enter(packet, Hint::NONE);
            clock_secs = packet.clock_secs;
            bed.sweep(clock_secs, 3);
        }
        for _ in 0..TCP_IDLE_SECS + OTHER_IDLE_SECS {
            clock_secs += 1;
            bed.sweep(clock_secs, 60);
        }
        prop_assert!(bed.table.live() == 0, "{} are left", bed.table.live());
    }
}
