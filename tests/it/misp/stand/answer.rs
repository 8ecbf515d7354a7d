//! From a request to an answer: who may ask, what there is, and what goes wrong with it.
//!
//! Spec:   MISP 2.5 `AppController::beforeFilter` (403 and what it says), `RateLimitComponent` (429
//!         and its headers), `RestResponseComponent` (errors are `name`, `message`, `url`)

use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::CONTENT_LENGTH;
use hyper::header::CONTENT_TYPE;
use serde_json::Value;
use serde_json::json;

use super::Asked;
use super::KEY;
use super::body::Piece;
use super::body::Pieces;
use super::faults::Fault;
use super::faults::some_made;
use super::filter::Filter;
use super::search;
use super::state::State;

/// Attributes that are made and sent at a time.
const MADE_AT_ONCE: u64 = 256;

/// What an answer is, before anything goes wrong with it.
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type", "application/json; charset=UTF-8".to_owned())];
        Self { status, headers, body: body.to_string().into_bytes() }
    }

    fn html(status: u16, body: &str) -> Self {
        let headers = vec![("content-type", "text/html; charset=UTF-8".to_owned())];
        Self { status, headers, body: body.as_bytes().to_vec() }
    }

    fn error(status: u16, message: &str, path: &str) -> Self {
        Self::json(status, &json!({ "name": message, "message": message, "url": path }))
    }

    fn page(page: search::Page, state: &State) -> Self {
        let mut body = page.body;
        if state.has_plain_numbers {
            search::make_plain(&mut body);
        }
        let mut answer = Self::json(200, &body);
        answer.headers.push(("x-result-count", page.counted.to_string()));
        answer.headers.push(("x-skipped-elements-count", page.skipped.to_string()));
        answer.headers.push(("x-export-module-used", "json".to_owned()));
        answer.headers.push(("x-response-format", "json".to_owned()));
        answer
    }

    fn head(&self) -> hyper::http::response::Builder {
        let builder = Response::builder().status(self.status);
        self.headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, value))
    }

    fn whole(self, accepts_gzip: bool) -> Response<Pieces> {
        if !accepts_gzip {
            let head = self.head().header(CONTENT_LENGTH, self.body.len());
            return head.body(Pieces::whole(self.body)).expect("an answer");
        }
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        std::io::Write::write_all(&mut packed, &self.body).expect("memory takes it");
        let packed = packed.finish().expect("memory takes it");
        let head = self.head().header("content-encoding", "gzip");
        head.header(CONTENT_LENGTH, packed.len()).body(Pieces::whole(packed)).expect("an answer")
    }
}

/// Answers what was asked as MISP does.
pub(crate) fn right(state: &State, asked: &Asked) -> Answer {
    if asked.key.as_deref() != Some(KEY) {
        let message = "Authentication failed. Please make sure you pass the API key of an API \
                       enabled user along in the Authorization header.";
        return Answer::error(403, message, &asked.path);
    }
    let filter = Filter::new(&asked.body);
    let path = asked.path.trim_end_matches(".json").trim_end_matches('/').to_lowercase();
    match (asked.method.as_str(), path.as_str()) {
        ("POST", "/attributes/restsearch") => {
            Answer::page(search::attributes(state, &filter), state)
        }
        ("POST", "/objects/restsearch") => Answer::page(search::objects(state, &filter), state),
        ("POST", "/events/restsearch") => Answer::page(search::events(state, &filter), state),
        ("GET", "/warninglists" | "/warninglists/index") => {
            Answer::json(200, &search::warninglists(state))
        }
        ("GET", "/servers/getversion") => Answer::json(200, &version()),
        ("GET", "/attributes/describetypes") => Answer::json(200, &types(state)),
        ("GET", "/users/view/me") => Answer::json(200, &user()),
        ("GET", path) => {
            let id = path.strip_prefix("/warninglists/view/");
            match id.and_then(|id| search::warninglist(state, id)) {
                Some(list) => Answer::json(200, &list),
                None => Answer::error(404, "Invalid Warninglist.", path),
            }
        }
        (_, path) => Answer::error(404, "Not Found", path),
    }
}

fn version() -> Value {
    json!({
        "version": "2.5.40", "pymisp_recommended_version": "2.5.34.4", "perm_sync": false,
        "perm_sighting": true, "perm_galaxy_editor": false, "request_encoding": ["gzip", "br"],
        "filter_sightings": true,
    })
}

