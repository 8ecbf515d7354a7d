//! The table at the end of a replay, for people: what was read, seen, found and lost.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::model::counters::Counters;
use crate::model::counters::Row;
use crate::model::observation::ObservationKind;
use crate::model::plain::plain;

/// What the table tells beside the counters.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Counts of all threads.
    pub counters: &'a Counters,
    /// Bytes of frames on the wire.
    pub wire_bytes: u64,
    /// Alerts by indicator type.
    pub alerts: &'a BTreeMap<&'static str, u64>,
    /// Alerts written out of order because too many were held.
    pub alerts_unordered: u64,
    /// Indicators in the set.
    pub indicators: u64,
    /// Attributes that were left out.
    pub refused: u64,
    /// Version of the set.
    pub set_version: &'a str,
    /// Seconds that compiling took.
    pub intel_secs: f64,
    /// Seconds that the packets took.
    pub packet_secs: f64,
    /// Largest resident memory, bytes.
    pub peak_bytes: Option<u64>,
}

/// Returns the table, lines ended.
pub fn table(run: &Run<'_>) -> String {
    let counters = run.counters;
    let mut out = String::new();
    let secs = run.packet_secs.max(1e-9);
    let mpps = counters.frames() as f64 / secs / 1e6;
    let gbits = counters.frame_bytes() as f64 * 8.0 / secs / 1e9;
    line(&mut out, "packets", &grouped(counters.frames()));
    let bytes = format!(
        "{} captured, {} on the wire",
        grouped(counters.frame_bytes()),
        grouped(run.wire_bytes)
    );
    line(&mut out, "bytes", &bytes);
    line(&mut out, "flows", &grouped(counters.flows));
    let seen = ObservationKind::ALL.iter().map(|kind| kind.name()).zip(counters.observations);
    line(&mut out, "observations", &list(seen, "none"));
    let alerts = run.alerts.iter().map(|(kind, n)| (*kind, *n));
    line(&mut out, "alerts", &list(alerts, "none"));
    if counters.hits_expired > 0 {
        line(
            &mut out,
            "expired",
            &format!("{} hits of old indicators", grouped(counters.hits_expired)),
        );
    }
    let losses: Vec<Row> = counters.rows().into_iter().filter(is_loss).collect();
    line(&mut out, "losses", &list(losses.iter().map(|row| (loss_name(row), row.value)), "none"));
    line(&mut out, "accounted", &accounts(counters));
    let set = format!(
        "{} indicators, {} attributes left out, version {}",
        grouped(run.indicators),
        grouped(run.refused),
        run.set_version
    );
    line(&mut out, "set", &set);
    let time = format!(
        "{:.3} s for packets, {:.3} s for indicators: {mpps:.2} Mpps, {gbits:.2} Gbit/s",
        run.packet_secs, run.intel_secs
    );
    line(&mut out, "time", &time);
    if let Some(bytes) = run.peak_bytes {
        line(&mut out, "memory", &format!("{} MiB at most", grouped(bytes >> 20)));
    }
    if let Some(warning) = bound_hit(run) {
        let _cannot_fail = writeln!(out, "warning: {warning}");
    }
    out
}

/// Returns the process's largest resident memory in bytes, where the system tells it.
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Returns a number with its thousands told apart.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn line(out: &mut String, name: &str, value: &str) {
    let _cannot_fail = writeln!(out, "{name:<13} {}", plain(value));
}

fn list<'a>(counts: impl Iterator<Item = (&'a str, u64)>, nothing: &str) -> String {
    let mut sums: Vec<(&str, u64)> = counts.filter(|(_, n)| *n > 0).collect();
    sums.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    if sums.is_empty() {
        return nothing.to_owned();
    }
    let total: u64 = sums.iter().map(|(_, n)| n).sum();
    let parts: Vec<String> =
        sums.iter().map(|(name, n)| format!("{name} {}", grouped(*n))).collect();
    format!("{}: {}", grouped(total), parts.join(", "))
}

