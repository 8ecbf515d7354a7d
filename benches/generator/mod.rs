//! A seeded generator of captures, with the indicators planted in them and what has to be found.
//!
//! Shares no code with the engine, so that it cannot share its mistakes. The same seed and options
//! give the same bytes.

mod certificate;
mod dns;
mod expected;
mod fingerprint;
mod flow;
mod frame;
mod hello;
mod http;
mod indicator;
mod pcap;
mod plant;
mod population;
mod random;
mod schedule;
mod selfcheck;
mod template;
mod tls;
mod traffic;
mod wide;

use std::io::Error;
use std::io::Result;
use std::path::Path;
use std::path::PathBuf;

use expected::Expected;
use pcap::Capture;
use plant::Plan;
pub(crate) use selfcheck::self_check;
pub(crate) use wide::Payload;

/// Raised when the same options give other bytes than before, so that stale data are made anew.
const VERSION: u32 = 1;

/// Whether a test runner started the bench (`cargo test --benches`, nextest): then it only checks
/// itself. It gives no argument, or asks for a list of tests, which is empty.
pub(crate) fn is_test() -> bool {
    std::env::args().nth(1).is_none_or(|first| first == "--list")
}

/// A kind of capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Profile {
    /// What a site's uplink carries: TLS, HTTP, DNS, a heavy tail.
    Mix,
    /// Small packets: look-ups, short flows, scans.
    Small,
    /// Very many flows alive at once.
    Wide,
}

/// What to make.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) profile: Profile,
    pub(crate) scale: f64,
    pub(crate) seed: u64,
    /// Flows of `wide` at scale 1.
    pub(crate) flows: usize,
    pub(crate) payload: Payload,
    /// Rows of the CSV file.
    pub(crate) indicators: usize,
}

/// Where the parts of one capture lie.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) capture: PathBuf,
    pub(crate) csv: PathBuf,
    pub(crate) objects: PathBuf,
    pub(crate) expected: PathBuf,
    pub(crate) stamp: PathBuf,
}

impl Paths {
    /// The names that go with a capture's.
    pub(crate) fn of(capture: &Path) -> Self {
        Self {
            capture: capture.to_owned(),
            csv: capture.with_extension("indicators.csv"),
            objects: capture.with_extension("ja4.json"),
            expected: capture.with_extension("expected.jsonl"),
            stamp: capture.with_extension("stamp"),
        }
    }

    /// Packets and their bytes, as noted when the capture was made.
    pub(crate) fn sizes(&self) -> Result<(u64, u64)> {
        let stamp = std::fs::read_to_string(&self.stamp)?;
        let mut numbers = stamp.lines().last().unwrap_or_default().split(' ').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(packets)), Some(Ok(bytes))) => Ok((packets, bytes)),
            _ => Err(Error::other(format!(
                "{} does not say the capture's sizes",
                self.stamp.display()
            ))),
        }
    }
}

impl Task {
    /// A profile as issue and bench know it.
    pub(crate) fn new(profile: Profile) -> Self {
        Self {
            profile,
            scale: 1.0,
            seed: 1,
            flows: wide::FLOWS,
            payload: Payload::Mixed,
            indicators: 100_000,
        }
    }

    fn make(&self, paths: &Paths) -> Result<()> {
        if let Some(folder) = paths.capture.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let plan = self.plan();
        self.make_csv(&paths.csv, self.indicators)?;
        if paths.objects.exists() {
            std::fs::remove_file(&paths.objects)?;
        }
        let indicators = plan.indicators();
        if indicators.iter().any(indicator::Indicator::is_object) {
            indicator::write_event(&paths.objects, self.seed, &indicators)?;
        }
        let mut capture = Capture::create(&paths.capture)?;
        let expected = self.write(&plan, &mut capture)?;
        expected.write(&paths.expected)?;
        let sizes = capture.close()?;
        std::fs::write(&paths.stamp, format!("{}\n{} {}\n", self.stamp(), sizes.0, sizes.1))
    }

    /// Makes what is not there yet; returns whether it had to.
    pub(crate) fn ensure(&self, paths: &Paths) -> Result<bool> {
        let stamp = std::fs::read_to_string(&paths.stamp).unwrap_or_default();
        let made = paths.capture.exists() && stamp.lines().next() == Some(&self.stamp());
        if !made {
            self.make(paths)?;
        }
        Ok(!made)
    }

    /// Writes the CSV with another number of rows.
    pub(crate) fn make_csv(&self, path: &Path, rows: usize) -> Result<()> {
        indicator::write_csv(path, self.seed, &self.plan().indicators(), rows)
    }

    fn plan(&self) -> Plan {
        match self.profile {
            Profile::Mix | Profile::Small => Plan::every_kind(self.seed, 350),
            Profile::Wide => Plan::addresses(self.seed, 500),
        }
    }

    fn write(&self, plan: &Plan, capture: &mut Capture) -> Result<Expected> {
        match self.profile {
            Profile::Mix => {
                traffic::write(self.seed, traffic::MIX.scaled(self.scale), plan, capture)
            }
            Profile::Small => {
                traffic::write(self.seed, traffic::SMALL.scaled(self.scale), plan, capture)
            }
            Profile::Wide => {
                let flows = (self.flows as f64 * self.scale) as usize;
                wide::write(self.seed, flows, self.payload, plan, capture)
            }
        }
    }

    fn stamp(&self) -> String {
        format!("version {VERSION} {self:?}")
    }
}
