//! What was lost before any packet socket saw it.

use std::collections::BTreeMap;

use crate::control::doctor::finding::Finding;
use crate::control::doctor::finding::Findings;
use crate::control::doctor::finding::Unknown;
use crate::control::doctor::host::Host;
use crate::control::doctor::ring;
use crate::control::ethtool;

/// The subject of what the kernel counts for each CPU.
pub(super) const BACKLOG: &str = "softnet";

/// Since the start of a machine: one lost packet of so many may be an accident of long ago.
const PACKETS_PER_LOSS: u64 = 100_000;

/// Of the driver's own counters, so many are named at most.
const NAMED_MAX: usize = 6;

/// Words in the names of counters that count losses.
const LOSSES: &[&str] = &[
    "drop",
    "miss",
    "no_buf",
    "nobuf",
    "no_dma",
    "discard",
    "fifo",
    "overrun",
    "out_of_buf",
    "alloc_fail",
    "alloc_rx",
];

/// Words in the names of those that do not, or of another direction.
const NO_LOSSES: &[&str] = &["tx", "xdp", "fdir", "steer", "csum", "arfs", "cache", "xmit"];

/// Counters of sysfs that count frames the NIC or its ring had no room for.
const KERNEL_LOSSES: &[&str] = &["rx_missed_errors", "rx_fifo_errors"];

/// Reads every counter that checks look at, by subject.
pub(super) fn counters(
    host: &Host,
    interfaces: &[String],
) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    for interface in interfaces {
        let folder = format!("sys/class/net/{interface}/statistics");
        let mut counters = driver(host, interface).unwrap_or_default();
        for name in host.names(&folder) {
            let value = host.number(&format!("{folder}/{name}"));
            counters.insert(name, value.unwrap_or_default());
        }
        all.insert(interface.clone(), counters);
    }
    let backlog = backlog(host).unwrap_or_default();
    let backlog = ["packets", "dropped", "squeezed"].map(str::to_owned).into_iter().zip(backlog);
    all.insert(BACKLOG.to_owned(), backlog.collect());
    all
}

/// Looks what the NIC had no room for, as the kernel tells.
pub(super) fn missed(host: &Host, interface: &str) -> Findings {
    let mut lost = BTreeMap::new();
    for name in KERNEL_LOSSES {
        lost.insert((*name).to_owned(), counter(host, interface, name)?);
    }
    Ok(vec![judged(host, interface, &lost)])
}

/// Looks what the driver counts as lost.
pub(super) fn driver_losses(host: &Host, interface: &str) -> Findings {
    let lost = driver(host, interface)?.into_iter().map(|(name, total)| {
        let since = host.since(interface, &name, total);
        (name, since)
    });
    Ok(vec![judged(host, interface, &lost.collect())])
}

/// Looks at frames that arrived broken.
pub(super) fn broken(host: &Host, interface: &str) -> Findings {
    let names = ["rx_crc_errors", "rx_frame_errors"];
    let mut broken = 0_u64;
    for name in names {
        broken = broken.saturating_add(counter(host, interface, name)?);
    }
    let found = format!("{broken} frames arrived broken");
    let finding = match broken {
        0 => Finding::ok(interface, found),
        _ => Finding::warn(interface, found)
            .mend(format!("change the cable or the optics: ethtool -m {interface}")),
    };
    Ok(vec![finding.number("frames", broken)])
}

