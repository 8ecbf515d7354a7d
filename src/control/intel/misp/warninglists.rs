//! The warninglists of a MISP server: those that are enabled, in the form that `warninglist` reads.
//!
//! Spec:   MISP 2.4/2.5 OpenAPI (`/warninglists`, `/warninglists/view/N`)
//! Reads:  the index, and each list whose version is not here yet
//! Yields: a file for each list, named by its number and version
//! Bounds: `limits::WARNINGLISTS_MAX`, `INDEX_BYTES_MAX`, `LIST_BYTES_MAX`
//! Leaves: lists that are not enabled

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::control::intel::json::Flag;
use crate::control::intel::json::Number;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::http::Http;
use crate::control::intel::remote::http::HttpSettings;
use crate::control::intel::remote::http::Question;
use crate::control::intel::remote::http::said;
use crate::control::intel::remote::mirror::Mirror;
use crate::control::intel::remote::retry::Retry;
use crate::model::limits::WARNINGLISTS_MAX;

/// The folder of the lists in that of the mirror; hidden, as it holds no indicators.
pub const FOLDER: &str = ".warninglists";

/// Bytes of the index: a list has a kilobyte in it.
const INDEX_BYTES_MAX: u64 = 64 << 20;

/// Bytes of one list: a million names with their numbers have a hundred MB.
const LIST_BYTES_MAX: u64 = 512 << 20;

#[derive(Deserialize)]
struct Index {
    #[serde(rename = "Warninglists")]
    lists: Vec<Wrapped>,
}

#[derive(Deserialize)]
struct Wrapped {
    #[serde(rename = "Warninglist")]
    list: Listed,
}

#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    id: Number,
    #[serde(default)]
    version: Number,
    #[serde(default)]
    enabled: Flag,
}

/// Fetches the lists that are not here yet, and removes those that are over; tells whether any was.
///
/// # Errors
/// Any could not be had; those that are here stay.
pub(super) fn pull(
    http: &Http,
    settings: &HttpSettings,
    folder: &Path,
) -> Result<bool, RemoteError> {
    let mirror = Mirror::open(&folder.join(FOLDER), LIST_BYTES_MAX)?;
    let url = settings.below("warninglists")?;
    let index = Retry::default().run(|| {
        let mut answer = http.ask(&Question::get(url.clone()))?;
        let mut body = Vec::new();
        let read = answer.by_ref().take(INDEX_BYTES_MAX).read_to_end(&mut body);
        let place = answer.place().to_owned();
        if let (Err(_), Some(failure)) = (read, answer.take_failure()) {
            return Err(failure);
        }
        serde_json::from_slice::<Index>(&body).map_err(|error| RemoteError::Answer {
            place,
            what: format!("no index of warninglists: {error}"),
            may_mend: false,
        })
    })?;
    let enabled = index.lists.iter().map(|wrapped| &wrapped.list);
    let enabled = enabled.filter(|list| list.enabled.0 == Some(true) && list.id.0 != 0);
    let enabled = enabled.take(WARNINGLISTS_MAX);
    let here = mirror.names()?.into_iter().collect::<BTreeSet<_>>();
    let wanted = enabled.map(|list| (format!("{}-{}.json", list.id.0, list.version.0), list.id.0));
    let wanted = wanted.collect::<Vec<_>>();
    let mut differs = false;
    for (name, id) in wanted.iter().filter(|(name, _)| !here.contains(name)) {
        let url = settings.below(&format!("warninglists/view/{id}"))?;
        Retry::default().run(|| fetch(http, &Question::get(url.clone()), &mirror, name))?;
        differs = true;
    }
    for name in here.iter().filter(|name| wanted.iter().all(|(wanted, _)| wanted != *name)) {
        mirror.remove(name)?;
        differs = true;
    }
    Ok(differs)
}

fn fetch(http: &Http, question: &Question, mirror: &Mirror, name: &str) -> Result<(), RemoteError> {
    let mut answer = http.ask(question)?;
    let place = answer.place().to_owned();
    let mut draft = mirror.draft(name)?;
    let copied = Copied { from: &mut answer, to: &mut draft, failure: None };
    let mut copied = BufReader::with_capacity(1 << 16, copied);
    let read = serde_json::from_reader::<_, Whole>(&mut copied);
    let failure = copied.into_inner().failure;
    match (answer.take_failure(), failure, read) {
        (Some(failure), _, _) => Err(failure),
        (_, Some(error), _) => Err(draft.fault(&error)),
        (_, _, Err(error)) => {
            let what = format!("no warninglist: {}", said(error.to_string().as_bytes()));
            Err(RemoteError::Answer { place, what, may_mend: !error.is_data() })
        }
        (_, _, Ok(_)) => draft.keep().map(drop),
    }
}

/// A list as it is answered: a map, whatever is in it.
#[derive(Deserialize)]
struct Whole {
    #[serde(rename = "Warninglist")]
    _list: BTreeMap<String, IgnoredAny>,
}

/// Reads, and writes what was read.
struct Copied<'c, R, W> {
    from: &'c mut R,
    to: &'c mut W,
    failure: Option<io::Error>,
}

impl<R: Read, W: Write> Read for Copied<'_, R, W> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(bytes)?;
        match self.to.write_all(bytes.get(..read).unwrap_or_default()) {
            Ok(()) => Ok(read),
            Err(error) => {
                let told = io::Error::other(error.to_string());
                self.failure = Some(error);
                Err(told)
            }
        }
    }
}
