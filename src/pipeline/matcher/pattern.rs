//! Parts of texts: user agents with `*`, many in one pass.
//!
//! Spec:   Aho and Corasick, 1975
//! Bounds: one pass over the text; each indicator is checked at most once for each text;
//!         `limits::SUBSTRINGS_BYTES_MAX`, since the automaton is built anew whenever a set is
//!         opened

use aho_corasick::AhoCorasick;
use aho_corasick::AhoCorasickKind;
use aho_corasick::BuildError;
use aho_corasick::Input;
use aho_corasick::MatchKind;
use aho_corasick::automaton::OverlappingState;

use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::hit::Found;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::Match;
use crate::model::limits::SUBSTRINGS_BYTES_MAX;
use crate::pipeline::matcher::exact::Tag;
use crate::pipeline::matcher::exact::Texts;
use crate::pipeline::matcher::index::IndexError;
use crate::pipeline::matcher::table::Shelf;

/// All parts of a pattern between its `*`, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Substrings {
    texts: Texts,
    /// Over the longest part of each text, in the order of the table; none where there is no text.
    engine: Option<AhoCorasick>,
}

impl Substrings {
    /// Adds a text that holds `*`.
    pub(super) fn add(&mut self, text: &str, id: IndicatorId) {
        self.texts.add(text, id, Tag(0), 0);
    }

    /// Builds table and automaton.
    pub(super) fn finish(&mut self, seed: u64) -> Result<(), IndexError> {
        self.texts.finish(seed);
        self.start()
    }

    /// Builds the automaton over a table that is there.
    pub(super) fn start(&mut self) -> Result<(), IndexError> {
        self.engine = None;
        if self.texts.is_empty() {
            return Ok(());
        }
        if self.texts.rows().map(|(text, _)| text.len()).sum::<usize>() > SUBSTRINGS_BYTES_MAX {
            return Err(IndexError::TooManySubstrings);
        }
        self.engine = Some(self.automaton().map_err(IndexError::Patterns)?);
        Ok(())
    }

    /// Finds the patterns whose parts are all in a text.
    pub(super) fn find(&self, text: &[u8], out: &mut Vec<Found>) {
        let start = out.len();
        // candidates by number first, each once however often its part occurs
        self.scan(text, |pattern| {
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
            let Some((pattern, row)) = self.texts.row(index(found.indicator.0)) else {
                return false;
            };
            found.indicator = row.id;
            has_all(text, parts(pattern))
        });
    }

    /// Puts its table on a shelf, or takes it from there; then it wants a `start`.
    pub(super) fn visit(&mut self, name: &'static str, shelf: &mut impl Shelf) {
        self.texts.visit(name, shelf);
    }

    /// Checks that all entries name one of `ids` indicators.
    pub(super) fn verify(&self, ids: u32) -> Result<(), &'static str> {
        self.texts.verify(ids)
    }

    fn automaton(&self) -> Result<AhoCorasick, BuildError> {
        let longest = |text| parts(text).max_by_key(|part: &&[u8]| part.len()).unwrap_or_default();
        let mut builder = AhoCorasick::builder();
        builder.match_kind(MatchKind::Standard);
        builder.kind(Some(AhoCorasickKind::ContiguousNFA)).prefilter(false);
        builder.build(self.texts.rows().map(|(text, _)| longest(text)))
    }

    /// Calls `each` with every pattern that occurs; one that occurs often comes often.
    fn scan(&self, text: &[u8], mut each: impl FnMut(usize)) {
        let Some(engine) = &self.engine else { return };
        let mut state = OverlappingState::start();
        loop {
            let step = engine.try_find_overlapping(Input::new(text), &mut state);
            match (step, state.get_match()) {
                (Ok(()), Some(found)) => each(found.pattern().as_usize()),
                _ => return,
            }
        }
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
