//! `[[capture]]`: an interface, and how it is captured.

use crate::control::config::reader::Section;
use crate::pipeline::capture::filter::Filter;
use crate::pipeline::capture::live::Backend;
use crate::pipeline::capture::live::Clocking;
use crate::pipeline::capture::live::LiveSettings;

/// What an interface is read by, unless the configuration says.
const BACKEND: Backend = Backend::Afpacket;

const BACKENDS: &[(&str, Backend)] = &[("pcap", Backend::Pcap), ("afpacket", Backend::Afpacket)];

const CLOCKS: &[(&str, Clocking)] = &[("host", Clocking::Host), ("adapter", Clocking::Adapter)];

/// Bytes of an interface's name: `IFNAMSIZ` of netdevice(7) less the zero at its end.
const INTERFACE_BYTES_MAX: usize = 15;

/// Reads one `[[capture]]`.
pub(super) fn capture(mut section: Section<'_, '_>) -> LiveSettings {
    let settings = LiveSettings {
        interface: section.required_text("interface"),
        backend: section.choice("backend", BACKENDS).unwrap_or(BACKEND),
        threads: u16::try_from(section.number("threads", 1, 1..=64)).unwrap_or(1),
        ring_mebibytes: section.number("ring_mebibytes", 64, 1..=2_047),
        snap_bytes: section.number("snap_bytes", 262_144, 64..=262_144),
        filter: section.text("filter", ""),
        promiscuous: section.flag("promiscuous", true),
        cpus: section.cpus("cpus"),
        clocking: section.choice("clock", CLOCKS).unwrap_or(Clocking::Host),
    };
    interface(&mut section, &settings.interface);
    if !settings.cpus.is_empty() && settings.cpus.len() != usize::from(settings.threads) {
        let (cpus, threads) = (settings.cpus.len(), settings.threads);
        section.note("cpus", format!("{cpus} CPUs for {threads} threads: name one for each"));
    }
    if !settings.filter.is_empty()
        && let Err(error) = Filter::new(&settings.filter)
    {
        section.note("filter", error);
    }
    section.end();
    settings
}

/// Notes what no interface can be called.
pub(super) fn interface(section: &mut Section<'_, '_>, name: &str) {
    let is_odd = |c: char| c == '/' || c.is_whitespace() || c.is_control();
    if name.len() > INTERFACE_BYTES_MAX || name.contains(is_odd) || matches!(name, "." | "..") {
        let what = "an interface's name has at most 15 bytes, no blank and no `/`: see `ip link`";
        section.note("interface", what);
    }
}
