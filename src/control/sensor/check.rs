//! `sensor --check`: what the start would stumble over, and what it would bear but nobody can have
//! meant. Opens no port and no interface, and writes nothing.
//!
//! What a start does, in its order, and what is looked at of it here:
//!
//! 1. reads the configuration: the same, with names of interfaces and filters (`config`)
//! 2. holds rings against memory, wants feeds that can be read again: the same (`start::fits`)
//! 3. listens for the pages: their address must be here; the port may be that of a running sensor
//! 4. becomes the user, gives up what it does not need: the same; this process ends as that user
//! 5. compiles the indicators: the same, and each feed by itself must be readable
//! 6. opens spools and sinks: their folders must be there, and the user may write them
//! 7. opens interfaces: one that is not there now is a warning, as it may come before the start
//! 8. filters system calls: the same
//! 9. pins threads: their CPUs must be there. The start itself goes on without

use std::fmt::Display;
use std::fs;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::path::Path;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::unistd::AccessFlags;
use nix::unistd::Uid;
use nix::unistd::access;
use tracing::warn;

use crate::control::cli::DONE;
use crate::control::cli::Failure;
use crate::control::config::Config;
use crate::control::config::remote::MirrorConfig;
use crate::control::config::sink::Destination;
use crate::control::cpu_list;
use crate::control::intel::compile::Compiled;
use crate::control::intel::compile::compile;
use crate::control::sensor::confine;
use crate::control::sensor::confine::ConfineError;
use crate::control::sensor::confine::Confined;
use crate::control::sensor::start;
use crate::model::path::folder_of;

/// The CPUs that are switched on.
const CPUS_ONLINE: &str = "/sys/devices/system/cpu/online";

/// What is wrong, a line each.
struct Wrong<'a> {
    file: &'a Path,
    /// Who needs the places.
    user: String,
    lines: Vec<String>,
}

/// Looks at everything that a start needs; `path` is the configuration's.
///
/// # Errors
///
/// `Usage`, with a line for each thing that is wrong.
pub(super) fn check(path: &Path, config: &Config) -> Result<u8, Failure> {
    let user = config.confinement.user.as_str();
    let is_root = Uid::effective().is_root();
    let user = if is_root && !user.is_empty() { user } else { "whoever starts it" };
    let mut wrong = Wrong { file: path, user: user.to_owned(), lines: Vec::new() };
    if let Err(error) = start::fits(config) {
        wrong.lines.push(format!("{}: {error}", path.display()));
    }
    wrong.cpus(config);
    wrong.tell_absent(config);
    if !is_root {
        confine::check(&config.confinement);
    }
    // a start makes the folders of spool and mirrors on its way
    let mirror = MirrorConfig { path: there(&config.mirror.path), ..config.mirror.clone() };
    let without = Config { spool: None, mirror, ..config.clone() };
    let confined = match Confined::enter(path, &without) {
        Ok(confined) => Some(confined),
        // each place is told of below
        Err(ConfineError::Unwritable { .. }) => None,
        Err(error) => {
            wrong.lines.push(format!("{}: {error}", path.display()));
            None
        }
    };
    for place in &config.confinement.read {
        if let Err(error) = fs::metadata(place) {
            wrong.note("[drop] read", place, format!("{error}: name what is there"));
        }
    }
    wrong.sinks(config);
    wrong.spool(config);
    wrong.remotes(config);
    wrong.feeds(config);
    if let Some(Err(error)) = confined.map(|mut all| all.filter_calls(&config.confinement)) {
        wrong.lines.push(format!("{}: {error}", path.display()));
    }
    if wrong.lines.is_empty() { Ok(DONE) } else { Err(Failure::Usage(wrong.lines.join("\n"))) }
}

/// Returns a folder, or the nearest around it that is there.
fn there(path: &Path) -> PathBuf {
    let mut around = path.ancestors().map(|folder| folder_of(&folder.join("it")).to_owned());
    around.find(|folder| folder.is_dir()).unwrap_or_else(|| path.to_owned())
}

