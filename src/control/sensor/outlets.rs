//! Opens the sinks that a configuration names.

use std::time::Duration;

use crate::control::cli::Failure;
use crate::control::config::Config;
use crate::control::config::sink::SinkConfig;
use crate::control::output;
use crate::report::live::Named;
use crate::report::sink::rolling::Rolling;
use crate::report::sink::rolling::Rotation;
use crate::report::sink::stdout::Stdout;

/// Opens every sink.
///
/// # Errors
///
/// When one cannot be opened.
pub(super) fn sinks(config: &Config) -> Result<Vec<Named>, Failure> {
    let mut sinks: Vec<Named> = Vec::new();
    for sink in &config.sinks {
        match sink {
            SinkConfig::Stdout => sinks.push(("stdout".to_owned(), Box::new(Stdout))),
            SinkConfig::File { path, rotate_mebibytes, rotate_hours, keep } => {
                let rotation = Rotation {
                    bytes_max: u64::from(*rotate_mebibytes) << 20,
                    age_max: Duration::from_secs(u64::from(*rotate_hours) * 3_600),
                    keep: *keep as usize,
                };
                let (sink, cut) = Rolling::open(path, rotation)?;
                if cut > 0 {
                    output::say(&format!(
                        "tapsieve: {}: cut {cut} bytes of a half-written alert\n",
                        path.display()
                    ));
                }
                sinks.push(("file".to_owned(), Box::new(sink)));
            }
        }
    }
    Ok(sinks)
}
