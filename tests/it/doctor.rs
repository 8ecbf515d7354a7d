//! `tapsieve doctor` on real interfaces: what it finds goes away with the command that it prints.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::lab::Lab;
use crate::run::Run;
use crate::run::has_program;
use crate::run::ran;
use crate::run::root;
use crate::run::run;

fn doctor(lab: &Lab, arguments: &[&str]) -> Run {
    let mut command = lab.command(env!("CARGO_BIN_EXE_tapsieve"));
    command.arg("doctor").args(arguments).current_dir(lab.folder.path());
    ran(&command.output().expect("the program starts"))
}

/// Looks at `tap0`; the exit code must say whether anything warns or fails.
fn looked(lab: &Lab, more: &[&str]) -> Vec<Value> {
    let told = doctor(lab, &[&["--json", "--interface", "tap0"], more].concat());
    let whole: Value = serde_json::from_slice(&told.stdout).expect(&told.stderr);
    assert_eq!(whole["interfaces"], serde_json::json!(["tap0"]));
    let counts = &whole["counts"];
    let is_bad = counts["fail"] != 0 || counts["warn"] != 0;
    assert_eq!(told.code, if is_bad { 3 } else { 0 }, "{whole}");
    whole["findings"].as_array().expect("a list").clone()
}

fn of<'f>(findings: &'f [Value], check: &str) -> &'f Value {
    let found = findings.iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("no {check}: {findings:?}"))
}

#[test]
fn what_the_doctor_finds_its_own_command_mends() {
    if !has_program("ethtool") {
        return;
    }
    let Some(lab) = Lab::new() else { return };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    // how it is broken, what is found
    let broken: &[(&str, &str, &str)] = &[
        ("ip link set tap0 down", "link.state", "fail"),
        ("ethtool -K tap0 gro on", "offload.gro", "note"),
        ("ethtool -L tap0 rx 1", "ring.steering", "note"),
        ("ethtool -L tap0 rx 1", "ring.queues", "warn"),
    ];
    for (script, check, level) in broken {
        if check.starts_with("ring.") && cpus < 2 {
            continue;
        }
        lab.shell(script);
        let findings = looked(&lab, &[]);
        let finding = of(&findings, check);
        assert_eq!(finding["level"], *level, "{finding}");
        assert_eq!(finding["subject"], "tap0");
        let mend = finding["mend"].as_str().expect("a command");
        // sysfs in the namespace belongs to one call of `ip netns exec`; its settings stay
        lab.shell(mend);
        let findings = looked(&lab, &[]);
        assert_eq!(of(&findings, check)["level"], "ok", "after {mend}: {findings:?}");
    }
}

#[test]
fn a_cable_that_is_pulled_is_found() {
    let Some(lab) = Lab::new() else { return };
    assert_eq!(of(&looked(&lab, &[]), "link.state")["level"], "ok");
    lab.shell("ip link set gen0 down");
    let findings = looked(&lab, &[]);
    let first = &findings[0];
    assert_eq!((&first["check"], &first["level"]), (&"link.state".into(), &"fail".into()));
    assert_eq!(first["found"], "up, without a signal");
}

#[test]
fn the_doctor_looks_at_what_a_configuration_asks_for() {
    let Some(lab) = Lab::new() else { return };
    let text = format!(
        "[[capture]]\ninterface = \"tap0\"\nthreads = 64\nring_mebibytes = 2047\n\
         [[intel]]\npath = \"{}\"\n[[intel]]\npath = \"/no/such/feed\"\n[[sink]]\n\
         type = \"file\"\npath = \"{}\"\n",
        root().join("fixtures/demo/feed").display(),
        lab.path("alerts").display()
    );
    fs::write(lab.path("t.toml"), text).expect("written");
    let told = doctor(&lab, &["--config", "t.toml"]);
    assert_eq!(told.code, 3, "{}", told.stderr);
    let text = told.text();
    for line in
        ["fail     intel.age", "no indicators are there", "cpu.threads", "disk.room", "tap0"]
    {
        assert!(text.contains(line), "no {line}: {text}");
    }
    // the interface of the configuration, and no other
    assert!(!text.contains("gen0") && text.ends_with(" ok\n"), "{text}");
    let findings = looked(&lab, &["--config", "t.toml", "--watch", "1"]);
    assert_eq!(
        of(&findings, "memory.rings")["numbers"]["wanted_bytes"],
        64_u64 * 2_047 * (1 << 20) + 2_000_000 * 144
    );
}

#[test]
fn the_doctor_says_what_it_cannot_look_at() {
    let folder = tempfile::tempdir().expect("folder");
    let told = run(folder.path(), &["doctor", "--interface", "none0"]);
    assert_eq!(told.code, 1, "{}", told.stderr);
    let line = "tapsieve: no interface `none0`: there are ";
    assert!(told.stderr.starts_with(line) && told.stderr.lines().count() == 1, "{}", told.stderr);
    fs::write(folder.path().join("wrong.toml"), "[capture]\n").expect("written");
    assert_eq!(run(folder.path(), &["doctor", "--config", "wrong.toml"]).code, 2);
    assert_eq!(run(Path::new("."), &["doctor", "--watch", "never"]).code, 2);
}
