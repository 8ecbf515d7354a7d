//! Loop 2: channel, flow, dissect, match, hits; the only file that knows that order.
//!
//! A worker shares nothing mutable: it owns its flows, streams, counters and batch. Addresses are
//! matched when a flow opens, values when they are first seen in their flow, and both again with
//! another set. Once a flow's
//! reading is finished, its packets only count.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::model::batch::Batch;
use crate::model::batch::Checkpoint;
use crate::model::batch::FlowTotals;
use crate::model::batch::Sighting;
use crate::model::batch::Span;
use crate::model::block::Block;
use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::counters::Counters;
use crate::model::flow::Side;
use crate::model::limits::SHOWN_CELLS_PER_FLOW;
use crate::model::limits::TOLD_CHUNKS_PER_FLOW;
use crate::model::observation::Kinds;
use crate::model::observation::Notes;
use crate::model::observation::Observation;
use crate::model::observation::ObservationKind;
use crate::model::observation::Place;
use crate::model::observation::Seen;
use crate::model::packet::Packet;
use crate::model::packet::Payload;
use crate::model::step::Step;
use crate::model::step::Verdict;
use crate::pipeline::capturer::Depth;
use crate::pipeline::dissect::dns;
use crate::pipeline::dissect::dns::Datagram;
use crate::pipeline::dissect::reader::Reader;
use crate::pipeline::flow::shown::Recalled;
use crate::pipeline::flow::shown::Showing;
use crate::pipeline::flow::shown::Shown;
use crate::pipeline::flow::slot::FlowEnd;
use crate::pipeline::flow::slot::FlowSlot;
use crate::pipeline::flow::slot::Reading;
use crate::pipeline::flow::stream::Outcome;
use crate::pipeline::flow::stream::Segment;
use crate::pipeline::flow::stream::Streams;
use crate::pipeline::flow::table::Entry;
use crate::pipeline::flow::table::Event;
use crate::pipeline::flow::table::FlowTable;
use crate::pipeline::flow::table::Hint;
use crate::pipeline::flow::table::Hints;
use crate::pipeline::flow::told::Told;
use crate::pipeline::matcher::current::Current;
use crate::pipeline::matcher::current::InForce;
use crate::pipeline::matcher::sift::Context;
use crate::pipeline::matcher::sift::Sift;

/// Slots that the sweep looks at for each packet read: as many as flows can open.
const VISITS_PER_PACKET: u32 = 2;

/// Slots that the sweep looks at for each block, however few packets it has.
const VISITS_PER_BLOCK: usize = 64;

/// Packets of a UDP flow after which a datagram of no protocol we know ends its reading: the first
/// may be a stray.
const ALIEN_PACKETS: u64 = 8;

/// Sightings in a batch before it is handed over while the last flows end.
const SIGHTINGS_MAX: usize = 4_096;

/// Seed of the hash of told values.
const TOLD_SEED: u64 = 0x7369_6768_7465_6421;

/// What a worker needs to know.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSettings {
    /// How deep frames go.
    pub depth: Depth,
    /// Kinds of observation that someone wants to see.
    pub observed: Kinds,
    /// How flows are kept.
    pub flows: FlowSettings,
    /// Whether another set may come: then what live flows have shown is kept, to be matched with
    /// it.
    pub sets_change: bool,
}

/// How flows are kept.
#[derive(Clone, Copy, Debug)]
pub struct FlowSettings {
    /// Flows held by all workers together; at the bound the flow that was idle longest goes.
    pub flows_max: u32,
    /// Seconds after which an established TCP flow without packets is over.
    pub tcp_idle_secs: u32,
    /// Seconds after which any other flow without packets is over.
    pub other_idle_secs: u32,
    /// Packets looked up together, 1 and more: enough misses in flight for any core, few enough to
    /// stay in its cache.
    pub batch: u32,
}

/// One worker: the packets of one shard, to the end.
#[derive(Debug)]
pub struct Worker {
    shard: usize,
    table: FlowTable,
    hints: Hints,
    ended: Vec<FlowEnd>,
    clock_secs: u32,
    settled_secs: u64,
    /// Packets of each source.
    read: Vec<u64>,
    /// Of the set that the last block was matched with, modulo 65,536.
    generation: u16,
    batch: usize,
    current: Arc<Current>,
    desk: Desk,
}

/// Everything behind the flow table.
#[derive(Debug)]
struct Desk {
    settings: WorkerSettings,
    streams: Streams<Reader>,
    told: Told,
    /// Where another set may come.
    shown: Option<Shown>,
    recalled: Recalled,
    notes: Notes,
    sift: Sift,
    hasher: FixedState,
    counters: Counters,
}

