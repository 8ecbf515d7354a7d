//! Where bytes come from: one file per source.
