//! `[[capture]]`: an interface, and how it is captured.

use crate::control::config::reader::Section;
use crate::pipeline::capture::filter::Filter;
use crate::pipeline::capture::live::LiveSettings;

/// Reads one `[[capture]]`.
pub(super) fn capture(mut section: Section<'_, '_>) -> LiveSettings {
    let settings = LiveSettings {
        interface: section.required_text("interface"),
        threads: u16::try_from(section.number("threads", 1, 1..=64)).unwrap_or(1),
        ring_mebibytes: section.number("ring_mebibytes", 64, 1..=2_047),
        snap_bytes: section.number("snap_bytes", 65_535, 64..=262_144),
        filter: section.text("filter", ""),
        promiscuous: section.flag("promiscuous", true),
    };
    if !settings.filter.is_empty()
        && let Err(error) = Filter::new(&settings.filter)
    {
        section.note("filter", error);
    }
    let backend = section.text("backend", "pcap");
    if backend != "pcap" {
        section.note("backend", format!("`{backend}` is none: \"pcap\" is the one there is"));
    }
    section.end();
    settings
}