impl Wrong<'_> {
    fn note(&mut self, key: &str, place: &Path, what: impl Display) {
        self.lines.push(format!("{}: {key}: {}: {what}", self.file.display(), place.display()));
    }

    fn cpus(&mut self, config: &Config) {
        let online = cpu_list::parse(&fs::read_to_string(CPUS_ONLINE).unwrap_or_default());
        let captures = config.captures.iter();
        let captures = captures.map(|one| (format!("[[capture]] {}", one.interface), &one.cpus));
        for (section, cpus) in captures.chain([("[workers]".to_owned(), &config.worker_cpus)]) {
            let absent = |cpu: &&u16| !online.is_empty() && !online.contains(&u32::from(**cpu));
            if let Some(cpu) = cpus.iter().find(absent) {
                let (file, there) = (self.file.display(), cpu_list::text(&online));
                let what = format!("no CPU {cpu} is here: there are {there}");
                self.lines.push(format!("{file}: {section} cpus: {what}"));
            }
        }
    }

    /// Warns of what may come before the start.
    fn tell_absent(&self, config: &Config) {
        let file = self.file.display();
        let captured = config.captures.iter().map(|capture| &capture.interface);
        let captured = captured.map(|name| ("[[capture]]", name));
        let sent = config.canary.iter().map(|canary| ("[canary]", &canary.interface));
        // one that is captured is told of once
        let sent = sent.filter(|(_, name)| captured.clone().all(|(_, known)| known != *name));
        for (section, name) in captured.clone().chain(sent) {
            // libpcap's name of all
            if name != "any" && if_nametoindex(name.as_str()).is_err() {
                warn!("{file}: {section} interface: no `{name}` is here now: see `ip link`");
            }
        }
        if let Some(listen) = config.listen
            && let Err(error) = UdpSocket::bind(SocketAddr::new(listen.ip(), 0))
        {
            let ip = listen.ip();
            warn!("{file}: [http] listen: {ip} is no address of this host now: {error}");
        }
        for sink in &config.sinks {
            let Destination::Unix { path } = &sink.to else { continue };
            if !folder_of(path).is_dir() {
                warn!(
                    "{file}: [[sink]] {}: {}: its folder is not there now",
                    sink.name,
                    path.display()
                );
            }
        }
    }

    fn sinks(&mut self, config: &Config) {
        for sink in &config.sinks {
            let Destination::File { path, .. } = &sink.to else { continue };
            let key = format!("[[sink]] {} path", sink.name);
            let about = fs::metadata(path).ok();
            // what is neither `start::fits` has told of
            match about.map(|about| about.is_file()) {
                None => self.written(&key, folder_of(path)),
                Some(true) => {
                    self.written(&key, folder_of(path));
                    self.written(&key, path);
                }
                Some(false) => {}
            }
        }
    }

    fn spool(&mut self, config: &Config) {
        let Some(spool) = &config.spool else { return };
        if spool.path.exists() && !spool.path.is_dir() {
            self.note("[spool] path", &spool.path, "no folder: name one");
            return;
        }
        // it is made where it is missing, and what it is to be in
        self.written("[spool] path", &there(&spool.path));
    }

    /// Looks at what servers are asked with; asks none.
    fn remotes(&mut self, config: &Config) {
        if !config.remotes.is_empty() {
            self.written("[mirror] path", &there(&config.mirror.path));
        }
        for remote in &config.remotes {
            if let Err(error) = remote.http.open() {
                self.lines.push(format!("{}: [[intel]] {error}", self.file.display()));
            }
        }
    }

    /// Notes a place that cannot be written.
    fn written(&mut self, key: &str, place: &Path) {
        let how =
            if place.is_dir() { AccessFlags::W_OK | AccessFlags::X_OK } else { AccessFlags::W_OK };
        let user = self.user.clone();
        let what = match access(place, how) {
            Ok(()) => return,
            Err(Errno::ENOENT | Errno::ENOTDIR) => {
                let place = place.display();
                format!("no such folder: install -d -m 0750 -o {user} {place}")
            }
            Err(Errno::EACCES) => format!("{user} cannot write it: chown it to {user}"),
            Err(error) => error.desc().to_owned(),
        };
        self.note(key, place, what);
    }

    fn feeds(&mut self, config: &Config) {
        let before = self.lines.len();
        for feed in &config.intel {
            let read = AccessFlags::R_OK;
            let how = if feed.is_dir() { read | AccessFlags::X_OK } else { read };
            let what = match access(feed, how) {
                Ok(()) => continue,
                Err(Errno::ENOENT) => "no such file or folder: fetch the feed first".to_owned(),
                Err(Errno::EACCES) => {
                    format!("{} cannot read it: let its group or all read it", self.user)
                }
                Err(error) => error.desc().to_owned(),
            };
            self.note("[[intel]] path", feed, what);
        }
        // opening a pipe would wait for ever: `start::fits` has told of it
        if start::odd_feed(&config.intel).is_some() {
            return;
        }
        let inputs = config.inputs();
        if inputs.is_empty() {
            // servers alone, which nothing was pulled from yet
            return;
        }
        match compile(&inputs, &config.intel_options()).and_then(Compiled::verified) {
            Ok(compiled) => {
                compiled.damages.iter().for_each(|damage| warn!("{damage}"));
                compiled.notes.iter().for_each(|note| warn!("{note}"));
            }
            Err(_) if self.lines.len() > before => {}
            Err(error) if start::is_waited_for(&error, config) => warn!("{error}"),
            Err(error) => self.lines.push(format!("{}: [[intel]]: {error}", self.file.display())),
        }
    }
}
