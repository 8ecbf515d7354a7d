//! `tapsieve doctor`: what this host would lose packets for, and the command that mends it.

mod clock;
mod cpu;
mod finding;
mod host;
mod irq;
mod kernel;
mod link;
mod loss;
mod memory;
mod offload;
mod place;
mod ring;
mod rss;
mod table;
#[cfg(test)]
mod tests;
mod tool;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use clap::Args;

use crate::control::cli::DONE;
use crate::control::cli::FINDINGS;
use crate::control::cli::Failure;
use crate::control::config::Config;
use crate::control::doctor::finding::Finding;
use crate::control::doctor::finding::Findings;
use crate::control::doctor::finding::Level;
use crate::control::doctor::host::Configured;
use crate::control::doctor::host::Host;

/// What can be said to `doctor`.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes: 0 nothing worse than a note; 1 no such interface, or one that went away; \
                        2 wrong usage or configuration; 3 something warns or fails.\n\
                        What could not be read is `unknown`, and changes no exit code."
)]
pub struct Arguments {
    /// An interface to look at, with what lies below it (a bond's NICs); without it those of the
    /// configuration, else all but `lo` that are hardware or up
    #[arg(long = "interface", value_name = "IF")]
    interfaces: Vec<String>,
    /// The sensor's configuration: its interfaces, rings, sinks and indicators are looked at
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Judge losses by what is counted in so many seconds, not since the start of the machine
    #[arg(long, value_name = "SECS", default_value_t = 0,
          value_parser = clap::value_parser!(u64).range(0..=3_600))]
    watch: u64,
    /// Write one JSON object with `findings` and `counts`
    #[arg(long)]
    json: bool,
}

/// Why the host cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// An interface that is not there.
    #[error("no interface `{name}`: there are {}", known.join(", "))]
    NoInterface {
        /// The one that was asked for.
        name: String,
        /// Those that are there.
        known: Vec<String>,
    },
    /// An interface that was there at the first look.
    #[error("{name} went away while it was watched: see to it, and watch again")]
    Vanished {
        /// Its name.
        name: String,
    },
    /// Findings that cannot be written.
    #[error("standard output: {0}")]
    Write(#[from] io::Error),
}

/// One thing to look at.
#[derive(Debug)]
struct Check {
    /// Its name: never changed, since people's scripts select by it.
    id: &'static str,
    /// What it means for capture.
    means: &'static str,
    look: Look,
}

/// How it is looked at.
#[derive(Debug)]
enum Look {
    /// Once for each interface.
    Interface(fn(&Host, &str) -> Findings),
    /// Once.
    Host(fn(&Host) -> Findings),
}

