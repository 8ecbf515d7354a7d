//! The keys of `[indicators]` that choose by what is said around an attribute.

use crate::control::config::reader::Section;
use crate::control::intel::filter::Filter;
use crate::control::intel::filter::TagRule;
use crate::model::marking::Tlp;
use crate::model::validity::AsOf;
use crate::model::validity::Validity;

/// Days of an age at most: a century.
const DAYS_MAX: u32 = 36_500;

/// Reads them.
pub(super) fn filter(section: &mut Section<'_, '_>) -> Filter {
    let mut tags = Vec::new();
    for (at, text) in section.texts("tags") {
        match TagRule::from_text(&text) {
            Ok(rule) => tags.push(rule),
            Err(what) => section.note_at(at, format!("tags: {what}")),
        }
    }
    let as_of = [("packet", AsOf::Packet), ("now", AsOf::Now), ("off", AsOf::Off)];
    let days = section.number("max_age_days", 0, 0..=DAYS_MAX);
    Filter {
        tags,
        tlp_max: tlp_max(section),
        published_only: false,
        exclude_decayed: section.flag("exclude_decayed", false),
        validity: Validity {
            as_of: section.choice("as_of", &as_of).unwrap_or_default(),
            days_max: (days > 0).then_some(days),
        },
    }
}

fn tlp_max(section: &mut Section<'_, '_>) -> Option<Tlp> {
    let word = section.optional_text("max_tlp").filter(|word| !word.is_empty())?;
    let tlp = Tlp::from_word(&word);
    if tlp.is_none() {
        section.note("max_tlp", "clear, green, amber, amber+strict or red is wanted");
    }
    tlp
}
