//! The alert file of a trial: written as the sensor writes it, each line looked at afterwards.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;

use serde::Deserialize;

use crate::control::bench::live::planted::Planted;
use crate::report::sink::Sink;
use crate::report::sink::SinkError;
use crate::report::sink::rolling::Rolling;

/// Times that are kept; more would tell no other percentile.
const TIMES_MAX: usize = 1 << 20;

/// What the alerts of a trial were.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Numbers of planted frames.
    pub(super) planted: HashSet<u32>,
    /// Alerts of a planted frame that has one already, or of none that was sent.
    pub(super) wrong: u64,
    /// Alerts of other traffic.
    pub(super) others: u64,
    /// Seconds from frame to line in the file.
    pub(super) times: Vec<f64>,
}

/// A sink that looks at the lines that another one has written.
pub(super) struct Witness {
    pub(super) file: Rolling,
    pub(super) planted: Planted,
    pub(super) seen: Arc<Mutex<Seen>>,
}

/// What is looked at of an alert.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(rename = "@timestamp")]
    time: &'a str,
    source: Source,
    tapsieve: Ours,
}

#[derive(Deserialize)]
struct Source {
    ip: IpAddr,
    #[serde(default)]
    port: u16,
}

#[derive(Deserialize)]
struct Ours {
    indicator: Indicator,
}

#[derive(Deserialize)]
struct Indicator {
    value: String,
}

impl Sink for Witness {
    fn deliver(&mut self, lines: &[u8]) -> Result<(), SinkError> {
        self.file.deliver(lines)?;
        let now = SystemTime::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            seen.take(line, now, self.planted);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.file.finish()
    }

    fn tend(&mut self) -> Result<(), SinkError> {
        self.file.tend()
    }
}

impl Seen {
    fn take(&mut self, line: &[u8], now: SystemTime, planted: Planted) {
        let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else {
            self.wrong += 1;
            return;
        };
        let IpAddr::V4(opener) = line.source.ip else {
            self.others += 1;
            return;
        };
        let value = &line.tapsieve.indicator.value;
        if !Planted::is_opener(opener) {
            self.others += 1;
            return;
        }
        let number = planted.number(opener, line.source.port, value);
        if !number.is_some_and(|number| self.planted.insert(number)) {
            self.wrong += 1;
            return;
        }
        let sent = line.time.parse().map(|time: jiff::Timestamp| time.as_nanosecond());
        let sent = sent.ok().and_then(|nanos| u64::try_from(nanos).ok());
        let sent = SystemTime::UNIX_EPOCH + Duration::from_nanos(sent.unwrap_or_default());
        let waited = now.duration_since(sent);
        if self.times.len() < TIMES_MAX {
            self.times.push(waited.unwrap_or_default().as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::bench::live::frame::Marker;
    use crate::control::bench::live::planted::Looks;

    #[test]
    fn each_planted_frame_is_alerted_once_and_by_its_indicator() {
        let planted = Planted { looks: Looks::Sized(128), marker: Marker::of_this_run() };
        let line = |source: &str, value: &str| {
            format!(
                r#"{{"@timestamp":"2026-01-02T03:04:05.000000000Z","source":{source},
                    "tapsieve":{{"indicator":{{"type":"ip-dst","value":"{value}"}}}}}}"#
            )
        };
        let first = r#"{"ip":"198.18.200.1","port":1024}"#;
        let mut seen = Seen::default();
        let check = |seen: &mut Seen, line: &str, want: (usize, u64, u64)| {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_046);
            seen.take(line.as_bytes(), now, planted);
            assert_eq!((seen.planted.len(), seen.wrong, seen.others), want, "{line}");
        };
        check(&mut seen, &line(first, "198.19.255.0"), (1, 0, 0));
        check(&mut seen, &line(first, "198.19.255.0"), (1, 1, 0));
        check(&mut seen, &line(first, "198.19.255.1"), (1, 2, 0));
        check(&mut seen, &line(r#"{"ip":"203.0.113.9","port":5}"#, "x"), (1, 2, 1));
        check(&mut seen, &line(r#"{"ip":"2001:db8::1"}"#, "x"), (1, 2, 2));
        check(&mut seen, "{", (1, 3, 2));
        assert_eq!(seen.times, [1.0]);
    }
}