fn user() -> Value {
    json!({
        "User": { "id": "2", "org_id": "1", "email": "sensor@csirt.example", "role_id": "6" },
        "Role": { "id": "6", "name": "Read Only", "perm_auth": true, "rate_limit_count": "0" },
        "UserSetting": [],
    })
}

fn types(state: &State) -> Value {
    let mut types = state.attributes.iter().map(|one| one.ty.clone()).collect::<Vec<_>>();
    types.sort();
    types.dedup();
    json!({ "result": {
        "sane_defaults": {}, "types": types, "categories": ["Network activity", "Other"],
        "category_type_mappings": { "Network activity": types, "Other": types },
    }})
}

/// A page of attributes that are made when they are asked for.
pub(crate) fn made_page(state: &State, asked: &Asked) -> Option<Response<Pieces>> {
    let is_search = asked.path.eq_ignore_ascii_case("/attributes/restSearch");
    if state.made == 0 || !is_search || asked.key.as_deref() != Some(KEY) {
        return None;
    }
    let filter = Filter::new(&asked.body);
    let rows = search::made_rows(state, &filter);
    let count = (rows.end - rows.start) as usize;
    let is_full = Some(count as u64) == filter.number("limit");
    let head = Response::builder().header(CONTENT_TYPE, "application/json; charset=UTF-8");
    let head = head.header("x-result-count", count + usize::from(is_full || count == 0));
    let head = head.header("x-skipped-elements-count", 0);
    let (mut next, start) = (rows.start, rows.start);
    let more = move || {
        let from = next;
        next = rows.end.min(from + MADE_AT_ONCE);
        (from < next).then(|| some_made(from, next - from)).map(|mut bytes| {
            // the first of a page follows none
            if from == start && from > 0 {
                bytes.remove(0);
            }
            bytes
        })
    };
    Some(head.body(list_of(more, b"]}}")).expect("an answer"))
}

/// The beginning of an answer of attributes, what is made of them, and an end.
fn list_of(
    mut more: impl FnMut() -> Option<Vec<u8>> + Send + 'static,
    end: &'static [u8],
) -> Pieces {
    let mut step = 0;
    Pieces::new(move || {
        if step == 0 {
            step = 1;
            return Some(Piece::Bytes(Bytes::from_static(b"{\"response\":{\"Attribute\":[")));
        }
        if step == 1
            && let Some(bytes) = more()
        {
            return Some(Piece::Bytes(bytes.into()));
        }
        step += 1;
        (step == 2).then(|| Piece::Bytes(Bytes::from_static(end)))
    })
}

/// Returns what is sent: the right answer, or what a fault makes of it.
pub(crate) fn sent(answer: Answer, fault: Option<Fault>, asked: &Asked) -> Response<Pieces> {
    let Some(fault) = fault else { return answer.whole(asked.accepts_gzip) };
    match fault {
        Fault::Cut { .. }
        | Fault::CutUnannounced { .. }
        | Fault::Torn { .. }
        | Fault::Trickle
        | Fault::Stall
        | Fault::Endless
        | Fault::Flood { .. }
        | Fault::LongText { .. }
        | Fault::Deep { .. } => with_body(answer, fault),
        _ => instead(answer, fault, asked),
    }
}

/// Attributes of so many bytes.
fn flood(bytes: u64) -> Pieces {
    let (mut next, mut sent) = (0, 0);
    let more = move || {
        let some = (sent < bytes).then(|| some_made(next, MADE_AT_ONCE))?;
        (next, sent) = (next + MADE_AT_ONCE, sent + some.len() as u64);
        Some(some)
    };
    list_of(more, b"]}}")
}

/// Lists within lists, in place of attributes or in a field of one.
fn deep(levels: usize, is_field: bool) -> Pieces {
    let (head, end) = if is_field { ("{\"x\":", ",\"type\":\"url\"}") } else { ("", "") };
    let mut parts = vec![end.to_owned()];
    let mut all = |mark: &str| {
        let step = 1 << 20;
        parts.extend((0..levels).step_by(step).map(|at| mark.repeat(step.min(levels - at))));
    };
    all("]");
    all("[");
    parts.push(head.to_owned());
    list_of(move || parts.pop().map(String::into_bytes), b"]}}")
}

