//! What the numbers were measured on and with.

use std::path::Path;
use std::process::Command;

/// One line: processor, kernel, compiler, commit, date.
pub(crate) fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let parts = [
        format!("{cores} x {}", processor()),
        format!("Linux {}", read("/proc/sys/kernel/osrelease")),
        said(&["rustc", "-V"]),
        format!("commit {}", said(&["git", "rev-parse", "--short", "HEAD"])),
        said(&["date", "-u", "+%Y-%m-%d"]),
    ];
    parts.join(", ")
}

/// Whether a program is on the path.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn processor() -> String {
    let text = read("/proc/cpuinfo");
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split(':').nth(1)).unwrap_or("unknown processor").trim().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(path)).unwrap_or_default().trim().to_owned()
}

fn said(command: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| format!("no {}", command[0]))
}
