//! The kernel: its version, what this process may, and the C library's side of it.

use crate::control::doctor::finding::Finding;
use crate::control::doctor::finding::Findings;
use crate::control::doctor::finding::Unknown;
use crate::control::doctor::host::Host;
use crate::control::doctor::tool;

/// The oldest kernel that we have reason to trust with fanout and TPACKET_V3: EL8's.
const OLDEST: (u32, u32) = (4, 18);

/// The oldest libpcap: EL8's.
const OLDEST_LIBPCAP: (u32, u32) = (1, 9);

/// Files that the sensor has open at most, many times over: rings, sinks, clients, feeds.
const FILES_ENOUGH: u64 = 1_024;

/// `CAP_NET_RAW` of capabilities(7).
const CAP_NET_RAW: u64 = 1 << 13;

/// Looks at the kernel's version.
pub(super) fn version(host: &Host) -> Findings {
    let release = host.read("proc/sys/kernel/osrelease")?;
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || parts.next().and_then(|part| part.parse().ok()).unwrap_or_default();
    let is_old = (next(), next()) < OLDEST;
    Ok(vec![if is_old {
        let (major, minor) = OLDEST;
        let found = format!("Linux {release}, older than {major}.{minor}");
        Finding::warn("host", found).mend("apt-get dist-upgrade || dnf upgrade; reboot")
    } else {
        Finding::ok("host", format!("Linux {release}"))
    }])
}

/// Looks whether filters are compiled.
pub(super) fn filter(host: &Host) -> Findings {
    let compiles = host.read("proc/sys/net/core/bpf_jit_enable")?;
    let filters = host.config.as_ref().is_some_and(|configured| {
        configured.config.captures.iter().any(|capture| !capture.filter.is_empty())
    });
    let mend = "sysctl -w net.core.bpf_jit_enable=1";
    Ok(vec![match (compiles.as_str(), filters) {
        ("0", true) => Finding::warn("host", "filters are interpreted, and one is set").mend(mend),
        ("0", false) => {
            Finding::note("host", "filters are interpreted, and none is set").mend(mend)
        }
        _ => Finding::ok("host", "filters are compiled"),
    }])
}

/// Looks at the limit of open files.
pub(super) fn files(host: &Host) -> Findings {
    let files = limit(host, "Max open files")?;
    let found = format!("{files} open files");
    let files = files.parse().unwrap_or(u64::MAX);
    Ok(vec![if files < FILES_ENOUGH {
        let mend = format!("ulimit -n {FILES_ENOUGH}   # in the unit: LimitNOFILE={FILES_ENOUGH}");
        Finding::warn("process", found).mend(mend).number("files", files)
    } else {
        Finding::ok("process", found).number("files", files)
    }])
}

/// Tells the limit of locked memory, since people ask.
pub(super) fn locked(host: &Host) -> Findings {
    let bytes = limit(host, "Max locked memory")?;
    let found = match bytes.parse::<u64>() {
        Ok(bytes) => format!("{} KiB; rings do not count against it", bytes / 1_024),
        Err(_) => "unlimited; rings do not count against it".to_owned(),
    };
    Ok(vec![Finding::ok("process", found)])
}

/// Looks whether this process may capture.
pub(super) fn privilege(host: &Host) -> Findings {
    let status = host.read("proc/self/status")?;
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let held = held.and_then(|held| u64::from_str_radix(held.trim(), 16).ok());
    let held = held.ok_or_else(|| Unknown::new("/proc/self/status names no capabilities"))?;
    Ok(vec![if held & CAP_NET_RAW == 0 {
        let mend = "systemctl start tapsieve || sudo tapsieve sensor --config FILE";
        Finding::warn("process", "no CAP_NET_RAW: started like this, no interface opens").mend(mend)
    } else {
        Finding::ok("process", "CAP_NET_RAW")
    }])
}

/// Looks whether the user that the sensor becomes is there.
pub(super) fn user(host: &Host) -> Findings {
    let user = host.config.as_ref().map(|all| all.config.confinement.user.as_str());
    // empty: it becomes nobody else
    let Some(user) = user.filter(|user| !user.is_empty()) else { return Ok(Vec::new()) };
    let users = host.read("etc/passwd")?;
    let is_local = users.lines().any(|line| line.split(':').next() == Some(user));
    // a directory service may know others
    let is_there = is_local || host.run(&["getent", "passwd", user]).is_ok();
    Ok(vec![if is_there {
        Finding::ok(user, "there is such a user")
    } else {
        let mend = format!("useradd --system --no-create-home --shell /usr/sbin/nologin {user}");
        Finding::fail(user, "no such user, and [drop] `user` is it").mend(mend)
    }])
}

/// Looks at the version of libpcap.
pub(super) fn libpcap(host: &Host) -> Findings {
    let maps = host.read("proc/self/maps")?;
    let mut names = maps.lines().filter_map(|line| line.rsplit('/').next());
    let name = names.find_map(|name| name.strip_prefix("libpcap.so."));
    let version = name.ok_or_else(|| Unknown::new("part of the program, or not loaded"))?;
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default();
    let is_old = (next(), next()) < OLDEST_LIBPCAP;
    let found = format!("libpcap {version}");
    Ok(vec![if is_old {
        Finding::warn("host", found).mend("apt-get install libpcap0.8 || dnf upgrade libpcap")
    } else {
        Finding::ok("host", found)
    }])
}

/// Looks whether the program is there that other checks ask.
pub(super) fn ethtool(host: &Host) -> Findings {
    match host.run(&["ethtool", "--version"]) {
        Ok(version) => Ok(vec![Finding::ok("host", version.trim())]),
        Err(unknown) if unknown.mend.is_some() => Err(tool::absent("ethtool")),
        Err(unknown) => Err(unknown),
    }
}

/// Returns a soft limit of this process, as the kernel writes it.
fn limit(host: &Host, name: &str) -> Result<String, Unknown> {
    let limits = host.read("proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name));
    let soft = line.and_then(|line| line.split_whitespace().next());
    soft.map(str::to_owned).ok_or_else(|| Unknown::new(format!("no limit `{name}`")))
}
