//! What a sensor has given up, seen from outside: its threads' status, and what is refused to it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::lab::Lab;
use crate::lab::Sensor;
use crate::lab::TAP;
use crate::lab::capture;
use crate::lab::feed;
use crate::run::has_program;
use crate::run::run;

/// Words of a status file, and what they are in a sensor that is confined.
const CONFINED: [(&str, &str); 10] = [
    ("Uid", "65534 65534 65534 65534"),
    ("Gid", "65534 65534 65534 65534"),
    ("Groups", "65534"),
    ("CapInh", "0000000000000000"),
    ("CapPrm", "0000000000002000"),
    ("CapEff", "0000000000002000"),
    ("CapBnd", "0000000000002000"),
    ("CapAmb", "0000000000000000"),
    ("NoNewPrivs", "1"),
    ("Seccomp", "2"),
];

/// The status of each thread: its name, then the words of `CONFINED`.
fn threads(sensor: &Sensor<'_>) -> BTreeMap<String, BTreeMap<String, String>> {
    let tasks = fs::read_dir(format!("/proc/{}/task", sensor.pid())).expect("runs");
    let mut threads = BTreeMap::new();
    for task in tasks.map(|task| task.expect("listed").path()) {
        // a thread may end meanwhile
        let Ok(text) = fs::read_to_string(task.join("status")) else { continue };
        let words = text.lines().filter_map(|line| {
            let (word, value) = line.split_once(':')?;
            let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
            Some((word.to_owned(), value))
        });
        let words: BTreeMap<String, String> = words.collect();
        let id = task.file_name().expect("has one").to_string_lossy().into_owned();
        threads.insert(format!("{} {id}", words["Name"]), words);
    }
    threads
}

/// Holds every thread against `CONFINED`, but for some words.
fn check_threads(sensor: &Sensor<'_>, but: &[(&str, &str)]) {
    // a thread gives itself its name
    for name in ["capturer-0", "worker-0", "reporter", "http"] {
        let is_there = |_: &Lab| threads(sensor).keys().any(|thread| thread.starts_with(name));
        sensor.wait(name, is_there);
    }
    let threads = threads(sensor);
    for (name, status) in &threads {
        for (word, value) in CONFINED {
            let changed = but.iter().find(|(changed, _)| *changed == word);
            let value = changed.map_or(value, |(_, value)| value);
            assert_eq!(status[word], value, "{word} of {name}: {}", sensor.said());
        }
    }
}

fn measure(lab: &Lab, name: &str) -> f64 {
    lab.metric(&format!("tapsieve_confinement{{measure=\"{name}\"}}"))
}

fn is_finding(sensor: &Sensor<'_>, lab: &Lab) {
    lab.send(&capture(), &["--topspeed"]);
    sensor.wait("alert", |lab| lab.alerts().len() >= 19);
}

#[test]
fn every_thread_has_given_up_what_it_does_not_need() {
    let Some(lab) = Lab::new() else { return };
    let sensor = lab.sensor(&feed(), &format!("{TAP}[workers]\ncount = 2\n"));
    check_threads(&sensor, &[]);
    is_finding(&sensor, &lab);
    sensor.signal("-HUP");
    sensor.wait("new set", |lab| lab.metric("tapsieve_indicator_set_generation") == 1.0);
    check_threads(&sensor, &[]);
    let said = sensor.said();
    let line = "confined: user nobody (uid 65534), CAP_NET_RAW alone, no new privileges, \
                Landlock ABI ";
    assert!(said.contains(line) && said.contains(", seccomp\n"), "{said}");
    for name in ["user", "capabilities", "no_new_privs", "landlock", "seccomp"] {
        assert_eq!(measure(&lab, name), 1.0, "{name}");
    }
    // alerts are the user's own
    let about = std::os::unix::fs::MetadataExt::uid(&fs::metadata(lab.path("alerts")).expect("is"));
    assert_eq!(about, 65_534);
    assert_eq!(sensor.stop().code, 0);
}

