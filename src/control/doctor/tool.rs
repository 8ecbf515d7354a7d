//! Programs that are asked, all of them within one bound.
//!
//! `ethtool` is asked, not the kernel: the crate for its netlink has neither the hash of RSS, nor
//! its fields, nor a driver's own counters, and every command that mends a NIC is one of `ethtool`.

use std::time::Duration;
use std::time::Instant;

use crate::control::doctor::finding::Unknown;
use crate::control::doctor::host::Host;
use crate::control::tool;
use crate::control::tool::NoAnswer;
use crate::control::tool::PATIENCE;

/// How long all programs may take together: a driver that hangs once hangs at each question.
pub(super) const PATIENCE_OF_ALL: Duration = Duration::from_secs(15);

/// Runs a program, as long as the patience with all of them lasts.
pub(super) fn run(host: &Host, arguments: &[&str]) -> Result<String, Unknown> {
    let program = arguments.first().copied().unwrap_or_default();
    let left = host.patience.get();
    if left.is_zero() {
        return Err(Unknown::new(format!("{program} was not asked: others gave no answer")));
    }
    let started = Instant::now();
    let told = tool::run(arguments, PATIENCE.min(left));
    host.patience.set(left.saturating_sub(started.elapsed()));
    told.map_err(|why| match why {
        NoAnswer::Absent => absent(program),
        NoAnswer::Refused(line) => refused(program, &line),
    })
}

/// Says that a program is not there, and how to have it.
pub(super) fn absent(program: &str) -> Unknown {
    let install = format!("apt-get install {program} || dnf install {program}");
    Unknown { why: format!("{program} is not installed"), mend: Some(install) }
}

/// Says why a program did not answer.
pub(super) fn refused(program: &str, line: &str) -> Unknown {
    if line.contains("not supported") {
        return Unknown::new("the driver does not tell");
    }
    Unknown::new(format!("{program}: {line}"))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn all_programs_together_are_bounded() {
        let host = Host {
            root: PathBuf::from("/"),
            tool: run,
            patience: Cell::new(Duration::from_millis(50)),
            config: None,
            now: SystemTime::now(),
            earlier: BTreeMap::new(),
        };
        for why in ["sleep: no answer in 0 s", "sleep was not asked: others gave no answer"] {
            let told = run(&host, &["sleep", "9"]).map_err(|unknown| unknown.why);
            assert_eq!(told, Err(why.to_owned()));
        }
    }
}
