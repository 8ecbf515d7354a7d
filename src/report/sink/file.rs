//! Files: written anew beside their name and renamed when whole (replay), or appended to (sensor).

use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use serde::de::IgnoredAny;

use crate::report::sink::Sink;
use crate::report::sink::SinkError;

/// How far back a torn last line is looked for: longer than any alert.
const TORN_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What every alert begins with.
pub(in crate::report) const ALERT_START: &[u8] = b"{\"@timestamp\":";

/// A file of lines. Every write is whole lines, so a crash leaves whole lines.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    out: Out,
}

#[derive(Debug)]
enum Out {
    /// Becomes `path` when whole.
    Beside(Part),
    /// Written in place: appended to, or a device or pipe.
    Direct(File),
    /// Renamed.
    Done,
}

impl FileSink {
    /// Opens a file that is written anew: under a temporary name in the same directory, renamed by
    /// `finish`. What is no plain file (a device, a pipe), or lies in a directory that cannot
    /// be written, is written in place.
    ///
    /// # Errors
    ///
    /// `Broken` when it cannot be opened.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        let plain = fs::metadata(path).map_or(true, |meta| meta.is_file());
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let beside = if plain { Part::open(&target) } else { Err(ErrorKind::Unsupported.into()) };
        let out = match beside {
            Ok(part) => Out::Beside(part),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(broken(path, error)),
            Err(_) => Out::Direct(File::create(path).map_err(|source| broken(path, source))?),
        };
        Ok(Self { path: target, out })
    }

    /// Opens a file of alerts that is appended to, mending a line that a crash left half-written:
    /// it is cut off, or ended where only its end is missing. Returns the sink and how many bytes
    /// were cut.
    ///
    /// # Errors
    ///
    /// `Broken` when it cannot be opened or read, or when its last line is no alert.
    pub fn append(path: &Path) -> Result<(Self, u64), SinkError> {
        let (file, cut) = open_for_append(path).map_err(|source| broken(path, source))?;
        Ok((Self { path: path.to_owned(), out: Out::Direct(file) }, cut))
    }
}

impl Sink for FileSink {
    fn deliver(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        let written = match &mut self.out {
            Out::Beside(part) => part.file.write_all(lines),
            Out::Direct(file) => file.write_all(lines),
            Out::Done => Ok(()),
        };
        written.map_err(|source| broken(&self.path, source))
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        match std::mem::replace(&mut self.out, Out::Done) {
            Out::Beside(part) => {
                part.keep(&self.path).map_err(|source| broken(&self.path, source))?;
            }
            Out::Direct(file) => {
                // a pipe cannot be synced: what was written is with its reader
                let _why = file.sync_all();
            }
            Out::Done => {}
        }
        Ok(())
    }
}

/// A file on its way to its name. Dropped before that, it goes; what a killed run left is written
/// over by the next.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn open(target: &Path) -> io::Result<Self> {
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(".part");
        let path = target.with_file_name(name);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
        lock(&file)?;
        file.set_len(0)?;
        if let Ok(old) = fs::metadata(target) {
            file.set_permissions(old.permissions())?;
        }
        Ok(Self { path, file })
    }

    fn keep(self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, target)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // after `keep` it is not there any more
        let _why = fs::remove_file(&self.path);
    }
}

/// Takes a file for this process until it is closed, whatever its name is then.
pub(in crate::report) fn lock(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(io::Error::new(ErrorKind::WouldBlock, "another tapsieve writes it"))
        }
        // not every file system has locks
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

/// Opens a file of alerts to append to, mended; returns how many bytes were cut. Nobody else may
/// write it meanwhile: what looks torn would be what another is about to write.
pub(super) fn open_for_append(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    if file.metadata()?.is_file() {
        lock(&file)?;
    }
    let cut = mend(&mut file)?;
    Ok((file, cut))
}

/// Ends a last line that is whole, cuts one that is not; returns how many bytes were cut.
fn mend(file: &mut File) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let from = len.saturating_sub(TORN_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(TORN_BYTES_MAX).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let torn = tail.get(whole..).unwrap_or_default();
    if torn.is_empty() {
        return Ok(0);
    }
    if !torn.starts_with(ALERT_START) && !ALERT_START.starts_with(torn) {
        return Err(io::Error::new(ErrorKind::InvalidData, "its last line is no alert"));
    }
    if serde_json::from_slice::<IgnoredAny>(torn).is_ok() {
        file.write_all(b"\n")?;
        return Ok(0);
    }
    file.set_len(len - torn.len() as u64)?;
    Ok(torn.len() as u64)
}

fn broken(path: &Path, source: io::Error) -> SinkError {
    SinkError::Broken { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_file_appears_whole() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("alerts.jsonl");
        fs::write(&path, "old\n").expect("write");
        let mut sink = FileSink::create(&path).expect("create");
        sink.deliver(b"one\ntwo\n").expect("deliver");
        assert_eq!(fs::read_to_string(&path).expect("read"), "old\n");
        sink.finish().expect("finish");
        assert_eq!(fs::read_to_string(&path).expect("read"), "one\ntwo\n");
        assert_eq!(fs::read_dir(folder.path()).expect("list").count(), 1);
    }

    #[test]
    fn a_torn_line_is_mended() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("alerts.jsonl");
        for (before, cut, after) in [
            ("", 0, "x\n"),
            ("a\n", 0, "a\nx\n"),
            ("a\n{", 1, "a\nx\n"),
            (r#"{"@timestamp":"2"#, 16, "x\n"),
            (r#"{"@timestamp":2}"#, 0, "{\"@timestamp\":2}\nx\n"),
        ] {
            fs::write(&path, before).expect("write");
            let (mut sink, was) = FileSink::append(&path).expect("append");
            sink.deliver(b"x\n").expect("deliver");
            assert_eq!((was, fs::read_to_string(&path).expect("read").as_str()), (cut, after));
        }
    }

    #[test]
    fn what_is_no_file_of_alerts_is_left_alone() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("notes.txt");
        for text in ["notes", "{\"a\":1}", "a\nb"] {
            fs::write(&path, text).expect("write");
            let error = FileSink::append(&path).expect_err("refused").to_string();
            assert!(error.ends_with("its last line is no alert"), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("read"), text);
        }
    }

    #[test]
    fn a_file_written_anew_keeps_its_mode() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("alerts.jsonl");
        fs::write(&path, "old\n").expect("write");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
        FileSink::create(&path).expect("create").finish().expect("finish");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let path = Path::new("/nonexistent/alerts.jsonl");
        let error = FileSink::create(path).expect_err("no folder");
        assert!(error.to_string().starts_with("cannot write /nonexistent/alerts.jsonl: "));
    }
}
