//! STIX bundles: indicators with the patterns that say what an attribute can.
//!
//! Spec:   STIX 2.1 §4.7 (indicator), §8 (bundle), §9 (patterns); STIX 2.0 where it is the same
//! Reads:  `{"type":"bundle",…}`, and the envelopes of TAXII 2.1, in any order of their fields
//! Yields: attributes, one for each alternative of a pattern; what no type says is told as left out
//! Bounds: as `json`; `pattern`, `bundle`
//! Leaves: observed data and observables, which were seen and not called bad; relationships;
//!         objects of MISP (`x-misp-object`); of several versions of one object each counts

mod bundle;
pub mod inexact;
mod marking;
mod meaning;
mod object;
mod pattern;
#[cfg(test)]
mod tests;

use std::fmt::Formatter;
use std::fmt::Result as Written;

use serde::de::Deserializer;
use serde::de::Error;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::Visitor;

use crate::control::intel::Fault;
use crate::control::intel::Format;
use crate::control::intel::harvest::Gather;
use crate::control::intel::input::Stream;
use crate::control::intel::input::trimmed;
use crate::control::intel::json;
use crate::control::intel::stix::bundle::Bundle;
use crate::control::intel::stix::bundle::Top;

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
    let mut bundle = Bundle::new(gather);
    let outcome = json::parse(stream.into_read(), Top(&mut bundle));
    bundle.finish(outcome.map_err(|error| json::fault(&error)))
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
