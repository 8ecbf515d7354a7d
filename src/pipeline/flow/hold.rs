//! What sides of streams keep until it can be read, in the order in which they began to keep
//! something.

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::flow::Side;
use crate::pipeline::flow::NONE;
use crate::pipeline::flow::pool::Pool;
use crate::pipeline::flow::window::Window;

/// All that a worker keeps for reassembly.
#[derive(Debug)]
pub(super) struct Holds {
    holds: Vec<Hold>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    pool: Pool,
}

/// What one side keeps.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) window: Window,
    /// Segments that came since the first hole did.
    pub(super) waiting: u32,
    /// The latest that the other side acknowledged.
    pub(super) acked: Option<u32>,
    /// Whether the side sends no more.
    pub(super) fin: bool,
    owner: Owner,
    older: u32,
    newer: u32,
}

/// Whose a hold is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Owner {
    pub(super) stream: u32,
    pub(super) side: Side,
}

impl Holds {
    /// Returns room for `bytes_max` in all.
    pub(super) fn new(bytes_max: usize) -> Self {
        let pool = Pool::new(bytes_max);
        Self { holds: Vec::new(), free: Vec::new(), oldest: NONE, newest: NONE, pool }
    }

    /// Returns whose hold must go before another side may keep something.
    pub(super) fn surplus(&self) -> Option<Owner> {
        let oldest = self.holds.get(index(self.oldest));
        oldest.filter(|_| self.pool.is_short()).map(|hold| hold.owner)
    }

    /// Begins to keep something.
    pub(super) fn open(&mut self, owner: Owner) -> u32 {
        let older = self.newest;
        let window = Window::default();
        let hold = Hold { window, waiting: 0, acked: None, fin: false, owner, older, newer: NONE };
        let id = match self.free.pop() {
            Some(id) => id,
            None => narrow(self.holds.len()),
        };
        match self.holds.get_mut(index(id)) {
            Some(place) => *place = hold,
            None => self.holds.push(hold),
        }
        match self.holds.get_mut(index(older)) {
            Some(older) => older.newer = id,
            None => self.oldest = id,
        }
        self.newest = id;
        id
    }

    /// Returns a hold, and where its memory comes from.
    pub(super) fn of(&mut self, id: u32) -> Option<(&mut Hold, &mut Pool)> {
        self.holds.get_mut(index(id)).map(|hold| (hold, &mut self.pool))
    }

    /// Frees what is kept; tells whether a hole was left in it.
    pub(super) fn close(&mut self, id: u32) -> bool {
        let Some(hold) = self.holds.get_mut(index(id)) else { return false };
        let had_hole = hold.has_hole();
        hold.window.clear(&mut self.pool);
        let (older, newer) = (hold.older, hold.newer);
        match self.holds.get_mut(index(older)) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match self.holds.get_mut(index(newer)) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        self.free.push(id);
        had_hole
    }

    /// Tells whether nothing is kept and all memory was given back.
    #[cfg(test)]
    pub(super) fn is_unused(&self) -> bool {
        self.oldest == NONE && self.newest == NONE && self.pool.is_unused()
    }
}

impl Hold {
    /// Tells whether bytes are missing before others that came.
    pub(super) fn has_hole(&self) -> bool {
        self.waiting > 0 || self.window.has_islands()
    }

    /// Tells whether nothing is kept and nothing waited for.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_hole() && self.window.unread().is_empty()
    }
}
