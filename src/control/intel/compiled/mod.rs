//! The compiled set: one file that holds a whole indicator set, ready to be looked up where it
//! lies.
//!
//! Spec:   `layout.rs`
//! Yields: a set whose tables are the mapped file's bytes; nothing is read at opening but header,
//!         section table and what no table can hold (the automaton of user agents with `*`)
//! Bounds: every look-up is bounded by its table, so a damaged body gives wrong answers at worst;
//!         `verify` finds the damage
//!
//! The same indicators make the same bytes. Files are replaced by renaming and never changed in
//! place, as `store` does it: a file that is cut while it is mapped ends the program that reads it.

mod feed;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod layout;
mod open;
mod store;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::control::intel::IntelError;
use crate::control::intel::IntelOptions;
use crate::control::intel::asked::asked;
use crate::control::intel::asked::asks_anew;
use crate::control::intel::compile::Compiled;
use crate::control::intel::ledger::Damage;
use crate::control::intel::ledger::Ledger;
use crate::control::intel::ledger::Spot;
use crate::control::intel::set::IndicatorSet;
use crate::model::canary::CANARY_DOMAIN;
use crate::model::indicator::IndicatorType;
use crate::pipeline::matcher::IndexError;
use crate::pipeline::matcher::table::Shelf;
use crate::pipeline::matcher::table::Table;

pub use crate::control::intel::compiled::feed::FORMAT;
pub use crate::control::intel::compiled::open::Opened;
pub use crate::control::intel::compiled::open::open;
pub use crate::control::intel::compiled::store::store;

#[cfg(any(test, fuzzing))]
pub use crate::control::intel::compiled::open::open_bytes;

