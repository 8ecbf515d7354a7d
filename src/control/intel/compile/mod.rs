//! Compiling: all inputs become one indicator set, the same whatever their order and the number of
//! cores.
//!
//! Peak: beside the finished set, 24 bytes and the value for each attribute that matches, while
//! they are sorted.

mod canonical;
mod merge;
pub(in crate::control::intel) mod version;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use rayon::iter::IntoParallelIterator;
use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;

use crate::control::intel::Attribute;
use crate::control::intel::IntelError;
use crate::control::intel::IntelOptions;
use crate::control::intel::asked::asked;
use crate::control::intel::catalog::Catalog;
use crate::control::intel::compile::merge::Merge;
use crate::control::intel::compiled;
use crate::control::intel::compiled::Opened;
use crate::control::intel::harvest::EventParts;
use crate::control::intel::harvest::Gather;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::harvest::Purpose;
use crate::control::intel::input::Listed;
use crate::control::intel::input::Plan;
use crate::control::intel::ledger::Damage;
use crate::control::intel::ledger::Ledger;
use crate::control::intel::set::IndicatorSet;
use crate::control::intel::warninglist::Warninglists;
use crate::model::canary::CANARY_DOMAIN;
use crate::model::canary::CANARY_TAG;
use crate::model::indicator::IndicatorId;
use crate::model::pattern::Pattern;
use crate::model::policy::Policy;
use crate::pipeline::matcher::Index;
use crate::pipeline::matcher::IndexBuilder;

/// Indicators compiled between two turns of the builder; bounds the patterns held at once.
const BATCH: u32 = 65_536;

/// Indicators an index can number.
const INDICATORS_MAX: usize = 1 << 29;

/// What came of the inputs.
#[derive(Debug)]
pub struct Compiled {
    /// The set.
    pub set: Arc<IndicatorSet>,
    /// What became of every attribute.
    pub ledger: Ledger,
    /// What could not be read; the rest is in the set.
    pub damages: Vec<Damage>,
    /// What the operator should know beside.
    pub notes: Vec<String>,
    /// The compiled set that was taken as it is; its body is not verified yet.
    pub opened: Option<Arc<Opened>>,
}

impl Compiled {
    /// Tells whether nothing but the sensor's canary is looked for.
    pub fn is_empty(&self, options: &IntelOptions) -> bool {
        self.set.index.len() <= usize::from(options.canary)
    }

    /// Reads a compiled set to its end before it is relied on.
    ///
    /// # Errors
    /// It is damaged.
    pub fn verified(self) -> Result<Self, IntelError> {
        match self.opened.as_ref().map(|opened| (opened, opened.verify())) {
            Some((opened, Err(error))) => Err(compiled::unreadable(&opened.path, &error)),
            _ => Ok(self),
        }
    }
}

/// Reads all inputs and compiles what matches.
///
/// # Errors
/// Nothing usable is in them, or too much.
pub fn compile(inputs: &[PathBuf], options: &IntelOptions) -> Result<Compiled, IntelError> {
    if inputs.is_empty() {
        return Err(IntelError::NoInput);
    }
    let plan = Plan::new(inputs);
    let mut notes = Vec::new();
    if let ([only], []) = (plan.files.as_slice(), plan.damage.as_slice())
        && compiled::is_compiled(&only.path)
    {
        match compiled::alone(&only.path, options)? {
            Ok(compiled) => return Ok(compiled),
            Err(why) => notes.push(why),
        }
    }
    let (lists, lists_damage) = Warninglists::load(&options.warninglists);
    let merge = Mutex::new(Merge::default());
    let lock = || merge.lock().unwrap_or_else(PoisonError::into_inner);
    plan.files.par_iter().for_each(|file| {
        let give = |harvest| lock().append(harvest);
        let gather =
            Gather { options, lists: &lists, file, purpose: Purpose::Compile, give: &give };
        let damage = gather.read();
        lock().file_done(damage);
    });
    let merge = merge.into_inner().unwrap_or_else(PoisonError::into_inner);
    let damage = plan.damage.into_iter().chain(lists_damage).collect();
    let mut compiled = settled(merge, damage, options)?;
    if compiled.is_empty(options) {
        return Err(nothing_usable(inputs, &compiled));
    }
    compiled.notes = notes;
    Ok(compiled)
}

