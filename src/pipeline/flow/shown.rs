//! The values that flows have shown, whole, so that a set that comes later is matched with them.
//!
//! A flow's values lie one after the other in cells of 64 bytes, newest cell first; a name and the
//! fingerprints of its connection fill two. Only a sensor keeps them: a replay has one set.

use crate::model::address::Address;
use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::counters::Counters;
use crate::model::flow::Side;
use crate::model::observation::Observation;
use crate::model::observation::ObservationKind;
use crate::model::observation::Place;
use crate::model::observation::Value;
use crate::pipeline::flow::NONE;

/// Bytes of values in a cell.
const CELL_BYTES: usize = 58;

/// Bytes before each value: kind, place, flags, two of length.
const HEAD_BYTES: usize = 5;

/// Flag: an address.
const ADDRESS: u8 = 1;

/// Flag: a digest; text has none of these.
const DIGEST: u8 = 1 << 1;

/// Flag: a URL that its request names whole.
const ABSOLUTE: u8 = 1 << 4;

/// Flag: the other end showed it.
const RESP: u8 = 1 << 2;

/// Flag: the first of its packet or stretch.
const FIRST: u8 = 1 << 3;

/// The values of all flows of a worker.
#[derive(Debug)]
pub struct Shown {
    cells: Vec<Cell>,
    free: u32,
    cells_max: u32,
}

/// The values of one flow: a list of cells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShownList(u32);

impl Default for ShownList {
    fn default() -> Self {
        Self(NONE)
    }
}

/// One value of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Showing<'a> {
    /// What was seen.
    pub observation: Observation<'a>,
    /// Who sent it.
    pub side: Side,
    /// Whether it was the first new one of its packet or stretch.
    pub is_first: bool,
}

/// The bytes of one flow's values, copied together; the memory is used again.
#[derive(Debug, Default)]
pub struct Recalled {
    bytes: Vec<u8>,
    cells: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    next: u32,
    /// Cells of the list from here on: one byte's range is a flow's bound.
    cells: u8,
    used: u8,
    bytes: [u8; CELL_BYTES],
}

const _: () = assert!(size_of::<Cell>() == 64);

impl Cell {
    fn filled(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.used)).unwrap_or_default()
    }

    /// Takes as many bytes as fit; returns the rest.
    fn push<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = self.bytes.get_mut(usize::from(self.used)..).unwrap_or_default();
        let (now, rest) = bytes.split_at(bytes.len().min(room.len()));
        room.iter_mut().zip(now).for_each(|(place, byte)| *place = *byte);
        let used = usize::from(self.used).saturating_add(now.len());
        self.used = u8::try_from(used).unwrap_or(u8::MAX);
        rest
    }
}

impl Shown {
    /// Returns memory for at most `cells_max` cells.
    pub fn new(cells_max: u32) -> Self {
        Self { cells: Vec::new(), free: NONE, cells_max }
    }

    /// Keeps a value of a flow. One for which no room is left, or that would take a flow past 255
    /// cells (14 KiB), is not kept, and counted.
    pub fn keep(
        &mut self,
        list: &mut ShownList,
        showing: Showing<'_>,
        counters: &mut Counters,
    ) -> bool {
        let (form, value) = match &showing.observation.value {
            Value::Text(text) => (0, *text),
            Value::Absolute(url) => (ABSOLUTE, *url),
            Value::Digest(digest) => (DIGEST, *digest),
            Value::Address(address) => (ADDRESS, &address.0[..]),
        };
        let side = if showing.side == Side::Resp { RESP } else { 0 };
        let first = if showing.is_first { FIRST } else { 0 };
        let [low, high, ..] = narrow(value.len()).to_le_bytes();
        let [kind, place] =
            [showing.observation.kind.position(), showing.observation.place.position()]
                .map(|position| u8::try_from(position).unwrap_or(u8::MAX));
        if !self.has_room(*list, HEAD_BYTES.saturating_add(value.len())) {
            counters.values_unkept = counters.values_unkept.saturating_add(1);
            return false;
        }
        self.append(list, &[kind, place, form | side | first, low, high]);
        self.append(list, value);
        true
    }

