//! Compressed captures: gzip, zstd and lz4, each of any number of members or frames.
//!
//! Spec:   RFC 1952 §2.2 (gzip members); RFC 8878 §3.1 (zstd frames); LZ4 frame format 1.6
//! Reads:  any number of members, in file order
//! Yields: the bytes of the capture
//! Bounds: `limits::COMPRESSION_DEPTH_MAX`; windows as the decompressors bound them (zstd: 128 MiB)
//! Leaves: dictionaries

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;

use lz4_flex::frame::FrameDecoder;

use crate::pipeline::capture::Compression;
use crate::pipeline::capture::Input;

pub(super) const GZIP: Compression = Compression {
    looks: |head| head.starts_with(&[0x1f, 0x8b, 8]),
    open: |input| Ok(whole(flate2::bufread::MultiGzDecoder::new(BufReader::new(input)))),
};

pub(super) const ZSTD: Compression = Compression {
    looks: |head| head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]),
    open: |input| Ok(whole(zstd::stream::read::Decoder::new(input)?)),
};

pub(super) const LZ4: Compression = Compression {
    looks: |head| {
        head.starts_with(&[0x04, 0x22, 0x4d, 0x18]) || head.starts_with(&[0x02, 0x21, 0x4c, 0x18])
    },
    open: |input| Ok(whole(Lz4 { decoder: Some(FrameDecoder::new(BufReader::new(input))) })),
};

/// Bytes asked of a decompressor at once: when it meets damage, it may lose what it was asked for
/// last.
const PIECE_BYTES: usize = 1_024;

/// Fills whatever it is given, so blocks of a compressed capture are as full as others.
struct Whole<R> {
    inner: R,
    error: Option<io::Error>,
}

fn whole(inner: impl Read + Send + 'static) -> Input {
    Box::new(Whole { inner, error: None })
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut filled: usize = 0;
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let piece_bytes = rest.len().min(PIECE_BYTES);
            let Some(piece) = rest.get_mut(..piece_bytes) else { break };
            match self.inner.read(piece) {
                Ok(0) => break,
                Ok(n) => filled = filled.saturating_add(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if filled == 0 => return Err(error),
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            }
        }
        Ok(filled)
    }
}

/// Reads one lz4 frame after the other; each has a decoder of its own, as frames may differ in
/// block size.
struct Lz4<R: Read> {
    /// `None` only while it is being replaced.
    decoder: Option<FrameDecoder<R>>,
}

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let n = decoder.read(out)?;
            if n > 0 || out.is_empty() || decoder.get_mut().fill_buf()?.is_empty() {
                return Ok(n);
            }
            self.decoder = self.decoder.take().map(|ended| FrameDecoder::new(ended.into_inner()));
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::prelude::prop_assert;
    use proptest::proptest;

    use crate::pipeline::capture::damage::Trouble;
    use crate::pipeline::capture::order::Order;
    use crate::pipeline::capture::samples;
    use crate::pipeline::capture::samples::Told;

    type Pack = fn(&[u8]) -> Vec<u8>;

    const PACKS: [(&str, Pack); 3] =
        [("gzip", samples::gzip), ("zstd", samples::zstd), ("lz4", samples::lz4)];

    /// A capture longer than a block, of bytes that do not compress away.
    fn long() -> (Vec<Told>, Vec<u8>) {
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let frame = |n: u64| (n * 1_000, (0..n % 1_500).map(|_| noise()).collect(), 1_500);
        let frames = (0..2_000).map(frame).collect::<Vec<Told>>();
        let bytes = samples::pcap(Order::Little, 0xa1b2_c3d4, 0, &frames);
        (frames, bytes)
    }

    fn check(name: &str, file: &[u8], frames: &[Told]) {
        let (read, trouble, _) = samples::read(file, usize::MAX);
        assert!(read.into_iter().map(|(_, _, told)| told).eq(frames.iter().cloned()), "{name}");
        assert_eq!(trouble, None, "{name}");
    }

    #[test]
    fn packed_once_twice_and_in_members() {
        let (frames, bytes) = long();
        let (front, back) = bytes.split_at(bytes.len() / 3);
        for (name, pack) in PACKS {
            check(name, &pack(&bytes), &frames);
            check(name, &[pack(front), pack(&[]), pack(back)].concat(), &frames);
            for (_, outer) in PACKS {
                check(name, &outer(&pack(&bytes)), &frames);
            }
        }
    }

    #[test]
    fn packed_over_and_over_is_refused() {
        let (_, mut bytes) = long();
        for _ in 0..3 {
            bytes = samples::gzip(&bytes);
        }
        let alien = Trouble::Alien("something compressed over and over");
        assert_eq!(samples::read(&bytes, usize::MAX).1, Some(alien));
    }

    #[test]
    fn nothing_and_text_inside() {
        for (name, pack) in PACKS {
            let read = |bytes: &[u8]| samples::read(&pack(bytes), usize::MAX).1;
            assert_eq!(read(&[]), Some(Trouble::Empty), "{name}");
            assert_eq!(read(b"hello world"), Some(Trouble::Alien("text")), "{name}");
        }
    }

    #[test]
    fn a_cut_file_gives_what_it_holds() {
        let (frames, bytes) = long();
        for (name, pack) in PACKS {
            let packed = pack(&bytes);
            let (read, trouble, _) = samples::read(&packed[..packed.len() / 2], usize::MAX);
            let told = read.into_iter().map(|(_, _, told)| told).collect::<Vec<_>>();
            assert!(told.len() > 500, "{name}: {}", told.len());
            assert!(told[..] == frames[..told.len()], "{name}");
            assert!(trouble.is_some(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn flipped_bytes_never_panic(at in any::<u16>(), bit in 0..8_u32, which in 0..3_usize) {
            let frames = samples::three();
            let bytes = samples::pcap(Order::Little, 0xa1b2_c3d4, 0, &frames);
            let (_, pack) = PACKS[which];
            let mut packed = pack(&bytes);
            let at = usize::from(at) % packed.len();
            packed[at] ^= 1 << bit;
            let (read, trouble, _) = samples::read(&packed, usize::MAX);
            let whole = read.iter().map(|(_, _, told)| told).eq(&frames);
            let checked = which == 0; // zstd and lz4 may come without a checksum
            prop_assert!(!checked || whole || trouble.is_some());
        }
    }
}
