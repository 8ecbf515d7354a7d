//! One side of a stream: what comes next, and what to do with a segment.

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::counters::Counters;
use crate::model::limits::SIDE_BYTES_MAX;
use crate::model::limits::SIDE_SEGMENTS_MAX;
use crate::model::step::Step;
use crate::model::step::Verdict;
use crate::pipeline::flow::NONE;
use crate::pipeline::flow::hold::Hold;
use crate::pipeline::flow::hold::Holds;
use crate::pipeline::flow::hold::Owner;
use crate::pipeline::flow::segment::Segment;

/// Segments that must come behind a hole before we believe an acknowledgement that skips it: it may
/// have overtaken the segment on its way to us, as three duplicates tell loss from reordering in
/// RFC 5681 §3.2.
const LOST_SEGMENTS: u32 = 3;

/// One side of a stream. Where nothing is kept, this is all there is of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SideStream {
    /// Bytes from `next` on that need not be shown; nothing is kept while there are any.
    skip: u64,
    /// Sequence number of the first byte that did not come yet.
    next: u32,
    /// A hold's number, or a state where there is none.
    hold: u32,
}

const _: () = assert!(size_of::<SideStream>() == 16);

/// No byte came yet.
const UNSTARTED: u32 = NONE;
/// Nothing is kept.
const BARE: u32 = NONE - 1;
/// The dissector has what it wants.
const READ: u32 = NONE - 2;
/// Bytes are missing or found no room.
const LOST: u32 = NONE - 3;

/// Reads one segment of a side.
pub(super) struct Reader<'r, F> {
    pub(super) side: &'r mut SideStream,
    pub(super) owner: Owner,
    pub(super) holds: &'r mut Holds,
    pub(super) counters: &'r mut Counters,
    pub(super) feed: F,
}

/// The part of a segment that is not read yet.
#[derive(Clone, Copy)]
struct Rest<'a> {
    seq: u32,
    bytes: &'a [u8],
}

impl SideStream {
    pub(super) const NEW: Self = Self { skip: 0, next: 0, hold: UNSTARTED };

    /// Tells whether nothing more is read of this side.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.hold, READ | LOST)
    }

    /// Tells whether the reading ended before the dissector was content.
    pub(super) fn is_lost(&self) -> bool {
        self.hold == LOST
    }

    /// Ends the reading because no room is left.
    pub(super) fn refuse(&mut self, holds: &mut Holds) {
        self.end(holds, LOST);
    }

    /// Frees what is kept; a hole that was never filled is counted.
    pub(super) fn release(&mut self, holds: &mut Holds, counters: &mut Counters) {
        if self.end(holds, READ) {
            counters.gaps = counters.gaps.saturating_add(1);
        }
    }

    /// Notes what the other side acknowledges.
    pub(super) fn note_ack(&mut self, ack: u32, holds: &mut Holds, counters: &mut Counters) {
        if let Some((hold, _)) = holds.of(self.hold) {
            let is_later = hold.acked.is_none_or(|acked| distance(acked, ack) > 0);
            if is_later {
                hold.acked = Some(ack);
            }
            if self.has_lost(hold) {
                self.lose(holds, counters);
            }
        }
    }

    /// Tells whether the hole before what is kept will not be filled any more.
    fn has_lost(&self, hold: &Hold) -> bool {
        let is_acked = hold.acked.is_some_and(|acked| distance(self.next, acked) > 0);
        let enough = if hold.fin { 0 } else { LOST_SEGMENTS };
        hold.has_hole()
            && ((is_acked && hold.waiting >= enough) || hold.waiting >= narrow(SIDE_SEGMENTS_MAX))
    }

    /// Moves on by `count` bytes.
    fn pass(&mut self, count: u64) {
        let [_, _, _, _, a, b, c, d] = count.to_be_bytes();
        self.next = self.next.wrapping_add(u32::from_be_bytes([a, b, c, d]));
    }

    fn lose(&mut self, holds: &mut Holds, counters: &mut Counters) {
        self.end(holds, LOST);
        counters.gaps = counters.gaps.saturating_add(1);
    }

    fn end(&mut self, holds: &mut Holds, state: u32) -> bool {
        let hold = std::mem::replace(&mut self.hold, state);
        holds.close(hold)
    }
}

