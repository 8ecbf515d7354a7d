//! The bench's parts: run commands, check answers, print tables.

mod answer;
mod command;
mod growth;
mod machine;
mod race;

use std::ffi::OsString;
use std::io::Error;
use std::io::Read;
use std::io::Result;
use std::path::Path;
use std::path::PathBuf;

use answer::Answers;
pub(crate) use command::Cost;
pub(crate) use command::MEASURE;
pub(crate) use command::measured;
pub(crate) use growth::growth;
pub(crate) use machine::describe;
pub(crate) use race::race;

use crate::generator::Paths;
use crate::generator::Profile;
use crate::generator::Task;

/// How the bench was asked to run.
pub(crate) struct Bench {
    pub(crate) bin: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) scale: f64,
    pub(crate) runs: usize,
    /// Wrong answers and failed commands: any of them fails the bench.
    pub(crate) failures: Vec<String>,
    /// Ratios above their limits.
    pub(crate) shortfalls: Vec<String>,
}

/// What a run of the engine said of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phases {
    pub(crate) intel_secs: f64,
    pub(crate) packet_secs: f64,
}

/// A run of the engine.
struct Replay<'a> {
    paths: &'a Paths,
    intel: Vec<&'a Path>,
    workers: usize,
}

impl Bench {
    /// The task of a profile at the bench's scale, and where its files lie.
    fn task(&self, profile: Profile) -> (Task, Paths) {
        let mut task = Task::new(profile);
        task.scale = self.scale;
        let name = format!("{profile:?}").to_lowercase();
        let paths = self.paths(&name);
        (task, paths)
    }

    fn paths(&self, name: &str) -> Paths {
        let scale = if self.scale == 1.0 { String::new() } else { format!("-x{}", self.scale) };
        // `Paths` swaps what follows a dot, so the name must have none but the last.
        let name = format!("{name}{scale}").replace('.', "_");
        Paths::of(&self.data.join(format!("{name}.pcap")))
    }

    fn prepare(&self, task: &Task, paths: &Paths) -> Result<()> {
        if task.ensure(paths)? {
            eprintln!("made {}", paths.capture.display());
        }
        warm(&paths.capture)
    }

    fn alerts(&self) -> PathBuf {
        self.data.join("alerts.jsonl")
    }

    fn metrics(&self) -> PathBuf {
        self.data.join("metrics.prom")
    }

    fn log(&self) -> PathBuf {
        self.data.join("stderr.txt")
    }

    fn command(&self, replay: &Replay<'_>) -> Vec<OsString> {
        let mut command: Vec<OsString> = vec![self.bin.clone().into(), "replay".into()];
        for intel in &replay.intel {
            command.extend(["--intel".into(), intel.as_os_str().to_owned()]);
        }
        command.extend([
            "--alerts".into(),
            self.alerts().into(),
            "--metrics".into(),
            self.metrics().into(),
        ]);
        command.extend(["--workers".into(), replay.workers.to_string().into()]);
        command.push(replay.paths.capture.clone().into());
        command
    }

    /// Runs the engine and checks its answers.
    fn replay(&mut self, replay: &Replay<'_>, answers: &Answers) -> Result<Cost> {
        for stale in [self.alerts(), self.metrics()] {
            if stale.exists() {
                std::fs::remove_file(stale)?;
            }
        }
        let cost = command::measure(&self.command(replay), &self.log())?;
        let capture = replay.paths.capture.display();
        if cost.code != 0 {
            let said = std::fs::read_to_string(self.log()).unwrap_or_default();
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
            self.failures.push(format!("{capture}: replay ended with {}: {last}", cost.code));
            return Ok(cost);
        }
        let complaints = answers.complaints(&self.alerts())?;
        for what in complaints {
            let failure = format!("{capture}: {what}");
            if !self.failures.contains(&failure) {
                self.failures.push(failure);
            }
        }
        Ok(cost)
    }

    /// The phases of the last run, from its metrics.
    fn phases(&self) -> Option<Phases> {
        let text = std::fs::read_to_string(self.metrics()).ok()?;
        let gauge = |name: &str| {
            let line = text.lines().find(|line| line.split([' ', '{']).next() == Some(name))?;
            line.rsplit(' ').next()?.parse().ok()
        };
        Some(Phases {
            intel_secs: gauge("tapsieve_replay_intel_seconds")?,
            packet_secs: gauge("tapsieve_replay_packet_seconds")?,
        })
    }

    /// Notes whether a figure keeps its limit; returns how to print it.
    fn judge(&mut self, what: &str, figure: f64, limit: f64) -> String {
        if !figure.is_finite() {
            return "no figure".to_owned();
        }
        if figure <= limit {
            return format!("{figure:.2} (at most {limit}: kept)");
        }
        self.shortfalls.push(format!("{what} is {figure:.2}, at most {limit} wanted"));
        format!("**{figure:.2}** (at most {limit}: missed)")
    }
}

/// What to give as `--intel`: a CSV, and the objects if the capture has any.
fn intel<'a>(paths: &'a Paths, csv: &'a Path) -> Vec<&'a Path> {
    let objects = Some(paths.objects.as_path()).filter(|path| path.exists());
    [Some(csv), objects].into_iter().flatten().collect()
}

/// Reads a file once, so that it is in the page cache.
fn warm(path: &Path) -> Result<()> {
    let mut file = std::fs::File::open(path)
        .map_err(|why| Error::other(format!("{}: {why}", path.display())))?;
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

/// A Markdown table.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
    for row in rows {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    text
}

/// The middle of a list of numbers.
fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The least of a list of numbers.
fn least(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(f64::INFINITY, f64::min)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / 1_048_576.0)
}
