//! MISP servers: what they have is pulled through their REST interface into a mirror, and read from
//! there.
//!
//! Way: `search` asks page by page → `keep` makes lines of what is found → `pull` writes a base
//! (everything) or a delta (what has changed) → `format` reads both for the compiler. `wake` hears
//! from the server's publisher that something has changed.

pub mod format;
mod keep;
mod pull;
pub mod record;
mod search;
pub mod stored;
pub mod wake;
mod warninglists;

use crate::model::indicator::IndicatorType;

pub use crate::control::intel::misp::warninglists::FOLDER as WARNINGLISTS;

/// Objects that say what their attributes do not: JA4 is text, JA3S has the type of JA3, an
/// address is meant with a port, a name with its address.
pub const OBJECTS: [&str; 9] = [
    "ja4-plus",
    "ja3",
    "ja3s",
    "ip-port",
    "network-connection",
    "network-socket",
    "netflow",
    "ddos",
    "domain-ip",
];

/// Attributes of one page: about 5 MB of JSON, which is read at once, and what servers bear.
pub const PAGE_ATTRIBUTES: u32 = 5_000;

/// Seconds by which a pull of changes reaches back before the last: transactions that end late.
pub const OVERLAP_SECS: u32 = 300;

/// Percent of what there was that must be left to be believed.
pub const SHRINK_PERCENT_MIN: u32 = 50;

/// What is asked of a MISP server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MispSettings {
    /// Types of attributes; empty: all.
    pub types: Vec<String>,
    /// Rules of tags, of attributes or their events, as `--tag` takes them.
    pub tags: Vec<String>,
    /// The strictest marking that is taken.
    pub max_tlp: Option<String>,
    /// Takes nothing of events that are not published.
    pub published_only: bool,
    /// Asks for attributes whose `to_ids` is false, too.
    pub include_non_ids: bool,
    /// Asks for scores of decaying models, which servers work out for each attribute.
    pub decay_scores: bool,
    /// Asks for sightings, which servers look up for each attribute.
    pub sightings: bool,
    /// Organisations whose events are taken, by name, number or UUID; empty: all.
    pub orgs: Vec<String>,
    /// Threat levels of events that are taken, 1 to 4; empty: all.
    pub threat_levels: Vec<u32>,
    /// Templates of objects that are fetched whole.
    pub objects: Vec<String>,
    /// Attributes of one page.
    pub page_attributes: u32,
    /// Seconds by which a pull of changes reaches back.
    pub overlap_secs: u32,
    /// Fetches the server's warninglists, those that are enabled, and applies them.
    pub warninglists: bool,
    /// A full pull that leaves fewer than so many percent of what there was is not believed.
    pub shrink_percent_min: u32,
    /// Where the server publishes what changes, as `host:port`.
    pub zmq: Option<String>,
}

impl Default for MispSettings {
    fn default() -> Self {
        Self {
            types: IndicatorType::ALL.iter().map(|ty| ty.name().to_owned()).collect(),
            tags: Vec::new(),
            max_tlp: None,
            published_only: true,
            include_non_ids: false,
            decay_scores: false,
            sightings: false,
            orgs: Vec::new(),
            threat_levels: Vec::new(),
            objects: OBJECTS.map(str::to_owned).into(),
            page_attributes: PAGE_ATTRIBUTES,
            overlap_secs: OVERLAP_SECS,
            warninglists: false,
            shrink_percent_min: SHRINK_PERCENT_MIN,
            zmq: None,
        }
    }
}
