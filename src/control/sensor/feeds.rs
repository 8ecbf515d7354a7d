//! How each feed fares: when it was last read whole, and why it was not.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::control::config::Config;
use crate::control::intel::ledger::Damage;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::source::Pulled;
use crate::control::intel::remote::source::Remote;
use crate::control::intel::remote::source::STATE;

/// Why a feed was of no use, or not of all.
const REASONS: [&str; 3] = ["damaged", "refused", "unusable"];

/// Why a server's publisher is not heard; it is pulled all the same.
const PUBLISHER: &str = "publisher";

/// One feed, as the configuration names it.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    /// Its name.
    pub(super) name: String,
    path: PathBuf,
    /// Seconds since 1970 when it was last read whole; 0: never.
    pub(super) success_secs: f64,
    /// How often it was not, by reason.
    pub(super) failures: BTreeMap<&'static str, u64>,
    /// How it is pulled, where it is a server.
    pub(super) pulls: Option<Pulls>,
}

/// How a server is pulled.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulls {
    /// How often it was.
    pub(super) count: u64,
    /// How often its publisher said that something has changed.
    pub(super) wakes: u64,
    /// Since when it cannot be, and why.
    trouble: Option<(Instant, String)>,
}

/// All feeds of a configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Feeds(pub(super) Vec<Feed>);

impl Feeds {
    /// Returns feeds that were not read yet.
    pub(super) fn of(config: &Config) -> Self {
        let feed = |path: &PathBuf| Feed {
            name: path.display().to_string(),
            path: path.clone(),
            success_secs: 0.0,
            failures: REASONS.map(|reason| (reason, 0)).into(),
            pulls: None,
        };
        let server = |remote: &Remote| {
            let path = remote.folder(&config.mirror.path);
            // of a run before this one
            let pulled = std::fs::metadata(path.join(STATE)).and_then(|about| about.modified());
            let reasons = REASONS.into_iter().chain(RemoteError::REASONS).chain([PUBLISHER]);
            Feed {
                name: remote.label.clone(),
                path,
                success_secs: pulled.map_or(0.0, secs),
                failures: reasons.map(|reason| (reason, 0)).collect(),
                pulls: Some(Pulls::default()),
            }
        };
        let paths = config.intel.iter().map(feed);
        Self(paths.chain(config.remotes.iter().map(server)).collect())
    }

    /// Notes what a pull came to.
    pub(super) fn pulled(&mut self, name: &str, outcome: &Result<Pulled, RemoteError>) {
        let Some(feed) = self.0.iter_mut().find(|feed| feed.name == name) else { return };
        let error = match outcome {
            Ok(pulled) => {
                feed.success_secs = secs(SystemTime::now());
                pulled.trouble.as_ref()
            }
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            feed.fail(error.reason());
        }
        let Some(pulls) = &mut feed.pulls else { return };
        pulls.count += u64::from(outcome.is_ok());
        let since = pulls.trouble.take().map_or_else(Instant::now, |(since, _)| since);
        pulls.trouble = error.map(|error| (since, error.to_string()));
    }

    /// Notes that a server's publisher woke us, or that it cannot be heard.
    pub(super) fn woken(&mut self, name: &str, is_heard: bool) {
        let Some(feed) = self.0.iter_mut().find(|feed| feed.name == name) else { return };
        match (is_heard, &mut feed.pulls) {
            (true, Some(pulls)) => pulls.wakes += 1,
            _ => feed.fail(PUBLISHER),
        }
    }

    /// Returns the servers that nothing was ever pulled from, and why.
    pub(super) fn missing(&self) -> Vec<(String, String)> {
        let missing = |feed: &Feed| {
            let pulls = feed.pulls.as_ref().filter(|_| feed.is_missing())?;
            let why = pulls.trouble.as_ref().map(|(_, why)| format!(": {why}"));
            Some((format!("nothing was pulled yet of {}", feed.name), why.unwrap_or_default()))
        };
        self.0.iter().filter_map(missing).collect()
    }

