//! Memory: is there enough for the rings and tables that the configuration asks for?

use crate::control::doctor::finding::Finding;
use crate::control::doctor::finding::Findings;
use crate::control::doctor::finding::Unknown;
use crate::control::doctor::host::Host;
use crate::pipeline::capture::live::LiveSettings;

/// Bytes of one flow in the table, and of its place in the index.
const FLOW_BYTES: u64 = 144;

const KIB: u64 = 1_024;
const MIB: u64 = 1_024 * KIB;

/// Looks at the rings and the flow table against what is free.
pub(super) fn rings(host: &Host) -> Findings {
    let free = meminfo(host, "MemAvailable:")?;
    let Some(configured) = &host.config else {
        let found = format!("{} MiB free", free / MIB);
        return Ok(vec![Finding::ok("host", found).number("free_bytes", free)]);
    };
    let ring = |capture: &LiveSettings| {
        u64::from(capture.threads).saturating_mul(u64::from(capture.ring_mebibytes) * MIB)
    };
    let rings: u64 = configured.config.captures.iter().map(ring).sum();
    let flows = u64::from(configured.config.flows_max).saturating_mul(FLOW_BYTES);
    let wanted = rings.saturating_add(flows);
    let found = format!(
        "{} MiB of rings and {} MiB of flows wanted, {} MiB free",
        rings / MIB,
        flows / MIB,
        free / MIB
    );
    let mend =
        format!("less ring_mebibytes, threads or flows_max in {}", configured.path.display());
    let finding = if wanted > free {
        Finding::fail("host", found).mend(mend)
    } else if wanted > free / 2 {
        Finding::warn("host", found).mend(mend)
    } else {
        Finding::ok("host", found)
    };
    Ok(vec![finding.number("wanted_bytes", wanted).number("free_bytes", free)])
}

/// Tells whether tables get huge pages.
pub(super) fn huge_pages(host: &Host) -> Findings {
    let path = "sys/kernel/mm/transparent_hugepage/enabled";
    let setting = host.read(path)?;
    let chosen = setting.split(['[', ']']).nth(1).unwrap_or(&setting);
    let found = format!("transparent huge pages: {chosen}");
    Ok(vec![match chosen {
        "always" => Finding::ok("host", found),
        _ => Finding::note("host", found).mend(format!("echo always > /{path}")),
    }])
}

/// Returns a number of /proc/meminfo, in bytes.
fn meminfo(host: &Host, name: &str) -> Result<u64, Unknown> {
    let text = host.read("proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib.saturating_mul(KIB))
        .ok_or_else(|| Unknown::new(format!("/proc/meminfo has no {name}")))
}