#[test]
fn each_measure_is_switched_off_by_name_and_that_is_said() {
    let Some(lab) = Lab::new() else { return };
    // root without its capabilities is a stranger in another's folder
    fs::set_permissions(lab.folder.path(), fs::Permissions::from_mode(0o777)).expect("set");
    let root = [("Uid", "0 0 0 0"), ("Gid", "0 0 0 0"), ("Groups", "0")];
    type Words = [(&'static str, &'static str)];
    let cases: [(&str, &Words, &[&str], &str); 5] = [
        ("user = \"\"", &root, &["user"], "user root (uid 0) as started: [drop] user is empty, "),
        ("landlock = false", &[], &["landlock"], ", no Landlock (switched off), seccomp"),
        ("seccomp = false", &[("Seccomp", "0")], &["seccomp"], ", no seccomp (switched off)\n"),
        (
            "no_new_privs = false\nlandlock = false\nseccomp = false",
            &[("Seccomp", "0"), ("NoNewPrivs", "0")],
            &["no_new_privs", "landlock", "seccomp"],
            "alone, no no-new-privileges (switched off), no Landlock (switched off), no seccomp",
        ),
        (
            "keep_net_raw = false",
            &[
                ("CapPrm", "0000000000000000"),
                ("CapEff", "0000000000000000"),
                ("CapBnd", "0000000000000000"),
            ],
            &[],
            "(uid 65534), no capability, no new privileges, ",
        ),
    ];
    for (lines, but, off, said) in cases {
        let _none_yet = fs::remove_file(lab.path("alerts"));
        let user = if lines.contains("user") { "" } else { "user = \"nobody\"" };
        let sensor = lab.sensor(&feed(), &format!("{TAP}[drop]\n{user}\n{lines}\n"));
        assert!(sensor.said().contains(said), "{lines}: {}", sensor.said());
        // root keeps whatever groups it was started with
        let groups = threads(&sensor).values().next().expect("runs")["Groups"].clone();
        let but: Vec<(&str, &str)> = but
            .iter()
            .map(|(word, value)| (*word, if *word == "Groups" { &groups } else { *value }))
            .collect();
        check_threads(&sensor, &but);
        for name in ["user", "capabilities", "no_new_privs", "landlock", "seccomp"] {
            assert_eq!(measure(&lab, name) == 0.0, off.contains(&name), "{lines}: {name}");
        }
        is_finding(&sensor, &lab);
        assert_eq!(sensor.stop().code, 0);
    }
}

#[test]
fn what_a_feed_leads_to_outside_is_not_read() {
    let Some(lab) = Lab::new() else { return };
    // everyone may read it: that is not what stops the sensor
    let outside = tempfile::tempdir().expect("folder");
    let everyone = |mode| fs::Permissions::from_mode(mode);
    fs::set_permissions(outside.path(), everyone(0o755)).expect("set");
    let secret = outside.path().join("secret");
    fs::write(&secret, "30.44.10.10\n30.44.20.0/24\n203.0.114.7\n").expect("written");
    let list = lab.path("list.txt");
    let read = format!("read = [\"{}\"]", outside.path().display());
    for (lines, is_read) in [("", false), ("landlock = false", true), (read.as_str(), true)] {
        let _gone = fs::remove_file(&list);
        fs::write(&list, "30.44.10.10\n30.44.20.0/24\n").expect("written");
        let more = format!("{TAP}[drop]\nuser = \"nobody\"\n{lines}\n");
        let sensor = lab.sensor(&list, &more);
        fs::remove_file(&list).expect("there");
        symlink(&secret, &list).expect("made");
        sensor.signal("-HUP");
        let refused = "tapsieve_indicator_sets_refused_total{reason=\"unusable\"}";
        sensor.wait("outcome", |lab| {
            lab.metric(refused) + lab.metric("tapsieve_indicator_set_generation") == 1.0
        });
        assert_eq!(lab.metric(refused) == 0.0, is_read, "{lines}: {}", sensor.said());
        assert_eq!(sensor.said().contains("ermission denied"), !is_read, "{}", sensor.said());
        assert_eq!(sensor.stop().code, 0);
    }
}

