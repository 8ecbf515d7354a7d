//! Threads of a run: one that captures, those that match, one that reports; and how they end.
//!
//! Stopping is an order: the capturer ends with its source, which closes the workers' channels;
//! they drain and close the reporter's; it drains and closes the sinks.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::thread::Scope;
use std::thread::ScopedJoinHandle;

use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use crossbeam_channel::bounded;
use nix::sched::CpuSet;
use nix::sched::sched_setaffinity;
use nix::unistd::Pid;
use tracing::warn;

use crate::control::cli::Failure;
use crate::control::post::Behind;
use crate::control::post::Letters;
use crate::control::post::Post;
use crate::model::batch::Batch;
use crate::model::block::Block;
use crate::model::counters::Counters;
use crate::pipeline::capture::Source;
use crate::pipeline::capture::State;
use crate::pipeline::capture::damage::Damage;
use crate::pipeline::capture::file::Files;
use crate::pipeline::capturer::Captured;
use crate::pipeline::capturer::Capturer;
use crate::pipeline::capturer::Circuit;
use crate::pipeline::capturer::Depth;
use crate::pipeline::matcher::current::Current;
use crate::pipeline::worker::Worker;
use crate::pipeline::worker::WorkerSettings;
use crate::report::progress;
use crate::report::render::Context;
use crate::report::reporter::Letter;
use crate::report::reporter::Reported;
use crate::report::reporter::Reporter;
use crate::report::reporter::Signals;
use crate::report::reporter::Sinks;

/// Blocks in circulation beside two for each worker: one is being filled, one is on its way.
const BLOCKS_SPARE: usize = 2;

/// Blocks in circulation at most: 64 MiB and their packet lists.
const BLOCKS_MAX: usize = 64;

/// Packets that a sensor's worker looks up together.
pub const LIVE_BATCH: u32 = 64;

/// Batches in circulation for each worker.
const BATCHES_PER_WORKER: usize = 4;

/// Seed of the flow hash. Files cannot answer, so nobody can search for collisions with it; the
/// live sensor draws its own.
pub const HASH_SEED: u64 = 0x7461_7073_6965_7665;

/// What is to be run.
pub struct Plan<S> {
    /// Where frames come from, one capturer each.
    pub sources: Vec<S>,
    /// Seed of the flow hash.
    pub seed: u64,
    /// How deep frames go.
    pub depth: Depth,
    /// Matcher threads; 0: everything on one thread.
    pub workers: usize,
    /// What each worker needs.
    pub settings: WorkerSettings,
    /// What is looked for.
    pub current: Arc<Current>,
    /// Where threads run.
    pub pins: Pins,
    /// What workers do while the reporter is behind.
    pub behind: Behind,
}

/// The CPUs that threads are pinned to, by number; a thread without one runs anywhere.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    /// Of each source's capturer.
    pub capturers: Vec<Option<u16>>,
    /// Of each worker.
    pub workers: Vec<Option<u16>>,
}

/// What a run did; `R` is what its reporter tells at the end.
pub struct Outcome<S, R> {
    /// The sources, with what they have to tell.
    pub sources: Vec<S>,
    /// Counts of all threads.
    pub counters: Counters,
    /// Bytes of all frames on the wire.
    pub wire_bytes: u64,
    /// What the reporter did.
    pub reported: R,
}

impl<R> Outcome<Files, R> {
    /// Returns what was wrong with the captures.
    pub fn damages(&self) -> &[Damage] {
        self.sources.first().map(Files::damages).unwrap_or_default()
    }
}

/// Reads captures to their end, with a progress bar.
///
/// # Errors
///
/// When a thread cannot be started.
pub fn replay(
    plan: Plan<Files>,
    context: Context<'_>,
    sinks: Sinks,
) -> Result<Outcome<Files, Reported>, Failure> {
    let files = plan.sources.first();
    let signals =
        Signals { stop: files.map(Files::stop).unwrap_or_default(), ..Signals::default() };
    if plan.workers == 0 {
        let reporter = Reporter::new(context, sinks, &signals, 1);
        return Ok(run_inline(plan, reporter));
    }
    let bytes_total = files.and_then(Files::bytes_total);
    let bytes_read = files.map(Files::bytes_read).unwrap_or_default();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let bar = Builder::new()
            .name("progress".to_owned())
            .spawn_scoped(scope, || progress::draw(&bytes_read, bytes_total, &signals, &ended))
            .map_err(Failure::Thread)?;
        let reporter = Reporter::new(context, sinks, &signals, plan.workers);
        let done = run(plan, &signals.stop, |told, spare| reporter.run(told, spare), || ());
        ended.store(true, Ordering::Relaxed);
        bar.thread().unpark();
        done
    })
}

/// Reads all sources to their end, on threads; `report` is the reporter's loop, `beside` runs on
/// this thread meanwhile.
///
/// # Errors
///
/// When a thread cannot be started; those that were are stopped.
pub fn run<S: Source + Send, R: Send>(
    plan: Plan<S>,
    stop: &AtomicBool,
    report: impl FnOnce(&Receiver<Letter>, &Sender<Batch>) -> R + Send,
    beside: impl FnOnce(),
) -> Result<Outcome<S, R>, Failure> {
    std::thread::scope(|scope| {
        let threads = start(scope, plan, report);
        match &threads {
            Ok(_) => beside(),
            Err(_) => stop.store(true, Ordering::Relaxed),
        }
        threads.map(Threads::join)
    })
}