const ALL: &[Check] = &[
    Check {
        id: "link.state",
        means: "without a link nothing arrives",
        look: Look::Interface(link::state),
    },
    Check {
        id: "link.speed",
        means: "a mirror of a faster link loses what is over the speed of this one, at the switch",
        look: Look::Interface(link::speed),
    },
    Check {
        id: "link.driver",
        means: "what it counts and can be told depends on it",
        look: Look::Interface(link::driver),
    },
    Check {
        id: "link.mtu",
        means: "a frame that is longer than the interface takes is dropped by the NIC",
        look: Look::Interface(link::mtu),
    },
    Check {
        id: "link.pause",
        means: "a NIC that tells the switch to wait moves the loss to where nobody counts it",
        look: Look::Interface(link::pause),
    },
    Check {
        id: "ring.slots",
        means: "frames that find no free slot while the CPU is elsewhere are lost",
        look: Look::Interface(ring::slots),
    },
    Check {
        id: "ring.queues",
        means: "each queue is emptied by one CPU, which is the limit of its packets a second",
        look: Look::Interface(ring::queues),
    },
    Check {
        id: "ring.steering",
        means: "one CPU alone empties the queue and fills the sensor's rings",
        look: Look::Interface(ring::steering),
    },
    Check {
        id: "offload.lro",
        means: "the NIC merges segments of a flow, and their headers and times are gone",
        look: Look::Interface(offload::lro),
    },
    Check {
        id: "offload.gro",
        means: "merged segments are read, and cost less, but count as one packet with one time",
        look: Look::Interface(offload::gro),
    },
    Check {
        id: "offload.vlan",
        means: "tags are part of a flow, wherever they are kept",
        look: Look::Interface(offload::vlan),
    },
    Check {
        id: "rss.table",
        means: "a queue without a share leaves its CPU idle, and overloads others",
        look: Look::Interface(rss::table),
    },
    Check {
        id: "rss.symmetry",
        means: "handles get whole flows all the same, but an answer may come before its question",
        look: Look::Interface(rss::symmetry),
    },
    Check {
        id: "rss.fields",
        means: "without ports, all flows between two hosts come to one queue",
        look: Look::Interface(rss::fields),
    },
    Check {
        id: "irq.affinity",
        means: "queues that interrupt one CPU are emptied by it alone",
        look: Look::Interface(irq::affinity),
    },
    Check {
        id: "irq.numa",
        means: "a CPU of another node reads every frame over the link between them",
        look: Look::Interface(irq::numa),
    },
    Check {
        id: "irq.balance",
        means: "an interrupt that moves leaves its CPU's cache, and may land on a worker's CPU",
        look: Look::Host(irq::balance),
    },
    Check {
        id: "loss.nic",
        means: "the NIC or its ring had no room: these frames were never seen",
        look: Look::Interface(loss::missed),
    },
    Check {
        id: "loss.driver",
        means: "the driver's own counters of losses: these frames were never seen",
        look: Look::Interface(loss::driver_losses),
    },
    Check {
        id: "loss.broken",
        means: "the NIC drops frames whose checksum is wrong",
        look: Look::Interface(loss::broken),
    },
    Check {
        id: "loss.softnet",
        means: "what a CPU has no room or time for is lost before the sensor's ring",
        look: Look::Host(loss::softnet),
    },
    Check {
        id: "clock.stamps",
        means: "times of alerts are as good as the stamps of frames",
        look: Look::Interface(clock::stamps),
    },
    Check {
        id: "clock.synchronised",
        means: "alerts of a clock that is off cannot be laid beside other logs",
        look: Look::Host(clock::synchronised),
    },
    Check {
        id: "clock.source",
        means: "every frame is stamped with it",
        look: Look::Host(clock::source),
    },
    Check {
        id: "cpu.governor",
        means: "a CPU that must first speed up lets the ring fill at the head of a burst",
        look: Look::Host(cpu::governor),
    },
    Check {
        id: "cpu.smt",
        means: "two busy threads on one core get little more than one",
        look: Look::Host(cpu::smt),
    },
    Check {
        id: "cpu.isolated",
        means: "the sensor's threads are not put on isolated CPUs unless they are told to",
        look: Look::Host(cpu::isolated),
    },
    Check {
        id: "cpu.threads",
        means: "threads that wait for a CPU let the rings fill",
        look: Look::Host(cpu::threads),
    },
    Check {
        id: "kernel.version",
        means: "capture stands on its fanout and rings; versions before EL8's were not tried",
        look: Look::Host(kernel::version),
    },
    Check {
        id: "kernel.filter",
        means: "a filter runs for every frame, before the ring",
        look: Look::Host(kernel::filter),
    },
    Check {
        id: "kernel.libpcap",
        means: "capture and filters are its work; versions before EL8's were not tried",
        look: Look::Host(kernel::libpcap),
    },
    Check {
        id: "limit.files",
        means: "a sensor without a free file cannot open an interface again",
        look: Look::Host(kernel::files),
    },
    Check {
        id: "limit.locked",
        means: "the kernel owns the memory of packet rings",
        look: Look::Host(kernel::locked),
    },
    Check {
        id: "memory.rings",
        means: "rings are taken whole at the start, and the flow table as flows come",
        look: Look::Host(memory::rings),
    },
    Check {
        id: "memory.huge_pages",
        means: "with a million flows most look-ups wait for memory, and small pages add to the wait",
        look: Look::Host(memory::huge_pages),
    },
    Check {
        id: "privilege.capture",
        means: "capturing needs it, and nothing else does",
        look: Look::Host(kernel::privilege),
    },
    Check {
        id: "privilege.user",
        means: "the sensor does not start when it cannot become that user",
        look: Look::Host(kernel::user),
    },
    Check {
        id: "disk.room",
        means: "alerts that cannot be written wait in memory, and are lost when it is full",
        look: Look::Host(place::disk),
    },
    Check {
        id: "intel.age",
        means: "what was published since is not looked for",
        look: Look::Host(place::intel),
    },
    Check {
        id: "tool.ethtool",
        means: "the NIC's settings are read, and mended, with it",
        look: Look::Host(kernel::ethtool),
    },
];

