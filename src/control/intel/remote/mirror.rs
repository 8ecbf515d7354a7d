//! The local copy of a remote source: a folder that one process writes and any may read.
//!
//! A file is written to a temporary name beside it, synced, then renamed over the old one, so that
//! readers see the old or the new one whole, and what was there stays until there is better.
//!
//! A file in it says of which source the copy is, another which files are ours: a folder that holds
//! anything else is refused before anything is written, and nothing else is ever removed. The copy
//! of another source is made beside the old one, and takes its place when it is whole.

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::Permissions;
use std::io;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use nix::fcntl::OFlag;
use serde::Deserialize;
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::control::intel::misp::WARNINGLISTS;
use crate::control::intel::remote::RemoteError;

/// Begins the names of files that are being written; those that a crash left are removed.
const TEMPORARY: &str = ".tapsieve-";

/// The file whose lock says who writes.
const LOCK: &str = ".lock";

/// The file that says of which source the copy is.
const OWNER: &str = ".source";

/// The file that names the files that are ours, one a line.
const NAMES: &str = ".files";

/// The folder in which the copy of another source is made.
const NEXT: &str = ".next";

/// Folders of a copy that are mirrors themselves.
const BELOW: [&str; 1] = [WARNINGLISTS];

/// Bytes of what says whose a copy is.
const OWNER_BYTES_MAX: u64 = 64 * 1024;

/// Bytes of the names of our files: a million of 64.
const NAMES_BYTES_MAX: u64 = 64 << 20;

/// Names of files that are there no more stay in their file up to this number.
const FORGOTTEN_MIN: usize = 1_000;

/// Bytes that are moved at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// Who may read the files: as far as the umask lets them.
const MODE: u32 = 0o644;

/// The source of a copy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Owner {
    /// What kind of source it is.
    pub kind: String,
    /// Its address, without what may be secret in it.
    pub place: String,
    /// What stands for its whole address.
    pub mark: u64,
}

/// A folder that this process alone writes.
#[derive(Debug)]
pub struct Mirror {
    folder: PathBuf,
    bytes_max: u64,
    /// The source of what is in it; `None`: nobody's yet, or a copy between two sources.
    owner: Option<Owner>,
    /// The names of our files.
    ours: Mutex<BTreeSet<String>>,
    _lock: Flock<File>,
}

/// A file that is being written; dropped, it was never there.
#[derive(Debug)]
pub struct Draft {
    to: BufWriter<NamedTempFile>,
    path: PathBuf,
    bytes: u64,
    bytes_max: u64,
}

impl Mirror {
    /// Opens a folder to write, and makes it where it is missing; no file in it may be larger than
    /// `bytes_max`. A new one becomes the owner's; one that is another's already stays that.
    ///
    /// # Errors
    /// It cannot be written, another process writes it, or what is in it is not ours.
    pub fn open(folder: &Path, bytes_max: u64, owner: &Owner) -> Result<Self, RemoteError> {
        fs::create_dir_all(folder).map_err(disk(folder))?;
        if let Some(name) = stranger(folder)? {
            return Err(RemoteError::Foreign { path: folder.to_owned(), name });
        }
        let mut mirror = Self::lock(folder, bytes_max)?;
        if !folder.join(OWNER).is_symlink() && !folder.join(OWNER).exists() {
            mirror.owned_by(Some(owner))?;
        }
        Ok(mirror)
    }

