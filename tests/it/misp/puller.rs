//! Runs `tapsieve intel pull`, bounded in time, with its memory watched.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use tapsieve::control::intel::IntelOptions;
use tapsieve::control::intel::compile::compile;
use tapsieve::control::intel::filter::Filter;

use super::stand::KEY;
use super::stand::Stand;
use crate::run::tapsieve;

/// How a run went.
#[derive(Debug)]
pub(crate) struct Pulled {
    pub(crate) code: i32,
    pub(crate) stderr: String,
    pub(crate) peak_kibibytes: u64,
}

/// A folder with an API key, a file of authorities, and what is pulled.
pub(crate) struct Puller {
    folder: tempfile::TempDir,
}

impl Puller {
    /// One that trusts a stand-in.
    pub(crate) fn new(stand: &Stand) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("key"), format!("{KEY}\n")).expect("written");
        fs::write(folder.path().join("ca.pem"), stand.authority().pem()).expect("written");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What was pulled.
    pub(crate) fn pulled(&self) -> PathBuf {
        self.path("pulled")
    }

    /// Pulls from a server, with more options, in so many seconds at most.
    pub(crate) fn pull(&self, url: &str, more: &[&str], secs: u64) -> Pulled {
        let mut command = tapsieve(self.folder.path());
        command.args(["intel", "pull", "--misp", url, "--key-file", "key"]);
        command.args(["--ca-file", "ca.pem", "--to", "pulled"]).args(more);
        self.bounded(&mut command, Duration::from_secs(secs))
    }

    /// Pulls, and expects that all goes well.
    pub(crate) fn pull_well(&self, stand: &Stand, more: &[&str]) -> Pulled {
        let pulled = self.pull(&stand.url(), more, 60);
        assert_eq!(pulled.code, 0, "{}", pulled.stderr);
        pulled
    }

    /// Runs a command, killed when it takes longer.
    pub(crate) fn bounded(&self, command: &mut Command, most: Duration) -> Pulled {
        let [out, err] = ["stdout", "stderr"].map(|name| self.path(name));
        let file = |path: &Path| Stdio::from(fs::File::create(path).expect("made"));
        let command = command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err));
        let started = Instant::now();
        let mut child = command.spawn().expect("starts");
        let mut peak_kibibytes = 0;
        let code = loop {
            peak_kibibytes = peak_kibibytes.max(peak(&child));
            if let Some(status) = child.try_wait().expect("a child") {
                break status.code().unwrap_or(-1);
            }
            if started.elapsed() > most {
                child.kill().expect("killed");
                child.wait().expect("gone");
                let said = fs::read_to_string(&err).unwrap_or_default();
                panic!("still running after {most:?}: {said}");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let stderr = fs::read_to_string(err).expect("text");
        assert!(!stderr.contains("panicked"), "{stderr}");
        Pulled { code, stderr, peak_kibibytes }
    }

    /// The attributes that the pulled folder gives: by uuid, type and value.
    pub(crate) fn attributes(&self) -> BTreeMap<String, (String, String)> {
        attributes(&self.pulled())
    }
}

/// The indicators of a folder and which attributes gave them.
pub(crate) fn attributes(folder: &Path) -> BTreeMap<String, (String, String)> {
    taken(folder, Filter::default())
}

/// Those of them that a filter takes.
pub(crate) fn taken(folder: &Path, filter: Filter) -> BTreeMap<String, (String, String)> {
    let mut options = IntelOptions { filter, ..IntelOptions::default() };
    options.policy.allow_special = true;
    let compiled = compile(&[folder.to_owned()], &options).expect("it can be read");
    assert!(compiled.ledger.damage.is_empty(), "{:?}", compiled.ledger.damage);
    let catalog = &compiled.set.catalog;
    let mut found = BTreeMap::new();
    for id in catalog.ids() {
        let ty = catalog.indicator_type(id).expect("has one").name().to_owned();
        for source in catalog.sources(id) {
            let uuid = source.attribute.expect("a server's attributes have one");
            let told = (ty.clone(), catalog.value(id).to_owned());
            let twice = found.insert(uuid.clone(), told);
            assert_eq!(twice, None, "{uuid} is there twice");
        }
    }
    found
}

/// The most memory that a process has taken so far.
fn peak(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