#[test]
fn a_feed_that_is_replaced_by_a_rename_is_read() {
    let Some(lab) = Lab::new() else { return };
    let (feed, new) = (lab.path("feed"), lab.path("new"));
    for folder in [&feed, &new] {
        fs::create_dir(folder).expect("made");
        fs::write(folder.join("list"), "30.44.10.10\n30.44.20.0/24\n").expect("written");
    }
    let sensor = lab.sensor(&feed, TAP);
    fs::write(new.join("more"), "203.0.114.7\n").expect("written");
    fs::rename(&feed, lab.path("old")).expect("renamed");
    fs::rename(&new, &feed).expect("renamed");
    sensor.signal("-HUP");
    sensor.wait("new set", |lab| lab.metric("tapsieve_indicator_set_generation") == 1.0);
    assert_eq!(lab.metric("tapsieve_indicators{kind=\"ip-dst\"}"), 3.0, "{}", sensor.said());
}

#[test]
fn a_full_file_is_renamed_and_another_begun() {
    let Some(lab) = Lab::new() else { return };
    let path = lab.path("rolled");
    fs::write(&path, vec![b'\n'; 1 << 20]).expect("written");
    let more = format!(
        "{TAP}[[sink]]\ntype = \"file\"\npath = \"{}\"\nrotate_mebibytes = 1\nkeep = 1\n",
        path.display()
    );
    let sensor = lab.sensor(&feed(), &more);
    is_finding(&sensor, &lab);
    let new = |_: &Lab| fs::read(&path).is_ok_and(|text| text.starts_with(b"{"));
    sensor.wait("another file", new);
    sensor.wait("readiness", |lab| lab.get("/readyz") == "ready\n");
    let named = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with("rolled.");
    let entries = fs::read_dir(lab.folder.path()).expect("there").map(|entry| entry.expect("one"));
    assert_eq!(entries.map(named).filter(|is_old| *is_old).count(), 1);
}

#[test]
fn alerts_that_the_user_could_not_write_end_the_start() {
    let Some(lab) = Lab::new() else { return };
    let others = tempfile::tempdir().expect("folder");
    fs::set_permissions(others.path(), fs::Permissions::from_mode(0o755)).expect("set");
    let sink = |path: &Path| format!("[[sink]]\ntype = \"file\"\npath = \"{}\"", path.display());
    let more = format!("{TAP}{}\n", sink(&others.path().join("alerts")));
    let ended = lab.sensor_that_ends(&[], &feed(), &more);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let line = "user `nobody` cannot write it: chown it to nobody";
    assert!(ended.stderr.contains(line), "{}", ended.stderr);
    assert_eq!(fs::read_dir(others.path()).expect("there").count(), 0);
}

#[test]
fn a_link_is_no_file_of_alerts() {
    let Some(lab) = Lab::new() else { return };
    symlink(lab.path("elsewhere"), lab.path("alerts")).expect("made");
    let line = "alerts: a link: name the file that it leads to";
    let ended = lab.sensor_that_ends(&[], &feed(), TAP);
    let checked = run(lab.folder.path(), &["sensor", "--check", "--config", "sensor.toml"]);
    for told in [ended, checked] {
        assert_eq!(told.code, 2, "{}", told.stderr);
        assert!(told.stderr.contains(line), "{}", told.stderr);
    }
}

#[test]
fn a_user_that_is_not_there_ends_the_start() {
    let Some(lab) = Lab::new() else { return };
    let more = format!("{TAP}[drop]\nuser = \"no-such-user\"\n");
    let ended = lab.sensor_that_ends(&[], &feed(), &more);
    let line = "[drop] user `no-such-user`: this host has none: create it (useradd --system";
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains(line), "{}", ended.stderr);
    let checked = run(lab.folder.path(), &["sensor", "--check", "--config", "sensor.toml"]);
    assert_eq!(checked.code, 2, "{}", checked.stderr);
    assert!(checked.stderr.contains(line), "{}", checked.stderr);
}

