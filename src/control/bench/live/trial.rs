//! One trial: what was sent, what was received, and whether the two add up.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::control::bench::live::alerts::Seen;
use crate::control::bench::live::sender::Sent;
use crate::control::bench::live::traffic::Traffic;

/// What a receiver has to tell of a trial.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) frames: u64,
    /// Frames lost, by stage and reason, as the receiver counts them.
    pub(super) lost: BTreeMap<String, u64>,
    pub(super) cpu_secs: f64,
    /// Of its threads, where they are ours.
    pub(super) cpu_by_thread: BTreeMap<String, f64>,
    pub(super) resident_bytes: u64,
    /// What its alerts were, where it matches.
    pub(super) seen: Option<Seen>,
    /// Why its numbers cannot be believed.
    pub(super) trouble: Option<String>,
}

/// A trial as it is told.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Trial {
    /// Frames a second that were asked for; absent: as many as go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) asked_pps: Option<f64>,
    pub(super) sent_pps: f64,
    pub(super) secs: f64,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) lost_by: BTreeMap<String, u64>,
    /// Sent frames are received or counted as lost, each once.
    pub(super) is_valid: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trouble: Option<String>,
    pub(super) sender: SenderFigures,
    pub(super) receiver: ReceiverFigures,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alerts: Option<AlertFigures>,
}

/// What sending cost.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SenderFigures {
    pub(super) cpu_secs: f64,
    pub(super) cpu_nanos_per_frame: f64,
    pub(super) refused: u64,
    pub(super) lag_millis_max: f64,
}

/// What receiving cost.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ReceiverFigures {
    pub(super) cpu_secs: f64,
    pub(super) cpu_nanos_per_frame: f64,
    /// Nanoseconds for each received frame, by thread.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) cpu_nanos_by_thread: BTreeMap<String, f64>,
    pub(super) resident_bytes: u64,
}

/// What became of the planted frames.
#[derive(Clone, Debug, Serialize)]
pub(super) struct AlertFigures {
    pub(super) planted: u64,
    pub(super) right: u64,
    pub(super) wrong: u64,
    pub(super) others: u64,
    /// From frame to line in the file.
    pub(super) latency_millis_p50: f64,
    pub(super) latency_millis_p99: f64,
    pub(super) latency_millis_max: f64,
}

impl Trial {
    /// Adds up; `interface_lost` is what the interface counted meanwhile, and explains frames that
    /// no receiver can have seen.
    pub(super) fn new(
        asked_pps: Option<f64>,
        sent: &Sent,
        received: Received,
        interface_lost: u64,
    ) -> Self {
        let mut lost_by = received.lost;
        lost_by.retain(|_reason, count| *count > 0);
        let counted: u64 = lost_by.values().sum();
        let missing = sent.frames.saturating_sub(received.frames.saturating_add(counted));
        let surplus = received.frames.saturating_add(counted).saturating_sub(sent.frames);
        let mut trouble = sent.trouble.clone().or(received.trouble);
        if missing > 0 && missing <= interface_lost {
            lost_by.insert("interface/dropped".to_owned(), missing);
        } else if missing > 0 {
            trouble
                .get_or_insert(format!("nothing counts {missing} of the frames that are missing"));
        } else if surplus > 0 {
            trouble.get_or_insert(format!("{surplus} frames more were counted than sent"));
        }
        let per_frame = |secs: f64, frames: u64| secs * 1e9 / frames.max(1) as f64;
        let by_thread = received.cpu_by_thread.into_iter();
        let by_thread = by_thread.map(|(name, secs)| (name, per_frame(secs, received.frames)));
        Self {
            asked_pps,
            sent_pps: sent.frames as f64 / sent.secs.max(1e-9),
            secs: sent.secs,
            sent: sent.frames,
            received: received.frames,
            lost: sent.frames.saturating_sub(received.frames),
            lost_by,
            is_valid: trouble.is_none(),
            trouble,
            sender: SenderFigures {
                cpu_secs: sent.cpu_secs,
                cpu_nanos_per_frame: per_frame(sent.cpu_secs, sent.frames),
                refused: sent.refused,
                lag_millis_max: sent.lag_secs_max * 1e3,
            },
            receiver: ReceiverFigures {
                cpu_secs: received.cpu_secs,
                cpu_nanos_per_frame: per_frame(received.cpu_secs, received.frames),
                cpu_nanos_by_thread: by_thread.collect(),
                resident_bytes: received.resident_bytes,
            },
            alerts: received.seen.map(|seen| AlertFigures::new(u64::from(sent.planted), seen)),
        }
    }

