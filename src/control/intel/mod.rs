//! Indicator feeds: one file per format, and the compiler of sets.