#[test]
fn a_start_without_root_keeps_who_it_is_and_gives_up_the_rest() {
    let Some(lab) = Lab::new() else { return };
    if !has_program("setpriv") {
        return;
    }
    let by = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let by = [&by[..], &["--inh-caps=+net_raw", "--ambient-caps=+net_raw"]].concat();
    // whoever it would become as root is not asked for
    let sensor =
        lab.sensor_behind(&by, &feed(), &format!("{TAP}[drop]\nuser = \"no-such-user\"\n"));
    let bounded = threads(&sensor).values().next().expect("runs")["CapBnd"].clone();
    check_threads(&sensor, &[("Groups", ""), ("CapBnd", &bounded)]);
    let line =
        "confined: user nobody (uid 65534) as started: not started as root, CAP_NET_RAW alone";
    assert!(sensor.said().contains(line), "{}", sensor.said());
    is_finding(&sensor, &lab);
    assert_eq!(sensor.stop().code, 0);
    // without the capability it cannot capture, and says so
    let more = format!("{TAP}[drop]\nuser = \"\"\n");
    let ended = lab.sensor_that_ends(&by[..4], &feed(), &more);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot capture on tap0"), "{}", ended.stderr);
}

#[test]
fn without_the_capability_an_interface_that_was_gone_is_not_opened_again() {
    let Some(lab) = Lab::new() else { return };
    let more = format!("{TAP}threads = 2\n[drop]\nuser = \"nobody\"\nkeep_net_raw = false\n");
    let sensor = lab.sensor(&feed(), &more);
    is_finding(&sensor, &lab);
    lab.unplug();
    let line = "tap0 is gone; without CAP_NET_RAW it cannot be opened again: restart the sensor";
    sensor.wait("trouble", |lab| lab.get("/readyz").contains(line));
    assert_eq!(lab.metric("tapsieve_ready"), 0.0);
    sensor.wait("line", |_| sensor.said().contains(&format!("not ready: {line}")));
    assert_eq!(sensor.stop().code, 0);
}

#[test]
fn what_the_kernel_lacks_is_said_and_ends_only_a_strict_start() {
    let Some(lab) = Lab::new() else { return };
    if !has_program("strace") {
        return;
    }
    let cases = [
        (
            "landlock_create_ruleset",
            "error=EOPNOTSUPP",
            ("landlock", 0.0),
            ", no Landlock (the kernel has none)",
        ),
        (
            "landlock_create_ruleset",
            // what the first asks for is how new it is
            "retval=5:when=1",
            ("landlock", 1.0),
            ", Landlock ABI 5 but for signals and sockets of other processes,",
        ),
        (
            "landlock_restrict_self",
            "error=EPERM",
            ("landlock", 0.0),
            ", no Landlock (the kernel refuses it",
        ),
        ("seccomp", "error=EINVAL", ("seccomp", 0.0), ", no seccomp ("),
    ];
    for (call, fault, (name, in_force), said) in cases {
        let _none_yet = fs::remove_file(lab.path("alerts"));
        let inject = format!("inject={call}:{fault}");
        // the tracer is the child, so that the sensor keeps its number
        let by = ["strace", "-D", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject];
        let sensor = lab.sensor_behind(&by, &feed(), TAP);
        assert!(sensor.said().contains(said), "{call}: {}", sensor.said());
        assert_eq!((measure(&lab, name), measure(&lab, "user")), (in_force, 1.0));
        is_finding(&sensor, &lab);
        assert_eq!(sensor.stop().code, 0);
        let strict = format!("{TAP}[drop]\nuser = \"nobody\"\nstrict = true\n");
        let ended = lab.sensor_that_ends(&by, &feed(), &strict);
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("[drop] {name}: ")), "{}", ended.stderr);
    }
}
