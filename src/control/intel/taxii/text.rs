//! One object as it came, written again as text on one line: memory is bounded whatever it holds,
//! as nothing but the text is kept.
//!
//! Reads:  one JSON object
//! Yields: its text, without white space between its parts, and its type
//! Bounds: `OBJECT_BYTES_MAX`, `TYPE_BYTES_MAX`; nesting, as `serde_json` bounds it
//! Leaves: the text of an object over the bound, which is read to its end and hashed all the same

use std::fmt::Formatter;
use std::fmt::Result as Written;

use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use xxhash_rust::xxh3::Xxh3;

/// Bytes of one object: a pattern of a hundred thousand alternatives.
const OBJECT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a type.
const TYPE_BYTES_MAX: usize = 256;

/// One object.
#[derive(Debug, Default)]
pub(super) struct Object {
    /// The text; where it is too large, its beginning.
    pub(super) text: Vec<u8>,
    /// The type; empty where there is none.
    pub(super) kind: String,
    pub(super) is_too_large: bool,
}

impl Object {
    /// Begins to read the next one into it.
    pub(super) fn begin<'o>(&'o mut self, hash: &'o mut Xxh3) -> Reading<'o> {
        self.text.clear();
        self.kind.clear();
        self.is_too_large = false;
        Reading { object: self, hash }
    }
}

/// Reads an object.
pub(super) struct Reading<'o> {
    object: &'o mut Object,
    hash: &'o mut Xxh3,
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> Written {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Self { object, hash } = self;
        let mut copy = Copy {
            text: &mut object.text,
            bytes_max: OBJECT_BYTES_MAX,
            is_over: false,
            hash,
            kind: Some(&mut object.kind),
        };
        (&mut copy).visit_map(map)?;
        object.is_too_large = copy.is_over;
        Ok(())
    }
}

/// Writes what is read as JSON.
struct Copy<'c> {
    text: &'c mut Vec<u8>,
    bytes_max: usize,
    is_over: bool,
    hash: &'c mut Xxh3,
    /// Takes the type of the outermost object.
    kind: Option<&'c mut String>,
}

impl Copy<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.is_over |= self.text.len() + bytes.len() > self.bytes_max;
        if !self.is_over {
            self.text.extend_from_slice(bytes);
        }
    }

    fn value(&mut self, value: &(impl serde::Serialize + ?Sized)) {
        // numbers and texts: nothing that JSON lacks
        let text = serde_json::to_vec(value).unwrap_or_default();
        self.put(&text);
    }

    /// Puts a comma before each part but the first.
    fn part(&mut self, is_first: &mut bool) {
        if !std::mem::take(is_first) {
            self.put(b",");
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Copy<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Copy<'_> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> Written {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.value(&value);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.value(&value);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.value(&value);
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.value(&value);
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.put(b"null");
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.value(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut is_first = true;
        self.put(b"[");
        loop {
            let before = self.text.len();
            self.part(&mut is_first);
            if seq.next_element_seed(&mut *self)?.is_none() {
                // no part follows the comma
                self.text.truncate(before);
                self.put(b"]");
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let kind = self.kind.take();
        let mut of_type = None;
        let mut is_first = true;
        self.put(b"{");
        while let Some(key) = map.next_key::<String>()? {
            self.part(&mut is_first);
            self.value(&key);
            self.put(b":");
            if kind.is_none() || key != "type" {
                map.next_value_seed(&mut *self)?;
                continue;
            }
            // whatever was too large before it
            let mut text = Vec::new();
            map.next_value_seed(&mut Copy {
                text: &mut text,
                bytes_max: TYPE_BYTES_MAX,
                is_over: false,
                hash: &mut *self.hash,
                kind: None,
            })?;
            of_type = serde_json::from_slice::<String>(&text).ok();
            self.put(&text);
        }
        self.put(b"}");
        if let Some(to) = kind {
            *to = of_type.unwrap_or_default();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> (Object, u128) {
        let (mut object, mut hash) = (Object::default(), Xxh3::new());
        let mut json = serde_json::Deserializer::from_str(json);
        object.begin(&mut hash).deserialize(&mut json).expect("JSON");
        (object, hash.digest128())
    }

    #[test]
    fn the_text_says_the_same_on_one_line() {
        for text in [
            r#"{"type":"indicator","a":[1,-2,3.5,null,true,[],{}],"b":{"type":"x","c":"\u0007\n\"é"}}"#,
            "{}",
        ] {
            let pretty = text.replace(',', ",\n ").replace('{', "{ ");
            let (object, _) = read(&pretty);
            assert_eq!(String::from_utf8_lossy(&object.text), text);
            assert!(!object.is_too_large);
        }
        assert_eq!(read(r#"{"x":1,"type":"indicator"}"#).0.kind, "indicator");
        assert_eq!(read(r#"{"type":["indicator"]}"#).0.kind, "");
    }

    #[test]
    fn one_that_is_too_large_is_read_to_its_end_but_not_kept() {
        let zeros = "0,".repeat(OBJECT_BYTES_MAX / 2 + 1);
        let one = |last: &str| read(&format!("{{\"x\":[{zeros}{last}],\"type\":\"indicator\"}}"));
        let (object, hash) = one("1");
        assert!(object.is_too_large && object.text.len() <= OBJECT_BYTES_MAX);
        assert_eq!(object.kind, "indicator");
        assert_ne!(hash, one("2").1);
    }
}
