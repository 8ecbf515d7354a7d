//! What was wrong with an input: one line that says what, where and what to do.

/// One input that was damaged, cut or of no use; whatever it held before that was used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {trouble}")]
pub struct Damage {
    /// The input as the user gave it, or its path under the directory given.
    pub name: String,
    /// What is wrong with it.
    pub trouble: Trouble,
}

/// What can be wrong with an input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nothing has that name.
    #[error("no such file: check the path")]
    Missing,
}
