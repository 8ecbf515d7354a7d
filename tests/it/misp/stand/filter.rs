//! What a restSearch asks for.
//!
//! Spec:   MISP 2.5 `RestSearchComponent::$paramArray`, `MispAttribute::buildFilterConditions`,
//!         `setTimestampConditions` (from a time on, or between two), `set_filter_tags` (of the
//!         attribute or its event)
//! Leaves: parameters that `KNOWN` does not name; they are reported, so that a client that
//!         misspells one is found out

use serde_json::Value;

use super::state::Attribute;
use super::state::Event;
use super::state::now;

/// Parameters that are understood here, or mean nothing here.
const KNOWN: &[&str] = &[
    "returnFormat",
    "page",
    "limit",
    "type",
    "category",
    "tags",
    "event_tags",
    "to_ids",
    "published",
    "deleted",
    "attribute_timestamp",
    "timestamp",
    "event_timestamp",
    "publish_timestamp",
    "last",
    "uuid",
    "eventid",
    "value",
    "org",
    "threat_level_id",
    "object_relation",
    "object_name",
    "metadata",
    "includeEventUuid",
    "includeEventTags",
    "includeContext",
    "includeAttributeUuid",
    "includeWarninglistHits",
    "includeDecayScore",
    "includeSightings",
    "includeCorrelations",
    "includeGalaxy",
    "includeAllTags",
    "includeFullModel",
    "sgReferenceOnly",
    "withAttachments",
    "enforceWarninglist",
    "order",
    "quickFilter",
    "from",
    "to",
    "eventinfo",
    "searchall",
    "requested_attributes",
    "headerless",
    "excludeDecayed",
    "sharinggroup",
    "noEventReports",
    "noShadowAttributes",
    "excludeGalaxy",
];

/// Alternatives, what must be there, and what must not; `%` stands for anything.
#[derive(Default)]
struct Terms {
    any: Vec<String>,
    all: Vec<String>,
    none: Vec<String>,
}

