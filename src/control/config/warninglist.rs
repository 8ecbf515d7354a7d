//! `[[warninglists]]`: folders of warninglists, and what becomes of the indicators that they name.

use std::path::PathBuf;

use crate::control::config::reader::Section;
use crate::control::intel::warninglist::Action;
use crate::control::intel::warninglist::WarninglistSettings;

const ACTIONS: &[(&str, Action)] =
    &[("drop", Action::Drop), ("downgrade", Action::Downgrade), ("inform", Action::Inform)];

/// Reads the tables.
pub(super) fn warninglists(all: &mut Section<'_, '_>) -> WarninglistSettings {
    let mut settings = WarninglistSettings::default();
    all.tables("warninglists", |section| one(section, &mut settings));
    settings
}

fn one(mut section: Section<'_, '_>, settings: &mut WarninglistSettings) {
    let path = PathBuf::from(section.required_text("path"));
    let action = section.choice("action", ACTIONS);
    settings.inputs.push((path, action));
    let named = ACTIONS.iter().map(|(name, action)| (*name, Some(*action)));
    for (key, action) in named.chain([("off", None)]) {
        for (at, name) in section.texts(key) {
            if settings.lists.insert(name.to_lowercase(), action).is_some() {
                section.note_at(at, format!("{key}: `{name}` is named twice"));
            }
        }
    }
    section.end();
}
