//! Warninglists: values that are known to be no sign of an attack, or not by themselves; applied
//! here, so that what they leave out is counted and explained.
//!
//! Way: `read` reads files → `sane` leaves entries out that would match nearly everything →
//! `names`, `nets` and `expressions` hold what is left of all lists together →
//! [`Warninglists::judge`].
//!
//! Spec:   misp-warninglists `list.json`; MISP's Warninglist model (`checkValue`,
//!         `getFilteredEntries`)
//! Leaves: lists that are for types of which none is looked for in traffic

mod expressions;
mod names;
mod nets;
mod part;
mod read;
mod sane;
mod types;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use crate::control::intel::Fault;
use crate::control::intel::ledger::Damage;
use crate::control::intel::ledger::Spot;
use crate::control::intel::warninglist::expressions::Expressions;
use crate::control::intel::warninglist::names::Named;
use crate::control::intel::warninglist::nets::Nets;
use crate::control::intel::warninglist::part::Part;
use crate::control::intel::warninglist::part::parts;
use crate::control::intel::warninglist::read::Mode;
use crate::control::intel::warninglist::read::RawList;
use crate::control::intel::warninglist::sane::Entry;
use crate::model::bytes::narrow;
use crate::model::indicator::IndicatorType;
use crate::model::limits::WARNINGLISTS_MAX;
use crate::model::pattern::Pattern;

/// What becomes of an attribute that a list names; the first is the strongest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Action {
    /// It is left out.
    Drop,
    /// It matches; its alerts say so and claim low confidence.
    Downgrade,
    /// It matches; its alerts say so.
    Inform,
}

impl Action {
    /// All, the strongest first.
    pub const ALL: [Self; 3] = [Self::Drop, Self::Downgrade, Self::Inform];

    /// Returns the name in settings, listings and alerts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Downgrade => "downgrade",
            Self::Inform => "inform",
        }
    }

    /// Returns the one of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// Which lists are used, and how.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WarninglistSettings {
    /// Folders or files, each with what becomes of what its lists name; `None`: as the list's
    /// category has it.
    pub inputs: Vec<(PathBuf, Option<Action>)>,
    /// The same for single lists, by name or folder, in lower case; `None`: it is not used.
    pub lists: BTreeMap<String, Option<Action>>,
}

/// A list in use.
#[derive(Clone, Debug)]
pub struct Warninglist {
    /// Its name, as MISP shows it.
    pub name: String,
    /// What becomes of what it names.
    pub action: Action,
    /// The types that it is for, a bit each.
    scope: u32,
}

/// All lists in use, ready for look-up.
#[derive(Debug, Default)]
pub struct Warninglists {
    lists: Vec<Warninglist>,
    /// Whole values.
    values: Named,
    /// Names that stand for all under them.
    hosts: Named,
    nets: Nets,
    expressions: Expressions,
}

/// Entries that are left out and told, each; of more their number is.
const LEFT_OUT_MAX: usize = 1_000;

/// What reading lists needs and gives beside them.
struct Reading<'s> {
    settings: &'s WarninglistSettings,
    damage: Vec<Damage>,
    /// Names in the settings that some list has.
    named: BTreeSet<String>,
    /// Entries that were left out.
    left_out: usize,
}

impl Reading<'_> {
    /// Returns what a list does; `None`: it is not used.
    fn action(&mut self, file: &Path, list: &RawList, given: Option<Action>) -> Option<Action> {
        let names = [list.name.to_lowercase(), read::short_name(file).to_lowercase()];
        for name in names {
            if let Some(action) = self.settings.lists.get(&name) {
                self.named.insert(name);
                return *action;
            }
        }
        Some(given.unwrap_or(list.usual_action()))
    }

    fn leave_out(&mut self, file: &Path, list: &str, at: u64, why: &str) {
        self.left_out += 1;
        if self.left_out <= LEFT_OUT_MAX {
            let what = format!("entry {at} of {list:?} is left out: {why}");
            self.damage.push(Damage::new(file, Spot::File, what));
        }
    }

    /// Returns the damage, with what could not be told of each alone.
    fn finish(mut self) -> Vec<Damage> {
        let input = self.settings.inputs.first().map(|(input, _)| input.as_path());
        let input = input.unwrap_or(Path::new("warninglists"));
        let unknown = self.settings.lists.keys().filter(|name| !self.named.contains(*name));
        let unknown = unknown
            .map(|name| format!("no warninglist is named {name:?}: see its `name` or folder"));
        let more = self.left_out.checked_sub(LEFT_OUT_MAX + 1);
        let more = more.map(|more| format!("{} more entries are left out", more + 1));
        let told = unknown.chain(more).collect::<Vec<_>>();
        self.damage.extend(told.into_iter().map(|what| Damage::new(input, Spot::File, what)));
        self.damage
    }
}