impl Worker {
    /// Returns the worker of one of `shards` shards; together their tables hold `flows_max`
    /// flows.
    /// What they look for is what is in force at each block's edge.
    pub fn new(
        shard: usize,
        shards: usize,
        settings: WorkerSettings,
        current: Arc<Current>,
    ) -> Self {
        let share = u32::try_from(shards).unwrap_or(u32::MAX).max(1);
        let FlowSettings { flows_max, tcp_idle_secs, other_idle_secs, batch } = settings.flows;
        let flows_max = flows_max.checked_div(share).unwrap_or(flows_max).max(1);
        let shown = || Shown::new(flows_max.saturating_mul(SHOWN_CELLS_PER_FLOW));
        Self {
            shard,
            table: FlowTable::new(flows_max, tcp_idle_secs, other_idle_secs),
            hints: Hints::default(),
            ended: Vec::with_capacity(VISITS_PER_BLOCK),
            clock_secs: 0,
            settled_secs: 0,
            read: Vec::new(),
            generation: 0,
            batch: index(batch).max(1),
            current,
            desk: Desk {
                settings,
                streams: Streams::new(flows_max),
                told: Told::new(flows_max.saturating_mul(TOLD_CHUNKS_PER_FLOW)),
                shown: (settings.sets_change && settings.depth >= Depth::Match).then(shown),
                recalled: Recalled::default(),
                notes: Notes::new(),
                sift: Sift::new(settings.sets_change),
                hasher: FixedState::with_seed(TOLD_SEED),
                counters: Counters::default(),
            },
        }
    }

    /// Reads this shard's packets of a block.
    pub fn read(&mut self, block: &Block, batch: &mut Batch) {
        batch.watermark = block.last;
        batch.settled_secs = self.settled_secs;
        self.clock_secs = block.clock_secs;
        let packets = block.shards.get(self.shard).map(Vec::as_slice).unwrap_or_default();
        if self.desk.settings.depth < Depth::Flow {
            return;
        }
        let set = Arc::clone(&self.current.load());
        batch.catalog = Some(Arc::clone(&set.catalog));
        batch.generation = set.generation;
        batch.captured = Some((block.source, block.captured.clone()));
        let [low, high, ..] = set.generation.to_le_bytes();
        self.generation = u16::from_le_bytes([low, high]);
        let memory = block.memory();
        let packets_before = self.desk.counters.packets;
        for gathered in packets.chunks(self.batch) {
            let mut hints = std::mem::take(&mut self.hints);
            self.table.gather(gathered, &mut hints);
            for (packet, hint) in gathered.iter().zip(hints.iter()) {
                self.packet(packet, hint, (memory, &set), batch);
            }
            self.hints = hints;
            // not the block's clock: a flow that is over by that may have packets in between
            let clock_secs = gathered.last().map_or(0, |packet| packet.clock_secs);
            self.sweep(gathered.len(), clock_secs, batch);
        }
        // also where this shard has few packets
        let all_over_told = self.sweep(VISITS_PER_BLOCK, block.clock_secs, batch);
        if all_over_told || !self.tells_flows() {
            self.settled_secs = u64::from(block.clock_secs);
        }
        batch.settled_secs = self.settled_secs;
        batch.counted = Some(self.counted());
        self.check(block, self.desk.counters.packets.saturating_sub(packets_before), batch);
    }

    /// Adds up what was read of the block's source; tells it at a checkpoint.
    fn check(&mut self, block: &Block, packets: u64, batch: &mut Batch) {
        let source = index(block.source);
        if source >= self.read.len() {
            self.read.resize(source.saturating_add(1), 0);
        }
        let Some(read) = self.read.get_mut(source) else { return };
        *read = read.saturating_add(packets);
        batch.checkpoint = block.checkpoint.map(|secs| Checkpoint {
            source: block.source,
            secs,
            frames: block.captured.frames(),
            failed: block.captured.decode_failures(),
            packets: *read,
        });
    }

    /// Returns what was counted so far.
    fn counted(&self) -> Counters {
        let mut counted = self.desk.counters.clone();
        counted.observations_refused = self.desk.notes.refused();
        counted.readings_cut = self.desk.notes.cut();
        counted.add(self.desk.sift.counters());
        counted.flows_active = u64::from(self.table.live());
        counted.streams_active = self.desk.streams.active();
        counted
    }

    fn tells_flows(&self) -> bool {
        self.desk.settings.observed.has(ObservationKind::Flow)
    }

    /// Ends all flows and returns the counts; `hand_over` takes a full batch and leaves an empty
    /// one.
    pub fn end(mut self, batch: &mut Batch, hand_over: &mut impl FnMut(&mut Batch)) -> Counters {
        let mut counters = Counters::default();
        let told = self.tells_flows();
        self.table.drain(self.clock_secs, told, &mut counters, &mut |end| {
            self.desk.release(&end);
            if told {
                batch.sightings.push(flow_sighting(&end));
            }
            if batch.sightings.len() >= SIGHTINGS_MAX {
                hand_over(batch);
            }
        });
        counters.add(&self.counted());
        counters
    }

