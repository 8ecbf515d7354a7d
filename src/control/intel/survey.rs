//! A survey: every file of some inputs read, and each harvest given to who asks, without a set.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;

use crate::control::intel::IntelOptions;
use crate::control::intel::harvest::Gather;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::harvest::Purpose;
use crate::control::intel::input::Plan;
use crate::control::intel::ledger::Ledger;
use crate::control::intel::warninglist::Warninglists;

/// Reads all inputs, in order where the purpose asks for it, and gives each harvest to `take`,
/// which returns its totals; returns those of all, with the damage in order.
pub fn survey(
    inputs: &[PathBuf],
    options: &IntelOptions,
    purpose: Purpose,
    take: impl FnMut(Harvest<'_>) -> Ledger + Send,
) -> Ledger {
    let plan = Plan::new(inputs);
    let (lists, lists_damage) = Warninglists::load(&options.warninglists);
    let state = Mutex::new((take, Ledger::default()));
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    let read = |file| {
        let give = |harvest: Harvest<'_>| {
            let mut state = lock();
            let totals = (state.0)(harvest);
            state.1.add(totals);
        };
        let damage = Gather { options, lists: &lists, file, purpose, give: &give }.read();
        lock().1.add_damage(damage);
    };
    match purpose {
        Purpose::Explain => plan.files.iter().for_each(read),
        Purpose::Compile | Purpose::Count => plan.files.par_iter().for_each(read),
    }
    let (_, mut ledger) = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    ledger.files = plan.files.len() as u64;
    ledger.add_damage(plan.damage.into_iter().chain(lists_damage));
    ledger.damage = ledger.take_damage();
    ledger
}
