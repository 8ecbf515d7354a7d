//! Which CPUs the NIC interrupts, and whether they are near it.

use std::collections::BTreeSet;

use crate::control::cpu_list;
use crate::control::doctor::finding::Finding;
use crate::control::doctor::finding::Findings;
use crate::control::doctor::finding::Level;
use crate::control::doctor::finding::Unknown;
use crate::control::doctor::host::Host;

/// One interrupt of a NIC.
struct Interrupt {
    number: u32,
    name: String,
}

/// Looks whether the receive queues interrupt different CPUs.
pub(super) fn affinity(host: &Host, interface: &str) -> Findings {
    let interrupts = receiving(host, interface)?;
    let served: BTreeSet<u32> =
        interrupts.iter().flat_map(|interrupt| served_by(host, interrupt.number)).collect();
    let cpus = host.cpus();
    let near = near(host, interface).unwrap_or_else(|| cpus.clone());
    let (queues, on) = (interrupts.len(), served.len());
    let list = cpu_list::text(&served.into_iter().collect::<Vec<_>>());
    let found = format!("{queues} interrupts of receive queues on CPU {list}");
    let level = if on < queues.min(near.len()) && on <= 1 {
        Level::Warn
    } else if on < queues.min(near.len()) {
        Level::Note
    } else {
        Level::Ok
    };
    let finding = Finding::new(level, interface, found)
        .number("interrupts", queues as u64)
        .number("cpus", on as u64);
    Ok(vec![if level == Level::Ok { finding } else { finding.mend(spread(&interrupts, &near)) }])
}

/// Looks whether these CPUs are on the NIC's NUMA node.
pub(super) fn numa(host: &Host, interface: &str) -> Findings {
    let nodes = host.optional("sys/devices/system/node/online");
    let nodes = nodes.map(|text| cpu_list::parse(&text)).unwrap_or_default();
    if nodes.len() < 2 {
        return Ok(vec![Finding::ok(interface, "one node")]);
    }
    let node = host.number(&format!("sys/class/net/{interface}/device/numa_node"));
    let (Some(node), Some(near)) = (node, near(host, interface)) else {
        return Err(Unknown::new("the NIC's node is not told"));
    };
    let interrupts = receiving(host, interface)?;
    let served: BTreeSet<u32> =
        interrupts.iter().flat_map(|interrupt| served_by(host, interrupt.number)).collect();
    let far: Vec<u32> = served.into_iter().filter(|cpu| !near.contains(cpu)).collect();
    let near_list = cpu_list::text(&near);
    let mut findings = vec![match far.as_slice() {
        [] => Finding::ok(interface, format!("node {node}, interrupts on its CPUs")),
        far => {
            let list = cpu_list::text(far);
            Finding::warn(interface, format!("node {node}, interrupts on CPU {list} of another"))
                .mend(spread(&interrupts, &near))
        }
    }];
    let found = format!("node {node}: the sensor is best kept on CPU {near_list}");
    findings.push(Finding::note(interface, found).mend(format!(
        "systemctl set-property tapsieve.service AllowedCPUs={near_list} AllowedMemoryNodes={node}"
    )));
    Ok(findings)
}

/// Looks whether irqbalance moves interrupts about.
pub(super) fn balance(host: &Host) -> Findings {
    let is_number = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
    let processes = host.names("proc").into_iter().filter(is_number);
    let mut names = processes.map(|pid| host.optional(&format!("proc/{pid}/comm")));
    let runs = names.any(|name| name.as_deref() == Some("irqbalance"));
    Ok(vec![if runs {
        Finding::note("host", "irqbalance runs, and moves what was put in place by hand")
            .mend("systemctl disable --now irqbalance")
    } else {
        Finding::ok("host", "irqbalance does not run")
    }])
}

/// Returns the interrupts of an interface's receive queues.
fn receiving(host: &Host, interface: &str) -> Result<Vec<Interrupt>, Unknown> {
    let table = host.read("proc/interrupts")?;
    let device = format!("sys/class/net/{interface}/device");
    // a virtio NIC is a child of the device that has the interrupts
    let own = [format!("{device}/msi_irqs"), format!("{device}/../msi_irqs")];
    let own: Vec<String> = own.iter().flat_map(|folder| host.names(folder)).collect();
    let mut all = Vec::new();
    for line in table.lines() {
        let Some((number, rest)) = line.split_once(':') else { continue };
        let Ok(number) = number.trim().parse::<u32>() else { continue };
        let name = rest.split_whitespace().next_back().unwrap_or_default();
        let named = name.split('-').any(|part| part == interface);
        if named || own.contains(&number.to_string()) {
            all.push(Interrupt { number, name: name.to_lowercase() });
        }
    }
    // "eth1-TxRx-0", "eth1-rx-0", "virtio2-input.0", "mlx5_comp0@pci:..."
    let receives = |name: &str| ["rx", "input", "comp"].iter().any(|word| name.contains(word));
    if all.iter().any(|interrupt| receives(&interrupt.name)) {
        all.retain(|interrupt| receives(&interrupt.name));
    }
    if all.is_empty() { Err(Unknown::new("no interrupts of its own")) } else { Ok(all) }
}

/// Returns the CPUs that an interrupt comes to.
fn served_by(host: &Host, number: u32) -> Vec<u32> {
    let read = |name: &str| host.optional(&format!("proc/irq/{number}/{name}"));
    let effective = read("effective_affinity_list").filter(|list| !list.is_empty());
    effective
        .or_else(|| read("smp_affinity_list"))
        .map(|text| cpu_list::parse(&text))
        .unwrap_or_default()
}

/// Returns the CPUs of the NIC's own NUMA node.
fn near(host: &Host, interface: &str) -> Option<Vec<u32>> {
    let device = format!("sys/class/net/{interface}/device");
    let own = host.optional(&format!("{device}/local_cpulist"));
    let list = own.or_else(|| host.optional(&format!("{device}/../local_cpulist")))?;
    let online = host.cpus();
    let near: Vec<u32> =
        cpu_list::parse(&list).into_iter().filter(|cpu| online.contains(cpu)).collect();
    (!near.is_empty()).then_some(near)
}

/// Returns the command that gives each interrupt a CPU of its own, as far as there are any.
fn spread(interrupts: &[Interrupt], cpus: &[u32]) -> String {
    let pairs = interrupts.iter().zip(cpus.iter().cycle());
    let command = |(interrupt, cpu): (&Interrupt, &u32)| {
        format!("echo {cpu} > /proc/irq/{}/smp_affinity_list", interrupt.number)
    };
    pairs.map(command).collect::<Vec<_>>().join("; ")
}