    /// One packet: its flow; the flow's ends if it is new; its payload while it is read.
    fn packet(
        &mut self,
        packet: &Packet,
        hint: Hint,
        (bytes, set): (&[u8], &InForce),
        batch: &mut Batch,
    ) {
        let ended = &mut self.ended;
        let take = &mut |end| ended.push(end);
        let counters = &mut self.desk.counters;
        let Some(entry) = self.table.enter(packet, hint, counters, take) else { return };
        let Entry { slot, side, event } = entry;
        if packet.payload == Payload::Tcp {
            count_side(counters, side);
        }
        let is_late = event == Event::Known;
        if !is_late || slot.generation != self.generation {
            slot.generation = self.generation;
            let context = Context { packet, flow: slot.view(), side, set, is_late };
            self.desk.match_ends(&context, batch);
            if is_late {
                self.desk.match_again(&context, slot, batch);
            }
        }
        if slot.reading() != Reading::Finished {
            self.desk.read(packet, slot, side, bytes);
            self.desk.tell((packet, set), slot, side, batch);
        }
        if !self.ended.is_empty() {
            self.desk.forget(&mut self.ended, batch);
        }
    }

    /// Frees the memory of flows that are over: a few slots for each packet read.
    /// Tells whether none is left.
    fn sweep(&mut self, packets: usize, clock_secs: u32, batch: &mut Batch) -> bool {
        let visits = narrow(packets).saturating_mul(VISITS_PER_PACKET);
        let ended = &mut self.ended;
        let take = &mut |end| ended.push(end);
        let all = self.table.sweep(clock_secs, visits, &mut self.desk.counters, take);
        self.desk.forget(&mut self.ended, batch);
        all
    }
}

impl Desk {
    /// A flow opened, or another set is in force since: its ends are matched.
    fn match_ends(&mut self, opened: &Context<'_>, batch: &mut Batch) {
        if !opened.is_late {
            self.counters.count_observation(ObservationKind::Flow);
        }
        if self.settings.depth >= Depth::Match {
            self.sift.flow(opened, batch);
        }
    }

    /// Another set is in force since a flow opened: what it has shown is matched, each packet's
    /// values with one another for context.
    fn match_again(&mut self, context: &Context<'_>, slot: &FlowSlot, batch: &mut Batch) {
        let Some(shown) = &self.shown else { return };
        let mut recalled = std::mem::take(&mut self.recalled);
        shown.recall(slot.shown, &mut recalled);
        let mut context = *context;
        for showing in recalled.iter() {
            if showing.is_first {
                self.match_noted(&context, batch);
            }
            context.side = showing.side;
            self.notes.note(showing.observation);
        }
        self.match_noted(&context, batch);
        self.recalled = recalled;
    }

    /// Matches what is noted, and forgets it.
    fn match_noted(&mut self, context: &Context<'_>, batch: &mut Batch) {
        self.sift.begin();
        for observation in self.notes.iter() {
            self.sift.observe(&observation, &self.notes, context, batch);
        }
        self.notes.clear();
    }

    /// Payload of a flow that is still read.
    fn read(&mut self, packet: &Packet, slot: &mut FlowSlot, side: Side, bytes: &[u8]) {
        if self.settings.depth < Depth::Dissect {
            return;
        }
        let at = index(packet.payload_at);
        let end = at.saturating_add(index(packet.payload_bytes));
        let payload = bytes.get(at..end).unwrap_or_default();
        match packet.payload {
            Payload::Tcp => self.segment(packet, slot, side, payload),
            Payload::Udp => self.datagram(packet, slot, payload),
            Payload::Fragment => {
                let count = &mut self.counters.datagrams_fragmented;
                *count = count.saturating_add(1);
            }
            Payload::Opaque => {}
        }
    }

    fn segment(&mut self, packet: &Packet, slot: &mut FlowSlot, side: Side, payload: &[u8]) {
        let stream = match slot.reading() {
            Reading::Open(stream) => stream,
            Reading::Unread if payload.is_empty() && packet.missing_bytes == 0 => return,
            Reading::Unread => {
                let stream = self.streams.open();
                self.counters.streams_opened = self.counters.streams_opened.saturating_add(1);
                slot.set_reading(Reading::Open(stream));
                stream
            }
            Reading::Finished => return,
        };
        let segment = Segment::new(packet, payload, side, slot.start(side));
        let notes = &mut self.notes;
        let is_whole = slot.start(Side::Orig).is_some();
        let feed = |reader: &mut Reader, side, bytes: &[u8]| {
            let step = reader.feed(side, bytes, notes);
            // whoever opened a connection and speaks no protocol of ours will not be answered in
            // one
            let is_alien = is_whole && step.verdict == Verdict::SideDone && reader.is_strange(side);
            match (is_alien, side) {
                (true, Side::Orig) => Step { verdict: Verdict::Alien, ..step },
                _ => step,
            }
        };
        let outcome = self.streams.segment(stream, &segment, &mut self.counters, feed);
        let ended = match outcome {
            Outcome::Open => return,
            Outcome::Done => &mut self.counters.streams_read,
            Outcome::Alien => &mut self.counters.streams_alien,
            Outcome::Lost => &mut self.counters.streams_lost,
        };
        *ended = ended.saturating_add(1);
        self.streams.release(stream, &mut self.counters);
        slot.set_reading(Reading::Finished);
    }

