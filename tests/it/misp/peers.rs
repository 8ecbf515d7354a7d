//! Other programs that speak with MISP or as it does, from the registries of their languages.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::run::Run;
use crate::run::has_program;
use crate::run::ran;
use crate::run::root;
use crate::run::skip;

/// Seconds that a peer may run; it is killed then.
const PEER_SECS: &str = "60";

/// Returns a program of `target/peers`; says aloud when it is not there, and how to have it.
fn peer(name: &str) -> Option<PathBuf> {
    let path = root().join("target/peers").join(name);
    if !path.exists() {
        assert!(
            std::env::var_os("TAPSIEVE_CI").is_none(),
            "target/peers/{name} is missing: make test-deps"
        );
        skip(&format!("target/peers/{name} is not installed: make test-deps"));
        return None;
    }
    Some(path)
}

/// Python, with PyMISP, pyzmq and taxii2-client.
pub(crate) fn python() -> Option<PathBuf> {
    peer("python/bin/python3")
}

/// Node.js, with the modules of prism, and where they are.
pub(crate) fn node() -> Option<PathBuf> {
    has_program("node").then_some(())?;
    peer("node/node_modules")
}

/// Runs a script to its end, or kills it.
pub(crate) fn run_script(program: &Path, arguments: &[&str]) -> Run {
    let mut command = Command::new("timeout");
    command.args(["-k", "5", PEER_SECS]).arg(program).args(arguments);
    let ended = ran(&command.output().expect("timeout runs"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended
}
