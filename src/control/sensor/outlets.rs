//! Opens the sinks that a configuration names, and their spools.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tracing::info;
use tracing::warn;

use crate::control::cli::Failure;
use crate::control::config::Config;
use crate::control::config::sink::Destination;
use crate::control::config::spool::SpoolConfig;
use crate::report::outlet::Opened;
use crate::report::outlet::SinkStatus;
use crate::report::sink::Sink;
use crate::report::sink::pipe::Pipe;
use crate::report::sink::rolling::Rolling;
use crate::report::sink::rolling::Rotation;
use crate::report::sink::stream::StreamSink;
use crate::report::sink::stream::TcpPeer;
use crate::report::sink::stream::UnixPeer;
use crate::report::spool::Spool;

/// Opens every sink, and its spool. A peer that does not listen yet is no failure: its alerts wait.
///
/// # Errors
///
/// When a file or a spool cannot be opened.
pub(super) fn open(config: &Config) -> Result<Vec<Opened>, Failure> {
    let mut all = Vec::with_capacity(config.sinks.len());
    for sink in &config.sinks {
        let spool = config.spool.as_ref().map(|spool| open_spool(spool, &sink.name)).transpose()?;
        all.push(Opened { name: sink.name.clone(), sink: open_sink(&sink.to)?, spool });
    }
    if let Some(spool) = &config.spool {
        tell_strangers(&spool.path, &all);
    }
    Ok(all)
}

fn open_sink(to: &Destination) -> Result<Box<dyn Sink>, Failure> {
    Ok(match to {
        Destination::Stdout => Box::new(Pipe::stdout()?),
        Destination::Unix { path } => Box::new(StreamSink::new(UnixPeer(path.clone()))),
        Destination::Tcp { address } => Box::new(StreamSink::new(TcpPeer(address.clone()))),
        Destination::File { path, rotate_mebibytes, rotate_hours, keep, sync_secs } => {
            let rotation = Rotation {
                bytes_max: u64::from(*rotate_mebibytes) << 20,
                age_max: Duration::from_secs(u64::from(*rotate_hours) * 3_600),
                keep: *keep as usize,
            };
            let sync_every = (*sync_secs > 0).then(|| Duration::from_secs(u64::from(*sync_secs)));
            let (sink, cut) = Rolling::open(path, rotation, sync_every)?;
            tell_cut(path, cut);
            Box::new(sink)
        }
    })
}

fn open_spool(config: &SpoolConfig, name: &str) -> Result<Spool, Failure> {
    let spool = Spool::open(&config.path.join(name), u64::from(config.mebibytes) << 20)?;
    tell_cut(spool.folder(), spool.cut_bytes());
    if spool.waiting() > 0 {
        let (spool, alerts) = (spool.folder().display(), spool.waiting());
        info!(sink = name, alerts, "{spool}: {alerts} alerts wait for {name} since last time");
    }
    Ok(spool)
}

fn tell_cut(path: &Path, cut: u64) {
    if cut > 0 {
        warn!(bytes = cut, "{}: cut {cut} bytes of a half-written alert", path.display());
    }
}

/// Tells of alerts that wait for sinks of other names: nobody sends them.
fn tell_strangers(folder: &Path, all: &[Opened]) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_ours = all.iter().any(|one| entry.file_name() == *one.name.as_str());
        let segments = fs::read_dir(entry.path()).into_iter().flatten().flatten();
        let holds = segments.into_iter().any(|file| {
            let is_segment = file.path().extension().is_some_and(|end| end == "jsonl");
            is_segment && file.metadata().is_ok_and(|about| about.len() > 0)
        });
        if !is_ours && holds {
            warn!(
                "{}: alerts wait for a sink that is not configured: name one so, or remove them",
                entry.path().display()
            );
        }
    }
}

/// Tells what waits on disk at the end; fails where alerts were lost.
///
/// # Errors
///
/// `AlertsLost`.
pub(super) fn tell_end(sinks: &[SinkStatus]) -> Result<(), Failure> {
    let waiting: Vec<String> = sinks
        .iter()
        .filter(|sink| sink.waiting > 0)
        .map(|sink| format!("{} for {} in {}", sink.waiting, sink.name, sink.spool.folder))
        .collect();
    if !waiting.is_empty() {
        let all = waiting.join(", ");
        warn!("alerts wait for the next start: {all}");
    }
    for sink in sinks.iter().filter(|sink| sink.unsure > 0) {
        let SinkStatus { name, unsure, .. } = sink;
        warn!(sink = name, alerts = unsure, "{unsure} alerts may not have reached {name}: it died");
    }
    let lost = sinks.iter().filter(|sink| sink.lost > 0);
    let lost: Vec<String> = lost.map(|sink| format!("{} of {}", sink.lost, sink.name)).collect();
    if lost.is_empty() { Ok(()) } else { Err(Failure::AlertsLost(lost.join(", "))) }
}
