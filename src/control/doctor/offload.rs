//! What the NIC and its driver do to frames before they are captured.

use crate::control::doctor::finding::Finding;
use crate::control::doctor::finding::Findings;
use crate::control::doctor::finding::Unknown;
use crate::control::doctor::host::Host;
use crate::control::ethtool;

/// The longest super-frame that is read whole: IPv4's longest datagram.
const SUPER_FRAME_BYTES: u32 = 65_535;

/// Looks whether the NIC merges segments, and forgets their headers.
pub(super) fn lro(host: &Host, interface: &str) -> Findings {
    let text = host.run(&["ethtool", "-k", interface])?;
    merged(interface, &text, "large-receive-offload", "lro").map(|finding| vec![finding])
}

/// Looks whether the kernel or the NIC puts segments together, headers kept.
pub(super) fn gro(host: &Host, interface: &str) -> Findings {
    let text = host.run(&["ethtool", "-k", interface])?;
    let of = |name| ethtool::feature(&text, name).filter(|(is_on, _)| *is_on);
    let mut findings = Vec::new();
    for (name, option) in [("generic-receive-offload", "gro"), ("rx-gro-hw", "rx-gro-hw")] {
        let Some((_, changes)) = of(name) else { continue };
        let finding = match host.capture(interface).map(|capture| capture.snap_bytes) {
            Some(snap) if snap < SUPER_FRAME_BYTES => {
                let found = format!("{option} on, and snap_bytes of {snap} cuts what it makes");
                Finding::warn(interface, found)
            }
            _ => Finding::note(interface, format!("{option} on: times of merged segments go")),
        };
        findings.push(if changes {
            finding.mend(format!("ethtool -K {interface} {option} off"))
        } else {
            finding
        });
    }
    if findings.is_empty() {
        findings.push(Finding::ok(interface, "off"));
    }
    Ok(findings)
}

/// Looks where VLAN tags are.
pub(super) fn vlan(host: &Host, interface: &str) -> Findings {
    let text = host.run(&["ethtool", "-k", interface])?;
    let strips = ethtool::feature(&text, "rx-vlan-offload").is_some_and(|(is_on, _)| is_on);
    let found =
        if strips { "taken off by the NIC, put back by the sensor" } else { "left in frames" };
    let mut findings = vec![Finding::ok(interface, found)];
    // the NIC lets only the VLANs through that this host has; promiscuous mode lifts that
    let filters = ethtool::feature(&text, "rx-vlan-filter").is_some_and(|(is_on, _)| is_on);
    if filters && host.capture(interface).is_some_and(|capture| !capture.promiscuous) {
        let finding = Finding::warn(interface, "rx-vlan-filter on, and promiscuous = false");
        findings.push(finding.mend(format!("ethtool -K {interface} rx-vlan-filter off")));
    }
    Ok(findings)
}

fn merged(interface: &str, text: &str, name: &str, option: &str) -> Result<Finding, Unknown> {
    let feature = ethtool::feature(text, name);
    Ok(match feature.ok_or_else(|| Unknown::new("the driver does not tell"))? {
        (true, true) => {
            Finding::warn(interface, "on").mend(format!("ethtool -K {interface} {option} off"))
        }
        (true, false) => Finding::warn(interface, "on, and the driver cannot do without"),
        (false, _) => Finding::ok(interface, "off"),
    })
}
