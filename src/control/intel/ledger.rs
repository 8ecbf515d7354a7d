//! The ledger: what became of every attribute seen, as totals that add up, and what was damaged.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::control::intel::gate::LeftOut;
use crate::control::intel::gate::Note;
use crate::control::intel::warninglist::Action;
use crate::control::intel::warninglist::Warninglist;
use crate::model::indicator::IndicatorType;
use crate::model::policy::Usage;

/// Distinct types counted by name; feeds may make names up, MISP has about 200.
const NAMES_MAX: usize = 512;

/// What further type names are counted as.
const OTHER_NAMES: &str = "(other types)";

/// Damage kept in detail; the rest is counted.
const DAMAGE_MAX: usize = 10_000;

/// Totals of attributes and the damage of files.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Files read, whole or in part.
    pub files: u64,
    /// Attributes told by all files.
    pub seen: u64,
    /// Attributes that match, by type; several may give one indicator.
    pub accepted: BTreeMap<IndicatorType, u64>,
    /// Those of them that are not looked for (yet), by reason and type.
    pub idle: BTreeMap<(Usage, IndicatorType), u64>,
    /// Those of them of which more is to be said, by that and type.
    pub notes: BTreeMap<(Note, IndicatorType), u64>,
    /// Attributes that do not match, by reason and MISP type.
    pub left_out: BTreeMap<LeftOut, BTreeMap<String, u64>>,
    /// Attributes that warninglists name, whatever became of them, by list and what it does.
    pub warninglists: BTreeMap<(String, Action), u64>,
    /// What could not be read.
    pub damage: Vec<Damage>,
    /// Further damage, for which there was no room.
    pub damage_more: u64,
}

/// A file that could not be read, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// The file.
    pub path: String,
    /// Where in it.
    pub spot: Spot,
    /// What is wrong, lower-case.
    pub what: String,
    /// It is not there, may not be read, or has no format that we know.
    pub is_unread: bool,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spot {
    /// The file as a whole.
    File,
    /// 1-based line.
    Line(u64),
    /// 1-based line and column.
    Column(u64, u64),
    /// 1-based number of the attribute in the file.
    Number(u64),
}

impl Ledger {
    /// Counts an attribute that matches, or would once `usage` says so.
    pub fn accept(&mut self, kind: IndicatorType, usage: Usage) {
        self.seen += 1;
        *self.accepted.entry(kind).or_default() += 1;
        if usage != Usage::Matched {
            *self.idle.entry((usage, kind)).or_default() += 1;
        }
    }

    /// Counts an attribute that matches and of which more is to be said.
    pub fn note(&mut self, note: Note, kind: IndicatorType) {
        *self.notes.entry((note, kind)).or_default() += 1;
    }

    /// Counts an attribute that does not.
    pub fn leave_out(&mut self, why: LeftOut, kind: &str) {
        self.seen += 1;
        self.add_left_out(why, kind, 1);
    }

    /// Counts an attribute that a warninglist names.
    pub fn name_by(&mut self, list: &Warninglist) {
        match self.warninglists.get_mut(&(list.name.clone(), list.action)) {
            Some(n) => *n += 1,
            None => {
                self.warninglists.insert((list.name.clone(), list.action), 1);
            }
        }
    }

    /// Adds the totals of another ledger.
    pub fn add(&mut self, other: Self) {
        self.files += other.files;
        self.seen += other.seen;
        for (kind, n) in other.accepted {
            *self.accepted.entry(kind).or_default() += n;
        }
        for (key, n) in other.idle {
            *self.idle.entry(key).or_default() += n;
        }
        for (key, n) in other.notes {
            *self.notes.entry(key).or_default() += n;
        }
        for (why, kinds) in other.left_out {
            for (kind, n) in kinds {
                self.add_left_out(why, &kind, n);
            }
        }
        for (list, n) in other.warninglists {
            *self.warninglists.entry(list).or_default() += n;
        }
        self.damage_more += other.damage_more;
        self.add_damage(other.damage);
    }

    /// Adds damage, as far as there is room.
    pub fn add_damage(&mut self, damage: impl IntoIterator<Item = Damage>) {
        for damage in damage {
            match self.damage.len() {
                ..DAMAGE_MAX => self.damage.push(damage),
                _ => self.damage_more += 1,
            }
        }
    }

    /// Takes the damage in order, the last one saying how much more there was.
    pub fn take_damage(&mut self) -> Vec<Damage> {
        let mut all = std::mem::take(&mut self.damage);
        all.sort();
        let more = std::mem::take(&mut self.damage_more);
        if more > 0 {
            let what = format!("{more} more are damaged, too many to list");
            all.push(Damage::new(Path::new("other inputs"), Spot::File, what));
        }
        all
    }

