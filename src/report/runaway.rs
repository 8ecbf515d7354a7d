//! The runaway guard: an indicator that alerts for too many hosts of the site names something
//! everyday, not an attack; it is quarantined, so that its alerts do not bury all others.
//!
//! The alert that goes over the limit is the last one; it says so. What follows is counted. A
//! quarantine ends with the first alert after a window in which no more hosts than the limit had
//! any, and when a new set tells otherwise of the indicator, or no longer has it.
//!
//! Bounds: `PLACES_MAX` hosts and indicators together; over it, counting begins anew

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use ipnet::IpNet;

use crate::model::batch::Batch;
use crate::model::flow::Side;
use crate::model::hit::Hit;
use crate::model::indicator::IndicatorType;
use crate::model::special::is_special;
use crate::model::story::Catalog;
use crate::report::alert::Alert;
use crate::report::alert::Quarantine;

/// What is remembered for all indicators together: a host has one place, of about 20 bytes.
const PLACES_MAX: usize = 1 << 20;

/// Places of an indicator beside its hosts: its key, and an empty set.
const INDICATOR_PLACES: usize = 16;

/// The limit at most: one beyond what is remembered would never be reached.
pub const HOSTS_MAX: u32 = 100_000;

/// When an indicator is quarantined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunawayLimits {
    /// Hosts that one indicator may alert for; 0: any number.
    pub hosts_max: u32,
    /// The same as a share of the IPv4 addresses of the site's own networks, in percent; 0: none.
    pub hosts_percent_max: u32,
    /// Seconds of packet time in which they count.
    pub window_secs: u32,
    /// The site's own networks; where there are none, private addresses are local.
    pub own_networks: Vec<IpNet>,
}

impl Default for RunawayLimits {
    fn default() -> Self {
        let own_networks = Vec::new();
        Self { hosts_max: 1_000, hosts_percent_max: 0, window_secs: 3_600, own_networks }
    }
}

impl RunawayLimits {
    /// Returns the limit as a number of hosts; `None`: there is none.
    fn hosts(&self) -> Option<usize> {
        let size = |net: &IpNet| match net {
            IpNet::V4(v4) => 1_u64 << (32 - u64::from(v4.prefix_len())),
            IpNet::V6(_) => 0,
        };
        let own = IpNet::aggregate(&self.own_networks);
        let all = own.iter().map(size).sum::<u64>();
        let percent = u64::from(self.hosts_percent_max);
        let share = (percent > 0 && all > 0).then(|| (all * percent / 100).max(1));
        let most = (self.hosts_max > 0).then_some(u64::from(self.hosts_max));
        let least = share.into_iter().chain(most).min()?;
        usize::try_from(least.min(HOSTS_MAX.into())).ok()
    }
}

/// What becomes of an alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It goes out.
    Passes,
    /// It goes out as the last one of its indicator, which alerted for so many hosts.
    Last(Quarantine),
    /// Its indicator is in quarantine.
    Quarantined,
}

/// An indicator in quarantine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Runaway {
    /// Its type and value.
    pub indicator: String,
    /// Alerts that were not sent.
    pub alerts: u64,
}

/// Counts the hosts that each indicator alerts for.
#[derive(Debug)]
pub struct Guard {
    limits: RunawayLimits,
    hosts_max: Option<usize>,
    /// By type and canonical value: a set may spell it otherwise.
    known: HashMap<(&'static str, String), Counted, RandomState>,
    places: usize,
    quarantined: usize,
    hasher: RandomState,
}

#[derive(Debug)]
struct Counted {
    since_secs: u32,
    /// How many sets were in force before the latest that it was seen in.
    generation: u64,
    /// What its sources tell.
    story: u64,
    hosts: HashSet<u64, RandomState>,
    /// Alerts since it was quarantined.
    held: Option<u64>,
}

impl Guard {
    /// Begins.
    pub fn new(limits: RunawayLimits) -> Self {
        let hosts_max = limits.hosts();
        Self {
            limits,
            hosts_max,
            known: HashMap::default(),
            places: 0,
            quarantined: 0,
            hasher: RandomState::default(),
        }
    }

