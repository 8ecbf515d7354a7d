//! STIX bundles: indicators with the patterns that say what an attribute can.
//!
//! Spec:   STIX 2.1 §4.7 (indicator), §8 (bundle), §9 (patterns); STIX 2.0 where it is the same
//! Reads:  `{"type":"bundle",…}`, and the envelopes of TAXII 2.1, in any order of their fields
//! Yields: attributes, one for each alternative of a pattern, of MISP's objects one for each of
//!         theirs; what no type says is told as left out
//! Bounds: as `json`; `pattern`, `bundle`, `context`, `version`
//! Leaves: observed data and observables, which were seen and not called bad; relationships
//!
//! A bundle is read twice, first for what is said of its indicators elsewhere: in newer versions,
//! in reports, identities and markings, which may stand anywhere.

mod bundle;
mod composed;
mod context;
pub mod inexact;
mod marking;
mod meaning;
pub(in crate::control::intel) mod object;
mod pattern;
#[cfg(test)]
mod tests;
pub(in crate::control::intel) mod version;
mod walk;

use std::fmt::Formatter;
use std::fmt::Result as Written;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Seek;

use serde::de::Deserializer;
use serde::de::Error;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::Visitor;

use crate::control::intel::Fault;
use crate::control::intel::Format;
use crate::control::intel::harvest::Gather;
use crate::control::intel::input::Broken;
use crate::control::intel::input::Stream;
use crate::control::intel::input::trimmed;
use crate::control::intel::json;
use crate::control::intel::ledger::Spot;
use crate::control::intel::stix::bundle::Bundle;
use crate::control::intel::stix::context::Context;
use crate::control::intel::stix::walk::Top;

/// STIX bundles.
pub const FORMAT: Format = Format { name: "STIX", knows, read };

fn knows(head: &[u8]) -> bool {
    let mut is_stix = false;
    let mut json = serde_json::Deserializer::from_slice(trimmed(head));
    // what is cut or broken has told what it is before, or is not for us
    let _cut = json.deserialize_map(Sniff(&mut is_stix));
    is_stix
}

fn read(stream: Stream, gather: &Gather<'_>) -> Result<(), Fault> {
    let (file, broken) = again(stream, gather)?;
    let mut context = Context::default();
    // what is broken here is so when it is read, and told then
    context.is_broken = json::parse(stream_of(&file)?.into_read(), Top(&mut context)).is_err();
    if context.is_over() {
        let what = "more than 128 MiB of identities, markings and reports, without which whom                     indicators are for is unknown: nothing is read";
        return Err(Fault { spot: Spot::File, what: what.to_owned() });
    }
    let mut bundle = Bundle::new(gather, context.finish());
    let read = stream_of(&file)?.into_read().chain(broken);
    let outcome = json::parse(read, Top(&mut bundle));
    bundle.finish(outcome.map_err(|error| json::fault(&error)))
}

/// Returns a file that can be read twice: the one that is read, or a copy of what is none; and what
/// ended the copy early.
fn again(stream: Stream, gather: &Gather<'_>) -> io::Result<(File, Broken)> {
    let file = File::open(&gather.file.path)?;
    if file.metadata()?.is_file() {
        return Ok((file, Broken::default()));
    }
    let mut copy = tempfile::tempfile()?;
    let copied = io::copy(&mut stream.into_read(), &mut copy);
    Ok((copy, copied.err().map_or_else(Broken::default, Broken::new)))
}

/// Returns a file's content from its beginning.
fn stream_of(mut file: &File) -> io::Result<Stream> {
    file.rewind()?;
    Stream::new(file.try_clone()?)
}

/// Looks at the first fields of an object for what only a bundle has.
struct Sniff<'s>(&'s mut bool);

impl<'de> Visitor<'de> for Sniff<'_> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> Written {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            *self.0 = match key.as_str() {
                "objects" => true,
                "type" => map.next_value::<String>()? == "bundle",
                "id" => map.next_value::<String>()?.starts_with("bundle--"),
                _ => map.next_value::<IgnoredAny>().map(|_| false)?,
            };
            if *self.0 {
                return Err(A::Error::custom("enough is known"));
            }
        }
        Ok(())
    }
}
