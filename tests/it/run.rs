//! Runs the program, and says aloud what a test must leave out.

use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The standard output as JSON values, one a line.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| serde_json::from_str(line).expect("a JSON object a line");
        self.text().lines().map(parse).collect()
    }
}

/// What names proxies in the environment.
const PROXIES: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
];

/// Returns the command, in a folder; our servers are reached without a proxy.
pub(crate) fn tapsieve(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tapsieve"));
    command.current_dir(folder);
    PROXIES.iter().for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// Runs the program in a folder.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Run {
    let output = tapsieve(folder).args(arguments).stdin(std::process::Stdio::null()).output();
    ran(&output.expect("the program starts"))
}

pub(crate) fn ran(output: &Output) -> Run {
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout.clone(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A process that is killed when dropped.
pub(crate) struct Beside(pub(crate) Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _gone = self.0.wait();
    }
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Tells whether a program is there; says aloud when it is not, and how to have it.
pub(crate) fn has_program(name: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output();
    let there = found.is_ok_and(|output| output.status.success());
    if !there {
        assert!(std::env::var_os("TAPSIEVE_CI").is_none(), "{name} is missing: make test-deps");
        skip(&format!("{name} is not installed: make test-deps"));
    }
    there
}

/// The corpus of others' captures, where it lies beside the repository.
pub(crate) fn corpus() -> Option<PathBuf> {
    let path = root().join("../shared/corpus");
    if !path.is_dir() {
        skip("the corpus of others' captures is not beside the repository");
        return None;
    }
    Some(path)
}

#[allow(clippy::print_stderr, reason = "a skip is said aloud")]
pub(crate) fn skip(why: &str) {
    eprintln!("skipped: {why}");
}
