//! Indicator sets as files, through the command line: the same alerts, totals that add up, exit
//! codes.

use std::fs;
use std::os::unix::fs::FileExt;

use serde_json::Value;

use crate::golden::cases;
use crate::golden::strs;
use crate::lab::Lab;
use crate::lab::TAP;
use crate::lab::capture;
use crate::run::Run;
use crate::run::root;
use crate::run::run;

#[test]
fn a_compiled_set_gives_the_same_alerts() {
    let folder = tempfile::tempdir().expect("folder");
    let set = folder.path().join("set").display().to_string();
    let mut all = 0;
    for case in cases() {
        let expected = run(&case.folder, &strs(&case.arguments(&["--workers", "0", &case.input])));
        let mut compile = vec!["intel", "compile", "--opt-in=user-agent", "-o", &set];
        let intel = case.intel().iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        intel.iter().for_each(|path| compile.extend(["--intel", path]));
        let compiled = run(&case.folder, &compile);
        assert_eq!(compiled.code, 0, "{}", compiled.stderr);
        let seen = run(&case.folder, &["replay", "--workers", "0", "--intel", &set, &case.input]);
        assert_eq!(seen.code, 0, "{}", seen.stderr);
        assert_eq!(seen.text(), expected.text(), "{}", case.folder.display());
        all += expected.stdout.len();
    }
    assert!(all > 0, "no case alerts");
}

/// Compiles files of a folder and returns the run with its totals.
fn compile(folder: &std::path::Path, inputs: &[&str]) -> (Run, Value) {
    let mut arguments = vec!["intel", "compile", "--json", "-o", "set"];
    inputs.iter().for_each(|input| arguments.extend(["--intel", *input]));
    let run = run(folder, &arguments);
    let totals = run.lines().pop().unwrap_or_default();
    (run, totals)
}

#[test]
fn totals_add_up_and_damage_is_told() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("list"), "evil.example\n9.1.2.3\n10.0.0.1\nnot a value\n").expect("write");
    fs::write(at("cut.json"), "{\"Event\":{\"Attribute\":[{\"type\":\"domain\"").expect("write");
    let (made, totals) = compile(folder.path(), &["list"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let sum = |counts: &Value| {
        let counts = counts.as_object().expect("counts").values();
        counts.map(|n| n.as_u64().expect("a number")).sum::<u64>()
    };
    let left_out = totals["left_out"].as_object().expect("reasons").values().map(sum).sum::<u64>();
    assert_eq!(totals["attributes"], sum(&totals["accepted"]) + left_out);
    assert_eq!(sum(&totals["indicators"]), 2);
    assert!(left_out > 0);
    assert_eq!(totals["bytes"], fs::metadata(at("set")).expect("the set").len());

    let text = run(folder.path(), &["intel", "compile", "--intel", "list", "-o", "set"]).text();
    assert!(text.contains("2 indicators: 1 domain, 1 ip-dst"), "{text}");
    assert!(text.contains("left out, special_purpose: 1 ip-dst"), "{text}");

    let whole = fs::read(at("set")).expect("the set");
    let (damaged, totals) = compile(folder.path(), &["list", "cut.json"]);
    assert_eq!((damaged.code, totals["damage"].as_array().map(Vec::len)), (3, Some(1)));
    assert!(damaged.stderr.contains("cut.json: "), "{}", damaged.stderr);
    assert!(fs::read(at("set")).expect("the set") == whole, "the same indicators");

    // without an input or list that cannot be read at all it would be another set than was meant
    fs::write(at("binary"), "\0\0").expect("write");
    fs::write(at("lists.json"), "{").expect("write");
    fs::create_dir(at("empty")).expect("made");
    fs::write(at("more"), "more.example\n").expect("write");
    for unread in [
        ["--intel", "missing"],
        ["--intel", "binary"],
        ["--intel", "empty"],
        ["--warninglists", "missing"],
        ["--warninglists", "lists.json"],
        ["--warninglists", "empty"],
    ] {
        for (output, before) in [("set", Some(&whole)), ("new", None)] {
            let mut asked = vec!["intel", "compile", "--intel", "more", "-o", output];
            asked.extend(unread);
            let left = run(folder.path(), &asked);
            assert_eq!((left.code, left.text().as_str()), (3, ""), "{unread:?}: {}", left.stderr);
            let said = format!("{output}: left as it is, as {} cannot be read", unread[1]);
            assert!(left.stderr.contains(&said), "{}", left.stderr);
            assert!(fs::read(at(output)).ok().as_ref() == before, "{unread:?} {output}");
        }
        let mut asked = vec!["intel", "compile", "--intel", "more", "-o", "new", "--keep-going"];
        asked.extend(unread);
        assert_eq!(run(folder.path(), &asked).code, 3);
        fs::remove_file(at("new")).expect("it was written");
    }

    // what went wrong leaves the old file
    assert_eq!(compile(folder.path(), &["cut.json"]).0.code, 1);
    assert_eq!(compile(folder.path(), &[]).0.code, 2);
    let over = run(folder.path(), &["intel", "compile", "--intel", "list", "-o", "list"]);
    assert_eq!(over.code, 2, "{}", over.stderr);
    let no_folder = ["intel", "compile", "--intel", "list", "-o", "no/set"];
    assert_eq!(run(folder.path(), &no_folder).code, 1);
    assert!(fs::read(at("set")).expect("the set") == whole);

    // nor does it take the place of what is no plain file
    std::os::unix::fs::symlink(at("set"), at("link")).expect("made");
    for odd in ["link", "-", "/dev/null"] {
        let refused = run(folder.path(), &["intel", "compile", "--intel", "list", "-o", odd]);
        assert_eq!(refused.code, 1, "{odd}: {}", refused.stderr);
        assert!(refused.stderr.contains("no plain file"), "{}", refused.stderr);
    }
}

#[test]
fn damage_is_found_by_verifying() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);
    let feed = root().join("fixtures/demo/feed").display().to_string();
    let (made, totals) = compile(folder.path(), &[&feed]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let mut bytes = fs::read(at("set")).expect("the set");
    let last = bytes.iter().rposition(|byte| *byte != 0).expect("contents");
    bytes[last] ^= 1;
    fs::write(at("bad"), &bytes).expect("write");
    fs::write(at("list"), "evil.example\n").expect("write");

    let good = run(folder.path(), &["intel", "verify", "set"]);
    assert_eq!(good.code, 0, "{}", good.stderr);
    assert!(good.text().contains(totals["version"].as_str().expect("a version")));
    let mixed = run(folder.path(), &["intel", "verify", "--json", "set", "bad", "list"]);
    assert_eq!(mixed.code, 3, "{}", mixed.stderr);
    let whole = mixed.lines().iter().map(|line| line["whole"].clone()).collect::<Vec<_>>();
    assert_eq!(whole, [true, false, false]);
    assert!(mixed.stderr.contains("bad: section "), "{}", mixed.stderr);
    assert_eq!(run(folder.path(), &["intel", "verify", "list"]).code, 1);

    // a damaged set is not made whole by compiling it again
    let again = run(folder.path(), &["intel", "compile", "--intel", "bad", "-o", "again"]);
    assert_eq!(again.code, 1, "{}", again.stderr);
    assert!(!at("again").exists());
}

