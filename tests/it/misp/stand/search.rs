//! Answers to searches, as MISP writes them.
//!
//! Spec:   MISP 2.5 `AppController::restSearch`, `MispAttribute::__iteratedFetch` (rows are counted
//!         before any is left out; a full page, or one of which nothing is left, counts one more),
//!         `JsonExport`; the OpenAPI description of MISP

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value;
use serde_json::json;

use super::filter::Filter;
use super::state::Attribute;
use super::state::Event;
use super::state::Object;
use super::state::State;
use super::state::Warninglist;
use super::state::made;

/// A page of an answer.
pub(crate) struct Page {
    pub(crate) body: Value,
    /// `X-Result-Count`.
    pub(crate) counted: usize,
    /// `X-Skipped-Elements-Count`.
    pub(crate) skipped: usize,
}

/// Which rows are on a page: from one on, how many at most.
fn bounds(filter: &Filter<'_>) -> (usize, usize) {
    let limit = filter.number("limit").filter(|&limit| limit > 0).unwrap_or(u64::from(u32::MAX));
    let page = filter.number("page").unwrap_or(1).max(1);
    (((page - 1) * limit) as usize, limit as usize)
}

fn page<T>(rows: impl Iterator<Item = T>, filter: &Filter<'_>, repeats_rows: bool) -> Vec<T> {
    let (mut from, limit) = bounds(filter);
    if repeats_rows && from > 0 {
        from -= 1;
    }
    rows.skip(from).take(limit).collect()
}

/// `POST /attributes/restSearch`.
pub(crate) fn attributes(state: &State, filter: &Filter<'_>) -> Page {
    let is_asked = |one: &Attribute| {
        filter.takes(one, state.event_of(one.event))
            && filter.takes_time("timestamp", one.timestamp)
    };
    let kept = state.attributes.iter().filter(|one| is_asked(one));
    let rows = page(kept, filter, state.repeats_rows);
    let read = rows.len();
    let left = rows.iter().filter(|one| !one.is_held_back).map(|one| attribute(state, one, filter));
    let list = left.collect::<Vec<_>>();
    let is_full = read == bounds(filter).1;
    Page {
        counted: read + usize::from(is_full || list.is_empty()),
        skipped: read - list.len(),
        body: json!({ "response": { "Attribute": list } }),
    }
}

/// Which of the attributes that are made when they are asked for are on a page: none where the
/// filter takes none of the first.
pub(crate) fn made_rows(state: &State, filter: &Filter<'_>) -> Range<u64> {
    let (from, limit) = bounds(filter);
    let (from, end) = (from as u64, from.saturating_add(limit) as u64);
    let is_asked = |number| filter.takes(&made(number), state.event_of(1));
    let all = if (0..4).any(is_asked) { state.made } else { 0 };
    from.min(all)..end.min(all)
}

/// `POST /objects/restSearch`: by the time of the event (`MispObject::set_filter_timestamp`),
/// whatever its threat level; neither scores nor sightings, and of the event no uuid.
pub(crate) fn objects(state: &State, filter: &Filter<'_>) -> Page {
    let parts = |object: &Object| {
        let of = state.attributes.iter().filter(move |one| one.object == object.id);
        of.cloned().collect::<Vec<_>>()
    };
    let is_asked = |object: &&Object| {
        let event = state.event_of(object.event);
        let has = parts(object).iter().any(|one| filter.takes_of_object(one, event));
        filter.takes_object(&object.name) && filter.takes_time("timestamp", event.timestamp) && has
    };
    let rows = page(state.objects.iter().filter(is_asked), filter, state.repeats_rows);
    let list = rows.iter().map(|object| {
        let left = parts(object).into_iter().filter(|one| filter.takes_deleted(one.deleted));
        let event = state.event_of(object.event);
        let parts = left.map(|one| attribute(state, &one, filter)).collect::<Vec<_>>();
        json!({ "Object": {
            "id": object.id.to_string(), "name": object.name, "meta-category": "network",
            "description": "", "template_uuid": "0b8a2d4e-0000-4000-8000-000000000001",
            "template_version": "1", "event_id": object.event.to_string(), "uuid": object.uuid,
            "timestamp": object.timestamp.to_string(), "distribution": "5",
            "sharing_group_id": "0", "comment": "", "deleted": false, "first_seen": null,
            "last_seen": null, "ObjectReference": [], "Attribute": parts,
            "Event": {
                "id": event.id.to_string(), "info": event.info, "org_id": "1", "orgc_id": "1",
            },
        }})
    });
    let list = list.collect::<Vec<_>>();
    Page { counted: list.len(), skipped: 0, body: json!({ "response": list }) }
}

