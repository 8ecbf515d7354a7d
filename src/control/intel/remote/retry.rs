//! Trying again: what may mend is asked again after a pause that grows, bounded in number and time.

use std::hash::BuildHasher;
use std::time::Duration;
use std::time::Instant;

use tracing::warn;

use crate::control::intel::remote::RemoteError;

/// A pause from which on it is told that one is made.
const PAUSE_TOLD: Duration = Duration::from_secs(10);

/// How often and how long something is tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retry {
    /// Tries at most, the first included.
    pub tries_max: u32,
    /// Pause after the first; it doubles from there.
    pub pause_first: Duration,
    /// The longest pause that we choose.
    pub pause_max: Duration,
    /// The longest pause that a server may ask for; a server that asks for more is left alone until
    /// the next pull.
    pub asked_max: Duration,
    /// No try begins later than this after the first.
    pub total_max: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            tries_max: 4,
            pause_first: Duration::from_secs(1),
            pause_max: Duration::from_secs(30),
            // MISP counts the searches of a role in windows of 900 s
            asked_max: Duration::from_secs(900),
            total_max: Duration::from_secs(1_800),
        }
    }
}

impl Retry {
    /// Asks until it is answered, or it makes no sense to ask again.
    ///
    /// # Errors
    /// The last error.
    pub fn run<T>(&self, ask: impl FnMut() -> Result<T, RemoteError>) -> Result<T, RemoteError> {
        self.run_with(ask, std::thread::sleep)
    }

    fn run_with<T>(
        &self,
        mut ask: impl FnMut() -> Result<T, RemoteError>,
        mut sleep: impl FnMut(Duration),
    ) -> Result<T, RemoteError> {
        let begun = Instant::now();
        let mut tries = 0;
        loop {
            let error = match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            tries += 1;
            let Some(pause) = self.pause(&error, tries) else { return Err(error) };
            if tries >= self.tries_max || begun.elapsed() + pause > self.total_max {
                return Err(error);
            }
            if pause >= PAUSE_TOLD {
                warn!("{error}; trying again in {:.0} s", pause.as_secs_f64());
            }
            sleep(pause);
        }
    }

    /// Returns how long to wait after an error; `None`: for good.
    fn pause(&self, error: &RemoteError, tries: u32) -> Option<Duration> {
        if !error.may_mend() {
            return None;
        }
        if let RemoteError::Busy { wait: Some(wait), .. }
        | RemoteError::Server { wait: Some(wait), .. } = error
        {
            // a moment more, so that two clocks need not agree
            let wait = *wait + jittered(self.pause_first);
            return (wait <= self.asked_max + self.pause_first).then_some(wait);
        }
        let doubled = self.pause_first.saturating_mul(1 << tries.saturating_sub(1).min(16));
        Some(jittered(doubled.min(self.pause_max)))
    }
}

/// Returns between a half and all of a time, so that many clients do not come together.
pub fn jittered(time: Duration) -> Duration {
    let chance = std::hash::RandomState::new().hash_one(0_u8) % 1_024;
    let half = time / 2;
    half + half.mul_f64(f64::from(u32::try_from(chance).unwrap_or(0)) / 1_024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> RemoteError {
        RemoteError::Server { place: "x".to_owned(), status: 504, wait: None, said: String::new() }
    }

    /// Errors in order, then an answer; returns how it went, and the pauses.
    fn run(mut errors: Vec<RemoteError>) -> (Result<usize, String>, Vec<Duration>) {
        let (mut pauses, mut asked) = (Vec::new(), 0);
        errors.reverse();
        let retry = Retry::default();
        let ask = || {
            asked += 1;
            errors.pop().map_or(Ok(()), Err)
        };
        let outcome = retry.run_with(ask, |pause| pauses.push(pause));
        (outcome.map(|()| asked).map_err(|error| error.reason().to_owned()), pauses)
    }

    #[test]
    fn what_may_mend_is_tried_again_with_growing_pauses() {
        let (outcome, pauses) = run(vec![server(), server()]);
        assert_eq!(outcome, Ok(3));
        let [first, second] = pauses[..] else { panic!("two pauses, not {pauses:?}") };
        let secs = |from: f64, to: f64| Duration::from_secs_f64(from)..=Duration::from_secs_f64(to);
        assert!(secs(0.5, 1.0).contains(&first) && secs(1.0, 2.0).contains(&second), "{pauses:?}");
        let (outcome, pauses) = run((0..9).map(|_| server()).collect());
        assert_eq!((outcome, pauses.len()), (Err("server_error".to_owned()), 3));
    }

    #[test]
    fn what_is_final_is_not() {
        let absent = RemoteError::Absent { place: "x".to_owned(), said: String::new() };
        assert_eq!(run(vec![absent]), (Err("not_found".to_owned()), Vec::new()));
    }

    #[test]
    fn a_server_says_how_long_it_wants_to_be_left_alone() {
        let busy = |secs| {
            let wait = Some(Duration::from_secs(secs));
            RemoteError::Busy { place: "x".to_owned(), wait, said: String::new() }
        };
        let (outcome, pauses) = run(vec![busy(7)]);
        assert_eq!(outcome, Ok(2));
        assert!(pauses[0] >= Duration::from_secs(7) && pauses[0] <= Duration::from_secs(8));
        let wait = Some(Duration::from_secs(20));
        let down =
            RemoteError::Server { place: "x".to_owned(), status: 503, wait, said: String::new() };
        let (outcome, pauses) = run(vec![down]);
        assert_eq!(outcome, Ok(2));
        assert!(pauses[0] >= Duration::from_secs(20) && pauses[0] <= Duration::from_secs(21));
        assert_eq!(run(vec![busy(86_400)]), (Err("rate_limited".to_owned()), Vec::new()));
    }
}