/// The parameters of a request.
pub(crate) struct Filter<'a> {
    body: &'a Value,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(body: &'a Value) -> Self {
        Self { body }
    }

    /// Names of parameters that MISP has not, or that this stand-in leaves.
    pub(crate) fn unknown(&self) -> Vec<String> {
        let names = self.body.as_object().into_iter().flat_map(|body| body.keys());
        names.filter(|name| !KNOWN.contains(&name.as_str())).cloned().collect()
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        number(&self.body[name])
    }

    pub(crate) fn is_set(&self, name: &str) -> bool {
        !matches!(&self.body[name], Value::Null | Value::Bool(false))
            && self.number(name) != Some(0)
    }

    /// Whether an attribute is asked for, but for `timestamp`, which is of what is searched.
    pub(crate) fn takes(&self, one: &Attribute, event: &Event) -> bool {
        self.takes_level(event) && self.takes_of_object(one, event)
    }

    /// The same where objects are searched, for which levels do not count.
    pub(crate) fn takes_of_object(&self, one: &Attribute, event: &Event) -> bool {
        let own = one.tags.iter().chain(&event.tags).map(String::as_str).collect::<Vec<_>>();
        let relation = one.relation.as_deref().unwrap_or_default();
        self.takes_event(event)
            && self.terms("type").take(&[&one.ty])
            && self.terms("category").take(&[&one.category])
            && self
                .terms("value")
                .take(&one.value.split('|').chain([&*one.value]).collect::<Vec<_>>())
            && self.terms("object_relation").take(&[relation])
            && self.terms("uuid").take(&[&one.uuid, &event.uuid])
            && self.terms("tags").take(&own)
            && self.flag("to_ids").is_none_or(|wanted| wanted.contains(&one.to_ids))
            && self.takes_deleted(one.deleted)
            && self.takes_time("attribute_timestamp", one.timestamp)
    }

    /// Whether what its event is suits.
    pub(crate) fn takes_event(&self, event: &Event) -> bool {
        let tags = event.tags.iter().map(String::as_str).collect::<Vec<_>>();
        self.flag("published").is_none_or(|wanted| wanted.contains(&event.published))
            && self.terms("eventid").take(&[&event.id.to_string(), &event.uuid])
            && self.terms("org").take(&[&event.organisation, "1"])
            && self.terms("event_tags").take(&tags)
            && self.takes_time("event_timestamp", event.timestamp)
            && self.takes_time("publish_timestamp", event.publish_timestamp)
            && self.takes_time("last", event.publish_timestamp)
    }

    /// Whether an event's threat level is asked for.
    pub(crate) fn takes_level(&self, event: &Event) -> bool {
        self.terms("threat_level_id").take(&[&event.threat_level.to_string()])
    }

    /// Whether an object's name is asked for.
    pub(crate) fn takes_object(&self, name: &str) -> bool {
        self.terms("object_name").take(&[name])
    }

    pub(crate) fn takes_deleted(&self, is_deleted: bool) -> bool {
        let wanted = if self.body["deleted"] == "only" { None } else { self.flag("deleted") };
        match wanted {
            Some(wanted) => wanted.contains(&is_deleted),
            None => is_deleted == (self.body["deleted"] == "only"),
        }
    }

    /// Whether a time is asked for.
    pub(crate) fn takes_time(&self, name: &str, time: u64) -> bool {
        match &self.body[name] {
            Value::Null => true,
            Value::Array(range) if range.len() == 2 => {
                moment(&range[0]) <= time && time <= moment(&range[1])
            }
            from => moment(from) <= time,
        }
    }

    /// The truth values that are asked for; `None`: not asked.
    fn flag(&self, name: &str) -> Option<Vec<bool>> {
        let one = |value: &Value| match value {
            Value::Bool(flag) => Some(*flag),
            other => Some(number(other)? != 0),
        };
        match &self.body[name] {
            Value::Null => None,
            Value::Array(list) => Some(list.iter().filter_map(one).collect()),
            value => Some(one(value).into_iter().collect()),
        }
    }

    fn terms(&self, name: &str) -> Terms {
        let mut terms = Terms::default();
        match &self.body[name] {
            Value::Object(map) => {
                terms.any = texts(map.get("OR"));
                terms.all = texts(map.get("AND"));
                terms.none = texts(map.get("NOT"));
            }
            value => {
                for text in texts(Some(value)) {
                    match text.strip_prefix('!') {
                        Some(not) => terms.none.push(not.to_owned()),
                        None => terms.any.push(text),
                    }
                }
            }
        }
        terms
    }
}

impl Terms {
    fn take(&self, values: &[&str]) -> bool {
        let has = |term: &String| values.iter().any(|value| is_like(term, value));
        (self.any.is_empty() || self.any.iter().any(has))
            && self.all.iter().all(has)
            && !self.none.iter().any(has)
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.iter().flat_map(|one| texts(Some(one))).collect(),
        Some(Value::String(text)) => vec![text.clone()],
        Some(other) => vec![other.to_string()],
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        Value::Bool(flag) => Some(u64::from(*flag)),
        _ => None,
    }
}

/// A time in seconds, or so long before now: `5d`, `12h`, `30m`.
fn moment(value: &Value) -> u64 {
    if let Some(seconds) = number(value) {
        return seconds;
    }
    let text = value.as_str().unwrap_or_default();
    let unit = match text.chars().last() {
        Some('d') => 86_400,
        Some('h') => 3_600,
        Some('m') => 60,
        _ => 1,
    };
    let count = text.trim_end_matches(char::is_alphabetic).parse::<u64>();
    now() - count.expect("a time as MISP writes it") * unit
}

/// SQL's `LIKE`, of `%` alone, where case does not count.
fn is_like(pattern: &str, value: &str) -> bool {
    let (pattern, value) = (pattern.to_lowercase(), value.to_lowercase());
    let mut parts = pattern.split('%');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = value.strip_prefix(first) else { return false };
    let mut is_whole = true;
    for part in parts {
        let Some(at) = rest.rfind(part) else { return false };
        is_whole = part.is_empty();
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || (is_whole && pattern.ends_with('%'))
}
