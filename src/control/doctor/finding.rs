//! What a check found: how bad it is, in numbers, and the command that mends it.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::Serialize;

/// How bad a finding is; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// Nothing is captured, or nothing is kept, like this.
    Fail,
    /// Packets are lost, or will be under load.
    Warn,
    /// Could not be read.
    Unknown,
    /// Good to know.
    Note,
    /// As it should be.
    Ok,
}

impl Level {
    /// Every level, the worst first.
    pub(super) const ALL: [Self; 5] = [Self::Fail, Self::Warn, Self::Unknown, Self::Note, Self::Ok];

    /// Returns its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::Note => "note",
            Self::Ok => "ok",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The check's stable name, set by the table of checks.
    pub(super) check: &'static str,
    /// What it is about: an interface, a file, the host.
    pub(super) subject: String,
    /// How bad it is.
    pub(super) level: Level,
    /// What is there.
    pub(super) found: String,
    /// The numbers of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) numbers: BTreeMap<&'static str, u64>,
    /// What it means for capture, set by the table of checks.
    pub(super) means: &'static str,
    /// The command that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
}

/// What could not be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    /// Why.
    pub(super) why: String,
    /// The command after which it can be.
    pub(super) mend: Option<String>,
}

/// What a check gives.
pub(super) type Findings = Result<Vec<Finding>, Unknown>;

impl Finding {
    /// Begins one.
    pub(super) fn new(level: Level, subject: &str, found: impl Into<String>) -> Self {
        Self {
            check: "",
            subject: subject.to_owned(),
            level,
            found: found.into(),
            numbers: BTreeMap::new(),
            means: "",
            mend: None,
        }
    }

    /// As it should be.
    pub(super) fn ok(subject: &str, found: impl Into<String>) -> Self {
        Self::new(Level::Ok, subject, found)
    }

    /// Good to know.
    pub(super) fn note(subject: &str, found: impl Into<String>) -> Self {
        Self::new(Level::Note, subject, found)
    }

    /// Loses packets.
    pub(super) fn warn(subject: &str, found: impl Into<String>) -> Self {
        Self::new(Level::Warn, subject, found)
    }

    /// Keeps the sensor from its work.
    pub(super) fn fail(subject: &str, found: impl Into<String>) -> Self {
        Self::new(Level::Fail, subject, found)
    }

    /// With the command that mends it.
    pub(super) fn mend(mut self, command: impl Into<String>) -> Self {
        self.mend = Some(command.into());
        self
    }

    /// With a number.
    pub(super) fn number(mut self, name: &'static str, value: u64) -> Self {
        self.numbers.insert(name, value);
        self
    }
}

impl Unknown {
    /// Without a way to know it.
    pub(super) fn new(why: impl Display) -> Self {
        Self { why: why.to_string(), mend: None }
    }

    /// Becomes a finding.
    pub(super) fn into_finding(self, subject: &str) -> Finding {
        Finding { mend: self.mend, ..Finding::new(Level::Unknown, subject, self.why) }
    }
}