/// Returns the set of a sensor that has no indicators yet, its canary at most, and what is wrong
/// with its inputs.
///
/// # Errors
/// None that could be met: so little fits.
pub fn nothing_yet(options: &IntelOptions, damage: Vec<Damage>) -> Result<Compiled, IntelError> {
    settled(Merge::default(), damage, options)
}

/// Makes a set of what was merged.
fn settled(
    mut merge: Merge,
    damage: Vec<Damage>,
    options: &IntelOptions,
) -> Result<Compiled, IntelError> {
    let (own, none) = (own(), Warninglists::default());
    let own_options = IntelOptions { policy: options.policy.clone(), ..IntelOptions::default() };
    if options.canary {
        merge.append(canary(&own_options, &none, &own));
    }
    let (catalog, mut ledger) = merge.settle()?;
    ledger.add_damage(damage);
    if catalog.len() > INDICATORS_MAX {
        return Err(IntelError::TooMany { what: "over 500 million" });
    }
    let asked = asked(options);
    let version = version::of(&catalog, &options.policy, &asked);
    let index = index(&catalog, &options.policy, seed(&version))?;
    let damages = ledger.take_damage();
    let set = Arc::new(IndicatorSet {
        index: Arc::new(index),
        catalog,
        version,
        policy: options.policy.clone(),
        asked,
    });
    Ok(Compiled { set, ledger, damages, notes: Vec::new(), opened: None })
}

/// Returns the seed of a set's hashes, from its version: the same contents have the same tables,
/// and who writes a feed does not know the rest of the set.
pub(in crate::control::intel) fn seed(version: &str) -> u64 {
    version.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

/// What the sensor looks for by itself comes from no file.
fn own() -> Listed {
    Listed { provider: "tapsieve".to_owned(), ..Listed::default() }
}

/// Returns the indicator of the sensor's canary.
fn canary<'a>(options: &'a IntelOptions, lists: &'a Warninglists, own: &'a Listed) -> Harvest<'a> {
    let gather = Gather { options, lists, file: own, purpose: Purpose::Compile, give: &|_| () };
    let mut harvest = gather.begin();
    let tags = harvest.tag_list(std::iter::once(CANARY_TAG));
    let info = "the sensor's own canary: it proves that alerts come out";
    let event = harvest.event(&EventParts { info, tags, ..EventParts::default() });
    let (kind, value) = ("domain", CANARY_DOMAIN);
    harvest.take(&Attribute { kind, value, ..Attribute::default() }, event);
    harvest
}

fn index(catalog: &Catalog, policy: &Policy, seed: u64) -> Result<Index, IntelError> {
    let mut builder = IndexBuilder::new(policy, seed);
    for (ty, ids) in catalog.by_type() {
        for first in ids.clone().step_by(BATCH as usize) {
            let batch = first..first.saturating_add(BATCH).min(ids.end);
            let read = |id| Pattern::from_text(ty, catalog.value(IndicatorId(id)), policy);
            let patterns = batch.clone().into_par_iter().map(read).collect::<Vec<_>>();
            for (id, pattern) in batch.zip(patterns) {
                if let Ok(pattern) = pattern {
                    let _counted_before = builder.add(IndicatorId(id), &pattern);
                }
            }
        }
    }
    builder.build().map_err(IntelError::Index)
}

fn nothing_usable(inputs: &[PathBuf], compiled: &Compiled) -> IntelError {
    let names = inputs.iter().map(|input| input.display().to_string()).collect::<Vec<_>>();
    let ledger = &compiled.ledger;
    let why = match (ledger.seen, compiled.damages.as_slice()) {
        (0, [only]) => return IntelError::Unreadable(only.to_string()),
        (0, [first, rest @ ..]) => format!("{first}, and {} more", rest.len()),
        (_, []) => ledger.summary(),
        (_, damage) => format!("{}, damaged: {}", ledger.summary(), damage.len()),
    };
    IntelError::NothingUsable { inputs: names.join(", "), why }
}

#[cfg(test)]
mod tests;