/// Looks whether CPUs had no room, or no time, for packets that the NIC had handed over.
pub(super) fn softnet(host: &Host) -> Findings {
    let [packets, dropped, squeezed] = backlog(host)?;
    let since = |name, total| host.since(BACKLOG, name, total);
    let (packets, dropped) = (since("packets", packets), since("dropped", dropped));
    let squeezed = since("squeezed", squeezed);
    // a network namespace has its packets, but not the host's settings
    let setting = |name: &str| host.number(&format!("proc/sys/net/core/{name}"));
    let said = |name| setting(name).map_or(String::new(), |size| format!(", {name} {size}"));
    let twice = |name| setting(name).unwrap_or_default().saturating_mul(2).max(600);

    let found = format!("{dropped} packets of {packets} dropped{}", said("netdev_max_backlog"));
    let more = setting("netdev_max_backlog").unwrap_or_default().saturating_mul(4);
    let mend = format!("sysctl -w net.core.netdev_max_backlog={}", more.clamp(16_384, 250_000));
    let drops = share(host, [dropped, packets], found, mend).number("dropped", dropped);

    let (budget, usecs) = ("netdev_budget", "netdev_budget_usecs");
    let found = format!("{squeezed} rounds cut short{}{}", said(budget), said(usecs));
    let (more, longer) = (twice(budget), twice(usecs));
    let mend = format!("sysctl -w net.core.{budget}={more} net.core.{usecs}={longer}");
    let squeezes = share(host, [squeezed, packets], found, mend).number("squeezed", squeezed);
    Ok(vec![drops.number("packets", packets), squeezes])
}

/// Judges a loss by its share.
fn share(host: &Host, [lost, packets]: [u64; 2], found: String, mend: String) -> Finding {
    if is_much(host, lost, packets) {
        Finding::warn("host", found).mend(mend)
    } else if lost > 0 {
        Finding::note("host", found)
    } else {
        Finding::ok("host", found)
    }
}

/// Returns packets, drops and squeezes of all CPUs.
fn backlog(host: &Host) -> Result<[u64; 3], Unknown> {
    let mut totals = [0_u64; 3];
    for line in host.read("proc/net/softnet_stat")?.lines() {
        for (total, word) in totals.iter_mut().zip(line.split_whitespace()) {
            let value = u64::from_str_radix(word, 16).unwrap_or_default();
            *total = total.saturating_add(value);
        }
    }
    Ok(totals)
}

/// Returns the driver's own counters of losses.
fn driver(host: &Host, interface: &str) -> Result<BTreeMap<String, u64>, Unknown> {
    let pairs = ethtool::pairs(&host.run(&["ethtool", "-S", interface])?);
    let of = |words: &[&str], name: &str| words.iter().any(|word| name.contains(word));
    let is_loss = |name: &str| of(LOSSES, name) && !of(NO_LOSSES, name);
    let losses = pairs.into_iter().filter(|(name, _)| is_loss(&name.to_lowercase()));
    Ok(losses.filter_map(|(name, value)| Some((name, value.parse().ok()?))).collect())
}

fn counter(host: &Host, interface: &str, name: &str) -> Result<u64, Unknown> {
    let text = host.read(&format!("sys/class/net/{interface}/statistics/{name}"))?;
    Ok(host.since(interface, name, text.parse().unwrap_or_default()))
}

fn judged(host: &Host, interface: &str, lost: &BTreeMap<String, u64>) -> Finding {
    let packets = counter(host, interface, "rx_packets").unwrap_or_default();
    let mut worst: Vec<(&String, &u64)> = lost.iter().filter(|(_, n)| **n > 0).collect();
    worst.sort_by_key(|(name, n)| (std::cmp::Reverse(**n), name.as_str()));
    let most = worst.first().map_or(0, |(_, n)| **n);
    let named = worst.iter().take(NAMED_MAX).map(|(name, n)| format!("{name} {n}"));
    let mut found = named.collect::<Vec<_>>().join(", ");
    if worst.len() > NAMED_MAX {
        found += &format!(", and {} more", worst.len() - NAMED_MAX);
    }
    let finding = if most == 0 {
        Finding::ok(interface, format!("nothing, in {} counters", lost.len()))
    } else if is_much(host, most, packets) {
        let finding = Finding::warn(interface, format!("{found} of {packets} packets"));
        match ring::room(host, interface) {
            Some(command) => finding.mend(command),
            None => finding,
        }
    } else {
        Finding::note(interface, format!("{found} of {packets} packets"))
    };
    finding.number("lost", most).number("packets", packets)
}

/// Tells whether a loss matters: any of a moment just watched, a share of a machine's whole life.
fn is_much(host: &Host, lost: u64, packets: u64) -> bool {
    let is_watched = !host.earlier.is_empty();
    lost > 0 && (is_watched || lost.saturating_mul(PACKETS_PER_LOSS) >= packets)
}
