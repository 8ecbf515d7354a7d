//! The warninglists of a MISP server: those that are enabled, in the form that `warninglist` reads.
//!
//! Spec:   MISP 2.4/2.5 OpenAPI (`/warninglists`, `/warninglists/view/N`)
//! Reads:  the index, and each list whose version is not here yet
//! Yields: a file for each list, named by its number and version
//! Bounds: `limits::WARNINGLISTS_MAX`, `INDEX_BYTES_MAX`, `limits::WARNINGLIST_FILE_BYTES_MAX`
//! Leaves: lists that are not enabled

use std::collections::BTreeSet;
use std::io;
use std::io::Read;

use serde::Deserialize;

use crate::control::intel::Fault;
use crate::control::intel::input::trimmed;
use crate::control::intel::json::Flag;
use crate::control::intel::json::Number;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::http::Http;
use crate::control::intel::remote::http::HttpSettings;
use crate::control::intel::remote::http::Question;
use crate::control::intel::remote::http::place;
use crate::control::intel::remote::mirror::Mirror;
use crate::control::intel::remote::mirror::open_plain;
use crate::control::intel::remote::retry::Retry;
use crate::control::intel::warninglist;
use crate::model::limits::WARNINGLIST_FILE_BYTES_MAX;
use crate::model::limits::WARNINGLISTS_MAX;

/// The folder of the lists in that of the mirror; hidden, as it holds no indicators.
pub const FOLDER: &str = ".warninglists";

/// Bytes of the index: a list has a kilobyte in it.
const INDEX_BYTES_MAX: u64 = 64 << 20;

/// Bytes that show whether a file is JSON.
const HEAD_BYTES: u64 = 1024;

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
    mirror: &Mirror,
) -> Result<bool, RemoteError> {
    let mirror = mirror.below(FOLDER, WARNINGLIST_FILE_BYTES_MAX)?;
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
    let here = mirror.names();
    let here = here.into_iter().filter(|name| is_json(&mirror, name)).collect::<BTreeSet<_>>();
    let wanted = enabled.map(|list| (format!("{}-{}.json", list.id.0, list.version.0), list.id.0));
    let mut wanted = wanted.collect::<Vec<_>>();
    let (mut differs, mut missing) = (false, BTreeSet::new());
    let mut trouble = too_many(settings, wanted.len());
    wanted.truncate(WARNINGLISTS_MAX);
    for (name, id) in wanted.iter().filter(|(name, _)| !here.contains(name)) {
        let url = settings.below(&format!("warninglists/view/{id}"))?;
        let question = Question::get(url);
        match Retry::default().run(|| fetch(http, &question, &mirror, name)) {
            Ok(()) => differs = true,
            // the others may be had
            Err(error @ RemoteError::Answer { .. }) => {
                missing.insert(*id);
                trouble = trouble.or(Some(error));
            }
            Err(error) => return Err(error),
        }
    }
    for name in mirror.names() {
        let id = name.split_once('-').and_then(|(id, _)| id.parse::<u64>().ok());
        // of a list that could not be had the last one stays
        let stays = id.is_some_and(|id| missing.contains(&id));
        if stays || wanted.iter().any(|(wanted, _)| *wanted == name) {
            continue;
        }
        mirror.remove(&name)?;
        differs = true;
    }
    trouble.map_or(Ok(differs), Err)
}

/// Says that a server has more lists than are taken.
fn too_many(settings: &HttpSettings, lists: usize) -> Option<RemoteError> {
    let what = format!("{lists} warninglists are enabled: {WARNINGLISTS_MAX} are taken");
    let place = place(&settings.url);
    (lists > WARNINGLISTS_MAX).then_some(RemoteError::Answer { place, what, may_mend: false })
}

