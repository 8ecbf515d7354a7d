//! The local copy of a remote source: a folder that one process writes and any may read.
//!
//! A file is written to a temporary name beside it, synced, then renamed over the old one, so that
//! readers see the old or the new one whole, and what was there stays until there is better.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::Permissions;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use tempfile::NamedTempFile;

use crate::control::intel::remote::RemoteError;

/// Begins the names of files that are being written; those that a crash left are removed.
const TEMPORARY: &str = ".tapsieve-";

/// The file whose lock says who writes.
const LOCK: &str = ".lock";

/// Who may read the files: as far as the umask lets them.
const MODE: u32 = 0o644;

/// A folder that this process alone writes.
#[derive(Debug)]
pub struct Mirror {
    folder: PathBuf,
    bytes_max: u64,
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
    /// `bytes_max`.
    ///
    /// # Errors
    /// It cannot be written, or another process writes it.
    pub fn open(folder: &Path, bytes_max: u64) -> Result<Self, RemoteError> {
        fs::create_dir_all(folder).map_err(disk(folder))?;
        let path = folder.join(LOCK);
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(disk(&path))?;
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
        Ok(Self { folder: folder.to_owned(), bytes_max, _lock: lock })
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Begins a file.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn draft(&self, name: &str) -> Result<Draft, RemoteError> {
        let temporary = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .permissions(Permissions::from_mode(MODE))
            .tempfile_in(&self.folder)
            .map_err(disk(&self.folder))?;
        let to = BufWriter::with_capacity(1 << 16, temporary);
        Ok(Draft { to, path: self.folder.join(name), bytes: 0, bytes_max: self.bytes_max })
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), RemoteError> {
        let path = self.folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk(&path)(error)),
            _ => Ok(()),
        }
    }

    /// Returns the names of its files, sorted; hidden ones are none of them.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>, RemoteError> {
        let mut names = names(&self.folder).map_err(disk(&self.folder))?;
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        Ok(names)
    }
}

impl Draft {
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

    #[test]
    fn a_file_is_the_old_or_the_new_one() {
        let folder = tempfile::tempdir().expect("folder");
        let folder = folder.path().join("a/b");
        let mirror = Mirror::open(&folder, 100).expect("opened");
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
        assert_eq!(mirror.names().expect("listed"), ["file"]);
        mirror.remove("file").expect("removed");
        mirror.remove("file").expect("nothing to do");
    }

    #[test]
    fn one_process_writes_and_crashes_leave_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        let left = folder.path().join(".tapsieve-left");
        fs::write(&left, "x").expect("written");
        let first = Mirror::open(folder.path(), 100).expect("opened");
        assert!(!left.exists());
        let second = Mirror::open(folder.path(), 100).expect_err("locked");
        assert!(second.to_string().ends_with("another process is pulling into it"), "{second}");
        drop(first);
        Mirror::open(folder.path(), 100).expect("free again");
    }
}
