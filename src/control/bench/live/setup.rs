//! What a bench needs before its first trial: interfaces, indicators, a folder, outputs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::control::bench::live::LiveBenchError;
use crate::control::bench::live::args::Backend;
use crate::control::bench::live::args::Frames;
use crate::control::bench::live::args::LiveArguments;
use crate::control::bench::live::chart;
use crate::control::bench::live::cpu;
use crate::control::bench::live::frame::Marker;
use crate::control::bench::live::interface::Interface;
use crate::control::bench::live::interface::driver;
use crate::control::bench::live::lane::Receiver;
use crate::control::bench::live::machine::Machine;
use crate::control::bench::live::planted;
use crate::control::bench::live::report::Report;
use crate::control::bench::live::report::Settings;
use crate::control::bench::live::sender::Order;
use crate::control::bench::live::sender::Sender;
use crate::control::bench::live::sender::Sent;
use crate::control::bench::live::sensor::Sensor;
use crate::control::bench::live::tcpdump;
use crate::control::bench::live::traffic::Traffic;
use crate::control::bench::live::trial::Trial;
use crate::control::cli::Failure;
use crate::control::intel::compile::Compiled;
use crate::control::intel::compile::compile;
use crate::control::output;
use crate::control::signals::stop_on_signals;
use crate::pipeline::capture::file::FileId;
use crate::pipeline::capture::file::Files;
use crate::pipeline::capture::live;
use crate::pipeline::capture::live::Clocking;
use crate::pipeline::capture::live::LiveSettings;
use crate::report::sink::Sink;

/// A bench that can begin.
pub(super) struct Setup<'a> {
    pub(super) arguments: &'a LiveArguments,
    pub(super) receiving: Interface,
    pub(super) sending: Interface,
    /// Set by a signal.
    pub(super) stop: Arc<AtomicBool>,
    sender: Sender,
    sender_cpu: Option<usize>,
    receiver_cpus: Vec<usize>,
    sensor: Sensor,
    machine: Machine,
    marker: Marker,
    baseline: Option<String>,
    indicators: u64,
    /// Gone with the bench.
    _folder: tempfile::TempDir,
}

/// Where results are written.
pub(super) struct Outputs {
    json: Option<Box<dyn Sink>>,
    svg: Option<Box<dyn Sink>>,
}

/// Where frames come from.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    Made(Frames),
    Recorded(&'a Path),
}

impl<'a> Setup<'a> {
    /// Finds and opens all that is needed.
    ///
    /// # Errors
    ///
    /// When an interface, a processor, the indicators or an output are of no use.
    pub(super) fn new(arguments: &'a LiveArguments) -> Result<(Self, Outputs), Failure> {
        let (receiving, sending) = interfaces(arguments)?;
        let allowed = cpu::allowed();
        let asked = arguments.rx_cpus.iter().chain(&arguments.tx_cpu);
        if let Some(missing) = asked.into_iter().find(|cpu| !allowed.contains(cpu)) {
            return Err(LiveBenchError::NoProcessor(*missing).into());
        }
        let sender_cpu = arguments.tx_cpu.or(allowed.last().copied());
        let sender = Sender::open(&sending, sender_cpu)?;
        let outputs = Outputs::open(arguments)?;
        if let Some(path) = &arguments.capture {
            // before other traffic is measured for an hour
            let files = Files::open(&[path], None);
            let damage = files.damages().last().filter(|_| files.names().is_empty());
            if let Some(damage) = damage {
                return Err(LiveBenchError::Capture(damage.to_string()).into());
            }
        }
        let baseline = match arguments.baseline {
            Some(_) => Some(tcpdump::version().ok_or(LiveBenchError::NoTcpdump)?),
            None => None,
        };
        // from here on a signal ends it in order
        let stop = Arc::default();
        stop_on_signals(&stop).map_err(Failure::Signals)?;
        let folder = tempfile::tempdir().map_err(LiveBenchError::Scratch)?;
        let compiled = indicators(arguments, folder.path())?;
        let machine = Machine::here(&receiving.name, &sending.name);
        if !arguments.rx_cpus.is_empty() {
            // threads and programs that are started from here on run there, too
            let pinned = cpu::pin(&arguments.rx_cpus);
            pinned.map_err(|_why| LiveBenchError::NoProcessor(arguments.rx_cpus[0]))?;
        }
        let marker = Marker::of_this_run();
        let indicators = compiled.set.indicators_by_type().values().sum();
        let sensor = Sensor {
            workers: arguments.worker_count(),
            set: compiled.set,
            alerts: folder.path().join("alerts"),
        };
        let setup = Self {
            arguments,
            receiving,
            sending,
            stop,
            sender,
            sender_cpu,
            receiver_cpus: cpu::allowed(),
            sensor,
            machine,
            marker,
            baseline,
            indicators,
            _folder: folder,
        };
        Ok((setup, outputs))
    }

