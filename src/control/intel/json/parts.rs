//! Small parts of MISP JSON, read leniently: numbers as text, flags as numbers, tags in any
//! nesting.
//!
//! Spec:   MISP core format (draft-dulaunoy-misp-core-format); what servers and PyMISP write beside
//!         it
//! Reads:  one value
//! Yields: text, number, flag, names of tags; anything of another shape is skipped
//! Bounds: the value itself; tags, `limits::JSON_TAGS_BYTES_MAX`
//! Leaves: colours, ids and relations of tags

use std::fmt::Formatter;
use std::fmt::Result as Written;
use std::fmt::Write;

use serde::de::Deserialize;
use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

use crate::control::intel::said;
use crate::model::limits::JSON_TAGS_BYTES_MAX;

/// Stands after each tag of a list kept as one text; no tag holds it.
pub const TAG_END: char = '\u{1f}';

/// Makes a visitor lenient: flags and numbers are skipped, and what else is named.
macro_rules! lenient {
    ($what:literal $(, $shape:ident)*) => {
        fn expecting(&self, f: &mut Formatter<'_>) -> Written {
            f.write_str($what)
        }
        fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
        fn visit_unit<E: Error>(self) -> Result<(), E> {
            Ok(())
        }
        $(lenient!(@$shape);)*
    };
    (@text) => {
        fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
    };
    (@list) => {
        fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
            skip_seq(seq)
        }
    };
}
pub(in crate::control::intel) use lenient;

/// A number, written as one or as text; 0 for anything else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Number(pub u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let mut text = String::new();
        Scalar(&mut text).deserialize(json)?;
        Ok(Self(text.trim().parse().unwrap_or(0)))
    }
}

/// A time in seconds since 1970, as MISP writes it, or written as a date; 0 where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// Returns the seconds, `None` of what cannot be read.
    pub fn secs(self) -> Option<u32> {
        u32::try_from(self.0).ok()
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let mut text = String::new();
        Scalar(&mut text).deserialize(json)?;
        let dated = || said::time(&text).map(|time| u64::from(time.secs()));
        // what cannot be read is no time that anyone means
        Ok(Self(text.trim().parse().ok().or_else(dated).unwrap_or(u64::MAX)))
    }
}

/// A flag, written as one, as a number or as text; `None` for anything else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flag(pub Option<bool>);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let mut text = String::new();
        Scalar(&mut text).deserialize(json)?;
        Ok(Self(match text.trim() {
            "" => None,
            text => Some(said::flag(text).unwrap_or(true)),
        }))
    }
}

/// Puts a text, number or flag into memory that is used again; empty for anything else.
pub(in crate::control::intel) struct Scalar<'s>(pub &'s mut String);

impl<'de> DeserializeSeed<'de> for Scalar<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.0.clear();
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalar<'_> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> Written {
        f.write_str("text, a number or a flag")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.push_str(text);
        Ok(())
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.0.push_str(if flag { "1" } else { "0" });
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        write!(self.0, "{number}").map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        write!(self.0, "{number}").map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        write!(self.0, "{number}").map_err(E::custom)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        skip_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        skip_map(map)
    }
}

/// Puts the `name` of an object, or a text, into memory.
pub(super) struct Named<'s>(pub &'s mut String);

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.0.clear();
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Named<'_> {
    type Value = ();
    lenient!("an object with a name", list);

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.push_str(text);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Name => map.next_value_seed(Scalar(self.0))?,
                _ => skip(&mut map)?,
            }
        }
        Ok(())
    }
}

/// Adds the names of tags to a text, each with [`TAG_END`]: of `Tag` and `EventTag` lists, and of
/// galaxies' clusters.
pub(in crate::control::intel) struct Tags<'s>(pub &'s mut String);

impl Tags<'_> {
    fn add<E: Error>(&mut self, tag: &str) -> Result<(), E> {
        if self.0.len() + tag.len() >= JSON_TAGS_BYTES_MAX {
            return Err(E::custom("more than 1 MiB of tags"));
        }
        self.0.push_str(tag);
        self.0.push(TAG_END);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Tags<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tags<'_> {
    type Value = ();
    lenient!("a list of tags or galaxies");

    fn visit_str<E: Error>(mut self, tag: &str) -> Result<(), E> {
        self.add(tag)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Tags(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut name = String::new();
        let mut is_galaxy = false;
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Name => map.next_value_seed(Scalar(&mut name))?,
                Key::TagName => {
                    is_galaxy = true;
                    let mut tag = String::new();
                    map.next_value_seed(Scalar(&mut tag))?;
                    self.add(&tag)?;
                }
                Key::GalaxyCluster | Key::Tag => {
                    is_galaxy = true;
                    map.next_value_seed(Tags(&mut *self.0))?;
                }
                _ => skip(&mut map)?,
            }
        }
        if is_galaxy { Ok(()) } else { self.add(&name) }
    }
}

