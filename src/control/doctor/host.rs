//! The machine that is looked at: its files below a root, its programs, and what the sensor is to
//! do there.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use crate::control::config::Config;
use crate::control::cpu_list;
use crate::control::doctor::finding::Unknown;
use crate::pipeline::capture::live::LiveSettings;

/// Bytes read of one file of the kernel: /proc/interrupts of 512 CPUs has 2 MiB.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// Runs a program with arguments and returns what it prints.
pub(super) type Tool = fn(&Host, &[&str]) -> Result<String, Unknown>;

/// The machine, and what the sensor is to do there.
#[derive(Debug)]
pub(super) struct Host {
    /// `/`, or a tree that looks like it.
    pub(super) root: PathBuf,
    /// How programs are run.
    pub(super) tool: Tool,
    /// How much longer programs are waited for, all together.
    pub(super) patience: Cell<Duration>,
    /// The sensor's configuration, where one was given.
    pub(super) config: Option<Configured>,
    /// When files are old.
    pub(super) now: SystemTime,
    /// Counters of an earlier look, by subject; empty: they count since the start of the machine.
    pub(super) earlier: BTreeMap<String, BTreeMap<String, u64>>,
}

/// A configuration and its file.
#[derive(Debug)]
pub(super) struct Configured {
    /// Its name.
    pub(super) path: PathBuf,
    /// What it says.
    pub(super) config: Config,
}

impl Host {
    /// Returns a file's text without the white space around it.
    pub(super) fn read(&self, path: &str) -> Result<String, Unknown> {
        self.text(path).map_err(|error| Unknown::new(format!("/{path}: {error}")))
    }

    /// Returns a file's text, where there is one.
    pub(super) fn optional(&self, path: &str) -> Option<String> {
        self.text(path).ok()
    }

    /// Returns a file's number, where there is one.
    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.optional(path)?.parse().ok()
    }

    /// Returns the names in a folder, sorted; none where it cannot be read.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Tells whether a file or folder is there.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// Returns where a path of the configuration lies.
    pub(super) fn place(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Returns the last part of what a link points to.
    pub(super) fn link(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.root.join(path)).ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    }

    /// Returns how an interface is to be captured, where a configuration says it.
    pub(super) fn capture(&self, interface: &str) -> Option<&LiveSettings> {
        let mut captures = self.config.as_ref()?.config.captures.iter();
        captures.find(|capture| capture.interface == interface)
    }

    /// Runs a program.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<String, Unknown> {
        (self.tool)(self, arguments)
    }

    /// Returns the CPUs that are switched on.
    pub(super) fn cpus(&self) -> Vec<u32> {
        let online = self.optional("sys/devices/system/cpu/online").unwrap_or_default();
        let cpus = cpu_list::parse(&online);
        if cpus.is_empty() { vec![0] } else { cpus }
    }

    /// Returns what a counter counted since the earlier look, or since the start.
    pub(super) fn since(&self, subject: &str, counter: &str, now: u64) -> u64 {
        let before = self.earlier.get(subject).and_then(|counters| counters.get(counter));
        now.saturating_sub(before.copied().unwrap_or_default())
    }

    fn text(&self, path: &str) -> io::Result<String> {
        let mut bytes = Vec::new();
        File::open(self.root.join(path))?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }
}
