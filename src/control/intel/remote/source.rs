//! A remote source as it is configured, whatever its kind, and what pulling it came to.

use std::path::Path;
use std::path::PathBuf;

use crate::control::intel::http_feed;
use crate::control::intel::list_form::ListForm;
use crate::control::intel::misp::MispSettings;
use crate::control::intel::misp::WARNINGLISTS;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::http::HttpSettings;
use crate::control::intel::remote::http::place;
use crate::control::intel::remote::mirror::Mirror;
use crate::control::intel::remote::mirror::Owner;
use crate::control::intel::remote::state;
use crate::control::intel::taxii;

/// A source that is pulled into a folder of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remote {
    /// The name of its folder.
    pub name: String,
    /// Its name in messages and metrics: as configured, else its address.
    pub label: String,
    /// How it is asked.
    pub http: HttpSettings,
    /// Seconds between two pulls.
    pub period_secs: u32,
    /// Hours after which everything is compared; 0: at each pull.
    pub reconcile_hours: u32,
    /// How a feed that is a list is read.
    pub list_form: ListForm,
    /// What it is.
    pub kind: RemoteKind,
}

/// The file that every pull that went well writes: hidden, so that it makes no set anew.
pub const STATE: &str = ".state.json";

/// What a remote source is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RemoteKind {
    /// A feed: a file, or a folder of MISP's feed format.
    Feed,
    /// A collection of a TAXII server.
    Taxii,
    /// A MISP server.
    Misp(MispSettings),
}

/// How much is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// What has changed; everything, where it is time for that or nothing is there yet.
    Due,
    /// What has changed; everything only where what is there is nothing, damaged, or too old.
    Changes,
    /// Everything.
    Everything,
}

/// What a pull came to.
#[derive(Debug, Default)]
pub struct Pulled {
    /// Attributes, or whatever the source has, that were not there before.
    pub new: u64,
    /// Those that were there and differ now.
    pub changed: u64,
    /// Those that are there no more.
    pub gone: u64,
    /// Something differs: other files are to be read.
    pub differs: bool,
    /// Everything was compared.
    pub is_full: bool,
    /// All that can be taken was, whatever the trouble.
    pub is_whole: bool,
    /// What could not be had though the rest could.
    pub trouble: Option<RemoteError>,
}

impl Pulled {
    /// Adds what came after it.
    pub fn add(&mut self, more: &Self) {
        self.new += more.new;
        self.changed += more.changed;
        self.gone += more.gone;
        self.differs |= more.differs;
    }
}

impl Remote {
    /// Returns its folder among those of all.
    pub fn folder(&self, mirrors: &Path) -> PathBuf {
        mirrors.join(&self.name)
    }

    /// Returns its address without credentials.
    pub fn place(&self) -> String {
        place(&self.http.url)
    }

    /// Returns its folder where something was pulled into it, as an input for the compiler.
    pub fn input(&self, mirrors: &Path) -> Option<PathBuf> {
        let folder = self.folder(mirrors);
        let is_visible = |name: &std::ffi::OsStr| !name.to_string_lossy().starts_with('.');
        let entries = std::fs::read_dir(&folder).ok()?;
        entries.flatten().any(|entry| is_visible(&entry.file_name())).then_some(folder)
    }

    /// Returns the folder of its warninglists, where they are wanted and there.
    pub fn warninglists(&self, mirrors: &Path) -> Option<PathBuf> {
        let RemoteKind::Misp(settings) = &self.kind else { return None };
        let folder = self.folder(mirrors).join(WARNINGLISTS);
        (settings.warninglists && folder.is_dir()).then_some(folder)
    }

    /// Returns whose its copy is.
    fn owner(&self) -> Owner {
        let (kind, mark) = match &self.kind {
            RemoteKind::Feed => ("feed", state::mark(self.http.url.as_str())),
            RemoteKind::Taxii => ("taxii", state::mark(self.http.url.as_str())),
            RemoteKind::Misp(_) => ("misp", state::mark(&self.place())),
        };
        Owner { kind: kind.to_owned(), place: self.place(), mark }
    }

    /// Pulls it into its folder; where that holds the copy of another source, the new copy takes
    /// its place when it is whole.
    ///
    /// # Errors
    /// Why nothing could be had; what is in the folder stays.
    pub fn pull(&self, folder: &Path, bytes_max: u64, scope: Scope) -> Result<Pulled, RemoteError> {
        let owner = self.owner();
        let pulled = Mirror::open(folder, bytes_max, &owner).and_then(|mut mirror| {
            if mirror.is_of(&owner) {
                return self.pull_into(&mirror, scope);
            }
            let next = mirror.next(&owner)?;
            let pulled = self.pull_into(&next, Scope::Everything)?;
            match pulled.trouble {
                Some(error) if !pulled.is_whole => return Err(error),
                _ => mirror.take_over(&next, &owner)?,
            }
            Ok(Pulled { differs: true, is_full: true, ..pulled })
        });
        let hidden = |error: RemoteError| self.http.key.hide_in(error);
        pulled
            .map_err(hidden)
            .map(|pulled| Pulled { trouble: pulled.trouble.map(hidden), ..pulled })
    }

    fn pull_into(&self, mirror: &Mirror, scope: Scope) -> Result<Pulled, RemoteError> {
        match &self.kind {
            RemoteKind::Feed => http_feed::pull(self, mirror, scope),
            RemoteKind::Taxii => taxii::pull(self, mirror, scope),
            RemoteKind::Misp(settings) => settings.pull(self, mirror, scope),
        }
    }
}

/// Returns the name of a folder for an address: its host and what follows, in plain characters.
pub fn name_of(place: &str) -> String {
    let bare = place.split_once("://").map_or(place, |(_, rest)| rest);
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' };
    let name = bare.trim_matches('/').chars().map(plain).collect::<String>();
    // a name that begins with a point would be hidden
    name.trim_start_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_files() {
        for (place, name) in [
            ("https://misp.example", "misp.example"),
            ("https://misp.example:8443/a/b", "misp.example_8443_a_b"),
            ("http://[::1]:80/", "___1__80"),
            ("https://../../etc", "_.._etc"),
        ] {
            assert_eq!(name_of(place), name, "{place}");
        }
    }
}