    /// Locks a folder and reads whose it is.
    fn lock(folder: &Path, bytes_max: u64) -> Result<Self, RemoteError> {
        let path = folder.join(LOCK);
        let mut options = OpenOptions::new();
        options.create(true).append(true).custom_flags(plain_flags());
        let file = options.open(&path).and_then(only_plain).map_err(disk(&path))?;
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => {
                return Err(RemoteError::Locked { path: folder.to_owned() });
            }
            Err((_, errno)) => return Err(disk(&path)(errno.into())),
        };
        for name in names(folder).map_err(disk(folder))? {
            if name.starts_with(TEMPORARY) {
                let path = folder.join(name);
                fs::remove_file(&path).map_err(disk(&path))?;
            }
        }
        let read = |name: &str, bytes_max| {
            let path = folder.join(name);
            small(&path, bytes_max).map_err(disk(&path))
        };
        // one that is damaged is nobody's: the copy is made anew
        let owner = serde_json::from_slice(&read(OWNER, OWNER_BYTES_MAX)?).ok();
        let ours = String::from_utf8_lossy(&read(NAMES, NAMES_BYTES_MAX)?).into_owned();
        let ours = ours.lines().filter(|name| is_name(name)).map(str::to_owned);
        let (folder, ours) = (folder.to_owned(), Mutex::new(ours.collect()));
        let mirror = Self { folder, bytes_max, owner, ours, _lock: lock };
        mirror.forget()?;
        Ok(mirror)
    }

    /// Forgets the names of files that are there no more, and the names of many on disk, too.
    fn forget(&self) -> Result<(), RemoteError> {
        let before = self.ours().len();
        let folder = self.folder.clone();
        self.ours().retain(|name| folder.join(name).is_file());
        let kept = self.ours().iter().map(|name| format!("{name}\n")).collect::<String>();
        if before < 2 * self.ours().len() + FORGOTTEN_MIN {
            return Ok(());
        }
        let mut draft = self.write(NAMES)?;
        draft.write_all(kept.as_bytes()).map_err(|error| draft.fault(&error))?;
        draft.keep().map(drop)
    }

    /// Tells whether what is in it is the copy of this source, as far as there is one.
    pub fn is_of(&self, owner: &Owner) -> bool {
        self.owner.as_ref() == Some(owner)
    }

    /// Opens a folder in it that is a mirror of the same source.
    ///
    /// # Errors
    /// As those of `open`.
    pub fn below(&self, name: &str, bytes_max: u64) -> Result<Self, RemoteError> {
        match &self.owner {
            Some(owner) => Self::open(&self.folder.join(name), bytes_max, owner),
            None => Self::lock(&self.folder.join(name), bytes_max),
        }
    }

    /// Opens the folder in which the copy of another source is made: what was made of this source
    /// before is there still.
    ///
    /// # Errors
    /// As those of `open`.
    pub fn next(&self, owner: &Owner) -> Result<Self, RemoteError> {
        let mut next = Self::open(&self.folder.join(NEXT), self.bytes_max, owner)?;
        if !next.is_of(owner) {
            next.clear(&BTreeSet::new())?;
            next.owned_by(Some(owner))?;
        }
        Ok(next)
    }

    /// Lets the files of the next copy take the place of what is here; then removes what is ours
    /// and not of it. What a crash leaves between is nobody's, so that it is made anew.
    ///
    /// # Errors
    /// A file cannot be moved or removed.
    pub fn take_over(&mut self, next: &Self, owner: &Owner) -> Result<(), RemoteError> {
        self.owned_by(None)?;
        let names = next.ours().iter().cloned().collect::<BTreeSet<_>>();
        let is_there = |name: &&String| next.folder.join(name).is_file();
        let names = names.iter().filter(is_there).cloned().collect::<BTreeSet<_>>();
        for name in &names {
            self.note(name)?;
            self.take(next, name)?;
        }
        for name in BELOW {
            let [mine, theirs] = [&self.folder, &next.folder].map(|folder| folder.join(name));
            if !mine.is_dir() && !theirs.is_dir() {
                continue;
            }
            for folder in [&mine, &theirs] {
                fs::create_dir_all(folder).map_err(disk(folder))?;
            }
            let theirs = Self::lock(&theirs, self.bytes_max)?;
            Self::lock(&mine, self.bytes_max)?.take_over(&theirs, owner)?;
        }
        self.clear(&names)?;
        next.clear(&BTreeSet::new())?;
        self.owned_by(Some(owner))
    }

    /// Moves one file of another mirror here.
    fn take(&self, next: &Self, name: &str) -> Result<(), RemoteError> {
        let from = next.folder.join(name);
        // under Landlock no file may change its folder
        if fs::rename(&from, self.folder.join(name)).is_ok() {
            return Ok(());
        }
        let mut file = open_plain(&from).map_err(disk(&from))?;
        let mut draft = Draft { bytes_max: u64::MAX, ..self.draft(name)? };
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let n = file.read(&mut block).map_err(disk(&from))?;
            if n == 0 {
                return draft.keep().map(drop);
            }
            let written = draft.write_all(block.get(..n).unwrap_or_default());
            written.map_err(|error| draft.fault(&error))?;
        }
    }

    /// Removes what is ours but for some.
    fn clear(&self, but: &BTreeSet<String>) -> Result<(), RemoteError> {
        // from the last on: a manifest goes before the events that it names
        let names = self.ours().iter().rev().cloned().collect::<Vec<_>>();
        names.iter().filter(|name| !but.contains(*name)).try_for_each(|name| self.remove(name))
    }

    /// Writes whose it is.
    fn owned_by(&mut self, owner: Option<&Owner>) -> Result<(), RemoteError> {
        let mut draft = self.write(OWNER)?;
        let text = serde_json::to_vec(&owner).unwrap_or_default();
        draft.write_all(&text).map_err(|error| draft.fault(&error))?;
        draft.keep()?;
        self.owner = owner.cloned();
        Ok(())
    }

    /// Notes that a file is ours.
    fn note(&self, name: &str) -> Result<(), RemoteError> {
        if self.ours().contains(name) {
            return Ok(());
        }
        let path = self.folder.join(NAMES);
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(MODE).custom_flags(plain_flags());
        let file = options.open(&path).and_then(only_plain);
        let written = file.and_then(|mut file| file.write_all(format!("{name}\n").as_bytes()));
        written.map_err(disk(&path))?;
        self.ours().insert(name.to_owned());
        Ok(())
    }

    fn ours(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns how large a file in it may be.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Begins a file.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn draft(&self, name: &str) -> Result<Draft, RemoteError> {
        self.note(name)?;
        self.write(name)
    }

    fn write(&self, name: &str) -> Result<Draft, RemoteError> {
        let temporary = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .permissions(Permissions::from_mode(MODE))
            .tempfile_in(&self.folder)
            .map_err(disk(&self.folder))?;
        let to = BufWriter::with_capacity(1 << 16, temporary);
        Ok(Draft { to, path: self.folder.join(name), bytes: 0, bytes_max: self.bytes_max })
    }

    /// Removes a file, if it is there and ours.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), RemoteError> {
        let path = self.folder.join(name);
        if !self.ours().contains(name) {
            return Ok(());
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk(&path)(error)),
            _ => Ok(()),
        }
    }

    /// Returns the names of our files that are there, sorted; hidden ones are none of them.
    pub fn names(&self) -> Vec<String> {
        let ours = self.ours();
        let is_there = |name: &&String| self.folder.join(name).is_file();
        ours.iter().filter(|name| !name.starts_with('.')).filter(is_there).cloned().collect()
    }
}

