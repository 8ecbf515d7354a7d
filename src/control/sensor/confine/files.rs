//! Landlock: which files and ports there are for the sensor. For this thread, and those that it
//! starts from now on.

use landlock::ABI;
use landlock::Access;
use landlock::AccessFs;
use landlock::AccessNet;
use landlock::BitFlags;
use landlock::LandlockStatus;
use landlock::NetPort;
use landlock::Ruleset;
use landlock::RulesetAttr;
use landlock::RulesetCreatedAttr;
use landlock::RulesetError;
use landlock::RulesetStatus;
use landlock::Scope;
use landlock::path_beneath_rules;

use crate::control::sensor::confine::places::Places;

/// The newest interface that was tried; a kernel with less gives what it has.
const NEWEST: ABI = ABI::V7;

/// What a kernel leaves open whose interface is older.
const LEFT_OPEN_BELOW: [(ABI, &str); 4] = [
    (ABI::V3, "truncation of other files"),
    (ABI::V4, "TCP ports"),
    (ABI::V5, "requests to devices"),
    (ABI::V6, "signals and sockets of other processes"),
];

/// Where names are asked for when an answer is long.
const DNS: u16 = 53;

/// Restricts this thread to some places; returns what to say of it, or why it is not: where it is
/// strict, also if some of it is left open.
pub(super) fn restrict(places: &Places, is_strict: bool) -> Result<String, String> {
    let status = restricted(places).map_err(|error| format!("the kernel refuses it: {error}"))?;
    match (status.0, status.1) {
        (_, None) => Err("the kernel has none".to_owned()),
        (RulesetStatus::NotEnforced, _) => Err("the kernel does not enforce it".to_owned()),
        (_, Some(abi)) => {
            let (what, is_whole) =
                (told(abi), LEFT_OPEN_BELOW.iter().all(|(closed, _)| abi >= *closed));
            if is_strict && !is_whole { Err(format!("the kernel has {what}")) } else { Ok(what) }
        }
    }
}

/// Says what the kernel's interface is, and what it leaves open.
fn told(abi: ABI) -> String {
    let left = LEFT_OPEN_BELOW.iter().filter(|(closed, _)| abi < *closed);
    let left: Vec<&str> = left.map(|(_, what)| *what).collect();
    let but = if left.is_empty() { String::new() } else { format!(" but for {}", left.join(", ")) };
    format!("Landlock ABI {}{but}", abi.min(NEWEST))
}

fn restricted(places: &Places) -> Result<(RulesetStatus, Option<ABI>), RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir;
    let connect = places.connect.iter().copied();
    let connect = connect.chain((!places.connect.is_empty()).then_some(DNS));
    let ports = connect.map(|port| Ok(NetPort::new(port, AccessNet::ConnectTcp)));
    // places that are not there are passed over: whoever opens them says so
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(scopes())?
        .create()?
        .add_rules(path_beneath_rules(&places.read, read))?
        .add_rules(path_beneath_rules(&places.write, write))?
        .add_rules(ports.collect::<Vec<Result<_, RulesetError>>>())?
        .restrict_self()?;
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => Some(effective_abi),
        _ => None,
    };
    Ok((status.ruleset, abi))
}

/// Signals to others, and their sockets without a file; but systemd's own may be one.
fn scopes() -> BitFlags<Scope> {
    let notify = std::env::var_os("NOTIFY_SOCKET").unwrap_or_default();
    let is_abstract = notify.to_string_lossy().starts_with('@');
    if is_abstract { Scope::Signal.into() } else { Scope::from_all(NEWEST) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::net::TcpListener;
    use std::net::TcpStream;

    use super::*;

    /// A thread of its own is restricted, and the test is not.
    #[allow(clippy::print_stderr, reason = "a skip is said aloud")]
    fn confined(places: Places, test: impl FnOnce() + Send + 'static) {
        let thread = std::thread::spawn(move || match restrict(&places, false) {
            Ok(_) => test(),
            Err(why) => {
                assert!(std::env::var_os("TAPSIEVE_CI").is_none(), "no Landlock: {why}");
                eprintln!("skipped: no Landlock: {why}: a kernel from 5.13 on has it");
            }
        });
        thread.join().expect("no panic");
    }

    #[test]
    fn what_an_older_kernel_leaves_open_is_said() {
        for (abi, said) in [
            (ABI::V7, "Landlock ABI 7"),
            (ABI::V6, "Landlock ABI 6"),
            (ABI::V5, "Landlock ABI 5 but for signals and sockets of other processes"),
            (
                ABI::V1,
                "Landlock ABI 1 but for truncation of other files, TCP ports, requests to \
                 devices, signals and sockets of other processes",
            ),
        ] {
            assert_eq!(told(abi), said);
        }
    }

    #[test]
    fn what_is_not_named_is_not_there() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        for name in ["feed", "out", "home"] {
            fs::create_dir(at(name)).expect("made");
            fs::write(at(name).join("file"), name).expect("written");
        }
        std::os::unix::fs::symlink(at("home/file"), at("feed/link")).expect("made");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let open = TcpListener::bind("127.0.0.1:0").expect("a port");
        let (shut, open_to) =
            (listener.local_addr().expect("has one"), open.local_addr().expect("has one"));
        let places = Places {
            read: vec![at("feed"), at("none")],
            write: vec![at("out")],
            connect: vec![open_to.port()],
            ..Places::default()
        };
        let [feed, out, home] = ["feed", "out", "home"].map(at);
        confined(places, move || {
            let refused = |error: std::io::Error| error.kind() == ErrorKind::PermissionDenied;
            assert_eq!(fs::read_to_string(feed.join("file")).expect("may"), "feed");
            assert!(fs::write(feed.join("file"), "x").is_err_and(refused));
            assert!(fs::read(feed.join("link")).is_err_and(refused));
            assert!(fs::read(home.join("file")).is_err_and(refused));
            assert!(fs::read_dir(&home).is_err_and(refused));
            assert!(fs::write(home.join("new"), "x").is_err_and(refused));
            assert!(fs::read("/etc/passwd").is_err_and(refused));
            fs::rename(out.join("file"), out.join("file.1")).expect("may");
            fs::write(out.join("file"), "x").expect("may");
            fs::remove_file(out.join("file.1")).expect("may");
            assert!(TcpStream::connect(open_to).is_ok());
            let connected = TcpStream::connect(shut);
            let listening = TcpListener::bind("127.0.0.1:0");
            if matches!(restricted(&Places::default()), Ok((_, Some(abi))) if abi >= ABI::V4) {
                assert!(connected.is_err_and(refused));
                assert!(listening.is_err_and(refused));
            }
        });
    }
}
