//! The duties of every sink of a sensor, in one table: whole lines in order; what fails is kept and
//! comes later; what a peer lost comes again; an end is an end.

use std::fs;
use std::fs::File;
use std::io;
use std::io::PipeReader;
use std::io::Read;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use nix::fcntl::FcntlArg;
use nix::fcntl::OFlag;
use nix::fcntl::fcntl;

use crate::report::sink::Sink;
use crate::report::sink::pipe::Pipe;
use crate::report::sink::rolling::Rolling;
use crate::report::sink::rolling::Rotation;
use crate::report::sink::stream::StreamSink;
use crate::report::sink::stream::TcpPeer;
use crate::report::sink::stream::UnixPeer;

/// A peer that takes nothing is given up at once.
const IMPATIENT: Duration = Duration::from_millis(1);

/// Deliveries until something must have happened; more than any buffer holds.
const TRIES: u64 = 20_000;

/// A sink's other end, which can be spoilt and mended.
trait Rig {
    fn sink(&self) -> Box<dyn Sink>;
    fn spoil(&mut self);
    fn mend(&mut self);
    /// All that arrived so far, by connection or file.
    fn arrived(&mut self) -> Vec<Vec<u8>>;
    /// It loses what it has not read when it is spoilt.
    fn is_forgetful(&self) -> bool {
        false
    }
}

/// About a kilobyte for each number.
fn numbered(numbers: std::ops::Range<u64>) -> Vec<u8> {
    numbers.flat_map(|n| format!("{{\"@timestamp\":{n:01000}}}\n").into_bytes()).collect()
}

/// The numbers that arrived, in order; every connection but a broken one ends with a line end.
fn numbers(arrived: &[Vec<u8>]) -> Vec<u64> {
    let mut numbers = Vec::new();
    for (n, text) in arrived.iter().enumerate() {
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        assert!(n + 1 < arrived.len() || whole == text.len(), "torn at the end");
        for line in String::from_utf8_lossy(&text[..whole]).lines() {
            let digits = line.strip_prefix("{\"@timestamp\":").and_then(|l| l.strip_suffix('}'));
            numbers.push(digits.and_then(|d| d.parse().ok()).unwrap_or_else(|| panic!("{line}")));
        }
    }
    numbers
}

/// Delivers one number after the other until something fails; returns the first not taken.
fn until_it_fails(sink: &mut dyn Sink, first: u64) -> u64 {
    for n in first..first + TRIES {
        if sink.deliver(&numbered(n..n + 1)).is_err() {
            return n;
        }
        if sink.tend().is_err() {
            return n + 1;
        }
    }
    panic!("it never failed");
}

/// Delivers, while what arrives is read.
fn at_last(rig: &mut dyn Rig, sink: &mut dyn Sink, lines: &[u8]) {
    for _ in 0..TRIES {
        let _tried_again = sink.reopen();
        if sink.deliver(lines).is_ok() {
            return;
        }
        rig.arrived();
    }
    panic!("it never recovered");
}

fn check(mut rig: impl Rig) {
    let rig = &mut rig;
    let mut sink = rig.sink();
    for n in 0..5 {
        sink.deliver(&numbered(n..n + 1)).expect("delivered");
    }
    if !rig.is_forgetful() {
        assert_eq!(numbers(&rig.arrived()), [0, 1, 2, 3, 4]);
    }
    rig.spoil();
    let next = until_it_fails(&mut *sink, 5);
    assert!(sink.deliver(&numbered(next..next + 1)).is_err(), "taken, though spoilt");
    rig.mend();
    // the bytes that failed, and more of them, as from a spool
    at_last(rig, &mut *sink, &numbered(next..next + 2));
    at_last(rig, &mut *sink, &numbered(next + 2..next + 3));
    sink.finish().expect("finished");
    sink.finish().expect("again");
    assert!(sink.is_settled());
    assert!(sink.unsure().is_empty());
    let resent = sink.counts().resent;
    drop(sink);
    let mut arrived = numbers(&rig.arrived());
    let all: Vec<u64> = (0..next + 3).collect();
    let repeated = arrived.len() as u64 - all.len() as u64;
    if rig.is_forgetful() {
        // first what was delivered before, again or not, then the rest
        arrived.dedup();
        arrived.sort_unstable();
        arrived.dedup();
        assert!(resent >= 5 && repeated <= resent, "{repeated} repeated, {resent} resent");
    } else {
        assert_eq!(resent, 0);
    }
    assert_eq!(arrived, all);
}