    fn datagram(&mut self, packet: &Packet, slot: &mut FlowSlot, payload: &[u8]) {
        if payload.is_empty() {
            return;
        }
        let ports = [packet.key.low_port, packet.key.high_port];
        let read = dns::datagram(payload, ports, &mut self.notes);
        let counters = &mut self.counters;
        let count = match read {
            Datagram::Whole => return,
            Datagram::Partial if packet.missing_bytes > 0 => &mut counters.datagrams_truncated,
            Datagram::Partial => &mut counters.datagrams_malformed,
            Datagram::Alien => &mut counters.datagrams_alien,
        };
        *count = count.saturating_add(1);
        if read == Datagram::Alien && slot.packets_total() >= ALIEN_PACKETS {
            slot.set_reading(Reading::Finished);
        }
    }

    /// Tells each value that is new to its flow: to those who want to see it, and to the
    /// indicators.
    fn tell(
        &mut self,
        (packet, set): (&Packet, &InForce),
        slot: &mut FlowSlot,
        side: Side,
        batch: &mut Batch,
    ) {
        if self.notes.is_empty() {
            return;
        }
        let context = Context { packet, flow: slot.view(), side, set, is_late: false };
        self.sift.begin();
        let mut is_first = true;
        for observation in self.notes.iter() {
            let hash = self.hasher.hash_one(observation);
            if !self.told.is_new(&mut slot.told, hash, &mut self.counters) {
                continue;
            }
            self.counters.count_observation(observation.kind);
            if let Some(shown) = &mut self.shown {
                let showing = Showing { observation, side, is_first };
                is_first &= !shown.keep(&mut slot.shown, showing, &mut self.counters);
            }
            if self.settings.observed.has(observation.kind) {
                let sighting = sighting(&observation, &context, batch);
                batch.sightings.push(sighting);
            }
            if self.settings.depth >= Depth::Match {
                self.sift.observe(&observation, &self.notes, &context, batch);
            }
        }
        self.notes.clear();
    }

    /// Ends the reading of a flow that ended; a hole that was never filled is counted.
    fn release(&mut self, end: &FlowEnd) {
        if let Reading::Open(stream) = end.reading {
            self.streams.release(stream, &mut self.counters);
            self.counters.streams_unfinished = self.counters.streams_unfinished.saturating_add(1);
        }
    }

    /// Lets go of what ended flows held, and tells of them.
    fn forget(&mut self, ended: &mut Vec<FlowEnd>, batch: &mut Batch) {
        for end in ended.drain(..) {
            self.release(&end);
            self.told.release(end.told);
            if let Some(shown) = &mut self.shown {
                shown.release(end.shown);
            }
            self.sift.forget(&end.view);
            if self.settings.observed.has(ObservationKind::Flow) {
                batch.sightings.push(flow_sighting(&end));
            }
        }
    }
}

/// Whether both directions are seen shows by who sends.
fn count_side(counters: &mut Counters, side: Side) {
    let sent = match side {
        Side::Orig => &mut counters.tcp_packets_opener,
        Side::Resp => &mut counters.tcp_packets_other,
    };
    *sent = sent.saturating_add(1);
}

fn sighting(observation: &Observation<'_>, context: &Context<'_>, batch: &mut Batch) -> Sighting {
    Sighting {
        time: context.packet.time,
        frame: context.packet.frame,
        clock_secs: context.packet.clock_secs,
        kind: observation.kind,
        place: observation.place,
        side: context.side,
        flow: context.flow,
        value: batch.keep_shown(&observation.value),
        totals: None,
    }
}

fn flow_sighting(end: &FlowEnd) -> Sighting {
    Sighting {
        time: end.view.first,
        frame: end.frame,
        clock_secs: end.over_secs,
        kind: ObservationKind::Flow,
        place: Place::Flow,
        side: Side::Orig,
        flow: end.view,
        value: Span::default(),
        totals: Some(FlowTotals { packets: end.packets, bytes: end.bytes, end: end.last }),
    }
}
