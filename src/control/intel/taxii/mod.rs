//! TAXII 2.1: the indicators of a collection, kept in a mirror as a STIX bundle.
//!
//! Spec:   TAXII 2.1 §3 (filtering, paging, headers), §4 (discovery, API roots), §5 (collections)
//! Reads:  the collection's own description, then its objects page by page: all, or those that
//!         were added since
//! Yields: a bundle of indicators, identities, markings and reports, of each the newest version
//! Bounds: the mirror's; `PAGES_MAX`; `merge`
//! Leaves: writing; objects of other types; manifests and single objects

mod envelope;
mod merge;
mod text;

use std::cell::Cell;
use std::collections::HashSet;
use std::io::Read;

use reqwest::Url;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::http::Answer;
use crate::control::intel::remote::http::Http;
use crate::control::intel::remote::http::Question;
use crate::control::intel::remote::mirror::Mirror;
use crate::control::intel::remote::retry::Retry;
use crate::control::intel::remote::source::Pulled;
use crate::control::intel::remote::source::Remote;
use crate::control::intel::remote::source::Scope;
use crate::control::intel::remote::state;
use crate::control::intel::taxii::envelope::LeftOut;
use crate::control::intel::taxii::envelope::Page;
use crate::control::intel::taxii::merge::BUNDLE;
use crate::control::intel::taxii::merge::Merge;

/// Media type of all that TAXII 2.1 says.
const MEDIA: &str = "application/taxii+json;version=2.1";

/// Objects that a page is asked to have; a server may give fewer.
const PAGE_OBJECTS: u32 = 1_000;

/// Pages of one pull: ten million objects in pages of a hundred.
const PAGES_MAX: u32 = 100_000;

/// What is kept of a collection: a copy that was made when it was less is pulled anew.
const KEPT: &str = "indicators and reports";

/// Bytes of what a server says of a collection or of itself.
const ABOUT_BYTES_MAX: u64 = 1024 * 1024;

/// Collections or API roots that an error names.
const NAMED_MAX: usize = 10;

/// The header that says when the last object of a page was added.
const ADDED_LAST: &str = "x-taxii-date-added-last";

/// How far we are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct State {
    /// The mark of the collection that this is of.
    of: u64,
    /// When the last object that we have was added, as the server says; `None`: it does not say.
    added_after: Option<String>,
    /// Our time when everything was last fetched.
    full_secs: u64,
}

/// Pulls a collection into its mirror.
///
/// # Errors
/// Why it could not be had; what is in the mirror stays.
pub fn pull(remote: &Remote, mirror: &Mirror, scope: Scope) -> Result<Pulled, RemoteError> {
    let http = remote.http.open()?;
    let known = state::load::<State>(mirror);
    let of = state::mark(&format!("{KEPT} of {}", remote.http.url));
    let is_known = known.of == of && mirror.folder().join(BUNDLE).is_file();
    let (now_secs, secs_max) = (state::now_secs(), u64::from(remote.reconcile_hours) * 3_600);
    let is_due = state::age_secs(known.full_secs).is_none_or(|secs| secs >= secs_max);
    let since = match scope {
        Scope::Everything => None,
        Scope::Due if is_due => None,
        Scope::Due | Scope::Changes => known.added_after.clone().filter(|_| is_known),
    };
    check(remote, &http)?;
    let is_full = since.is_none();
    let mut merge = Merge::new(mirror, is_full)?;
    let bytes_left = Cell::new(mirror.bytes_max());
    let asking = Asking { remote, http: &http, bytes_left, bytes_max: mirror.bytes_max() };
    let (added_last, left_out) = asking.pages(since.clone(), &mut merge)?;
    let mut pulled = merge.finish(&remote.place())?;
    pulled.is_full = is_full;
    let full_secs = if is_full { now_secs } else { known.full_secs };
    (pulled.is_whole, pulled.trouble) = (true, left_out.told(remote));
    state::keep(mirror, &State { of, added_after: added_last.or(since), full_secs })?;
    Ok(pulled)
}

/// Asking for pages.
struct Asking<'p> {
    remote: &'p Remote,
    http: &'p Http,
    /// Bytes of all answers that may still come.
    bytes_left: Cell<u64>,
    bytes_max: u64,
}