impl Warninglists {
    /// Reads all lists; what is no list, or no entry that can be right, is told and left out.
    pub fn load(settings: &WarninglistSettings) -> (Self, Vec<Damage>) {
        let mut all = Self::default();
        let (damage, named) = (Vec::new(), BTreeSet::new());
        let mut reading = Reading { settings, damage, named, left_out: 0 };
        for (input, action) in &settings.inputs {
            for file in read::files(input, &mut reading.damage) {
                match read::lists(&file) {
                    Err(fault) => {
                        reading.damage.push(Damage::unread(&file, fault.spot, fault.what));
                    }
                    Ok(lists) => {
                        for list in lists {
                            all.add(&file, list, *action, &mut reading);
                        }
                    }
                }
            }
        }
        all.nets.finish();
        (all, reading.finish())
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Returns a list by its number.
    pub fn list(&self, number: u32) -> Option<&Warninglist> {
        self.lists.get(number as usize)
    }

    /// Puts the numbers of the lists that name an indicator into `out`, in order; `value` is as its
    /// feed has it.
    pub fn judge(&self, ty: IndicatorType, pattern: &Pattern, value: &str, out: &mut Vec<u32>) {
        out.clear();
        if self.is_empty() {
            return;
        }
        for part in parts(ty, pattern, value) {
            let from = out.len();
            self.look_up(&part, out);
            let named = out.split_off(from).into_iter();
            out.extend(
                named.filter(|list| {
                    self.list(*list).is_some_and(|list| list.scope & part.scope != 0)
                }),
            );
        }
        out.sort_unstable();
        out.dedup();
    }

    fn look_up(&self, part: &Part<'_>, out: &mut Vec<u32>) {
        for text in part.texts() {
            out.extend(self.values.find(text));
            self.expressions.find(text, part.scope, out);
        }
        if let Some(host) = part.host() {
            let dots = host.match_indices('.').map(|(at, _)| at + 1);
            let names = std::iter::once(0).chain(dots).filter_map(|at| host.get(at..));
            names.for_each(|name| out.extend(self.hosts.find(name)));
        }
        if let Some(net) = part.net {
            self.nets.find(net, out);
        }
    }

    fn add(
        &mut self,
        file: &Path,
        list: RawList,
        given: Option<Action>,
        reading: &mut Reading<'_>,
    ) {
        let (action, scope) = (reading.action(file, &list, given), list.scope());
        let bogus = list.types.iter().filter(|name| !is_all(name) && !types::is_known(name));
        for name in bogus {
            let what = format!("{:?} is for {name:?}, which is no type of MISP", list.name);
            reading.damage.push(Damage::new(file, Spot::File, what));
        }
        let (Some(action), true) = (action, scope != 0) else { return };
        if self.lists.len() >= WARNINGLISTS_MAX {
            let what = format!("more than {WARNINGLISTS_MAX} warninglists: it is not used");
            return reading.damage.push(Damage::new(file, Spot::File, what));
        }
        let number = narrow(self.lists.len());
        for (at, text) in (1_u64..).zip(&list.entries) {
            match Entry::read(list.mode, text) {
                Ok(Entry::Value(text)) => self.values.add(&text, number),
                Ok(Entry::Host(text)) => self.hosts.add(&text, number),
                Ok(Entry::Net(net)) => self.nets.add(net, number),
                Ok(Entry::Later) => {}
                Err(why) => reading.leave_out(file, &list.name, at, &why),
            }
        }
        let faults = self.expressions.add(list.mode, &list.entries, number, scope);
        for (at, why) in faults {
            reading.leave_out(file, &list.name, at, &why);
        }
        self.lists.push(Warninglist { name: list.name, action, scope });
    }
}

/// Tells whether a list is for all types.
fn is_all(name: &str) -> bool {
    name.eq_ignore_ascii_case("all")
}

/// Checks that a file holds a list.
///
/// # Errors
/// What is wrong with it.
pub fn check(file: &Path) -> Result<(), Fault> {
    read::lists(file).map(drop)
}

impl RawList {
    /// Returns what MISP means by its category: a known identifier is worth knowing, all else is a
    /// false positive, which MISP's own `enforceWarninglist` leaves out.
    fn usual_action(&self) -> Action {
        if self.category == "known" { Action::Inform } else { Action::Drop }
    }

    fn scope(&self) -> u32 {
        if self.types.is_empty() || self.types.iter().any(|name| is_all(name)) {
            return u32::MAX;
        }
        let types = self.types.iter().filter_map(|name| IndicatorType::from_name(name));
        types.fold(0, |scope, ty| scope | part::bit(ty))
    }
}

impl Mode {
    /// Tells whether entries are looked for inside values.
    fn is_expression(self) -> bool {
        matches!(self, Self::Substring | Self::Regex)
    }
}
