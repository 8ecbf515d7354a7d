//! How far a pull is, in a hidden file of its mirror: losing it costs a full pull, nothing else.

use std::io::Write;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::mirror::Mirror;
use crate::control::intel::remote::mirror::small;
use crate::control::intel::remote::source::STATE;

/// Bytes of a state: some numbers, and what a server says of a file.
const STATE_BYTES_MAX: u64 = 1 << 20;

/// Seconds by which a clock may be set back without a word.
const CLOCK_SLACK_SECS: u64 = 3_600;

/// Returns what stands for an address in a state, which anyone may read and the address may hold a
/// secret.
pub(in crate::control::intel) fn mark(url: &str) -> u64 {
    xxh3_64(url.as_bytes())
}

/// Returns what was kept; the default where there is none, or none that can be read.
pub(in crate::control::intel) fn load<S: DeserializeOwned + Default>(mirror: &Mirror) -> S {
    let text = small(&mirror.folder().join(STATE), STATE_BYTES_MAX).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Keeps it.
///
/// # Errors
/// It cannot be written.
pub(in crate::control::intel) fn keep(
    mirror: &Mirror,
    state: &impl Serialize,
) -> Result<(), RemoteError> {
    let mut draft = mirror.draft(STATE)?;
    let text = serde_json::to_vec(state).unwrap_or_default();
    draft.write_all(&text).map_err(|error| draft.fault(&error))?;
    draft.keep().map(|_| ())
}

/// Returns how long ago a time of our clock was; `None`: it is to come, as the clock was wrong.
pub(in crate::control::intel) fn age_secs(secs: u64) -> Option<u64> {
    (now_secs() + CLOCK_SLACK_SECS)
        .checked_sub(secs)
        .map(|age| age.saturating_sub(CLOCK_SLACK_SECS))
}

/// Returns the seconds since 1970, by our clock.
pub(in crate::control::intel) fn now_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
