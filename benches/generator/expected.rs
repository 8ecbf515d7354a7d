//! What an engine has to find, and what it must not: one JSON line for each planted indicator and
//! flow.

use std::fs::File;
use std::io::BufWriter;
use std::io::Result;
use std::io::Write;
use std::path::Path;

use serde_json::json;

use super::frame::Route;
use super::plant::Case;

/// The lines, gathered while flows get their ends.
#[derive(Default)]
pub(crate) struct Expected {
    lines: Vec<String>,
}

impl Expected {
    /// Notes that `case` became the flow of `route`.
    pub(crate) fn note(&mut self, case: &Case, route: &Route) {
        for indicator in &case.indicators {
            let mut line = json!({
                "type": indicator.kind,
                "value": indicator.value,
                "kind": case.kind,
                "src": route.client.addr.to_string(),
                "sport": route.client.port,
                "dst": route.server.addr.to_string(),
                "dport": route.server.port,
            });
            if !case.hit {
                line["near_miss"] = json!(true);
            }
            self.lines.push(line.to_string());
        }
    }

    /// Writes the file.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for line in &self.lines {
            writeln!(file, "{line}")?;
        }
        file.flush()
    }
}
