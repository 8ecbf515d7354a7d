//! The command line as users meet it: exit codes, errors of one line, outputs that are whole or not
//! there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use crate::run::ran;
use crate::run::root;
use crate::run::run;
use crate::run::tapsieve;

fn demo() -> (PathBuf, PathBuf) {
    let fixtures = root().join("fixtures/demo");
    (fixtures.join("feed"), fixtures.join("site/input.pcap"))
}

/// Runs `replay` on inputs in a folder and checks the exit code and a part of what is said.
fn check(folder: &Path, intel: &str, inputs: &[&str], code: i32, says: &str) {
    let mut arguments = vec!["replay", "--intel", intel];
    arguments.extend(inputs);
    let run = run(folder, &arguments);
    assert_eq!(run.code, code, "{inputs:?}: {}", run.stderr);
    assert!(run.stderr.contains(says), "{inputs:?}: {:?} in {}", says, run.stderr);
    assert!(!run.stderr.contains("panicked"));
}

#[test]
fn bad_captures_have_one_line_and_their_exit_code() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    let (feed, capture) = demo();
    let (feed, good) = (feed.display().to_string(), capture.display().to_string());
    let bytes = fs::read(&capture).expect("capture");
    fs::write(at("empty.pcap"), "").expect("write");
    fs::write(at("text.pcap"), "this is no capture at all, only words").expect("write");
    fs::write(at("cut.pcap"), &bytes[..bytes.len() - 7]).expect("write");
    fs::write(at("header.pcap"), &bytes[..24]).expect("write");
    fs::create_dir(at("folder")).expect("folder");
    let path = folder.path();
    check(path, &feed, &["empty.pcap"], 1, "empty.pcap: empty");
    check(path, &feed, &["text.pcap"], 1, "text.pcap: not a capture");
    check(path, &feed, &["nothing.pcap"], 1, "nothing.pcap: no such file");
    check(path, &feed, &["folder"], 1, "folder: ");
    check(path, &feed, &["*.nothing"], 1, "*.nothing: ");
    check(path, &feed, &["cut.pcap"], 3, "cut.pcap: cut after frame ");
    check(path, &feed, &["header.pcap"], 0, "packets");
    check(path, &feed, &["empty.pcap", &good], 3, "empty.pcap: empty");
    check(path, &feed, &[&good], 0, "packets");
}

#[test]
fn a_cut_capture_gives_what_it_holds() {
    let folder = tempfile::tempdir().expect("folder");
    let (feed, capture) = demo();
    let feed = feed.display().to_string();
    let bytes = fs::read(&capture).expect("capture");
    fs::write(folder.path().join("capture"), &bytes).expect("write");
    let whole = run(folder.path(), &["replay", "--intel", &feed, "capture"]);
    fs::write(folder.path().join("capture"), &bytes[..bytes.len() - 1]).expect("write");
    let cut = run(folder.path(), &["replay", "--intel", &feed, "capture"]);
    assert_eq!((whole.code, cut.code), (0, 3));
    assert!(whole.text().starts_with(&cut.text()) && !cut.stdout.is_empty());
}

#[test]
fn bad_indicators_have_one_line_and_their_exit_code() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    let good = demo().1.display().to_string();
    fs::write(at("broken.json"), "{\"Event\": {\"Attribute\": [").expect("write");
    fs::write(at("list.txt"), "10.0.0.1\n192.168.0.0/16\n").expect("write");
    fs::write(at("useful.txt"), "45.155.205.99\n").expect("write");
    let path = folder.path();
    check(path, "nothing", &[&good], 1, "nothing");
    check(path, "broken.json", &[&good], 1, "broken.json");
    check(path, "list.txt", &[&good], 1, "special");
    let intel = ["replay", "--intel", "broken.json", "--intel", "useful.txt", &good];
    let some = run(path, &intel);
    assert_eq!(some.code, 3, "{}", some.stderr);
    let special = ["replay", "--allow-special", "--intel", "list.txt", &good];
    assert_eq!(run(path, &special).code, 0);
}

