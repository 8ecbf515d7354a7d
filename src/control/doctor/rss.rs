//! How the NIC spreads flows over its queues.

use crate::control::doctor::finding::Finding;
use crate::control::doctor::finding::Findings;
use crate::control::doctor::finding::Unknown;
use crate::control::doctor::host::Host;
use crate::control::ethtool::Spread;

/// The word whose repetition makes a Toeplitz hash the same for both directions.
const SYMMETRIC_WORD: &str = "6d:5a";

/// A Toeplitz key's bytes where the driver does not tell.
const KEY_BYTES: usize = 40;

/// Looks whether every queue gets a share.
pub(super) fn table(host: &Host, interface: &str) -> Findings {
    let spread = spread(host, interface)?;
    if spread.rings == 1 {
        return Ok(vec![Finding::ok(interface, "one queue")]);
    }
    if spread.used == 0 {
        return Err(Unknown::new("the driver does not tell"));
    }
    let found = format!("flows go to {} of {} queues", spread.used, spread.rings);
    let finding = if spread.used < spread.rings {
        let mend = format!("ethtool -X {interface} equal {}", spread.rings);
        Finding::warn(interface, found).mend(mend)
    } else {
        Finding::ok(interface, found)
    };
    Ok(vec![finding.number("queues_used", spread.used).number("queues", spread.rings)])
}

/// Looks whether both directions of a flow come to one queue.
pub(super) fn symmetry(host: &Host, interface: &str) -> Findings {
    let spread = spread(host, interface)?;
    if spread.rings == 1 {
        return Ok(vec![Finding::ok(interface, "one queue: both directions come to it")]);
    }
    if spread.key.is_empty() && !spread.is_symmetric {
        return Err(Unknown::new("the driver does not tell its key"));
    }
    if spread.joins_directions() {
        return Ok(vec![Finding::ok(interface, "both directions of a flow come to one queue")]);
    }
    let bytes = if spread.key.is_empty() { KEY_BYTES } else { spread.key.len() };
    let words = vec![SYMMETRIC_WORD; bytes.div_ceil(2)].join(":");
    let key = words.get(..(bytes * 3).saturating_sub(1)).unwrap_or(&words);
    let found = "the directions of a flow come to different queues, and may change their order";
    let mend = format!("ethtool -X {interface} hkey {key} equal {}", spread.rings);
    Ok(vec![Finding::note(interface, found).mend(mend)])
}

/// Looks which fields of a packet choose its queue.
pub(super) fn fields(host: &Host, interface: &str) -> Findings {
    if spread(host, interface).is_ok_and(|spread| spread.rings == 1) {
        return Ok(vec![Finding::ok(interface, "one queue")]);
    }
    let mut findings = Vec::new();
    let mut last = None;
    for flow in ["tcp4", "tcp6", "udp4", "udp6"] {
        let text = match host.run(&["ethtool", "-n", interface, "rx-flow-hash", flow]) {
            Ok(text) => text,
            Err(unknown) => {
                last = Some(unknown);
                continue;
            }
        };
        let [addresses, ports] = ["IP SA", "L4 bytes 0 & 1"].map(|field| text.contains(field));
        let all = || format!("ethtool -N {interface} rx-flow-hash {flow} sdfn");
        findings.push(match (addresses, ports) {
            (true, true) => Finding::ok(interface, format!("{flow}: addresses and ports")),
            (true, false) if flow.starts_with("tcp") => {
                Finding::warn(interface, format!("{flow}: addresses alone")).mend(all())
            }
            // fragments have no ports: with them, a datagram's parts come to different queues
            (true, false) => Finding::ok(interface, format!("{flow}: addresses alone")),
            (false, _) => Finding::note(interface, format!("{flow}: nothing")).mend(all()),
        });
    }
    match last {
        Some(unknown) if findings.is_empty() => Err(unknown),
        _ => Ok(findings),
    }
}

fn spread(host: &Host, interface: &str) -> Result<Spread, Unknown> {
    Ok(Spread::parse(&host.run(&["ethtool", "-x", interface])?))
}
