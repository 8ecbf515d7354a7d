//! MISP JSON: events, lists of them, and answers of restSearch, as a stream.
//!
//! Spec:   MISP core format (draft-dulaunoy-misp-core-format), MISP 2.4/2.5 REST answers (events,
//!         attributes, objects)
//! Reads:  `{"Event":…}`, a bare event, `{"response":…}` of events, attributes or objects, lists of
//!         any of these
//! Yields: attributes, of objects too, with their events and tags
//! Bounds: `limits::JSON_STRING_BYTES_MAX`, `limits::JSON_OBJECT_BYTES_MAX`,
//!         `limits::JSON_TAGS_BYTES_MAX`, `limits::JSON_LEVELS_MAX`; nesting, `DEPTH_MAX`; unknown
//!         fields are skipped unread
//! Leaves: proposals, who sighted, reports, attachments; STIX, which `stix` reads

mod answer;
mod bounded;
mod composite;
mod event;
mod harvester;
pub(in crate::control::intel) mod parts;
mod record;

use std::io::BufReader;
use std::io::Read;

use serde::de::DeserializeSeed;

use crate::control::intel::Fault;
use crate::control::intel::Format;
use crate::control::intel::harvest::Gather;
use crate::control::intel::input::Broken;
use crate::control::intel::input::Stream;
use crate::control::intel::input::trimmed;
use crate::control::intel::json::answer::Answer;
use crate::control::intel::json::event::Node;
use crate::control::intel::json::harvester::Harvester;
use crate::control::intel::ledger::Spot;

pub use crate::control::intel::json::answer::What;
pub use crate::control::intel::json::bounded::Bounded;
pub use crate::control::intel::json::composite::Telling;
pub use crate::control::intel::json::event::Found;
pub use crate::control::intel::json::event::Owner;
pub use crate::control::intel::json::event::Reading;
pub use crate::control::intel::json::event::Teller;
pub use crate::control::intel::json::parts::Flag;
pub use crate::control::intel::json::parts::Number;
pub use crate::control::intel::json::parts::TAG_END;
pub use crate::control::intel::json::record::AttributeParts;
pub use crate::control::intel::json::record::Kept;
pub use crate::control::intel::json::record::Story;

/// MISP's own JSON.
pub const FORMAT: Format = Format { name: "MISP JSON", knows, read };

/// Files up to this are read whole, which is faster; larger ones are streamed.
const WHOLE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Answers within answers, as `response` holds `Event` holds `Object`.
const DEPTH_MAX: u32 = 8;

fn knows(head: &[u8]) -> bool {
    match trimmed(head).split_first() {
        Some((b'{', _)) => true,
        Some((b'[', rest)) => matches!(rest.trim_ascii_start().first(), Some(b'{' | b'[' | b']')),
        _ => false,
    }
}

fn read(stream: Stream, gather: &Gather<'_>) -> Result<(), Fault> {
    let mut reading = Reading::new(Harvester::new(gather));
    let outcome = walk(stream.into_read(), &mut reading);
    reading.finish(outcome.map_err(|error| fault(&error)))
}

/// Walks over one value and tells what is found.
///
/// # Errors
/// It is no JSON, or cannot be read to its end; what was found before was told.
pub fn walk<T: Teller>(read: impl Read, reading: &mut Reading<T>) -> Result<(), serde_json::Error> {
    parse(read, Node::top(reading))
}

/// Walks over the answer to a search and tells what is found; `is_misp` of the reading stays as it
/// was where it is an object that lists nothing.
///
/// # Errors
/// As [`walk`], or it is not of the shape that MISP gives it.
pub fn walk_answer<T: Teller>(
    read: impl Read,
    what: What,
    reading: &mut Reading<T>,
) -> Result<(), serde_json::Error> {
    reading.is_strict = true;
    parse(read, Answer::top(reading, what))
}

/// Reads one value: a small one whole, a large one as a stream.
///
/// # Errors
/// It is no JSON, or cannot be read to its end.
pub fn parse(
    mut read: impl Read,
    seed: impl for<'de> DeserializeSeed<'de, Value = ()>,
) -> Result<(), serde_json::Error> {
    let mut whole = Vec::new();
    let ended = read.by_ref().take(WHOLE_BYTES_MAX as u64).read_to_end(&mut whole);
    if ended.is_ok() && whole.len() < WHOLE_BYTES_MAX {
        let bytes = whole.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&whole);
        let mut json = serde_json::Deserializer::from_slice(bytes);
        return seed.deserialize(&mut json).and_then(|()| json.end());
    }
    if whole.starts_with(b"\xef\xbb\xbf") {
        whole.drain(..3);
    }
    let broken = ended.err().map_or_else(Broken::default, Broken::new);
    let all = Bounded::new(whole.as_slice().chain(broken).chain(read));
    let all = BufReader::with_capacity(1 << 16, all);
    let mut json = serde_json::Deserializer::from_reader(all);
    seed.deserialize(&mut json).and_then(|()| json.end())
}

/// Returns where and why JSON broke.
pub fn fault(error: &serde_json::Error) -> Fault {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let what = text.strip_suffix(&place).unwrap_or(&text);
    let place = (error.line() as u64, error.column() as u64);
    let spot = if place.0 == 0 { Spot::File } else { Spot::Column(place.0, place.1) };
    let is_broken = error.is_syntax() || error.is_eof();
    let what = if is_broken { format!("broken JSON: {what}") } else { what.to_owned() };
    Fault { spot, what }
}
