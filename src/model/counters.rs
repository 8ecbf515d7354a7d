//! Counters: one table that makes the struct, its sum, and the rows of `/metrics` and of the
//! summary.
//!
//! Each thread owns one `Counters` of plain numbers; they are added up when someone asks.

use crate::model::observation::ObservationKind;

/// Makes the struct of plain counters, its addition and its metric rows.
macro_rules! counters {
    ($($field:ident = $metric:literal { $($label:ident = $value:literal),* },)*) => {
        /// What one thread counted.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $(#[doc = $metric] pub $field: u64,)*
            /// Flows that are open now: a gauge.
            pub flows_active: u64,
            /// Streams that are being read now: a gauge.
            pub streams_active: u64,
            /// Nanoseconds that a worker read blocks.
            pub busy_nanos: u64,
            /// Blocks that wait for a worker now: a gauge.
            pub blocks_waiting: u64,
            /// Capture handles whose interface is gone now: a gauge.
            pub handles_down: u64,
            /// Packets in the kernel's rings at the last look: a gauge.
            pub kernel_held: u64,
            /// Packets taken from the rings that the kernel did not count: a gauge, ever 0.
            pub kernel_short: u64,
            /// Observations by kind, in the order of `ObservationKind::ALL`.
            pub observations: [u64; ObservationKind::ALL.len()],
            /// Hits by kind of observation, in the same order.
            pub hits: [u64; ObservationKind::ALL.len()],
        }

        impl Counters {
            /// Adds another thread's counts.
            pub fn add(&mut self, other: &Self) {
                $(self.$field = self.$field.saturating_add(other.$field);)*
                self.flows_active = self.flows_active.saturating_add(other.flows_active);
                self.streams_active = self.streams_active.saturating_add(other.streams_active);
                self.busy_nanos = self.busy_nanos.saturating_add(other.busy_nanos);
                self.blocks_waiting = self.blocks_waiting.saturating_add(other.blocks_waiting);
                self.handles_down = self.handles_down.saturating_add(other.handles_down);
                self.kernel_held = self.kernel_held.saturating_add(other.kernel_held);
                self.kernel_short = self.kernel_short.saturating_add(other.kernel_short);
                let pairs = self.observations.iter_mut().zip(&other.observations);
                pairs.for_each(|(sum, n)| *sum = sum.saturating_add(*n));
                let pairs = self.hits.iter_mut().zip(&other.hits);
                pairs.for_each(|(sum, n)| *sum = sum.saturating_add(*n));
            }

            /// Returns how many frames sources handed over, from files and live.
            pub fn frames(&self) -> u64 {
                self.captured_packets.saturating_add(self.live_packets)
            }

            /// Returns how many bytes of frames sources handed over, from files and live.
            pub fn frame_bytes(&self) -> u64 {
                self.captured_bytes.saturating_add(self.live_bytes)
            }

            /// Returns how many frames gave no packet.
            pub fn decode_failures(&self) -> u64 {
                let rows = self.rows().into_iter();
                rows.filter(|row| row.metric == "decode_failures_total").map(|row| row.value).sum()
            }

            /// Counts an observation.
            pub fn count_observation(&mut self, kind: ObservationKind) {
                bump(&mut self.observations, kind);
            }

            /// Counts a hit.
            pub fn count_hit(&mut self, kind: ObservationKind) {
                bump(&mut self.hits, kind);
            }

            /// Returns name (without `tapsieve_`), labels and value of each counter.
            pub fn rows(&self) -> Vec<Row> {
                vec![$(Row {
                    metric: $metric,
                    labels: &[$((stringify!($label), $value)),*],
                    value: self.$field,
                },)*]
            }
        }
    };
}

fn bump(counts: &mut [u64; ObservationKind::ALL.len()], kind: ObservationKind) {
    if let Some(n) = counts.get_mut(kind.position()) {
        *n = n.saturating_add(1);
    }
}

/// One counter as metrics show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Metric name without prefix.
    pub metric: &'static str,
    /// Label names and values.
    pub labels: &'static [(&'static str, &'static str)],
    /// The count.
    pub value: u64,
}

