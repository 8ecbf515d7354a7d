//! The walk over the answer to a search: it has the shape that MISP gives to what was searched, as
//! one of any other shape is not an empty one.
//!
//! Spec:   MISP 2.4/2.5 `JsonExport` and OpenAPI description (`/attributes/restSearch`,
//!         `/objects/restSearch`, `/events/restSearch`)
//! Reads:  `{"response":{"Attribute":[…]}}`, `{"response":[{"Object":{…}}]}`,
//!         `{"response":[{"Event":{…}}]}`, each without `response` as well; `[]` in its place where
//!         nothing is found
//! Yields: as `event`, and how many elements were listed; an error for any other shape
//! Bounds: those of `event`
//! Leaves: fields beside, and what `event` leaves within an element

use std::fmt::Formatter;
use std::fmt::Result as Written;

use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

use crate::control::intel::json::event::Attributes;
use crate::control::intel::json::event::Node;
use crate::control::intel::json::event::Objects;
use crate::control::intel::json::event::Owner;
use crate::control::intel::json::event::Reading;
use crate::control::intel::json::event::Teller;
use crate::control::intel::json::parts::Key;
use crate::control::intel::json::parts::skip;

/// What is searched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Attributes, those of objects too.
    Attributes,
    /// Objects, with their attributes.
    Objects,
    /// Events.
    Events,
}

impl What {
    fn key(self) -> Key {
        match self {
            Self::Attributes => Key::Attribute,
            Self::Objects => Key::Object,
            Self::Events => Key::Event,
        }
    }
}

/// A list, and nothing else.
pub(super) struct List<S>(pub(super) S);

impl<'de, S: Visitor<'de>> DeserializeSeed<'de> for List<S> {
    type Value = S::Value;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<S::Value, D::Error> {
        json.deserialize_seq(self.0)
    }
}

/// A map, and nothing else.
pub(super) struct One<S>(pub(super) S);

impl<'de, S: Visitor<'de>> DeserializeSeed<'de> for One<S> {
    type Value = S::Value;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<S::Value, D::Error> {
        json.deserialize_map(self.0)
    }
}

/// An answer, or what its `response` holds.
pub(super) struct Answer<'r, T> {
    reading: &'r mut Reading<T>,
    what: What,
    is_response: bool,
}

impl<'r, T: Teller> Answer<'r, T> {
    /// Returns the outermost value.
    pub(super) fn top(reading: &'r mut Reading<T>, what: What) -> Self {
        Self { reading, what, is_response: false }
    }
}

impl<'de, T: Teller> DeserializeSeed<'de> for Answer<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, T: Teller> Visitor<'de> for Answer<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> Written {
        f.write_str(match self.what {
            What::Attributes => "an object with the list `Attribute`",
            What::Objects => "a list of objects",
            What::Events => "a list of events",
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { reading, what, .. } = self;
        reading.is_misp = true;
        while seq.next_element_seed(One(Element { reading, what }))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { reading, what, is_response } = self;
        let is_wanted = is_response && what == What::Attributes;
        if is_response && !is_wanted {
            return Err(A::Error::custom("`response` is no list"));
        }
        let (mut is_there, mut tells_errors) = (false, false);
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Errors => {
                    skip(&mut map)?;
                    tells_errors = true;
                }
                Key::Response if !is_response => {
                    map.next_value_seed(Answer { reading, what, is_response: true })?;
                }
                Key::Attribute if what == What::Attributes => {
                    let owner = &mut Owner { is_answer: true, ..Owner::default() };
                    map.next_value_seed(List(Attributes::Tell(reading, owner)))?;
                    (is_there, reading.is_misp) = (true, true);
                }
                _ => skip(&mut map)?,
            }
        }
        if is_wanted && !is_there {
            return Err(A::Error::custom("`response` has no list `Attribute`"));
        }
        // whatever it lists beside
        reading.is_misp &= !tells_errors;
        Ok(())
    }
}

/// What stands in a list of objects or events: `{"Object":{…}}`, `{"Event":{…}}`.
struct Element<'r, T> {
    reading: &'r mut Reading<T>,
    what: What,
}

impl<'de, T: Teller> Visitor<'de> for Element<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> Written {
        f.write_str(match self.what {
            What::Attributes => "nothing, or an object with the list `Attribute`",
            What::Objects => "an `Object`",
            What::Events => "an `Event`",
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { reading, what } = self;
        let mut is_there = false;
        while let Some(key) = map.next_key::<Key>()? {
            if key != what.key() || what == What::Attributes {
                skip(&mut map)?;
                continue;
            }
            is_there = true;
            reading.elements += 1;
            let owner = &mut Owner::default();
            match what {
                What::Objects => map.next_value_seed(One(Objects { reading, owner }))?,
                _ => map.next_value_seed(One(Event(reading)))?,
            }
        }
        let missing = || A::Error::custom(format_args!("a list with what is none of {what:?}"));
        if is_there { Ok(()) } else { Err(missing()) }
    }
}

/// An event, which has a UUID.
struct Event<'r, T>(&'r mut Reading<T>);

