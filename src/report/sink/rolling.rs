//! A file that is appended to for years: begun anew by size and age, opened again when someone
//! moved it away, whole lines whatever happens. Each that is opened is locked as long as it is
//! open: of two sensors with one file, the one that finds it taken writes nothing.
//!
//! It is synced at most once in `sync_every` while there is something new, before it is put aside,
//! and at the end: what was written longer ago than that survives the machine. While it cannot be
//! synced it takes nothing. A spool forgets what it holds for this file only when it is synced.

use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use crate::model::path::folder_of;
use crate::report::render::rfc3339;
use crate::report::sink::Sink;
use crate::report::sink::SinkError;
use crate::report::sink::appended::Appended;
use crate::report::sink::file::open_for_append;

/// When a file is full, and how many full ones are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rotation {
    /// Bytes after which another file is begun; 0: never.
    pub bytes_max: u64,
    /// Age after which another file is begun; zero: never.
    pub age_max: Duration,
    /// Full ones that are kept; the oldest go first.
    pub keep: usize,
}

/// A file of alerts. A delivery is written whole or not at all.
#[derive(Debug)]
pub struct Rolling {
    path: PathBuf,
    rotation: Rotation,
    /// How long what is new waits to be synced; `None`: until the system pleases.
    sync_every: Option<Duration>,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: Appended,
    since: SystemTime,
    /// Since when something is written that is not synced.
    unsynced: Option<Instant>,
}

impl Rolling {
    /// Opens the file, and mends what a crash left half-written; returns how many bytes were cut.
    ///
    /// # Errors
    ///
    /// `Broken` when it cannot be opened, its last line is no alert, or another writes it.
    pub fn open(
        path: &Path,
        rotation: Rotation,
        sync_every: Option<Duration>,
    ) -> Result<(Self, u64), SinkError> {
        let mut sink = Self { path: path.to_owned(), rotation, sync_every, open: None };
        let cut = sink.open_again().map_err(|source| sink.broken(source))?;
        Ok((sink, cut))
    }

    fn open_again(&mut self) -> io::Result<u64> {
        self.put_aside()?;
        let is_new = !self.path.exists();
        let (file, cut) = open_for_append(&self.path)?;
        if is_new {
            sync_folder(&self.path);
        }
        let about = file.metadata()?;
        let since = about.created().or_else(|_| about.modified()).unwrap_or(SystemTime::now());
        let file = Appended::new(file, self.sync_every.is_some())?;
        self.open = Some(Open { file, since, unsynced: None });
        Ok(cut)
    }

    /// Closes the file; one that cannot be synced stays open, to be tried again.
    fn put_aside(&mut self) -> io::Result<()> {
        self.sync()?;
        self.open = None;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.file.sync()?;
        open.unsynced = None;
        Ok(())
    }

    /// Whether the name still leads to the file that is open: whoever rotates files may have moved
    /// it. Learns how long it is: it may have been cut, too.
    fn is_moved(&mut self) -> bool {
        let Some(open) = &mut self.open else { return true };
        let ids = |about: &fs::Metadata| (about.dev(), about.ino());
        let Ok(about) = open.file.look() else { return true };
        fs::metadata(&self.path).ok().as_ref().map(ids) != Some(ids(&about))
    }

    fn is_full(&self) -> bool {
        let Some(open) = &self.open else { return false };
        let Rotation { bytes_max, age_max, .. } = self.rotation;
        let old = !age_max.is_zero() && open.since.elapsed().is_ok_and(|age| age >= age_max);
        let bytes = open.file.bytes();
        bytes > 0 && (old || (bytes_max > 0 && bytes >= bytes_max))
    }

    /// Gives the full file a name with its time and begins another.
    fn rotate(&mut self) -> io::Result<()> {
        self.put_aside()?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time = crate::model::time::Timestamp(u64::try_from(now.as_nanos()).unwrap_or(0));
        let stamp: String = rfc3339(time).chars().filter(char::is_ascii_alphanumeric).collect();
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(&stamp);
        // a crash after this leaves no file of that name: the next start makes one
        fs::rename(&self.path, self.path.with_file_name(name))?;
        self.open_again()?;
        self.forget_oldest()
    }

    /// Removes full files beyond those that are kept.
    fn forget_oldest(&self) -> io::Result<()> {
        let mut start = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        start.push('.');
        let mut full = Vec::new();
        for entry in fs::read_dir(folder_of(&self.path))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.strip_prefix(&start).is_some_and(is_stamp) {
                full.push(path);
            }
        }
        full.sort();
        let surplus = full.len().saturating_sub(self.rotation.keep);
        full.into_iter().take(surplus).try_for_each(fs::remove_file)
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.open.is_none() || self.is_moved() {
            self.open_again()?;
        }
        if self.is_full() {
            self.rotate()?;
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        open.file.append(lines)?;
        open.unsynced.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn broken(&self, source: io::Error) -> SinkError {
        SinkError::Broken { path: self.path.clone(), source }
    }
}

/// Tells whether a text is a time as `rotate` writes it: `20261123T191142666537000Z`.
fn is_stamp(text: &str) -> bool {
    text.len() == 25 && text.starts_with('2') && text.ends_with('Z') && text.contains('T')
}

impl Sink for Rolling {
    fn deliver(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        self.write(lines).map_err(|source| self.broken(source))
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.put_aside().map_err(|source| self.broken(source))
    }

    fn tend(&mut self) -> Result<(), SinkError> {
        let since = self.open.as_ref().and_then(|open| open.unsynced);
        let is_due = since.is_some_and(|since| {
            self.sync_every.is_some_and(|sync_every| since.elapsed() >= sync_every)
        });
        let tended = if is_due { self.sync() } else { Ok(()) };
        tended.map_err(|source| self.broken(source))
    }