/// Answers in which the body is wrong.
fn with_body(answer: Answer, fault: Fault) -> Response<Pieces> {
    let len = answer.body.len();
    let share = |percent: usize| len * percent / 100;
    let head = answer.head();
    let (head, body) = match fault {
        Fault::Cut { percent } => {
            (head.header(CONTENT_LENGTH, len), Pieces::cut(answer.body, share(percent)))
        }
        Fault::CutUnannounced { percent } => (head, Pieces::cut(answer.body, share(percent))),
        Fault::Torn { percent } => (head, Pieces::whole(answer.body[..share(percent)].to_vec())),
        Fault::Stall => {
            let half = answer.body[..len / 2].to_vec();
            (head, Pieces::then_silence(half))
        }
        Fault::Endless => (head, flood(u64::MAX)),
        Fault::Flood { bytes } => (head, flood(bytes)),
        Fault::Deep { levels, is_field } => (head, deep(levels, is_field)),
        Fault::LongText { bytes } => {
            let mut left = bytes;
            let mut first = some_made(0, 1);
            // its value is all that is long
            let at = first.windows(9).position(|at| at == b"\"value\":\"").expect("has one") + 9;
            let mut rest = Some(first.split_off(at));
            let mut first = Some(first);
            let more = move || {
                first.take().or_else(|| {
                    let len = left.min(1 << 20);
                    left -= len;
                    if len > 0 { Some(vec![b'7'; len as usize]) } else { rest.take() }
                })
            };
            (head, list_of(more, b"]}}"))
        }
        _ => (head, Pieces::slowly(answer.body, 10, Duration::from_millis(20))),
    };
    head.body(body).expect("an answer")
}

/// Answers that are given instead of the right one.
fn instead(answer: Answer, fault: Fault, asked: &Asked) -> Response<Pieces> {
    let path = asked.path.as_str();
    let mut answer = match fault {
        Fault::TooMany { .. } => Answer::error(429, "Rate limit exceeded.", path),
        Fault::GatewayTimeout => Answer::html(504, GATEWAY),
        Fault::ServerError => Answer::error(500, "An Internal Error Has Occurred.", path),
        Fault::EmptyServerError => Answer { status: 500, headers: Vec::new(), body: Vec::new() },
        Fault::LoginPage => Answer::html(200, LOGIN),
        Fault::ErrorInside => Answer::json(
            200,
            &json!({
                "saved": false, "name": "Could not search", "message": "Could not search",
                "url": path,
                "errors": "The query was too broad.",
            }),
        ),
        Fault::Forbidden => {
            Answer::error(403, "API searches are not allowed for this user role.", path)
        }
        Fault::RedirectHere => Answer::html(308, ""),
        Fault::RedirectLoop | Fault::RedirectAway { .. } => Answer::html(302, ""),
        Fault::Instead(body) => Answer { status: 200, body: body.as_bytes().to_vec(), ..answer },
        Fault::Nothing => Answer { body: Vec::new(), ..answer },
        _ => answer,
    };
    match fault {
        Fault::TooMany { says_when, secs } => {
            answer.headers.push(("x-rate-limit-limit", "5".to_owned()));
            answer.headers.push(("x-rate-limit-remaining", "0".to_owned()));
            let reset = if says_when { 86_400 } else { secs };
            answer.headers.push(("x-rate-limit-reset", reset.to_string()));
            if says_when {
                answer.headers.push(("retry-after", secs.to_string()));
            }
        }
        Fault::RedirectHere => {
            answer.headers.push(("location", format!("{}/", path.trim_end_matches('/'))));
        }
        Fault::RedirectLoop => answer.headers.push(("location", path.to_owned())),
        Fault::RedirectAway { port } => {
            let location = format!("https://127.0.0.1:{port}{path}");
            answer.headers.push(("location", location));
        }
        Fault::WrongType => answer.headers[0].1 = "text/html; charset=UTF-8".to_owned(),
        _ => {}
    }
    answer.whole(false)
}

const GATEWAY: &str = "<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n<body>\r\n\
                       <center><h1>504 Gateway Time-out</h1></center>\r\n<hr><center>nginx</center>\
                       \r\n</body>\r\n</html>\r\n";

const LOGIN: &str = "<!DOCTYPE html><html><head><title>Login - MISP</title></head><body>\
                     <form action=\"/users/login\" method=\"post\">\
                     <input name=\"data[User][email]\">\
                     </form></body></html>";
