//! How far reading has come, for a progress bar.

use std::io;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Adds up what is read; one atomic addition for each `read`.
pub(super) struct Gauged<R> {
    pub(super) inner: R,
    pub(super) gauge: Arc<AtomicU64>,
}

impl<R: Read> Read for Gauged<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out)?;
        self.gauge.fetch_add(u64::try_from(n).unwrap_or(0), Ordering::Relaxed);
        Ok(n)
    }
}
