//! What the inputs of a replay name: every capture among them, with the time of its first frame.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;

use crate::model::block::Block;
use crate::model::time::Timestamp;
use crate::pipeline::capture::Input;
use crate::pipeline::capture::damage::Damage;
use crate::pipeline::capture::damage::Trouble;
use crate::pipeline::capture::damage::words;
use crate::pipeline::capture::gauge::Gauged;
use crate::pipeline::capture::patient::Patient;
use crate::pipeline::capture::reading::Filled;
use crate::pipeline::capture::reading::Reading;

/// Bytes read at once while only the first frame is wanted.
const FIRST_READ_BYTES: usize = 4_096;

/// A file, whatever name leads to it: its device and number there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FileId(u64, u64);

impl FileId {
    /// Returns the id of a file.
    pub fn of(about: &Metadata) -> Self {
        Self(about.dev(), about.ino())
    }
}

/// One capture.
pub(super) struct Entry {
    /// As the user gave it, or its path under the directory given.
    pub(super) name: String,
    /// Time of its first frame; `None`: it has no frame.
    pub(super) first: Option<Timestamp>,
    /// Its size on disk; `None`: unknown.
    pub(super) bytes: Option<u64>,
    /// How to read it.
    pub(super) content: Content,
}

/// Where a capture's bytes are.
pub(super) enum Content {
    /// In a file, opened when its turn comes.
    Path(PathBuf),
    /// In something that can be read only once; what was read for its first frame is held.
    Opened(Box<Opened>),
}

/// An input that can be read only once.
pub(super) struct Opened {
    pub(super) reading: Reading,
    pub(super) held: Block,
    pub(super) filled: Filled,
}

/// What was found.
pub(super) struct Listing {
    pub(super) entries: Vec<Entry>,
    pub(super) damages: Vec<Damage>,
    /// Names of files that have another name among the inputs; each file is read once.
    pub(super) repeated: Vec<String>,
    /// The files.
    pub(super) ids: BTreeSet<FileId>,
    gauge: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    scratch: Block,
}