struct OfFile(tempfile::TempDir, Option<Duration>);

impl OfFile {
    fn path(&self) -> PathBuf {
        self.0.path().join("alerts")
    }
}

impl Rig for OfFile {
    fn sink(&self) -> Box<dyn Sink> {
        let rotation = Rotation { bytes_max: 0, age_max: Duration::ZERO, keep: 1 };
        Box::new(Rolling::open(&self.path(), rotation, self.1).expect("opened").0)
    }

    fn spoil(&mut self) {
        fs::rename(self.path(), self.path().with_extension("moved")).expect("moved");
        fs::create_dir(self.path()).expect("made");
    }

    fn mend(&mut self) {
        fs::remove_dir(self.path()).expect("removed");
    }

    fn arrived(&mut self) -> Vec<Vec<u8>> {
        let paths = [self.path().with_extension("moved"), self.path()];
        paths.iter().filter_map(|path| fs::read(path).ok()).collect()
    }
}

struct OfPipe {
    read: PipeReader,
    write: OwnedFd,
    arrived: Vec<u8>,
}

impl OfPipe {
    fn new() -> Self {
        let (read, write) = io::pipe().expect("a pipe");
        fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("set");
        Self { read, write: write.into(), arrived: Vec::new() }
    }
}

impl Rig for OfPipe {
    fn sink(&self) -> Box<dyn Sink> {
        let out = File::from(self.write.try_clone().expect("another"));
        Box::new(Pipe::new(out, "the pipe", IMPATIENT))
    }

    fn spoil(&mut self) {}

    fn mend(&mut self) {}

    fn arrived(&mut self) -> Vec<Vec<u8>> {
        read_all(&mut self.read, &mut self.arrived);
        vec![self.arrived.clone()]
    }
}

/// A listener that a test reads from when it pleases.
trait Listen: Sized {
    type Connection: Read;
    fn bind(at: &str) -> Self;
    fn take(&self) -> Option<Self::Connection>;
    /// Returns a sink that connects to it.
    fn sink(at: &str) -> Box<dyn Sink>;
}

impl Listen for UnixListener {
    type Connection = UnixStream;

    fn bind(at: &str) -> Self {
        let _none_the_first_time = fs::remove_file(at);
        let listener = Self::bind(at).expect("bound");
        listener.set_nonblocking(true).expect("set");
        listener
    }

    fn take(&self) -> Option<UnixStream> {
        let (stream, _) = self.accept().ok()?;
        stream.set_nonblocking(true).expect("set");
        Some(stream)
    }

    fn sink(at: &str) -> Box<dyn Sink> {
        Box::new(StreamSink::new(UnixPeer(PathBuf::from(at))).with_patience(IMPATIENT))
    }
}

impl Listen for TcpListener {
    type Connection = TcpStream;

    fn bind(at: &str) -> Self {
        let listener = Self::bind(at).expect("bound");
        listener.set_nonblocking(true).expect("set");
        listener
    }

    fn take(&self) -> Option<TcpStream> {
        let (stream, _) = self.accept().ok()?;
        stream.set_nonblocking(true).expect("set");
        Some(stream)
    }

    fn sink(at: &str) -> Box<dyn Sink> {
        Box::new(StreamSink::new(TcpPeer(at.to_owned())).with_patience(IMPATIENT))
    }
}

/// A peer that dies, or one that lives on and does not read.
struct OfStream<L: Listen> {
    at: String,
    dies: bool,
    listener: Option<L>,
    connections: Vec<Option<L::Connection>>,
    arrived: Vec<Vec<u8>>,
    _folder: tempfile::TempDir,
}

impl<L: Listen> OfStream<L> {
    fn new(at: &str, dies: bool) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let at = at.replace("FOLDER", &folder.path().display().to_string());
        let listener = Some(L::bind(&at));
        let (connections, arrived) = (Vec::new(), Vec::new());
        Self { at, dies, listener, connections, arrived, _folder: folder }
    }

    fn accept(&mut self) {
        while let Some(connection) = self.listener.as_ref().and_then(L::take) {
            self.connections.push(Some(connection));
            self.arrived.push(Vec::new());
        }
    }
}

