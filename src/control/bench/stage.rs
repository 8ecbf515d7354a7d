//! Where the pipeline is cut, so that each stage's cost can be seen.

use clap::ValueEnum;

use crate::pipeline::capturer::Depth;

/// Where the pipeline is cut.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Frames are found
    Read,
    /// Headers are decoded and handed over
    Decode,
    /// Flows are kept
    Flow,
    /// Payload is read
    Dissect,
    /// Observations are matched
    Match,
}

impl Stage {
    /// Returns how deep frames go.
    pub(super) fn depth(self) -> Depth {
        match self {
            Self::Read => Depth::Read,
            Self::Decode => Depth::Decode,
            Self::Flow => Depth::Flow,
            Self::Dissect => Depth::Dissect,
            Self::Match => Depth::Match,
        }
    }

    /// Returns the name that it has on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Decode => "decode",
            Self::Flow => "flow",
            Self::Dissect => "dissect",
            Self::Match => "match",
        }
    }
}
