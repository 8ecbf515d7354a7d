//! Every case of `fixtures/`: capture and indicators give exactly the expected alerts.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::run::root;
use crate::run::run;

/// A case is a folder with a capture, its indicators and the alerts expected.
pub(crate) struct Case {
    pub(crate) folder: PathBuf,
    pub(crate) input: String,
}

impl Case {
    /// `replay` with the case's indicators, and `more`.
    pub(crate) fn arguments(&self, more: &[&str]) -> Vec<String> {
        let mut arguments = vec!["replay".to_owned(), "--opt-in=user-agent".to_owned()];
        for path in self.intel() {
            arguments.extend(["--intel".to_owned(), path.display().to_string()]);
        }
        arguments.extend(more.iter().map(|text| (*text).to_owned()));
        arguments
    }

    /// A feed directory as a whole, else each file.
    pub(crate) fn intel(&self) -> Vec<PathBuf> {
        let folder = self.folder.join("indicators");
        if folder.join("manifest.json").is_file() {
            return vec![folder];
        }
        let entries = fs::read_dir(&folder).expect("indicators");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("entry").path()).collect();
        files.sort();
        files
    }
}

pub(crate) fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let fixtures = root().join("fixtures");
    for topic in folders(&fixtures) {
        for folder in folders(&topic) {
            let names = fs::read_dir(&folder)
                .expect("folder")
                .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned());
            let mut inputs: Vec<String> = names.filter(|name| name.starts_with("input.")).collect();
            inputs.sort();
            if let Some(input) = inputs.into_iter().next() {
                cases.push(Case { folder, input });
            }
        }
    }
    assert!(cases.len() >= 10, "only {} cases under {}", cases.len(), fixtures.display());
    cases
}

#[test]
fn captures_give_the_expected_alerts() {
    let mut wrong = Vec::new();
    for case in cases() {
        let expected = case.folder.join("expected.jsonl");
        let run = run(&case.folder, &strs(&case.arguments(&[&case.input])));
        assert_eq!(run.code, 0, "{}: {}", case.folder.display(), run.stderr);
        let seen: String = run.lines().iter().map(|alert| brief(alert) + "\n").collect();
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &seen).expect("write");
        }
        let known = fs::read_to_string(&expected).unwrap_or_default();
        if known != seen {
            wrong.push(format!("{}:\n  expected\n{known}  seen\n{seen}", case.folder.display()));
        }
    }
    assert!(wrong.is_empty(), "BLESS=1 rewrites them:\n{}", wrong.join("\n"));
}

#[test]
fn the_demo_gives_whole_alerts() {
    let case =
        cases().into_iter().find(|case| case.folder.ends_with("demo/site")).expect("the demo");
    let expected = case.folder.join("alerts.jsonl");
    let run = run(&case.folder, &strs(&case.arguments(&[&case.input])));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&expected, run.text()).expect("write");
    }
    let known = fs::read_to_string(&expected).expect("recorded alerts");
    for (known, seen) in known.lines().zip(run.text().lines()) {
        assert_eq!(known, seen, "BLESS=1 rewrites them");
    }
    assert_eq!(known, run.text());
}

#[test]
fn every_case_says_what_it_shows() {
    for case in cases() {
        let readme = case.folder.join("README.md");
        let text = fs::read_to_string(&readme).unwrap_or_default();
        assert!(text.len() > 100, "{} says nothing", readme.display());
    }
}

/// What a case pins of an alert: what hit, where, how well, between whom.
fn brief(alert: &Value) -> String {
    let own = &alert["tapsieve"];
    json!({
        "time": alert["@timestamp"],
        "type": own["indicator"]["type"],
        "value": own["indicator"]["value"],
        "match": own["match"],
        "place": own["observed"]["place"],
        "seen": own["observed"]["value"],
        "side": own["observed"]["side"],
        "packet": own["observed"]["packet"],
        "source": alert["source"]["ip"],
        "destination": alert["destination"]["ip"],
        "events": own["sources"].as_array().map(Vec::len),
    })
    .to_string()
}

fn folders(under: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(under).expect("folder").map(|entry| entry.expect("entry").path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    found.sort();
    found
}
