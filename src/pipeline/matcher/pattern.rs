//! Pattern look-ups: beginnings of URLs and parts of user agents, many in one pass.
//!
//! Spec:   Aho and Corasick, 1975
//! Bounds: one pass over the text; each indicator is checked at most once for each text

use aho_corasick::AhoCorasick;
use aho_corasick::AhoCorasickKind;
use aho_corasick::Anchored;
use aho_corasick::BuildError;
use aho_corasick::Input;
use aho_corasick::MatchKind;
use aho_corasick::StartKind;
use aho_corasick::automaton::OverlappingState;

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::hit::Found;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::Match;
use crate::model::url::ObservedUrl;
use crate::model::url::Scheme;
use crate::model::url::begins_on_border;

/// Texts of all patterns in one arena, and the automaton over them; none where there is no pattern.
#[derive(Debug, Default)]
struct Automaton {
    arena: Vec<u8>,
    spans: Vec<(u32, u32)>,
    engine: Option<AhoCorasick>,
}

impl Automaton {
    fn add(&mut self, text: &[u8]) {
        self.spans.push((narrow(self.arena.len()), narrow(text.len())));
        self.arena.extend_from_slice(text);
    }

    fn text(&self, pattern: usize) -> &[u8] {
        let Some(&(at, len)) = self.spans.get(pattern) else { return &[] };
        self.arena.get(index(at)..index(at.saturating_add(len))).unwrap_or_default()
    }

    fn finish(
        &mut self,
        start: StartKind,
        part: impl Fn(&[u8]) -> &[u8],
    ) -> Result<(), BuildError> {
        if self.spans.is_empty() {
            return Ok(());
        }
        let mut builder = AhoCorasick::builder();
        builder.match_kind(MatchKind::Standard).start_kind(start);
        builder.kind(Some(AhoCorasickKind::ContiguousNFA)).prefilter(false);
        let parts = (0..self.spans.len()).map(|pattern| part(self.text(pattern)));
        self.engine = Some(builder.build(parts)?);
        Ok(())
    }

    /// Calls `each` with every pattern that occurs; one that occurs often comes often.
    fn scan(&self, text: &[u8], anchored: Anchored, mut each: impl FnMut(usize)) {
        let Some(engine) = &self.engine else { return };
        let mut state = OverlappingState::start();
        loop {
            let input = Input::new(text).anchored(anchored);
            let step = engine.try_find_overlapping(input, &mut state);
            match (step, state.get_match()) {
                (Ok(()), Some(found)) => each(found.pattern().as_usize()),
                _ => return,
            }
        }
    }

    fn memory_bytes(&self) -> usize {
        let spans = self.spans.capacity().saturating_mul(size_of::<(u32, u32)>());
        let engine = self.engine.as_ref().map_or(0, AhoCorasick::memory_usage);
        self.arena.capacity().saturating_add(spans).saturating_add(engine)
    }
}

/// Beginnings of URLs, up to a border.
#[derive(Debug, Default)]
pub(super) struct UrlPrefixes {
    keys: Automaton,
    rules: Vec<UrlRule>,
}

impl UrlPrefixes {
    /// Adds a host and the beginning of a target.
    pub(super) fn add(&mut self, key: &str, rule: UrlRule) {
        self.keys.add(key.as_bytes());
        self.rules.push(rule);
    }

    /// Builds the automaton.
    pub(super) fn finish(&mut self) -> Result<(), BuildError> {
        self.keys.finish(StartKind::Anchored, |key| key)
    }

    /// Finds the beginnings of a URL.
    pub(super) fn find(&self, url: &ObservedUrl<'_>, out: &mut Vec<Found>) {
        self.keys.scan(url.key, Anchored::Yes, |pattern| {
            let rule = self.rules.get(pattern).filter(|rule| rule.fits(url));
            let rule = rule.filter(|_| begins_on_border(url.key, self.keys.text(pattern)));
            out.extend(rule.map(|rule| Found { indicator: rule.id, grade: Match::Prefix }));
        });
    }

    /// Returns how many bytes it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        let rules = self.rules.capacity().saturating_mul(size_of::<UrlRule>());
        self.keys.memory_bytes().saturating_add(rules)
    }
}

/// What a URL must have beside its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct UrlRule {
    pub(super) id: IndicatorId,
    /// `Scheme::Other`: any.
    pub(super) scheme: Scheme,
    /// 0: any.
    pub(super) port: u16,
}

impl UrlRule {
    /// Tells whether scheme and port are as given.
    pub(super) fn fits(&self, url: &ObservedUrl<'_>) -> bool {
        (self.scheme == Scheme::Other || self.scheme == url.scheme)
            && (self.port == 0 || self.port == url.port)
    }
}

/// Parts of texts: all parts of a pattern between its `*`, in their order.
#[derive(Debug, Default)]
pub(super) struct Substrings {
    texts: Automaton,
    ids: Vec<IndicatorId>,
}

impl Substrings {
    /// Adds a text that holds `*`.
    pub(super) fn add(&mut self, text: &str, id: IndicatorId) {
        self.texts.add(text.as_bytes());
        self.ids.push(id);
    }

    /// Builds the automaton, over the longest part of each.
    pub(super) fn finish(&mut self) -> Result<(), BuildError> {
        self.texts.finish(StartKind::Unanchored, |text| {
            parts(text).max_by_key(|part| part.len()).unwrap_or_default()
        })
    }

    /// Finds the patterns whose parts are all in a text; sorted by indicator as they were added.
    pub(super) fn find(&self, text: &[u8], out: &mut Vec<Found>) {
        let start = out.len();
        // candidates by number first, each once however often its part occurs
        self.texts.scan(text, Anchored::No, |pattern| {
            let found = Found { indicator: IndicatorId(narrow(pattern)), grade: Match::Substring };
            let place = out.get(start..).unwrap_or_default().binary_search(&found);
            if let Err(place) = place {
                out.insert(start.saturating_add(place), found);
            }
        });
        let mut at = 0_usize;
        out.retain_mut(|found| {
            let is_candidate = at >= start;
            at = at.saturating_add(1);
            if !is_candidate {
                return true;
            }
            let pattern = index(found.indicator.0);
            found.indicator = self.ids.get(pattern).copied().unwrap_or(found.indicator);
            has_all(text, parts(self.texts.text(pattern)))
        });
    }

    /// Returns how many bytes it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        let ids = self.ids.capacity().saturating_mul(size_of::<IndicatorId>());
        self.texts.memory_bytes().saturating_add(ids)
    }
}

fn parts(pattern: &[u8]) -> impl Iterator<Item = &[u8]> {
    pattern.split(|&byte| byte == b'*').filter(|part| !part.is_empty())
}

fn has_all<'a>(text: &[u8], mut parts: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut rest = text;
    parts.all(|part| {
        let at = rest.windows(part.len()).position(|window| window == part);
        let after = at.and_then(|at| rest.get(at.saturating_add(part.len())..));
        rest = after.unwrap_or_default();
        after.is_some()
    })
}
