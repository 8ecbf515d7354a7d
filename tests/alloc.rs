//! Law: after warm-up no heap call per packet, on the capturer's way and on the worker's.
//!
//! Each case of `fixtures/` is read over and over on one thread, two hours of packet time apart, so
//! that every pass opens new flows of the same shapes. Apart from the other tests, because the
//! counting allocator is the whole binary's.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use allocation_counter::measure;
use tapsieve::control::intel::IntelOptions;
use tapsieve::control::intel::compile::Compiled;
use tapsieve::control::intel::compile::compile;
use tapsieve::model::batch::Batch;
use tapsieve::model::block::Block;
use tapsieve::model::counters::Counters;
use tapsieve::model::limits::OTHER_IDLE_SECS;
use tapsieve::model::limits::TCP_IDLE_SECS;
use tapsieve::model::observation::Kinds;
use tapsieve::model::observation::ObservationKind;
use tapsieve::model::packet::Frame;
use tapsieve::model::packet::FrameId;
use tapsieve::model::time::Timestamp;
use tapsieve::pipeline::capture::Source;
use tapsieve::pipeline::capture::State;
use tapsieve::pipeline::capture::file::Files;
use tapsieve::pipeline::capturer::Capturer;
use tapsieve::pipeline::capturer::Depth;
use tapsieve::pipeline::worker::FlowSettings;
use tapsieve::pipeline::worker::Worker;
use tapsieve::pipeline::worker::WorkerSettings;

/// Passes before counting: tables, lists and batches have found their sizes.
const WARM_UP_PASSES: u64 = 4;

/// Passes that are counted.
const COUNTED_PASSES: u64 = 3;

/// Packet time between passes: longer than any flow's idle limit.
const PASS_NANOS: u64 = 7_200 * 1_000_000_000;

/// Ethernet, which `Files` is given as one file.
const ETHERNET: u16 = 1;

/// A capture again and again, one pass a block.
struct Passes {
    frames: Vec<(Frame, Vec<u8>)>,
    pass: u64,
    counters: Counters,
}

impl Source for Passes {
    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn fill(&mut self, block: &mut Block) -> State {
        let mut at = 0;
        for (frame, bytes) in &self.frames {
            block.bytes[at..at + bytes.len()].copy_from_slice(bytes);
            let time = Timestamp(frame.time.0 + self.pass * PASS_NANOS);
            let number = frame.id.number() + self.pass * self.frames.len() as u64;
            let id = FrameId::new(0, number);
            block.frames.push(Frame { time, id, at: at as u32, ..*frame });
            block.last = id;
            at += bytes.len();
        }
        self.pass += 1;
        State::More
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn captures() -> Vec<PathBuf> {
    let pattern = root().join("fixtures/*/*/input.*").display().to_string();
    let mut found: Vec<PathBuf> = glob::glob(&pattern).expect("pattern").flatten().collect();
    found.sort();
    assert!(found.len() >= 10, "only {} captures", found.len());
    found
}

fn frames(path: &Path) -> Vec<(Frame, Vec<u8>)> {
    let mut files = Files::open(&[path.display().to_string()], None);
    let mut block = Block::new(0);
    let mut frames = Vec::new();
    loop {
        block.clear();
        let state = files.fill(&mut block);
        for frame in &block.frames {
            let at = frame.at as usize;
            frames.push((*frame, block.bytes[at..at + frame.captured_bytes as usize].to_vec()));
        }
        if state == State::Ended {
            return frames;
        }
    }
}

fn indicators() -> Compiled {
    compile(&[root().join("fixtures/demo/feed")], &IntelOptions::default()).expect("a feed")
}

fn settings() -> WorkerSettings {
    WorkerSettings {
        depth: Depth::Match,
        observed: Kinds::ALL,
        flows: FlowSettings {
            flows_max: 100_000,
            tcp_idle_secs: TCP_IDLE_SECS,
            other_idle_secs: OTHER_IDLE_SECS,
            batch: 64,
        },
        sets_change: true,
    }
}

/// Reads a source turn by turn; returns heap calls and counts of the turns `counted`, as both loops
/// make them.
fn run(source: impl Source, compiled: &Compiled, turns: u64, warm_up: u64) -> (u64, Counters) {
    let mut capturer = Capturer::new(0, source, Depth::Match, 1);
    let mut worker = Worker::new(0, 1, settings(), Arc::new(compiled.set.in_force()));
    let (mut block, mut batch) = (Block::new(1), Batch::default());
    let mut calls = 0;
    for turn in 0..turns {
        let turned = measure(|| {
            capturer.fill(&mut block);
            worker.read(&block, &mut batch);
            batch.clear();
        });
        if turn >= warm_up {
            calls += turned.count_total;
        }
    }
    (calls, worker.end(&mut batch, &mut Batch::clear))
}

#[test]
fn packets_cost_no_heap_call() {
    let compiled = indicators();
    let (mut read, mut certificates_read) = (0, 0);
    let mut wrong = Vec::new();
    for path in captures() {
        let frames = frames(&path);
        let source = Passes { frames, pass: 0, counters: Counters::default() };
        let passes = WARM_UP_PASSES + COUNTED_PASSES;
        let (calls, counters) = run(source, &compiled, passes, WARM_UP_PASSES);
        let certificates = counters.observations[ObservationKind::CertSha1.position()];
        if calls > 0 {
            let packets = counters.packets * COUNTED_PASSES / passes;
            wrong.push(format!("{}: {calls} heap calls in {packets} packets", path.display()));
        }
        read += counters.packets;
        certificates_read += certificates;
        assert!(counters.flows >= passes, "{}: passes are not new flows", path.display());
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(
        read > 1_000 && certificates_read > 0,
        "{read} packets, {certificates_read} certificates"
    );
}

#[test]
fn reading_a_file_costs_no_heap_call() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("long.pcap");
    fs::write(&path, long_capture()).expect("write");
    let mut capturer =
        Capturer::new(0, Files::open(&[path.display().to_string()], None), Depth::Decode, 1);
    let mut block = Block::new(1);
    let mut turns = Vec::new();
    loop {
        let mut state = State::More;
        turns.push(measure(|| state = capturer.fill(&mut block)).count_total);
        if state == State::Ended {
            break;
        }
    }
    // the file is opened in the first turn and closed in the last
    let (opening, rest) = turns.split_at(2);
    assert!(opening.iter().sum::<u64>() > 0 && rest.len() > 5, "{turns:?}");
    assert_eq!(rest[..rest.len() - 1].iter().sum::<u64>(), 0, "{turns:?}");
}

/// All Ethernet fixtures, many times, as one little-endian microsecond pcap of some MiB.
fn long_capture() -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, u32::from(ETHERNET)] {
        out.extend(word.to_le_bytes());
    }
    let frames: Vec<_> = captures().iter().flat_map(|path| frames(path)).collect();
    let ethernet = || frames.iter().filter(|(frame, _)| frame.link == ETHERNET);
    while out.len() < 6 * 1024 * 1024 {
        for (frame, bytes) in ethernet() {
            for word in [frame.time.secs(), 0, frame.captured_bytes, frame.wire_bytes] {
                out.extend(word.to_le_bytes());
            }
            out.extend(bytes);
        }
    }
    out
}

#[test]
fn the_counter_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![1_u8, 2, 3]))).count_total, 1);
    assert_eq!(measure(|| ()).count_total, 0);
}
