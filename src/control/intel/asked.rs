//! What was asked of indicators when a set was compiled, as text: who asks the same takes the set
//! as it is.
//!
//! Warninglists and networks are named, not told in full: what was in the lists then holds.

use crate::control::intel::IntelOptions;
use crate::control::intel::warninglist::Action;
use crate::model::validity::AsOf;

/// Returns what leaves attributes out or marks them, a line each, in an order of its own. Nothing
/// for what is so by default; what a set's policy says is not repeated.
pub fn asked(options: &IntelOptions) -> String {
    let IntelOptions { policy, include_non_ids, filter, warninglists, .. } = options;
    let mut lines = policy.own_networks.iter().map(|net| format!("own {net}")).collect::<Vec<_>>();
    lines.extend(filter.tags.iter().map(|rule| format!("tag {rule}")));
    lines.extend(filter.tlp_max.map(|tlp| format!("tlp at most {}", tlp.name())));
    // as of the packet's time, all is judged when it comes
    if filter.validity.as_of == AsOf::Now {
        let days = filter.validity.days_max.map(|days| format!(", {days} days at most"));
        lines.push(format!("as of now{}", days.unwrap_or_default()));
    }
    for (is_asked, what) in [
        (policy.allow_public_suffix, "public suffixes"),
        (*include_non_ids, "not for detection, too"),
        (filter.published_only, "published"),
        (filter.exclude_decayed, "not decayed"),
    ] {
        lines.extend(is_asked.then(|| what.to_owned()));
    }
    let name = |action: Option<Action>, none| action.map_or(none, Action::name);
    lines.extend(warninglists.inputs.iter().map(|(path, action)| {
        let folder = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        format!("warninglists {folder} {}", name(*action, "as they say"))
    }));
    lines.extend(
        warninglists
            .lists
            .iter()
            .map(|(list, action)| format!("warninglist {list} {}", name(*action, "off"))),
    );
    lines.sort();
    lines.dedup();
    lines.join("\n")
}
