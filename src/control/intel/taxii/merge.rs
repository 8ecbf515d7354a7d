//! Merging what a server gives with what is in the mirror: of each object the newest version, and
//! none of those that are revoked.
//!
//! The bundle has one object a line, identities, markings and reports first, so that it is read and
//! written as a stream: in memory are a hash, a time and a place of each object.
//!
//! Spec:   STIX 2.1 §3.6 (versioning), §8 (bundle)
//! Reads:  the objects of pages; the bundle of the last pull
//! Yields: a new bundle, where it is another
//! Bounds: `OBJECTS_MAX`; `LINE_BYTES_MAX`; the mirror's
//! Leaves: objects of types that are not looked for

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::path::PathBuf;

use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::mirror::Draft;
use crate::control::intel::remote::mirror::Mirror;
use crate::control::intel::remote::mirror::open_plain;
use crate::control::intel::remote::source::Pulled;
use crate::control::intel::sound;
use crate::control::intel::stix;
use crate::control::intel::stix::object::TOLD;
use crate::control::intel::stix::version::OBJECTS_MAX;
use crate::control::intel::stix::version::key;
use crate::control::intel::stix::version::nanos;
use crate::control::intel::taxii::envelope::LeftOut;
use crate::control::intel::taxii::text::Object;
use crate::control::intel::uuid::Uuid;

/// The bundle in the mirror.
pub(super) const BUNDLE: &str = "bundle.json";

/// Bytes of one line of a bundle that we wrote: an object whose longest string is at its bound.
const LINE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Types that say of other objects what these do not say themselves.
const AROUND: &[&str] = &["grouping", "identity", "marking-definition", "report"];

/// A version of an object.
#[derive(Clone, Copy, Debug)]
struct Version {
    /// When it was made, in nanoseconds since 1970.
    modified: i64,
    /// Which line it is: those of the old bundle, then those that came.
    line: u64,
    is_revoked: bool,
}

/// What is read of an object to know its version.
#[derive(Deserialize)]
struct About {
    #[serde(default)]
    id: String,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    modified: Option<String>,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    revoked: bool,
}

/// A merge that is under way.
pub(super) struct Merge<'m> {
    mirror: &'m Mirror,
    /// The objects of the old bundle, and when each was modified.
    old: HashMap<u128, i64>,
    versions: HashMap<u128, Version>,
    /// Objects that came, one a line.
    came: BufWriter<File>,
    /// Bytes of them.
    came_bytes: u64,
    /// Indicators among them, and in the old bundle.
    came_wanted: u64,
    old_wanted: u64,
    lines: u64,
    /// The old bundle's lines count, too.
    keeps_old: bool,
}