    /// Returns the attributes that match.
    pub fn accepted_total(&self) -> u64 {
        self.accepted.values().sum()
    }

    /// Returns the attributes that do not match.
    pub fn left_out_total(&self) -> u64 {
        self.left_out.values().flat_map(BTreeMap::values).sum()
    }

    /// Returns how many attributes were left out for each reason.
    pub fn refused_by_reason(&self) -> BTreeMap<String, u64> {
        let reasons = self.left_out.iter();
        reasons.map(|(why, kinds)| (why.name().to_owned(), kinds.values().sum())).collect()
    }

    /// Says the totals in one line: what was left out and why, the commonest reasons first.
    pub fn summary(&self) -> String {
        let mut reasons = self
            .left_out
            .iter()
            .map(|(why, kinds)| (kinds.values().sum::<u64>(), why))
            .collect::<Vec<_>>();
        reasons.sort_by(|a, b| b.cmp(a));
        let told = reasons.iter().map(|(n, why)| format!("{n} {}", why.name())).collect::<Vec<_>>();
        match told.is_empty() {
            true => format!("{} attributes", self.seen),
            false => format!("{} attributes, left out: {}", self.seen, told.join(", ")),
        }
    }

    fn add_left_out(&mut self, why: LeftOut, kind: &str, n: u64) {
        let kinds = self.left_out.entry(why).or_default();
        if let Some(sum) = kinds.get_mut(kind) {
            *sum += n;
            return;
        }
        let kind = if kinds.len() < NAMES_MAX { kind } else { OTHER_NAMES };
        *kinds.entry(kind.to_owned()).or_default() += n;
    }
}

impl Damage {
    /// Names what is wrong with a file.
    pub fn new(path: &Path, spot: Spot, what: String) -> Self {
        Self { path: path.display().to_string(), spot, what, is_unread: false }
    }

    /// Names what keeps a file or folder from being read at all.
    pub fn unread(path: &Path, spot: Spot, what: String) -> Self {
        Self { is_unread: true, ..Self::new(path, spot, what) }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.spot {
            Spot::File => write!(f, "{}: {}", self.path, self.what),
            spot => write!(f, "{}: {spot}: {}", self.path, self.what),
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Column(line, column) => write!(f, "line {line}, column {column}"),
            Self::Number(number) => write!(f, "attribute {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up() {
        let mut one = Ledger::default();
        one.accept(IndicatorType::Domain, Usage::Matched);
        one.accept(IndicatorType::Hassh, Usage::NotYetObserved);
        one.note(Note::BadTime, IndicatorType::Domain);
        one.leave_out(LeftOut::Deleted, "domain");
        one.leave_out(LeftOut::Unsupported, "md5");
        one.leave_out(LeftOut::Unsupported, "md5");
        let mut sum = one.clone();
        sum.add(one);
        assert_eq!((sum.seen, sum.accepted_total(), sum.left_out_total()), (10, 4, 6));
        assert_eq!(sum.idle, BTreeMap::from([((Usage::NotYetObserved, IndicatorType::Hassh), 2)]));
        assert_eq!(sum.notes, BTreeMap::from([((Note::BadTime, IndicatorType::Domain), 2)]));
        assert_eq!(sum.summary(), "10 attributes, left out: 4 unsupported, 2 deleted");
    }

    #[test]
    fn made_up_type_names_stay_bounded() {
        let mut ledger = Ledger::default();
        for n in 0..2_000 {
            ledger.leave_out(LeftOut::Unsupported, &format!("type-{n}"));
        }
        assert_eq!(ledger.left_out_total(), 2_000);
        assert!(ledger.left_out.values().all(|kinds| kinds.len() <= NAMES_MAX + 1));
    }

    #[test]
    fn damage_beyond_the_bound_is_counted() {
        let one = Damage::new(Path::new("a.json"), Spot::File, "empty file".to_owned());
        let ledger = || {
            let mut ledger = Ledger::default();
            ledger.add_damage(vec![one.clone(); DAMAGE_MAX - 1]);
            ledger
        };
        let mut sum = ledger();
        sum.add(ledger());
        sum.add_damage([one.clone()]);
        let all = sum.take_damage();
        assert_eq!(all.len(), DAMAGE_MAX + 1);
        let more = format!("other inputs: {} more are damaged, too many to list", DAMAGE_MAX - 1);
        assert_eq!(all.last().map(ToString::to_string), Some(more));
        assert_eq!(ledger().take_damage().len(), DAMAGE_MAX - 1);
    }

    #[test]
    fn damage_says_where() {
        let damage =
            Damage::new(Path::new("a.json"), Spot::Column(3, 7), "expected value".to_owned());
        assert_eq!(damage.to_string(), "a.json: line 3, column 7: expected value");
    }
}
