//! Feeds over HTTP: a file of any format, or a folder of MISP's feed format, kept in a mirror.
//!
//! Spec:   RFC 9110 §8.8, §13 (`ETag`, `Last-Modified` and their conditions); MISP feed format
//! Reads:  the file; or the manifest, and of its events those that changed
//! Yields: the same files in the mirror, as `feed` and `input` read them
//! Bounds: the mirror's; a manifest, `MANIFEST_BYTES_MAX`
//! Leaves: hashes.csv, signatures
//!
//! An address that ends in `/` or `manifest.json` is a folder's.

mod folder;
mod single;

use std::hash::Hasher;
use std::io;
use std::io::Read;
use std::io::Write;

use serde::Deserialize;
use serde::Serialize;
use xxhash_rust::xxh3::Xxh3;

use crate::control::intel::feed::MANIFEST;
use crate::control::intel::input::trimmed;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::http::Answer;
use crate::control::intel::remote::http::Http;
use crate::control::intel::remote::http::Question;
use crate::control::intel::remote::mirror::Draft;
use crate::control::intel::remote::mirror::Mirror;
use crate::control::intel::remote::source::Pulled;
use crate::control::intel::remote::source::Remote;
use crate::control::intel::remote::source::Scope;
use crate::control::intel::remote::state;
use crate::control::intel::sound;
use crate::control::intel::sound::Wanted;

/// Bytes that are written at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// What a server says of a file, to be shown when it is asked for again.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Validators {
    /// The mark of the address that they are of.
    of: u64,
    etag: Option<String>,
    last_modified: Option<String>,
    /// Hash of what was written, for servers that say nothing.
    digest: u64,
}

/// Pulls a feed into its mirror: what has changed, or all of it.
///
/// # Errors
/// Why nothing could be had; what is in the mirror stays.
pub fn pull(remote: &Remote, mirror: &Mirror, scope: Scope) -> Result<Pulled, RemoteError> {
    let is_all = scope == Scope::Everything;
    let http = remote.http.open()?;
    let path = remote.http.url.path();
    if path.ends_with('/') || path.ends_with(MANIFEST) {
        folder::pull(remote, &http, mirror, is_all)
    } else {
        single::pull(remote, &http, mirror, is_all)
    }
}

/// A file that came.
struct Came {
    draft: Draft,
    /// Hash of its bytes.
    digest: u64,
    place: String,
}

impl Came {
    /// Writes what is answered beside the file of a name.
    fn receive(mut answer: Answer, mirror: &Mirror, name: &str) -> Result<Self, RemoteError> {
        let (mut draft, mut hash) = (mirror.draft(name)?, Xxh3::new());
        let mut put = |bytes: &[u8]| {
            hash.write(bytes);
            draft.write_all(bytes).map_err(|error| draft.fault(&error))
        };
        put(&first_bytes(&mut answer)?)?;
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            match answer.read(&mut block) {
                Ok(0) => break,
                Ok(n) => put(block.get(..n).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(cut(&mut answer, &error)),
            }
        }
        Ok(Self { digest: hash.finish(), place: answer.place().to_owned(), draft })
    }

    /// Lets it take the place of the file of its name, if it is what is wanted.
    fn keep(mut self, mirror: &Mirror, name: &str, wanted: Wanted<'_>) -> Result<u64, RemoteError> {
        let (there, place) = (mirror.folder().join(name), self.place);
        let checked = sound::check(self.draft.so_far()?, &there, wanted);
        checked.map_err(|what| RemoteError::Answer { place, what, may_mend: false })?;
        self.draft.keep()
    }
}

impl Validators {
    /// Knows nothing of an address yet.
    fn new(url: &str) -> Self {
        Self { of: state::mark(url), ..Self::default() }
    }

    /// Returns what was kept of an address.
    fn load(mirror: &Mirror, url: &str) -> Self {
        let (known, new) = (state::load::<Self>(mirror), Self::new(url));
        if known.of == new.of { known } else { new }
    }

    fn keep(&self, mirror: &Mirror) -> Result<(), RemoteError> {
        state::keep(mirror, self)
    }

    /// Asks for the file; an answer of 304 says that it is as it was.
    fn ask(&self, http: &Http, mut question: Question) -> Result<Answer, RemoteError> {
        let validators =
            [("if-none-match", &self.etag), ("if-modified-since", &self.last_modified)];
        for (name, value) in validators {
            question.headers.extend(value.clone().map(|value| (name, value)));
        }
        http.ask(&question)
    }

    /// Takes over what an answer says.
    fn learn(&mut self, answer: &Answer) {
        self.etag = answer.header("etag").map(str::to_owned);
        self.last_modified = answer.header("last-modified").map(str::to_owned);
    }
}

/// Returns why an answer's body could not be read to its end.
fn cut(answer: &mut Answer, error: &io::Error) -> RemoteError {
    let place = answer.place().to_owned();
    answer.take_failure().unwrap_or(RemoteError::Cut { place, why: error.to_string() })
}

/// Returns the first bytes of an answer; an empty one and a page for people are errors.
fn first_bytes(answer: &mut Answer) -> Result<Vec<u8>, RemoteError> {
    const HEAD_BYTES: u64 = 1024;
    let mut head = Vec::new();
    let read = answer.by_ref().take(HEAD_BYTES).read_to_end(&mut head);
    read.map_err(|error| cut(answer, &error))?;
    let text = trimmed(&head);
    let place = || answer.place().to_owned();
    let wrong = |what: &str| {
        Err(RemoteError::Answer { place: place(), what: what.to_owned(), may_mend: true })
    };
    if text.is_empty() {
        return wrong("the answer is empty");
    }
    // no feed begins so
    if text.starts_with(b"<") {
        return wrong("a page for people, not a feed: is the address right, is a login needed?");
    }
    Ok(head)
}
