//! Stories: who told of an indicator, and what else they said; read once per alert.

use crate::model::indicator::IndicatorId;
use crate::model::indicator::IndicatorType;

/// One attribute, or one line of a list, that gave an indicator. Unknown fields are `None` or
/// empty. The derived order is the order of `sources` in alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// MISP attribute UUID.
    pub attribute: Option<String>,
    /// MISP event UUID.
    pub event: Option<String>,
    /// MISP event number.
    pub event_id: Option<u64>,
    /// What the event is about.
    pub info: Option<String>,
    /// The organisation that made the event.
    pub org: Option<String>,
    /// The feed, server or file that it came from.
    pub provider: Option<String>,
    /// Tags of the attribute and of its event, sorted, each once.
    pub tags: Vec<String>,
    /// The attribute's comment.
    pub comment: Option<String>,
    /// First seen, RFC 3339.
    pub first_seen: Option<String>,
    /// Last seen, RFC 3339.
    pub last_seen: Option<String>,
    /// Last change, RFC 3339.
    pub modified: Option<String>,
}

/// The stories of one indicator set.
pub trait Catalog: Send + Sync {
    /// Returns the set's version: lower-case hex, the hash of its canonical contents.
    fn version(&self) -> &str;

    /// Returns an indicator's type and its value as MISP has it; `None` for an id of another set.
    fn indicator(&self, id: IndicatorId) -> Option<(IndicatorType, &str)>;

    /// Returns the canonical text of an indicator, which with its type says which one it is in
    /// every set.
    fn canonical(&self, id: IndicatorId) -> Option<String>;

    /// Tells whether it has an indicator of a type and a value in any spelling.
    fn holds(&self, ty: IndicatorType, value: &str) -> bool;

    /// Returns who told of it, sorted.
    fn sources(&self, id: IndicatorId) -> Vec<Source>;
}
