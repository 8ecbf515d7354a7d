//! Indicators from outside: one file per feed format, each telling MISP attributes; `compile` makes
//! the set.
//!
//! Way: `input` finds files → a format of `ALL` reads one and tells [`Attribute`]s → `gate` says
//! what each means → `harvest` keeps what matches and counts the rest → `compile` sorts, gives ids,
//! builds index and catalog.

pub mod args;
pub mod asked;
pub mod catalog;
pub mod compile;
pub mod compiled;
mod composed;
pub mod csv;
mod detail;
pub mod feed;
pub mod filter;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod gate;
pub mod harvest;
mod held;
pub mod http_feed;
pub mod input;
pub mod json;
pub mod ledger;
pub mod lines;
pub mod list;
pub mod list_form;
pub mod mate;
pub mod misp;
pub mod remote;
mod said;
pub mod set;
mod sound;
pub mod stix;
pub mod stored;
pub mod strings;
pub mod survey;
pub mod taxii;
pub mod uuid;
pub mod warninglist;
pub mod zeek;

pub use crate::control::intel::args::IntelArguments;

use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::control::intel::filter::Filter;
use crate::control::intel::gate::LeftOut;
use crate::control::intel::harvest::Gather;
use crate::control::intel::input::Stream;
use crate::control::intel::ledger::Spot;
use crate::control::intel::list_form::ListForm;
use crate::control::intel::mate::Mate;
use crate::control::intel::uuid::Uuid;
use crate::control::intel::warninglist::WarninglistSettings;
use crate::model::policy::Policy;
use crate::pipeline::matcher::IndexError;

/// The formats in the order they are asked; the first that knows the content reads it.
pub const ALL: &[Format] = &[
    compiled::FORMAT,
    stix::FORMAT,
    misp::format::FORMAT,
    json::FORMAT,
    zeek::FORMAT,
    csv::FORMAT,
    list::FORMAT,
];

/// A feed format.
#[derive(Clone, Copy)]
pub struct Format {
    /// Name in messages.
    pub name: &'static str,
    /// Tells from the first bytes whether a file is of this format.
    pub knows: fn(&[u8]) -> bool,
    /// Tells the attributes of a file; what was told before damage counts.
    pub read: fn(Stream, &Gather<'_>) -> Result<(), Fault>,
}

/// What an operator asks of indicators.
#[derive(Clone, Debug, Default)]
pub struct IntelOptions {
    /// Which values are taken and looked for.
    pub policy: Policy,
    /// Accept attributes whose `to_ids` is false.
    pub include_non_ids: bool,
    /// Take the attributes of composite objects each for itself.
    pub objects_in_parts: bool,
    /// Which attributes match, by what is said around them.
    pub filter: Filter,
    /// Which warninglists are used, and how.
    pub warninglists: WarninglistSettings,
    /// How lists are read: those below a path, and all others where it is empty; the last counts.
    pub list_forms: Vec<(PathBuf, ListForm)>,
    /// Look for the sensor's canary, too.
    pub canary: bool,
}

impl IntelOptions {
    /// Returns how a file is read that turns out to be a list.
    pub fn list_form(&self, path: &Path) -> &ListForm {
        let named = self.list_forms.iter().rev().find(|(below, _)| path.starts_with(below));
        named.map_or(&ListForm::Lines, |(_, form)| form)
    }
}

/// One attribute as a format tells it: text as the file has it.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// MISP type.
    pub kind: &'a str,
    /// Value.
    pub value: &'a str,
    /// Relation in its object; empty where there is none.
    pub relation: &'a str,
    /// Name of its object's template; empty where unknown.
    pub object: &'a str,
    /// What its object says of it elsewhere.
    pub sibling: Sibling<'a>,
    /// For detection, as MISP says it; true where nothing says.
    pub to_ids: bool,
    /// Soft-deleted.
    pub deleted: bool,
    /// By all of MISP's decaying models its time is over; false where nothing says.
    pub decayed: bool,
    /// How many have seen it, and how many call it a false positive.
    pub sightings: [u32; 2],
    /// UUID.
    pub uuid: Uuid,
    /// Seconds since 1970 of its last change; 0 where unknown.
    pub timestamp_secs: u32,
    /// First seen, as MISP writes it; empty where unknown.
    pub first_seen: &'a str,
    /// Last seen, as MISP writes it; empty where unknown.
    pub last_seen: &'a str,
    /// Until when it counts, as its source says, in RFC 3339; empty where nothing says.
    pub valid_until: &'a str,
    /// How sure its source is, from 0 to 100, where the format has a number for it.
    pub confidence: Option<u8>,
    /// What the analyst wrote beside it; empty where nothing.
    pub comment: &'a str,
    /// Tags, in the harvest's tag lists.
    pub tags: u32,
    /// Where in the file: a line, or the number of the attribute.
    pub spot: Spot,
    /// Why the format itself leaves it out.
    pub left_out: Option<LeftOut>,
    /// What its format could not read of it.
    pub unread: Unread,
}