impl<'de, T: Teller> Visitor<'de> for Event<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> Written {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut owner = Owner::default();
        let outcome = Node::top(self.0).fields(&mut map, &mut owner);
        self.0.teller.end(&owner);
        outcome?;
        match owner.story.uuid.is_empty() {
            true => Err(A::Error::custom("an event without `uuid`")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::intel::json::event::Found;
    use crate::control::intel::json::walk_answer;

    /// Notes the UUIDs of attributes and events.
    #[derive(Default)]
    struct Noted(Vec<String>);

    impl Teller for Noted {
        fn attribute(&mut self, found: &Found<'_>, _: &mut Owner) {
            self.0.push(found.parts.uuid.clone());
        }

        fn end(&mut self, owner: &Owner) {
            self.0.push(owner.story.uuid.clone());
        }
    }

    fn read(what: What, json: &str) -> Result<(u64, bool, Vec<String>), String> {
        let mut reading = Reading::new(Noted::default());
        let read = walk_answer(json.as_bytes(), what, &mut reading);
        let found = (reading.elements, reading.is_misp, reading.teller.0);
        read.map(|()| found).map_err(|error| error.to_string())
    }

    /// What an answer holds: its elements, and what was told of them.
    fn check(what: What, json: &str, elements: u64, told: &[&str]) {
        let told = told.iter().map(|&uuid| uuid.to_owned()).collect();
        assert_eq!(read(what, json), Ok((elements, true, told)), "{json}");
    }

    #[test]
    fn every_form_of_misp_is_read() {
        use What::Attributes;
        use What::Events;
        use What::Objects;
        let two = r#"[{"uuid":"a","type":"url"},{"type":"ip-dst","x":[],"uuid":"b"}]"#;
        check(Attributes, &format!(r#"{{"response":{{"Attribute":{two}}}}}"#), 2, &["a", "b"]);
        check(Attributes, &format!(r#"{{"Attribute":{two}}}"#), 2, &["a", "b"]);
        check(Objects, r#"{"response":[{"Object":{"uuid":"o","Attribute":[]}}]}"#, 1, &[]);
        let object = r#"[{"Object":{"name":"x","Attribute":[{"uuid":"a","type":"text"}]}}]"#;
        check(Objects, &format!(r#"{{"response":{object}}}"#), 1, &["a"]);
        check(Objects, object, 1, &["a"]);
        check(
            Events,
            r#"{"response":[{"Event":{"uuid":"e"}},{"Event":{"uuid":"f"}}]}"#,
            2,
            &["e", "f"],
        );
        check(Events, r#"[{"Event":{"uuid":"e","Attribute":[]}}]"#, 1, &["e"]);
        for what in [Attributes, Objects, Events] {
            check(what, r#"{"response":[]}"#, 0, &[]);
            check(what, "[]", 0, &[]);
        }
        check(Attributes, r#"{"response":{"Attribute":[]}}"#, 0, &[]);
        check(Attributes, r#"{"Attribute":[]}"#, 0, &[]);
    }

    #[test]
    fn any_other_shape_is_an_error() {
        for json in [
            r#"{"response":[[]]}"#,
            r#"{"response":[[{"Object":{}}]]}"#,
            r#"{"response":"x"}"#,
            r#"{"response":null}"#,
            r#"{"response":7}"#,
            r#"{"response":{}}"#,
            r#"{"response":[null]}"#,
            r#"{"response":[{}]}"#,
            r#"{"response":["x"]}"#,
            r#"{"errors":["a"],"response":[]}"#,
            r#"{"response":{"Attribute":"none"}}"#,
            r#"{"response":{"Attribute":null}}"#,
            r#"{"response":{"Attribute":{}}}"#,
            r#"{"response":{"Attribute":{"1":{"uuid":"a","type":"url"}}}}"#,
            r#"{"response":{"Attribute":[[]]}}"#,
            r#"{"response":{"Attribute":["x"]}}"#,
            r#"{"response":{"Attribute":[{}]}}"#,
            r#"{"response":{"response":{"Attribute":[]}}}"#,
            r#"{"response":[{"Event":{"info":"no uuid"}}]}"#,
            r#"{"response":[{"Event":[]}]}"#,
            r#"{"response":[{"Object":"x"}]}"#,
            r#"{"response":[{"Object":{"Attribute":"none"}}]}"#,
            r#"{"response":[{"Object":{"Attribute":["x"]}}]}"#,
            r#"{"response":[{"Object":{"Attribute":[{"value":"x"}]}}]}"#,
            r#"{"Attribute":"none"}"#,
            "[[]]",
            "[7]",
            "null",
            "\"x\"",
        ] {
            for what in [What::Attributes, What::Objects, What::Events] {
                let read = read(what, json);
                assert!(read.is_err() || read.is_ok_and(|(_, is_misp, _)| !is_misp), "{json}");
            }
        }
        // what is right for one is wrong for the others
        let (attributes, event) =
            (r#"{"response":{"Attribute":[]}}"#, r#"{"response":[{"Event":{"uuid":"e"}}]}"#);
        for (what, json) in [
            (What::Objects, attributes),
            (What::Events, attributes),
            (What::Attributes, event),
            (What::Objects, event),
        ] {
            assert!(read(what, json).is_err(), "{what:?} {json}");
        }
    }

    #[test]
    fn what_lists_nothing_is_no_answer() {
        for json in ["{}", r#"{"errors":"x"}"#, r#"{"name":"x","message":"x","url":"/x"}"#] {
            let read = read(What::Attributes, json).expect("JSON");
            assert!(!read.1, "{json}");
        }
    }
}