    /// Returns how sure a rate is to be, as a part of it.
    pub(super) fn resolution(&self) -> f64 {
        f64::from(self.arguments.resolution) / 100.0
    }

    /// Returns what is sent.
    pub(super) fn traffics(&self) -> Vec<Origin<'a>> {
        let made = self.arguments.all_frames().into_iter().map(Origin::Made);
        made.chain(self.arguments.capture.as_deref().map(Origin::Recorded)).collect()
    }

    /// Prepares frames.
    ///
    /// # Errors
    ///
    /// When a capture has none that can be sent.
    pub(super) fn traffic(&self, origin: Origin<'_>) -> Result<Traffic, Failure> {
        let flows = self.arguments.flows;
        let path = match origin {
            Origin::Made(Frames::Size(size)) => {
                return Ok(Traffic::sized(size, flows, self.marker));
            }
            Origin::Made(Frames::Mixed) => return Ok(Traffic::mixed(flows, self.marker)),
            Origin::Recorded(path) => path,
        };
        let traffic = Traffic::recorded(path, self.sending.mtu(), self.marker)?;
        let cut = if traffic.is_cut { ", the rest is beyond what is held in memory" } else { "" };
        output::say(&format!(
            "tapsieve: {}: {} frames are sent, {} are cut, too long or no Ethernet{cut}\n",
            path.display(),
            traffic.frames.len(),
            traffic.left_out
        ));
        Ok(traffic)
    }

    /// Returns what receives.
    pub(super) fn receivers(&self) -> Vec<Receiver> {
        let mut receivers = Vec::new();
        if self.baseline.is_some() {
            receivers.push(Receiver::Tcpdump);
        }
        for backend in &self.arguments.backend {
            for stage in &self.arguments.stop_after {
                let receiver = Receiver::Sensor(*backend, *stage);
                if !receivers.contains(&receiver) {
                    receivers.push(receiver);
                }
            }
        }
        receivers
    }

    /// Does one trial; `rate` absent: as many frames as go. Returns why it ended early, too.
    ///
    /// # Errors
    ///
    /// When nothing can be received.
    pub(super) fn trial(
        &self,
        receiver: Receiver,
        traffic: &Traffic,
        rate: Option<f64>,
    ) -> Result<(Trial, Option<LiveBenchError>), Failure> {
        let lost_before = self.receiving.lost();
        let order = Order {
            traffic,
            rate,
            secs: self.arguments.secs,
            planted_per_sec: self.arguments.planted_per_sec,
            stop: &self.stop,
        };
        let send = || self.send(&order);
        let (sent, mut received) = match receiver {
            Receiver::Tcpdump => tcpdump::trial(&self.settings(Backend::Pcap), send)?,
            Receiver::Sensor(backend, stage) => {
                let settings = self.settings(backend);
                self.sensor.trial(&settings, stage, traffic.planted, send)?
            }
        };
        // what was made for each other is known beforehand
        let all_known = self.arguments.intel.is_empty() && !traffic.is_recorded;
        if let Some(seen) = received.seen.as_mut().filter(|_| all_known) {
            seen.wrong += seen.others;
        }
        // a veth counts as lost what it had no room for, too: that was sent again
        let interface_lost = self.receiving.lost().saturating_sub(lost_before);
        let interface_lost = interface_lost.saturating_sub(sent.refused);
        let early = sent.trouble.clone().map(LiveBenchError::Sender);
        Ok((Trial::new(rate, &sent, received, interface_lost), early))
    }

    /// Returns how frames are captured.
    fn settings(&self, backend: Backend) -> LiveSettings {
        let arguments = self.arguments;
        LiveSettings {
            interface: arguments.rx.clone(),
            backend: match backend {
                Backend::Afpacket => live::Backend::Afpacket,
                Backend::Pcap => live::Backend::Pcap,
            },
            threads: arguments.threads,
            ring_mebibytes: arguments.ring_mebibytes,
            snap_bytes: arguments.snap_bytes,
            filter: self.marker.filter(),
            promiscuous: true,
            clocking: Clocking::Host,
            cpus: Vec::new(),
        }
    }

    /// Sends on a thread of its own.
    fn send(&self, order: &Order<'_>) -> Sent {
        let failed = |why: String| Sent { trouble: Some(why), ..Sent::default() };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("sender".to_owned());
            match thread.spawn_scoped(scope, || self.sender.send(order)) {
                Ok(thread) => {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                }
                Err(why) => failed(format!("cannot start a thread: {why}")),
            }
        })
    }

    /// Returns a report without results.
    pub(super) fn report(&self) -> Report {
        let arguments = self.arguments;
        let now = jiff::Timestamp::now();
        Report {
            schema: 1,
            version: env!("CARGO_PKG_VERSION"),
            time: format!("{now:.0}"),
            command_line: std::env::args().collect(),
            machine: self.machine.clone(),
            settings: Settings {
                trial_secs: arguments.secs,
                resolution_percent: arguments.resolution,
                ring_mebibytes: arguments.ring_mebibytes,
                snap_bytes: arguments.snap_bytes,
                threads: arguments.threads,
                workers: self.sensor.workers,
                flows: arguments.flows,
                indicators: self.indicators,
                planted_per_sec: arguments.planted_per_sec,
                sender_cpu: self.sender_cpu,
                receiver_cpus: self.receiver_cpus.clone(),
                filter: self.marker.filter(),
                baseline: self.baseline.clone(),
            },
            not_controlled: self.not_controlled(),
            is_cut_short: false,
            cut_short_by: None,
            results: Vec::new(),
        }
    }

    fn not_controlled(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.sender_cpu.is_none_or(|cpu| self.receiver_cpus.contains(&cpu)) {
            all.push("sender and receivers share processors".to_owned());
        }
        if driver(&self.receiving.name).as_deref() == Some("veth") {
            let what = "a veth pair has no wire: the kernel's part of receiving runs on the \
                        sender's processor, and limits it";
            all.push(what.to_owned());
        }
        if self.machine.is_virtual {
            all.push("a virtual machine: what its host does meanwhile".to_owned());
        }
        all.push("other programs, processor frequency, interrupts".to_owned());
        all
    }
}