    /// Counts an alert of a batch, and says what becomes of it.
    pub fn judge(&mut self, hit: &Hit, alert: &Alert, batch: &Batch) -> Verdict {
        let Some(hosts_max) = self.hosts_max else { return Verdict::Passes };
        if self.places >= PLACES_MAX {
            self.known.retain(|_, counted| counted.held.is_some());
            self.places = self.known.values().map(Counted::places).sum();
        }
        let at_secs = hit.time.secs();
        let host = self.hasher.hash_one(self.local(hit));
        let own = &alert.tapsieve.indicator;
        let canonical = batch.catalog.as_ref().and_then(|c| c.canonical(hit.found.indicator));
        let key = (own.kind, canonical.unwrap_or_else(|| own.value.clone()));
        let (hasher, generation) = (&self.hasher, batch.generation);
        let new = || Counted::new(alert, generation, at_secs, hasher);
        let counted = match self.known.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                self.places += INDICATOR_PLACES;
                place.insert(new())
            }
        };
        let before = (counted.places(), counted.held.is_some());
        // a batch of an older set may come late
        if generation > counted.generation {
            let new = new();
            match new.story == counted.story {
                true => counted.generation = generation,
                false => *counted = new,
            }
        }
        let verdict = counted.judge(host, at_secs, hosts_max, self.limits.window_secs);
        self.places = self.places + counted.places() - before.0;
        self.quarantined =
            self.quarantined + usize::from(counted.held.is_some()) - usize::from(before.1);
        verdict
    }

    /// Forgets what a set does not have.
    pub fn release(&mut self, catalog: &dyn Catalog) {
        let (quarantined, places) = (&mut self.quarantined, &mut self.places);
        self.known.retain(|(kind, value), counted| {
            let ty = IndicatorType::from_name(kind);
            let stays = ty.is_some_and(|ty| catalog.holds(ty, value));
            if !stays {
                *quarantined -= usize::from(counted.held.is_some());
                *places = places.saturating_sub(counted.places());
            }
            stays
        });
    }

    /// Returns what is in quarantine, by type and value.
    pub fn runaways(&self) -> Vec<Runaway> {
        if self.quarantined == 0 {
            return Vec::new();
        }
        let held = self.known.iter().filter_map(|((kind, value), counted)| {
            Some(Runaway { indicator: format!("{kind} {value}"), alerts: counted.held? })
        });
        let mut all = held.collect::<Vec<_>>();
        all.sort_by(|a, b| a.indicator.cmp(&b.indicator));
        all
    }

    /// Returns the host of the site that an alert is about.
    fn local(&self, hit: &Hit) -> IpAddr {
        let ends = [Side::Orig, Side::Resp].map(|side| hit.flow.end(side).0.to_ip());
        let own = &self.limits.own_networks;
        let is_local = |ip: &&IpAddr| match own.is_empty() {
            true => is_special(**ip),
            false => own.iter().any(|net| net.contains(*ip)),
        };
        ends.iter().find(is_local).copied().unwrap_or(ends[0])
    }
}

impl Counted {
    fn new(alert: &Alert, generation: u64, since_secs: u32, hasher: &RandomState) -> Self {
        let own = &alert.tapsieve;
        // sources have no map and no number that JSON lacks
        let told = serde_json::to_string(&own.sources).unwrap_or_default();
        let story = hasher.hash_one((told, &alert.threat.indicator.modified_at));
        Self { since_secs, generation, story, hosts: HashSet::default(), held: None }
    }

    fn places(&self) -> usize {
        INDICATOR_PLACES + self.hosts.len()
    }

