//! The command line of `bench live`.

use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;

use crate::control::bench::live::traffic::SIZES;
use crate::control::bench::stage::Stage;
use crate::control::intel::IntelArguments;

/// Longest trial: a day of trials is no bench.
const SECS_MAX: i64 = 3_600;

/// Flows at most: each has a frame in memory.
const FLOWS_MAX: i64 = 200_000;

/// Indicators that are made, at most.
const INDICATORS_MAX: i64 = 10_000_000;

/// What can be said to `bench live`.
#[derive(Args, Debug)]
pub struct LiveArguments {
    /// The interface that the sensor captures on
    #[arg(long, value_name = "IF")]
    pub(super) rx: String,
    /// The interface that frames are sent on, in the same network namespace [default: the other
    /// end of a veth pair]
    #[arg(long, value_name = "IF")]
    pub(super) tx: Option<String>,
    /// The processor that sends [default: the last one]
    #[arg(long, value_name = "N")]
    pub(super) tx_cpu: Option<usize>,
    /// Processors for what receives [default: all]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    pub(super) rx_cpus: Vec<usize>,
    /// What is sent: sizes in octets with check sequence, 64 to 1518, or `mixed` [default: the
    /// seven of RFC 2544, and mixed; with --capture only that]
    #[arg(long, value_name = "SIZE|mixed", value_delimiter = ',', value_parser = frames)]
    pub(super) frames: Vec<Frames>,
    /// Send the frames of this capture, too, round and round: their flows repeat, their times are
    /// those of arrival, their Ethernet addresses are ours
    #[arg(long, value_name = "FILE")]
    pub(super) capture: Option<PathBuf>,
    /// Flows of the traffic that is made
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=FLOWS_MAX))]
    pub(super) flows: u32,
    /// Last stages that run, each measured: `match` is the whole sensor, `dissect` all but matching
    #[arg(long, value_enum, value_name = "STAGE", value_delimiter = ',')]
    #[arg(default_values_t = [Stage::Dissect, Stage::Match])]
    pub(super) stop_after: Vec<Stage>,
    /// How frames are captured
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Backend::Afpacket])]
    pub(super) backend: Vec<Backend>,
    /// Measure a program that only reads beside it
    #[arg(long, value_enum, value_name = "PROGRAM")]
    pub(super) baseline: Option<Baseline>,
    /// Length of a trial; RFC 2544 section 24 wants 60 in the end
    #[arg(long, value_name = "SECS", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=SECS_MAX))]
    pub(super) secs: u32,
    /// How sure the rate is to be, in percent of it
    #[arg(long, value_name = "PERCENT", default_value_t = 2)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=50))]
    pub(super) resolution: u32,
    /// One trial at this rate instead of a search
    #[arg(long, value_name = "PPS")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    pub(super) rate: Option<u32>,
    /// Memory of each handle's ring
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=2_047))]
    pub(super) ring_mebibytes: u32,
    /// Capture threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) threads: u16,
    /// Matcher threads [default: one per core that capture leaves]
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=128))]
    pub(super) workers: Option<u16>,
    /// Bytes kept of a frame
    #[arg(long, value_name = "BYTES", default_value_t = 65_535)]
    #[arg(value_parser = clap::value_parser!(u32).range(64..=262_144))]
    pub(super) snap_bytes: u32,
    /// Indicators that are made, beside the planted ones, where no --intel is given
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=INDICATORS_MAX))]
    pub(super) indicators: u32,
    /// Frames a second that must alert, each once
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(super) planted_per_sec: u32,
    /// Write all numbers here as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Draw the rates here
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
    #[command(flatten)]
    pub(super) intel: IntelArguments,
}

/// Frames that are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frames {
    /// All of one size, in octets with check sequence.
    Size(u16),
    /// Conversations.
    Mixed,
}

/// How frames are captured.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    /// A packet ring of our own
    Afpacket,
    /// libpcap
    Pcap,
}

/// A program that only reads.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Baseline {
    /// `tcpdump -w /dev/null` with the same ring, snap length and filter
    Tcpdump,
}

impl LiveArguments {
    /// Returns what is sent.
    pub(super) fn all_frames(&self) -> Vec<Frames> {
        if self.frames.is_empty() && self.capture.is_none() {
            return SIZES.into_iter().map(Frames::Size).chain([Frames::Mixed]).collect();
        }
        let mut distinct: Vec<Frames> = Vec::new();
        for frames in &self.frames {
            if !distinct.contains(frames) {
                distinct.push(*frames);
            }
        }
        distinct
    }

    /// Returns the number of matcher threads, as the sensor has it.
    pub(super) fn worker_count(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let left = cores.saturating_sub(usize::from(self.threads)).max(1);
        self.workers.map_or(left, usize::from)
    }
}

impl Backend {
    /// Returns the name that it has on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Afpacket => "afpacket",
            Self::Pcap => "pcap",
        }
    }
}

fn frames(text: &str) -> Result<Frames, String> {
    if text == "mixed" {
        return Ok(Frames::Mixed);
    }
    match text.parse() {
        Ok(size @ 64..=1_518) => Ok(Frames::Size(size)),
        _ => Err("give 64 to 1518 octets, or mixed".to_owned()),
    }
}
