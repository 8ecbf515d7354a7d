//! The sender: a thread that hands prepared frames to the kernel, many at a time, as often as the
//! clock says.
//!
//! Spec: packet(7), sendmmsg(2)

use std::io::IoSlice;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket::AddressFamily;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::MultiHeaders;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::bind;
use nix::sys::socket::sendmmsg;
use nix::sys::socket::socket;

use crate::control::bench::live::LiveBenchError;
use crate::control::bench::live::cpu;
use crate::control::bench::live::interface::Interface;
use crate::control::bench::live::traffic::Traffic;

/// Frames handed over together, at most.
const BATCH_MAX: u64 = 64;

/// Batches in a second at low rates: a frame is late by a millisecond at most.
const BATCHES_PER_SEC: f64 = 1_000.0;

/// How long the sender waits when the kernel has no room.
const NO_ROOM_PAUSE: Duration = Duration::from_micros(50);

/// A socket that sends on one interface, and receives nothing.
pub(super) struct Sender {
    socket: OwnedFd,
    interface: String,
    cpu: Option<usize>,
}

/// What one trial sends.
pub(super) struct Order<'a> {
    pub(super) traffic: &'a Traffic,
    /// Frames a second; `None`: as many as go.
    pub(super) rate: Option<f64>,
    pub(super) secs: u32,
    pub(super) planted_per_sec: u32,
    /// Ends it early.
    pub(super) stop: &'a AtomicBool,
}

/// What was sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    /// Frames that the kernel took.
    pub(super) frames: u64,
    /// How many of them were planted.
    pub(super) planted: u32,
    pub(super) secs: f64,
    /// Times that the kernel had no room, and was asked again.
    pub(super) refused: u64,
    pub(super) cpu_secs: f64,
    /// How far sending was behind the clock at worst.
    pub(super) lag_secs_max: f64,
    /// Why it ended early.
    pub(super) trouble: Option<String>,
}

/// A trial under way.
struct Sending<'a> {
    order: &'a Order<'a>,
    started: Instant,
    sent: Sent,
    /// The frame of the traffic that is next.
    at: usize,
}

impl Sender {
    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// When the system refuses one.
    pub(super) fn open(interface: &Interface, cpu: Option<usize>) -> Result<Self, LiveBenchError> {
        let refused = |why| LiveBenchError::Send { interface: interface.name.clone(), why };
        // of protocol 0: it is given no frame that arrives
        let kind = (AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC);
        let socket = socket(kind.0, kind.1, kind.2, None).map_err(refused)?;
        bind(socket.as_raw_fd(), &interface.link).map_err(refused)?;
        Ok(Self { socket, interface: interface.name.clone(), cpu })
    }

    /// Sends until the time is over, on the calling thread.
    pub(super) fn send(&self, order: &Order<'_>) -> Sent {
        if let Some(cpu) = self.cpu
            && let Err(why) = cpu::pin(&[cpu])
        {
            let trouble = format!("cannot run on cpu {cpu}: {why}");
            return Sent { trouble: Some(trouble), ..Sent::default() };
        }
        let cpu_before = cpu::thread_secs();
        let slices = order.traffic.slices();
        let mut sending = Sending { order, started: Instant::now(), sent: Sent::default(), at: 0 };
        if let Err(why) = sending.run(&self.socket, &slices) {
            let trouble = format!("cannot send on {}: {}", self.interface, why.desc());
            sending.sent.trouble = Some(trouble);
        }
        let mut sent = sending.sent;
        sent.secs = sending.started.elapsed().as_secs_f64();
        sent.cpu_secs = cpu::thread_secs() - cpu_before;
        sent
    }
}

impl Sending<'_> {
    fn run(&mut self, socket: &OwnedFd, slices: &[[IoSlice<'_>; 1]]) -> Result<(), Errno> {
        let mut headers = MultiHeaders::<()>::preallocate(BATCH_MAX as usize, None);
        let mut pending: Option<Vec<u8>> = None;
        while !self.order.stop.load(Ordering::Relaxed) {
            let elapsed = self.started.elapsed().as_secs_f64();
            if elapsed >= f64::from(self.order.secs) {
                break;
            }
            let due = self.due(elapsed);
            if due == 0 {
                continue;
            }
            if pending.is_none() && self.planted_due(elapsed) {
                pending = Some(self.order.traffic.planted.frame(self.sent.planted));
            }
            let planted: Option<[IoSlice<'_>; 1]> =
                pending.as_ref().map(|frame| [IoSlice::new(frame)]);
            let first = usize::from(planted.is_some());
            let rest = slices.get(self.at..).unwrap_or_default();
            let batch = planted.iter().chain(rest).take(due as usize);
            let none = [None; BATCH_MAX as usize];
            let flags = MsgFlags::empty();
            match sendmmsg(socket.as_raw_fd(), &mut headers, batch, none, [], flags) {
                Ok(taken) => {
                    let taken = taken.count();
                    let of_planted = first.min(taken);
                    if of_planted > 0 {
                        self.sent.planted += 1;
                        pending = None;
                    }
                    self.sent.frames += taken as u64;
                    self.at += taken - of_planted;
                    if self.at >= slices.len() {
                        self.at = 0;
                    }
                }
                Err(Errno::ENOBUFS | Errno::EAGAIN | Errno::EINTR) => {
                    self.sent.refused += 1;
                    std::thread::sleep(NO_ROOM_PAUSE);
                }
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// Returns how many frames are to be sent now; where none is, sleeps until some are.
    fn due(&mut self, elapsed: f64) -> u64 {
        let Some(rate) = self.order.rate else { return BATCH_MAX };
        let batch = (rate / BATCHES_PER_SEC).clamp(1.0, BATCH_MAX as f64).floor();
        let owed = elapsed * rate - self.sent.frames as f64;
        if owed < batch {
            let pause = ((batch - owed) / rate).min(f64::from(self.order.secs) - elapsed);
            std::thread::sleep(Duration::from_secs_f64(pause.max(0.0)));
            return 0;
        }
        self.sent.lag_secs_max = self.sent.lag_secs_max.max((owed - batch) / rate);
        (owed as u64).min(BATCH_MAX)
    }

    fn planted_due(&self, elapsed: f64) -> bool {
        elapsed * f64::from(self.order.planted_per_sec) > f64::from(self.sent.planted)
    }
}