impl<L: Listen> Rig for OfStream<L> {
    fn sink(&self) -> Box<dyn Sink> {
        L::sink(&self.at)
    }

    fn spoil(&mut self) {
        if self.dies {
            // with all that it has not read
            self.accept();
            self.listener = None;
            self.connections.iter_mut().for_each(|connection| *connection = None);
        }
    }

    fn mend(&mut self) {
        if self.dies {
            self.listener = Some(L::bind(&self.at));
        }
    }

    fn arrived(&mut self) -> Vec<Vec<u8>> {
        self.accept();
        for (connection, arrived) in self.connections.iter_mut().zip(&mut self.arrived) {
            if let Some(connection) = connection {
                read_all(connection, arrived);
            }
        }
        self.arrived.clone()
    }

    fn is_forgetful(&self) -> bool {
        self.dies
    }
}

fn read_all(from: &mut impl Read, into: &mut Vec<u8>) {
    let mut room = [0; 65_536];
    while let Ok(n @ 1..) = from.read(&mut room) {
        into.extend_from_slice(&room[..n]);
    }
}

/// An address that nobody listens at.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    listener.local_addr().expect("bound").to_string()
}

#[test]
fn every_sink_does_its_duties() {
    for sync_every in [None, Some(Duration::ZERO), Some(Duration::from_secs(3_600))] {
        check(OfFile(tempfile::tempdir().expect("folder"), sync_every));
    }
    check(OfPipe::new());
    for dies in [true, false] {
        check(OfStream::<UnixListener>::new("FOLDER/socket", dies));
        check(OfStream::<TcpListener>::new(&free_address(), dies));
    }
}

#[test]
fn what_a_dead_peer_may_have_lost_is_handed_over() {
    let mut rig = OfStream::<UnixListener>::new("FOLDER/socket", true);
    let mut sink = rig.sink();
    sink.deliver(&numbered(0..3)).expect("delivered");
    assert!(sink.tend().is_ok());
    rig.spoil();
    let next = until_it_fails(&mut *sink, 3);
    sink.finish().expect("finished");
    assert_eq!(numbers(&[sink.unsure()]), (0..next).collect::<Vec<_>>());
    assert!(sink.unsure().is_empty());
}

#[test]
fn a_reader_that_went_away_is_told_so() {
    let (read, write) = io::pipe().expect("a pipe");
    let mut sink = Pipe::new(File::from(OwnedFd::from(write)), "the pipe", IMPATIENT);
    drop(read);
    let told = sink.deliver(b"x\n").expect_err("closed").to_string();
    assert_eq!(told, "nobody reads the output any more");
}

#[test]
fn what_a_peer_says_is_read_and_forgotten() {
    use std::io::Write;
    let rig = OfStream::<UnixListener>::new("FOLDER/socket", true);
    let mut sink = rig.sink();
    sink.deliver(b"one\n").expect("delivered");
    let mut peer = rig.listener.as_ref().and_then(UnixListener::take).expect("connected");
    for _ in 0..100 {
        peer.write_all(&[b'x'; 10_000]).expect("room");
        sink.tend().expect("well");
    }
    sink.deliver(b"two\n").expect("delivered");
    sink.finish().expect("finished");
    drop(sink);
    let mut arrived = Vec::new();
    read_all(&mut peer, &mut arrived);
    assert_eq!(arrived, b"one\ntwo\n");
}

#[test]
fn a_peer_that_nobody_is_has_one_line() {
    let mut unix = StreamSink::new(UnixPeer(PathBuf::from("/nonexistent/socket")));
    let told = unix.tend().expect_err("nobody").to_string();
    assert!(told.starts_with("cannot send to the socket /nonexistent/socket: No such"), "{told}");
    let address = free_address();
    let mut tcp = StreamSink::new(TcpPeer(address.clone()));
    let told = tcp.deliver(b"x\n").expect_err("nobody").to_string();
    assert!(told.starts_with(&format!("cannot send to {address}: Connection refused")), "{told}");
    // the same while it waits to try again
    assert_eq!(tcp.tend().expect_err("too early").to_string(), told);
}
