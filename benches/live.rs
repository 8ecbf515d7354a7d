//! The live goal, measured: `cargo bench --bench live` makes a network namespace with a veth pair,
//! runs `tapsieve bench live` in it with tcpdump beside it, and says which goals are met.
//!
//! It needs root. Namespace and pair are gone at the end, whatever happened.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod options;

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Parser;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use options::Common;
use serde_json::Value;

/// Part of tcpdump's rate that the sensor holds at least, where tcpdump begins to lose.
const RATE_MIN: f64 = 0.8;

/// Processor time of a received frame against tcpdump's, at most, where tcpdump loses nothing.
const CPU_MAX: f64 = 2.0;

/// Milliseconds from frame to line in the file of 99 of 100 alerts at half load.
const LATENCY_MILLIS_MAX: f64 = 250.0;

/// How often it is looked whether the bench has ended.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The interface that is captured on, and the one that is sent on.
const ENDS: [&str; 2] = ["tap0", "gen0"];

/// Measures 128-byte and mixed traffic with tcpdump, without and with matching.
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: Common,
    /// Length of a trial.
    #[arg(long, default_value_t = 20)]
    secs: u32,
    /// How sure a rate is to be, in percent.
    #[arg(long, default_value_t = 2)]
    resolution: u32,
    /// What is sent.
    #[arg(long, default_value = "128,mixed")]
    frames: String,
    /// How the sensor captures.
    #[arg(long, default_value = "afpacket,pcap")]
    backend: String,
    /// Where the numbers are written.
    #[arg(long, default_value = "target/bench-live.json")]
    json: PathBuf,
    /// Where the chart is drawn.
    #[arg(long, default_value = "target/bench-live.svg")]
    svg: PathBuf,
    /// Further options of `tapsieve bench live`.
    #[arg(last = true)]
    more: Vec<String>,
}

/// A namespace with a veth pair; gone when dropped.
struct Namespace(String);

/// One goal, and whether it is met.
#[derive(Debug)]
struct Verdict {
    what: String,
    figure: String,
    goal: String,
    is_met: bool,
}

fn main() -> ExitCode {
    // `cargo test --benches` starts it, too
    if !std::env::args().any(|argument| argument == "--bench" || argument == "--help") {
        return ExitCode::SUCCESS;
    }
    options::ended(run(&Options::parse()))
}

fn run(options: &Options) -> io::Result<bool> {
    // a signal ends the bench in order, and then us
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let namespace = Namespace::new()?;
    let status = wait(namespace.bench(options).spawn()?, &stop)?;
    // 3: done in part, and the table says so
    if !matches!(status.code(), Some(0 | 3)) {
        eprintln!("error: the bench failed: {status}");
        return Ok(false);
    }
    let text = std::fs::read(&options.json)?;
    let report: Value = serde_json::from_slice(&text)?;
    let verdicts = verdicts(&report);
    println!("\n| goal | figure | wanted | met |\n| --- | --- | --- | --- |");
    for Verdict { what, figure, goal, is_met } in &verdicts {
        println!("| {what} | {figure} | {goal} | {} |", if *is_met { "yes" } else { "**no**" });
    }
    println!("\n{} and {}", options.json.display(), options.svg.display());
    let are_met = verdicts.iter().all(|verdict| verdict.is_met);
    Ok(!options.common.enforce || (are_met && status.success()))
}

/// Waits for the bench; passes a signal on.
fn wait(mut child: Child, stop: &AtomicBool) -> io::Result<ExitStatus> {
    let mut is_told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if stop.load(Ordering::Relaxed) && !is_told {
            is_told = true;
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
            kill(pid, Signal::SIGINT)?;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

impl Namespace {
    fn new() -> io::Result<Self> {
        let name = format!("tapsieve-bench-{}", std::process::id());
        ip(&["netns", "add", &name])?;
        let namespace = Self(name);
        let [receives, sends] = ENDS;
        let pair = ["type", "veth", "peer", "name", sends];
        ip(&[&["-n", &namespace.0, "link", "add", receives], &pair[..]].concat())?;
        for end in ENDS {
            // no neighbour discovery of their own
            let quiet = format!("net.ipv6.conf.{end}.disable_ipv6=1");
            ip(&["netns", "exec", &namespace.0, "sysctl", "-qw", &quiet])?;
            ip(&["-n", &namespace.0, "link", "set", end, "up"])?;
        }
        Ok(namespace)
    }

    fn bench(&self, options: &Options) -> Command {
        let [receives, sends] = ENDS;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).arg(&options.common.bin);
        command.args(["bench", "live", "--rx", receives, "--tx", sends, "--baseline", "tcpdump"]);
        command.args(["--secs", &options.secs.to_string()]);
        command.args(["--resolution", &options.resolution.to_string()]);
        command.args(["--frames", &options.frames, "--backend", &options.backend]);
        command.arg("--json").arg(&options.json).arg("--svg").arg(&options.svg);
        command.args(&options.more);
        // Ctrl-C is for us, who pass it on once: told twice it would end at once
        command.process_group(0).stdin(Stdio::null());
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(why) = ip(&["netns", "del", &self.0]) {
            eprintln!("error: {why}");
        }
    }
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(arguments).output()?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("ip {}: {why}: run as root", arguments.join(" "))))
}

