//! A set that comes amid a capture: live flows are matched with it in all they have shown; one that
//! goes stops at once.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tapsieve::control::intel::IntelOptions;
use tapsieve::control::intel::compile::Compiled;
use tapsieve::control::intel::compile::compile;
use tapsieve::model::batch::Batch;
use tapsieve::model::block::Block;
use tapsieve::model::counters::Counters;
use tapsieve::model::flow::FlowView;
use tapsieve::model::indicator::IndicatorType;
use tapsieve::model::limits::OTHER_IDLE_SECS;
use tapsieve::model::limits::TCP_IDLE_SECS;
use tapsieve::model::observation::Kinds;
use tapsieve::model::observation::ObservationKind;
use tapsieve::model::packet::Frame;
use tapsieve::model::policy::Policy;
use tapsieve::pipeline::capture::Source;
use tapsieve::pipeline::capture::State;
use tapsieve::pipeline::capture::file::Files;
use tapsieve::pipeline::capturer::Capturer;
use tapsieve::pipeline::capturer::Depth;
use tapsieve::pipeline::worker::FlowSettings;
use tapsieve::pipeline::worker::Worker;
use tapsieve::pipeline::worker::WorkerSettings;

use crate::golden::Case;
use crate::golden::cases;
use crate::golden::strs;
use crate::run::run;

/// Moments of one capture at which the set is swapped, at most.
const CUTS_MAX: usize = 24;

/// Frames of a capture in two stretches, each a block.
struct Stretches<'a> {
    stretches: [&'a [(Frame, Vec<u8>)]; 2],
    next: usize,
    counters: Counters,
}

impl Source for Stretches<'_> {
    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn fill(&mut self, block: &mut Block) -> State {
        for (frame, bytes) in self.stretches[self.next] {
            block.frames.push(Frame { at: block.bytes.len() as u32, ..*frame });
            block.bytes.extend_from_slice(bytes);
            block.last = frame.id;
        }
        self.next += 1;
        if self.next == 2 { State::Ended } else { State::More }
    }
}

