//! `[canary]`: a frame that the sensor sends itself, to prove that its alerts come out.

use std::time::Duration;

use crate::control::config::capture::interface as check_interface;
use crate::control::config::reader::Section;

/// How the sensor proves that it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryConfig {
    /// Time between two canaries.
    pub interval: Duration,
    /// The interface that they are sent on.
    pub interface: String,
}

/// Reads `[canary]`; `None`: none is wanted. `captured` is the first interface of a `[[capture]]`.
pub(super) fn canary(mut section: Section<'_, '_>, captured: Option<&str>) -> Option<CanaryConfig> {
    let secs = section.number("interval_secs", 0, 0..=86_400);
    let interface = section.text("interface", captured.unwrap_or_default());
    check_interface(&mut section, &interface);
    if secs > 0 && interface.is_empty() && captured.is_some() {
        section.note("interface", "empty: name the one to send on, or take the key out");
    }
    section.end();
    let interval = Duration::from_secs(u64::from(secs));
    (secs > 0).then_some(CanaryConfig { interval, interface })
}
