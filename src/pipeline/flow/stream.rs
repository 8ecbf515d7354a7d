//! TCP reassembly: each side's bytes in order, once, as slices to the dissector (RFC 9293 §3.4).
//!
//! In order and nothing kept: the dissector reads the packet's own bytes. Only what it leaves
//! unread, and what came too early, is copied. Where copies of a byte differ, the first that came
//! counts. A gap ends the reading of its side.

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::counters::Counters;
use crate::model::flow::Side;
use crate::model::limits::REASSEMBLY_BYTES_MAX;
use crate::model::step::Step;
use crate::model::step::Verdict;
use crate::pipeline::flow::hold::Holds;
use crate::pipeline::flow::hold::Owner;
pub use crate::pipeline::flow::segment::Segment;
use crate::pipeline::flow::side::Reader;
use crate::pipeline::flow::side::SideStream;

/// The stream of one flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamId(pub(super) u32);

/// The streams that one worker reads, each with its dissector `D`.
#[derive(Debug)]
pub struct Streams<D> {
    streams: Vec<Stream<D>>,
    free: Vec<u32>,
    holds: Holds,
}

/// What became of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// There is more to read.
    Open,
    /// Both sides are read.
    Done,
    /// Not, or no longer, a protocol we read.
    Alien,
    /// No side can be read on, one of them because bytes are missing or found no room.
    Lost,
}

impl<D: Default> Streams<D> {
    /// Returns room for `streams_max` streams.
    pub fn new(streams_max: u32) -> Self {
        Self::with_bytes(streams_max, REASSEMBLY_BYTES_MAX)
    }

    /// Returns room for `streams_max` streams that keep `bytes_max` unread bytes together.
    pub(super) fn with_bytes(streams_max: u32, bytes_max: usize) -> Self {
        Self {
            // address space only, as in the flow table; nothing is moved when streams become many
            streams: Vec::with_capacity(index(streams_max)),
            free: Vec::with_capacity(index(streams_max)),
            holds: Holds::new(bytes_max),
        }
    }

    /// Begins to read a flow.
    pub fn open(&mut self) -> StreamId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.streams.push(Stream::default());
            narrow(self.streams.len()).saturating_sub(1)
        });
        StreamId(id)
    }

    /// Takes a segment of a flow that is being read, payload or not, and shows `feed` what can be
    /// read now. After any outcome but `Open` the stream must be released.
    pub fn segment(
        &mut self,
        id: StreamId,
        segment: &Segment<'_>,
        counters: &mut Counters,
        mut feed: impl FnMut(&mut D, Side, &[u8]) -> Step,
    ) -> Outcome {
        self.make_room(counters);
        let Some(stream) = self.streams.get_mut(index(id.0)) else { return Outcome::Lost };
        let Stream { orig, resp, dissector } = stream;
        let (sender, receiver) = match segment.side {
            Side::Orig => (&mut *orig, &mut *resp),
            Side::Resp => (&mut *resp, &mut *orig),
        };
        if let Some(ack) = segment.ack {
            receiver.note_ack(ack, &mut self.holds, counters);
        }
        let mut reader = Reader {
            side: sender,
            owner: Owner { stream: id.0, side: segment.side },
            holds: &mut self.holds,
            counters,
            feed: |unread: &[u8]| feed(dissector, segment.side, unread),
        };
        match reader.read(segment) {
            Verdict::Done => Outcome::Done,
            Verdict::Alien => Outcome::Alien,
            Verdict::More | Verdict::SideDone | Verdict::Another => outcome(orig, resp),
        }
    }

    /// Ends the reading of a flow and frees what it kept. A hole that was never filled is counted.
    pub fn release(&mut self, id: StreamId, counters: &mut Counters) {
        if let Some(stream) = self.streams.get_mut(index(id.0)) {
            stream.orig.release(&mut self.holds, counters);
            stream.resp.release(&mut self.holds, counters);
            *stream = Stream::default();
            self.free.push(id.0);
        }
    }

    /// Returns how many flows are being read.
    pub fn active(&self) -> u64 {
        u64::from(narrow(self.streams.len().saturating_sub(self.free.len())))
    }

    /// Tells whether nothing is kept and all memory was given back.
    #[cfg(test)]
    pub(super) fn keeps_nothing(&self) -> bool {
        self.holds.is_unused()
    }

    /// Ends the reading of the sides that keep something longest, until there is room for one side
    /// more.
    fn make_room(&mut self, counters: &mut Counters) {
        while let Some(owner) = self.holds.surplus() {
            let Some(stream) = self.streams.get_mut(index(owner.stream)) else { return };
            let side = match owner.side {
                Side::Orig => &mut stream.orig,
                Side::Resp => &mut stream.resp,
            };
            side.refuse(&mut self.holds);
            counters.streams_refused_memory = counters.streams_refused_memory.saturating_add(1);
        }
    }
}

/// What is kept of one flow while it is read.
#[derive(Debug)]
struct Stream<D> {
    orig: SideStream,
    resp: SideStream,
    dissector: D,
}

impl<D: Default> Default for Stream<D> {
    fn default() -> Self {
        Self { orig: SideStream::NEW, resp: SideStream::NEW, dissector: D::default() }
    }
}

fn outcome(orig: &SideStream, resp: &SideStream) -> Outcome {
    if !orig.is_over() || !resp.is_over() {
        Outcome::Open
    } else if orig.is_lost() || resp.is_lost() {
        Outcome::Lost
    } else {
        Outcome::Done
    }
}
