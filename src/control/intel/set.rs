//! The indicator set: the index for look-up and the catalog for enrichment, immutable and
//! versioned.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::control::intel::catalog::Catalog;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::IndicatorType;
use crate::model::pattern::Pattern;
use crate::model::policy::Policy;
use crate::model::story;
use crate::model::story::Source;
use crate::pipeline::matcher::Index;
use crate::pipeline::matcher::current::Current;

/// Everything that is looked for, and the stories behind it.
#[derive(Debug)]
pub struct IndicatorSet {
    /// For look-up.
    pub index: Arc<Index>,
    /// For enrichment.
    pub catalog: Catalog,
    /// Hash of the canonical contents, 32 hex digits.
    pub version: String,
    /// What was taken and looked for when it was compiled.
    pub policy: Policy,
    /// What else was asked then (`asked.rs`).
    pub asked: String,
}

impl IndicatorSet {
    /// Returns what workers read, as the first set in force.
    pub fn in_force(self: &Arc<Self>) -> Current {
        Current::new(Arc::clone(&self.index), Arc::<Self>::clone(self))
    }

    /// Returns the version.
    pub fn version_text(&self) -> &str {
        &self.version
    }

    /// Returns how many indicators there are of each type.
    pub fn indicators_by_type(&self) -> BTreeMap<&'static str, u64> {
        let count = |ids: std::ops::Range<u32>| u64::from(ids.end.saturating_sub(ids.start));
        self.catalog.by_type().map(|(ty, ids)| (ty.name(), count(ids))).collect()
    }

    /// Returns how many bytes each part takes.
    pub fn bytes_by_part(&self) -> Vec<(&'static str, u64)> {
        let (values, stories) = self.catalog.memory_bytes();
        let parts =
            [("index", self.index.memory_bytes()), ("values", values), ("stories", stories)];
        parts.into_iter().map(|(part, bytes)| (part, bytes as u64)).collect()
    }
}

impl story::Catalog for IndicatorSet {
    fn version(&self) -> &str {
        &self.version
    }

    fn indicator(&self, id: IndicatorId) -> Option<(IndicatorType, &str)> {
        let known = (id.0 as usize) < self.catalog.len();
        let ty = self.catalog.indicator_type(id).filter(|_| known)?;
        Some((ty, self.catalog.value(id)))
    }

    fn canonical(&self, id: IndicatorId) -> Option<String> {
        self.catalog.canonical(id)
    }

    fn holds(&self, ty: IndicatorType, value: &str) -> bool {
        let pattern = Pattern::from_text(ty, value, &Policy::wide());
        pattern.is_ok_and(|pattern| self.catalog.find(ty, &pattern.to_string()).is_some())
    }

    fn sources(&self, id: IndicatorId) -> Vec<Source> {
        self.catalog.sources(id)
    }
}
