//! How each feed fares: when it was last read whole, and why it was not.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::control::intel::ledger::Damage;

/// Why a feed was of no use, or not of all.
const REASONS: [&str; 3] = ["damaged", "refused", "unusable"];

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
}

/// All feeds of a configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Feeds(pub(super) Vec<Feed>);

impl Feeds {
    /// Returns feeds that were not read yet.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let feed = |path: &PathBuf| Feed {
            name: path.display().to_string(),
            path: path.clone(),
            success_secs: 0.0,
            failures: REASONS.map(|reason| (reason, 0)).into(),
        };
        Self(paths.iter().map(feed).collect())
    }

    /// Notes that all were read; some files may have been damaged.
    pub(super) fn read(&mut self, damages: &[Damage]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for feed in &mut self.0 {
            let is_its = |damage: &Damage| Path::new(&damage.path).starts_with(&feed.path);
            if damages.iter().any(is_its) {
                feed.fail("damaged");
            } else {
                feed.success_secs = now.as_secs_f64();
            }
        }
    }

    /// Notes that no set came of them.
    pub(super) fn fail(&mut self, reason: &'static str) {
        self.0.iter_mut().for_each(|feed| feed.fail(reason));
    }
}

impl Feed {
    fn fail(&mut self, reason: &'static str) {
        *self.failures.entry(reason).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::intel::ledger::Spot;

    #[test]
    fn a_feed_with_a_damaged_file_was_not_read_whole() {
        let mut feeds = Feeds::of(&[PathBuf::from("/feeds/a"), PathBuf::from("/feeds/b.csv")]);
        let damage = Damage::new(Path::new("/feeds/a/1.json"), Spot::Line(3), "cut".to_owned());
        feeds.read(&[damage]);
        let told = |feed: &Feed| (feed.success_secs > 0.0, feed.failures["damaged"]);
        assert_eq!(feeds.0.iter().map(told).collect::<Vec<_>>(), [(false, 1), (true, 0)]);
        feeds.fail("unusable");
        assert_eq!(feeds.0[1].failures["unusable"], 1);
    }
}