fn frames(path: &Path) -> Vec<(Frame, Vec<u8>)> {
    let mut files = Files::open(&[path.display().to_string()], None);
    let (mut block, mut frames) = (Block::new(0), Vec::new());
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

/// What a hit says of its flow: all but when it was found.
/// The indicator is told by its type and value: its number is one of its set.
type Name = (FlowKeyText, String, &'static str, Vec<u8>);

/// The flow, as text: its key has no order.
type FlowKeyText = String;

/// What a run gave.
#[derive(Default)]
struct Outcome {
    /// With the number of the frame, and whether they came late.
    hits: BTreeMap<Name, (u64, bool)>,
    /// The number of each flow's last frame.
    flows: BTreeMap<FlowKeyText, u64>,
}

impl Outcome {
    fn take(&mut self, batch: &mut Batch) {
        for hit in &batch.hits {
            let value = batch.bytes(hit.value).to_vec();
            let catalog = batch.catalog.as_ref().expect("the set that it was matched with");
            let indicator = catalog.indicator(hit.found.indicator).expect("an indicator of it");
            let indicator = format!("{} {}", indicator.0.name(), indicator.1);
            let name = (text(&hit.flow), indicator, hit.place.name(), value);
            assert!(
                self.hits.insert(name, (hit.frame.number(), hit.is_late)).is_none(),
                "{hit:?} twice"
            );
        }
        for sighting in &batch.sightings {
            self.flows.insert(text(&sighting.flow), sighting.frame.number());
        }
        batch.clear();
    }
}

/// Who opened it may turn out later.
fn text(flow: &FlowView) -> FlowKeyText {
    format!("{:?} {:?}", flow.key, flow.first)
}

/// Reads a capture with one set up to a frame, then with another.
fn read(frames: &[(Frame, Vec<u8>)], cut: usize, sets: [&Compiled; 2]) -> Outcome {
    let (before, after) = frames.split_at(cut);
    let source = Stretches { stretches: [before, after], next: 0, counters: Counters::default() };
    let settings = WorkerSettings {
        depth: Depth::Match,
        observed: [ObservationKind::Flow].into_iter().collect::<Kinds>(),
        flows: FlowSettings {
            flows_max: 1_000,
            tcp_idle_secs: TCP_IDLE_SECS,
            other_idle_secs: OTHER_IDLE_SECS,
            batch: 64,
        },
        sets_change: true,
    };
    let [first, second] = sets.map(|compiled| compiled.set.in_force());
    let current = Arc::new(first);
    let mut capturer = Capturer::new(0, source, Depth::Match, 1);
    let mut worker = Worker::new(0, 1, settings, Arc::clone(&current));
    let (mut block, mut batch) = (Block::new(1), Batch::default());
    let mut outcome = Outcome::default();
    for set in [None, Some(second.load())] {
        if let Some(set) = set {
            current.swap(Arc::clone(&set.index), Arc::clone(&set.catalog));
        }
        capturer.fill(&mut block);
        worker.read(&block, &mut batch);
        outcome.take(&mut batch);
    }
    worker.end(&mut batch, &mut |batch| outcome.take(batch));
    outcome.take(&mut batch);
    outcome
}

fn compiled(inputs: &[PathBuf]) -> Compiled {
    let opt_in = vec![IndicatorType::UserAgent];
    let options =
        IntelOptions { policy: Policy { opt_in, ..Policy::default() }, ..IntelOptions::default() };
    compile(inputs, &options).expect("indicators")
}

/// Swaps at one frame, from a set to another without its indicators, back, and to one with more;
/// what must come late, and what must not come any more. Returns the kinds of
/// place that hit late.
fn check(case: &Case, frames: &[(Frame, Vec<u8>)], sets: [&Compiled; 3]) -> BTreeSet<&'static str> {
    let [set, other, more] = sets;
    let whole = read(frames, frames.len(), [set, other]);
    let mut late_places = BTreeSet::new();
    for cut in (0..frames.len()).step_by(frames.len().div_ceil(CUTS_MAX)) {
        let at = format!("{} cut at {cut}", case.folder.display());
        let came = read(frames, cut, [other, set]);
        let live = |flow: &String| whole.flows[flow] > cut as u64;
        let due: BTreeSet<&Name> = whole.hits.keys().filter(|(flow, ..)| live(flow)).collect();
        assert_eq!(came.hits.keys().collect::<BTreeSet<_>>(), due, "{at}");
        for (name, (_, is_late)) in &came.hits {
            assert_eq!(*is_late, whole.hits[name].0 <= cut as u64, "{at}: {name:?}");
            late_places.extend(is_late.then_some(name.2));
        }
        // what has alerted does not alert again, whether or not its number is another
        for same in [set, more] {
            assert_eq!(read(frames, cut, [set, same]).hits, whole.hits, "{at}");
        }
        let went = read(frames, cut, [set, other]);
        let seen = |(name, (frame, _)): (&Name, &(u64, bool))| {
            (*frame <= cut as u64).then(|| name.clone())
        };
        let due: BTreeSet<Name> = whole.hits.iter().filter_map(seen).collect();
        assert_eq!(went.hits.into_keys().collect::<BTreeSet<_>>(), due, "{at}");
    }
    late_places
}

#[test]
fn live_flows_are_matched_with_a_new_set_in_all_they_have_shown() {
    let folder = tempfile::tempdir().expect("folder");
    let list = folder.path().join("other.txt");
    fs::write(&list, "203.0.114.7\n").expect("written");
    let other = compiled(std::slice::from_ref(&list));
    let mut late_places = BTreeSet::new();
    for case in cases() {
        let frames = frames(&case.folder.join(&case.input));
        let set = compiled(&case.intel());
        let more = compiled(&[case.intel(), vec![list.clone()]].concat());
        late_places.extend(check(&case, &frames, [&set, &other, &more]));
    }
    let wanted = ["flow", "dns.question", "tls.sni", "tls.client_hello", "http.host", "http.url"];
    assert!(wanted.iter().all(|place| late_places.contains(place)), "{late_places:?}");
}

#[test]
fn swaps_of_the_same_indicators_change_no_alert() {
    let folder = tempfile::tempdir().expect("folder");
    let mut arguments = vec!["bench".to_owned(), "replay".to_owned()];
    // the captures of layers are some of the same flows, and cases of formats have one capture
    let mut seen = BTreeSet::new();
    let mut is_other = |case: &Case| {
        let is_layer = case.folder.parent().is_some_and(|up| up.ends_with("layers"));
        !is_layer && seen.insert(fs::read(case.folder.join(&case.input)).expect("a capture"))
    };
    for case in cases().into_iter().filter(|case| is_other(case)) {
        for intel in case.intel() {
            arguments.extend(["--intel".to_owned(), intel.display().to_string()]);
        }
        arguments.push(case.folder.join(&case.input).display().to_string());
    }
    let alerts = |swaps: &[&str], name: &str| {
        let more = [swaps, &["--alerts", name]].concat();
        let run = run(folder.path(), &[strs(&arguments), more].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        (fs::read(folder.path().join(name)).expect("alerts"), run.stderr)
    };
    let (still, _) = alerts(&[], "still.jsonl");
    let (swapped, said) = alerts(&["--swap-millis", "1"], "swapped.jsonl");
    let swaps = said.split_once(" swaps").expect("said").0.rsplit(' ').next();
    assert!(swaps.and_then(|n| n.parse::<u64>().ok()).is_some_and(|n| n >= 3), "{said}");
    assert!(still.len() > 100_000, "{} bytes of alerts", still.len());
    assert!(still == swapped, "{} and {} bytes", still.len(), swapped.len());
}
