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
    open: |input| Ok(whole(Lz4(lz4_flex::frame::FrameDecoder::new(BufReader::new(input))))),
};

/// Bytes asked of a decompressor at once: when it meets damage, it may lose what it was asked for last.
const PIECE_BYTES: usize = 16 * 1024;

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

/// Reads on behind the end of an lz4 frame, where the decoder says that it has ended.
struct Lz4<R: Read>(lz4_flex::frame::FrameDecoder<R>);

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.0.read(out)?;
            if n > 0 || out.is_empty() || self.0.get_mut().fill_buf()?.is_empty() {
                return Ok(n);
            }
        }
    }
}
