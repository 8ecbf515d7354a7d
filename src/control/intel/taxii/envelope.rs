//! One page of a collection: an envelope, whose objects are told one after the other.
//!
//! Spec:   TAXII 2.1 §3.7 (envelope)
//! Reads:  `{"more":…,"next":…,"objects":[…]}`, in any order, as a stream
//! Yields: each object, as text on one line
//! Bounds: an object, `OBJECT_BYTES_MAX`; its strings, `limits::JSON_STRING_BYTES_MAX`; one object
//!         in memory; `next`, `NEXT_BYTES_MAX`
//! Leaves: other fields; an object over its bound, counted

use std::fmt::Formatter;
use std::fmt::Result as Written;

use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use xxhash_rust::xxh3::Xxh3;

use crate::control::intel::json::parse;
use crate::control::intel::remote::RemoteError;
use crate::control::intel::remote::http::Answer;
use crate::control::intel::taxii::merge::Merge;
use crate::control::intel::taxii::text::Object;

/// Bytes of where a page goes on: servers have numbers, UUIDs or times there.
const NEXT_BYTES_MAX: usize = 8 * 1024;

/// What a page says of what follows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Page {
    pub(super) more: bool,
    pub(super) next: Option<String>,
    /// When its last object was added.
    pub(super) added_last: Option<String>,
    /// Objects in it, of any type.
    pub(super) objects: u64,
    /// Hash of them.
    pub(super) digest: u128,
    pub(super) left_out: LeftOut,
}

/// Objects of the types that are looked for that could not be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct LeftOut {
    /// They have no id, or a version that is no text.
    pub(super) nameless: u64,
    /// They are over the bound.
    pub(super) large: u64,
}

/// Reads a page; its objects go to the merge.
///
/// # Errors
/// It is cut or no envelope, or the merge's disk is full.
pub(super) fn read(answer: &mut Answer, merge: &mut Merge<'_>) -> Result<Page, RemoteError> {
    let mut page = Page::default();
    let mut fault = None;
    let read = parse(&mut *answer, Envelope { page: &mut page, merge, fault: &mut fault });
    let Err(error) = read else { return Ok(page) };
    let what = format!("no envelope of TAXII 2.1: {error}");
    let broken = RemoteError::Answer { place: answer.place().to_owned(), what, may_mend: true };
    Err(fault.or(answer.take_failure()).unwrap_or(broken))
}

struct Envelope<'e, 'm> {
    page: &'e mut Page,
    merge: &'e mut Merge<'m>,
    fault: &'e mut Option<RemoteError>,
}

impl<'de> DeserializeSeed<'de> for Envelope<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Envelope<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> Written {
        f.write_str("an envelope")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { page, merge, fault } = self;
        let (mut has_objects, mut odd) = (false, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "more" => page.more = map.next_value()?,
                "next" => page.next = map.next_value()?,
                "objects" => {
                    has_objects = true;
                    map.next_value_seed(Objects { page, merge, fault })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    odd = odd.or(Some(key).filter(|key| !key.starts_with("x_")));
                }
            }
        }
        match (odd, &page.next) {
            // an empty page has no objects, and nothing else either
            (Some(odd), _) if !has_objects => {
                Err(A::Error::custom(format!("{odd:?} where objects are wanted")))
            }
            (_, Some(next)) if next.len() > NEXT_BYTES_MAX => {
                Err(A::Error::custom(format!("`next` of over {NEXT_BYTES_MAX} bytes")))
            }
            _ => Ok(()),
        }
    }
}

struct Objects<'e, 'm> {
    page: &'e mut Page,
    merge: &'e mut Merge<'m>,
    fault: &'e mut Option<RemoteError>,
}

impl<'de> DeserializeSeed<'de> for Objects<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Objects<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> Written {
        f.write_str("objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let (mut object, mut hash) = (Object::default(), Xxh3::new());
        while seq.next_element_seed(object.begin(&mut hash))?.is_some() {
            self.page.objects += 1;
            if let Err(error) = self.merge.add(&object, &mut self.page.left_out) {
                let what = error.to_string();
                *self.fault = Some(error);
                return Err(A::Error::custom(what));
            }
        }
        self.page.digest = hash.digest128();
        Ok(())
    }
}
