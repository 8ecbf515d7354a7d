//! What a bench tells: JSON for programs, a Markdown table for people.

use serde::Serialize;

use crate::control::bench::live::machine::Machine;
use crate::control::bench::live::search::Found;
use crate::control::bench::live::trial::AlertFigures;
use crate::control::bench::live::trial::Trial;
use crate::report::summary::grouped;

/// Octets that a frame takes on an Ethernet beside its own: preamble, delimiter and gap (RFC 2544
/// appendix B).
const GAP_OCTETS: f64 = 20.0;

/// Columns of the rates.
const RATES: &[&str] = &[
    "traffic",
    "octets",
    "receiver",
    "lossless pps",
    "Gbit/s",
    "of 10GbE",
    "how sure",
    "sender's maximum pps",
    "lost there",
    "pps to baseline",
];

/// Columns of what they cost.
const COSTS: &[&str] = &[
    "traffic",
    "receiver",
    "pps",
    "receiver CPU ns/frame",
    "capture + match + report",
    "to baseline",
    "sender CPU ns/frame",
    "resident MiB",
    "alerts right, all trials",
    "alert p50 ms",
    "alert p99 ms",
];

/// A whole bench.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Version of this shape.
    pub(super) schema: u32,
    pub(super) version: &'static str,
    pub(super) time: String,
    pub(super) command_line: Vec<String>,
    pub(super) machine: Machine,
    pub(super) settings: Settings,
    /// What may make other numbers of it.
    pub(super) not_controlled: Vec<String>,
    /// It was ended before all was measured.
    pub(super) is_cut_short: bool,
    /// Why, where nobody asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cut_short_by: Option<String>,
    pub(super) results: Vec<Measured>,
}

/// How it was measured.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    pub(super) trial_secs: u32,
    pub(super) resolution_percent: u32,
    pub(super) ring_mebibytes: u32,
    pub(super) snap_bytes: u32,
    pub(super) threads: u16,
    pub(super) workers: usize,
    pub(super) flows: u32,
    pub(super) indicators: u64,
    pub(super) planted_per_sec: u32,
    pub(super) sender_cpu: Option<usize>,
    pub(super) receiver_cpus: Vec<usize>,
    pub(super) filter: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) baseline: Option<String>,
}

/// One receiver with one traffic.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) traffic: String,
    /// Mean size of a frame, its check sequence included.
    pub(super) frame_octets: f64,
    pub(super) frames_prepared: usize,
    pub(super) receiver: String,
    /// Highest rate without loss; absent: it was not searched for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lossless_pps: Option<f64>,
    /// Bits of frames a second at that rate, check sequences included, preamble and gap not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lossless_bits_per_sec: Option<f64>,
    pub(super) is_confirmed: bool,
    pub(super) is_senders_limit: bool,
    pub(super) trials: Vec<Trial>,
    /// At half the rate without loss: what alerts take when there is room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) half_load: Option<Trial>,
    /// Beside the baseline with the same traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to_baseline: Option<Ratio>,
}

/// A receiver beside the baseline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Ratio {
    /// Of the rates without loss; absent where the baseline lost nothing at the sender's maximum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pps: Option<f64>,
    /// Of the processor time for each received frame, each in the trial that its figures stand for.
    pub(super) cpu: f64,
}

impl Measured {
    /// Returns an empty one.
    pub(super) fn new(traffic: &str, frame_octets: f64, frames: usize, receiver: String) -> Self {
        Self {
            traffic: traffic.to_owned(),
            frame_octets,
            frames_prepared: frames,
            receiver,
            lossless_pps: None,
            lossless_bits_per_sec: None,
            is_confirmed: false,
            is_senders_limit: false,
            trials: Vec::new(),
            half_load: None,
            to_baseline: None,
        }
    }

    /// Notes what a search found.
    pub(super) fn found(&mut self, found: Found) {
        self.lossless_pps = Some(found.rate);
        self.lossless_bits_per_sec = Some(found.rate * self.frame_octets * 8.0);
        self.is_confirmed = found.is_confirmed;
        self.is_senders_limit = found.is_senders_limit;
    }

    /// Returns the trial that its figures stand for: the last one without loss, else the last.
    pub(super) fn telling(&self) -> Option<&Trial> {
        let lossless = self.trials.iter().rev().find(|trial| trial.is_lossless());
        lossless.or(self.trials.last())
    }

    /// Returns it beside the baseline.
    pub(super) fn beside(&self, baseline: &Self) -> Option<Ratio> {
        let cpu = |measured: &Self| Some(measured.telling()?.receiver.cpu_nanos_per_frame);
        let base_cpu = cpu(baseline).filter(|cpu| *cpu > 0.0)?;
        let base_pps = baseline.lossless_pps.filter(|pps| *pps > 0.0);
        let pps = base_pps.filter(|_| !baseline.is_senders_limit).zip(self.lossless_pps);
        let pps = pps.map(|(base, own)| own / base);
        Some(Ratio { pps, cpu: cpu(self)? / base_cpu })
    }

    /// How sure the rate is.
    fn sureness(&self) -> &'static str {
        match (self.lossless_pps, self.is_confirmed, self.is_senders_limit) {
            (None, ..) if self.trials.len() == 1 => "one trial",
            (None, ..) => "not found",
            (Some(0.0), ..) => "loses at any rate",
            (_, false, _) => "not confirmed",
            (_, true, true) => "sender's limit",
            (_, true, false) => "confirmed",
        }
    }
}