/// Says whether an attribute's time is over: by all decaying models that say so, as MISP's own
/// `excludeDecayed` has it.
pub(super) struct Decay<'s>(pub &'s mut Flag);

impl<'de> DeserializeSeed<'de> for Decay<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Decay<'_> {
    type Value = ();
    lenient!("scores of decaying models", text);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Decay(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Decayed => {
                    let Flag(is_over) = map.next_value()?;
                    let before = self.0.0.unwrap_or(true);
                    *self.0 = Flag(Some(before && is_over == Some(true)));
                }
                _ => skip(&mut map)?,
            }
        }
        Ok(())
    }
}

/// What sightings say of an attribute.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sighted {
    /// How many have seen it, and how many call it a false positive.
    pub counts: [u32; 2],
    /// Seconds since 1970 when it was last seen, and of the last end that was set (type 2,
    /// expiration).
    seen_secs: u64,
    end_secs: u64,
}

impl Sighted {
    /// Returns the end that was set, in RFC 3339; none where it was seen after that.
    pub(in crate::control::intel) fn end(self) -> Option<String> {
        let end = i64::try_from(self.end_secs).ok().filter(|_| self.end_secs > self.seen_secs)?;
        jiff::Timestamp::from_second(end).ok().map(|end| end.to_string())
    }
}

/// Adds up sightings: those who saw an attribute, those who call it a false positive, and those who
/// set its end.
pub(super) struct Sightings<'s>(pub &'s mut Sighted);

impl<'de> DeserializeSeed<'de> for Sightings<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Sightings<'_> {
    type Value = ();
    lenient!("sightings", text);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Sightings(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut kind, mut date) = (Number(0), Number(0));
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Type => kind = map.next_value()?,
                Key::DateSighting => date = map.next_value()?,
                _ => skip(&mut map)?,
            }
        }
        let Sighted { counts, seen_secs, end_secs } = self.0;
        match kind.0 {
            0 => *seen_secs = date.0.max(*seen_secs),
            2 => *end_secs = date.0.max(*end_secs),
            _ => {}
        }
        if let Some(n) = usize::try_from(kind.0).ok().and_then(|kind| counts.get_mut(kind)) {
            *n = n.saturating_add(1);
        }
        Ok(())
    }
}

/// Makes the enum of the field names that we read.
macro_rules! keys {
    ($($variant:ident = $($name:literal)|+,)*) => {
        /// A field that is read; all others are one.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(super) enum Key { $(#[doc = concat!($($name, " "),+)] $variant,)* /// Any other field.
            Other, }

        impl Key {
            fn from_name(name: &str) -> Self {
                match name { $($($name)|+ => Self::$variant,)* _ => Self::Other }
            }
        }

        impl<'de> Deserialize<'de> for Key {
            fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
                struct Name;
                impl Visitor<'_> for Name {
                    type Value = Key;
                    fn expecting(&self, f: &mut Formatter<'_>) -> Written {
                        f.write_str("a field name")
                    }
                    fn visit_str<E: Error>(self, name: &str) -> Result<Key, E> {
                        Ok(Key::from_name(name))
                    }
                }
                json.deserialize_str(Name)
            }
        }
    };
}
pub(in crate::control::intel) use keys;

keys! {
    Response = "response",
    Errors = "errors",
    Event = "Event",
    Attribute = "Attribute",
    Object = "Object",
    Tag = "Tag" | "EventTag" | "AttributeTag",
    Galaxy = "Galaxy",
    GalaxyCluster = "GalaxyCluster",
    TagName = "tag_name",
    Org = "Org",
    Orgc = "Orgc",
    Name = "name",
    Info = "info",
    Id = "id",
    Uuid = "uuid",
    Timestamp = "timestamp",
    Type = "type",
    Value = "value",
    ToIds = "to_ids",
    Deleted = "deleted",
    Relation = "object_relation",
    FirstSeen = "first_seen",
    LastSeen = "last_seen",
    Comment = "comment",
    EventId = "event_id",
    ObjectId = "object_id",
    EventUuid = "event_uuid",
    Published = "published",
    PublishTimestamp = "publish_timestamp",
    AttributeCount = "attribute_count",
    DecayScore = "decay_score",
    Decayed = "decayed",
    Sighting = "Sighting",
    DateSighting = "date_sighting",
}

/// Skips a field's value, however deep, without keeping it.
///
/// # Errors
/// It is no JSON.
pub(in crate::control::intel) fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

