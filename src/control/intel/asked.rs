//! What was asked of indicators when a set was compiled, as text: who asks the same takes the set
//! as it is. Warninglists change, and so does the time: what they leave out is asked anew.

use crate::control::intel::IntelOptions;
use crate::model::validity::AsOf;

/// Returns what leaves attributes out or marks them, a line each, in an order of its own. Nothing
/// for what is so by default; what a set's policy says is not repeated.
pub fn asked(options: &IntelOptions) -> String {
    let IntelOptions { policy, include_non_ids, objects_in_parts, filter, .. } = options;
    let mut lines = policy.own_networks.iter().map(|net| format!("own {net}")).collect::<Vec<_>>();
    lines.extend(filter.tags.iter().map(|rule| format!("tag {rule}")));
    lines.extend(filter.tlp_max.map(|tlp| format!("tlp at most {}", tlp.name())));
    for (is_asked, what) in [
        (policy.allow_public_suffix, "public suffixes"),
        (*include_non_ids, "not for detection, too"),
        (*objects_in_parts, "objects in parts"),
        (filter.published_only, "published"),
        (filter.exclude_decayed, "not decayed"),
    ] {
        lines.extend(is_asked.then(|| what.to_owned()));
    }
    lines.sort();
    lines.dedup();
    lines.join("\n")
}

/// Tells whether something is asked that only the attributes themselves answer.
pub fn asks_anew(options: &IntelOptions) -> bool {
    !options.warninglists.inputs.is_empty() || options.filter.validity.as_of == AsOf::Now
}