impl Draft {
    /// Returns the temporary file with what was written so far.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn so_far(&mut self) -> Result<&Path, RemoteError> {
        self.to.flush().map_err(|error| self.fault(&error))?;
        Ok(self.to.get_ref().path())
    }

    /// Returns how many bytes were written.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes it the file.
    ///
    /// # Errors
    /// It cannot be written; the old file is as it was.
    pub fn keep(self) -> Result<u64, RemoteError> {
        let path = self.path;
        let file = self.to.into_inner().map_err(|error| disk(&path)(error.into_error()))?;
        file.as_file().sync_all().map_err(disk(&path))?;
        file.persist(&path).map_err(|error| disk(&path)(error.error))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(disk(folder))?;
        Ok(self.bytes)
    }

    /// Returns what to say of an error of writing to it.
    pub fn fault(&self, error: &io::Error) -> RemoteError {
        RemoteError::Disk { path: self.path.clone(), why: error.to_string() }
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.bytes += written as u64;
        if self.bytes > self.bytes_max {
            let mebibytes = self.bytes_max >> 20;
            return Err(io::Error::other(format!(
                "more than {mebibytes} MiB: let fewer indicators come, or raise `mebibytes` in \
                 [mirror]"
            )));
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Opens a plain file to read; a link, a pipe or a device is none.
///
/// # Errors
/// It is not there, is none, or cannot be read.
pub fn open_plain(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(plain_flags()).open(path).and_then(only_plain)
}

/// Reads a small plain file of ours; one that is missing is empty.
///
/// # Errors
/// It is none, or cannot be read.
pub fn small(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match open_plain(path) {
        Ok(file) => file.take(bytes_max).read_to_end(&mut bytes).map(|_| bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(bytes),
        Err(error) => Err(error),
    }
}

/// Flags for opening nothing that a link leads to, and waiting for nobody at a pipe.
fn plain_flags() -> i32 {
    (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()
}

/// Refuses what is no plain file.
///
/// # Errors
/// It is none.
pub fn only_plain(file: File) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("not a plain file")),
    }
}

/// Returns something in a folder that is not ours, where the folder is not.
fn stranger(folder: &Path) -> Result<Option<String>, RemoteError> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).map_err(disk(folder))? {
        let name = entry.map_err(disk(folder))?.file_name();
        if name == OWNER {
            return Ok(None);
        }
        all.push(name.to_string_lossy().into_owned());
    }
    // what the first pull leaves that ended at its begin
    Ok(all.into_iter().find(|name| name != LOCK && !name.starts_with(TEMPORARY)))
}

