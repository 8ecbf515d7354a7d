//! A Unix or TCP socket that someone else listens on: JSON lines, one after the other.
//!
//! Delivered means that the kernel took it. A peer that dies may have lost that, so what was
//! delivered lately is kept (8 MiB, five minutes; time in which the peer reads nothing does not
//! count) and sent again, oldest first, over the next connection: each alert arrives at least once,
//! and `event.id` tells repetitions. A connection begins at a line's start; what follows the last
//! line end of one that broke is no line. Whatever a peer sends is read and forgotten; one that
//! ends its side is taken to be gone.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::net::ToSocketAddrs;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::UnixAddr;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt;

use crate::report::sink::Counts;
use crate::report::sink::Sink;
use crate::report::sink::SinkError;
use crate::report::sink::lines;
use crate::report::sink::pour;
use crate::report::sink::pour::is_stall;
use crate::report::sink::pour::pour;

/// Bytes that are kept to be sent again: more than the kernels' buffers on both sides hold.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long they are kept while the peer reads.
const KEPT_AGE_MAX: Duration = Duration::from_secs(300);

/// Bytes that the kernel may hold for us, so that what is on its way stays below what is kept.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// Pauses between attempts to connect: doubled from the first to the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(10)];

/// A connection that lasted so long was a good one: the next attempt does not wait.
const GOOD_AGE: Duration = Duration::from_secs(5);

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long a host may leave unacknowledged what it was sent, or its window shut; well below the
/// age of what is kept.
const SILENT_MILLIS_MAX: u32 = 120_000;

/// Bytes read of what a peer says, at one look.
const HEARD_BYTES_MAX: usize = 64 * 1024;

/// Someone to connect to; shown in messages.
pub trait Peer: Send + fmt::Display {
    /// Connections to it.
    type Stream: Read + Write + AsFd + Send;

    /// Makes a connection that does not block.
    ///
    /// # Errors
    ///
    /// When nobody listens, or it takes too long.
    fn connect(&self) -> io::Result<Self::Stream>;
}

/// A socket in the file system.
#[derive(Clone, Debug)]
pub struct UnixPeer(pub PathBuf);

/// A host and port.
#[derive(Clone, Debug)]
pub struct TcpPeer(pub String);

impl fmt::Display for UnixPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the socket {}", self.0.display())
    }
}

impl fmt::Display for TcpPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Peer for UnixPeer {
    type Stream = UnixStream;

    fn connect(&self) -> io::Result<UnixStream> {
        // the standard library's `connect` would wait for a listener that does not accept
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        setsockopt(&fd, sockopt::SndBuf, &SEND_BUFFER_BYTES)?;
        match socket::connect(fd.as_raw_fd(), &UnixAddr::new(&self.0)?) {
            Ok(()) => Ok(UnixStream::from(fd)),
            Err(Errno::EAGAIN) => Err(io::Error::new(ErrorKind::TimedOut, "it does not accept")),
            Err(error) => Err(error.into()),
        }
    }
}

impl Peer for TcpPeer {
    type Stream = TcpStream;

    fn connect(&self) -> io::Result<TcpStream> {
        let mut why = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in self.0.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_MAX) {
                Ok(stream) => {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    setsockopt(&stream, sockopt::SndBuf, &SEND_BUFFER_BYTES)?;
                    // a host that vanished is noticed, whether something is under way or not
                    setsockopt(&stream, sockopt::TcpUserTimeout, &SILENT_MILLIS_MAX)?;
                    setsockopt(&stream, sockopt::KeepAlive, &true)?;
                    setsockopt(&stream, sockopt::TcpKeepIdle, &(SILENT_MILLIS_MAX / 2_000))?;
                    setsockopt(&stream, sockopt::TcpKeepInterval, &5)?;
                    return Ok(stream);
                }
                Err(error) => why = error,
            }
        }
        Err(why)
    }
}

/// Sends lines to a peer for as long as it listens, and again when it comes back.
pub struct StreamSink<P: Peer> {
    peer: P,
    connection: Option<Connection<P::Stream>>,
    kept: Kept,
    redial: Redial,
    connected: u64,
    resent: u64,
    patience: Duration,
}

struct Connection<S> {
    stream: S,
    since: Instant,
    /// Bytes that it took of what is to be sent next.
    ahead: usize,
    is_stuck: bool,
}

/// What was delivered lately.
#[derive(Default)]
struct Kept {
    chunks: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// How many of them, from the front, are to be sent again.
    again: usize,
    /// How many of these this connection has taken.
    again_sent: usize,
}

/// When to connect again.
#[derive(Default)]
struct Redial {
    not_before: Option<Instant>,
    pause: Duration,
    /// Why the last attempt failed.
    why: Option<(ErrorKind, String)>,
}

impl<P: Peer> StreamSink<P> {
    /// Returns one that connects when it is first needed.
    pub fn new(peer: P) -> Self {
        Self {
            peer,
            connection: None,
            kept: Kept::default(),
            redial: Redial::default(),
            connected: 0,
            resent: 0,
            patience: pour::PATIENCE,
        }
    }

    /// Returns one that waits less for a peer that does not read.
    #[cfg(test)]
    pub(super) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    fn send(&mut self, lines: &[u8]) -> io::Result<()> {
        self.connect()?;
        self.send_again()?;
        self.pour(lines)?;
        self.kept.keep(lines);
        Ok(())
    }