impl Outputs {
    fn open(arguments: &LiveArguments) -> Result<Self, Failure> {
        let paths = [&arguments.json, &arguments.svg].map(|path| path.as_deref());
        let given: Vec<&Path> = paths.into_iter().flatten().collect();
        let capture = arguments.capture.as_ref().and_then(|path| std::fs::metadata(path).ok());
        let captures: BTreeSet<FileId> = capture.iter().map(FileId::of).collect();
        output::distinct(&given, &captures, &arguments.intel.intel)?;
        let open = |path: Option<&Path>| path.map(|path| output::sink(path, false)).transpose();
        let [json, svg] = paths;
        Ok(Self { json: open(json)?, svg: open(svg)? })
    }

    /// Writes the results.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub(super) fn write(&mut self, report: &Report) -> Result<(), Failure> {
        if let Some(sink) = &mut self.json {
            // numbers, texts and lists: JSON has all of them
            let mut text = serde_json::to_vec_pretty(report).unwrap_or_default();
            text.push(b'\n');
            sink.deliver(&text)?;
            sink.finish()?;
        }
        if let Some(sink) = &mut self.svg {
            sink.deliver(chart::svg(report).as_bytes())?;
            sink.finish()?;
        }
        Ok(())
    }
}

fn interfaces(arguments: &LiveArguments) -> Result<(Interface, Interface), LiveBenchError> {
    let receiving = Interface::find(&arguments.rx)?;
    let sending = match &arguments.tx {
        Some(name) if *name == arguments.rx => {
            return Err(LiveBenchError::SameInterface(name.clone()));
        }
        Some(name) => Interface::find(name)?,
        None => receiving.peer().ok_or_else(|| LiveBenchError::NoPeer(arguments.rx.clone()))?,
    };
    Ok((receiving, sending))
}

/// Compiles the planted indicators, with those that are given or made.
fn indicators(arguments: &LiveArguments, folder: &Path) -> Result<Compiled, Failure> {
    let path = folder.join("planted.csv");
    let others = if arguments.intel.is_empty() { arguments.indicators } else { 0 };
    planted::write_indicators(&path, others).map_err(LiveBenchError::Scratch)?;
    let mut inputs = arguments.intel.intel.clone();
    inputs.push(path);
    let mut options = arguments.intel.options();
    // planted addresses are of the range for benchmarks
    options.policy.allow_special = true;
    let compiled = compile(&inputs, &options)?;
    output::say_all(&compiled.damages);
    Ok(compiled)
}