/// Tells whether a text is the name of a file, and no way to another.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text != "." && text != ".." && !text.contains('/')
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
    names.filter_map(io::Result::transpose).collect()
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> RemoteError + use<> {
    let path = path.to_owned();
    move |error| RemoteError::Disk { path, why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(place: &str) -> Owner {
        Owner { kind: "feed".to_owned(), place: place.to_owned(), mark: 7 }
    }

    fn put(mirror: &Mirror, name: &str) {
        let mut draft = mirror.draft(name).expect("begun");
        draft.write_all(b"x").expect("written");
        draft.keep().expect("kept");
    }

    fn all(folder: &Path) -> Vec<String> {
        let mut names = names(folder).expect("listed");
        names.sort();
        names
    }

    #[test]
    fn a_folder_of_others_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("thesis.txt"), "x").expect("written");
        let refused = Mirror::open(folder.path(), 100, &owner("a")).expect_err("refused");
        assert!(refused.to_string().contains("thesis.txt"), "{refused}");
        assert_eq!(all(folder.path()), ["thesis.txt"]);
    }

    #[test]
    fn another_source_takes_over_what_is_ours_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path();
        let mirror = Mirror::open(path, 100, &owner("a")).expect("opened");
        put(&mirror, "manifest.json");
        put(&mirror, "1.json");
        put(&mirror.below(WARNINGLISTS, 100).expect("opened"), "3-7.json");
        fs::write(path.join("notes"), "x").expect("written");
        mirror.remove("notes").expect("not ours");
        drop(mirror);
        let mut mirror = Mirror::open(path, 100, &owner("b")).expect("opened");
        assert!(!mirror.is_of(&owner("b")));
        let next = mirror.next(&owner("b")).expect("opened");
        put(&next, "feed");
        assert!(path.join("1.json").exists() && !path.join("feed").exists());
        mirror.take_over(&next, &owner("b")).expect("moved");
        drop((mirror, next));
        let mirror = Mirror::open(path, 100, &owner("b")).expect("opened");
        assert!(mirror.is_of(&owner("b")));
        assert_eq!(mirror.names(), ["feed"]);
        assert!(path.join("notes").exists() && !path.join("manifest.json").exists());
        assert!(!path.join(WARNINGLISTS).join("3-7.json").exists());
    }

    #[test]
    fn a_lock_that_is_no_plain_file_is_refused() {
        let folder = tempfile::tempdir().expect("folder");
        let lock = folder.path().join(LOCK);
        nix::unistd::mkfifo(&lock, nix::sys::stat::Mode::S_IRWXU).expect("made");
        Mirror::open(folder.path(), 100, &owner("a")).expect_err("a pipe");
        fs::remove_file(&lock).expect("removed");
        let other = NamedTempFile::new().expect("file");
        std::os::unix::fs::symlink(other.path(), &lock).expect("linked");
        Mirror::open(folder.path(), 100, &owner("a")).expect_err("a link");
    }

    #[test]
    fn a_file_is_the_old_or_the_new_one() {
        let folder = tempfile::tempdir().expect("folder");
        let folder = folder.path().join("a/b");
        let mirror = Mirror::open(&folder, 100, &owner("a")).expect("opened");
        let write = |text: &[u8], keep: bool| {
            let mut draft = mirror.draft("file").expect("begun");
            draft.write_all(text).map_err(|error| draft.fault(&error).to_string())?;
            if keep { draft.keep().map_err(|error| error.to_string()) } else { Ok(0) }
        };
        assert_eq!(write(b"old", true), Ok(3));
        assert_eq!(write(b"never", false), Ok(0));
        let told = write(&[b'x'; 101], true).expect_err("too large");
        assert!(told.contains("more than 0 MiB"), "{told}");
        assert_eq!(fs::read(folder.join("file")).expect("there"), b"old");
        assert_eq!(write(b"newer", true), Ok(5));
        assert_eq!(fs::read(folder.join("file")).expect("there"), b"newer");
        assert_eq!(mirror.names(), ["file"]);
        mirror.remove("file").expect("removed");
        mirror.remove("file").expect("nothing to do");
    }

    #[test]
    fn one_process_writes_and_crashes_leave_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        let left = folder.path().join(".tapsieve-left");
        fs::write(&left, "x").expect("written");
        let first = Mirror::open(folder.path(), 100, &owner("a")).expect("opened");
        assert!(!left.exists());
        let second = Mirror::open(folder.path(), 100, &owner("a")).expect_err("locked");
        assert!(second.to_string().ends_with("another process is pulling into it"), "{second}");
        drop(first);
        Mirror::open(folder.path(), 100, &owner("a")).expect("free again");
    }
}