    /// Tells whether every frame was received.
    pub(super) fn is_lossless(&self) -> bool {
        self.is_valid && self.lost == 0
    }

    /// Says what is wrong with the alerts: each planted frame that was received must have one, and
    /// with losses at most one.
    pub(super) fn wrong_alerts(&self) -> Option<String> {
        let alerts = self.alerts.as_ref().filter(|_| self.is_valid)?;
        if alerts.wrong > 0 {
            return Some(format!("{} alerts are of no planted frame", alerts.wrong));
        }
        let short = alerts.planted.saturating_sub(alerts.right);
        (short > self.lost)
            .then(|| format!("{} of {} planted frames gave no alert", short, alerts.planted))
    }

    /// Says it in one line.
    pub(super) fn line(&self, traffic: &Traffic) -> String {
        let asked = self.asked_pps.map_or("maximum".to_owned(), |rate| format!("{rate:.0} pps"));
        let share = self.lost as f64 * 100.0 / self.sent.max(1) as f64;
        let mut line = format!(
            "{}: asked {asked}, sent {:.0} pps, lost {} of {} ({share:.3} %)",
            traffic.name, self.sent_pps, self.lost, self.sent
        );
        for (reason, count) in &self.lost_by {
            line.push_str(&format!(", {reason} {count}"));
        }
        if let Some(trouble) = &self.trouble {
            line.push_str(&format!(", invalid: {trouble}"));
        }
        line
    }
}

impl AlertFigures {
    fn new(planted: u64, mut seen: Seen) -> Self {
        seen.times.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = (seen.times.len() as f64 * part).ceil() as usize;
            seen.times.get(place.saturating_sub(1)).map_or(0.0, |secs| secs * 1e3)
        };
        let sent = |n: &&u32| u64::from(**n) < planted;
        let right = seen.planted.iter().filter(sent).count() as u64;
        Self {
            planted,
            right,
            wrong: seen.wrong + (seen.planted.len() as u64 - right),
            others: seen.others,
            latency_millis_p50: at(0.5),
            latency_millis_p99: at(0.99),
            latency_millis_max: at(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(received: u64, ring: u64, interface: u64, want: (u64, bool, &str)) {
        let sent = Sent { frames: 100, secs: 1.0, ..Sent::default() };
        let lost = BTreeMap::from([("kernel/ring_full".to_owned(), ring)]);
        let received = Received { frames: received, lost, ..Received::default() };
        let trial = Trial::new(None, &sent, received, interface);
        let trouble = trial.trouble.unwrap_or_default();
        assert_eq!((trial.lost, trial.is_valid), (want.0, want.1), "{trouble}");
        assert!(trouble.contains(want.2), "{trouble}");
    }

    #[test]
    fn what_was_sent_is_received_or_lost() {
        check(100, 0, 0, (0, true, ""));
        check(90, 10, 0, (10, true, ""));
        check(90, 0, 10, (10, true, ""));
        check(90, 0, 50, (10, true, ""));
        check(90, 5, 0, (10, false, "nothing counts 5"));
        check(90, 0, 9, (10, false, "nothing counts 10"));
        check(100, 1, 0, (0, false, "1 frames more"));
        check(101, 0, 0, (0, false, "1 frames more"));
    }

    #[test]
    fn planted_frames_are_lost_or_alerted() {
        let trial = |planted: u32, seen: u32, lost: u64| {
            let sent = Sent { frames: 100, planted, secs: 1.0, ..Sent::default() };
            let seen = Seen { planted: (0..seen).collect(), ..Seen::default() };
            let received = Received {
                frames: 100 - lost,
                lost: BTreeMap::from([("kernel/ring_full".to_owned(), lost)]),
                seen: Some(seen),
                ..Received::default()
            };
            Trial::new(None, &sent, received, 0).wrong_alerts()
        };
        assert_eq!(trial(10, 10, 0), None);
        assert_eq!(trial(10, 8, 2), None);
        assert!(trial(10, 9, 0).is_some_and(|why| why.contains("1 of 10")));
        assert!(trial(10, 11, 0).is_some_and(|why| why.contains("no planted frame")));
    }
}