    fn reopen(&mut self) -> Result<(), SinkError> {
        let opened = self.open_again().map(|_cut_is_cut| ());
        opened.map_err(|source| self.broken(source))
    }

    fn is_settled(&self) -> bool {
        let is_unsynced = self.open.as_ref().is_some_and(|open| open.unsynced.is_some());
        self.sync_every.is_none() || !is_unsynced
    }
}

/// Makes a new name in a folder safe, where the file system can.
fn sync_folder(path: &Path) {
    let _not_everywhere = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Rotation = Rotation { bytes_max: 0, age_max: Duration::ZERO, keep: 3 };

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry"));
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_file_gets_a_name_and_the_oldest_go() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("alerts");
        fs::write(folder.path().join("alerts.notes"), "mine").expect("written");
        let (mut sink, _) =
            Rolling::open(&path, Rotation { bytes_max: 4, ..NEVER }, None).expect("opened");
        for n in 0..7 {
            sink.deliver(format!("line{n}\n").as_bytes()).expect("delivered");
        }
        let names = names(folder.path());
        assert_eq!(names.len(), 1 + 3 + 1, "{names:?}");
        assert_eq!(names[0], "alerts");
        assert!(names.contains(&"alerts.notes".to_owned()));
        assert_eq!(fs::read_to_string(&path).expect("there"), "line6\n");
        let newest = folder.path().join(&names[3]);
        assert_eq!(fs::read_to_string(newest).expect("there"), "line5\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("alerts");
        let (mut sink, _) = Rolling::open(&path, NEVER, None).expect("opened");
        sink.deliver(b"one\n").expect("delivered");
        fs::rename(&path, folder.path().join("moved")).expect("moved");
        sink.deliver(b"two\n").expect("delivered");
        sink.finish().expect("synced");
        assert_eq!(fs::read_to_string(&path).expect("there"), "two\n");
        assert_eq!(fs::read_to_string(folder.path().join("moved")).expect("there"), "one\n");
    }

    #[test]
    fn a_file_has_one_writer_whatever_its_name_becomes() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("alerts");
        let rotation = Rotation { bytes_max: 4, ..NEVER };
        let (mut sink, _) = Rolling::open(&path, rotation, None).expect("opened");
        let refused = || Rolling::open(&path, rotation, None).expect_err("taken").to_string();
        let told = format!("cannot write {}: another tapsieve writes it", path.display());
        assert_eq!(refused(), told);
        // it rotates itself, then someone does, with and without telling it
        for line in ["line0\n", "line1\n"] {
            sink.deliver(line.as_bytes()).expect("delivered");
            assert_eq!(refused(), told);
        }
        let moved = folder.path().join("moved");
        fs::rename(&path, &moved).expect("moved");
        sink.reopen().expect("opened");
        assert_eq!(refused(), told);
        fs::rename(&path, &moved).expect("moved");
        let (mut other, _) = Rolling::open(&path, rotation, None).expect("nobody's yet");
        assert_eq!(sink.deliver(b"line2\n").expect_err("another's").to_string(), told);
        other.deliver(b"other\n").expect("delivered");
        drop(other);
        sink.deliver(b"line2\n").expect("free again");
        assert_eq!(fs::read_to_string(&path).expect("there"), "line2\n");
    }

    #[test]
    fn a_crash_between_two_files_costs_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("alerts");
        let rotation = Rotation { bytes_max: 4, keep: 2, ..NEVER };
        let stamps = ["20261123T191142666537000Z", "20261123T191142666537001Z"];
        for stamp in stamps {
            fs::write(folder.path().join(format!("alerts.{stamp}")), stamp).expect("written");
        }
        // it was renamed, and no other begun
        let (mut sink, cut) = Rolling::open(&path, rotation, None).expect("opened");
        sink.deliver(b"line0\n").expect("delivered");
        sink.deliver(b"line1\n").expect("delivered");
        assert_eq!((cut, fs::read_to_string(&path).expect("there").as_str()), (0, "line1\n"));
        let names = names(folder.path());
        assert_eq!(names.len(), 3, "{names:?}");
        assert_eq!(names[1], format!("alerts.{}", stamps[1]));
    }

    #[test]
    fn a_file_that_was_cut_in_place_is_appended_to() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("alerts");
        let rotation = Rotation { bytes_max: 10, ..NEVER };
        let (mut sink, _) = Rolling::open(&path, rotation, None).expect("opened");
        for line in ["one\n", "two\n"] {
            sink.deliver(line.as_bytes()).expect("delivered");
            fs::write(&path, "").expect("cut");
        }
        sink.deliver(b"three\n").expect("delivered");
        sink.deliver(b"four\n").expect("delivered");
        assert_eq!(fs::read_to_string(&path).expect("there"), "three\nfour\n");
        assert_eq!(names(folder.path()), ["alerts"]);
    }

    #[test]
    fn what_is_not_synced_is_not_settled() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("alerts");
        let hour = Duration::from_secs(3_600);
        for (sync_every, settled) in
            [(None, true), (Some(Duration::ZERO), true), (Some(hour), false)]
        {
            let (mut sink, _) = Rolling::open(&path, NEVER, sync_every).expect("opened");
            assert!(sink.is_settled());
            sink.deliver(b"one\n").expect("delivered");
            sink.tend().expect("well");
            assert_eq!(sink.is_settled(), settled, "{sync_every:?}");
            sink.reopen().expect("opened");
            assert!(sink.is_settled());
        }
    }
}