/// Skips the rest of an object.
///
/// # Errors
/// It is no JSON.
pub(in crate::control::intel) fn skip_map<'de, A: MapAccess<'de>>(
    mut map: A,
) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Skips the rest of a list.
///
/// # Errors
/// It is no JSON.
pub(in crate::control::intel) fn skip_seq<'de, A: SeqAccess<'de>>(
    mut seq: A,
) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_flags_in_every_dress() {
        let numbers =
            ["7", "\"7\"", "\" 7 \"", "null", "\"x\"", "true", "[1]", "{\"a\":[{}]}", "-1", "1.5"];
        let read = numbers.map(|json| serde_json::from_str::<Number>(json).expect(json).0);
        assert_eq!(read, [7, 7, 7, 0, 0, 1, 0, 0, 0, 0]);
        let flags =
            ["true", "false", "1", "0", "\"1\"", "\"no\"", "\"False\"", "null", "\"\"", "[]"];
        let read = flags.map(|json| serde_json::from_str::<Flag>(json).expect(json).0);
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(read, [yes, no, yes, no, yes, no, no, None, None, None]);
    }

    #[test]
    fn tags_in_every_nesting() {
        let check = |json: &str, want: &[&str]| {
            let mut tags = String::new();
            Tags(&mut tags).deserialize(&mut serde_json::Deserializer::from_str(json)).expect(json);
            assert_eq!(tags.split_terminator(TAG_END).collect::<Vec<_>>(), want, "{json}");
        };
        check(r##"[{"name":"tlp:red","colour":"#f00"},{"id":"2","name":"b"}]"##, &["tlp:red", "b"]);
        check(r#"[{"Tag":{"name":"tlp:red"},"id":"1"}]"#, &["tlp:red"]);
        check(r#"["a","b"]"#, &["a", "b"]);
        check(
            r#"[{"name":"Threat Actor","GalaxyCluster":[{"value":"x","tag_name":"misp-galaxy:x"}]}]"#,
            &["misp-galaxy:x"],
        );
        for nothing in ["null", "[]", "-1", "1.5", "[-1,1.5,7,true]"] {
            check(nothing, &[]);
        }
    }

    #[test]
    fn all_models_must_say_that_the_time_is_over() {
        for (json, want) in [
            ("[]", None),
            ("null", None),
            (r#"[{"score":1.5,"decayed":true,"decaying_model":{"id":"1"}}]"#, Some(true)),
            (r#"[{"decayed":true},{"decayed":false}]"#, Some(false)),
            (r#"{"decayed":"1"}"#, Some(true)),
        ] {
            let mut flag = Flag(None);
            let read = Decay(&mut flag).deserialize(&mut serde_json::Deserializer::from_str(json));
            assert_eq!((read.is_ok(), flag.0), (true, want), "{json}");
        }
    }

    #[test]
    fn sightings_are_counted_by_kind() {
        let json = r#"[{"type":"0","source":""},{"type":0},{"type":"1"},{"type":"2"}]"#;
        let mut seen = Sighted::default();
        let of_json = &mut serde_json::Deserializer::from_str(json);
        Sightings(&mut seen).deserialize(of_json).expect("sightings");
        assert_eq!((seen.counts, seen.end()), ([2, 1], None));
    }

    #[test]
    fn the_last_end_counts_unless_it_was_seen_later() {
        for (json, want) in [
            (r#"[{"type":"2","date_sighting":"1700000000"}]"#, Some("2023-11-14T22:13:20Z")),
            (
                r#"[{"type":2,"date_sighting":1700000000},{"type":2,"date_sighting":5},
                    {"type":0,"date_sighting":1600000000}]"#,
                Some("2023-11-14T22:13:20Z"),
            ),
            (
                r#"[{"type":"2","date_sighting":"1700000000"},
                    {"type":"0","date_sighting":"1700000001"}]"#,
                None,
            ),
            (r#"[{"type":"2","date_sighting":"99999999999999999"}]"#, None),
            (r#"[{"type":"2"}]"#, None),
        ] {
            let mut seen = Sighted::default();
            let of_json = &mut serde_json::Deserializer::from_str(json);
            Sightings(&mut seen).deserialize(of_json).expect("sightings");
            assert_eq!(seen.end().as_deref(), want, "{json}");
        }
    }

    #[test]
    fn tags_without_end_are_an_error() {
        let json = format!("[{}\"x\"]", "\"a tag of some bytes\",".repeat(100_000));
        let tags = &mut String::new();
        let read = Tags(tags).deserialize(&mut serde_json::Deserializer::from_str(&json));
        assert!(read.is_err_and(|error| error.to_string().contains("1 MiB of tags")));
    }

    #[test]
    fn a_name_of_any_shape_replaces_the_one_before() {
        for (json, want) in [
            (r#"{"id":1,"name":"CERN"}"#, "CERN"),
            (r#"{"name":"a","name":"b"}"#, "b"),
            ("\"CIRCL\"", "CIRCL"),
            ("-1", ""),
            ("1.5", ""),
            ("null", ""),
            ("[{}]", ""),
        ] {
            let mut name = "before".to_owned();
            let json_of = &mut serde_json::Deserializer::from_str(json);
            Named(&mut name).deserialize(json_of).expect(json);
            assert_eq!(name, want, "{json}");
        }
    }
}
