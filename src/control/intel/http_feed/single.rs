//! A feed that is one file: fetched where the server says, or its bytes say, that it changed.

use crate::control::intel::http_feed::Came;
use crate::control::intel::http_feed::Validators;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::http::Http;
use crate::control::intel::remote::http::Question;
use crate::control::intel::remote::mirror::Mirror;
use crate::control::intel::remote::retry::Retry;
use crate::control::intel::remote::source::Pulled;
use crate::control::intel::remote::source::Remote;

/// The file in the mirror; its content says what it is.
const FILE: &str = "feed";

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
    if is_there && learnt.digest == known.digest {
        learnt.keep(mirror)?;
        return Ok(full);
    }
    came.keep(mirror, FILE, None)?;
    learnt.keep(mirror)?;
    let (new, changed) = (u64::from(!is_there), u64::from(is_there));
    Ok(Pulled { new, changed, differs: true, ..full })
}