/// `POST /events/restSearch`.
pub(crate) fn events(state: &State, filter: &Filter<'_>) -> Page {
    let of = |event: &Event| {
        let id = event.id;
        state.attributes.iter().filter(move |one| one.event == id)
    };
    let narrows = ["type", "category", "value", "object_relation", "to_ids", "attribute_timestamp"]
        .iter()
        .any(|name| filter.is_set(name));
    let is_asked = |event: &&Event| {
        let has = of(event).any(|one| filter.takes(one, event));
        let is_in_time = filter.takes_time("timestamp", event.timestamp)
            && (filter.is_set("eventid") || !state.unlisted.contains(&event.id));
        is_in_time && filter.takes_event(event) && filter.takes_level(event) && (has || !narrows)
    };
    let rows = page(state.events.iter().filter(is_asked), filter, state.repeats_rows);
    let list = rows.iter().map(|event| {
        let mut whole = long_event(state, event, filter);
        if !filter.is_set("metadata") {
            let own = of(event).filter(|one| one.object == 0 && filter.takes_deleted(one.deleted));
            let own = own.map(|one| attribute(state, one, filter)).collect::<Vec<_>>();
            whole["Attribute"] = Value::Array(own);
            let ids = state.objects.iter().filter(|object| object.event == event.id);
            let ids = ids.map(|object| object.id).collect::<BTreeSet<_>>();
            let inner = objects(state, &Filter::new(&Value::Null)).body;
            let inner = inner["response"].as_array().expect("a list").iter();
            let inner = inner.map(|one| one["Object"].clone());
            let is_own = |one: &Value| {
                let id = one["id"].as_str().and_then(|id| id.parse().ok());
                id.is_some_and(|id| ids.contains(&id))
            };
            whole["Object"] = Value::Array(inner.filter(is_own).collect());
        }
        json!({ "Event": whole })
    });
    let list = list.collect::<Vec<_>>();
    Page { counted: list.len(), skipped: 0, body: json!({ "response": list }) }
}

/// One attribute, with what was asked to be with it.
pub(crate) fn attribute(state: &State, one: &Attribute, filter: &Filter<'_>) -> Value {
    let event = state.event_of(one.event);
    let mut json = json!({
        "id": one.id.to_string(), "event_id": one.event.to_string(),
        "object_id": one.object.to_string(), "object_relation": one.relation,
        "category": one.category, "type": one.ty, "to_ids": one.to_ids, "uuid": one.uuid,
        "timestamp": one.timestamp.to_string(), "distribution": "5", "sharing_group_id": "0",
        "comment": "", "deleted": one.deleted, "disable_correlation": false, "first_seen": null,
        "last_seen": null, "value": one.value,
    });
    let has_context = filter.is_set("includeContext");
    json["Event"] = if has_context { long_event(state, event, filter) } else { short_event(event) };
    if filter.is_set("includeEventUuid") || filter.is_set("includeAttributeUuid") {
        json["event_uuid"] = Value::from(event.uuid.clone());
    }
    if filter.is_set("includeDecayScore") {
        json["decay_score"] = json!([{ "score": 12.5, "base_score": 80, "decayed": one.is_decayed,
            "DecayingModel": { "id": "1", "name": "NIDS Simple Decaying Model" } }]);
    }
    if let Some(date) = one.ends.filter(|_| filter.is_set("includeSightings")) {
        json["Sighting"] = json!([{ "id": "1", "attribute_id": one.id.to_string(),
            "event_id": one.event.to_string(), "org_id": "1", "date_sighting": date.to_string(),
            "uuid": "0b8a2d4e-0000-4000-8000-000000000002", "source": "", "type": "2" }]);
    }
    let mut tags = tags(state, &one.tags, filter);
    if filter.is_set("includeEventTags") {
        for mut tag in self::tags(state, &event.tags, filter) {
            tag["inherited"] = Value::from(1);
            tags.push(tag);
        }
    }
    if !tags.is_empty() {
        json["Tag"] = Value::Array(tags);
    }
    json
}

