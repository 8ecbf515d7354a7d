//! The places of the configuration: where alerts are written, where indicators come from.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use nix::sys::statvfs::statvfs;

use crate::control::config::sink::Destination;
use crate::control::doctor::finding::Finding;
use crate::control::doctor::finding::Findings;
use crate::control::doctor::host::Host;

const MIB: u64 = 1 << 20;

/// Below this a disk is as good as full.
const FREE_BYTES_MIN: u64 = 64 * MIB;

/// Indicators that nobody touched for so long are old: feeds change daily.
const OLD_DAYS: u64 = 7;

/// Files of a feed that are looked at, at most.
const FILES_MAX: usize = 200_000;

/// Looks whether there is room for the alerts that are kept.
pub(super) fn disk(host: &Host) -> Findings {
    let Some(configured) = &host.config else { return Ok(Vec::new()) };
    let mut findings = Vec::new();
    let config = &configured.config;
    let mut places = Vec::new();
    for sink in &config.sinks {
        let Destination::File { path, rotate_mebibytes, keep, .. } = &sink.to else { continue };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let wanted = u64::from(*rotate_mebibytes) * MIB * (u64::from(*keep) + 1);
        places.push((folder.unwrap_or(Path::new(".")), wanted));
    }
    if let Some(spool) = &config.spool {
        let sinks = u64::try_from(config.sinks.len()).unwrap_or(u64::MAX);
        places.push((spool.path.as_path(), u64::from(spool.mebibytes) * MIB * sinks));
    }
    for (folder, wanted) in places {
        let name = folder.display().to_string();
        findings.push(match statvfs(&host.place(folder)) {
            Ok(disk) => {
                let free = disk.blocks_available().saturating_mul(disk.fragment_size());
                room(&name, free, wanted)
            }
            Err(error) => Finding::fail(&name, format!("cannot be looked at: {}", error.desc()))
                .mend(format!("install -d -m 0750 -o tapsieve -g tapsieve {name}")),
        });
    }
    Ok(findings)
}

/// Looks how old the indicators are.
pub(super) fn intel(host: &Host) -> Findings {
    let Some(configured) = &host.config else { return Ok(Vec::new()) };
    let finding = |path: &PathBuf| {
        let name = path.display().to_string();
        let Some(newest) = newest(&host.place(path)) else {
            let mend = format!("fetch the feed into {name}; systemctl reload tapsieve");
            return Finding::fail(&name, "no indicators are there").mend(mend);
        };
        let secs = host.now.duration_since(newest).unwrap_or_default().as_secs();
        let (days, hours) = (secs / 86_400, secs % 86_400 / 3_600);
        let found = format!("changed {days} days and {hours} hours ago");
        let finding = if days >= OLD_DAYS {
            let mend = format!("fetch the feed into {name} again; systemctl reload tapsieve");
            Finding::warn(&name, found).mend(mend)
        } else {
            Finding::ok(&name, found)
        };
        finding.number("age_seconds", secs)
    };
    Ok(configured.config.intel.iter().map(finding).collect())
}

/// Judges what is free against what the rotated files may come to; 0: they have no bound.
fn room(name: &str, free: u64, wanted: u64) -> Finding {
    let found = format!("{} MiB free, {} MiB for alerts that are kept", free / MIB, wanted / MIB);
    let mend = format!("fewer `keep` or `rotate_mebibytes`, or room: du -xh {name} | sort -h");
    let finding = if free < FREE_BYTES_MIN {
        Finding::fail(name, found).mend(mend)
    } else if free < wanted {
        Finding::warn(name, found).mend(mend)
    } else if wanted == 0 {
        let found = format!("{} MiB free, and alerts are kept without a bound", free / MIB);
        Finding::note(name, found)
    } else {
        Finding::ok(name, found)
    };
    finding.number("free_bytes", free).number("wanted_bytes", wanted)
}

/// Returns when the newest file of a feed was written.
fn newest(path: &Path) -> Option<SystemTime> {
    let (mut open, mut newest, mut seen) = (vec![path.to_owned()], None, 0_usize);
    while let Some(path) = open.pop().filter(|_| seen < FILES_MAX) {
        seen += 1;
        let Ok(about) = fs::metadata(&path) else { continue };
        if about.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(entries.take(FILES_MAX).map(|entry| entry.path()));
        } else {
            newest = newest.max(about.modified().ok());
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::doctor::finding::Level;

    /// MiB free, MiB wanted, how it is judged.
    fn check(free: u64, wanted: u64, level: Level) {
        assert_eq!(room("/var", free * MIB, wanted * MIB).level, level, "{free} {wanted}");
    }

    #[test]
    fn room_is_judged_by_what_is_kept() {
        check(10_000, 3_100, Level::Ok);
        check(3_000, 3_100, Level::Warn);
        check(63, 10, Level::Fail);
        check(10_000, 0, Level::Note);
    }
}
