//! Whether a file that came may take the place of the one that is there: it is read as its format
//! is, and counted, before it does.
//!
//! A server that answers nonsense with a success must not empty what is looked for: what is
//! damaged, is no feed, or has nothing while the file here has something, is refused. Lists take
//! any line, so of these those lines count that have the form of an indicator.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::control::intel::IntelOptions;
use crate::control::intel::gate::LeftOut;
use crate::control::intel::harvest::Gather;
use crate::control::intel::harvest::Purpose;
use crate::control::intel::input::Listed;
use crate::control::intel::input::Stream;
use crate::control::intel::input::trimmed;
use crate::control::intel::ledger::Ledger;
use crate::control::intel::list;
use crate::control::intel::list_form::ListForm;
use crate::control::intel::warninglist::Warninglists;
use crate::model::refusal::Refusal;

/// What a file is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted<'w> {
    /// The format of this name.
    Format(&'w str),
    /// Any; a list is read so.
    List(&'w ListForm),
}

impl Wanted<'_> {
    /// Returns the same, where any format will do.
    fn or_any(self) -> Self {
        match self {
            Self::Format(_) => Self::List(&ListForm::Lines),
            list => list,
        }
    }
}

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Held {
    /// Attributes, or lines of a list.
    all: u64,
    /// Those of them that have the form of an indicator; of other formats than lists all.
    sound: u64,
    is_list: bool,
}

/// Checks a file that came against the one that is there; `wanted` is the name of the only format
/// that it may have, or how it is read as a list.
///
/// # Errors
/// Why it must not take its place.
pub(super) fn check(came: &Path, there: &Path, wanted: Wanted<'_>) -> Result<(), String> {
    let came = held(came, wanted)?;
    let is_mostly_sound = |held: Held| held.sound * 2 >= held.all;
    if came.sound > 0 && is_mostly_sound(came) {
        return Ok(());
    }
    // one that is damaged has what can be read of it
    let old = if there.is_file() {
        held(there, wanted.or_any()).unwrap_or_default()
    } else {
        Held::default()
    };
    if came.sound == 0 && old.sound > 0 {
        let what = if came.is_list && came.all > 0 { "no line of it is" } else { "it has no" };
        return Err(format!("{what} indicator, while the copy has {}: the copy stays", old.sound));
    }
    if came.is_list && came.all > 0 && came.sound == 0 {
        return Err(format!("no feed: none of its {} lines is an indicator", came.all));
    }
    if came.is_list && !is_mostly_sound(came) && old.sound > 0 && is_mostly_sound(old) {
        let Held { all, sound, .. } = came;
        let what = format!("of its {all} lines {sound} are indicators, of the copy's {}", old.all);
        return Err(format!("{what} {}: the copy stays", old.sound));
    }
    Ok(())
}

/// Checks that a file is read to its end as what it is to be.
///
/// # Errors
/// What is wrong with it.
pub(super) fn is_whole(came: &Path, format: &str) -> Result<(), String> {
    held(came, Wanted::Format(format)).map(drop)
}

fn held(path: &Path, wanted: Wanted<'_>) -> Result<Held, String> {
    let stream = Stream::open(path).map_err(|error| error.to_string())?;
    if trimmed(&stream.head).starts_with(b"<") {
        return Err("a page for people, not a feed".to_owned());
    }
    let found = stream.format().map_err(|fault| fault.what)?;
    if let Wanted::Format(wanted) = wanted
        && found.name != wanted
    {
        return Err(format!("no {wanted}, but {}", found.name));
    }
    drop(stream);
    let ledger = Mutex::new(Ledger::default());
    let lists = Warninglists::default();
    let mut options = IntelOptions::default();
    if let Wanted::List(form) = wanted {
        options.list_forms = vec![(PathBuf::new(), form.clone())];
    }
    let file = Listed { path: PathBuf::from(path), ..Listed::default() };
    let gather = Gather {
        options: &options,
        lists: &lists,
        file: &file,
        purpose: Purpose::Count,
        give: &|harvest| {
            ledger.lock().unwrap_or_else(PoisonError::into_inner).add(harvest.ledger);
        },
    };
    if let Some(damage) = gather.read() {
        return Err(damage.what);
    }
    let ledger = ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
    let is_list = found.name == list::FORMAT.name;
    let formless = ledger.left_out.iter().filter(|(why, _)| is_list && is_formless(**why));
    let formless = formless.flat_map(|(_, kinds)| kinds.values()).sum::<u64>();
    Ok(Held { all: ledger.seen, sound: ledger.seen.saturating_sub(formless), is_list })
}

/// Tells whether a line of a list that is left out for this may be of any text.
fn is_formless(why: LeftOut) -> bool {
    match why {
        LeftOut::Refused(refusal) => {
            !matches!(refusal, Refusal::SpecialPurpose | Refusal::OwnNetwork)
        }
        LeftOut::Unsupported | LeftOut::UnknownDigest => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is here, what comes, and what is said of that.
    fn case(there: &str, came: &str, want: Result<(), &str>) {
        let folder = tempfile::tempdir().expect("folder");
        let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
        std::fs::write(&new, came).expect("written");
        if !there.is_empty() {
            std::fs::write(&old, there).expect("written");
        }
        match (check(&new, &old, Wanted::List(&ListForm::Lines)), want) {
            (Ok(()), Ok(())) => {}
            (Err(said), Err(want)) if said.contains(want) => {}
            (got, want) => panic!("{came:?} in place of {there:?}: {got:?}, not {want:?}"),
        }
    }

    #[test]
    fn nonsense_takes_nobodys_place() {
        const LIST: &str = "evil.example\n9.9.9.9\nworse.example\n";
        const EVENT: &str =
            r#"{"Event":{"info":"x","Attribute":[{"type":"domain","value":"evil.example"}]}}"#;
        case("", LIST, Ok(()));
        case(LIST, "better.example\n", Ok(()));
        case(LIST, "10.0.0.1\n", Ok(()));
        case("", "# nothing today\n", Ok(()));
        case(LIST, "# nothing today\n", Err("the copy stays"));
        for there in ["", LIST, EVENT] {
            case(there, r#"{"error":"quota"}"#, Err("no MISP event"));
            case(there, "\u{feff}<!DOCTYPE html>\nevil.example\n", Err("a page for people"));
            case(there, "<!-- -->\n<html>", Err("a page for people"));
            case(there, r#"{"Event":{"Attribute":[{"type":"dom"#, Err("broken JSON"));
            case(there, "Please log in.\nhelp@evil.example\nSorry\n", Err("indicator"));
        }
        case(LIST, "Down until noon:\nhttps://status.evil.example/\nSorry!\n", Err("of its 3"));
        case("two words\nor three\n", "a b\nevil.example\nc d\n", Ok(()));
        case("", r#"{"Event":{"info":"x"}}"#, Ok(()));
        case(EVENT, r#"{"Event":{"info":"x"}}"#, Err("it has no indicator"));
    }
}
