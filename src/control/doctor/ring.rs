//! The NIC's queues: how many slots each has, and how many there are.

use crate::control::cpu_list;
use crate::control::doctor::finding::Finding;
use crate::control::doctor::finding::Findings;
use crate::control::doctor::finding::Level;
use crate::control::doctor::finding::Unknown;
use crate::control::doctor::host::Host;
use crate::control::ethtool;

/// Slots that are enough: at 10 Mpps a CPU may be elsewhere for 0.4 ms; more only spoils its cache.
const SLOTS_ENOUGH: u64 = 4_096;

/// Looks at the receive ring's size.
pub(super) fn slots(host: &Host, interface: &str) -> Findings {
    let (most, now) = ring(host, interface)?;
    let want = most.min(SLOTS_ENOUGH);
    let found = format!("{now} of {most} slots in use");
    let finding = if now < want {
        Finding::warn(interface, found).mend(format!("ethtool -G {interface} rx {want}"))
    } else {
        Finding::ok(interface, found)
    };
    Ok(vec![finding.number("slots", now).number("slots_max", most)])
}

/// Looks at the number of receive queues.
pub(super) fn queues(host: &Host, interface: &str) -> Findings {
    let (sort, most, now) = channels(host, interface)?;
    let cpus = host.cpus().len() as u64;
    let want = most.min(cpus);
    let found = format!("{now} of {most} queues in use, {cpus} CPUs");
    let level = if now == want {
        Level::Ok
    } else if now == 1 {
        Level::Warn
    } else {
        Level::Note
    };
    let finding = Finding::new(level, interface, found);
    let finding = match level {
        Level::Ok => finding,
        _ => finding.mend(format!("ethtool -L {interface} {sort} {want}")),
    };
    Ok(vec![finding.number("queues", now).number("queues_max", most).number("cpus", cpus)])
}

/// Looks whether a single queue's packets are handled by one CPU alone.
pub(super) fn steering(host: &Host, interface: &str) -> Findings {
    let folder = format!("sys/class/net/{interface}/queues");
    let queues = host.names(&folder).into_iter().filter(|name| name.starts_with("rx-"));
    let queues: Vec<String> = queues.collect();
    let cpus = host.cpus();
    if queues.len() != 1 || cpus.len() < 2 {
        return Ok(Vec::new());
    }
    let path = format!("{folder}/rx-0/rps_cpus");
    let mask = host.read(&path)?;
    let is_off = mask.chars().all(|c| c == '0' || c == ',');
    let finding = if is_off {
        let all = cpu_list::mask(&cpus);
        Finding::note(interface, "one queue, and no CPU shares its packets")
            .mend(format!("echo {all} > /{path}"))
    } else {
        Finding::ok(interface, format!("one queue, shared by the CPUs of mask {mask}"))
    };
    Ok(vec![finding])
}

/// Returns the command that gives a NIC that has lost frames more room, where it can have more.
pub(super) fn room(host: &Host, interface: &str) -> Option<String> {
    if let Some((most, _)) = ring(host, interface).ok().filter(|(most, now)| now < most) {
        return Some(format!("ethtool -G {interface} rx {most}"));
    }
    let (sort, most, now) = channels(host, interface).ok()?;
    let want = most.min(host.cpus().len() as u64);
    (now < want).then(|| format!("ethtool -L {interface} {sort} {want}"))
}

/// Returns slots at most, and now.
fn ring(host: &Host, interface: &str) -> Result<(u64, u64), Unknown> {
    let text = host.run(&["ethtool", "-g", interface])?;
    let of = |heading| ethtool::number(&ethtool::section(&text, heading), "RX");
    let pair = of("Pre-set maximums").zip(of("Current hardware settings"));
    pair.ok_or_else(|| Unknown::new("the driver does not tell"))
}

/// Returns which queues there are, for both ways or for receiving alone; how many at most, and now.
fn channels(host: &Host, interface: &str) -> Result<(&'static str, u64, u64), Unknown> {
    let text = host.run(&["ethtool", "-l", interface])?;
    let most = ethtool::section(&text, "Pre-set maximums");
    let now = ethtool::section(&text, "Current hardware settings");
    let pair = |name| Some((ethtool::number(&most, name)?, ethtool::number(&now, name)?));
    let sorts = [("combined", "Combined"), ("rx", "RX")].into_iter();
    let mut there =
        sorts.filter_map(|(sort, name)| pair(name).map(|(most, now)| (sort, most, now)));
    there.find(|(_, most, _)| *most > 0).ok_or_else(|| Unknown::new("the driver does not tell"))
}
