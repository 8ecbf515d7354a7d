//! From observations to hits: each indicator once for each flow and place, halves of a pair put
//! together; also where another set of indicators comes, whose numbers are others.
//!
//! Memory is kept only for flows that had a hit which a later one may repeat or complete.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::model::batch::Batch;
use crate::model::batch::Span;
use crate::model::bytes::narrow;
use crate::model::counters::Counters;
use crate::model::flow::FlowKey;
use crate::model::flow::FlowView;
use crate::model::flow::Side;
use crate::model::hit::Found;
use crate::model::hit::Hit;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::Match;
use crate::model::limits::FLOW_HITS_MAX;
use crate::model::limits::FLOWS_WITH_HITS_MAX;
use crate::model::limits::FLOWS_WITH_REPEATS_MAX;
use crate::model::limits::RELATED_MAX;
use crate::model::observation::Notes;
use crate::model::observation::Observation;
use crate::model::observation::ObservationKind;
use crate::model::observation::Place;
use crate::model::packet::Packet;
use crate::model::time::Timestamp;
use crate::model::url::UrlBuffer;
use crate::pipeline::matcher::current::InForce;

/// Seed of the memory's hash; its keys come from flows that an indicator names.
const SEED: u64 = 0x6869_7473_6f66_666c;

/// Where an observation was made.
#[derive(Clone, Copy, Debug)]
pub struct Context<'p> {
    /// The packet that completed it.
    pub packet: &'p Packet,
    /// Its flow.
    pub flow: FlowView,
    /// Who sent the packet.
    pub side: Side,
    /// The indicators in force.
    pub set: &'p InForce,
    /// The flow was open before this set was in force.
    pub is_late: bool,
}

/// Matches observations and remembers what a flow has alerted on.
#[derive(Debug)]
pub struct Sift {
    /// Another set may come, and the ends of a flow be matched again.
    sets_change: bool,
    buffer: Box<UrlBuffer>,
    found: Vec<Found>,
    ends: Vec<(Side, Found)>,
    memory: HashMap<FlowName, Vec<Past>, FixedState>,
    /// Emptied memory of flows that are over.
    spare: Vec<Vec<Past>>,
    related: Option<Span>,
    counters: Counters,
}

/// What a flow is called for as long as it lives; who opened it may turn out later.
type FlowName = (FlowKey, Timestamp);

/// A hit that a flow had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Past {
    /// What names the indicator in all sets: a hash of type and value.
    indicator: u64,
    place: Place,
    half: Option<Half>,
}

/// A half of a pair such as `domain|ip`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Half {
    Name,
    Address,
}

impl Half {
    /// Returns the half that a find is, where it is one.
    fn of(found: Found, kind: ObservationKind) -> Option<Self> {
        let half = match kind {
            ObservationKind::Flow | ObservationKind::DnsAnswer => Self::Address,
            _ => Self::Name,
        };
        (found.grade == Match::OneHalf).then_some(half)
    }

    fn other(self) -> Self {
        match self {
            Self::Name => Self::Address,
            Self::Address => Self::Name,
        }
    }
}

impl Sift {
    /// Returns one that remembers nothing yet; `sets_change` where another set may come.
    pub fn new(sets_change: bool) -> Self {
        Self {
            sets_change,
            buffer: Box::new(UrlBuffer::new()),
            found: Vec::with_capacity(64),
            ends: Vec::with_capacity(64),
            memory: HashMap::with_hasher(FixedState::with_seed(SEED)),
            spare: Vec::new(),
            related: None,
            counters: Counters::default(),
        }
    }

    /// Begins the observations of another packet.
    pub fn begin(&mut self) {
        self.related = None;
    }

    /// Matches the ends of a flow that opened.
    pub fn flow(&mut self, context: &Context<'_>, batch: &mut Batch) {
        let mut ends = std::mem::take(&mut self.ends);
        context.set.index.flow(&context.flow, &mut ends);
        let kind = ObservationKind::Flow;
        for (side, found) in ends.iter().copied() {
            let what = (kind, Place::Flow);
            let Some(found) = self.judge(found, what, context) else { continue };
            let value = Span::default();
            self.push(hit(context, what, side, found, value), batch);
        }
        self.ends = ends;
    }

