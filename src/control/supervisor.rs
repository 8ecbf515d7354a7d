//! Threads of a run: one that captures, those that match, one that reports; and how they end.
//!
//! Stopping is an order: the capturer ends with its source, which closes the workers' channels;
//! they drain and close the reporter's; it drains and closes the sinks.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::thread::Scope;
use std::thread::ScopedJoinHandle;

use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use crossbeam_channel::bounded;

use crate::control::cli::Failure;
use crate::model::batch::Batch;
use crate::model::block::Block;
use crate::model::counters::Counters;
use crate::pipeline::capture::State;
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
use crate::report::reporter::Reported;
use crate::report::reporter::Reporter;
use crate::report::reporter::Signals;
use crate::report::reporter::Sinks;
use crate::report::reporter::Told;

/// Blocks in circulation beside two for each worker: one is being filled, one is on its way.
const BLOCKS_SPARE: usize = 2;

/// Blocks in circulation at most: 64 MiB and their packet lists.
const BLOCKS_MAX: usize = 64;

/// Batches in circulation for each worker.
const BATCHES_PER_WORKER: usize = 4;

/// Seed of the flow hash. Files cannot answer, so nobody can search for collisions with it; the
/// live sensor draws its own.
const HASH_SEED: u64 = 0x7461_7073_6965_7665;

/// What is to be run.
pub struct Plan<'a> {
    /// The captures.
    pub files: Files,
    /// How deep frames go.
    pub depth: Depth,
    /// Matcher threads; 0: everything on one thread.
    pub workers: usize,
    /// What each worker needs.
    pub settings: WorkerSettings,
    /// What is looked for.
    pub current: Arc<Current>,
    /// What alerts need.
    pub context: Context<'a>,
    /// Where lines go.
    pub sinks: Sinks,
}

/// What a run did.
pub struct Outcome {
    /// The captures, with their damages.
    pub files: Files,
    /// Counts of all threads.
    pub counters: Counters,
    /// Bytes of all frames on the wire.
    pub wire_bytes: u64,
    /// What the reporter did.
    pub reported: Reported,
}

/// Reads all captures to their end.
///
/// # Errors
///
/// When a thread cannot be started.
pub fn run(plan: Plan<'_>) -> Result<Outcome, Failure> {
    let signals = Signals { alerts: AtomicU64::new(0), stop: plan.files.stop() };
    if plan.workers == 0 { Ok(run_inline(plan, &signals)) } else { run_threads(plan, &signals) }
}

/// Both loops and the reporter, turn by turn, on this thread. Not inlined: `make icount` counts
/// what lies inside it.
#[inline(never)]
fn run_inline(plan: Plan<'_>, signals: &Signals) -> Outcome {
    let mut capturer = Capturer::new(plan.files, plan.depth, HASH_SEED);
    let mut worker = Worker::new(0, 1, plan.settings, plan.current);
    let mut reporter = Reporter::new(plan.context, plan.sinks, signals, 1);
    let mut block = Block::new(1);
    let mut batch = Batch::default();
    let mut state = State::More;
    while state == State::More && !signals.stop.load(Ordering::Relaxed) {
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
    outcome(capturer.end(), &[counters], reporter.finish())
}

fn run_threads(plan: Plan<'_>, signals: &Signals) -> Result<Outcome, Failure> {
    let (bytes_read, bytes_total) = (plan.files.bytes_read(), plan.files.bytes_total());
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let bar = Builder::new()
            .name("progress".to_owned())
            .spawn_scoped(scope, || progress::draw(&bytes_read, bytes_total, signals, &ended))
            .map_err(Failure::Thread)?;
        let done = start(scope, plan, signals).map(Threads::join);
        ended.store(true, Ordering::Relaxed);
        bar.thread().unpark();
        done
    })
}

struct Threads<'s> {
    capturer: ScopedJoinHandle<'s, Captured<Files>>,
    workers: Vec<ScopedJoinHandle<'s, Counters>>,
    reporter: ScopedJoinHandle<'s, Reported>,
}

