//! What is looked at before anything is opened: what would hang, or take the host down.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::control::cli::Failure;
use crate::control::config::Config;
use crate::control::config::sink::Destination;
use crate::control::intel::IntelError;
use crate::model::path::folder_of;
use crate::pipeline::capture::live::LiveSettings;

/// Refuses rings that the host's memory cannot hold, feeds that cannot be read again, and what
/// `writes` does.
///
/// # Errors
///
/// `Usage`, with what to change.
pub(super) fn fits(config: &Config) -> Result<(), Failure> {
    let ring =
        |capture: &LiveSettings| u64::from(capture.ring_mebibytes) * u64::from(capture.threads);
    let wanted: u64 = config.captures.iter().map(ring).sum();
    if let Some(free) = free_mebibytes().filter(|free| wanted > *free) {
        return Err(Failure::Usage(format!(
            "rings of {wanted} MiB are wanted, {free} MiB are free: give a smaller \
             `ring_mebibytes`, or fewer `threads`"
        )));
    }
    if let Some(told) = odd_feed(&config.intel) {
        return Err(Failure::Usage(told));
    }
    writes(config)
}

/// Refuses places of alerts that cannot be appended to, renamed and begun anew, or that would have
/// the sensor write the whole system.
///
/// # Errors
///
/// `Usage`, with what to change.
fn writes(config: &Config) -> Result<(), Failure> {
    for sink in &config.sinks {
        let Destination::File { path, .. } = &sink.to else { continue };
        let what = match fs::symlink_metadata(path).map(|about| about.file_type()) {
            Ok(kind) if kind.is_symlink() => "a link: name the file that it leads to",
            Ok(kind) if kind.is_dir() => "a folder: name a file in it",
            Ok(kind) if !kind.is_file() => {
                "a pipe, socket or device: alerts are appended to a plain file; the types \
                 \"stdout\" and \"unix\" are for the former"
            }
            _ if is_root(folder_of(path)) => {
                "in the root folder, where the sensor could write all: give it a folder"
            }
            _ => continue,
        };
        let what = format!("[[sink]] {} path: {}: {what}", sink.name, path.display());
        return Err(Failure::Usage(what));
    }
    if !config.remotes.is_empty() && is_root(&config.mirror.path) {
        let told = "[mirror] path: the root folder, which is all: give it a folder";
        return Err(Failure::Usage(told.to_owned()));
    }
    let spool = config.spool.as_ref().filter(|spool| is_root(&spool.path));
    let told = || "[spool] path: the root folder, which is all: give it a folder".to_owned();
    spool.map_or(Ok(()), |_| Err(Failure::Usage(told())))
}

fn is_root(folder: &Path) -> bool {
    folder.canonicalize().is_ok_and(|folder| folder.parent().is_none())
}

/// Tells whether indicators that are not there yet come by and by, from a server.
pub(super) fn is_waited_for(error: &IntelError, config: &Config) -> bool {
    use IntelError as E;
    let may_come = matches!(error, E::NoInput | E::NothingUsable { .. } | E::Unreadable(_));
    may_come && !config.remotes.is_empty()
}

/// Returns the first feed that cannot be read again and again: opening it could wait for ever.
pub(super) fn odd_feed(feeds: &[PathBuf]) -> Option<String> {
    feeds.iter().find(|path| is_odd(path)).map(|path| not_again(path))
}

fn is_odd(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir())
}

fn not_again(path: &Path) -> String {
    format!("{}: a pipe or device: a sensor reads its feeds again and again", path.display())
}

fn free_mebibytes() -> Option<u64> {
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    let line = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes >> 10)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    /// A file of alerts, and what is said of it.
    fn check(path: &Path, said: Option<&str>) {
        let config = format!(
            "[[capture]]\ninterface = \"eth1\"\n[[intel]]\npath = \"/feed\"\n[[sink]]\n\
             type = \"file\"\npath = \"{}\"\n",
            path.display()
        );
        let told = writes(&Config::parse(&config).expect("sound")).map_err(|e| e.to_string());
        match said {
            None => assert_eq!(told, Ok(()), "{}", path.display()),
            Some(said) => {
                let told = told.expect_err("refused");
                assert!(
                    told.starts_with(&format!("[[sink]] file path: {}: {said}", path.display())),
                    "{told}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_place_for_alerts_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        check(&at("new"), None);
        fs::write(at("old"), "").expect("written");
        check(&at("old"), None);
        check(&at("none/new"), None);
        symlink(at("old"), at("link")).expect("made");
        check(&at("link"), Some("a link"));
        symlink(at("nothing"), at("loose")).expect("made");
        check(&at("loose"), Some("a link"));
        check(folder.path(), Some("a folder"));
        mkfifo(&at("pipe"), Mode::S_IRWXU).expect("made");
        check(&at("pipe"), Some("a pipe"));
        let _socket = UnixListener::bind(at("socket")).expect("bound");
        check(&at("socket"), Some("a pipe, socket"));
        check(Path::new("/dev/full"), Some("a pipe, socket or device"));
        check(Path::new("/alerts-of-no-sensor.json"), Some("in the root folder"));
        symlink("/", at("root")).expect("made");
        check(&at("root/alerts-of-no-sensor.json"), Some("in the root folder"));
    }
}