#[test]
fn wrong_usage_is_exit_2() {
    let folder = tempfile::tempdir().expect("folder");
    let good = demo().1.display().to_string();
    let feed = demo().0.display().to_string();
    let wrong: &[&[&str]] = &[
        &[],
        &["replya"],
        &["replay"],
        &["replay", "--intel", &feed],
        &["replay", "--intel", &feed, "--workers", "many", &good],
        &["replay", "--intel", &feed, "--format", "xml", &good],
        &["replay", "--intel", &feed, "--opt-in", "no-such-type", &good],
        &["replay", "--intel", &feed, "--filter", "tcp porto 80", &good],
        &["observe", "--kind", "no-such-kind", &good],
    ];
    for arguments in wrong {
        let run = run(folder.path(), arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {}", run.stderr);
        assert!(run.stdout.is_empty());
    }
}

#[test]
fn outputs_are_whole_or_not_there() {
    let folder = tempfile::tempdir().expect("folder");
    let (feed, capture) = demo();
    let (feed, good) = (feed.display().to_string(), capture.display().to_string());
    let nowhere = run(folder.path(), &["replay", "--intel", &feed, "--alerts", "no/where", &good]);
    assert_eq!(nowhere.code, 1);
    assert!(nowhere.stderr.contains("cannot write"), "{}", nowhere.stderr);
    let named = ["--alerts", "alerts", "--metrics", "metrics", "--observations", "seen"];
    let mut arguments = vec!["replay", "--intel", &feed];
    arguments.extend(named);
    arguments.push(&good);
    let all = run(folder.path(), &arguments);
    assert_eq!(all.code, 0, "{}", all.stderr);
    let entries = fs::read_dir(folder.path()).expect("folder");
    let names: BTreeSet<String> =
        entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(names, ["alerts", "metrics", "seen"].map(str::to_owned).into());
    let metrics = fs::read_to_string(folder.path().join("metrics")).expect("metrics");
    let alerts = fs::read_to_string(folder.path().join("alerts")).expect("alerts").lines().count();
    let counted: u64 = metrics
        .lines()
        .filter(|line| line.starts_with("tapsieve_alerts_total{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum();
    assert_eq!(counted, alerts as u64);
    let full = run(folder.path(), &["replay", "--intel", &feed, "--alerts", "/dev/full", &good]);
    assert_eq!(full.code, 1, "{}", full.stderr);
}

#[test]
fn a_killed_replay_leaves_whole_lines() {
    let folder = tempfile::tempdir().expect("folder");
    let (feed, capture) = demo();
    let whole = run(
        folder.path(),
        &["replay", "--intel", &feed.display().to_string(), &capture.display().to_string()],
    );
    // a capture that does not end: the reader waits, the file is open, lines are in it
    let mut child = tapsieve(folder.path())
        .args(["replay", "--append", "--alerts", "alerts", "--intel"])
        .arg(&feed)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let mut pipe = child.stdin.take().expect("pipe");
    std::io::Write::write_all(&mut pipe, &fs::read(&capture).expect("capture")).expect("written");
    let alerts = folder.path().join("alerts");
    let quoted = |path: &str| format!("\"file\":\"{path}\"");
    let piped = whole.text().replace(&quoted(&text(&capture)), &quoted("-"));
    let left = wait_for_line(&alerts);
    child.kill().expect("killed");
    child.wait().expect("gone");
    drop(pipe);
    assert!(left.ends_with('\n') && piped.starts_with(&left), "{} bytes", left.len());
    let left = fs::read_to_string(&alerts).expect("alerts");
    assert!(left.ends_with('\n') && piped.starts_with(&left), "{} bytes", left.len());
    fs::write(folder.path().join("alerts"), format!("{left}{{\"@timestamp\":\"half"))
        .expect("write");
    let again = run(
        folder.path(),
        &[
            "replay",
            "--append",
            "--alerts",
            "alerts",
            "--intel",
            &feed.display().to_string(),
            &capture.display().to_string(),
        ],
    );
    assert_eq!(again.code, 0, "{}", again.stderr);
    let after = fs::read_to_string(folder.path().join("alerts")).expect("alerts");
    assert_eq!(after, format!("{left}{}", whole.text()));
}

/// Returns what a file holds once it holds whole lines.
fn wait_for_line(path: &Path) -> String {
    for _ in 0..500 {
        let text = fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n') {
            return text;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{}: nothing was written", path.display());
}

#[test]
fn a_signal_ends_a_replay_in_order() {
    let folder = tempfile::tempdir().expect("folder");
    let (feed, capture) = demo();
    let arguments = ["replay", "--alerts", "alerts", "--metrics", "metrics", "--intel"];
    let mut child = tapsieve(folder.path())
        .args(arguments)
        .arg(&feed)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut pipe = child.stdin.take().expect("pipe");
    std::io::Write::write_all(&mut pipe, &fs::read(&capture).expect("capture")).expect("written");
    // alerts of a file written anew are under its temporary name until the end
    wait_for_line(&folder.path().join(".alerts.part"));
    let pid = child.id().to_string();
    let sent = std::process::Command::new("kill").args(["-INT", &pid]).status().expect("kill");
    assert!(sent.success());
    let ended = ran(&child.wait_with_output().expect("ends"));
    drop(pipe);
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("stopped by SIGINT"), "{}", ended.stderr);
    let plain = run(folder.path(), &["replay", "--intel", &text(&feed), &text(&capture)]);
    let alerts = fs::read_to_string(folder.path().join("alerts")).expect("alerts");
    assert_eq!(alerts.lines().count(), plain.text().lines().count());
    assert!(folder.path().join("metrics").exists());
}

#[test]
fn outputs_never_overwrite_inputs() {
    let folder = tempfile::tempdir().expect("folder");
    let (feed, capture) = demo();
    let copy = |from: &Path, to: &str| fs::copy(from, folder.path().join(to)).expect("copied");
    copy(&capture, "a.pcap");
    fs::create_dir(folder.path().join("feed")).expect("folder");
    for file in fs::read_dir(&feed).expect("feed").map(|entry| entry.expect("entry").path()) {
        copy(&file, &format!("feed/{}", file.file_name().expect("name").to_string_lossy()));
    }
    std::os::unix::fs::symlink("a.pcap", folder.path().join("link")).expect("link");
    let size = || fs::metadata(folder.path().join("a.pcap")).expect("there").len();
    let before = size();
    for outputs in [
        &["--alerts", "a.pcap"][..],
        &["--alerts", "./link"],
        &["--metrics", "a.pcap"],
        &["--observations", "a.pcap"],
        &["--alerts", "feed/manifest.json"],
        &["--alerts", "x", "--metrics", "./x"],
        &["--observations", "-"],
    ] {
        let refused =
            run(folder.path(), &[&["replay", "--intel", "feed", "a.pcap"], outputs].concat());
        assert_eq!((refused.code, size()), (2, before), "{outputs:?}: {}", refused.stderr);
        assert!(refused.stdout.is_empty(), "{outputs:?}");
    }
}

#[test]
fn a_file_is_read_once_whatever_its_names() {
    let folder = tempfile::tempdir().expect("folder");
    let (_, capture) = demo();
    fs::copy(&capture, folder.path().join("a.pcap")).expect("copied");
    let once = run(folder.path(), &["observe", "a.pcap"]);
    std::os::unix::fs::symlink("a.pcap", folder.path().join("link.pcap")).expect("link");
    for inputs in [&["a.pcap", "a.pcap"][..], &["a.pcap", "link.pcap"], &["a.pcap", "."]] {
        let run = run(folder.path(), &[&["observe"], inputs].concat());
        assert_eq!((run.code, run.text()), (0, once.text()), "{inputs:?}: {}", run.stderr);
        assert!(run.stderr.contains("given twice"), "{}", run.stderr);
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (feed, capture) = demo();
    let script = format!(
        "{} replay --intel {} {} 2>/dev/null | head -n 1 | wc -l; echo ${{PIPESTATUS[0]}}",
        env!("CARGO_BIN_EXE_tapsieve"),
        feed.display(),
        capture.display()
    );
    let output = std::process::Command::new("bash").args(["-c", &script]).output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1\n0\n");
}
