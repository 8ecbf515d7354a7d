//! Findings for people, and for programs.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::json;

use crate::control::doctor::finding::Finding;
use crate::control::doctor::finding::Level;

/// Returns the findings as an aligned table, and how many there are of each level. Below what is
/// not as it should be stand what that means and the command that mends it.
pub(super) fn text(findings: &[Finding], colours: bool) -> String {
    let width = |of: fn(&Finding) -> &str| findings.iter().map(|f| of(f).chars().count()).max();
    let [level, check, subject] = [
        width(|finding| finding.level.name()),
        width(|finding| finding.check),
        width(|finding| &finding.subject),
    ]
    .map(Option::unwrap_or_default);
    let mut out = String::new();
    let mut said = BTreeSet::new();
    for finding in findings {
        let [on, off] = if colours { [colour(finding.level), "\u{1b}[0m"] } else { ["", ""] };
        let name = finding.level.name();
        // writing to a string cannot fail
        let _written = writeln!(
            out,
            "{on}{name:level$}{off}  {:check$}  {:subject$}  {}",
            finding.check, finding.subject, finding.found
        );
        if finding.level != Level::Ok {
            let indent = level + 2;
            let _written = writeln!(out, "{:indent$}{}", "", finding.means);
            // one missing program is missing for many checks
            if let Some(mend) = &finding.mend
                && (said.insert(mend) || finding.level != Level::Unknown)
            {
                let _written = writeln!(out, "{:indent$}mend: {mend}", "");
            }
        }
    }
    let counts = counts(findings).into_iter().map(|(name, n)| format!("{n} {name}"));
    out + &counts.collect::<Vec<_>>().join(", ") + "\n"
}

/// Returns the findings as one JSON object.
pub(super) fn json(interfaces: &[String], findings: &[Finding]) -> String {
    let counts: BTreeMap<&str, usize> = counts(findings).into_iter().collect();
    let whole = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "interfaces": interfaces,
        "counts": counts,
        "findings": findings,
    });
    format!("{whole:#}\n")
}

fn counts(findings: &[Finding]) -> Vec<(&'static str, usize)> {
    let of = |level: Level| findings.iter().filter(|finding| finding.level == level).count();
    Level::ALL.iter().map(|level| (level.name(), of(*level))).collect()
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::Fail => "\u{1b}[1;31m",
        Level::Warn => "\u{1b}[33m",
        Level::Unknown => "\u{1b}[35m",
        Level::Note => "\u{1b}[36m",
        Level::Ok => "\u{1b}[32m",
    }
}
