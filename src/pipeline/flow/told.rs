//! Which values each flow has told, so that each is told once: 40 bits of their hashes, five in a
//! chunk of 32 bytes.
//!
//! Most flows tell three to five values, so one chunk. That a new value passes for a told one takes
//! two of a flow's at most `FLOW_VALUES_MAX` values with the same 40 bits of a keyed hash: once in
//! a million flows of a thousand values each.

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::counters::Counters;
use crate::model::limits::FLOW_VALUES_MAX;
use crate::pipeline::flow::NONE;

const CHUNK_VALUES: usize = 5;

/// What is kept of a value's hash.
type Trace = [u8; 5];

/// The values of all flows of a worker.
#[derive(Debug)]
pub struct Told {
    chunks: Vec<Chunk>,
    free: u32,
    chunks_max: u32,
}

impl Told {
    /// Returns memory for at most `chunks_max` chunks of five values.
    pub fn new(chunks_max: u32) -> Self {
        Self { chunks: Vec::new(), free: NONE, chunks_max }
    }

    /// Notes `value` (a hash of kind, place and value) and tells whether it is new to the flow.
    /// Past `FLOW_VALUES_MAX` the flow's oldest chunk of values is forgotten, and they are counted;
    /// so is a value for which no chunk is left.
    pub fn is_new(&mut self, list: &mut ToldList, value: u64, counters: &mut Counters) -> bool {
        let [a, b, c, d, e, ..] = value.to_le_bytes();
        let trace = [a, b, c, d, e];
        let mut total = 0_usize;
        let mut id = list.0;
        while let Some(chunk) = self.chunks.get(index(id)) {
            if chunk.values().contains(&trace) {
                return false;
            }
            total = total.saturating_add(chunk.values().len());
            id = chunk.next;
        }
        if total >= FLOW_VALUES_MAX {
            let forgotten = self.forget_oldest(list);
            counters.values_forgotten = counters.values_forgotten.saturating_add(forgotten);
        }
        if self.is_full(list.0) {
            let Some(chunk) = self.take(list.0) else {
                counters.values_forgotten = counters.values_forgotten.saturating_add(1);
                return true;
            };
            list.0 = chunk;
        }
        if let Some(chunk) = self.chunks.get_mut(index(list.0)) {
            chunk.push(trace);
        }
        true
    }

    /// Forgets a flow's values; its chunks are used again.
    pub fn release(&mut self, list: ToldList) {
        let mut last = list.0;
        while let Some(chunk) = self.chunks.get_mut(index(last)) {
            if chunk.next == NONE {
                chunk.next = std::mem::replace(&mut self.free, list.0);
                return;
            }
            last = chunk.next;
        }
    }

    /// Tells whether nothing fits into the chunk, or there is none.
    fn is_full(&self, id: u32) -> bool {
        let chunk = self.chunks.get(index(id));
        chunk.is_none_or(|chunk| chunk.values().len() == CHUNK_VALUES)
    }

    /// Returns an empty chunk that stands before `next`, if one is left.
    fn take(&mut self, next: u32) -> Option<u32> {
        let empty = Chunk { next, count: 0, values: [Trace::default(); CHUNK_VALUES] };
        let id = self.free;
        if let Some(chunk) = self.chunks.get_mut(index(id)) {
            self.free = chunk.next;
            *chunk = empty;
            return Some(id);
        }
        let id = narrow(self.chunks.len());
        (id < self.chunks_max).then(|| self.chunks.push(empty)).map(|()| id)
    }

    /// Takes the last chunk off the list and returns how many values it held.
    fn forget_oldest(&mut self, list: &mut ToldList) -> u64 {
        let next_of = |chunks: &[Chunk], id: u32| chunks.get(index(id)).map_or(NONE, |c| c.next);
        let mut before = NONE;
        let mut oldest = list.0;
        while next_of(&self.chunks, oldest) != NONE {
            before = oldest;
            oldest = next_of(&self.chunks, oldest);
        }
        match self.chunks.get_mut(index(before)) {
            Some(chunk) => chunk.next = NONE,
            None => list.0 = NONE,
        }
        let Some(chunk) = self.chunks.get_mut(index(oldest)) else { return 0 };
        chunk.next = std::mem::replace(&mut self.free, oldest);
        u64::from(chunk.count)
    }
}

/// The values of one flow: a list of chunks, the newest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ToldList(u32);

impl Default for ToldList {
    fn default() -> Self {
        Self(NONE)
    }
}

/// Half a cache line, but not aligned to it: then the allocator moves pages, not bytes, as the list
/// grows.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    next: u32,
    count: u8,
    values: [Trace; CHUNK_VALUES],
}

const _: () = assert!(size_of::<Chunk>() == 32);

impl Chunk {
    fn values(&self) -> &[Trace] {
        self.values.get(..usize::from(self.count)).unwrap_or_default()
    }

    fn push(&mut self, value: Trace) {
        if let Some(place) = self.values.get_mut(usize::from(self.count)) {
            *place = value;
            self.count = self.count.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CHUNK_VALUES;
    use super::Told;
    use super::ToldList;
    use crate::model::counters::Counters;
    use crate::model::limits::FLOW_VALUES_MAX;

    #[test]
    fn each_value_is_new_once_in_each_flow() {
        let (mut told, mut counters) = (Told::new(1_000), Counters::default());
        let (mut a, mut b) = (ToldList::default(), ToldList::default());
        for value in 0..100 {
            assert!(told.is_new(&mut a, value, &mut counters));
            assert!(told.is_new(&mut b, value, &mut counters));
        }
        for value in 0..100 {
            assert!(!told.is_new(&mut a, value, &mut counters));
        }
        assert_eq!(counters.values_forgotten, 0);
    }

    #[test]
    fn the_oldest_are_forgotten_beyond_the_bound() {
        let max = u64::try_from(FLOW_VALUES_MAX).unwrap();
        for (values, forgotten) in [(max - 1, 0), (max, 0), (max + 1, CHUNK_VALUES)] {
            let (mut told, mut counters) = (Told::new(1_000), Counters::default());
            let mut list = ToldList::default();
            for value in 0..values {
                assert!(told.is_new(&mut list, value, &mut counters));
            }
            assert_eq!(counters.values_forgotten, u64::try_from(forgotten).unwrap());
            for value in u64::try_from(forgotten).unwrap()..values {
                assert!(!told.is_new(&mut list, value, &mut counters), "{value} of {values}");
            }
            assert_eq!(told.is_new(&mut list, 0, &mut counters), forgotten > 0);
        }
    }

    #[test]
    fn released_chunks_are_used_again() {
        let (mut told, mut counters) = (Told::new(1_000), Counters::default());
        for _ in 0..10 {
            let mut list = ToldList::default();
            for value in 0..1_000 {
                assert!(told.is_new(&mut list, value, &mut counters));
            }
            told.release(list);
        }
        assert_eq!(told.chunks.len(), 1_000_usize.div_ceil(CHUNK_VALUES));
        told.release(ToldList::default());
        assert!(told.is_new(&mut ToldList::default(), 1, &mut counters));
    }
}