    /// Connects, unless it is too early to try again.
    fn connect(&mut self) -> io::Result<()> {
        if self.connection.is_some() {
            return Ok(());
        }
        if let (Some((kind, why)), true) = (&self.redial.why, self.redial.is_early()) {
            return Err(io::Error::new(*kind, why.clone()));
        }
        match self.peer.connect() {
            Ok(stream) => {
                let since = Instant::now();
                self.connection = Some(Connection { stream, since, ahead: 0, is_stuck: false });
                self.connected += 1;
                Ok(())
            }
            Err(error) => {
                self.redial.failed(&error);
                Err(error)
            }
        }
    }

    /// Sends what an earlier connection may have lost.
    fn send_again(&mut self) -> io::Result<()> {
        while self.kept.again_sent < self.kept.again {
            let Some((_, chunk)) = self.kept.chunks.get_mut(self.kept.again_sent) else { break };
            // taken out for the time being: what follows may lose the connection
            let chunk = std::mem::take(chunk);
            let poured = self.pour(&chunk);
            let count = lines(&chunk);
            if let Some((_, place)) = self.kept.chunks.get_mut(self.kept.again_sent) {
                *place = chunk;
            }
            poured?;
            self.kept.again_sent += 1;
            self.resent += count;
        }
        if std::mem::take(&mut self.kept.again) > 0 {
            self.kept.again_sent = 0;
            self.kept.renew();
        }
        Ok(())
    }

    /// Sends what this connection has not yet taken of `lines`.
    fn pour(&mut self, lines: &[u8]) -> io::Result<()> {
        let Some(connection) = &mut self.connection else { return Err(gone()) };
        let rest = lines.get(connection.ahead..).unwrap_or_default();
        let (taken, poured) = pour(&mut connection.stream, rest, rest.len(), self.patience);
        connection.ahead += taken;
        match poured {
            Ok(()) => {
                connection.ahead = connection.ahead.saturating_sub(lines.len());
                if std::mem::take(&mut connection.is_stuck) {
                    self.kept.renew();
                }
                Ok(())
            }
            Err(error) if is_stall(&error) => {
                connection.is_stuck = true;
                Err(error)
            }
            Err(error) => {
                self.lose(&error);
                Err(error)
            }
        }
    }

    /// Reads and forgets what the peer says; notices when it has gone.
    fn listen(&mut self) -> io::Result<()> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let (mut heard, mut room) = (0, [0; 4_096]);
        while heard < HEARD_BYTES_MAX {
            let lost = match connection.stream.read(&mut room) {
                Ok(0) => gone(),
                Ok(n) => {
                    heard += n;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.lose(&lost);
            return Err(lost);
        }
        Ok(())
    }

    fn lose(&mut self, why: &io::Error) {
        let Some(connection) = self.connection.take() else { return };
        (self.kept.again, self.kept.again_sent) = (self.kept.chunks.len(), 0);
        if connection.since.elapsed() >= GOOD_AGE {
            self.redial = Redial::default();
        } else {
            self.redial.failed(why);
        }
    }

    fn error(&self, source: io::Error) -> SinkError {
        SinkError::Peer { peer: self.peer.to_string(), source }
    }
}

fn gone() -> io::Error {
    io::Error::new(ErrorKind::ConnectionAborted, "it has closed the connection")
}

impl Redial {
    fn is_early(&self) -> bool {
        self.not_before.is_some_and(|not_before| Instant::now() < not_before)
    }

    fn failed(&mut self, why: &io::Error) {
        let [first, last] = PAUSES;
        self.pause = (self.pause * 2).clamp(first, last);
        self.not_before = Some(Instant::now() + self.pause);
        self.why = Some((why.kind(), why.to_string()));
    }
}

impl Kept {
    fn keep(&mut self, lines: &[u8]) {
        self.bytes += lines.len();
        self.chunks.push_back((Instant::now(), lines.to_vec()));
        while self.bytes > KEPT_BYTES_MAX && self.chunks.len() > 1 {
            self.forget_first();
        }
    }

    fn forget_old(&mut self) {
        let is_old = |(since, _): &(Instant, _)| since.elapsed() >= KEPT_AGE_MAX;
        while self.chunks.front().is_some_and(is_old) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, lines)) = self.chunks.pop_front() {
            self.bytes -= lines.len();
        }
    }

    /// Counts their time from now: the peer did not read until now.
    fn renew(&mut self) {
        let now = Instant::now();
        self.chunks.iter_mut().for_each(|(since, _)| *since = now);
    }
}

impl<P: Peer> Sink for StreamSink<P> {
    fn deliver(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        self.send(lines).map_err(|source| self.error(source))
    }

    fn tend(&mut self) -> Result<(), SinkError> {
        let tended = self.connect().and_then(|()| self.listen());
        // a line that was begun is ended first
        let is_free = self.connection.as_ref().is_some_and(|c| c.ahead == 0 && !c.is_stuck);
        let is_behind = self.kept.again > 0;
        if is_free && !is_behind {
            self.kept.forget_old();
        }
        let tended = if tended.is_ok() && is_behind { self.send_again() } else { tended };
        tended.map_err(|source| self.error(source))
    }

    /// Connects again at once, if it is not connected.
    fn reopen(&mut self) -> Result<(), SinkError> {
        self.redial = Redial::default();
        self.tend()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        // a socket that is closed with something unread resets the connection
        let _why_is_told_with_the_next_sensor = self.listen();
        Ok(())
    }

    fn counts(&self) -> Counts {
        Counts { reconnects: self.connected.saturating_sub(1), resent: self.resent }
    }

    fn unsure(&mut self) -> Vec<u8> {
        let again = std::mem::take(&mut self.kept.again);
        let kept = std::mem::take(&mut self.kept.chunks);
        kept.into_iter().take(again).flat_map(|(_, lines)| lines).collect()
    }
}
