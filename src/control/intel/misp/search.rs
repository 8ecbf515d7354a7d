//! Searches in MISP: page by page until one is empty with nothing skipped.
//!
//! Spec:   MISP 2.4/2.5 OpenAPI (`/attributes/restSearch`, `/objects/restSearch`,
//!         `/events/restSearch`), headers `X-Result-Count`, `X-Skipped-Elements-Count`
//! Reads:  answers as streams
//! Yields: what is found, to a teller; a page that broke is asked for again, so some may be told
//!         twice
//! Bounds: `PAGES_MAX`; a page's own are those of `remote::http` and `json`
//! Leaves: other formats than JSON

use std::io::Read;

use reqwest::Url;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::control::intel::json::Reading;
use crate::control::intel::json::Teller;
use crate::control::intel::json::walk;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::http::Http;
use crate::control::intel::remote::http::HttpSettings;
use crate::control::intel::remote::http::Question;
use crate::control::intel::remote::http::said;
use crate::control::intel::remote::retry::Retry;

/// Pages of one search: ten million attributes in pages of the smallest size.
const PAGES_MAX: u32 = 100_000;

/// Elements of a page below which it is not made smaller.
const PAGE_MIN: u32 = 500;

/// Empty pages of which the server says that they are not, before it is not believed.
const HOLLOW_MAX: u32 = 3;

/// What MISP 2.5 counts on a page without rows: one more than there are (`__iteratedFetch`). A page
/// of one row that is left out counts as much, and is the last as well.
const COUNTED_OF_NOTHING: u64 = 1;

/// First bytes of an answer that are kept to say what it was.
const HEAD_BYTES: usize = 4 * 1024;

/// What is searched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    Attributes,
    Objects,
    Events,
}

/// What takes the elements of pages, and counts them.
pub(super) trait Counting: Teller {
    /// Returns how many elements were told so far, and what names the first of this page.
    fn told(&self) -> u64;

    /// Returns what names the first element told since the last call.
    fn take_first(&mut self) -> Option<String>;

    /// Returns what keeps it from taking more.
    fn take_failure(&mut self) -> Option<RemoteError>;
}

/// A server that is searched.
pub(super) struct Search<'h> {
    http: &'h Http,
    settings: &'h HttpSettings,
    retry: Retry,
    /// The server's time when it was first asked, in seconds since 1970.
    pub(super) begun_secs: Option<u64>,
}

/// What is known of one page.
struct Page {
    found: u64,
    /// Elements that were in it but are left out, as by warninglists.
    skipped: u64,
    /// Elements in it, as the server counts them.
    counted: u64,
    first: Option<String>,
}

impl What {
    fn path(self) -> &'static str {
        match self {
            Self::Attributes => "attributes/restSearch",
            Self::Objects => "objects/restSearch",
            Self::Events => "events/restSearch",
        }
    }
}

impl<'h> Search<'h> {
    pub(super) fn new(http: &'h Http, settings: &'h HttpSettings) -> Self {
        Self { http, settings, retry: Retry::default(), begun_secs: None }
    }

    /// Tells all that a search finds.
    ///
    /// # Errors
    /// Any page could not be had whole.
    pub(super) fn all<T: Counting>(
        &mut self,
        what: What,
        filters: &Map<String, Value>,
        page_max: u32,
        reading: &mut Reading<T>,
    ) -> Result<(), RemoteError> {
        let url = self.settings.below(what.path())?;
        let (mut limit, mut number, mut hollow) = (page_max.max(1), 1, 0);
        let mut before: Option<String> = None;
        while number <= PAGES_MAX {
            let mut body = filters.clone();
            let pages =
                [("returnFormat", json!("json")), ("limit", json!(limit)), ("page", json!(number))];
            body.extend(pages.map(|(key, value)| (key.to_owned(), value)));
            let body = Value::Object(body).to_string();
            let retry = self.retry;
            let page = match retry.run(|| self.page(&url, &body, reading)) {
                Ok(page) => page,
                Err(error) if error.may_be_too_much() && limit / 2 >= PAGE_MIN => {
                    // the same place in half steps
                    (limit, number) = (limit / 2, (number - 1) * 2 + 1);
                    continue;
                }
                Err(error) => return Err(error),
            };
            hollow = if page.found == 0 && page.skipped == 0 { hollow + 1 } else { 0 };
            if hollow > 0 && (page.counted <= COUNTED_OF_NOTHING || hollow == HOLLOW_MAX) {
                return Ok(());
            }
            if page.first.is_some() && page.first == before {
                let place = crate::control::intel::remote::http::place(&url);
                let what = format!(
                    "page {number} is the one before it again: does a cache stand between?"
                );
                return Err(RemoteError::Answer { place, what, may_mend: false });
            }
            before = page.first;
            number += 1;
        }
        let place = crate::control::intel::remote::http::place(&url);
        Err(RemoteError::TooLarge { place, what: format!("no end after {PAGES_MAX} pages") })
    }

    fn page<T: Counting>(
        &mut self,
        url: &Url,
        body: &str,
        reading: &mut Reading<T>,
    ) -> Result<Page, RemoteError> {
        let question = Question::post(url.clone(), body.to_owned());
        let mut answer = self.http.ask(&question)?;
        let now = answer.header("date").and_then(secs_of);
        self.begun_secs = self.begun_secs.or(now);
        let count = |name| answer.header(name)?.trim().parse::<u64>().ok();
        let skipped = count("x-skipped-elements-count").unwrap_or(0);
        let counted = count("x-result-count").unwrap_or(0);
        let before = reading.teller.told();
        let _of_a_page_that_broke = reading.teller.take_first();
        reading.is_misp = false;
        let mut head = Vec::new();
        let outcome = walk(Headed { read: &mut answer, head: &mut head }, reading);
        if let Some(failure) = answer.take_failure().or_else(|| reading.teller.take_failure()) {
            return Err(failure);
        }
        let place = answer.place().to_owned();
        match outcome {
            Ok(()) if reading.is_misp => {}
            Ok(()) => {
                let what = format!("an answer without indicators: {}", said(&head));
                return Err(RemoteError::Answer { place, what, may_mend: false });
            }
            Err(error) => return Err(broken(place, &head, &error)),
        }
        let first = reading.teller.take_first();
        Ok(Page { found: reading.teller.told() - before, skipped, counted, first })
    }
}

/// Says what an answer is that could not be read.
fn broken(place: String, head: &[u8], error: &serde_json::Error) -> RemoteError {
    if head.trim_ascii_start().starts_with(b"<") {
        let what = format!(
            "{} instead of JSON: is the URL that of MISP, and the key one of its API?",
            said(head)
        );
        return RemoteError::Answer { place, what, may_mend: true };
    }
    if error.is_eof() {
        return RemoteError::Cut { place, why: error.to_string() };
    }
    let (what, may_mend) = (format!("not JSON as MISP writes it: {error}"), error.is_syntax());
    RemoteError::Answer { place, what, may_mend }
}

/// Reads a date of HTTP (RFC 9110 §5.6.7) as seconds since 1970.
fn secs_of(date: &str) -> Option<u64> {
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    u64::try_from(time.as_second()).ok()
}

/// Reads, and keeps the first bytes.
struct Headed<'r, R> {
    read: &'r mut R,
    head: &'r mut Vec<u8>,
}

impl<R: Read> Read for Headed<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let read = self.read.read(bytes)?;
        let room = HEAD_BYTES.saturating_sub(self.head.len()).min(read);
        self.head.extend(bytes.get(..room).unwrap_or_default());
        Ok(read)
    }
}