/// The tags of something, but those that are not exported and not asked for.
fn tags(state: &State, names: &[String], filter: &Filter<'_>) -> Vec<Value> {
    let tag =
        |name: &String| json!({ "id": "7", "name": name, "colour": "#0088cc", "local": false });
    let is_shown = |name: &&String| {
        filter.is_set("includeAllTags") || !state.unexported_tags.contains(name.as_str())
    };
    names.iter().filter(is_shown).map(tag).collect()
}

fn short_event(event: &Event) -> Value {
    json!({
        "org_id": "1", "distribution": "1",
        "publish_timestamp": event.publish_timestamp.to_string(),
        "id": event.id.to_string(), "info": event.info, "orgc_id": "1", "uuid": event.uuid,
    })
}

fn long_event(state: &State, event: &Event, filter: &Filter<'_>) -> Value {
    let count = state.attributes.iter().filter(|one| one.event == event.id && !one.deleted).count();
    let count = count as u64 + if event.id == 1 { state.made } else { 0 };
    let mut json = json!({
        "id": event.id.to_string(), "orgc_id": "1", "org_id": "1", "date": "2026-01-01",
        "threat_level_id": event.threat_level.to_string(), "info": event.info,
        "published": event.published, "uuid": event.uuid, "analysis": "2",
        "timestamp": event.timestamp.to_string(), "distribution": "1",
        "publish_timestamp": event.publish_timestamp.to_string(), "sharing_group_id": "0",
        "extends_uuid": "", "Tag": tags(state, &event.tags, filter),
        "Orgc": {
            "id": "1", "name": event.organisation, "local": true,
            "uuid": "55f6ea5e-2c60-40e5-964f-47a8950d210f",
        },
    });
    if !state.counts_nothing {
        json["attribute_count"] = Value::from(count.to_string());
    }
    json
}

/// `GET /warninglists`: without their entries.
pub(crate) fn warninglists(state: &State) -> Value {
    let list = state.warninglists.iter().map(|list| json!({ "Warninglist": head(list) }));
    json!({ "Warninglists": list.collect::<Vec<_>>() })
}

/// `GET /warninglists/view/ID`.
pub(crate) fn warninglist(state: &State, id: &str) -> Option<Value> {
    let list = state.warninglists.iter().find(|list| list.id.to_string() == id)?;
    let mut whole = head(list);
    let entry = |(number, value): (usize, &String)| {
        json!({
            "id": (number + 1).to_string(), "value": value, "comment": null,
            "warninglist_id": list.id.to_string(),
        })
    };
    let types = list.types.iter().enumerate().map(|(number, ty)| {
        json!({
            "id": (number + 1).to_string(), "type": ty, "warninglist_id": list.id.to_string(),
        })
    });
    whole["WarninglistType"] = types.collect();
    whole["WarninglistEntry"] = list.values.iter().enumerate().map(entry).collect();
    Some(json!({ "Warninglist": whole }))
}

fn head(list: &Warninglist) -> Value {
    json!({
        "id": list.id.to_string(), "name": list.name, "type": list.ty, "description": list.name,
        "version": list.version.to_string(), "enabled": list.enabled, "default": true,
        "category": "false_positive", "warninglist_entry_count": list.values.len().to_string(),
        "valid_attributes": list.types.join(", "),
    })
}

/// Numbers of some fields as numbers.
pub(crate) fn make_plain(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(make_plain),
        Value::Object(map) => {
            for (name, inner) in map {
                let is_number =
                    name == "id" || name.ends_with("_id") || name.ends_with("timestamp");
                let number = inner.as_str().and_then(|text| text.parse::<u64>().ok());
                match number {
                    Some(number) if is_number || name == "distribution" => {
                        *inner = Value::from(number);
                    }
                    _ => make_plain(inner),
                }
            }
        }
        _ => {}
    }
}