/// Compiles a list, and has it take the place of another set by a rename.
fn put(lab: &Lab, list: &str) {
    fs::write(lab.path("list"), list).expect("written");
    let list = lab.path("list").display().to_string();
    let new = lab.path("new").display().to_string();
    let made = run(lab.folder.path(), &["intel", "compile", "--intel", &list, "-o", &new]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    fs::rename(&new, lab.path("set")).expect("renamed");
}

/// Has a set with a damaged body, under a head that is whole, take its place.
fn damage(lab: &Lab) {
    let mut bytes = fs::read(lab.path("set")).expect("the set");
    let last = bytes.iter().rposition(|byte| *byte != 0).expect("contents");
    bytes[last] ^= 1;
    fs::write(lab.path("new"), &bytes).expect("written");
    fs::rename(lab.path("new"), lab.path("set")).expect("renamed");
}

#[test]
fn a_confined_sensor_maps_a_set_and_takes_the_next_one_unless_it_is_damaged() {
    let Some(lab) = Lab::new() else { return };
    put(&lab, "30.44.10.10\n203.0.114.7\n");
    let set = lab.path("set");
    let more = format!("{TAP}[indicators]\nwatch_secs = 1\n");
    let sensor = lab.sensor(&set, &more);
    let maps = || fs::read_to_string(format!("/proc/{}/maps", sensor.pid())).expect("runs");
    let is_mapped = |maps: &str| maps.contains(&set.display().to_string());
    assert!(is_mapped(&maps()), "{}", sensor.said());

    damage(&lab);
    sensor.wait("refusal", |lab| lab.get("/readyz").contains("its checksum is another"));
    assert_eq!(lab.metric("tapsieve_ready"), 1.0);
    lab.send(&capture(), &["--topspeed"]);
    sensor.wait("alert", |lab| !lab.alerts().is_empty());

    put(&lab, "203.0.114.7\n203.0.114.8\n30.44.20.0/24\n");
    sensor.wait("new set", |lab| lab.metric("tapsieve_indicators{kind=\"ip-dst\"}") == 3.0);
    sensor.wait("readiness", |lab| lab.get("/readyz") == "ready\n");
    sensor.wait("the old set let go", |_| {
        let mapped = maps();
        is_mapped(&mapped) && !mapped.contains("(deleted)\n")
    });
    assert_eq!(sensor.stop().code, 0);
}

#[test]
fn a_set_that_is_written_into_where_it_lies_is_no_good_one() {
    let Some(lab) = Lab::new() else { return };
    put(&lab, "30.44.10.10\n203.0.114.7\n");
    let sensor = lab.sensor(&lab.path("set"), &format!("{TAP}[indicators]\nwatch_secs = 1\n"));
    let set = fs::OpenOptions::new().write(true).open(lab.path("set")).expect("opened");
    let bytes = set.metadata().expect("there").len();
    set.write_all_at(&vec![0; bytes as usize - 4_096], 4_096).expect("written");
    sensor.wait("trouble", |lab| lab.get("/readyz").contains("in force are damaged"));
    assert_eq!(lab.metric("tapsieve_ready"), 0.0);
    put(&lab, "30.44.10.10\n203.0.114.7\n203.0.114.8\n");
    sensor.wait("readiness", |lab| lab.get("/readyz") == "ready\n");
    lab.send(&capture(), &["--topspeed"]);
    sensor.wait("alert", |lab| !lab.alerts().is_empty());
}

#[test]
fn a_sensor_does_not_start_with_a_damaged_set() {
    let Some(lab) = Lab::new() else { return };
    put(&lab, "30.44.10.10\n");
    damage(&lab);
    let ended = lab.sensor_that_ends(&[], &lab.path("set"), TAP);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("its checksum is another"), "{}", ended.stderr);
}
