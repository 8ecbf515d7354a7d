//! The CPUs: how fast they may be, how many, and whether the sensor's threads have room.

use std::collections::BTreeMap;

use crate::control::cpu_list;
use crate::control::doctor::finding::Finding;
use crate::control::doctor::finding::Findings;
use crate::control::doctor::host::Host;

/// Looks at the governors.
pub(super) fn governor(host: &Host) -> Findings {
    let mut governors: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for cpu in host.cpus() {
        let path = format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        if let Some(governor) = host.optional(&path) {
            governors.entry(governor).or_default().push(cpu);
        }
    }
    if governors.is_empty() {
        return Ok(vec![Finding::note("cpu", "none: the firmware or the hypervisor decides")]);
    }
    let set = "echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor";
    let finding = |(governor, cpus): (String, Vec<u32>)| {
        let found = format!("{governor} on CPU {}", cpu_list::text(&cpus));
        match governor.as_str() {
            "performance" => Finding::ok("cpu", found),
            _ => Finding::warn("cpu", found).mend(set),
        }
    };
    Ok(governors.into_iter().map(finding).collect())
}

/// Tells whether two threads share a core.
pub(super) fn smt(host: &Host) -> Findings {
    Ok(vec![match host.optional("sys/devices/system/cpu/smt/active").as_deref() {
        Some("1") => Finding::note("cpu", "two threads share a core: count cores, not CPUs"),
        Some(_) => Finding::ok("cpu", "each CPU is a core"),
        None => Finding::note("cpu", "not told: the hypervisor knows"),
    }])
}

/// Tells which CPUs the scheduler leaves alone.
pub(super) fn isolated(host: &Host) -> Findings {
    let isolated = host.read("sys/devices/system/cpu/isolated")?;
    Ok(vec![match isolated.as_str() {
        "" => Finding::ok("cpu", "none is isolated"),
        cpus => Finding::note("cpu", format!("CPU {cpus} isolated: the sensor does not run there")),
    }])
}

/// Looks whether each of the sensor's threads has a CPU.
pub(super) fn threads(host: &Host) -> Findings {
    let Some(configured) = &host.config else { return Ok(Vec::new()) };
    let handles: usize = configured.config.captures.iter().map(|c| usize::from(c.threads)).sum();
    let workers = (configured.config.workers as usize).max(1);
    let cpus = host.cpus().len();
    let found = format!("{handles} capture threads and at least {workers} workers on {cpus} CPUs");
    let finding = if handles.saturating_add(workers) > cpus {
        let mend = format!("fewer `threads` or `count` in {}", configured.path.display());
        Finding::warn("cpu", found).mend(mend)
    } else {
        Finding::ok("cpu", found)
    };
    Ok(vec![finding.number("threads", (handles + workers) as u64).number("cpus", cpus as u64)])
}