fn is_loss(row: &Row) -> bool {
    const LOSSES: &[&str] = &[
        "inputs_damaged_total",
        "dissected_datagrams_total",
        "dropped_packets_total",
        "decode_failures_total",
        "flows_evicted_total",
        "reassembly_gaps_total",
        "reassembly_refused_total",
        "observations_refused_total",
        "hits_refused_total",
        "dissect_bounds_total",
    ];
    // frames that hold no IP (ARP, spanning tree ...) and datagrams of other protocols are no loss:
    // there is nothing to look for
    let nothing_there =
        row.labels.iter().any(|(_, value)| matches!(*value, "not_ip" | "filter" | "alien"));
    LOSSES.contains(&row.metric) && !nothing_there
}

fn loss_name(row: &Row) -> &'static str {
    match (row.metric, row.labels) {
        ("inputs_damaged_total", [(_, "capture")]) => "captures damaged or cut",
        ("inputs_damaged_total", _) => "inputs of indicators damaged",
        ("dissected_datagrams_total", [(_, "truncated")]) => "DNS messages cut",
        ("dissected_datagrams_total", [(_, "fragmented")]) => "first IP fragments",
        ("dissected_datagrams_total", _) => "DNS messages malformed",
        ("dropped_packets_total", [(_, "kernel"), _]) => "packets dropped by the kernel",
        ("dropped_packets_total", [(_, "interface"), _]) => "packets dropped by the interface",
        ("dropped_packets_total", [_, (_, "ring_damaged")]) => "packets in damaged ring blocks",
        ("dropped_packets_total", _) => "oversized frames",
        ("decode_failures_total", [(_, "link"), (_, "truncated")]) => "link headers cut",
        ("decode_failures_total", [(_, "link"), _]) => "link layers not read",
        ("decode_failures_total", [(_, "ip"), (_, "truncated")]) => "IP headers cut",
        ("decode_failures_total", [(_, "ip"), (_, "fragment")]) => "later IP fragments",
        ("decode_failures_total", [(_, "ip"), _]) => "IP headers malformed",
        ("decode_failures_total", [(_, "transport"), (_, "truncated")]) => "transport headers cut",
        ("decode_failures_total", _) => "transport headers malformed",
        ("flows_evicted_total", _) => "flows evicted",
        ("reassembly_gaps_total", _) => "streams with lost bytes",
        ("reassembly_refused_total", _) => "streams over a bound",
        ("dissect_bounds_total", _) => "messages over a bound",
        ("observations_refused_total", _) => "observations over a bound",
        ("hits_refused_total", _) => "hits that the reporter had no room for",
        (other, _) => other,
    }
}

/// The books of the capture and decode stages: every frame is somewhere.
fn accounts(counters: &Counters) -> String {
    let left_out = counters.decode_failures();
    let known = counters.packets + left_out;
    let balance = if known == counters.frames() { "every frame" } else { "NOT every frame" };
    format!(
        "{balance}: {} in = {} in flows + {} without a packet",
        grouped(counters.frames()),
        grouped(counters.packets),
        grouped(left_out)
    )
}

fn bound_hit(run: &Run<'_>) -> Option<String> {
    let counters = run.counters;
    let bounds = [
        ("flows evicted", counters.flows_evicted),
        ("streams over a bound", counters.streams_refused + counters.streams_refused_memory),
        ("observations over a bound", counters.observations_refused),
        ("hits refused", counters.hits_refused),
        ("values forgotten", counters.values_forgotten),
        ("alerts out of order", run.alerts_unordered),
    ];
    let hit: Vec<String> = bounds
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(name, n)| format!("{} {name}", grouped(*n)))
        .collect();
    (!hit.is_empty()).then(|| {
        format!("a bound was hit ({}): another number of workers may find more", hit.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_told_apart() {
        for (n, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(n), text);
        }
    }

    #[test]
    fn a_frame_that_is_nowhere_is_said_so() {
        let whole = Counters { captured_packets: 2, packets: 1, ..Counters::default() };
        assert!(accounts(&whole).starts_with("NOT every frame"));
        let whole = Counters { decode_link_not_ip: 1, ..whole };
        assert!(accounts(&whole).starts_with("every frame"));
    }
}