    /// Counts an alert for a host.
    fn judge(&mut self, host: u64, at_secs: u32, hosts_max: usize, window_secs: u32) -> Verdict {
        if at_secs.saturating_sub(self.since_secs) >= window_secs {
            if self.hosts.len() <= hosts_max {
                self.held = None;
            }
            (self.since_secs, self.hosts) = (at_secs, HashSet::default());
        }
        // more would tell nothing
        if self.hosts.len() <= hosts_max {
            self.hosts.insert(host);
        }
        if let Some(alerts) = &mut self.held {
            *alerts += 1;
            return Verdict::Quarantined;
        }
        let hosts = self.hosts.len() as u64;
        if self.hosts.len() <= hosts_max {
            return Verdict::Passes;
        }
        (self.since_secs, self.hosts, self.held) = (at_secs, HashSet::default(), Some(0));
        Verdict::Last(Quarantine { hosts, window_secs })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use super::*;
    use crate::model::address::Address;
    use crate::model::batch::Span;
    use crate::model::flow::FlowKey;
    use crate::model::flow::FlowView;
    use crate::model::flow::Vlans;
    use crate::model::hit::Found;
    use crate::model::indicator::IndicatorId;
    use crate::model::indicator::Match;
    use crate::model::observation::ObservationKind;
    use crate::model::observation::Place;
    use crate::model::packet::FrameId;
    use crate::model::packet::protocol::TCP;
    use crate::model::story::Source;
    use crate::model::time::Timestamp;
    use crate::report::live::LiveReporter;
    use crate::report::live::Status;
    use crate::report::outlet::Opened;
    use crate::report::render;
    use crate::report::render::Context;
    use crate::report::reporter::Letter;
    use crate::report::sink::Sink;
    use crate::report::sink::SinkError;

    /// A set of one indicator with one story.
    struct One {
        version: &'static str,
        story: &'static str,
    }

    impl Catalog for One {
        fn version(&self) -> &str {
            self.version
        }

        fn indicator(&self, _: IndicatorId) -> Option<(IndicatorType, &str)> {
            Some((IndicatorType::IpDst, "9.9.9.9"))
        }

        fn canonical(&self, _: IndicatorId) -> Option<String> {
            Some("9.9.9.9".to_owned())
        }

        fn holds(&self, _: IndicatorType, _: &str) -> bool {
            !self.story.is_empty()
        }

        fn sources(&self, _: IndicatorId) -> Vec<Source> {
            vec![Source { info: Some(self.story.to_owned()), ..Source::default() }]
        }
    }

    /// Returns a hit of a flow from a host at a second.
    fn hit(host: u8, secs: u32) -> Hit {
        let end = |ip: [u8; 4], port: u16| (Address::from(IpAddr::from(ip)), port);
        let ends = (end([10, 0, 0, host], 40_000), end([9, 9, 9, 9], 443));
        let (key, opener) = FlowKey::new(ends.0, ends.1, TCP, Vlans::default());
        let time = Timestamp::new(u64::from(secs), 0);
        Hit {
            time,
            frame: FrameId(0),
            clock_secs: secs,
            kind: ObservationKind::Flow,
            place: Place::Flow,
            side: Side::Orig,
            found: Found { indicator: IndicatorId(0), grade: Match::Exact },
            flow: FlowView { key, opener, first: time },
            value: Span::default(),
            related: Span::default(),
            is_late: false,
        }
    }

    /// Says what becomes of its alert.
    fn judge(guard: &mut Guard, set: One, host: u8, secs: u32) -> Verdict {
        let hit = hit(host, secs);
        let mut batch = Batch::default();
        batch.generation = set.version.parse().expect("a number");
        batch.catalog = Some(Arc::new(set));
        let alert = render::alert(&hit, &batch, &Context::default()).expect("an alert");
        guard.judge(&hit, &alert, &batch)
    }

    const SET: One = One { version: "1", story: "x" };

    fn guard(hosts_max: u32) -> Guard {
        Guard::new(RunawayLimits { hosts_max, window_secs: 60, ..RunawayLimits::default() })
    }

    #[test]
    fn too_many_hosts_quarantine_an_indicator_until_a_set_tells_otherwise() {
        let guard = &mut guard(2);
        let last = Verdict::Last(Quarantine { hosts: 3, window_secs: 60 });
        for (host, verdict) in [
            (1, Verdict::Passes),
            (1, Verdict::Passes),
            (2, Verdict::Passes),
            (3, last),
            (1, Verdict::Quarantined),
            (4, Verdict::Quarantined),
        ] {
            assert_eq!(judge(guard, SET, host, 1), verdict, "{host}");
        }
        let indicator = "ip-dst 9.9.9.9".to_owned();
        assert_eq!(guard.runaways(), [Runaway { indicator, alerts: 2 }]);
        assert_eq!(judge(guard, One { version: "2", ..SET }, 1, 9), Verdict::Quarantined);
        assert_eq!(judge(guard, One { version: "3", story: "y" }, 1, 9), Verdict::Passes);
        // a batch of an older set that comes late changes nothing
        assert_eq!(judge(guard, SET, 2, 9), Verdict::Passes);
        assert_eq!((guard.runaways(), guard.quarantined), (Vec::new(), 0));
        assert_eq!(guard.places, INDICATOR_PLACES + 2);
    }

    #[test]
    fn a_window_with_few_hosts_ends_a_quarantine() {
        let guard = &mut guard(1);
        assert_eq!(judge(guard, SET, 1, 0), Verdict::Passes);
        assert!(matches!(judge(guard, SET, 2, 0), Verdict::Last(_)));
        for (host, secs) in [(3, 30), (4, 59), (5, 60), (6, 61), (7, 119)] {
            assert_eq!(judge(guard, SET, host, secs), Verdict::Quarantined, "{host}");
        }
        // more than one in each window so far; in the next just one
        assert_eq!(judge(guard, SET, 8, 120), Verdict::Quarantined);
        assert_eq!(judge(guard, SET, 8, 180), Verdict::Passes);
        assert!(matches!(judge(guard, SET, 9, 181), Verdict::Last(_)));
        assert_eq!((guard.quarantined, guard.places), (1, INDICATOR_PLACES));
    }

    #[test]
    fn a_sensor_sends_the_last_alert_and_counts_what_follows() {
        let published = Mutex::new(Status::default());
        let taken = Arc::new(Mutex::new(Vec::new()));
        let sink = Box::new(Kept(Arc::clone(&taken)));
        let opened = Opened { name: "kept".to_owned(), sink, spool: None };
        let reporter = LiveReporter::new(Context::default(), 1, vec![opened], &published);
        let mut reporter = reporter.expect("a thread");
        reporter.guard(RunawayLimits { hosts_max: 2, ..RunawayLimits::default() });
        let (tell, told) = crossbeam_channel::unbounded();
        for host in 1..=6 {
            let mut batch = Batch::default();
            batch.catalog = Some(Arc::new(SET));
            batch.hits.push(hit(host, 1));
            tell.send(Letter { worker: 0, batch }).expect("a reporter");
        }
        drop(tell);
        let status = reporter.run(&told, &crossbeam_channel::unbounded().0);
        assert_eq!((status.alerts["ip-dst"], status.quarantined), (3, 3));
        assert_eq!(status.counters().hits_quarantined, 3);
        let runaway = Runaway { indicator: "ip-dst 9.9.9.9".to_owned(), alerts: 3 };
        assert_eq!(status.runaways, [runaway]);
        let lines = taken.lock().expect("no panic").clone();
        let lines = String::from_utf8(lines).expect("text");
        let says = |line: &str| line.contains(r#""quarantine":{"hosts":3,"window_secs":3600}"#);
        assert_eq!(lines.lines().map(says).collect::<Vec<_>>(), [false, false, true]);
    }

    /// Keeps what it takes.
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Sink for Kept {
        fn deliver(&mut self, lines: &[u8]) -> Result<(), SinkError> {
            self.0.lock().expect("no panic").extend_from_slice(lines);
            Ok(())
        }

        fn finish(&mut self) -> Result<(), SinkError> {
            Ok(())
        }
    }

    #[test]
    fn a_set_without_the_indicator_ends_its_quarantine() {
        let guard = &mut guard(1);
        assert_eq!(judge(guard, SET, 1, 1), Verdict::Passes);
        assert!(matches!(judge(guard, SET, 2, 1), Verdict::Last(_)));
        guard.release(&SET);
        assert_eq!(guard.runaways().len(), 1);
        guard.release(&One { version: "2", story: "" });
        assert_eq!((guard.runaways().len(), guard.quarantined), (0, 0));
        assert_eq!(judge(guard, SET, 1, 1), Verdict::Passes);
    }

    #[test]
    fn hosts_count_within_a_window() {
        let guard = &mut guard(2);
        for (host, secs) in [(1, 0), (2, 59), (3, 60), (4, 61)] {
            assert_eq!(judge(guard, SET, host, secs), Verdict::Passes, "{host}");
        }
        assert_eq!(guard.places, INDICATOR_PLACES + 2);
        // another set that tells the same of it changes nothing
        let same = One { version: "2", ..SET };
        assert!(matches!(judge(guard, same, 5, 62), Verdict::Last(_)));
        assert_eq!(guard.places, INDICATOR_PLACES);
        let off = &mut Guard::new(RunawayLimits { hosts_max: 0, ..RunawayLimits::default() });
        assert!((0..100).all(|host| judge(off, SET, host, 1) == Verdict::Passes));
    }

    #[test]
    fn limits_are_numbers_or_shares() {
        let own_networks = vec!["9.9.0.0/22".parse().expect("a prefix")];
        for (hosts_max, hosts_percent_max, hosts) in [
            (0, 0, None),
            (5, 0, Some(5)),
            (0, 10, Some(102)),
            (50, 10, Some(50)),
            (0, 1, Some(10)),
        ] {
            let own_networks = own_networks.clone();
            let limits =
                RunawayLimits { hosts_max, hosts_percent_max, window_secs: 60, own_networks };
            assert_eq!(limits.hosts(), hosts);
        }
        for (own, hosts) in [
            (vec!["9.9.0.0/26"], 1),
            (vec!["9.9.0.0/24", "9.9.0.0/24"], 2),
            (vec!["9.0.0.0/8"], 100_000),
        ] {
            let own_networks = own.iter().map(|net| net.parse().expect("a prefix")).collect();
            let limits =
                RunawayLimits { hosts_max: 0, hosts_percent_max: 1, window_secs: 60, own_networks };
            assert_eq!(limits.hosts(), Some(hosts), "{own:?}");
        }
    }
}
