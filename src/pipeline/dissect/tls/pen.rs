//! Writes a fingerprint's text straight into its hash.

use md5::Digest;

/// Bytes gathered before the hash is fed: most fingerprints' texts take one or two turns.
const LINE_BYTES: usize = 256;

/// A hash that is fed with short pieces of text.
#[derive(Debug)]
pub(super) struct Pen<D> {
    digest: D,
    line: [u8; LINE_BYTES],
    len: usize,
}

impl<D: Digest> Pen<D> {
    /// Returns a pen before any text.
    pub(super) fn new() -> Self {
        Self { digest: D::new(), line: [0; LINE_BYTES], len: 0 }
    }

    /// Writes text.
    pub(super) fn text(&mut self, text: &[u8]) {
        if self.len.saturating_add(text.len()) > LINE_BYTES {
            self.flush();
        }
        let end = self.len.saturating_add(text.len());
        match self.line.get_mut(self.len..end) {
            Some(place) => {
                place.copy_from_slice(text);
                self.len = end;
            }
            None => self.digest.update(text),
        }
    }

    /// Writes a number in decimal.
    pub(super) fn decimal(&mut self, number: u16) {
        let mut text = [0; 5];
        let mut left = number;
        let mut from = text.len();
        for (i, place) in text.iter_mut().enumerate().rev() {
            let [_, digit] = (left % 10).to_be_bytes();
            *place = hex_digit(digit);
            left /= 10;
            from = i;
            if left == 0 {
                break;
            }
        }
        self.text(text.get(from..).unwrap_or_default());
    }

    /// Writes a number as four hexadecimal digits.
    pub(super) fn hex(&mut self, number: u16) {
        let [high, low] = number.to_be_bytes();
        let digits = [high >> 4, high, low >> 4, low];
        self.text(&digits.map(hex_digit));
    }

    /// Returns the hash of all that was written.
    pub(super) fn finish(mut self) -> impl AsRef<[u8]> {
        self.flush();
        self.digest.finalize()
    }

    fn flush(&mut self) {
        self.digest.update(self.line.get(..self.len).unwrap_or_default());
        self.len = 0;
    }
}

/// Returns the digit of the lower four bits.
pub(super) fn hex_digit(nibble: u8) -> u8 {
    match nibble & 0x0f {
        n @ 0..=9 => n | b'0',
        n => n.wrapping_add(b'a' - 10),
    }
}

#[cfg(test)]
mod tests {
    use md5::Digest;
    use md5::Md5;

    use super::Pen;

    fn check(write: impl Fn(&mut Pen<Md5>), text: &str) {
        let mut pen = Pen::new();
        write(&mut pen);
        assert_eq!(pen.finish().as_ref(), &Md5::digest(text)[..], "{text}");
    }

    #[test]
    fn what_is_written_is_hashed() {
        check(|_| {}, "");
        for n in [0, 1, 9, 10, 99, 100, 771, 9_999, 10_000, u16::MAX] {
            check(|pen| pen.decimal(n), &n.to_string());
            check(|pen| pen.hex(n), &format!("{n:04x}"));
        }
    }

    #[test]
    fn long_texts_are_hashed_whole() {
        for n in [255, 256, 257, 1_000] {
            check(|pen| (0..n).for_each(|_| pen.text(b"a")), &"a".repeat(n));
            check(|pen| pen.text(&b"a".repeat(n)), &"a".repeat(n));
        }
    }
}
