//! The files and ports that a configuration makes the sensor need, now and later.
//!
//! What is read again is read from its folder, not from the file that was there at the start: feeds
//! are replaced by a rename. A new kind of sink or feed says here what it needs.

use std::path::Path;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::AccessFlags;
use nix::unistd::access;
use tracing::warn;

use crate::control::config::Config;
use crate::control::config::sink::Destination;
use crate::control::intel::remote::http::ports;
use crate::control::intel::remote::key::KeyPlace;
use crate::control::intel::remote::source::Remote;
use crate::control::intel::remote::source::RemoteKind;
use crate::control::sensor::confine::ConfineError;
use crate::model::path::folder_of;

/// What every sensor reads: interfaces, itself, how many cores it has, and what names are looked up
/// with. A file of these that is replaced by a rename is not read again.
const SYSTEM: [&str; 20] = [
    "/sys/class/net",
    "/sys/devices",
    "/sys/fs/cgroup",
    "/proc/self",
    "/proc/net",
    "/proc/sys/net",
    "/proc/sys/kernel/random",
    "/proc/sys/vm/overcommit_memory",
    "/dev/null",
    "/dev/urandom",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
];

/// What the sensor may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Files, and folders with all that is in them, to read.
    pub(super) read: Vec<PathBuf>,
    /// The same to write: files are made there, renamed and removed.
    pub(super) write: Vec<PathBuf>,
    /// TCP ports to connect to.
    pub(super) connect: Vec<u16>,
    /// Indicators, and keys of servers, as they are named.
    pub(super) feeds: Vec<PathBuf>,
    /// Files of alerts, as they are named.
    pub(super) alerts: Vec<PathBuf>,
}

impl Places {
    /// Returns what a configuration needs; `path` is its own.
    pub(super) fn of(path: &Path, config: &Config) -> Self {
        let mut places =
            Self { read: SYSTEM.iter().map(PathBuf::from).collect(), ..Self::default() };
        places.read.extend(config.confinement.read.iter().cloned());
        places.read.extend(std::env::current_exe().ok());
        places.read_again(path);
        let lists = config.warninglists.inputs.iter().map(|(path, _)| path);
        for feed in config.intel.iter().chain(lists) {
            places.read_again(feed);
            places.feeds.push(feed.clone());
        }
        for sink in &config.sinks {
            places.sink(&sink.to);
        }
        if !config.remotes.is_empty() {
            places.write.push(config.mirror.path.clone());
        }
        for remote in &config.remotes {
            places.remote(remote);
        }
        if let Some(spool) = &config.spool {
            places.write.push(spool.path.clone());
        }
        places
    }

    /// Adds what a server is reached with.
    fn remote(&mut self, remote: &Remote) {
        if let KeyPlace::File(path) = &remote.http.key.place {
            self.read_again(path);
            self.feeds.push(path.clone());
        }
        if let Some(path) = &remote.http.ca_file {
            self.read_again(path);
            self.feeds.push(path.clone());
        }
        // where the environment says that the system's authorities are
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().filter_map(std::env::var_os);
        self.read.extend(named.map(PathBuf::from));
        self.connect.extend(ports(&remote.http));
        let RemoteKind::Misp(settings) = &remote.kind else { return };
        let zmq = settings.zmq.as_ref().and_then(|address| address.rsplit_once(':'));
        self.connect.extend(zmq.and_then(|(_, port)| port.parse::<u16>().ok()));
    }

    fn sink(&mut self, to: &Destination) {
        match to {
            // whom a socket in the file system belongs to is for its own rights to say
            Destination::Stdout | Destination::Unix { .. } => {}
            Destination::Tcp { address } => {
                let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
                self.connect.extend(port);
            }
            Destination::File { path, .. } => {
                self.write.push(folder_of(path).to_owned());
                self.alerts.push(path.clone());
            }
        }
    }

    /// Adds what is read more than once: it may be another file then, or what a link leads to.
    fn read_again(&mut self, path: &Path) {
        self.read.push(path.to_owned());
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        for folder in [folder_of(path), folder_of(&target)] {
            let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
            // the whole system is no folder of feeds
            if folder.parent().is_some() && !self.read.contains(&folder) {
                self.read.push(folder);
            }
        }
    }

    /// Looks at them with the user's eyes.
    ///
    /// # Errors
    ///
    /// When alerts cannot be written: rotation would fail, some night.
    pub(super) fn look(&self, user: &str) -> Result<(), ConfineError> {
        let refused = |path: &Path, how| access(path, how) == Err(Errno::EACCES);
        let write = AccessFlags::W_OK;
        for path in &self.alerts {
            let folder = folder_of(path);
            let unwritable = [(folder, write | AccessFlags::X_OK), (path, write)];
            if let Some((path, _)) = unwritable.iter().find(|(path, how)| refused(path, *how)) {
                let (path, user) = (path.to_path_buf(), user.to_owned());
                return Err(ConfineError::Unwritable { path, user });
            }
        }
        for feed in self.feeds.iter().filter(|feed| refused(feed, AccessFlags::R_OK)) {
            warn!("{}: user `{user}` cannot read it: let its group or all read it", feed.display());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// What a configuration has beside what every sensor has: read, written.
    fn check(folder: &Path, feed: &str, sink: &str, read: &[&str], write: &[&str]) {
        let text = format!(
            "[[capture]]\ninterface = \"eth1\"\n[[intel]]\npath = \"{}\"\n[[sink]]\n{sink}\n",
            folder.join(feed).display()
        );
        let config = Config::parse(&text).expect("sound");
        let places = Places::of(&folder.join("etc/x.toml"), &config);
        let own = |path: &&PathBuf| path.starts_with(folder) && path.is_dir();
        let mut got: Vec<&PathBuf> = places.read.iter().filter(own).collect();
        got.sort();
        got.dedup();
        let expected: Vec<PathBuf> = read.iter().map(|name| folder.join(name)).collect();
        assert_eq!(got, expected.iter().collect::<Vec<_>>(), "{feed}");
        let expected: Vec<PathBuf> = write.iter().map(|name| folder.join(name)).collect();
        assert_eq!(places.write, expected, "{sink}");
        assert_eq!(places.connect, [0_u16; 0]);
    }

    #[test]
    fn what_is_read_again_is_reached_through_its_folder() {
        let folder = tempfile::tempdir().expect("folder");
        let folder = folder.path().canonicalize().expect("there");
        for name in ["etc", "feeds/today", "out"] {
            fs::create_dir_all(folder.join(name)).expect("made");
        }
        fs::write(folder.join("feeds/list"), "x").expect("written");
        fs::create_dir(folder.join("links")).expect("made");
        symlink(folder.join("feeds/today"), folder.join("links/feed")).expect("made");
        let file = format!("type = \"file\"\npath = \"{}\"", folder.join("out/a").display());
        let stdout = "type = \"stdout\"";
        check(&folder, "feeds/list", stdout, &["etc", "feeds"], &[]);
        check(&folder, "feeds/today", &file, &["etc", "feeds", "feeds/today"], &["out"]);
        check(&folder, "links/feed", &file, &["etc", "feeds", "links", "links/feed"], &["out"]);
        check(&folder, "none/yet", &file, &["etc"], &["out"]);
        // a spool is written, its folder is not, be it there or not
        let spool = format!("{stdout}\n[spool]\npath = \"{}\"", folder.join("out/s").display());
        check(&folder, "feeds/list", &spool, &["etc", "feeds"], &["out/s"]);
    }
}