impl<F: FnMut(&[u8]) -> Step> Reader<'_, F> {
    /// Shows the dissector what can be read now, keeps what cannot. The verdict is the last of the
    /// dissector.
    pub(super) fn read(&mut self, segment: &Segment<'_>) -> Verdict {
        let is_empty = segment.payload.is_empty() && segment.missing_bytes == 0;
        if self.side.is_over() || (is_empty && self.side.hold >= LOST) {
            return Verdict::More;
        }
        if self.side.hold == UNSTARTED {
            if segment.probe && segment.start.is_none() {
                return Verdict::More;
            }
            self.side.hold = BARE;
            self.side.next = segment.start.unwrap_or(segment.seq);
        }
        let verdict = self.read_bytes(segment);
        if verdict != Verdict::More {
            self.side.end(self.holds, READ);
            return verdict;
        }
        if segment.missing_bytes > 0 && !self.side.is_over() {
            self.cut(segment);
        }
        if let Some((hold, _)) = self.holds.of(self.side.hold) {
            hold.fin |= segment.fin;
            if self.side.has_lost(hold) {
                self.side.lose(self.holds, self.counters);
            }
        }
        Verdict::More
    }

    /// Reads the payload from the first byte that did not come yet, piece by piece, until nothing
    /// more can be done.
    fn read_bytes(&mut self, segment: &Segment<'_>) -> Verdict {
        let mut rest = Rest { seq: segment.seq, bytes: segment.payload };
        let mut is_new = false;
        while !self.side.is_over() {
            let ahead = distance(self.side.next, rest.seq);
            let early = usize::try_from(ahead).unwrap_or(0);
            rest = rest.after(index(ahead.min(0).unsigned_abs()));
            if rest.bytes.is_empty() {
                self.count_repeated(!is_new && !segment.payload.is_empty());
                break;
            }
            is_new = true;
            let verdict = if self.side.skip > 0 {
                self.skip(early.saturating_add(rest.bytes.len()))
            } else if early > 0 {
                self.keep_early(early, rest.bytes);
                break;
            } else if self.side.hold == BARE {
                self.show(rest.bytes)
            } else {
                self.keep(rest.bytes)
            };
            if verdict != Verdict::More {
                return verdict;
            }
        }
        Verdict::More
    }

    /// Lets `count` bytes pass unseen, or as many as are to be skipped.
    fn skip(&mut self, count: usize) -> Verdict {
        let skipped = self.side.skip.min(u64::from(narrow(count)));
        self.side.skip = self.side.skip.saturating_sub(skipped);
        self.side.pass(skipped);
        Verdict::More
    }

    /// Shows bytes where they are, and keeps what the dissector leaves.
    fn show(&mut self, bytes: &[u8]) -> Verdict {
        let shown = bytes.get(..SIDE_BYTES_MAX).unwrap_or(bytes);
        let step = (self.feed)(shown);
        if step.verdict != Verdict::More {
            return step.verdict;
        }
        let shown_bytes = u64::from(narrow(shown.len()));
        let read = step.consumed.min(shown_bytes);
        self.side.pass(read);
        self.side.skip = step.consumed.saturating_sub(read);
        let left = bytes.get(usize::try_from(read).unwrap_or(usize::MAX)..).unwrap_or_default();
        if shown.len() == bytes.len() {
            self.keep_unread(left);
        } else if read == 0 {
            self.refuse();
        }
        Verdict::More
    }

    /// Keeps bytes that come next but were left by the dissector.
    fn keep_unread(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.side.hold = self.holds.open(self.owner);
        if let Some((hold, pool)) = self.holds.of(self.side.hold) {
            let placed = hold.window.place(pool, 0, bytes);
            self.side.pass(u64::from(narrow(placed.taken)));
        }
    }

    /// Keeps bytes that come before their turn, if they fit.
    fn keep_early(&mut self, early: usize, bytes: &[u8]) {
        if self.side.hold == BARE {
            self.side.hold = self.holds.open(self.owner);
        }
        let Some((hold, pool)) = self.holds.of(self.side.hold) else { return };
        let offset = hold.window.unread().len().saturating_add(early);
        let placed = hold.window.place(pool, offset, bytes);
        let is_repeated = placed.taken > 0 && !placed.is_fresh;
        if !is_repeated {
            hold.waiting = hold.waiting.saturating_add(1);
            let reordered = &mut self.counters.segments_reordered;
            *reordered = reordered.saturating_add(1);
        }
        self.count_repeated(is_repeated);
    }

    /// Puts bytes that come next behind the unread ones, and shows all of them.
    fn keep(&mut self, bytes: &[u8]) -> Verdict {
        let Some((hold, pool)) = self.holds.of(self.side.hold) else { return Verdict::SideDone };
        let unread = hold.window.unread().len();
        let placed = hold.window.place(pool, unread, bytes);
        if placed.taken == 0 {
            self.refuse();
            return Verdict::More;
        }
        hold.waiting = 0;
        let grown = hold.window.unread().len().saturating_sub(unread);
        self.side.pass(u64::from(narrow(grown)));
        self.show_kept()
    }

    /// Shows the unread bytes, again where the dissector's skipping joined more to them.
    fn show_kept(&mut self) -> Verdict {
        while let Some((hold, _)) = self.holds.of(self.side.hold) {
            let unread = u64::from(narrow(hold.window.unread().len()));
            let step = (self.feed)(hold.window.unread());
            if step.verdict != Verdict::More {
                return step.verdict;
            }
            self.side.skip = hold.window.drop_front(step.consumed);
            let dropped = step.consumed.saturating_sub(self.side.skip);
            let joined = u64::from(narrow(hold.window.unread().len()));
            self.side.pass(dropped.saturating_add(joined).saturating_sub(unread));
            if hold.is_empty() {
                self.side.end(self.holds, BARE);
            } else if step.consumed <= unread || joined == 0 {
                break;
            }
        }
        Verdict::More
    }

    /// Ends the reading where the capture cut a segment, unless the cut bytes are to be skipped.
    /// A segment that came early leaves an ordinary hole.
    fn cut(&mut self, segment: &Segment<'_>) {
        let cut_seq = segment.seq.wrapping_add(narrow(segment.payload.len()));
        let ahead = i64::from(distance(self.side.next, cut_seq));
        let missing = ahead.saturating_add(i64::from(segment.missing_bytes));
        let missing = u64::try_from(missing).unwrap_or(0);
        if ahead > 0 || missing == 0 {
            return;
        }
        if missing > self.side.skip {
            self.side.lose(self.holds, self.counters);
        } else {
            self.side.skip = self.side.skip.saturating_sub(missing);
            self.side.pass(missing);
        }
    }

    fn refuse(&mut self) {
        self.side.refuse(self.holds);
        self.counters.streams_refused = self.counters.streams_refused.saturating_add(1);
    }

    fn count_repeated(&mut self, is_repeated: bool) {
        let repeated = &mut self.counters.segments_repeated;
        *repeated = repeated.saturating_add(u64::from(is_repeated));
    }
}

impl<'a> Rest<'a> {
    fn after(self, count: usize) -> Self {
        let seq = self.seq.wrapping_add(narrow(count.min(self.bytes.len())));
        Self { seq, bytes: self.bytes.get(count..).unwrap_or_default() }
    }
}

/// Returns how far sequence number `to` is ahead of `from` (RFC 9293 §3.4: modulo 2^32).
fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}