/// What a format could not read of an attribute, and that counts as not said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Unread {
    /// When it changed.
    pub time: bool,
    /// Whether it is for detection, deleted or decayed.
    pub flag: bool,
}

impl Default for Attribute<'_> {
    fn default() -> Self {
        Self {
            kind: "",
            value: "",
            relation: "",
            object: "",
            sibling: Sibling::Unknown,
            to_ids: true,
            deleted: false,
            decayed: false,
            sightings: [0; 2],
            uuid: Uuid::default(),
            timestamp_secs: 0,
            comment: "",
            first_seen: "",
            last_seen: "",
            valid_until: "",
            confidence: None,
            tags: 0,
            spot: Spot::Number(0),
            left_out: None,
            unread: Unread::default(),
        }
    }
}

/// What the other attributes of an object say of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sibling<'a> {
    /// The format does not keep an object's attributes together.
    Unknown,
    /// The object says nothing of it.
    Silent,
    /// The object's `ja4-type`.
    Ja4Type(&'a str),
    /// The object has a JA3S of its own, so its JA3 is one.
    Ja3s,
    /// The ports of its end: the address is meant with one of them.
    Ports(&'a [Mate<'a>]),
    /// The address that belongs to it, a name, or the name that belongs to it, an address; more
    /// than once where the object has it so.
    Half(&'a [Mate<'a>]),
    /// It is a port that these addresses are meant with.
    OfAddress(&'a [Mate<'a>]),
}

impl<'a> Sibling<'a> {
    /// Returns the attributes that one is meant with.
    pub fn mates(self) -> &'a [Mate<'a>] {
        match self {
            Self::Ports(mates) | Self::Half(mates) | Self::OfAddress(mates) => mates,
            Self::Unknown | Self::Silent | Self::Ja4Type(_) | Self::Ja3s => &[],
        }
    }
}

/// Why a file ended early.
#[derive(Debug)]
pub struct Fault {
    /// Where in the file.
    pub spot: Spot,
    /// What is wrong, lower-case.
    pub what: String,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self { spot: Spot::File, what: error.to_string() }
    }
}

/// Why no indicator set came of the inputs.
#[derive(Debug, thiserror::Error)]
pub enum IntelError {
    /// No input was given.
    #[error("no indicators given: name a feed with --intel PATH")]
    NoInput,
    /// Nothing in the inputs matches anything.
    #[error("no usable indicator in {inputs}: {why}; see `tapsieve intel explain`")]
    NothingUsable {
        /// The inputs as given.
        inputs: String,
        /// Totals, or the damage that left nothing.
        why: String,
    },
    /// The only input cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The values do not fit an index.
    #[error("{0}: give fewer feeds")]
    Index(#[source] IndexError),
    /// Inputs exceed what ids or offsets can hold.
    #[error("too many indicators: {what}; give fewer feeds")]
    TooMany {
        /// Which bound.
        what: &'static str,
    },
}