/// Holds what was measured against the goals.
fn verdicts(report: &Value) -> Vec<Verdict> {
    let results = report["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |traffic: &Value, receiver: &str| {
        results.iter().find(|one| one["traffic"] == *traffic && one["receiver"] == receiver)
    };
    let mut verdicts = Vec::new();
    for measured in results {
        let receiver = measured["receiver"].as_str().unwrap_or_default();
        let Some(backend) = receiver.strip_suffix(" match") else { continue };
        let traffic = &measured["traffic"];
        let name = format!("{receiver}, {}", traffic.as_str().unwrap_or_default());
        if measured["is_confirmed"] != true {
            let (figure, goal) = ("not found".to_owned(), "a confirmed rate".to_owned());
            verdicts.push(Verdict { what: name, figure, goal, is_met: false });
            continue;
        }
        let baseline = of(traffic, "tcpdump").filter(|one| one["is_confirmed"] == true);
        if let Some(baseline) = baseline {
            verdicts.extend(beside(&name, measured, baseline));
        }
        let pcap = of(traffic, "pcap match").filter(|_| backend != "pcap");
        if let Some(pcap) = pcap {
            verdicts.push(as_good(&name, measured, pcap));
        }
        let latency = &measured["half_load"]["alerts"]["latency_millis_p99"];
        let millis = latency.as_f64().unwrap_or(f64::NAN);
        verdicts.push(Verdict {
            what: format!("{name}: frame to line in the file at half load, 99 %"),
            figure: format!("{millis:.1} ms"),
            goal: format!("under {LATENCY_MILLIS_MAX} ms"),
            is_met: millis < LATENCY_MILLIS_MAX,
        });
    }
    verdicts
}

/// A sensor beside tcpdump.
fn beside(name: &str, measured: &Value, baseline: &Value) -> Vec<Verdict> {
    let ratio = |of: &str| measured["to_baseline"][of].as_f64().unwrap_or(f64::NAN);
    if baseline["is_senders_limit"] != true {
        return vec![Verdict {
            what: format!("{name}: rate without loss against tcpdump's"),
            figure: format!("{:.2}", ratio("pps")),
            goal: format!("at least {RATE_MIN}"),
            is_met: ratio("pps") >= RATE_MIN,
        }];
    }
    let holds = measured["is_senders_limit"] == true;
    vec![
        Verdict {
            what: format!("{name}: at the sender's maximum, where tcpdump loses nothing"),
            figure: if holds { "no loss" } else { "loss" }.to_owned(),
            goal: "no loss".to_owned(),
            is_met: holds,
        },
        Verdict {
            what: format!("{name}: processor time for each received frame against tcpdump's"),
            figure: format!("{:.2}", ratio("cpu")),
            goal: format!("at most {CPU_MAX}"),
            is_met: ratio("cpu") <= CPU_MAX,
        },
    ]
}

/// Another backend beside libpcap's.
fn as_good(name: &str, measured: &Value, pcap: &Value) -> Verdict {
    let rate = |of: &Value| of["lossless_pps"].as_f64().unwrap_or(f64::NAN);
    let ratio = rate(measured) / rate(pcap);
    let at_limit = measured["is_senders_limit"] == true;
    Verdict {
        what: format!("{name}: rate without loss against libpcap's"),
        figure: if at_limit { "sender's limit".to_owned() } else { format!("{ratio:.2}") },
        goal: "at least as much".to_owned(),
        is_met: at_limit || ratio >= 1.0,
    }
}