fn start<'s, 'a: 's>(
    scope: &'s Scope<'s, 'a>,
    plan: Plan<'a>,
    signals: &'a Signals,
) -> Result<Threads<'s>, Failure> {
    let count = plan.workers;
    let blocks = (2 * count + BLOCKS_SPARE).min(BLOCKS_MAX);
    let (returned, returns) = bounded(2 * blocks * count);
    let (tell, told) = bounded(BATCHES_PER_WORKER * count);
    let (give, spare) = bounded(BATCHES_PER_WORKER * count);
    for _ in 0..BATCHES_PER_WORKER * count {
        let _fits = give.try_send(Batch::default());
    }
    let mut workers = Vec::with_capacity(count);
    let mut inlets = Vec::with_capacity(count);
    for number in 0..count {
        let (inlet, outlet) = bounded(blocks);
        inlets.push(inlet);
        let post = Post {
            number,
            blocks: outlet,
            returned: returned.clone(),
            tell: tell.clone(),
            spare: spare.clone(),
        };
        let worker = Worker::new(number, count, plan.settings, Arc::clone(&plan.current));
        let thread = Builder::new().name(format!("worker-{number}"));
        workers
            .push(thread.spawn_scoped(scope, move || post.serve(worker)).map_err(Failure::Thread)?);
    }
    drop(tell);
    let reporter = Reporter::new(plan.context, plan.sinks, signals, count);
    let thread = Builder::new().name("reporter".to_owned());
    let reporter =
        thread.spawn_scoped(scope, move || reporter.run(&told, &give)).map_err(Failure::Thread)?;
    let circuit = Circuit {
        workers: inlets,
        returns,
        blocks: (0..blocks).map(|_| Arc::new(Block::new(count))).collect(),
    };
    let capturer = Capturer::new(plan.files, plan.depth, HASH_SEED);
    let thread = Builder::new().name("capturer".to_owned());
    let capturer = thread
        .spawn_scoped(scope, move || capturer.run(circuit, &signals.stop))
        .map_err(Failure::Thread)?;
    Ok(Threads { capturer, workers, reporter })
}

impl Threads<'_> {
    fn join(self) -> Outcome {
        let captured = joined(self.capturer);
        let counters: Vec<Counters> = self.workers.into_iter().map(joined).collect();
        outcome(captured, &counters, joined(self.reporter))
    }
}

/// Returns what a thread returned; its panic is ours.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// One worker's ends of the channels.
struct Post {
    number: usize,
    blocks: Receiver<Arc<Block>>,
    returned: Sender<()>,
    tell: Sender<Told>,
    spare: Receiver<Batch>,
}

impl Post {
    /// Serves blocks until the capturer has hung up.
    fn serve(self, mut worker: Worker) -> Counters {
        let mut batch = self.spare.recv().unwrap_or_default();
        for block in &self.blocks {
            worker.read(&block, &mut batch);
            drop(block);
            // holds more than can be under way; the capturer may be gone
            let _why = self.returned.try_send(());
            batch = self.hand_over(batch);
        }
        let counters = worker.end(&mut batch, &mut |full| {
            let next = self.hand_over(std::mem::take(full));
            *full = next;
        });
        batch.settle();
        let _gone_only_with_the_run = self.tell.send(Told { worker: self.number, batch });
        counters
    }

    /// Waits for the reporter: a replay loses nothing.
    fn hand_over(&self, batch: Batch) -> Batch {
        let _gone_only_with_the_run = self.tell.send(Told { worker: self.number, batch });
        self.spare.recv().unwrap_or_default()
    }
}

fn outcome(captured: Captured<Files>, workers: &[Counters], reported: Reported) -> Outcome {
    let mut counters = captured.counters;
    counters.add(captured.source.counters());
    counters.inputs_damaged = captured.source.damages().len() as u64;
    workers.iter().for_each(|worker| counters.add(worker));
    Outcome { files: captured.source, counters, wire_bytes: captured.wire_bytes, reported }
}