    /// Copies a flow's values together; `recalled` gives them in the order shown.
    pub fn recall(&self, list: ShownList, recalled: &mut Recalled) {
        recalled.cells.clear();
        recalled.bytes.clear();
        let mut id = list.0;
        while let Some(cell) = self.cells.get(index(id)) {
            recalled.cells.push(id);
            id = cell.next;
        }
        let oldest_first = recalled.cells.iter().rev();
        for cell in oldest_first.filter_map(|id| self.cells.get(index(*id))) {
            recalled.bytes.extend_from_slice(cell.filled());
        }
    }

    /// Forgets a flow's values; its cells are used again.
    pub fn release(&mut self, list: ShownList) {
        let mut last = list.0;
        while let Some(cell) = self.cells.get_mut(index(last)) {
            if cell.next == NONE {
                cell.next = std::mem::replace(&mut self.free, list.0);
                return;
            }
            last = cell.next;
        }
    }

    fn has_room(&self, list: ShownList, bytes: usize) -> bool {
        let newest = self.cells.get(index(list.0));
        let room = newest.map_or(0, |cell| CELL_BYTES.saturating_sub(usize::from(cell.used)));
        let more = bytes.saturating_sub(room).div_ceil(CELL_BYTES);
        let held = newest.map_or(0, |cell| usize::from(cell.cells));
        // those that were freed are not counted: where they matter, the table is nearly full
        let never_used = index(self.cells_max).saturating_sub(self.cells.len());
        held.saturating_add(more) <= usize::from(u8::MAX)
            && (more <= never_used || self.has_free(more.saturating_sub(never_used)))
    }

    /// Tells whether `wanted` cells were freed; looks at no more than that.
    fn has_free(&self, wanted: usize) -> bool {
        let mut id = self.free;
        for _ in 0..wanted {
            let Some(cell) = self.cells.get(index(id)) else { return false };
            id = cell.next;
        }
        true
    }

    /// Appends bytes, for which there is room.
    fn append(&mut self, list: &mut ShownList, bytes: &[u8]) {
        let mut rest = match self.cells.get_mut(index(list.0)) {
            Some(cell) => cell.push(bytes),
            None => bytes,
        };
        while !rest.is_empty() {
            let Some(cell) = self.take(list) else { return };
            rest = cell.push(rest);
        }
    }

    /// Puts an empty cell at the head of a list.
    fn take(&mut self, list: &mut ShownList) -> Option<&mut Cell> {
        let cells = self.cells.get(index(list.0)).map_or(0, |cell| cell.cells).saturating_add(1);
        let empty = Cell { next: list.0, cells, used: 0, bytes: [0; CELL_BYTES] };
        let id = self.free;
        if let Some(cell) = self.cells.get_mut(index(id)) {
            self.free = cell.next;
            *cell = empty;
            list.0 = id;
        } else if narrow(self.cells.len()) < self.cells_max {
            list.0 = narrow(self.cells.len());
            self.cells.push(empty);
        } else {
            return None;
        }
        self.cells.get_mut(index(list.0))
    }
}

