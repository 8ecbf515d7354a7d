//! `tapsieve intel diff`: which indicators one set or feed has and another has not, and whose
//! stories changed.

use std::cmp::Ordering;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use crate::control::cli::DAMAGED;
use crate::control::cli::DONE;
use crate::control::cli::Failure;
use crate::control::explain::row::EventLine;
use crate::control::explain::row::source_line;
use crate::control::intel::IntelArguments;
use crate::control::intel::IntelError;
use crate::control::intel::catalog::Catalog;
use crate::control::intel::compile::compile;
use crate::control::intel::set::IndicatorSet;
use crate::control::output;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::IndicatorType;
use crate::model::plain::plain;
use crate::model::story::Source;

/// Compares two sets or feeds.
#[derive(Args, Debug)]
#[command(mut_arg("intel", |arg| arg.hide(true).conflicts_with("before")))]
pub struct DiffArguments {
    /// The set or feed before
    #[arg(value_name = "A")]
    before: PathBuf,
    /// The set or feed after
    #[arg(value_name = "B")]
    after: PathBuf,
    #[command(flatten)]
    intel: IntelArguments,
    /// Write JSON lines
    #[arg(long)]
    json: bool,
}

/// An indicator that is not the same in both.
#[derive(Serialize)]
struct Change<'c> {
    change: &'static str,
    r#type: &'c str,
    value: &'c str,
    /// What changed.
    #[serde(skip_serializing_if = "str::is_empty")]
    what: &'c str,
    /// Sources that only A has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    before: Vec<EventLine<'c>>,
    /// Sources that only B has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    after: Vec<EventLine<'c>>,
}

/// How many there are.
#[derive(Serialize, Default)]
struct Totals {
    before: u64,
    after: u64,
    added: u64,
    removed: u64,
    changed: u64,
    same: u64,
}

/// Writes what differs, then the totals; differences are no failure.
///
/// # Errors
/// One of the two cannot be read, or the output cannot be written.
pub fn run(arguments: &DiffArguments) -> Result<u8, Failure> {
    let (before, code_before) = set(&arguments.before, &arguments.intel)?;
    let (after, code_after) = set(&arguments.after, &arguments.intel)?;
    let none = Catalog::default();
    let [before, after] = [&before, &after].map(|set| match set {
        Some(set) => &set.catalog,
        None => &none,
    });
    let out = &mut BufWriter::new(io::stdout().lock());
    let mut writer = Writer { out, json: arguments.json, totals: Totals::default() };
    writer.compare(before, after).map_err(Failure::Told)?;
    Ok(code_before.max(code_after))
}

/// Reads one side; none where nothing in it matches.
fn set(path: &Path, intel: &IntelArguments) -> Result<(Option<Arc<IndicatorSet>>, u8), Failure> {
    match compile(&[path.to_owned()], &intel.options()).and_then(|compiled| compiled.verified()) {
        Ok(compiled) => {
            output::say_all(&compiled.notes);
            output::say_all(&compiled.damages);
            let code = if compiled.damages.is_empty() { DONE } else { DAMAGED };
            Ok((Some(compiled.set), code))
        }
        Err(error @ IntelError::NothingUsable { .. }) => {
            output::say(&format!("tapsieve: {error}\n"));
            Ok((None, DONE))
        }
        Err(error) => Err(error.into()),
    }
}

/// One side of a comparison: a catalog and the ids of one type that are left.
struct Side<'c> {
    catalog: &'c Catalog,
    ids: Range<u32>,
    next: Option<String>,
}

impl<'c> Side<'c> {
    fn new(catalog: &'c Catalog, ty: IndicatorType) -> Self {
        let ids = catalog.by_type().find(|(known, _)| *known == ty).map(|(_, ids)| ids);
        let mut side = Self { catalog, ids: ids.unwrap_or_default(), next: None };
        side.look();
        side
    }

    /// Reads the canonical value of the first that is left.
    fn look(&mut self) {
        let first = (!self.ids.is_empty()).then_some(IndicatorId(self.ids.start));
        self.next = first.map(|id| self.catalog.canonical(id).unwrap_or_default());
    }

    fn take(&mut self) -> IndicatorId {
        let id = IndicatorId(self.ids.start);
        self.ids.start += 1;
        self.look();
        id
    }
}

struct Writer<'o, W: Write> {
    out: &'o mut W,
    json: bool,
    totals: Totals,
}

