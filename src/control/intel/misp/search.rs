//! Searches in MISP: page by page until one is empty with nothing skipped.
//!
//! Spec:   MISP 2.4/2.5 OpenAPI (`/attributes/restSearch`, `/objects/restSearch`,
//!         `/events/restSearch`), headers `X-Result-Count`, `X-Skipped-Elements-Count`
//! Reads:  answers as streams
//! Yields: what is found, to a teller; a page that broke is asked for again, so some may be told
//!         twice
//! Bounds: `PAGES_MAX`; of a page `ELEMENT_BYTES_MAX` and those of `remote::http` and `json`; of
//!         all pages and tries of a pull together `PULL_BYTES_MAX` and `PULL_TIME_MAX`
//! Leaves: other formats than JSON

use std::io::Read;
use std::time::Duration;
use std::time::Instant;

use reqwest::Url;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::control::intel::json::Reading;
use crate::control::intel::json::Teller;
use crate::control::intel::json::What;
use crate::control::intel::json::walk_answer;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::http::Http;
use crate::control::intel::remote::http::HttpSettings;
use crate::control::intel::remote::http::Question;
use crate::control::intel::remote::http::date_secs;
use crate::control::intel::remote::http::place;
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

/// Bytes of a page for each element that was asked for: some have a kilobyte, those with many tags
/// and clusters some hundred. What is longer is no page: it is not asked for again, nor in parts.
const ELEMENT_BYTES_MAX: u64 = 512 * 1024;

/// Bytes that any page may have.
const PAGE_BYTES_MIN: u64 = 16 << 20;

/// Bytes of all answers to one pull, those that broke off included: thirty million attributes.
const PULL_BYTES_MAX: u64 = 64 << 30;

/// Time after which a pull asks nothing more: twenty million attributes at 1 MB/s.
const PULL_TIME_MAX: Duration = Duration::from_secs(6 * 3_600);

/// First bytes of an answer that are kept to say what it was.
const HEAD_BYTES: usize = 4 * 1024;

/// What takes the elements of pages.
pub(super) trait Taking: Teller {
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
    begun: Instant,
    bytes_left: u64,
    /// The server's time when it was first asked, in seconds since 1970.
    pub(super) server_secs: Option<u64>,
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

fn path(what: What) -> &'static str {
    match what {
        What::Attributes => "attributes/restSearch",
        What::Objects => "objects/restSearch",
        What::Events => "events/restSearch",
    }
}

impl<'h> Search<'h> {
    pub(super) fn new(http: &'h Http, settings: &'h HttpSettings) -> Self {
        let (retry, begun, bytes_left) = (Retry::default(), Instant::now(), PULL_BYTES_MAX);
        Self { http, settings, retry, begun, bytes_left, server_secs: None }
    }

    /// Returns the time from which on changes are missing, in seconds since 1970, of a pull that
    /// began then by our clock: the earlier of that and the server's, as either may be wrong.
    pub(super) fn begun_secs(&self, ours: u64) -> u64 {
        self.server_secs.unwrap_or(ours).min(ours)
    }

    /// Tells all that a search finds; returns how many pages had any.
    ///
    /// # Errors
    /// Any page could not be had whole.
    pub(super) fn all<T: Taking>(
        &mut self,
        what: What,
        filters: &Map<String, Value>,
        page_max: u32,
        reading: &mut Reading<T>,
    ) -> Result<u32, RemoteError> {
        let url = self.settings.below(path(what))?;
        let mut full = 0;
        let (mut limit, mut number, mut hollow) = (page_max.max(1), 1, 0);
        let mut before: Option<String> = None;
        while number <= PAGES_MAX {
            let mut body = filters.clone();
            let pages =
                [("returnFormat", json!("json")), ("limit", json!(limit)), ("page", json!(number))];
            body.extend(pages.map(|(key, value)| (key.to_owned(), value)));
            let body = Value::Object(body).to_string();
            let bytes_max = PAGE_BYTES_MIN.max(u64::from(limit) * ELEMENT_BYTES_MAX);
            let question = Question { bytes_max, ..Question::post(url.clone(), body) };
            let retry = self.retry;
            let page = match retry.run(|| self.page(&question, what, reading)) {
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
                return Ok(full);
            }
            if page.first.is_some() && page.first == before {
                let place = place(&url);
                let what = format!(
                    "page {number} is the one before it again: does a cache stand between?"
                );
                return Err(RemoteError::Answer { place, what, may_mend: false });
            }
            before = page.first;
            full += u32::from(page.found > 0);
            number += 1;
        }
        Err(endless(&url, format!("no end after {PAGES_MAX} pages")))
    }

    fn page<T: Taking>(
        &mut self,
        question: &Question,
        what: What,
        reading: &mut Reading<T>,
    ) -> Result<Page, RemoteError> {
        if self.bytes_left == 0 {
            let what = format!("over {} GiB in one pull", PULL_BYTES_MAX >> 30);
            return Err(endless(&question.url, what));
        }
        if self.begun.elapsed() > PULL_TIME_MAX {
            let what = format!("a pull that is not over in {} s", PULL_TIME_MAX.as_secs());
            return Err(endless(&question.url, what));
        }
        let mut answer = self.http.ask(question)?;
        let now = answer.header("date").and_then(date_secs);
        self.server_secs = self.server_secs.or(now);
        let count = |name| answer.header(name)?.trim().parse::<u64>().ok();
        let skipped = count("x-skipped-elements-count").unwrap_or(0);
        let counted = count("x-result-count").unwrap_or(0);
        let before = reading.elements;
        let _of_a_page_that_broke = reading.teller.take_first();
        reading.is_misp = false;
        let mut head = Vec::new();
        let outcome = walk_answer(Headed { read: &mut answer, head: &mut head }, what, reading);
        self.bytes_left = self.bytes_left.saturating_sub(answer.bytes_read());
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
        Ok(Page { found: reading.elements - before, skipped, counted, first })
    }
}

fn endless(url: &Url, what: String) -> RemoteError {
    RemoteError::TooLarge { place: place(url), what }
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
    // what does not fit is named by what it is, however long
    let error_told = said(error.to_string().as_bytes());
    let (what, may_mend) = (format!("not JSON as MISP writes it: {error_told}"), error.is_syntax());
    RemoteError::Answer { place, what, may_mend }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::intel::misp::keep::EventsOnly;
    use crate::control::intel::misp::keep::Keeper;

    #[test]
    fn a_pull_that_has_read_enough_or_takes_too_long_asks_nothing_more() {
        // nobody listens there: asking would be told as another error
        let url = Url::parse("http://127.0.0.1:1/").expect("a URL");
        let settings = HttpSettings::new(url);
        let http = settings.open().expect("ready");
        let long_ago = Instant::now().checked_sub(2 * PULL_TIME_MAX).expect("a time");
        for (begun, bytes_left, said) in
            [(Instant::now(), 0, "over 64 GiB in one pull"), (long_ago, 1, "not over in 21600 s")]
        {
            let mut search = Search { begun, bytes_left, ..Search::new(&http, &settings) };
            let mut found = Reading::new(Keeper::new(EventsOnly, "x"));
            let error = search.all(What::Events, &Map::new(), 10, &mut found);
            let error = error.expect_err("too much");
            assert_eq!(error.reason(), "too_large", "{error}");
            assert!(error.to_string().ends_with(said), "{error}");
        }
    }
}
