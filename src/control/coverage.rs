//! `tapsieve intel coverage`: of each event's attributes, which can match here, which are accepted
//! but not looked for, and which are left out and why.

use std::collections::BTreeMap;
use std::io;
use std::io::BufWriter;
use std::io::Write;

use clap::Args;
use serde::Serialize;

use crate::control::cli::DAMAGED;
use crate::control::cli::DONE;
use crate::control::cli::Failure;
use crate::control::explain::row::is_zero;
use crate::control::intel::IntelArguments;
use crate::control::intel::IntelError;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::harvest::Purpose;
use crate::control::intel::ledger::Ledger;
use crate::control::intel::survey::survey;
use crate::control::intel::uuid::Uuid;
use crate::control::output;
use crate::model::plain::plain;

/// Says what of events can match here.
#[derive(Args, Debug)]
pub struct CoverageArguments {
    #[command(flatten)]
    intel: IntelArguments,
    /// Write JSON lines
    #[arg(long)]
    json: bool,
    /// Only this event, by UUID or number
    event: Option<String>,
}

/// Which event; the input, where a format knows none.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Which {
    Event { provider: String, id: u64, uuid: Uuid },
    Input(String),
}

/// What is known of an event, and what became of its attributes.
#[derive(Debug, Default)]
struct Covered {
    info: String,
    ledger: Ledger,
}

/// The line of one event, or of all.
#[derive(Serialize)]
struct Line<'c> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    event_id: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    info: &'c str,
    #[serde(skip_serializing_if = "str::is_empty")]
    provider: &'c str,
    /// Of the totals: how many events there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<u64>,
    attributes: u64,
    /// Attributes that are looked for, by type.
    matchable: BTreeMap<&'c str, u64>,
    /// Those that are accepted and not looked for, by why and type.
    not_looked_for: BTreeMap<&'c str, BTreeMap<&'c str, u64>>,
    /// Those that are left out, by why and type.
    left_out: BTreeMap<&'c str, &'c BTreeMap<String, u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<Vec<String>>,
}

/// Says what of each event, and of all together, can match.
///
/// # Errors
/// No input was given or can be read, the event is in none, or the output cannot be written.
pub fn run(arguments: &CoverageArguments) -> Result<u8, Failure> {
    let inputs = &arguments.intel.intel;
    if inputs.is_empty() {
        return Err(IntelError::NoInput.into());
    }
    let mut events = BTreeMap::<Which, Covered>::new();
    let ledger = survey(inputs, &arguments.intel.options(), Purpose::Count, |harvest| {
        take(harvest, &mut events)
    });
    if let ([first, ..], 0) = (ledger.damage.as_slice(), ledger.seen) {
        return Err(IntelError::Unreadable(first.to_string()).into());
    }
    output::say_all(&ledger.damage);
    let wanted = |which: &Which| arguments.event.as_ref().is_none_or(|name| which.is(name));
    events.retain(|which, _| wanted(which));
    if let (Some(name), true) = (&arguments.event, events.is_empty()) {
        let what = format!("no attribute of an event {name:?}: give its UUID or its number");
        return Err(Failure::NoInput(what));
    }
    write(&events, &ledger, arguments).map_err(Failure::Told)?;
    Ok(if ledger.damage.is_empty() { DONE } else { DAMAGED })
}

/// Adds what a harvest has of each event; returns its totals.
fn take(mut harvest: Harvest<'_>, events: &mut BTreeMap<Which, Covered>) -> Ledger {
    let by_event = std::mem::take(&mut harvest.by_event);
    let text = |number| harvest.strings.texts.get(number);
    for (number, ledger) in by_event {
        let record = harvest.events.get(number as usize).copied().unwrap_or_default();
        let (id, uuid) = (record.id.get(), record.uuid);
        let provider = text(record.provider).to_owned();
        let which = match id != 0 || uuid.is_some() {
            true => Which::Event { provider, id, uuid },
            false => Which::Input(harvest.file().path.display().to_string()),
        };
        let covered = events.entry(which).or_default();
        let info = text(record.info);
        if covered.ledger.seen == 0 || info < covered.info.as_str() {
            info.clone_into(&mut covered.info);
        }
        covered.ledger.add(ledger);
    }
    harvest.ledger
}

