//! Why a live bench cannot be done: one line for people.

use nix::errno::Errno;

/// Why a live bench cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum LiveBenchError {
    /// A name that no interface has.
    #[error("{0}: no such interface in this network namespace: see `ip link`")]
    NoInterface(String),
    /// An interface that is off.
    #[error("{0} is down: ip link set {0} up")]
    Down(String),
    /// Nobody says where to send.
    #[error("{0} is no veth with its other end in this network namespace: give --tx IF")]
    NoPeer(String),
    /// Frames would be received where they are sent.
    #[error("{0} is given as --rx and --tx: give two interfaces that are joined")]
    SameInterface(String),
    /// A processor that is not there.
    #[error("cpu {0} is not there or not allowed: see `taskset -p $$`")]
    NoProcessor(usize),
    /// The system refuses to send.
    #[error("cannot send on {interface}: {why}: it needs root or CAP_NET_RAW")]
    Send {
        /// The interface.
        interface: String,
        /// Why.
        why: Errno,
    },
    /// Sending ended early.
    #[error("{0}")]
    Sender(String),
    /// A capture that cannot be read.
    #[error("{0}")]
    Capture(String),
    /// A capture that has nothing for an Ethernet.
    #[error("{0}: no whole Ethernet frame that fits the interface: give another capture")]
    NothingToSend(String),
    /// The baseline.
    #[error("tcpdump: {0}")]
    Tcpdump(String),
    /// The baseline is not there.
    #[error("tcpdump is not installed: install it, or leave out --baseline")]
    NoTcpdump,
    /// A folder or file of its own.
    #[error("cannot write what a trial needs: {0}")]
    Scratch(#[from] std::io::Error),
    /// The engine is wrong, however fast.
    #[error("the alerts are wrong: {0}")]
    WrongAlerts(String),
}

impl LiveBenchError {
    /// Tells whether the command line is to blame.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NoPeer(_) | Self::SameInterface(_) | Self::NoProcessor(_))
    }
}
