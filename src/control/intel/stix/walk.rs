//! The walk over a bundle, or over the envelope of an answer: each object in its order.

use std::fmt::Formatter;
use std::fmt::Result as Written;

use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

use crate::control::intel::json::parts::lenient;
use crate::control::intel::json::parts::skip;
use crate::control::intel::json::parts::skip_seq;
use crate::control::intel::stix::object::Key;

/// Takes what a walk finds.
pub(super) trait Taker {
    /// Reads and takes one object.
    fn object<'de, A: MapAccess<'de>>(&mut self, map: A) -> Result<(), A::Error>;
}

/// A bundle, or an envelope: what holds objects.
pub(super) struct Top<'t, T>(pub(super) &'t mut T);

impl<'de, T: Taker> DeserializeSeed<'de> for Top<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, T: Taker> Visitor<'de> for Top<'_, T> {
    type Value = ();
    lenient!("a STIX bundle", text, list);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Objects => map.next_value_seed(Objects(&mut *self.0))?,
                _ => skip(&mut map)?,
            }
        }
        Ok(())
    }
}

/// The objects of a bundle, or one of them.
struct Objects<'t, T>(&'t mut T);

impl<'de, T: Taker> DeserializeSeed<'de> for Objects<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, T: Taker> Visitor<'de> for Objects<'_, T> {
    type Value = ();
    lenient!("objects", text);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Objects(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.object(map)
    }
}