impl Recalled {
    /// Returns the values in the order shown.
    pub fn iter(&self) -> impl Iterator<Item = Showing<'_>> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let ([kind, place, flags, low, high], after) =
                rest.split_first_chunk::<HEAD_BYTES>()?;
            let (value, after) =
                after.split_at_checked(u16::from_le_bytes([*low, *high]).into())?;
            rest = after;
            let value = match *flags {
                flags if flags & ADDRESS != 0 => Value::Address(Address(*value.first_chunk()?)),
                flags if flags & DIGEST != 0 => Value::Digest(value),
                flags if flags & ABSOLUTE != 0 => Value::Absolute(value),
                _ => Value::Text(value),
            };
            let observation = Observation {
                kind: *ObservationKind::ALL.get(usize::from(*kind))?,
                place: *Place::ALL.get(usize::from(*place))?,
                value,
            };
            let side = if flags & RESP != 0 { Side::Resp } else { Side::Orig };
            Some(Showing { observation, side, is_first: flags & FIRST != 0 })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &[u8], is_first: bool) -> Showing<'_> {
        let (kind, place) = (ObservationKind::HttpUrl, Place::HttpUrl);
        let observation = Observation { kind, place, value: Value::Text(value) };
        Showing { observation, side: Side::Orig, is_first }
    }

    fn of(shown: &Shown, list: ShownList) -> Vec<usize> {
        let mut recalled = Recalled::default();
        shown.recall(list, &mut recalled);
        recalled
            .iter()
            .map(|showing| match showing.observation.value {
                Value::Text(text) => text.len(),
                _ => unreachable!("texts only"),
            })
            .collect()
    }

    #[test]
    fn values_come_back_as_they_were_in_the_order_shown() {
        let (mut shown, mut counters) = (Shown::new(1_000), Counters::default());
        let long = vec![b'u'; 300];
        let (kind, place) = (ObservationKind::DnsAnswer, Place::DnsAnswer);
        let address = Value::Address(Address::from_v4([9, 9, 9, 9]));
        let address = Observation { kind, place, value: address };
        let (kind, place) = (ObservationKind::Ja3, Place::TlsClientHello);
        let digest = Observation { kind, place, value: Value::Digest(&[7; 16]) };
        let (kind, place) = (ObservationKind::HttpUrl, Place::HttpUrl);
        let url = Observation { kind, place, value: Value::Absolute(b"http://evil.example/") };
        let seen = [
            text(b"evil.example", true),
            Showing { observation: url, side: Side::Orig, is_first: false },
            Showing { observation: digest, side: Side::Orig, is_first: false },
            Showing { observation: address, side: Side::Resp, is_first: true },
            text(&long, true),
            text(b"", false),
        ];
        let (mut a, mut b) = (ShownList::default(), ShownList::default());
        for showing in seen {
            shown.keep(&mut a, showing, &mut counters);
            shown.keep(&mut b, text(b"other", true), &mut counters);
        }
        let mut recalled = Recalled::default();
        shown.recall(a, &mut recalled);
        assert_eq!(recalled.iter().collect::<Vec<_>>(), seen);
        assert_eq!(of(&shown, b), [5; 6]);
        assert_eq!(of(&shown, ShownList::default()), [0; 0]);
        assert_eq!(counters.values_unkept, 0);
    }

    #[test]
    fn what_has_no_room_is_counted_and_what_is_released_is_used_again() {
        let whole = CELL_BYTES - HEAD_BYTES;
        // cells of all, lengths of values, which of them are kept
        let long = whole + 254 * CELL_BYTES;
        let cases: [(u32, &[usize], &[usize]); 5] = [
            (2, &[whole, whole, 1], &[whole, whole]),
            (2, &[whole + 1, whole, 10], &[whole + 1, 10]),
            (2, &[whole + CELL_BYTES + 1], &[]),
            (1_000, &[long, 1], &[long]),
            (1_000, &[long + 1, 1], &[1]),
        ];
        for (cells_max, lengths, kept) in cases {
            let (mut shown, value) = (Shown::new(cells_max), vec![b'a'; long + 1]);
            for _ in 0..3 {
                let (mut list, mut counters) = (ShownList::default(), Counters::default());
                for length in lengths {
                    let showing = text(value.get(..*length).expect("long enough"), true);
                    shown.keep(&mut list, showing, &mut counters);
                }
                assert_eq!(of(&shown, list), kept);
                assert_eq!(counters.values_unkept, (lengths.len() - kept.len()) as u64);
                shown.release(list);
            }
        }
    }
}
