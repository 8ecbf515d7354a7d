//! A feed that is one file: fetched where the server says, or its bytes say, that it changed.

use std::hash::Hasher;
use std::io;
use std::io::Read;
use std::io::Write;

use xxhash_rust::xxh3::Xxh3;

use crate::control::intel::http_feed::Validators;
use crate::control::intel::http_feed::cut;
use crate::control::intel::http_feed::first_bytes;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::http::Http;
use crate::control::intel::remote::http::Question;
use crate::control::intel::remote::mirror::Draft;
use crate::control::intel::remote::mirror::Mirror;
use crate::control::intel::remote::retry::Retry;
use crate::control::intel::remote::source::Pulled;
use crate::control::intel::remote::source::Remote;

/// The file in the mirror; its content says what it is.
const FILE: &str = "feed";

/// Bytes that are written at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// Fetches the file.
///
/// # Errors
/// Why it could not be had; the old one stays.
pub(super) fn pull(remote: &Remote, http: &Http, mirror: &Mirror) -> Result<Pulled, RemoteError> {
    let is_there = mirror.folder().join(FILE).is_file();
    let url = remote.http.url.clone();
    let known = match is_there {
        true => Validators::load(mirror, url.as_str()),
        false => Validators::new(url.as_str()),
    };
    let question = Question { accept: "*/*", ..Question::get(url) };
    let fetched = Retry::default().run(|| {
        let mut answer = known.ask(http, question.clone())?;
        if answer.status() == 304 {
            return Ok(None);
        }
        let mut learnt = known.clone();
        learnt.learn(&answer);
        let head = first_bytes(&mut answer)?;
        let mut copy = Copy { draft: mirror.draft(FILE)?, hash: Xxh3::new() };
        copy.put(&head)?;
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            match answer.read(&mut block) {
                Ok(0) => break,
                Ok(n) => copy.put(block.get(..n).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(cut(&mut answer, &error)),
            }
        }
        learnt.digest = copy.hash.finish();
        Ok(Some((learnt, copy.draft)))
    })?;
    let full = Pulled { is_full: true, ..Pulled::default() };
    let Some((learnt, draft)) = fetched else {
        known.keep(mirror)?;
        return Ok(full);
    };
    if is_there && learnt.digest == known.digest {
        learnt.keep(mirror)?;
        return Ok(full);
    }
    draft.keep()?;
    learnt.keep(mirror)?;
    let (new, changed) = (u64::from(!is_there), u64::from(is_there));
    Ok(Pulled { new, changed, differs: true, ..full })
}

/// What is written, and its hash.
struct Copy {
    draft: Draft,
    hash: Xxh3,
}

impl Copy {
    fn put(&mut self, bytes: &[u8]) -> Result<(), RemoteError> {
        self.hash.write(bytes);
        self.draft.write_all(bytes).map_err(|error| self.draft.fault(&error))
    }
}
