//! Why a remote source could not be had: one line for people, one word for metrics, and whether to
//! try again.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::plain::plain;

/// Why a remote source could not be had. `place` is its address without credentials.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// No connection: no such name, nobody listens, no way.
    #[error("{}: cannot connect: {}", plain(place), plain(why))]
    Unreachable {
        /// Address.
        place: String,
        /// Why.
        why: String,
    },
    /// It took too long.
    #[error("{}: {}", plain(place), plain(what))]
    TimedOut {
        /// Address.
        place: String,
        /// What did, and how long.
        what: String,
    },
    /// The answer ended before its end.
    #[error("{}: the answer was cut: {}", plain(place), plain(why))]
    Cut {
        /// Address.
        place: String,
        /// Why.
        why: String,
    },
    /// The server wants fewer questions.
    #[error("{}: too many requests (429){}{}", plain(place), again(*wait), told(said))]
    Busy {
        /// Address.
        place: String,
        /// For how long, where it says so.
        wait: Option<Duration>,
        /// What the body says.
        said: String,
    },
    /// The server, or what stands before it, is in trouble.
    #[error("{}: server error {status}{}{}", plain(place), again(*wait), told(said))]
    Server {
        /// Address.
        place: String,
        /// HTTP status.
        status: u16,
        /// For how long it wants to be left alone, where it says so.
        wait: Option<Duration>,
        /// What the body says.
        said: String,
    },
    /// An answer of another kind: a page for people, an error in words, damaged JSON.
    #[error("{}: {}", plain(place), plain(what))]
    Answer {
        /// Address.
        place: String,
        /// What it is, and what to do.
        what: String,
        /// It may be better next time.
        may_mend: bool,
    },
    /// The server does not take the key.
    #[error(
        "{}: refused ({status}){}: is the key right and not expired, may its role use the \
         API from this address?",
        plain(place),
        told(said)
    )]
    Refused {
        /// Address.
        place: String,
        /// HTTP status.
        status: u16,
        /// What the body says.
        said: String,
    },
    /// There is nothing at the address.
    #[error("{}: not found (404){}: check the URL", plain(place), told(said))]
    Absent {
        /// Address.
        place: String,
        /// What the body says.
        said: String,
    },
    /// The server does not understand what it is asked.
    #[error("{}: not accepted ({status}){}", plain(place), told(said))]
    Rejected {
        /// Address.
        place: String,
        /// HTTP status.
        status: u16,
        /// What the body says.
        said: String,
    },
    /// Its certificate is not trusted.
    #[error(
        "{}: its certificate is not trusted by {trusted}: {}; name the site's CA as ca_file",
        plain(place),
        plain(why)
    )]
    Untrusted {
        /// Address.
        place: String,
        /// Which authorities are.
        trusted: String,
        /// Why.
        why: String,
    },
    /// It names another server, which does not get the key.
    #[error(
        "{}: it redirects to {}, which is not followed: if that is right, name it in the \
         configuration",
        plain(place),
        plain(to)
    )]
    Elsewhere {
        /// Address.
        place: String,
        /// Where to.
        to: String,
    },
    /// More than what is taken.
    #[error("{}: {}", plain(place), plain(what))]
    TooLarge {
        /// Address.
        place: String,
        /// What is, and the bound.
        what: String,
    },
    /// A key, a CA or a setting here is of no use.
    #[error("{}", plain(what))]
    Settings {
        /// What, why, what to do.
        what: String,
    },
    /// A file of the mirror.
    #[error("{}: {}", plain(&path.display().to_string()), plain(why))]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The folder is not ours to write.
    #[error(
        "{}: not empty and no copy that was pulled (it holds {}): name an empty folder",
        plain(&path.display().to_string()), plain(name)
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Something in it.
        name: String,
    },
    /// Another process pulls the same.
    #[error("{}: another process is pulling into it", plain(&path.display().to_string()))]
    Locked {
        /// The folder.
        path: PathBuf,
    },
}

impl RemoteError {
    /// All words of `reason`.
    pub const REASONS: [&'static str; 13] = [
        "unreachable",
        "timeout",
        "cut",
        "rate_limited",
        "server_error",
        "answer",
        "refused",
        "not_found",
        "rejected",
        "untrusted",
        "redirect",
        "too_large",
        "local",
    ];

    /// Returns the stable word that metrics carry.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::TimedOut { .. } => "timeout",
            Self::Cut { .. } => "cut",
            Self::Busy { .. } => "rate_limited",
            Self::Server { .. } => "server_error",
            Self::Answer { .. } => "answer",
            Self::Refused { .. } => "refused",
            Self::Absent { .. } => "not_found",
            Self::Rejected { .. } => "rejected",
            Self::Untrusted { .. } => "untrusted",
            Self::Elsewhere { .. } => "redirect",
            Self::TooLarge { .. } => "too_large",
            Self::Settings { .. }
            | Self::Disk { .. }
            | Self::Foreign { .. }
            | Self::Locked { .. } => "local",
        }
    }

    /// Tells whether the same question may be answered a little later.
    pub fn may_mend(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Cut { .. }
            | Self::Busy { .. }
            | Self::Server { .. } => true,
            Self::Answer { may_mend, .. } => *may_mend,
            _ => false,
        }
    }

    /// Returns the same with each text of others changed, as by hiding a key in it.
    pub fn map_texts(mut self, change: impl Fn(&str) -> String) -> Self {
        match &mut self {
            Self::Unreachable { why: text, .. }
            | Self::TimedOut { what: text, .. }
            | Self::Cut { why: text, .. }
            | Self::Busy { said: text, .. }
            | Self::Server { said: text, .. }
            | Self::Answer { what: text, .. }
            | Self::Refused { said: text, .. }
            | Self::Absent { said: text, .. }
            | Self::Rejected { said: text, .. }
            | Self::Untrusted { why: text, .. }
            | Self::Elsewhere { to: text, .. }
            | Self::TooLarge { what: text, .. } => *text = change(text),
            Self::Settings { .. }
            | Self::Disk { .. }
            | Self::Foreign { .. }
            | Self::Locked { .. } => {}
        }
        self
    }

    /// Tells whether it may have been too much for the server to answer at once.
    pub fn may_be_too_much(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Cut { .. } | Self::Server { .. })
    }
}

fn again(wait: Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| format!(", it wants none for {} s", wait.as_secs()))
}

fn told(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {}", plain(said)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_listed_and_lines_are_plain() {
        let place = || "https://misp.example".to_owned();
        let refused = RemoteError::Refused { place: place(), status: 403, said: String::new() };
        assert!(refused.to_string().starts_with("https://misp.example: refused (403): is the key"));
        assert!(!refused.may_mend());
        let wait = Some(Duration::from_secs(3));
        let busy = RemoteError::Busy { place: place(), wait, said: "wait".to_owned() };
        let says = "https://misp.example: too many requests (429), it wants none for 3 s: wait";
        assert_eq!(busy.to_string(), says);
        assert!(busy.may_mend() && !busy.may_be_too_much());
        let what = "a title \u{1b}]0;x\u{7} \u{202e}gnp".to_owned();
        let said = RemoteError::Answer { place: place(), what, may_mend: false }.to_string();
        assert_eq!(said, r"https://misp.example: a title \u{1b}]0;x\u{7} \u{202e}gnp");
        let locked = RemoteError::Locked { path: PathBuf::from("/m") };
        for error in [refused, busy, locked] {
            assert!(RemoteError::REASONS.contains(&error.reason()), "{error}");
        }
    }
}
