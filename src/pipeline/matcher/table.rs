//! Tables: items in a row, in memory of their own or in a mapped file, read the same way; and the
//! shelf that a whole index is put on or taken from.

use std::fmt;
use std::ops::Deref;
use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;
use yoke::Yoke;
use yoke::erased::ErasedArcCart;
use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;

/// What a table can hold: plain numbers, for which any bytes are good.
pub trait Item: FromBytes + IntoBytes + Immutable + Copy + Send + Sync + 'static {}

impl<T: FromBytes + IntoBytes + Immutable + Copy + Send + Sync + 'static> Item for T {}

/// Items that never change. A clone is the same memory.
pub struct Table<T: 'static>(Yoke<&'static [T], ErasedArcCart>);

impl<T: Item> Table<T> {
    /// Returns the items at a place of a mapped file; `None` where they do not fit or are not
    /// aligned. Nothing is read.
    pub fn mapped(file: &Arc<Mmap>, place: Range<usize>) -> Option<Self> {
        let attached = Yoke::try_attach_to_cart(Arc::clone(file), |bytes: &Mmap| {
            bytes.get(place).and_then(|bytes| <[T]>::ref_from_bytes(bytes).ok()).ok_or(())
        });
        attached.ok().map(|items: Yoke<&'static [T], Arc<Mmap>>| Self(items.erase_arc_cart()))
    }
}

impl<T: Item> Deref for Table<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.0.get()
    }
}

impl<T: Item> From<Vec<T>> for Table<T> {
    fn from(items: Vec<T>) -> Self {
        let attached: Yoke<&'static [T], _> =
            Yoke::attach_to_cart(Arc::new(items), |items: &Vec<T>| items.as_slice());
        Self(attached.erase_arc_cart())
    }
}

impl<T: Item> Default for Table<T> {
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

impl<T: Item> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Item> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entry(&self.len()).finish()
    }
}

/// The name of a table on a shelf: what it belongs to, and which of its tables it is.
pub type Name = [&'static str; 2];

/// Where tables are put or taken from. One walk over all tables does both: a shelf that is written
/// reads each table, one that is read replaces it.
pub trait Shelf {
    /// Puts a table there, or replaces it with the one that is there.
    fn table<T: Item>(&mut self, name: Name, table: &mut Table<T>);

    /// Returns the seed of all hashes in these tables.
    fn seed(&self) -> u64;

    /// Does the same with one item.
    fn value<T: Item>(&mut self, name: Name, value: &mut T) {
        let mut table = Table::from(vec![*value]);
        self.table(name, &mut table);
        *value = table.first().copied().unwrap_or(*value);
    }
}

/// A shelf that only counts the bytes.
#[derive(Debug, Default)]
pub struct Weight {
    /// The bytes so far.
    pub bytes: usize,
}

impl Shelf for Weight {
    fn table<T: Item>(&mut self, _: Name, table: &mut Table<T>) {
        self.bytes = self.bytes.saturating_add(size_of_val::<[T]>(table));
    }

    fn seed(&self) -> u64 {
        0
    }
}
