//! What a MISP server is asked, as the settings say.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::control::intel::misp::MispSettings;
use crate::control::intel::misp::record::AttributeLine;
use crate::control::intel::misp::record::FilterLine;

impl MispSettings {
    /// Returns all that decides what a base holds.
    pub(super) fn question(&self, place: &str) -> String {
        json!({
            "place": place,
            "types": self.types,
            "orgs": self.orgs,
            "threat_levels": self.threat_levels,
            "objects": self.objects,
            "tags": self.tags,
            "include_non_ids": self.include_non_ids,
            "decay_scores": self.decay_scores,
            "sightings": self.sightings,
        })
        .to_string()
    }

    pub(super) fn filter(&self) -> FilterLine {
        let (tags, max_tlp) = (self.tags.clone(), self.max_tlp.clone());
        FilterLine { published_only: self.published_only, tags, max_tlp }
    }

    /// Returns what every search asks for.
    pub(super) fn filters(&self) -> Map<String, Value> {
        let mut filters = Map::new();
        let mut put = |key: &str, value: Value| filters.insert(key.to_owned(), value);
        // those that are not exported, too: an organisation's own workflow has such
        put("includeAllTags", json!(true));
        if !self.orgs.is_empty() {
            put("org", json!(self.orgs));
        }
        if !self.threat_levels.is_empty() {
            put("threat_level_id", json!(self.threat_levels));
        }
        filters
    }

    /// Returns what searches for attributes ask for.
    pub(super) fn attribute_filters(&self) -> Map<String, Value> {
        let mut filters = self.filters();
        if !self.types.is_empty() {
            filters.insert("type".to_owned(), json!(self.types));
        }
        for (is_asked, what) in [
            (true, "includeEventUuid"),
            (self.decay_scores, "includeDecayScore"),
            (self.sightings, "includeSightings"),
        ] {
            if is_asked {
                filters.insert(what.to_owned(), json!(true));
            }
        }
        filters
    }

    /// Returns the same of attributes of any type.
    pub(super) fn of_all_types(&self) -> Self {
        Self { types: Vec::new(), ..self.clone() }
    }

    /// Tells whether a search for all attributes that may match would find it, the server's own
    /// filters aside.
    pub(in crate::control::intel::misp) fn asks_for(&self, line: &AttributeLine<'_>) -> bool {
        let is_of_type = self.types.is_empty() || self.types.iter().any(|ty| *ty == line.kind);
        is_of_type && (self.include_non_ids || !line.not_for_ids) && !line.deleted
    }

    /// Returns what a search for everything may leave out on the server: what a change may bring
    /// back shows as a change.
    pub(super) fn narrowed(&self, mut filters: Map<String, Value>) -> Map<String, Value> {
        let needed = self.needed_tags().map(|tag| tag.replace('*', "%")).collect::<Vec<_>>();
        if !needed.is_empty() {
            filters.insert("tags".to_owned(), json!({ "OR": needed }));
        }
        filters
    }

    /// Returns the tags of which one is needed.
    pub(super) fn needed_tags(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().map(|tag| tag.trim()).filter(|tag| !tag.starts_with('!'))
    }
}

/// Asks for what is soft-deleted, too.
pub(super) fn with_deleted(mut filters: Map<String, Value>) -> Map<String, Value> {
    filters.insert("deleted".to_owned(), json!([0, 1]));
    filters
}
