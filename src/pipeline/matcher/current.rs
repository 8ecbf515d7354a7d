//! The indicators in force: immutable, swapped whole, seen by workers at a block's edge.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arc_swap::Guard;

use crate::model::story::Catalog;
use crate::pipeline::matcher::Index;

/// One indicator set in force.
pub struct InForce {
    /// For look-up.
    pub index: Arc<Index>,
    /// For enrichment.
    pub catalog: Arc<dyn Catalog>,
    /// How many sets were in force before.
    pub generation: u64,
}

/// The set in force, for all workers.
#[derive(Debug)]
pub struct Current(ArcSwap<InForce>);

impl Current {
    /// Puts the first set in force.
    pub fn new(index: Arc<Index>, catalog: Arc<dyn Catalog>) -> Self {
        Self(ArcSwap::from_pointee(InForce { index, catalog, generation: 0 }))
    }

    /// Returns the set in force; cheap, but meant for once a block.
    pub fn load(&self) -> Guard<Arc<InForce>> {
        self.0.load()
    }

    /// Puts another set in force and returns the one before, so that the caller frees it.
    pub fn swap(&self, index: Arc<Index>, catalog: Arc<dyn Catalog>) -> Arc<InForce> {
        let generation = self.0.load().generation.saturating_add(1);
        self.0.swap(Arc::new(InForce { index, catalog, generation }))
    }
}

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "set {} (generation {})", self.catalog.version(), self.generation)
    }
}
