//! Observations to hits: one file per index shape.