fn fetch(http: &Http, question: &Question, mirror: &Mirror, name: &str) -> Result<(), RemoteError> {
    let mut answer = http.ask(question)?;
    let mut draft = mirror.draft(name)?;
    let copied = io::copy(&mut answer, &mut draft);
    match (copied, answer.take_failure()) {
        (_, Some(failure)) => Err(failure),
        (Err(error), None) => Err(draft.fault(&error)),
        (Ok(_), None) => {
            let place = answer.place().to_owned();
            let wrong = |fault: Fault| {
                let what = format!("no warninglist: {}", fault.what);
                RemoteError::Answer { place, what, may_mend: false }
            };
            warninglist::check(draft.so_far()?).map_err(wrong)?;
            draft.keep().map(drop)
        }
    }
}

/// Tells whether a list that is here can be one: an older version took any answer for one.
fn is_json(mirror: &Mirror, name: &str) -> bool {
    let mut head = Vec::new();
    let file = open_plain(&mirror.folder().join(name));
    let read = file.and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    read.is_ok() && trimmed(&head).starts_with(b"{")
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;
    use std::io::BufReader;
    use std::io::Write;
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::Mutex;

    use reqwest::Url;

    use super::*;
    use crate::control::intel::remote::http::ProxyRule;
    use crate::control::intel::remote::mirror::Owner;

    /// What is answered to whoever asks for the index, and for a list.
    type Answers = Arc<Mutex<[String; 2]>>;

    /// Serves until the process ends.
    fn serve(answers: &Answers) -> HttpSettings {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let url = format!("http://{}/", listener.local_addr().expect("has one"));
        let answers = Arc::clone(answers);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a client");
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let first = lines.next().unwrap_or_default();
                let _rest = lines.take_while(|line| !line.is_empty()).count();
                let at = usize::from(first.contains("/view/"));
                let body = answers.lock().expect("whole")[at].clone();
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
                let _gone = write!(stream, "{head} {}\r\n\r\n{body}", body.len());
            }
        });
        let url = Url::parse(&url).expect("a URL");
        HttpSettings { proxy: ProxyRule::Direct, read_secs: 5, ..HttpSettings::new(url) }
    }

    fn index(version: u32) -> String {
        let list = r#""id":"3","name":"X","enabled":true"#;
        format!(r#"{{"Warninglists":[{{"Warninglist":{{{list},"version":"{version}"}}}}]}}"#)
    }

    fn list(entry: &str) -> String {
        let entries = format!(r#"[{{"value":"{entry}"}}]"#);
        format!(r#"{{"Warninglist":{{"name":"X","type":"string","WarninglistEntry":{entries}}}}}"#)
    }

    #[test]
    fn a_page_for_people_is_no_list_and_the_last_one_stays() {
        let answers: Answers = Arc::new(Mutex::new([index(6), list("a.example")]));
        let settings = serve(&answers);
        let http = settings.open().expect("ready");
        let folder = tempfile::tempdir().expect("folder");
        let owner = Owner { kind: "misp".to_owned(), place: "x".to_owned(), mark: 1 };
        let mirror = Mirror::open(folder.path(), 1 << 20, &owner).expect("opened");
        let names = || mirror.below(FOLDER, 1 << 20).expect("opened").names();
        assert!(pull(&http, &settings, &mirror).expect("had"));
        assert_eq!(names(), ["3-6.json"]);
        *answers.lock().expect("whole") = [index(7), "<html>login</html>".to_owned()];
        for _ in 0..2 {
            let error = pull(&http, &settings, &mirror).expect_err("no list");
            assert!(error.to_string().contains("no warninglist"), "{error}");
            assert_eq!(names(), ["3-6.json"]);
        }
        *answers.lock().expect("whole") = [index(7), list("b.example")];
        assert!(pull(&http, &settings, &mirror).expect("had"));
        assert_eq!(names(), ["3-7.json"]);
        // what an older version took for a list is fetched again
        let path = folder.path().join(FOLDER).join("3-7.json");
        std::fs::write(&path, "<html>").expect("written");
        assert!(pull(&http, &settings, &mirror).expect("had"));
        assert!(warninglist::check(&path).is_ok());
    }
}