impl Asking<'_> {
    /// Reads all pages; returns when the last object was added, where the server says so, and what
    /// could not be taken.
    fn pages(
        &self,
        since: Option<String>,
        merge: &mut Merge<'_>,
    ) -> Result<(Option<String>, LeftOut), RemoteError> {
        let place = || self.remote.place();
        let (mut next, mut after, mut added_last) = (None::<String>, since, None::<String>);
        let (mut left_out, mut seen) = (LeftOut::default(), HashSet::new());
        for _ in 0..PAGES_MAX {
            let page = Retry::default().run(|| self.page(&after, &next, merge))?;
            added_last = page.added_last.clone().or(added_last);
            left_out.nameless += page.left_out.nameless;
            left_out.large += page.left_out.large;
            if !page.more {
                return Ok((added_last, left_out));
            }
            // a server may give the same `next` again and know by itself how far it is; what has no
            // end is one that brings the same objects, or from the same place none
            let mark = match page.objects {
                0 => state::mark(&format!("{:?} {:?}", page.next, page.added_last)).into(),
                _ => page.digest,
            };
            if !seen.insert(mark) {
                let what = "it says that there is more, and brings the same again".to_owned();
                return Err(RemoteError::Answer { place: place(), what, may_mend: false });
            }
            // a server that gives no `next` is asked for what was added after the page
            match (page.next, page.added_last) {
                (Some(to), _) => next = Some(to),
                (None, Some(last)) if after.as_ref() != Some(&last) => {
                    (next, after) = (None, Some(last));
                }
                (None, _) => {
                    let what = "it says that there is more, but not where".to_owned();
                    return Err(RemoteError::Answer { place: place(), what, may_mend: false });
                }
            }
        }
        let what = format!("a collection of over {PAGES_MAX} pages");
        Err(RemoteError::TooLarge { place: place(), what })
    }

    fn page(
        &self,
        after: &Option<String>,
        next: &Option<String>,
        merge: &mut Merge<'_>,
    ) -> Result<Page, RemoteError> {
        let mut url = self.remote.http.below("objects/")?;
        url.query_pairs_mut().append_pair("limit", &PAGE_OBJECTS.to_string());
        for (name, value) in [("added_after", after), ("next", next)] {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let mut answer = ask(self.http, url)?;
        let added_last = answer.header(ADDED_LAST).map(str::to_owned);
        answer.at_most(self.bytes_left.get());
        let page = envelope::read(&mut answer, merge);
        self.bytes_left.set(answer.bytes_left().min(self.bytes_left.get()));
        match page {
            Err(RemoteError::TooLarge { place, .. }) => {
                Err(RemoteError::TooLarge { place, what: merge::too_large(self.bytes_max) })
            }
            page => Ok(Page { added_last, ..page? }),
        }
    }
}

impl LeftOut {
    /// Says what could not be taken, if anything.
    fn told(self, remote: &Remote) -> Option<RemoteError> {
        let Self { nameless, large } = self;
        let parts = [(nameless, "without an id or a time that can be read"), (large, "too large")];
        let parts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
        let parts = parts.collect::<Vec<_>>().join(", ");
        let what = format!("objects are left out: {parts}");
        let error = RemoteError::Answer { place: remote.place(), what, may_mend: false };
        (nameless + large > 0).then_some(error)
    }
}

fn ask(http: &Http, url: Url) -> Result<Answer, RemoteError> {
    http.ask(&Question { accept: MEDIA, ..Question::get(url) })
}

/// Checks that the address is a collection's that we may read; else says what it is.
fn check(remote: &Remote, http: &Http) -> Result<(), RemoteError> {
    let url = remote.http.below("")?;
    let about = Retry::default().run(|| about(http, &url))?;
    let wrong =
        |what: String| Err(RemoteError::Answer { place: remote.place(), what, may_mend: false });
    if about.get("can_read").is_some() || about.get("title").is_some() && about.get("id").is_some()
    {
        return match about.get("can_read") {
            Some(Value::Bool(false)) => {
                wrong("the collection may not be read with this key".into())
            }
            _ => Ok(()),
        };
    }
    if let Some(roots) = about.get("api_roots").and_then(Value::as_array) {
        let roots = roots.iter().filter_map(Value::as_str).take(NAMED_MAX).collect::<Vec<_>>();
        return wrong(format!(
            "a discovery, not a collection: its API roots are {}; give one of their collections",
            roots.join(", ")
        ));
    }
    if about.get("versions").is_some() {
        let list = self::about(http, &remote.http.below("collections/")?)?;
        return wrong(format!("an API root, not a collection: {}", named(&list)));
    }
    if about.get("collections").is_some() {
        return wrong(format!("a list of collections: {}", named(&about)));
    }
    wrong(
        "no collection of TAXII 2.1: an address as https://host/api1/collections/ID/ is wanted"
            .into(),
    )
}

/// Names collections for people.
fn named(list: &Value) -> String {
    let all = list.get("collections").and_then(Value::as_array);
    let text = |one: &Value, key| one.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    let one = |one: &Value| format!("{} ({})", text(one, "id"), text(one, "title"));
    let names = all.into_iter().flatten().take(NAMED_MAX).map(one).collect::<Vec<_>>();
    match names.is_empty() {
        true => "it shows no collection to this key".to_owned(),
        false => format!("give one of collections/ID/: {}", names.join(", ")),
    }
}

fn about(http: &Http, url: &Url) -> Result<Value, RemoteError> {
    let mut answer = ask(http, url.clone())?;
    let place = answer.place().to_owned();
    let mut text = Vec::new();
    let read = answer.by_ref().take(ABOUT_BYTES_MAX).read_to_end(&mut text);
    if let Err(error) = read {
        let why = error.to_string();
        return Err(answer.take_failure().unwrap_or(RemoteError::Cut { place, why }));
    }
    serde_json::from_slice(&text).map_err(|error| {
        let what = format!("no answer of TAXII 2.1: {error}");
        RemoteError::Answer { place, what, may_mend: true }
    })
}
