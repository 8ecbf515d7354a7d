//! Laws as tests: who may import whom, sizes, headers, words.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Which modules of ours code may name; the first match counts, `*` is the same folder.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("src/model/", &["model"]),
    ("src/pipeline/capturer.rs", &["model", "pipeline"]),
    ("src/pipeline/worker.rs", &["model", "pipeline"]),
    ("src/pipeline/*/", &["model", "pipeline/*"]),
    ("src/pipeline/", &["model"]),
    ("src/report/", &["model", "report"]),
    ("src/control/", &["model", "pipeline", "report", "control"]),
    ("src/main.rs", &["control"]),
];

/// Crates that must not be named under a folder.
const MAY_NOT_NAME: &[(&str, &[&str])] = &[
    (
        "src/model/",
        &["tokio", "reqwest", "tracing", "serde_json", "clap", "prometheus", "indicatif"],
    ),
    (
        "src/pipeline/",
        &["tokio", "reqwest", "tracing", "serde_json", "clap", "prometheus", "indicatif"],
    ),
    ("src/report/", &["tokio", "reqwest", "clap"]),
    ("src/control/", &[]),
];

const LINE_CHARS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 800;

/// Words that do not name anything.
const EMPTY_WORDS: &[&str] = &["utils", "util", "helpers", "helper", "common", "manager", "misc"];

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        for (number, line) in text.lines().enumerate() {
            for used in crate_paths(line) {
                if !may_import(&path, used) {
                    wrong.push(format!("{path}:{}: may not name crate::{used}", number + 1));
                }
            }
            let grouped =
                line.trim_start().starts_with("use crate::{") || line.contains("super::super");
            if grouped {
                wrong.push(format!("{path}:{}: one greppable path a line", number + 1));
            }
        }
        for (folder, crates) in MAY_NOT_NAME.iter().filter(|(folder, _)| path.starts_with(folder)) {
            for name in crates.iter().filter(|name| text.contains(&format!("{name}::"))) {
                wrong.push(format!("{path}: {folder} may not name the crate {name}"));
            }
        }
    }
    none(&wrong);
}

#[test]
fn files_have_headers_and_fit() {
    let mut wrong = Vec::new();
    for root in ["src", "tests", "benches"] {
        for (path, text) in sources(root) {
            if !text.starts_with("//! ") {
                wrong.push(format!("{path}: no `//!` header"));
            }
            let lines = text.lines().count();
            if lines > FILE_LINES_MAX {
                wrong.push(format!(
                    "{path}: {lines} lines, {FILE_LINES_MAX} at most: split by noun"
                ));
            }
            let mut tests = path.ends_with("tests.rs");
            for (number, line) in text.lines().enumerate() {
                tests |= line.starts_with("#[cfg(test)]");
                // a test's data stays as it is in the world
                let is_data = tests && line.contains('"');
                if !is_data && line.chars().count() > LINE_CHARS_MAX {
                    wrong.push(format!("{path}:{}: over {LINE_CHARS_MAX} columns", number + 1));
                }
            }
        }
    }
    none(&wrong);
}

#[test]
fn parsers_name_their_specification() {
    let mut wrong = Vec::new();
    for folder in ["src/pipeline/decode", "src/pipeline/dissect", "src/pipeline/capture"] {
        for (path, text) in sources(folder) {
            let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
            let parser = text.contains("Cursor") || text.contains("Sliced");
            let helps = ["samples.rs", "tests.rs", "fuzz.rs", "reading.rs"];
            let helps = helps.iter().any(|name| path.ends_with(name));
            if parser && !helps && !header.contains("Spec:") {
                wrong.push(format!("{path}: reads bytes, but its header has no `Spec:`"));
            }
        }
    }
    none(&wrong);
}

#[test]
fn nothing_is_left_open() {
    let mut wrong = Vec::new();
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["#[ign", "ore]"], ["todo", "!("]]
        .map(|m| m.concat());
    for root in ["src", "tests", "benches"] {
        for (path, text) in sources(root) {
            for mark in marks.iter().filter(|mark| text.contains(*mark)) {
                wrong.push(format!("{path}: {mark} left"));
            }
            let stem =
                Path::new(&path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if EMPTY_WORDS.contains(&stem) {
                wrong.push(format!("{path}: names nothing"));
            }
        }
    }
    none(&wrong);
}

#[test]
fn every_dependency_has_a_reason() {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let mut inside = false;
    let mut wrong = Vec::new();
    for line in text.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && line.contains('=') && !line.contains(" # ") {
            wrong.push(format!("Cargo.toml: no reason: {line}"));
        }
    }
    none(&wrong);
}

/// The `crate::…` paths that a line names, as `folder/folder/…`.
fn crate_paths(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or_default();
    let ends = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
    code.split("crate::").skip(1).map(|rest| rest.split(ends).next().unwrap_or_default()).collect()
}

fn may_import(path: &str, used: &str) -> bool {
    for (pattern, allowed) in MAY_IMPORT {
        let Some(folder) = matches(path, pattern) else { continue };
        return allowed.iter().any(|name| {
            let name = name.replace('*', folder).replace('/', "::");
            used == name || used.starts_with(&format!("{name}::"))
        });
    }
    true
}

/// The folder that `*` stands for (empty where there is none), if `path` fits the pattern.
fn matches<'p>(path: &'p str, pattern: &str) -> Option<&'p str> {
    let Some((before, after)) = pattern.split_once('*') else {
        return path.starts_with(pattern).then_some("");
    };
    let (folder, rest) = path.strip_prefix(before)?.split_once('/')?;
    (after == "/" && !rest.is_empty()).then_some(folder)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under a folder, with its path from the root of the repository.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("folder");
            open.extend(entries.map(|entry| entry.expect("entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).expect("under root").display().to_string();
            found.push((name, fs::read_to_string(&path).expect("text")));
        }
    }
    assert!(folder != "src" || found.len() > 10, "the walk found only {} files", found.len());
    found.sort();
    found
}

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_law_of_imports_can_fail() {
    assert!(!may_import("src/pipeline/matcher/exact.rs", "pipeline::flow::table"));
    assert!(!may_import("src/model/hit.rs", "report::alert"));
    assert!(!may_import("src/report/alert.rs", "control::cli"));
    assert!(may_import("src/pipeline/matcher/exact.rs", "pipeline::matcher::Index"));
    assert!(may_import("src/pipeline/worker.rs", "pipeline::flow::table"));
    assert_eq!(crate_paths("use crate::model::hit::Hit;"), ["model::hit::Hit"]);
}
