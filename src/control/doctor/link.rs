//! The link: is it there, how fast, how long may frames be, may it hold the other end up?

use crate::control::doctor::finding::Finding;
use crate::control::doctor::finding::Findings;
use crate::control::doctor::host::Host;
use crate::control::ethtool;

/// `IFF_UP` of netdevice(7).
const IFF_UP: u64 = 1;

/// Looks whether it is up and has a signal.
pub(super) fn state(host: &Host, interface: &str) -> Findings {
    let flags = host.read(&format!("sys/class/net/{interface}/flags"))?;
    let flags = u64::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap_or_default();
    if flags & IFF_UP == 0 {
        let down = Finding::fail(interface, "down");
        return Ok(vec![down.mend(format!("ip link set dev {interface} up"))]);
    }
    let carrier = host.optional(&format!("sys/class/net/{interface}/carrier"));
    if carrier.as_deref() == Some("0") {
        let mend = format!("see to the cable, the optics and the switch: ethtool {interface}");
        return Ok(vec![Finding::fail(interface, "up, without a signal").mend(mend)]);
    }
    Ok(vec![Finding::ok(interface, "up, with a signal")])
}

/// Looks at speed and duplex.
pub(super) fn speed(host: &Host, interface: &str) -> Findings {
    let folder = format!("sys/class/net/{interface}");
    let Some(mbits) = host.number(&format!("{folder}/speed")) else {
        return Ok(vec![Finding::note(interface, "no speed: virtual, or without a signal")]);
    };
    let duplex = host.optional(&format!("{folder}/duplex")).unwrap_or_default();
    let found = format!("{mbits} Mbit/s, {duplex} duplex");
    let finding = if duplex == "half" {
        Finding::warn(interface, found).mend(format!("ethtool -s {interface} duplex full"))
    } else {
        Finding::ok(interface, found)
    };
    Ok(vec![finding.number("megabits_per_second", mbits)])
}

/// Looks at the driver.
pub(super) fn driver(host: &Host, interface: &str) -> Findings {
    let link = host.link(&format!("sys/class/net/{interface}/device/driver"));
    Ok(vec![match link.as_deref() {
        Some("virtio_net") => Finding::note(interface, "virtio_net: the hypervisor may drop first"),
        Some(driver) => Finding::ok(interface, driver),
        None => Finding::note(interface, "none: a virtual interface"),
    }])
}

/// Looks whether frames come that are longer than the interface takes.
pub(super) fn mtu(host: &Host, interface: &str) -> Findings {
    let folder = format!("sys/class/net/{interface}");
    let mtu = host.read(&format!("{folder}/mtu"))?;
    let count = |name: &str| {
        let total = host.number(&format!("{folder}/statistics/{name}")).unwrap_or_default();
        host.since(interface, name, total)
    };
    let long = count("rx_length_errors").saturating_add(count("rx_over_errors"));
    let found = format!("{mtu} bytes, {long} frames of a wrong length");
    let finding = if long > 0 {
        Finding::warn(interface, found).mend(format!("ip link set dev {interface} mtu 9216"))
    } else {
        Finding::ok(interface, found)
    };
    Ok(vec![finding.number("wrong_length", long)])
}

/// Looks whether the interface may tell the switch to wait.
pub(super) fn pause(host: &Host, interface: &str) -> Findings {
    let text = host.run(&["ethtool", "-a", interface])?;
    let pairs = ethtool::pairs(&text);
    let is_on = |name: &str| pairs.get(name).is_some_and(|value| value == "on");
    let off = format!("ethtool -A {interface} autoneg off rx off tx off");
    Ok(vec![match (is_on("TX"), is_on("RX")) {
        (true, _) => Finding::warn(interface, "pause frames are sent").mend(off),
        (false, true) => Finding::note(interface, "pause frames are obeyed, none is sent"),
        (false, false) => Finding::ok(interface, "no pause frames"),
    }])
}