    /// Matches one of the observations of a packet; `all` of them give a hit its context.
    pub fn observe(
        &mut self,
        observation: &Observation<'_>,
        all: &Notes,
        context: &Context<'_>,
        batch: &mut Batch,
    ) {
        let mut list = std::mem::take(&mut self.found);
        context.set.index.observe(observation, &context.flow, &mut self.buffer, &mut list);
        let what = (observation.kind, observation.place);
        let mut value = None;
        for found in list.iter().copied() {
            let Some(found) = self.judge(found, what, context) else { continue };
            let value = *value.get_or_insert_with(|| batch.keep_shown(&observation.value));
            let related = *self.related.get_or_insert_with(|| relate(all, batch));
            let hit = Hit { related, ..hit(context, what, context.side, found, value) };
            self.push(hit, batch);
        }
        self.found = list;
    }

    /// Forgets a flow that is over.
    pub fn forget(&mut self, flow: &FlowView) {
        if self.memory.is_empty() {
            return;
        }
        if let Some(mut past) = self.memory.remove(&(flow.key, flow.first)) {
            past.clear();
            self.spare.push(past);
        }
    }

    /// Returns the hits that were counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn push(&mut self, hit: Hit, batch: &mut Batch) {
        self.counters.count_hit(hit.kind);
        batch.hits.push(hit);
    }

    /// Tells whether a find is news to its flow and place, and grades a half by whether the flow
    /// has shown the other.
    fn judge(
        &mut self,
        found: Found,
        (kind, place): (ObservationKind, Place),
        context: &Context<'_>,
    ) -> Option<Found> {
        let half = Half::of(found, kind);
        // with one set the ends of a flow are matched once; only halves need be remembered of them
        if place == Place::Flow && half.is_none() && !self.sets_change {
            return Some(found);
        }
        let name = (context.flow.key, context.flow.first);
        // repeats after a reload must not keep pairs from being put together
        let room = if half.is_some() { FLOWS_WITH_HITS_MAX } else { FLOWS_WITH_REPEATS_MAX };
        if self.memory.len() >= room && !self.memory.contains_key(&name) {
            self.forgot();
            return Some(found);
        }
        let past = self.memory.entry(name).or_insert_with(|| self.spare.pop().unwrap_or_default());
        let indicator = identity(found.indicator, context.set);
        let of_indicator = || past.iter().filter(|past| past.indicator == indicator);
        let other = half.map(Half::other);
        let both = other.is_some() && of_indicator().any(|past| past.half == other);
        let is_news = !of_indicator().any(|past| past.place == place);
        let is_known = of_indicator().any(|past| past.place == place && past.half == half);
        let has_room = past.len() < FLOW_HITS_MAX;
        if !is_known && has_room {
            past.push(Past { indicator, place, half });
        } else if !is_known {
            self.forgot();
        }
        if !is_news {
            self.counters.hits_repeated = self.counters.hits_repeated.saturating_add(1);
        }
        let grade = if both { Match::BothHalves } else { found.grade };
        is_news.then_some(Found { grade, ..found })
    }

    /// Counts a hit that may be told twice.
    fn forgot(&mut self) {
        self.counters.values_forgotten = self.counters.values_forgotten.saturating_add(1);
    }
}

/// Returns what names an indicator in all sets.
fn identity(id: IndicatorId, set: &InForce) -> u64 {
    let named = set.catalog.indicator(id).map(|(ty, value)| (ty.name(), value));
    FixedState::with_seed(SEED).hash_one(named)
}

fn hit(
    context: &Context<'_>,
    (kind, place): (ObservationKind, Place),
    side: Side,
    found: Found,
    value: Span,
) -> Hit {
    Hit {
        time: context.packet.time,
        frame: context.packet.frame,
        clock_secs: context.packet.clock_secs,
        kind,
        place,
        side,
        found,
        flow: context.flow,
        value,
        related: Span::default(),
        is_late: context.is_late,
    }
}

/// Copies what was seen beside a hit; certificates are left out, as a digest says nothing of
/// another certificate.
fn relate(all: &Notes, batch: &mut Batch) -> Span {
    use ObservationKind as K;
    let at = narrow(batch.related.len());
    let tells = |kind: &K| !matches!(kind, K::CertMd5 | K::CertSha1 | K::CertSha256 | K::CertName);
    for observation in all.iter().filter(|o| tells(&o.kind)).take(RELATED_MAX) {
        let span = batch.keep_shown(&observation.value);
        batch.related.push((observation.kind, span));
    }
    Span { at, len: narrow(batch.related.len()).saturating_sub(at) }
}
