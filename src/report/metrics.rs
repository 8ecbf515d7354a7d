//! Metrics in Prometheus' exposition format (contract §5). Labels come from small fixed sets only.

use std::collections::BTreeMap;

use prometheus::Encoder;
use prometheus::GaugeVec;
use prometheus::Opts;
use prometheus::Registry;
use prometheus::TextEncoder;
use prometheus::core::Atomic;
use prometheus::core::AtomicF64;
use prometheus::core::AtomicU64;
use prometheus::core::GenericCounterVec;

use crate::model::counters::Counters;
use crate::model::indicator::IndicatorType;
use crate::model::observation::ObservationKind;
use crate::report::accounting::Stage;
use crate::report::live::Status;
use crate::report::outlet::SinkStatus;

/// Everything that a run can tell.
#[derive(Clone, Copy, Debug)]
pub struct Totals<'a> {
    /// Counts of all threads.
    pub counters: &'a Counters,
    /// Alerts by indicator type.
    pub alerts: &'a BTreeMap<&'static str, u64>,
    /// How the sinks fare.
    pub sinks: &'a [SinkStatus],
    /// Indicators by type.
    pub indicators: &'a BTreeMap<&'static str, u64>,
    /// Version of the indicator set.
    pub set_version: &'a str,
    /// Bytes of the set: what is looked up, the values, the stories.
    pub set_bytes: &'a [(&'static str, u64)],
    /// Attributes that were left out, by reason.
    pub refused: &'a BTreeMap<String, u64>,
    /// Of a replay: seconds that compiling the indicators took, and seconds from the first packet
    /// read to the last alert written.
    pub replay: Option<[f64; 2]>,
    /// Of a sensor: what only it has.
    pub live: Option<Live<'a>>,
}

/// What only a sensor has to tell.
#[derive(Clone, Copy, Debug)]
pub struct Live<'a> {
    /// Counts by source and worker, and latencies.
    pub status: &'a Status,
    /// How many sets were in force before.
    pub generation: u64,
    /// Seconds since 1970 at which the set was put in force.
    pub loaded_secs: f64,
    /// New sets that were refused, by reason.
    pub sets_refused: &'a BTreeMap<&'static str, u64>,
    /// Seconds since the last frame, by interface.
    pub silences: &'a [(&'a str, f64)],
    /// What each interface received and lost, as its driver tells.
    pub adapters: &'a [Adapter],
    /// The books of each stage.
    pub stages: &'a [Stage],
    /// How each feed fares.
    pub feeds: &'a [Feed],
    /// Seconds since the last canary that came out was sent; `None`: none is wanted.
    pub canary_age_secs: Option<f64>,
    /// One direction of the traffic alone is seen.
    pub is_one_way: bool,
    /// Seconds that indicators have been compiled; 0: they are not.
    pub compiling_secs: f64,
    /// Seconds that new indicators have been refused; 0: they are not.
    pub refused_secs: f64,
    /// Nothing keeps it from its work.
    pub is_ready: bool,
    /// What it has given up, by name, and whether that is in force.
    pub confinement: &'a [(&'static str, bool)],
}

/// How a feed fares.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Its name, as the configuration has it.
    pub name: String,
    /// Seconds since 1970 when it was last read whole; 0: never.
    pub success_secs: f64,
    /// How often it was not, by reason.
    pub failures: BTreeMap<&'static str, u64>,
    /// How often it was pulled, and woken for that, where it is a server.
    pub pulls: Option<[u64; 2]>,
}

/// What the driver of an interface tells, since the start.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// Its name.
    pub interface: String,
    /// Packets received.
    pub packets: u64,
    /// Times without carrier.
    pub downs: u64,
    /// Packets lost before the kernel had them, by reason.
    pub lost: Vec<(&'static str, u64)>,
}