impl<W: Write> Writer<'_, W> {
    fn compare(&mut self, before: &Catalog, after: &Catalog) -> io::Result<()> {
        self.totals.before = before.len() as u64;
        self.totals.after = after.len() as u64;
        for ty in IndicatorType::ALL.iter().copied() {
            self.compare_type(ty, Side::new(before, ty), Side::new(after, ty))?;
        }
        match self.json {
            true => self.json_line(&serde_json::to_string(&self.totals)?)?,
            false => {
                let Totals { before, after, added, removed, changed, same } = self.totals;
                writeln!(
                    self.out,
                    "{before} indicators before, {after} after: {added} added, {removed} removed, \
                     {changed} changed, {same} the same"
                )?;
            }
        }
        self.out.flush()
    }

    /// Walks over both sides, each in order of its canonical values.
    fn compare_type(
        &mut self,
        ty: IndicatorType,
        mut before: Side<'_>,
        mut after: Side<'_>,
    ) -> io::Result<()> {
        loop {
            let order = match (&before.next, &after.next) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => a.cmp(b),
            };
            match order {
                Ordering::Less => {
                    let id = before.take();
                    self.totals.removed += 1;
                    let value = before.catalog.value(id);
                    self.tell("removed", (ty, value), &before.catalog.sources(id), &[])?;
                }
                Ordering::Greater => {
                    let id = after.take();
                    self.totals.added += 1;
                    let value = after.catalog.value(id);
                    self.tell("added", (ty, value), &[], &after.catalog.sources(id))?;
                }
                Ordering::Equal => {
                    let (was, is) = (before.take(), after.take());
                    let stories = [before.catalog.sources(was), after.catalog.sources(is)];
                    self.both(ty, after.catalog.value(is), &stories)?;
                }
            }
        }
    }

    fn both(
        &mut self,
        ty: IndicatorType,
        value: &str,
        [was, is]: &[Vec<Source>; 2],
    ) -> io::Result<()> {
        let (was, is) = (story(was), story(is));
        if was == is {
            self.totals.same += 1;
            return Ok(());
        }
        self.totals.changed += 1;
        let only = |of: &[Source], other: &[Source]| {
            of.iter().filter(|source| !other.contains(source)).cloned().collect::<Vec<_>>()
        };
        self.tell("changed", (ty, value), &only(&was, &is), &only(&is, &was))
    }

    fn tell(
        &mut self,
        change: &'static str,
        (ty, value): (IndicatorType, &str),
        before: &[Source],
        after: &[Source],
    ) -> io::Result<()> {
        let is_changed = change == "changed";
        let what = if is_changed { differences(before, after) } else { String::new() };
        if self.json {
            let [before, after] =
                [before, after].map(|sources| sources.iter().map(source_line).collect());
            let (r#type, what) = (ty.name(), what.as_str());
            let line = Change { change, r#type, value, what, before, after };
            return self.json_line(&serde_json::to_string(&line)?);
        }
        let mut events = before.iter().chain(after).map(|source| source_line(source).told());
        let what = if is_changed { what } else { events.next().unwrap_or_default() };
        writeln!(self.out, "{change}\t{}\t{}\t{}", ty.name(), plain(value), plain(&what))
    }

    fn json_line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }
}

/// Returns sources without who gave them, which of a file is its name and no part of the story.
fn story(sources: &[Source]) -> Vec<Source> {
    let mut all = sources.to_vec();
    all.iter_mut().for_each(|source| source.provider = None);
    all.sort();
    all.dedup();
    all
}

/// Says how the sources differ: in which fields where one took another's place, else how many came
/// and went.
fn differences(before: &[Source], after: &[Source]) -> String {
    let ([a], [b]) = (before, after) else {
        return format!("{} sources gone, {} new", before.len(), after.len());
    };
    let fields = [
        ("attribute", a.attribute != b.attribute),
        ("event", (&a.event, a.event_id) != (&b.event, b.event_id)),
        ("info", a.info != b.info),
        ("org", a.org != b.org),
        ("tags", a.tags != b.tags),
        ("comment", a.comment != b.comment),
        ("first_seen", a.first_seen != b.first_seen),
        ("last_seen", a.last_seen != b.last_seen),
        ("modified", a.modified != b.modified),
    ];
    let named = fields.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name);
    named.collect::<Vec<_>>().join(", ")
}
