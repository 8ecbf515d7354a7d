//! What all remote sources share: how a server is asked, what is tried again, and the local copy.
//!
//! Law: every remote source is mirrored to local files, and indicators are read from these alone. A
//! server that fails never empties or delays matching, and the last good copy outlives a restart.

pub mod error;
pub mod http;
pub mod key;
pub mod mirror;
pub mod retry;
pub mod source;

pub use crate::control::intel::remote::error::RemoteError;