/// Returns the exposition text.
///
/// # Errors
///
/// When a name or label breaks Prometheus' rules: a bug that a test would show.
pub fn exposition(totals: &Totals<'_>) -> Result<Vec<u8>, prometheus::Error> {
    let registry = Registry::new();
    let page = Page { registry: &registry };
    page.counters(totals)?;
    page.set(totals)?;
    let one = |value: f64| [(vec![], value)];
    let active = one(totals.counters.flows_active as f64);
    page.gauge("flows_active", "Flows that are open; at the end of a replay.", &[], active)?;
    if let Some([intel_secs, packet_secs]) = totals.replay {
        let help = "Seconds that compiling the indicators took.";
        page.gauge("replay_intel_seconds", help, &[], one(intel_secs))?;
        let help = "Seconds from the first packet read to the last alert written.";
        page.gauge("replay_packet_seconds", help, &[], one(packet_secs))?;
    }
    if let Some(live) = &totals.live {
        page.live(live)?;
        page.books(live)?;
        page.feeds(live.feeds)?;
    }
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}

struct Page<'a> {
    registry: &'a Registry,
}

impl Page<'_> {
    fn counters(&self, totals: &Totals<'_>) -> Result<(), prometheus::Error> {
        let mut families: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for row in totals.counters.rows() {
            families.entry(row.metric).or_default().push(row);
        }
        for (metric, rows) in families {
            let labels: Vec<&str> = rows[0].labels.iter().map(|(name, _)| *name).collect();
            let rows = rows.iter().map(|row| {
                (row.labels.iter().map(|(_, value)| *value).collect::<Vec<_>>(), row.value)
            });
            self.counter(metric, help(metric), &labels, rows)?;
        }
        let kinds = || ObservationKind::ALL.iter().map(|kind| vec![kind.name()]);
        let observations = kinds().zip(totals.counters.observations);
        self.counter("observations_total", "Values seen.", &["kind"], observations)?;
        let hits = kinds().zip(totals.counters.hits);
        self.counter("hits_total", "Values that an indicator names.", &["kind"], hits)?;
        let alerts = by_type(totals.alerts);
        self.counter("alerts_total", "Alerts.", &["kind"], alerts)?;
        let outcomes = totals.sinks.iter().flat_map(|sink| {
            let outcomes = [("delivered", sink.delivered), ("lost", sink.lost)];
            outcomes.map(|(outcome, n)| (vec![sink.name.as_str(), outcome], n))
        });
        self.counter("sink_alerts_total", "Alerts by sink.", &["sink", "outcome"], outcomes)
    }

    fn live(&self, live: &Live<'_>) -> Result<(), prometheus::Error> {
        let one = |value: f64| [(vec![], value)];
        let help = "How many sets were in force before.";
        self.gauge("indicator_set_generation", help, &[], one(live.generation as f64))?;
        let help = "When the set was put in force.";
        let loaded = one(live.loaded_secs);
        self.gauge("indicator_set_loaded_timestamp_seconds", help, &[], loaded)?;
        let refused = live.sets_refused.iter().map(|(reason, n)| (vec![*reason], *n));
        let help = "New sets that were refused; the last good one stayed.";
        self.counter("indicator_sets_refused_total", help, &["reason"], refused)?;
        let help = "Seconds that the compiling under way has been running; 0: there is none.";
        self.gauge("intel_compiling_seconds", help, &[], one(live.compiling_secs))?;
        let help = "Seconds that new sets have been refused; 0: the newest is in force.";
        self.gauge("indicator_set_refused_seconds", help, &[], one(live.refused_secs))?;
        let counters = live.status.counters();
        let out = counters.packets.saturating_add(counters.decode_failures());
        let held = counters.frames().saturating_sub(out);
        let help =
            "Frames between capture and the flow table: captured, not yet a packet or a failure.";
        self.gauge("frames_held", help, &[], one(held as f64))?;
        let help = "Seconds since the last frame.";
        let silences = live.silences.iter().map(|(name, secs)| (vec![*name], *secs));
        self.gauge("capture_silence_seconds", help, &["interface"], silences)?;
        let down = counters.handles_down;
        let help = "Capture handles that have lost their interface.";
        self.gauge("capture_handles_down", help, &[], one(down as f64))?;
        self.sinks(&live.status.sinks)?;
        let help = "Indicators in quarantine, as they alerted for too many hosts.";
        let runaways = one(live.status.runaways.len() as f64);
        self.gauge("indicators_quarantined", help, &[], runaways)?;
        let help = "1 where nothing keeps the sensor from its work.";
        self.gauge("ready", help, &[], one(f64::from(u8::from(live.is_ready))))?;
        let measures = live.confinement.iter();
        let measures = measures.map(|(name, is)| (vec![*name], f64::from(u8::from(*is))));
        let help = "1 where the sensor has given it up: what it may do is bounded.";
        self.gauge("confinement", help, &["measure"], measures)?;
        self.registry.register(Box::new(live.status.latency.0.clone()))
    }

    /// Whether what is looked for is fresh.
    fn feeds(&self, feeds: &[Feed]) -> Result<(), prometheus::Error> {
        let read = feeds.iter().filter(|feed| feed.success_secs > 0.0);
        let read = read.map(|feed| (vec![feed.name.as_str()], feed.success_secs));
        let help = "When a feed was last read whole.";
        self.gauge("intel_last_success_timestamp_seconds", help, &["feed"], read)?;
        let failures = feeds.iter().flat_map(|feed| {
            let of = |(reason, n): (&&'static str, &u64)| (vec![feed.name.as_str(), *reason], *n);
            feed.failures.iter().map(of)
        });
        let help = "How often a feed was of no use, or not of all.";
        self.counter("intel_failures_total", help, &["feed", "reason"], failures)?;
        let pulled = |at: usize| {
            let of = move |feed: &'_ Feed| Some(*feed.pulls?.get(at)?);
            feeds.iter().filter_map(move |feed| Some((vec![feed.name.as_str()], of(feed)?)))
        };
        let help = "How often a server was pulled.";
        self.counter("intel_pulls_total", help, &["feed"], pulled(0))?;
        let help = "How often a server's publisher said that something has changed.";
        self.counter("intel_wakeups_total", help, &["feed"], pulled(1))
    }

    /// What came in at each stage is somewhere.
    fn books<'a>(&self, live: &Live<'a>) -> Result<(), prometheus::Error> {
        let of = |adapter: &'a Adapter, n: u64| (vec![adapter.interface.as_str()], n);
        let received = live.adapters.iter().map(|adapter| of(adapter, adapter.packets));
        let help = "Packets that an interface received, as its driver tells.";
        self.counter("interface_packets_total", help, &["interface"], received)?;
        let downs = live.adapters.iter().map(|adapter| of(adapter, adapter.downs));
        let help = "How often an interface lost its carrier.";
        self.counter("interface_downs_total", help, &["interface"], downs)?;
        let lost = live.adapters.iter().flat_map(|adapter| {
            let of =
                |(reason, n): &(&'static str, u64)| (vec![adapter.interface.as_str(), *reason], *n);
            adapter.lost.iter().map(of)
        });
        let help = "Packets that an interface lost before the kernel had them.";
        self.counter("interface_lost_packets_total", help, &["interface", "reason"], lost)?;
        let flows = live.stages.iter().flat_map(|stage| {
            let of = |what, n| (vec![stage.name, what], n);
            [of("in", stage.taken), of("out", stage.given), of("dropped", stage.dropped)]
        });
        let help = "What came into each stage, went out, and was dropped.";
        self.counter("stage_items_total", help, &["stage", "outcome"], flows)?;
        let held = live.stages.iter().map(|stage| (vec![stage.name], stage.held as f64));
        self.gauge("stage_held", "What is in each stage now.", &["stage"], held)?;
        let of = |stage: &Stage| (vec![stage.name], stage.unaccounted() as f64);
        let help = "What is nowhere, or in two places: 0 where the books balance.";
        self.gauge("stage_unaccounted", help, &["stage"], live.stages.iter().map(of))?;
        let workers = &live.status.workers;
        let names: Vec<String> = workers.keys().map(ToString::to_string).collect();
        let busy = names.iter().zip(workers.values());
        let busy = busy.map(|(name, n)| (vec![name.as_str()], n.busy_nanos as f64 / 1e9));
        let help = "Seconds that a worker was busy.";
        self.seconds("worker_busy_seconds_total", help, &["worker"], busy)?;
        let waiting: u64 = workers.values().map(|counts| counts.blocks_waiting).sum();
        let waiting = [(vec!["worker"], waiting as f64)];
        self.gauge("channel_blocks", "Blocks that wait for a stage.", &["stage"], waiting)?;
        let help = "Seconds since the last canary whose alert came out was sent.";
        let age = live.canary_age_secs.map(|age| (vec![], age));
        self.gauge("canary_age_seconds", help, &[], age)?;
        let one_way = [(vec![], f64::from(u8::from(live.is_one_way)))];
        let help = "1 where one direction of the traffic alone is seen.";
        self.gauge("capture_one_direction", help, &[], one_way)
    }

    /// Of each sink: given + found at the start = delivered + lost + waiting.
    fn sinks(&self, sinks: &[SinkStatus]) -> Result<(), prometheus::Error> {
        let of = |what: fn(&SinkStatus) -> u64| {
            sinks.iter().map(move |sink| (vec![sink.name.as_str()], what(sink)))
        };
        for (metric, what) in [
            ("sink_alerts_given_total", (|s| s.given) as fn(&SinkStatus) -> u64),
            ("sink_alerts_resent_total", |s| s.resent),
            ("sink_reconnects_total", |s| s.reconnects),
        ] {
            self.counter(metric, help(metric), &["sink"], of(what))?;
        }
        for (metric, what) in [
            ("sink_alerts_waiting", (|s| s.waiting) as fn(&SinkStatus) -> u64),
            ("sink_spool_alerts", |s| s.spool.alerts),
            ("sink_spool_alerts_at_start", |s| s.found),
            ("sink_spool_bytes", |s| s.spool.bytes),
            ("sink_spool_bytes_max", |s| s.spool.bytes_max),
        ] {
            let rows = of(what).map(|(labels, n)| (labels, n as f64));
            self.gauge(metric, help(metric), &["sink"], rows)?;
        }
        Ok(())
    }

    fn set(&self, totals: &Totals<'_>) -> Result<(), prometheus::Error> {
        let indicators = by_type(totals.indicators);
        let indicators = indicators.into_iter().map(|(labels, n)| (labels, n as f64));
        self.gauge("indicators", "Indicators in the set.", &["kind"], indicators)?;
        let parts = totals.set_bytes.iter().map(|(part, n)| (vec![*part], *n as f64));
        self.gauge("indicator_set_bytes", "Memory of the set.", &["part"], parts)?;
        let reasons = totals.refused.iter().map(|(reason, n)| (vec![reason.as_str()], *n));
        let help = "Attributes that are not matched.";
        self.counter("indicators_refused_total", help, &["reason"], reasons)?;
        let set = [(vec![totals.set_version], 1.0)];
        self.gauge("indicator_set_info", "The indicator set in use.", &["version"], set)?;
        let build = [(vec![env!("CARGO_PKG_VERSION")], 1.0)];
        self.gauge("build_info", "The program.", &["version"], build)
    }

    fn counter<'l>(
        &self,
        metric: &str,
        help: &str,
        labels: &[&str],
        rows: impl IntoIterator<Item = (Vec<&'l str>, u64)>,
    ) -> Result<(), prometheus::Error> {
        self.counts::<AtomicU64, _>(metric, help, labels, rows)
    }

    fn seconds<'l>(
        &self,
        metric: &str,
        help: &str,
        labels: &[&str],
        rows: impl IntoIterator<Item = (Vec<&'l str>, f64)>,
    ) -> Result<(), prometheus::Error> {
        self.counts::<AtomicF64, _>(metric, help, labels, rows)
    }

    /// Counters of whole numbers, or of seconds.
    fn counts<'l, A: Atomic + 'static, R: IntoIterator<Item = (Vec<&'l str>, A::T)>>(
        &self,
        metric: &str,
        help: &str,
        labels: &[&str],
        rows: R,
    ) -> Result<(), prometheus::Error> {
        let opts = Opts::new(format!("tapsieve_{metric}"), help);
        let family = GenericCounterVec::<A>::new(opts, labels)?;
        for (values, n) in rows {
            family.get_metric_with_label_values(&values)?.inc_by(n);
        }
        self.registry.register(Box::new(family))
    }

    fn gauge<'l>(
        &self,
        metric: &str,
        help: &str,
        labels: &[&str],
        rows: impl IntoIterator<Item = (Vec<&'l str>, f64)>,
    ) -> Result<(), prometheus::Error> {
        let family = GaugeVec::new(Opts::new(format!("tapsieve_{metric}"), help), labels)?;
        for (values, value) in rows {
            family.get_metric_with_label_values(&values)?.set(value);
        }
        self.registry.register(Box::new(family))
    }
}

