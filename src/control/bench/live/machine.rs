//! What the numbers were measured on: processor, kernel, interfaces and their settings.

use std::fs;

use serde::Serialize;

use crate::control::bench::live::interface::driver;
use crate::control::bench::live::interface::ethtool;
use crate::control::bench::live::interface::sysfs;
use crate::control::ethtool;

/// What stands where nothing could be learnt.
const UNKNOWN: &str = "unknown";

/// Offloads that change what a capture sees or what a frame costs.
const OFFLOADS: [&str; 8] = [
    "rx-checksumming",
    "tx-checksumming",
    "tcp-segmentation-offload",
    "generic-segmentation-offload",
    "generic-receive-offload",
    "large-receive-offload",
    "rx-vlan-offload",
    "receive-hashing",
];

/// A machine.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) processors: usize,
    pub(super) is_virtual: bool,
    pub(super) memory_mebibytes: u64,
    pub(super) kernel: String,
    pub(super) clock_source: String,
    pub(super) governor: String,
    /// Of the last minute, before the bench began.
    pub(super) load: String,
    /// Frames that wait for a processor at most.
    pub(super) backlog_max: String,
    pub(super) receiving: Port,
    pub(super) sending: Port,
}

/// An interface and its settings.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) driver: String,
    pub(super) mtu: String,
    /// Megabits a second, as the driver says.
    pub(super) speed: String,
    pub(super) queues: String,
    pub(super) rings: String,
    pub(super) offloads: String,
}

impl Machine {
    /// Describes this one.
    pub(super) fn here(receiving: &str, sending: &str) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
            line.split(':').nth(1).map(|value| value.trim().to_owned())
        };
        let clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
        let governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
        let load = read("/proc/loadavg");
        Self {
            processor: field("model name").unwrap_or_else(|| UNKNOWN.to_owned()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            is_virtual: field("flags")
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            memory_mebibytes: memory_mebibytes(),
            kernel: read("/proc/sys/kernel/osrelease"),
            clock_source: read(clock),
            governor: read(governor),
            load: load.split(' ').next().unwrap_or(UNKNOWN).to_owned(),
            backlog_max: read("/proc/sys/net/core/netdev_max_backlog"),
            receiving: Port::of(receiving),
            sending: Port::of(sending),
        }
    }

    /// Says it in lines of Markdown.
    pub(super) fn lines(&self) -> String {
        let kind = if self.is_virtual { " (virtual)" } else { "" };
        let mut text = format!(
            "- processor: {} x {}{kind}, {} MiB of memory, load {} before\n\
             - Linux {}, clock {}, governor {}, netdev_max_backlog {}\n",
            self.processors,
            self.processor,
            self.memory_mebibytes,
            self.load,
            self.kernel,
            self.clock_source,
            self.governor,
            self.backlog_max
        );
        for (what, port) in [("receives", &self.receiving), ("sends", &self.sending)] {
            text.push_str(&format!(
                "- {what}: {}, driver {}, mtu {}, speed {} Mbit/s, queues {}, rings {}, offloads \
                 {}\n",
                port.name,
                port.driver,
                port.mtu,
                port.speed,
                port.queues,
                port.rings,
                port.offloads
            ));
        }
        text
    }
}

impl Port {
    fn of(name: &str) -> Self {
        let known = |value: Option<String>| {
            value.filter(|text| !text.is_empty()).unwrap_or_else(|| UNKNOWN.to_owned())
        };
        Self {
            name: name.to_owned(),
            driver: known(driver(name)),
            mtu: known(sysfs(name, "mtu")),
            speed: known(sysfs(name, "speed")),
            queues: known(queues(name)),
            rings: known(ethtool(&["-g", name]).map(|text| rings(&text))),
            offloads: known(ethtool(&["-k", name]).map(|text| offloads(&text))),
        }
    }
}

fn read(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let text = text.trim();
    if text.is_empty() { UNKNOWN.to_owned() } else { text.to_owned() }
}

fn memory_mebibytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) >> 10
}

fn queues(name: &str) -> Option<String> {
    let entries = fs::read_dir(format!("/sys/class/net/{name}/queues")).ok()?;
    let names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let count = |kind: &str| names.iter().filter(|name| name.starts_with(kind)).count();
    Some(format!("{} rx {} tx", count("rx-"), count("tx-")))
}

/// Reads `ethtool -g`: the current settings.
fn rings(text: &str) -> String {
    let now = ethtool::section(text, "Current hardware settings:");
    match (now.get("RX"), now.get("TX")) {
        (Some(rx), Some(tx)) => format!("{rx} rx {tx} tx"),
        _ => String::new(),
    }
}

/// Reads `ethtool -k`: which of the offloads that matter here are on.
fn offloads(text: &str) -> String {
    let is_on = |name: &&str| ethtool::feature(text, name).is_some_and(|(is_on, _)| is_on);
    let on: Vec<&str> = OFFLOADS.into_iter().filter(is_on).collect();
    if on.is_empty() { "none".to_owned() } else { on.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ethtool_says_is_read() {
        let told = "Ring parameters for eth1:\nPre-set maximums:\nRX:\t\t4096\nTX:\t\t4096\n\
                    Current hardware settings:\nRX:\t\t512\nRX Mini:\tn/a\nTX:\t\t256\n";
        assert_eq!(rings(told), "512 rx 256 tx");
        assert_eq!(rings("netlink error: Operation not supported"), "");
        let told = "Features for eth1:\nrx-checksumming: on\ntx-checksumming: off\n\
                    \ttx-checksum-ipv4: on\ngeneric-receive-offload: on [fixed]\n";
        assert_eq!(offloads(told), "rx-checksumming generic-receive-offload");
        assert_eq!(offloads(""), "none");
    }
}