impl Listing {
    /// Finds the captures that `inputs` name, in the order of their first frame, then name; those
    /// without come last.
    /// `gauge` counts what is read of inputs that are read only once; `stop` ends those.
    pub(super) fn new(
        inputs: &[impl AsRef<OsStr>],
        gauge: &Arc<AtomicU64>,
        stop: &Arc<AtomicBool>,
    ) -> Self {
        let mut listing = Self {
            entries: Vec::new(),
            damages: Vec::new(),
            repeated: Vec::new(),
            ids: BTreeSet::new(),
            gauge: Arc::clone(gauge),
            stop: Arc::clone(stop),
            scratch: Block::new(0),
        };
        inputs.iter().for_each(|input| listing.add(input.as_ref()));
        let key = |entry: &Entry| (entry.first.is_none(), entry.first);
        listing.entries.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name)));
        listing
    }

    fn add(&mut self, input: &OsStr) {
        let name = input.to_string_lossy();
        if input == "-" {
            return self.add_standard_input();
        }
        let path = Path::new(input);
        match fs::metadata(path) {
            Ok(_) => self.add_path(&name, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.add_pattern(&name),
            Err(error) => self.note(&name, Err(Trouble::Unreadable(words(&error)))),
        }
    }

    fn add_standard_input(&mut self) {
        if self.entries.iter().any(|entry| entry.name == "-") {
            return self.repeated.push(String::from("-"));
        }
        let stdin = io::stdin().as_fd().try_clone_to_owned();
        let opened = match stdin {
            Ok(stdin) => self.once("-", File::from(stdin)),
            Err(error) => Err(Trouble::Unreadable(words(&error))),
        };
        self.note("-", opened);
    }

    fn add_pattern(&mut self, pattern: &str) {
        let paths = match glob::glob(pattern) {
            Ok(paths) if pattern.contains(['*', '?', '[']) => paths,
            _ => return self.note(pattern, Err(Trouble::Missing)),
        };
        let mut any = false;
        for found in paths {
            any = true;
            match found {
                Ok(path) => self.add_path(&path.to_string_lossy(), &path),
                Err(error) => {
                    let trouble = Trouble::Unreadable(words(error.error()));
                    self.note(&error.path().to_string_lossy(), Err(trouble));
                }
            }
        }
        if !any {
            self.note(pattern, Err(Trouble::NoMatch));
        }
    }

    fn add_path(&mut self, name: &str, path: &Path) {
        let outcome = match fs::metadata(path) {
            Ok(about) if about.is_dir() => return self.add_directory(name, path),
            Ok(about) if about.is_file() => {
                if !self.ids.insert(FileId::of(&about)) {
                    return self.repeated.push(String::from(name));
                }
                self.file(name, path, about.len())
            }
            Ok(_) => open(path).and_then(|file| self.once(name, file)),
            Err(error) => Err(Trouble::Unreadable(words(&error))),
        };
        self.note(name, outcome);
    }

    /// Adds the captures under a directory; links to directories are not followed, so there is no
    /// loop.
    fn add_directory(&mut self, name: &str, path: &Path) {
        let mut directories = vec![path.to_path_buf()];
        let (mut files, mut captures): (u64, u64) = (0, 0);
        while let Some(directory) = directories.pop() {
            let mut paths = match children(&directory) {
                Ok(paths) => paths,
                Err(error) => {
                    let trouble = Trouble::Unreadable(words(&error));
                    self.note(&directory.to_string_lossy(), Err(trouble));
                    continue;
                }
            };
            directories.append(&mut paths.directories);
            for (path, about) in paths.files {
                files = files.saturating_add(1);
                let name = path.to_string_lossy();
                if !self.ids.insert(FileId::of(&about)) {
                    captures = captures.saturating_add(1);
                    self.repeated.push(name.into_owned());
                    continue;
                }
                match self.file(&name, &path, about.len()) {
                    // whatever else lies beside captures
                    Err(Trouble::Alien(_) | Trouble::Empty) => {}
                    outcome => {
                        captures = captures.saturating_add(1);
                        self.note(&name, outcome);
                    }
                }
            }
        }
        if captures == 0 {
            self.note(name, Err(Trouble::NoCaptures { files }));
        }
    }

    /// Looks for the first frame of a file, and closes it.
    fn file(&mut self, name: &str, path: &Path, bytes: u64) -> Result<Entry, Trouble> {
        let mut reading = Reading::open(Box::new(open(path)?))?;
        let (first, _filled) = self.first(&mut reading)?;
        let content = Content::Path(path.to_path_buf());
        Ok(Entry { name: String::from(name), first, bytes: Some(bytes), content })
    }

    /// Looks for the first frame of something that is read only once, and keeps it open.
    fn once(&mut self, name: &str, inner: File) -> Result<Entry, Trouble> {
        let patient: Input = Box::new(Patient { inner, stop: Arc::clone(&self.stop) });
        let gauged = Gauged { inner: patient, gauge: Arc::clone(&self.gauge) };
        let mut reading = Reading::open(Box::new(gauged))?;
        let (first, filled) = self.first(&mut reading)?;
        let held = std::mem::replace(&mut self.scratch, Block::new(0));
        let content = Content::Opened(Box::new(Opened { reading, held, filled }));
        Ok(Entry { name: String::from(name), first, bytes: None, content })
    }

    fn first(&mut self, reading: &mut Reading) -> Result<(Option<Timestamp>, Filled), Trouble> {
        self.scratch.clear();
        reading.read_bytes_max = FIRST_READ_BYTES;
        let filled = reading.fill(&mut self.scratch);
        reading.read_bytes_max = usize::MAX;
        match (self.scratch.frames.first(), filled) {
            (None, Filled::Damaged(trouble)) => Err(trouble),
            (first, filled) => Ok((first.map(|frame| frame.time), filled)),
        }
    }

    fn note(&mut self, name: &str, outcome: Result<Entry, Trouble>) {
        match outcome {
            Ok(entry) => self.entries.push(entry),
            Err(trouble) => self.damages.push(Damage { name: String::from(name), trouble }),
        }
    }
}

/// What a directory holds.
#[derive(Default)]
struct Children {
    directories: Vec<PathBuf>,
    files: Vec<(PathBuf, Metadata)>,
}

fn children(directory: &Path) -> io::Result<Children> {
    let mut children = Children::default();
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    // of several names of one file the first counts, a link last
    let is_link = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_symlink());
    entries.sort_by_cached_key(|entry| (is_link(entry), entry.file_name()));
    for child in entries {
        let path = child.path();
        if child.file_type()?.is_dir() {
            children.directories.push(path);
        } else if let Ok(about) = fs::metadata(&path)
            && about.is_file()
        {
            children.files.push((path, about));
        }
    }
    Ok(children)
}

/// Opens a file for reading.
pub(super) fn open(path: &Path) -> Result<File, Trouble> {
    File::open(path).map_err(|error| Trouble::Unreadable(words(&error)))
}