    /// Returns what keeps servers from being pulled: what it is, and more of it.
    pub(super) fn troubles(&self) -> Vec<(String, String)> {
        let now = secs(SystemTime::now());
        let trouble = |feed: &Feed| {
            let (since, why) =
                feed.pulls.as_ref().filter(|_| !feed.is_missing())?.trouble.as_ref()?;
            let key = format!("{} cannot be pulled whole", feed.name);
            let last = (now - feed.success_secs).max(0.0);
            let long = since.elapsed().as_secs();
            let more =
                format!(", for {long} s, its copy is in use (last pulled {last:.0} s ago): {why}");
            Some((key, more))
        };
        self.0.iter().filter_map(trouble).collect()
    }

    /// Notes that all were read; some files may have been damaged.
    pub(super) fn read(&mut self, damages: &[Damage]) {
        let now = secs(SystemTime::now());
        for feed in &mut self.0 {
            let is_its = |damage: &Damage| Path::new(&damage.path).starts_with(&feed.path);
            if damages.iter().any(is_its) {
                feed.fail("damaged");
            } else if feed.pulls.is_none() {
                feed.success_secs = now;
            }
        }
    }

    /// Notes that no set came of them.
    pub(super) fn fail(&mut self, reason: &'static str) {
        self.0.iter_mut().for_each(|feed| feed.fail(reason));
    }
}

impl Feed {
    /// Tells whether it is a server of which there is no copy.
    fn is_missing(&self) -> bool {
        self.pulls.is_some() && self.success_secs <= 0.0
    }

    fn fail(&mut self, reason: &'static str) {
        *self.failures.entry(reason).or_default() += 1;
    }
}

fn secs(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::intel::ledger::Spot;

    #[test]
    fn a_feed_with_a_damaged_file_was_not_read_whole() {
        let config = "[[capture]]\ninterface = \"eth1\"\n[[intel]]\npath = \"/feeds/a\"\n\
            [[intel]]\npath = \"/feeds/b.csv\"\n[[intel]]\nmisp = \"https://misp.example\"\n\
            key_env = \"KEY\"\n[mirror]\npath = \"/none\"\n";
        let mut feeds = Feeds::of(&Config::parse(config).expect("sound"));
        let damage = Damage::new(Path::new("/feeds/a/1.json"), Spot::Line(3), "cut".to_owned());
        feeds.read(&[damage]);
        let told = |feed: &Feed| (feed.success_secs > 0.0, feed.failures["damaged"]);
        assert_eq!(
            feeds.0.iter().map(told).collect::<Vec<_>>(),
            [(false, 1), (true, 0), (false, 0)]
        );
        feeds.fail("unusable");
        assert_eq!(feeds.0[1].failures["unusable"], 1);
        let name = "https://misp.example";
        let error = || RemoteError::Unreachable { place: name.to_owned(), why: "x".to_owned() };
        let missing = "nothing was pulled yet of https://misp.example";
        assert_eq!(feeds.missing(), [(missing.to_owned(), String::new())]);
        feeds.pulled(name, &Err(error()));
        let why = ": https://misp.example: cannot connect: x";
        assert_eq!(feeds.missing(), [(missing.to_owned(), why.to_owned())]);
        assert!(feeds.troubles().is_empty());
        feeds.woken(name, true);
        feeds.pulled(name, &Ok(Pulled::default()));
        assert!(feeds.missing().is_empty() && feeds.troubles().is_empty());
        feeds.pulled(name, &Err(error()));
        let troubles = feeds.troubles();
        let [(key, more)] = troubles.as_slice() else { panic!("one") };
        assert_eq!(key, "https://misp.example cannot be pulled whole");
        assert!(more.contains("(last pulled 0 s ago)") && more.ends_with(why), "{more}");
        let server = &feeds.0[2];
        let pulls = server.pulls.as_ref().expect("a server");
        assert_eq!((server.failures["unreachable"], pulls.count, pulls.wakes), (2, 1, 1));
        assert!(server.success_secs > 0.0);
    }
}