/// Why a file is no compiled set, or not a whole one.
#[derive(Debug, thiserror::Error)]
pub enum CompiledError {
    /// It cannot be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// It is something else.
    #[error("not a compiled set: `tapsieve intel compile` makes one")]
    NotOne,
    /// It is of another time.
    #[error("a compiled set of format {0}, and this build reads format 1: compile it again")]
    OtherFormat(u32),
    /// It is of another kind of machine.
    #[error("a compiled set of a machine of other byte order: compile it here")]
    ByteOrder,
    /// Its end is missing, or there is more than it says.
    #[error("{have} bytes of a compiled set of {want}: fetch or compile it again")]
    Cut {
        /// The bytes there are.
        have: u64,
        /// The bytes it says it has.
        want: u64,
    },
    /// Its header is not what was written.
    #[error("the header of the compiled set is damaged: fetch or compile it again")]
    Header,
    /// A part is not what was written.
    #[error("section {section} of the compiled set is damaged ({what}): fetch or compile it again")]
    Section {
        /// The part.
        section: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A part that this build does not know, and must.
    #[error("section {0} of the compiled set is needed, and this build does not know it: update")]
    Needed(String),
    /// There is something that nobody reads.
    #[error("bytes between the sections of the compiled set: fetch or compile it again")]
    Between,
    /// Its contents are not those that its version stands for.
    #[error("the contents of the compiled set are not those of its version: compile it again")]
    Version,
    /// Its user agents are too many.
    #[error("{0}")]
    Index(#[source] IndexError),
}

/// Tells whether a file begins as a compiled set.
pub fn is_compiled(path: &Path) -> bool {
    // what is no file loses what is read of it
    if !path.is_file() {
        return false;
    }
    let mut head = [0; layout::MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head == layout::MAGIC
}

/// Uses a compiled set as it is; the inner error says why that is not what the options ask, so that
/// it has to be read as a feed.
///
/// # Errors
/// The file is damaged.
pub fn alone(path: &Path, options: &IntelOptions) -> Result<Result<Compiled, String>, IntelError> {
    let opened = open(path).map_err(|error| unreadable(path, &error))?;
    let set = Arc::clone(&opened.set);
    let has_canary = || set.catalog.find(IndicatorType::Domain, CANARY_DOMAIN).is_some();
    let lacks = match asked(options) {
        _ if asks_anew(options) => "the warninglists and the time that are asked for",
        text if !text.is_empty() && text != set.asked => "the own networks and filters asked for",
        _ if options.canary && !has_canary() => "--canary",
        _ => "",
    };
    if !lacks.is_empty() {
        return Ok(Err(format!(
            "{}: a compiled set, but not of {lacks}: it is read as a feed, which takes longer and \
             more memory; what was left out when it was compiled stays out",
            path.display()
        )));
    }
    let notes = note(path, &set, options).into_iter().collect();
    let accepted =
        set.catalog.by_type().map(|(ty, ids)| (ty, u64::from(ids.end.saturating_sub(ids.start))));
    let accepted = accepted.collect::<BTreeMap<_, _>>();
    let seen = accepted.values().sum();
    let ledger = Ledger { files: 1, seen, accepted, ..Ledger::default() };
    Ok(Ok(Compiled { set, ledger, damages: Vec::new(), notes, opened: Some(Arc::new(opened)) }))
}

/// Returns the options that inputs are explained with: of a set that is taken as it is, those that
/// it was compiled with.
pub fn options_for(inputs: &[PathBuf], options: IntelOptions) -> IntelOptions {
    let taken = match inputs {
        [only] if is_compiled(only) => alone(only, &options).ok().and_then(Result::ok),
        _ => None,
    };
    match taken {
        Some(taken) => {
            IntelOptions { policy: taken.set.policy.clone(), include_non_ids: true, ..options }
        }
        None => options,
    }
}

/// Names the file that is no good.
pub fn unreadable(path: &Path, error: &CompiledError) -> IntelError {
    IntelError::Unreadable(Damage::new(path, Spot::File, error.to_string()).to_string())
}

/// Says which options come too late for a set that was compiled without them.
fn note(path: &Path, set: &IndicatorSet, options: &IntelOptions) -> Option<String> {
    let (asked, had) = (&options.policy, &set.policy);
    let mut late = Vec::new();
    for (is_late, name) in [
        (asked.allow_special && !had.allow_special, "allow-special"),
        (asked.tls_url_hosts && !had.tls_url_hosts, "tls-url-hosts"),
    ] {
        late.extend(is_late.then(|| name.to_owned()));
    }
    let absent = asked.opt_in.iter().filter(|ty| !had.opt_in.contains(ty));
    late.extend(absent.map(|ty| format!("opt-in {}", ty.name())));
    let path = path.display();
    (!late.is_empty()).then(|| {
        let late = late.join(", ");
        format!("{path}: a compiled set is used as it is: give `intel compile` the options {late}")
    })
}

/// Puts a set on a shelf: what packets ask first, the stories at the end.
fn shelve(set: &IndicatorSet, shelf: &mut impl Shelf) {
    set.index.store(shelf);
    let mut taken = [set.policy.allow_special, set.policy.tls_url_hosts].map(u32::from);
    shelf.value(TAKEN, &mut taken);
    // those that are there say so themselves
    let is_absent = |ty: &&IndicatorType| set.catalog.by_type().all(|(known, _)| known != **ty);
    let opted = set.policy.opt_in.iter().filter(is_absent).map(|ty| ty.name());
    let opted = opted.collect::<BTreeSet<_>>();
    let opted = opted.into_iter().collect::<Vec<_>>().join("\n");
    shelf.table(OPTED, &mut Table::from(opted.into_bytes()));
    shelf.table(ASKED, &mut Table::from(set.asked.clone().into_bytes()));
    set.catalog.store(shelf);
}

/// The section of what a policy took beyond the strict one.
const TAKEN: [&str; 2] = ["policy", "taken"];

/// The section of the types that were opted in and are not there, a line each; an older set has
/// none.
const OPTED: [&str; 2] = ["policy", "opted"];

/// The section of what else was asked when it was compiled.
const ASKED: [&str; 2] = ["policy", "asked"];