counters! {
    // inputs that were cut, damaged or of no use
    inputs_damaged = "inputs_damaged_total" { input = "capture" },
    intel_damaged = "inputs_damaged_total" { input = "intel" },
    // capture: frames a source handed over, and what it left out
    captured_packets = "capture_packets_total" { source = "file" },
    captured_bytes = "capture_bytes_total" { source = "file" },
    live_packets = "capture_packets_total" { source = "live" },
    live_bytes = "capture_bytes_total" { source = "live" },
    kernel_packets = "capture_kernel_packets_total" {},
    interfaces_lost = "capture_interfaces_lost_total" {},
    early_packets = "capture_early_packets_total" {},
    ring_freezes = "capture_ring_freezes_total" {},
    ring_blocks_losing = "capture_ring_losing_blocks_total" {},
    lost_ring = "dropped_packets_total" { stage = "kernel", reason = "ring_full" },
    lost_ring_damaged = "dropped_packets_total" { stage = "capture", reason = "ring_damaged" },
    lost_ring_left = "dropped_packets_total" { stage = "kernel", reason = "ring_closed" },
    lost_interface = "dropped_packets_total" { stage = "interface", reason = "driver" },
    skipped_oversized = "dropped_packets_total" { stage = "capture", reason = "oversized" },
    skipped_filter = "dropped_packets_total" { stage = "capture", reason = "filter" },
    // decode: frames that gave no packet
    decode_link_truncated = "decode_failures_total" { layer = "link", reason = "truncated" },
    decode_link_unsupported = "decode_failures_total" { layer = "link", reason = "unsupported" },
    decode_link_not_ip = "decode_failures_total" { layer = "link", reason = "not_ip" },
    decode_ip_truncated = "decode_failures_total" { layer = "ip", reason = "truncated" },
    decode_ip_malformed = "decode_failures_total" { layer = "ip", reason = "malformed" },
    decode_ip_fragment = "decode_failures_total" { layer = "ip", reason = "fragment" },
    decode_transport_truncated =
        "decode_failures_total" { layer = "transport", reason = "truncated" },
    decode_transport_malformed =
        "decode_failures_total" { layer = "transport", reason = "malformed" },
    // flow: packets that reached the table
    packets = "flow_packets_total" {},
    flows = "flows_total" {},
    flows_evicted = "flows_evicted_total" {},
    flows_expired = "flows_expired_total" {},
    flows_closed = "flows_closed_total" {},
    tcp_packets_opener = "flow_tcp_packets_total" { side = "opener" },
    tcp_packets_other = "flow_tcp_packets_total" { side = "other" },
    // reassembly: what a side's reading missed
    segments_reordered = "reassembly_segments_total" { outcome = "reordered" },
    segments_repeated = "reassembly_segments_total" { outcome = "repeated" },
    gaps = "reassembly_gaps_total" {},
    streams_refused = "reassembly_refused_total" { reason = "side_bytes" },
    streams_refused_memory = "reassembly_refused_total" { reason = "all_bytes" },
    // dissect
    streams_opened = "dissected_streams_opened_total" {},
    streams_unfinished = "dissected_streams_total" { outcome = "unfinished" },
    streams_read = "dissected_streams_total" { outcome = "done" },
    streams_alien = "dissected_streams_total" { outcome = "alien" },
    streams_lost = "dissected_streams_total" { outcome = "lost" },
    datagrams_truncated = "dissected_datagrams_total" { outcome = "truncated" },
    datagrams_malformed = "dissected_datagrams_total" { outcome = "malformed" },
    datagrams_fragmented = "dissected_datagrams_total" { outcome = "fragmented" },
    datagrams_alien = "dissected_datagrams_total" { outcome = "alien" },
    readings_cut = "dissect_bounds_total" {},
    hits_repeated = "alerts_suppressed_total" {},
    hits_expired = "alerts_expired_total" {},
    hits_quarantined = "alerts_quarantined_total" {},
    hits_unknown = "alerts_unknown_total" {},
    hits_refused = "hits_refused_total" {},
    observations_refused = "observations_refused_total" {},
    values_forgotten = "observation_values_forgotten_total" {},
    values_unkept = "observation_values_unkept_total" {},
}

#[cfg(test)]
mod tests {
    use super::Counters;

    #[test]
    fn adding_adds_every_row() {
        let one = Counters { packets: 2, gaps: 1, ..Counters::default() };
        let mut sum = one.clone();
        sum.add(&one);
        let rows = sum.rows();
        let of = |metric: &str| rows.iter().find(|row| row.metric == metric).map(|row| row.value);
        assert_eq!(of("flow_packets_total"), Some(4));
        assert_eq!(of("reassembly_gaps_total"), Some(2));
    }
}