impl<'m> Merge<'m> {
    /// Begins; where everything is fetched, what is there does not count.
    ///
    /// # Errors
    /// The mirror cannot be read or written.
    pub(super) fn new(mirror: &'m Mirror, is_full: bool) -> Result<Self, RemoteError> {
        let path = mirror.folder().to_owned();
        let came = tempfile::tempfile_in(&path).map_err(|error| disk(path, &error))?;
        let mut merge = Self {
            mirror,
            old: HashMap::new(),
            versions: HashMap::new(),
            came: BufWriter::with_capacity(1 << 16, came),
            came_bytes: 0,
            came_wanted: 0,
            old_wanted: 0,
            lines: 0,
            keeps_old: !is_full,
        };
        merge.each_old(|merge, line| {
            // a line that is damaged is an object that is not there
            let Ok(about) = serde_json::from_slice::<About>(line) else { return Ok(()) };
            merge.old.insert(about.key(), about.modified());
            merge.old_wanted += u64::from(TOLD.contains(&about.r#type.as_str()));
            if merge.keeps_old {
                merge.version(&about)?;
            }
            merge.lines += 1;
            Ok(())
        })?;
        if is_full {
            merge.lines = 0;
        }
        Ok(merge)
    }

    /// Adds an object that came; one that is looked for and cannot be taken is counted.
    ///
    /// # Errors
    /// There are too many, or the disk is full.
    pub(super) fn add(
        &mut self,
        object: &Object,
        left_out: &mut LeftOut,
    ) -> Result<(), RemoteError> {
        let (kind, text) = (object.kind.as_str(), object.text.as_slice());
        if !TOLD.contains(&kind) && !AROUND.contains(&kind) {
            return Ok(());
        }
        if object.is_too_large {
            left_out.large += 1;
            return Ok(());
        }
        let about = serde_json::from_slice::<About>(text).ok();
        let Some(about) = about.filter(|about| !about.id.is_empty()) else {
            left_out.nameless += 1;
            return Ok(());
        };
        self.came_bytes += text.len() as u64 + 1;
        if self.came_bytes > self.mirror.bytes_max() {
            let place = self.mirror.folder().display().to_string();
            return Err(RemoteError::TooLarge { place, what: too_large(self.mirror.bytes_max()) });
        }
        self.version(&about)?;
        self.came_wanted += u64::from(TOLD.contains(&kind));
        self.lines += 1;
        let written = self.came.write_all(text).and_then(|()| self.came.write_all(b"\n"));
        written.map_err(|error| disk(self.mirror.folder().to_owned(), &error))
    }

    /// Writes the new bundle, if it is another.
    ///
    /// # Errors
    /// The disk; or all that came has no indicator, while the old bundle has some.
    pub(super) fn finish(mut self, place: &str) -> Result<Pulled, RemoteError> {
        let refused = |what| RemoteError::Answer { place: place.to_owned(), what, may_mend: true };
        if !self.keeps_old && self.came_wanted == 0 && self.old_wanted > 0 {
            let n = self.old_wanted;
            let what = format!("it has no indicator, while the copy has {n}: the copy stays");
            return Err(refused(what));
        }
        let mut pulled = Pulled::default();
        for (key, version) in &self.versions {
            let before = self.old.get(key);
            match (version.is_revoked, before) {
                (false, None) => pulled.new += 1,
                (false, Some(modified)) => {
                    pulled.changed += u64::from(*modified != version.modified);
                }
                (true, before) => pulled.gone += u64::from(before.is_some()),
            }
        }
        let is_gone = |key: &&u128| !self.versions.contains_key(*key);
        pulled.gone += self.old.keys().filter(is_gone).count() as u64;
        pulled.differs = pulled.new + pulled.changed + pulled.gone > 0;
        if !pulled.differs && self.mirror.folder().join(BUNDLE).is_file() {
            return Ok(pulled);
        }
        self.came.flush().map_err(|error| disk(self.mirror.folder().to_owned(), &error))?;
        let mut bundle = Bundle { draft: self.mirror.draft(BUNDLE)?, has_some: false };
        let id = Uuid(xxh3_128(place.as_bytes()).to_be_bytes());
        let head = format!("{{\"type\":\"bundle\",\"id\":\"bundle--{id}\",\"objects\":[\n");
        bundle.put(head.as_bytes())?;
        for wants_definitions in [true, false] {
            self.write(&mut bundle, wants_definitions)?;
        }
        bundle.put(b"\n]}\n")?;
        if bundle.has_some {
            sound::is_whole(bundle.draft.so_far()?, stix::FORMAT.name).map_err(refused)?;
        }
        bundle.draft.keep()?;
        pulled.differs = true;
        Ok(pulled)
    }

    /// Writes the newest version of each object that is a definition, or of each that is not.
    fn write(&mut self, bundle: &mut Bundle, wants_definitions: bool) -> Result<(), RemoteError> {
        let mut number = 0;
        let mut each = |merge: &mut Self, line: &[u8]| {
            let Ok(about) = serde_json::from_slice::<About>(line) else { return Ok(()) };
            let newest = merge.versions.get(&about.key());
            let is_newest =
                newest.is_some_and(|newest| newest.line == number && !newest.is_revoked);
            number += 1;
            let is_definition = AROUND.contains(&about.r#type.as_str());
            if is_newest && is_definition == wants_definitions { bundle.line(line) } else { Ok(()) }
        };
        if self.keeps_old {
            self.each_old(&mut each)?;
        }
        let path = self.mirror.folder().to_owned();
        let mut file =
            self.came.get_ref().try_clone().map_err(|error| disk(path.clone(), &error))?;
        file.rewind().map_err(|error| disk(path.clone(), &error))?;
        let mut read = BufReader::with_capacity(1 << 16, file);
        let mut line = Vec::new();
        while next_line(&mut read, &mut line).map_err(|error| disk(path.clone(), &error))? {
            each(self, &line)?;
        }
        Ok(())
    }

    /// Gives each object of the old bundle.
    fn each_old(
        &mut self,
        mut each: impl FnMut(&mut Self, &[u8]) -> Result<(), RemoteError>,
    ) -> Result<(), RemoteError> {
        let path = self.mirror.folder().join(BUNDLE);
        let file = match open_plain(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(disk(path, &error)),
        };
        let mut read = BufReader::with_capacity(1 << 16, file);
        let mut line = Vec::new();
        while next_line(&mut read, &mut line).map_err(|error| disk(path.clone(), &error))? {
            let bare = line.strip_suffix(b",").unwrap_or(&line);
            if bare.starts_with(b"{\"") && bare.ends_with(b"}") {
                each(self, bare)?;
            }
        }
        Ok(())
    }

    /// Notes a version of an object; the newest wins, of equal ones the last that came.
    fn version(&mut self, about: &About) -> Result<(), RemoteError> {
        let (modified, line) = (about.modified(), self.lines);
        let new = Version { modified, line, is_revoked: about.revoked };
        let known = self.versions.entry(about.key()).or_insert(new);
        if known.modified <= modified {
            *known = new;
        }
        if self.versions.len() > OBJECTS_MAX {
            let place = self.mirror.folder().display().to_string();
            let what = format!("a collection of over {OBJECTS_MAX} objects");
            return Err(RemoteError::TooLarge { place, what });
        }
        Ok(())
    }
}

impl About {
    fn key(&self) -> u128 {
        key(&self.id)
    }

    fn modified(&self) -> i64 {
        self.modified.as_ref().or(self.created.as_ref()).map_or(0, |time| nanos(time))
    }
}

/// The bundle that is being written.
struct Bundle {
    draft: Draft,
    has_some: bool,
}

impl Bundle {
    fn line(&mut self, object: &[u8]) -> Result<(), RemoteError> {
        if std::mem::replace(&mut self.has_some, true) {
            self.put(b",\n")?;
        }
        self.put(object)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), RemoteError> {
        self.draft.write_all(bytes).map_err(|error| self.draft.fault(&error))
    }
}

/// Says that more came than the mirror takes.
pub(super) fn too_large(bytes_max: u64) -> String {
    let mebibytes = bytes_max >> 20;
    format!("more than {mebibytes} MiB in one pull: raise `mebibytes` in [mirror]")
}

/// Reads a line without its end; `false`: there is none.
fn next_line(read: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let n = read.take(LINE_BYTES_MAX).read_until(b'\n', line)?;
    line.pop_if(|byte| *byte == b'\n');
    Ok(n > 0)
}

fn disk(path: PathBuf, error: &io::Error) -> RemoteError {
    RemoteError::Disk { path, why: error.to_string() }
}