/// Both loops and the reporter, turn by turn, on this thread. Not inlined: `make icount` counts
/// what lies inside it.
#[inline(never)]
fn run_inline(plan: Plan<Files>, mut reporter: Reporter<'_>) -> Outcome<Files, Reported> {
    let source = plan.sources.into_iter().next().unwrap_or_else(|| Files::open(&[""; 0], None));
    let mut capturer = Capturer::new(0, source, plan.depth, plan.seed);
    let mut worker = Worker::new(0, 1, plan.settings, plan.current);
    let mut block = Block::new(1);
    let mut batch = Batch::default();
    let mut state = State::More;
    while state == State::More {
        state = capturer.fill(&mut block);
        worker.read(&block, &mut batch);
        reporter.take(0, &batch);
        batch.clear();
    }
    let counters = worker.end(&mut batch, &mut |full| {
        reporter.take(0, full);
        full.clear();
    });
    batch.settle();
    reporter.take(0, &batch);
    outcome(vec![capturer.end()], &[counters], reporter.finish())
}

struct Threads<'s, S: Source, R> {
    capturers: Vec<ScopedJoinHandle<'s, Captured<S>>>,
    workers: Vec<ScopedJoinHandle<'s, Counters>>,
    reporter: ScopedJoinHandle<'s, R>,
}

fn start<'s, S: Source + Send + 's, R: Send + 's>(
    scope: &'s Scope<'s, '_>,
    plan: Plan<S>,
    report: impl FnOnce(&Receiver<Letter>, &Sender<Batch>) -> R + Send + 's,
) -> Result<Threads<'s, S, R>, Failure> {
    let (count, sources) = (plan.workers, plan.sources.len());
    let blocks = (2 * count + BLOCKS_SPARE).min(BLOCKS_MAX);
    let (returned, returns): (Vec<_>, Vec<_>) =
        (0..sources).map(|_| bounded(2 * blocks * count)).unzip();
    let (tell, told) = bounded(BATCHES_PER_WORKER * count);
    let (give, spare) = bounded(BATCHES_PER_WORKER * count);
    for _ in 0..BATCHES_PER_WORKER * count {
        let _fits = give.try_send(Batch::default());
    }
    let mut workers = Vec::with_capacity(count);
    let mut inlets = Vec::with_capacity(count);
    for number in 0..count {
        let (inlet, outlet) = bounded(blocks * sources);
        inlets.push(inlet);
        let post = Post {
            blocks: outlet,
            returned: returned.clone(),
            letters: Letters::new(number, (tell.clone(), spare.clone()), plan.behind, sources),
        };
        let worker = Worker::new(number, count, plan.settings, Arc::clone(&plan.current));
        let name = format!("worker-{number}");
        let cpu = plan.pins.workers.get(number).copied().flatten();
        workers.push(thread(scope, name, move || {
            pin(cpu);
            post.serve(worker)
        })?);
    }
    drop(tell);
    let reporter = thread(scope, "reporter".to_owned(), move || report(&told, &give))?;
    let mut capturers = Vec::with_capacity(sources);
    let mut cpus = plan.pins.capturers.into_iter();
    for ((number, source), returns) in (0..).zip(plan.sources).zip(returns) {
        let cpu = cpus.next().flatten();
        let circuit = Circuit {
            workers: inlets.clone(),
            returns,
            blocks: (0..blocks).map(|_| Arc::new(block_for(&source, count))).collect(),
        };
        let capturer = Capturer::new(number, source, plan.depth, plan.seed);
        let name = format!("capturer-{number}");
        capturers.push(thread(scope, name, move || {
            pin(cpu);
            capturer.run(circuit)
        })?);
    }
    Ok(Threads { capturers, workers, reporter })
}

/// Pins this thread to a CPU.
fn pin(cpu: Option<u16>) {
    let Some(cpu) = cpu else { return };
    let mut only = CpuSet::new();
    let pinned =
        only.set(usize::from(cpu)).and_then(|()| sched_setaffinity(Pid::from_raw(0), &only));
    if let Err(error) = pinned {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        warn!(cpu, "{name} cannot be pinned: {error}");
    }
}

/// Returns a block for what a source reads.
fn block_for(source: &impl Source, shards: usize) -> Block {
    if source.lends() { Block::without_memory(shards) } else { Block::new(shards) }
}

fn thread<'s, T: Send + 's>(
    scope: &'s Scope<'s, '_>,
    name: String,
    run: impl FnOnce() -> T + Send + 's,
) -> Result<ScopedJoinHandle<'s, T>, Failure> {
    Builder::new().name(name).spawn_scoped(scope, run).map_err(Failure::Thread)
}

impl<S: Source, R> Threads<'_, S, R> {
    fn join(self) -> Outcome<S, R> {
        let captured = self.capturers.into_iter().map(joined).collect();
        let counters: Vec<Counters> = self.workers.into_iter().map(joined).collect();
        outcome(captured, &counters, joined(self.reporter))
    }
}

/// Returns what a thread returned; its panic is ours.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn outcome<S: Source, R>(
    captured: Vec<Captured<S>>,
    workers: &[Counters],
    reported: R,
) -> Outcome<S, R> {
    let mut counters = Counters::default();
    workers.iter().for_each(|worker| counters.add(worker));
    let mut sources = Vec::with_capacity(captured.len());
    let mut wire_bytes = 0_u64;
    for Captured { source, counters: captured, wire_bytes: more } in captured {
        counters.add(&captured);
        counters.add(source.counters());
        wire_bytes = wire_bytes.saturating_add(more);
        sources.push(source);
    }
    Outcome { sources, counters, wire_bytes, reported }
}
