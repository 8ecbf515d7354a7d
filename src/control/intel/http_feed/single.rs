//! A feed that is one file: fetched where the server says, or its bytes say, that it changed.

use std::hash::Hasher;
use std::io;
use std::io::Read;
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use crate::control::intel::http_feed::BLOCK_BYTES;
use crate::control::intel::http_feed::Came;
use crate::control::intel::http_feed::Validators;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::http::Http;
use crate::control::intel::remote::http::Question;
use crate::control::intel::remote::mirror::Mirror;
use crate::control::intel::remote::mirror::open_plain;
use crate::control::intel::remote::retry::Retry;
use crate::control::intel::remote::source::Pulled;
use crate::control::intel::remote::source::Remote;
use crate::control::intel::sound::Wanted;

/// The file in the mirror; its content says what it is.
const FILE: &str = "feed";

/// Fetches the file.
///
/// # Errors
/// Why it could not be had; the old one stays.
pub(super) fn pull(
    remote: &Remote,
    http: &Http,
    mirror: &Mirror,
    is_all: bool,
) -> Result<Pulled, RemoteError> {
    let path = mirror.folder().join(FILE);
    let is_there = path.is_file();
    let url = remote.http.url.clone();
    let known = Validators::load(mirror, url.as_str());
    // what was cut or written into is fetched again
    let is_as_it_came = is_there && digest(&path).is_ok_and(|digest| digest == known.digest);
    let known = if is_as_it_came && !is_all { known } else { Validators::new(url.as_str()) };
    let question = Question { accept: "*/*", ..Question::get(url) };
    let fetched = Retry::default().run(|| {
        let answer = known.ask(http, question.clone())?;
        if answer.status() == 304 {
            return Ok(None);
        }
        let mut learnt = known.clone();
        learnt.learn(&answer);
        let came = Came::receive(answer, mirror, FILE)?;
        learnt.digest = came.digest;
        Ok(Some((learnt, came)))
    })?;
    let full = Pulled { is_full: true, ..Pulled::default() };
    let Some((learnt, came)) = fetched else {
        known.keep(mirror)?;
        return Ok(full);
    };
    if is_as_it_came && learnt.digest == known.digest {
        learnt.keep(mirror)?;
        return Ok(full);
    }
    came.keep(mirror, FILE, Wanted::List(&remote.list_form))?;
    learnt.keep(mirror)?;
    let (new, changed) = (u64::from(!is_there), u64::from(is_there));
    Ok(Pulled { new, changed, differs: true, ..full })
}

/// Returns the hash of a file's bytes.
fn digest(path: &Path) -> io::Result<u64> {
    let (mut file, mut hash) = (open_plain(path)?, Xxh3::new());
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hash.finish()),
            n => hash.write(block.get(..n).unwrap_or_default()),
        }
    }
}
