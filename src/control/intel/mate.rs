//! What an attribute is meant with: another one of its object, and what the filter asks of that.
//! What is left out for itself takes no part.

use std::borrow::Cow;

use serde::Deserialize;
use serde::Serialize;

use crate::control::intel::json::AttributeParts;
use crate::control::intel::said::known;

/// An attribute that another one of its object is meant with.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Mate<'a> {
    /// Value; of a port its number.
    #[serde(rename = "v", borrow)]
    pub value: Cow<'a, str>,
    /// Not for detection.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub not_for_ids: bool,
    /// What is said of it; nothing where that is the same of all attributes of its object.
    #[serde(rename = "w", borrow, default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told<'a>>,
}

/// What is said of it, its event aside.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Told<'a> {
    /// Tags, each with `TAG_END`.
    #[serde(rename = "g", borrow, default, skip_serializing_if = "str::is_empty")]
    pub tags: Cow<'a, str>,
    /// Seconds since 1970 when it was last seen, or else changed; 0 where unknown.
    #[serde(rename = "t", default)]
    pub last_secs: u32,
    /// Until when it counts, likewise; 0 where nothing says.
    #[serde(rename = "u", default, skip_serializing_if = "is_zero")]
    pub until_secs: u32,
    /// Its time is over by MISP's decaying models.
    #[serde(rename = "z", default, skip_serializing_if = "std::ops::Not::not")]
    pub decayed: bool,
}

impl<'a> Mate<'a> {
    /// Returns what is kept of an attribute that has tags and times of its own.
    pub fn of(part: &'a AttributeParts) -> Self {
        let changed_secs = part.timestamp.secs().unwrap_or(0);
        let last = [known(&part.last_seen).secs(), changed_secs];
        let told = Told {
            tags: Cow::Borrowed(&part.tags),
            last_secs: last.into_iter().find(|secs| *secs != 0).unwrap_or(0),
            until_secs: known(&part.valid_until).secs(),
            decayed: part.decayed.0 == Some(true),
        };
        let not_for_ids = part.to_ids.0 == Some(false);
        Self { value: Cow::Borrowed(part.value.trim()), not_for_ids, told: Some(told) }
    }

    /// Returns the same with texts of its own.
    pub fn into_owned(self) -> Mate<'static> {
        let told = self.told.map(|told| Told {
            tags: Cow::Owned(told.tags.into_owned()),
            last_secs: told.last_secs,
            until_secs: told.until_secs,
            decayed: told.decayed,
        });
        let value = Cow::Owned(self.value.into_owned());
        Mate { value, not_for_ids: self.not_for_ids, told }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(secs: &u32) -> bool {
    *secs == 0
}