impl Report {
    /// Writes it as Markdown.
    pub(super) fn markdown(&self) -> String {
        let settings = &self.settings;
        let mut text = format!(
            "## tapsieve bench live, {}\n\n{}- tapsieve {}: `{}`\n",
            self.time,
            self.machine.lines(),
            self.version,
            self.command_line.join(" ")
        );
        text.push_str(&format!(
            "- trials of {} s, resolution {} %, ring {} MiB, {} bytes of a frame, {} capture \
             threads, {} workers, {} flows, {} indicators, {} planted frames a second\n",
            settings.trial_secs,
            settings.resolution_percent,
            settings.ring_mebibytes,
            settings.snap_bytes,
            settings.threads,
            settings.workers,
            grouped(u64::from(settings.flows)),
            grouped(settings.indicators),
            settings.planted_per_sec
        ));
        let cpu = settings.sender_cpu.map_or("any cpu".to_owned(), |cpu| format!("cpu {cpu}"));
        let cpus: Vec<String> = settings.receiver_cpus.iter().map(usize::to_string).collect();
        text.push_str(&format!("- sender on {cpu}, receivers on cpus {}\n", cpus.join(" ")));
        if let Some(baseline) = &settings.baseline {
            text.push_str(&format!("- baseline: {baseline}\n"));
        }
        text.push_str(
            "- sizes are octets of the frame with its check sequence of 4, which no socket sends; \
             bit/s are of such frames, without preamble and gap\n",
        );
        for what in &self.not_controlled {
            text.push_str(&format!("- not controlled: {what}\n"));
        }
        if self.is_cut_short {
            let why = self.cut_short_by.as_ref().map(|why| format!(" ({why})"));
            let why = why.unwrap_or_default();
            text.push_str(&format!("- ended early{why}: this is what was measured by then\n"));
        }
        text.push('\n');
        text.push_str(&table(RATES, self.results.iter().map(rates)));
        text.push_str(if self.results.iter().any(|one| one.lossless_pps.is_some()) {
            "\nAt the highest rate without loss, alerts at half of it:\n\n"
        } else {
            "\nIn that trial:\n\n"
        });
        text.push_str(&table(COSTS, self.results.iter().map(costs)));
        text
    }
}

/// Writes a table of Markdown.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
    for row in rows {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    text
}

fn absent() -> String {
    "-".to_owned()
}

fn rates(measured: &Measured) -> Vec<String> {
    let rate = measured.lossless_pps;
    let first = measured.trials.first();
    let line_rate = 10e9 / 8.0 / (measured.frame_octets + GAP_OCTETS);
    let ratio = measured.to_baseline.and_then(|ratio| ratio.pps);
    vec![
        measured.traffic.clone(),
        format!("{:.0}", measured.frame_octets),
        measured.receiver.clone(),
        rate.map_or_else(absent, |rate| grouped(rate as u64)),
        measured.lossless_bits_per_sec.map_or_else(absent, |bits| format!("{:.2}", bits / 1e9)),
        rate.map_or_else(absent, |rate| format!("{:.0} %", rate * 100.0 / line_rate)),
        measured.sureness().to_owned(),
        first.map_or_else(absent, |trial| grouped(trial.sent_pps as u64)),
        first.map_or_else(absent, |trial| {
            format!("{:.3} %", trial.lost as f64 * 100.0 / trial.sent.max(1) as f64)
        }),
        ratio.map_or_else(absent, |ratio| format!("{ratio:.2}")),
    ]
}

fn costs(measured: &Measured) -> Vec<String> {
    let telling = measured.telling();
    let figure = |of: fn(&Trial) -> String| telling.map_or_else(absent, of);
    let alerts = measured.trials.iter().chain(&measured.half_load);
    let alerts = alerts.filter_map(|trial| trial.alerts.as_ref());
    let (right, planted) = alerts
        .fold((0, 0), |(right, planted), alerts| (right + alerts.right, planted + alerts.planted));
    let latency = measured.half_load.as_ref().or(telling).and_then(|trial| trial.alerts.as_ref());
    let latency = latency.filter(|alerts| alerts.right > 0);
    let millis = |of: fn(&AlertFigures) -> f64| {
        latency.map_or_else(absent, |alerts| format!("{:.1}", of(alerts)))
    };
    vec![
        measured.traffic.clone(),
        measured.receiver.clone(),
        figure(|trial| grouped(trial.sent_pps as u64)),
        figure(|trial| format!("{:.0}", trial.receiver.cpu_nanos_per_frame)),
        figure(by_thread),
        measured.to_baseline.map_or_else(absent, |ratio| format!("{:.2}", ratio.cpu)),
        figure(|trial| format!("{:.0}", trial.sender.cpu_nanos_per_frame)),
        figure(|trial| (trial.receiver.resident_bytes >> 20).to_string()),
        if planted > 0 { format!("{right} of {planted}") } else { absent() },
        millis(|alerts| alerts.latency_millis_p50),
        millis(|alerts| alerts.latency_millis_p99),
    ]
}

/// What each kind of thread took for a frame.
fn by_thread(trial: &Trial) -> String {
    let threads = &trial.receiver.cpu_nanos_by_thread;
    if threads.is_empty() {
        return absent();
    }
    let sum = |kind: &str| {
        let of_kind = threads.iter().filter(|(name, _nanos)| name.starts_with(kind));
        of_kind.map(|(_name, nanos)| nanos).sum::<f64>()
    };
    format!("{:.0} + {:.0} + {:.0}", sum("capturer"), sum("worker"), sum("reporter"))
}