/// Looks at this host, and writes what was found.
///
/// # Errors
///
/// When an interface is not there, the configuration is wrong, or nothing can be written.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let mut host = Host {
        root: PathBuf::from("/"),
        tool: tool::run,
        patience: Cell::new(tool::PATIENCE_OF_ALL),
        config: arguments.config.clone().map(configured).transpose()?,
        now: SystemTime::now(),
        earlier: BTreeMap::new(),
    };
    let interfaces = interfaces(&host, &arguments.interfaces)?;
    if arguments.watch > 0 {
        host.earlier = loss::counters(&host, &interfaces);
        std::thread::sleep(Duration::from_secs(arguments.watch));
        still_there(&host, &interfaces)?;
    }
    let findings = examine(&host, &interfaces);
    let mut out = io::stdout().lock();
    let text = if arguments.json {
        table::json(&interfaces, &findings)
    } else {
        let colours = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        table::text(&findings, colours)
    };
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(DoctorError::Write)?;
    let is_bad = findings.iter().any(|finding| finding.level <= Level::Warn);
    Ok(if is_bad { FINDINGS } else { DONE })
}

/// Sees whether the interfaces that were watched are there still.
fn still_there(host: &Host, interfaces: &[String]) -> Result<(), DoctorError> {
    let is_gone = |name: &&String| !host.exists(&format!("sys/class/net/{name}"));
    let gone = interfaces.iter().find(is_gone).cloned();
    gone.map_or(Ok(()), |name| Err(DoctorError::Vanished { name }))
}

/// Makes every check; the worst findings first, otherwise in the order of the table.
fn examine(host: &Host, interfaces: &[String]) -> Vec<Finding> {
    let mut all = Vec::new();
    for check in ALL {
        let mut add = |subject: &str, found: Findings| {
            let found = found.unwrap_or_else(|unknown| vec![unknown.into_finding(subject)]);
            let name = |finding| Finding { check: check.id, means: check.means, ..finding };
            all.extend(found.into_iter().map(name));
        };
        match check.look {
            Look::Host(look) => add("host", look(host)),
            Look::Interface(look) => {
                interfaces.iter().for_each(|interface| add(interface, look(host, interface)));
            }
        }
    }
    all.sort_by_key(|finding| finding.level);
    all
}

/// Returns the interfaces to look at.
fn interfaces(host: &Host, asked: &[String]) -> Result<Vec<String>, DoctorError> {
    let known = host.names("sys/class/net");
    let configured = host.config.iter().flat_map(|configured| &configured.config.captures);
    let mut wanted: Vec<String> = if asked.is_empty() {
        configured.map(|capture| capture.interface.clone()).collect()
    } else {
        asked.to_vec()
    };
    if let Some(name) = wanted.iter().find(|name| *name != "any" && !known.contains(name)) {
        return Err(DoctorError::NoInterface { name: name.clone(), known });
    }
    // libpcap's "any" is all of them
    if wanted.is_empty() || wanted.iter().any(|name| name == "any") {
        wanted = known.into_iter().filter(|name| is_of_interest(host, name)).collect();
    }
    let mut all = BTreeSet::new();
    while let Some(name) = wanted.pop() {
        // the frames of a bond, a bridge or a VLAN come through what lies below it
        let below = host.names(&format!("sys/class/net/{name}")).into_iter();
        if all.insert(name) {
            wanted.extend(below.filter_map(|link| Some(link.strip_prefix("lower_")?.to_owned())));
        }
    }
    Ok(all.into_iter().collect())
}

/// Tells whether an interface that nobody named is hardware, or up.
fn is_of_interest(host: &Host, name: &str) -> bool {
    let folder = format!("sys/class/net/{name}");
    let flags = host.optional(&format!("{folder}/flags")).unwrap_or_default();
    let flags = u64::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap_or_default();
    name != "lo" && (host.exists(&format!("{folder}/device")) || flags & 1 == 1)
}

fn configured(path: PathBuf) -> Result<Configured, Failure> {
    let config = Config::read(&path)?;
    Ok(Configured { path, config })
}
