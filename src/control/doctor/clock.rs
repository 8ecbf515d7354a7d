//! Time: what alerts say, and what frames are stamped with.

use crate::control::doctor::finding::Finding;
use crate::control::doctor::finding::Findings;
use crate::control::doctor::finding::Unknown;
use crate::control::doctor::host::Host;
use crate::pipeline::capture::live::Clocking;

const SOURCES: &str = "sys/devices/system/clocksource/clocksource0";

/// Sources that are read without leaving the CPU.
const FAST: &[&str] =
    &["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "timebase", "xen"];

/// Looks whether the clock follows others.
pub(super) fn synchronised(host: &Host) -> Findings {
    let mend = "timedatectl set-ntp true || systemctl enable --now chrony || \
                systemctl enable --now chronyd";
    let asked = host.run(&["timedatectl", "show", "-p", "NTPSynchronized", "--value"]);
    let asked = asked.map(|text| (text.trim() == "yes", "timedatectl"));
    let asked = asked.or_else(|_| {
        // leap status is the last field: "Normal" where it is synchronised
        let text = host.run(&["chronyc", "-c", "tracking"])?;
        let leap = text.trim().rsplit(',').next().unwrap_or_default();
        Ok((!leap.is_empty() && !leap.starts_with("Not"), "chronyc"))
    });
    match asked {
        Ok((true, who)) => Ok(vec![Finding::ok("host", format!("synchronised, says {who}"))]),
        Ok((false, who)) => {
            Ok(vec![Finding::warn("host", format!("not synchronised, says {who}")).mend(mend)])
        }
        Err(Unknown { .. }) => Err(Unknown {
            why: "neither timedatectl nor chronyc answers".to_owned(),
            mend: Some("apt-get install chrony || dnf install chrony".to_owned()),
        }),
    }
}

/// Looks how the kernel reads time.
pub(super) fn source(host: &Host) -> Findings {
    let current = host.read(&format!("{SOURCES}/current_clocksource"))?;
    if FAST.contains(&current.as_str()) {
        return Ok(vec![Finding::ok("host", current)]);
    }
    let others = host.optional(&format!("{SOURCES}/available_clocksource")).unwrap_or_default();
    let fast = others.split_whitespace().find(|source| FAST.contains(source));
    let finding = Finding::warn("host", format!("{current}: each time stamp costs a microsecond"));
    Ok(vec![match fast {
        Some(fast) => finding.mend(format!("echo {fast} > /{SOURCES}/current_clocksource")),
        None => finding,
    }])
}

/// Looks who stamps frames, and whether the NIC could.
pub(super) fn stamps(host: &Host, interface: &str) -> Findings {
    let text = host.run(&["ethtool", "-T", interface])?;
    let has = |name: &str| text.lines().any(|line| line.trim().starts_with(name));
    let hardware = has("hardware-receive") && has("all");
    let wants = host.capture(interface).is_some_and(|one| one.clocking == Clocking::Adapter);
    if wants {
        return Ok(vec![if hardware {
            let found = "the NIC's, as `clock = \"adapter\"` wants it; its clock must be set, too";
            Finding::note(interface, found)
                .mend(format!("phc2sys -s CLOCK_REALTIME -c {interface} -O 0"))
        } else {
            let found = "`clock = \"adapter\"`, but the NIC does not stamp every frame: the sensor \
                does not start";
            Finding::fail(interface, found).mend("clock = \"host\" in [[capture]]")
        }]);
    }
    let found = if hardware {
        "the kernel's; the NIC could stamp every frame: `clock = \"adapter\"`"
    } else if has("software-receive") {
        "the kernel's, when the driver hands a frame over"
    } else {
        "the kernel's, when a packet socket sees a frame"
    };
    Ok(vec![Finding::ok(interface, found)])
}