fn by_type(counts: &BTreeMap<&'static str, u64>) -> Vec<(Vec<&'static str>, u64)> {
    let count = |ty: &IndicatorType| counts.get(ty.name()).copied().unwrap_or_default();
    IndicatorType::ALL.iter().map(|ty| (vec![ty.name()], count(ty))).collect()
}

/// What a counter counts, where its name does not say it all.
fn help(metric: &str) -> &'static str {
    match metric {
        "capture_packets_total" => "Frames that a source handed over.",
        "capture_bytes_total" => "Bytes of these frames, as captured.",
        "capture_kernel_packets_total" => "Packets that the kernel saw for live sources.",
        "capture_early_packets_total" => "Packets from before all handles had joined, left out.",
        "capture_ring_freezes_total" => "How often a ring was full.",
        "capture_ring_losing_blocks_total" => "Ring blocks during which the kernel lost packets.",
        "capture_interfaces_lost_total" => "How often an interface was gone.",
        "dropped_packets_total" => "Frames left out, by stage and reason.",
        "decode_failures_total" => "Frames that gave no packet, by layer and reason.",
        "flow_packets_total" => "Packets that belong to a flow.",
        "flows_total" => "Flows seen.",
        "flows_evicted_total" => "Flows given up because too many were open.",
        "flows_closed_total" => "Flows that ended by a FIN or a reset.",
        "flow_tcp_packets_total" => "TCP packets by who sent them.",
        "dissected_streams_opened_total" => "TCP streams whose reading began.",
        "flows_expired_total" => "Flows that ended idle.",
        "reassembly_segments_total" => "Segments that did not come in order.",
        "reassembly_gaps_total" => "Sides whose reading ended at lost bytes.",
        "reassembly_refused_total" => "Sides whose reading ended at a bound.",
        "dissected_streams_total" => "TCP streams by how their reading ended.",
        "dissected_datagrams_total" => "Datagrams by what they were.",
        "dissect_bounds_total" => "Messages of which not all was read, as they go over a bound.",
        "alerts_suppressed_total" => "Hits left out as repetitions in their flow and place.",
        "alerts_quarantined_total" => "Alerts of indicators in quarantine: counted, not sent.",
        "alerts_unknown_total" => "Hits of types that this build does not know.",
        "alerts_expired_total" => "Hits of indicators that were too old at their packet.",
        "inputs_damaged_total" => "Inputs that were cut, damaged or of no use.",
        "hits_refused_total" => "Hits left out as the reporter was behind.",
        "sink_alerts_given_total" => "Alerts given to a sink.",
        "sink_alerts_resent_total" => "Alerts sent again after a connection broke.",
        "sink_alerts_waiting" => "Alerts that wait for a sink to take them.",
        "sink_reconnects_total" => "Connections made after the first.",
        "sink_spool_alerts" => "Alerts that wait in the spool of a sink.",
        "sink_spool_alerts_at_start" => "Alerts that were in the spool at the start.",
        "sink_spool_bytes" => "Bytes of a spool on disk.",
        "sink_spool_bytes_max" => "Bytes that a spool may take; 0: there is none.",
        "observations_refused_total" => "Observations too many or too long for their memory.",
        "observation_values_forgotten_total" => "Values that may be told twice of one flow.",
        _ => "Count.",
    }
}
