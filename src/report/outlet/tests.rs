//! Outlets with sinks that fail, hang and come back: nothing lost or twice, all accounted for.

use std::path::Path;
use std::sync::atomic::AtomicU32;

use super::*;
use crate::report::sink::SinkError;

/// A sink that takes nothing, hangs, or takes lines, as it is told.
#[derive(Clone, Default)]
struct Moody {
    refuses: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    taken: Arc<Mutex<Vec<u8>>>,
    deliveries: Arc<AtomicU32>,
}

impl Sink for Moody {
    fn deliver(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        while self.hangs.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        if self.refuses.load(Ordering::Relaxed) {
            let source = io::Error::from(io::ErrorKind::StorageFull);
            return Err(SinkError::Broken { path: "x".into(), source });
        }
        self.taken.lock().expect("no panic").extend_from_slice(lines);
        self.deliveries.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

impl Moody {
    fn taken(&self) -> Vec<u64> {
        let taken = self.taken.lock().expect("no panic");
        let text = String::from_utf8_lossy(&taken).into_owned();
        let number = |line: &str| line.rsplit([':', '}']).nth(1).and_then(|n| n.parse().ok());
        text.lines().map(|line| number(line).expect("a number")).collect()
    }

    fn outlet(&self, spool: Option<Spool>) -> Outlet {
        let opened = Opened { name: "moody".to_owned(), sink: Box::new(self.clone()), spool };
        Outlet::start(opened, |_| ()).expect("threads")
    }
}

fn spool(folder: &Path, bytes_max: u64) -> Option<Spool> {
    Some(Spool::open(folder, bytes_max).expect("opened"))
}

fn give(outlet: &Outlet, numbers: std::ops::Range<u64>, padding: usize) {
    for n in numbers {
        let pad = "x".repeat(padding);
        let line = format!("{{\"@timestamp\":\"{pad}\",\"n\":{n}}}\n");
        outlet.give(&Arc::new(Bundle::new(line.into_bytes(), vec![0])));
        whole(&outlet.status());
    }
}

/// The sum that holds at any moment.
fn whole(status: &SinkStatus) {
    let SinkStatus { given, found, delivered, lost, waiting, .. } = status;
    assert_eq!(given + found, delivered + lost + waiting, "{status:?}");
}

/// Waits until something is so of a sink.
fn until(outlet: &Outlet, is_so: impl Fn(&SinkStatus) -> bool) -> SinkStatus {
    for _ in 0..20_000 {
        let status = outlet.status();
        whole(&status);
        if is_so(&status) {
            return status;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("never: {:?}", outlet.status());
}

fn end(mut outlet: Outlet) -> SinkStatus {
    end_all(std::slice::from_mut(&mut outlet), END_MAX);
    let status = outlet.status();
    whole(&status);
    status
}

fn set(mood: &AtomicBool, to: bool) {
    mood.store(to, Ordering::Relaxed);
}

#[test]
fn what_a_sink_does_not_take_waits_in_order() {
    let sink = Moody::default();
    let outlet = sink.outlet(None);
    give(&outlet, 0..3, 1);
    until(&outlet, |status| status.delivered == 3);
    set(&sink.refuses, true);
    give(&outlet, 3..100, 1);
    let status = until(&outlet, |status| status.trouble.is_some());
    assert_eq!((status.delivered, status.waiting), (3, 97));
    set(&sink.refuses, false);
    until(&outlet, |status| status.waiting == 0);
    give(&outlet, 100..110, 1);
    let status = end(outlet);
    assert_eq!((status.delivered, status.lost, status.trouble), (110, 0, None));
    assert_eq!(sink.taken(), (0..110).collect::<Vec<_>>());
}

#[test]
fn what_comes_in_a_lull_goes_out_together() {
    let sink = Moody::default();
    let outlet = sink.outlet(None);
    let began = Instant::now();
    for n in 0..40 {
        give(&outlet, n..n + 1, 1);
        std::thread::sleep(Duration::from_millis(1));
    }
    until(&outlet, |status| status.delivered == 40);
    let lulls = began.elapsed().as_millis() / keeper::LULL.as_millis();
    let deliveries = sink.deliveries.load(Ordering::Relaxed);
    assert!(u128::from(deliveries) <= lulls + 2, "{deliveries} in {lulls} lulls");
    assert_eq!(end(outlet).delivered, 40);
    assert_eq!(sink.taken(), (0..40).collect::<Vec<_>>());
}

#[test]
fn without_a_spool_the_newest_are_lost_at_the_bound_and_the_rest_at_the_end() {
    let sink = Moody::default();
    set(&sink.refuses, true);
    let outlet = sink.outlet(None);
    give(&outlet, 0..70, 1024 * 1024);
    let status = outlet.status();
    assert_eq!((status.waiting, status.lost, status.is_losing), (63, 7, true));
    // there is room as soon as it takes some, and that is known before the next is given
    set(&sink.refuses, false);
    let status = until(&outlet, |status| status.waiting == 0);
    assert!(!status.is_losing);
    set(&sink.refuses, true);
    give(&outlet, 70..73, 1);
    let status = end(outlet);
    assert_eq!((status.delivered, status.waiting, status.lost), (63, 0, 7 + 3));
}

#[test]
fn a_sink_that_hangs_holds_nobody_up_and_its_alerts_are_spooled() {
    let folder = tempfile::tempdir().expect("folder");
    let sink = Moody::default();
    set(&sink.hangs, true);
    let outlet = sink.outlet(spool(folder.path(), 1 << 30));
    give(&outlet, 0..1_000, 10_000);
    let status = until(&outlet, |status| status.spool.alerts == 1_000);
    assert_eq!((status.waiting, status.delivered), (1_000, 0));
    set(&sink.hangs, false);
    until(&outlet, |status| status.spool.bytes == 0 && status.waiting == 0);
    give(&outlet, 1_000..1_010, 10);
    let status = end(outlet);
    assert_eq!((status.delivered, status.lost), (1_010, 0));
    assert_eq!(sink.taken(), (0..1_010).collect::<Vec<_>>());
}

#[test]
fn what_waits_at_the_end_goes_to_the_spool_and_comes_first_at_the_next_start() {
    let folder = tempfile::tempdir().expect("folder");
    let sink = Moody::default();
    set(&sink.refuses, true);
    let outlet = sink.outlet(spool(folder.path(), 1 << 20));
    give(&outlet, 0..10, 10);
    let status = end(outlet);
    assert_eq!((status.waiting, status.lost, status.spool.alerts), (10, 0, 10));
    set(&sink.refuses, false);
    let outlet = sink.outlet(spool(folder.path(), 1 << 20));
    assert_eq!(outlet.status().found, 10);
    give(&outlet, 10..20, 10);
    let status = end(outlet);
    assert_eq!((status.delivered, status.spool.bytes), (20, 0));
    assert_eq!(sink.taken(), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_sink_that_hangs_at_the_end_is_left_behind() {
    let folder = tempfile::tempdir().expect("folder");
    let sinks = [Moody::default(), Moody::default()];
    sinks.iter().for_each(|sink| set(&sink.hangs, true));
    let spools = [spool(folder.path(), 1 << 20), None];
    let mut outlets = Vec::from_iter(sinks.iter().zip(spools).map(|(sink, s)| sink.outlet(s)));
    outlets.iter().for_each(|outlet| give(outlet, 0..10, 10));
    end_all(&mut outlets, END_MAX);
    let ended = outlets.iter().map(Outlet::status);
    assert_eq!(Vec::from_iter(ended.map(|s| (s.waiting, s.lost))), [(10, 0), (0, 10)]);
    sinks.iter().for_each(|sink| set(&sink.hangs, false));
}

#[test]
fn all_that_hang_at_the_end_share_one_deadline() {
    let folder = tempfile::tempdir().expect("folder");
    let sink = Moody::default();
    set(&sink.refuses, true);
    let hangs = Arc::new(AtomicBool::new(true));
    let mut outlets = Vec::from_iter((0..3).map(|n| {
        let spool = spool(&folder.path().join(n.to_string()), 1 << 20);
        let opened = Opened { name: "moody".to_owned(), sink: Box::new(sink.clone()), spool };
        let hangs = Arc::clone(&hangs);
        // as a disk may
        let told = move |_: &[u64]| while hangs.load(Ordering::Relaxed) {};
        Outlet::start(opened, told).expect("threads")
    }));
    outlets.iter().for_each(|outlet| give(outlet, 0..10, 10));
    let (began, patience) = (Instant::now(), Duration::from_secs(1));
    end_all(&mut outlets, patience);
    assert!(began.elapsed() < 2 * patience, "{:?}", began.elapsed());
    outlets.iter().for_each(|outlet| whole(&outlet.status()));
    assert_eq!(outlets.iter().map(|outlet| outlet.status().lost).sum::<u64>(), 30);
    set(&hangs, false);
}

#[test]
fn the_end_is_over_before_systemd_loses_patience() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd/tapsieve.service");
    let unit = std::fs::read_to_string(unit).expect("there");
    let secs = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec="));
    let secs = secs.and_then(|secs| secs.parse().ok()).map(Duration::from_secs);
    // the rings are read first
    assert!(secs.expect("a number") >= END_MAX + Duration::from_secs(5));
}

#[test]
fn a_spool_at_its_bound_loses_the_newest_and_says_so() {
    let folder = tempfile::tempdir().expect("folder");
    let sink = Moody::default();
    set(&sink.refuses, true);
    let outlet = sink.outlet(spool(folder.path(), 1 << 20));
    // one MiB on disk, one in memory
    give(&outlet, 0..40, 100_000);
    let status = until(&outlet, |status| status.lost > 15);
    assert!(status.spool.trouble.is_some_and(|trouble| trouble.contains("is full")));
    set(&sink.refuses, false);
    let status = until(&outlet, |status| status.waiting == 0 && status.spool.trouble.is_none());
    let taken = sink.taken();
    assert_eq!(taken, (0..taken.len() as u64).collect::<Vec<_>>());
    assert_eq!(status.delivered + status.lost, 40);
    // and goes on
    give(&outlet, 40..41, 10);
    assert_eq!(end(outlet).delivered, status.delivered + 1);
}

#[test]
fn a_spool_that_is_taken_away_is_counted_as_lost_and_begun_anew() {
    let folder = tempfile::tempdir().expect("folder");
    let sink = Moody::default();
    set(&sink.refuses, true);
    let outlet = sink.outlet(spool(folder.path(), 1 << 20));
    give(&outlet, 0..10, 10);
    until(&outlet, |status| status.spool.alerts == 10);
    for entry in std::fs::read_dir(folder.path()).expect("folder") {
        let path = entry.expect("entry").path();
        std::fs::remove_file(path).expect("removed");
    }
    set(&sink.refuses, false);
    give(&outlet, 10..12, 10);
    let status = until(&outlet, |status| status.waiting == 0);
    assert_eq!(status.delivered + status.lost, 12, "{status:?}");
    assert!(sink.taken().ends_with(&[10, 11]), "{:?}", sink.taken());
    end(outlet);
}

#[test]
fn times_are_told_once_whatever_became_of_the_alerts() {
    let folder = tempfile::tempdir().expect("folder");
    let told = Arc::new(Mutex::new(Vec::new()));
    let sinks = [Moody::default(), Moody::default()];
    set(&sinks[1].refuses, true);
    let outlets = [("one", &sinks[0]), ("other", &sinks[1])].map(|(name, sink)| {
        let told = Arc::clone(&told);
        let spool = spool(&folder.path().join(name), 1 << 20);
        let opened = Opened { name: "moody".to_owned(), sink: Box::new(sink.clone()), spool };
        let tell = move |times: &[u64]| told.lock().expect("no panic").extend_from_slice(times);
        Outlet::start(opened, tell).expect("threads")
    });
    for n in 0..10 {
        let bundle = Arc::new(Bundle::new(b"{\"@timestamp\":1}\n".to_vec(), vec![n]));
        outlets.iter().for_each(|outlet| outlet.give(&bundle));
    }
    outlets.into_iter().for_each(|outlet| drop(end(outlet)));
    let mut told = told.lock().expect("no panic").clone();
    told.sort_unstable();
    assert_eq!(told, (0..10).collect::<Vec<_>>());
}
