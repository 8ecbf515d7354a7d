//! Reading what may have nothing to give for long: a pipe, whose reader can be told to stop.

use std::fs::File;
use std::io::Read;
use std::io::Result;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;

/// Milliseconds between two looks at `stop`.
const LOOK_MILLIS: u16 = 100;

/// A pipe that ends when it ends, or when `stop` is set.
pub(super) struct Patient {
    pub(super) inner: File,
    pub(super) stop: Arc<AtomicBool>,
}

impl Read for Patient {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(0);
            }
            let mut fds = [PollFd::new(self.inner.as_fd(), PollFlags::POLLIN)];
            // interrupted or nothing there yet: look again; what is broken says so when read
            if poll(&mut fds, PollTimeout::from(LOOK_MILLIS)) != Ok(0) {
                match self.inner.read(out) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    read => return read,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_pipe_ends_when_told() {
        let (read, write) = std::io::pipe().expect("a pipe");
        let stop = Arc::new(AtomicBool::new(false));
        let inner = File::from(std::os::fd::OwnedFd::from(read));
        let mut patient = Patient { inner, stop: Arc::clone(&stop) };
        (&write).write_all(b"ab").expect("written");
        let mut out = [0; 8];
        assert_eq!(patient.read(&mut out).expect("read"), 2);
        let reader = std::thread::spawn(move || patient.read(&mut [0; 8]).expect("read"));
        stop.store(true, Ordering::Relaxed);
        assert_eq!(reader.join().expect("no panic"), 0);
        drop(write);
    }

    use std::io::Write;
}
