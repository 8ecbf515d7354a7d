//! Writes a capture file.
//!
//! Spec: pcap draft §4 (file header), §5 (packet record); little-endian, microseconds, Ethernet

use std::fs::File;
use std::io::BufWriter;
use std::io::Result;
use std::io::Write;
use std::path::Path;

const BUFFER_BYTES: usize = 4 << 20;
const SNAP_BYTES: u32 = 262_144;
const ETHERNET: u32 = 1;

/// A capture file being written.
pub(crate) struct Capture {
    file: BufWriter<File>,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

impl Capture {
    /// Creates the file and writes its header.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?);
        file.write_all(&0xa1b2_c3d4_u32.to_le_bytes())?;
        file.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        file.write_all(&SNAP_BYTES.to_le_bytes())?;
        file.write_all(&ETHERNET.to_le_bytes())?;
        Ok(Self { file, packets: 0, bytes: 0 })
    }

    /// Writes one frame, seen at `time_us` after the epoch.
    pub(crate) fn write(&mut self, time_us: u64, frame: &[u8]) -> Result<()> {
        let mut head = [0; 16];
        head[..4].copy_from_slice(&((time_us / 1_000_000) as u32).to_le_bytes());
        head[4..8].copy_from_slice(&((time_us % 1_000_000) as u32).to_le_bytes());
        head[8..12].copy_from_slice(&(frame.len() as u32).to_le_bytes());
        head[12..].copy_from_slice(&(frame.len() as u32).to_le_bytes());
        self.packets += 1;
        self.bytes += frame.len() as u64;
        self.file.write_all(&head)?;
        self.file.write_all(frame)
    }

    /// Flushes what is buffered.
    pub(crate) fn close(mut self) -> Result<(u64, u64)> {
        self.file.flush()?;
        Ok((self.packets, self.bytes))
    }
}