impl Which {
    fn is(&self, name: &str) -> bool {
        match self {
            Self::Event { id, uuid, .. } => {
                let is_uuid = uuid.is_some() && *uuid == Uuid::from_text(name);
                is_uuid || (*id != 0 && name.trim().parse() == Ok(*id))
            }
            Self::Input(path) => path == name,
        }
    }
}

fn write(
    events: &BTreeMap<Which, Covered>,
    ledger: &Ledger,
    arguments: &CoverageArguments,
) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut sum = Ledger::default();
    for (which, covered) in events {
        let line = Line::of_event(which, covered);
        if arguments.json {
            json(&mut out, &line)?;
        } else {
            line.text(&mut out)?;
        }
        sum.add(covered.ledger.clone());
    }
    let damage = ledger.damage.iter().map(ToString::to_string).collect();
    let total = Line { events: Some(events.len() as u64), damage: Some(damage), ..Line::of(&sum) };
    if arguments.json {
        json(&mut out, &total)?;
    } else {
        total.text(&mut out)?;
    }
    out.flush()
}

fn json(out: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

impl<'c> Line<'c> {
    fn of_event(which: &'c Which, covered: &'c Covered) -> Self {
        let line = Self { info: &covered.info, ..Self::of(&covered.ledger) };
        match which {
            Which::Event { provider, id, uuid } => Self {
                event: uuid.is_some().then(|| uuid.to_string()),
                event_id: *id,
                provider,
                ..line
            },
            // an input without events has a story for each line perhaps: none is its own
            Which::Input(path) => Self { info: "", provider: path, ..line },
        }
    }

    fn of(ledger: &'c Ledger) -> Self {
        let mut matchable =
            ledger.accepted.iter().map(|(ty, n)| (ty.name(), *n)).collect::<BTreeMap<_, _>>();
        let mut not_looked_for = BTreeMap::<_, BTreeMap<_, _>>::new();
        for ((usage, ty), n) in &ledger.idle {
            not_looked_for.entry(usage.name()).or_default().insert(ty.name(), *n);
            matchable.entry(ty.name()).and_modify(|all| *all -= n);
        }
        matchable.retain(|_, n| *n > 0);
        Self {
            event: None,
            event_id: 0,
            info: "",
            provider: "",
            events: None,
            attributes: ledger.seen,
            matchable,
            not_looked_for,
            left_out: ledger.left_out.iter().map(|(why, kinds)| (why.name(), kinds)).collect(),
            damage: None,
        }
    }

    fn text(&self, out: &mut impl Write) -> io::Result<()> {
        let sum = |all: &BTreeMap<&str, u64>| all.values().sum::<u64>();
        let matchable = sum(&self.matchable);
        let idle = self.not_looked_for.values().map(sum).sum::<u64>();
        let left_out = self.left_out.values().flat_map(|kinds| kinds.values()).sum::<u64>();
        let n = self.attributes;
        writeln!(
            out,
            "{}: {n} attributes: {matchable} can match, {idle} are not looked for, {left_out} are \
             left out",
            self.name(),
        )?;
        for (ty, n) in &self.matchable {
            writeln!(out, "  matchable\t{ty}\t{n}")?;
        }
        for (why, types) in &self.not_looked_for {
            for (ty, n) in types {
                writeln!(out, "  {why}\t{ty}\t{n}")?;
            }
        }
        for (why, kinds) in &self.left_out {
            for (kind, n) in *kinds {
                writeln!(out, "  {why}\t{}\t{n}", plain(kind))?;
            }
        }
        Ok(())
    }

    fn name(&self) -> String {
        let name = match (self.events, &self.event, self.event_id) {
            (Some(1), ..) => return "all: 1 event".to_owned(),
            (Some(n), ..) => return format!("all: {n} events"),
            (None, None, 0) => return plain(self.provider).into_owned(),
            (None, Some(uuid), 0) => format!("event {uuid}"),
            (None, None, id) => format!("event {id}"),
            (None, Some(uuid), id) => format!("event {id} {uuid}"),
        };
        match self.info {
            "" => name,
            info => format!("{name} ({})", plain(info)),
        }
    }
}
