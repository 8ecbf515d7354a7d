//! Writing to what may take nothing: a pipe, a socket. Waits with a deadline.

use std::io;
use std::io::ErrorKind;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;

/// How long a reader may take nothing before a delivery fails; what it took stays taken.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of one write to what would block: a pipe that is ready has room for them (POSIX
/// `PIPE_BUF`), and so has a stream socket that is ready.
pub(super) const PIECE_BYTES: usize = 4_096;

/// What is said of a reader that takes nothing.
const NOT_READ: &str = "it does not read";

/// Tells whether a reader only takes nothing: the kernel's own time-out has a number, and ends the
/// connection.
pub(super) fn is_stall(error: &io::Error) -> bool {
    error.kind() == ErrorKind::TimedOut && error.raw_os_error().is_none()
}

/// Writes pieces as the reader takes them; returns how much was taken, and why not all.
pub(super) fn pour<W: Write + AsFd>(
    out: &mut W,
    bytes: &[u8],
    piece_bytes: usize,
    patience: Duration,
) -> (usize, io::Result<()>) {
    let mut taken = 0;
    while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
        if !is_ready(out, patience) {
            return (taken, Err(io::Error::new(ErrorKind::TimedOut, NOT_READ)));
        }
        let piece = rest.get(..piece_bytes).unwrap_or(rest);
        match out.write(piece) {
            Ok(0) => return (taken, Err(ErrorKind::WriteZero.into())),
            Ok(n) => taken += n,
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(error) => return (taken, Err(error)),
        }
    }
    (taken, Ok(()))
}

/// Waits until something can be written; what is broken is ready, and says so when written.
fn is_ready(out: &impl AsFd, patience: Duration) -> bool {
    let mut fds = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
    loop {
        match poll(&mut fds, timeout) {
            Ok(ready) => return ready > 0,
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return true,
        }
    }
}
