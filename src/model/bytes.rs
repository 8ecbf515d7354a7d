//! The only way untrusted bytes are read: a cursor that answers `None` when they run out.

/// Reads big-endian numbers and slices from the front of untrusted bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Returns a cursor at the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns the bytes not read yet.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Returns the number of bytes not read yet.
    pub fn len(self) -> usize {
        self.rest.len()
    }

    /// Tells whether everything was read.
    pub fn is_empty(self) -> bool {
        self.rest.is_empty()
    }

    /// Reads `n` bytes.
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(n)?;
        self.rest = tail;
        Some(head)
    }

    /// Reads `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.rest.split_first_chunk::<N>()?;
        self.rest = tail;
        Some(*head)
    }

    /// Reads one byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Reads a 16-bit number.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads a 24-bit number.
    pub fn u24(&mut self) -> Option<u32> {
        self.array::<3>().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// Reads a 32-bit number.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a vector with an 8-bit length before it.
    pub fn vec8(&mut self) -> Option<Cursor<'a>> {
        let n = self.u8()?;
        self.take(usize::from(n)).map(Cursor::new)
    }

    /// Reads a vector with a 16-bit length before it.
    pub fn vec16(&mut self) -> Option<Cursor<'a>> {
        let n = self.u16()?;
        self.take(usize::from(n)).map(Cursor::new)
    }

    /// Reads a vector with a 24-bit length before it.
    pub fn vec24(&mut self) -> Option<Cursor<'a>> {
        let n = self.u24()?;
        self.take(index(n)).map(Cursor::new)
    }
}

/// Widens a stored 32-bit index; lossless where this crate runs.
#[allow(clippy::as_conversions, reason = "the one place: usize has at least 32 bits here")]
pub const fn index(n: u32) -> usize {
    const { assert!(usize::BITS >= 32) };
    n as usize
}

/// Narrows a length that a limit keeps under 32 bits; longer ones stop at the largest.
pub fn narrow(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::Cursor;

    #[test]
    fn reads_and_stops() {
        let mut c = Cursor::new(&[1, 0, 2, 0, 0, 3, 2, 9, 8, 7]);
        assert_eq!((c.u8(), c.u16(), c.u24()), (Some(1), Some(2), Some(3)));
        assert_eq!(c.vec8().map(Cursor::rest), Some(&[9, 8][..]));
        assert_eq!(c.u16(), None);
        assert_eq!(c.u8(), Some(7));
        assert!(c.is_empty());
    }

    #[test]
    fn a_vector_that_does_not_fit_is_none() {
        assert!(Cursor::new(&[5, 1]).vec8().is_none());
        assert!(Cursor::new(&[0, 5, 1]).vec16().is_none());
        assert!(Cursor::new(&[0, 0, 5, 1]).vec24().is_none());
    }
}
