//! The lines of a listing: tab-separated for people and `cut`, or JSON.

use std::collections::BTreeMap;
use std::io;
use std::io::Write;

use serde::Serialize;

use crate::control::explain::until::until;
use crate::control::intel::catalog::Catalog;
use crate::control::intel::catalog::EventRecord;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::harvest::Remark;
use crate::control::intel::harvest::Row;
use crate::control::intel::ledger::Ledger;
use crate::control::intel::ledger::Spot;
use crate::control::intel::warninglist::Action;
use crate::model::hit::Found;
use crate::model::indicator::IndicatorId;
use crate::model::plain::plain;
use crate::model::policy::Usage;
use crate::model::story::Source;
use crate::model::validity::Validity;

/// Writes the lines of a listing.
pub(super) struct Lines<'o, W: Write> {
    out: &'o mut W,
    json: bool,
    /// How old indicators may be.
    validity: Validity,
}

/// An attribute that does not match.
#[derive(Serialize)]
struct RowLine<'r> {
    reason: &'r str,
    r#type: &'r str,
    value: &'r str,
    #[serde(flatten)]
    event: EventLine<'r>,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    advice: &'r str,
    /// What of the attribute or the settings makes the reason true.
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'r str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warninglists: Vec<&'r str>,
    /// What each of these does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warninglist_actions: Vec<&'r str>,
}

/// An indicator that matches, or nearly does.
#[derive(Serialize)]
struct MatchLine<'r> {
    reason: &'r str,
    r#type: &'r str,
    value: &'r str,
    r#match: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    seen_as: &'r str,
    /// Packets after it give no alert.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    sources: Vec<EventLine<'r>>,
}

/// An event as listings name it.
#[derive(Serialize)]
pub(in crate::control) struct EventLine<'r> {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::control) attribute: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::control) event: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub(in crate::control) event_id: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(in crate::control) info: &'r str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(in crate::control) provider: &'r str,
}

/// The totals.
#[derive(Serialize)]
struct TotalLine<'r> {
    files: u64,
    attributes: u64,
    accepted: BTreeMap<&'r str, u64>,
    idle: BTreeMap<&'r str, BTreeMap<&'r str, u64>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    notes: BTreeMap<&'r str, BTreeMap<&'r str, u64>>,
    /// By what lists do, then by list.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    warninglists: BTreeMap<&'r str, BTreeMap<&'r str, u64>>,
    left_out: BTreeMap<&'r str, &'r BTreeMap<String, u64>>,
    damage: Vec<String>,
}

impl<'o, W: Write> Lines<'o, W> {
    /// Begins a listing.
    pub(super) fn new(out: &'o mut W, json: bool, validity: Validity) -> Self {
        Self { out, json, validity }
    }

    /// Writes an attribute that does not match.
    pub(super) fn row(&mut self, row: &Row, harvest: &Harvest<'_>) -> io::Result<()> {
        let (reason, advice) = told(row.why);
        let file = harvest.file().path.display().to_string();
        let record = harvest.events.get(row.event as usize).copied().unwrap_or_default();
        let event = event_line(row, &record, harvest);
        if !self.json {
            let told = event.told();
            let place = format!("{file}:{}", row.spot);
            let lists = row.warninglists.iter();
            let lists = lists.map(|(list, action)| format!("{list}: {}", action.name()));
            let detail = Some(row.detail.clone()).filter(|detail| !detail.is_empty());
            let what = detail.into_iter().chain(lists).collect::<Vec<_>>().join("; ");
            let what = if what.is_empty() { what } else { format!(" ({what})") };
            let advice = format!("{advice}{what}");
            return self.tabs(&[reason, &row.kind, &row.value, &told, &place, &advice]);
        }
        let (line, number) = match row.spot {
            Spot::Line(line) | Spot::Column(line, _) => (Some(line), None),
            Spot::Number(number) => (None, Some(number)),
            Spot::File => (None, None),
        };
        let (r#type, value) = (row.kind.as_str(), row.value.as_str());
        let lists = row.warninglists.iter();
        let (warninglists, warninglist_actions) =
            lists.map(|(list, action)| (list.as_str(), action.name())).unzip();
        self.json(&RowLine {
            reason,
            r#type,
            value,
            event,
            file,
            line,
            number,
            advice: &advice,
            detail: &row.detail,
            warninglists,
            warninglist_actions,
        })
    }

    /// Writes an indicator that matches, with its events.
    pub(super) fn match_of(
        &mut self,
        catalog: &Catalog,
        found: Found,
        seen_as: &str,
    ) -> io::Result<()> {
        self.indicator(catalog, found.indicator, ["match", found.grade.name(), seen_as])
    }

    /// Writes an indicator that concerns the same host, and what it lacks to match.
    pub(super) fn near(
        &mut self,
        catalog: &Catalog,
        id: IndicatorId,
        lacks: &str,
    ) -> io::Result<()> {
        self.indicator(catalog, id, ["near", lacks, ""])
    }

    fn indicator(
        &mut self,
        catalog: &Catalog,
        id: IndicatorId,
        [reason, r#match, seen_as]: [&str; 3],
    ) -> io::Result<()> {
        let r#type = catalog.indicator_type(id).map_or("", |ty| ty.name());
        let value = catalog.value(id);
        let told = catalog.sources(id);
        let until = until(&told, self.validity);
        let sources = told.iter().map(source_line).collect::<Vec<_>>();
        if self.json {
            let line = MatchLine { reason, r#type, value, r#match, seen_as, until, sources };
            return self.json(&line);
        }
        let until = until.map(|until| format!("until {until}: later packets give no alert"));
        let mut events = sources.iter().map(EventLine::told).collect::<Vec<_>>();
        events.dedup();
        for event in &events {
            let columns = [reason, r#type, value, r#match, seen_as, event.as_str()];
            self.tabs(&columns.into_iter().chain(until.as_deref()).collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Writes that nothing names a value.
    pub(super) fn nothing(&mut self, value: &str, ledger: &Ledger) -> io::Result<()> {
        if self.json {
            return self.json(&BTreeMap::from([("reason", "nothing"), ("value", value)]));
        }
        writeln!(self.out, "nothing in {} attributes names {}", ledger.seen, plain(value))
    }

    /// Writes the totals.
    pub(super) fn totals(&mut self, ledger: &Ledger) -> io::Result<()> {
        let mut idle = BTreeMap::<_, BTreeMap<_, _>>::new();
        for ((usage, ty), n) in &ledger.idle {
            idle.entry(usage.name()).or_default().insert(ty.name(), *n);
        }
        let mut notes = BTreeMap::<_, BTreeMap<_, _>>::new();
        for ((note, ty), n) in &ledger.notes {
            notes.entry(note.name()).or_default().insert(ty.name(), *n);
        }
        let mut warninglists = BTreeMap::<_, BTreeMap<_, _>>::new();
        for ((list, action), n) in &ledger.warninglists {
            warninglists.entry(action.name()).or_default().insert(list.as_str(), *n);
        }
        let total = TotalLine {
            warninglists,
            files: ledger.files,
            attributes: ledger.seen,
            accepted: ledger.accepted.iter().map(|(ty, n)| (ty.name(), *n)).collect(),
            idle,
            notes,
            left_out: ledger.left_out.iter().map(|(why, kinds)| (why.name(), kinds)).collect(),
            damage: ledger.damage.iter().map(ToString::to_string).collect(),
        };
        if self.json { self.json(&total) } else { self.total_text(&total, ledger) }
    }

    fn total_text(&mut self, total: &TotalLine<'_>, ledger: &Ledger) -> io::Result<()> {
        let (n, files) = (total.attributes, total.files);
        let plural = if files == 1 { "file" } else { "files" };
        let (accepted, left_out) = (ledger.accepted_total(), ledger.left_out_total());
        let head = format!("{n} attributes in {files} {plural}");
        writeln!(self.out, "{head}: {accepted} accepted, {left_out} left out")?;
        for (ty, n) in &total.accepted {
            writeln!(self.out, "  accepted\t{ty}\t{n}")?;
        }
        for (usage, types) in total.idle.iter().chain(&total.notes) {
            for (ty, n) in types {
                writeln!(self.out, "  of these {usage}\t{ty}\t{n}")?;
            }
        }
        for (action, lists) in &total.warninglists {
            for (list, n) in lists {
                writeln!(self.out, "  warninglist {action}\t{}\t{n}", plain(list))?;
            }
        }
        for (why, kinds) in &total.left_out {
            for (kind, n) in *kinds {
                writeln!(self.out, "  {why}\t{}\t{n}", plain(kind))?;
            }
        }
        Ok(())
    }

    fn tabs(&mut self, columns: &[&str]) -> io::Result<()> {
        let columns = columns.iter().map(|column| plain(column)).collect::<Vec<_>>();
        writeln!(self.out, "{}", columns.join("\t"))
    }

    fn json(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, line)?;
        self.out.write_all(b"\n")
    }
}

impl EventLine<'_> {
    /// Names it for people: its number or UUID and what it is about, else who gave it.
    pub(in crate::control) fn told(&self) -> String {
        let which = match (self.event_id, self.event.as_str()) {
            (0, "") => return self.provider.to_owned(),
            (0, uuid) => format!("event {uuid}"),
            (id, _) => format!("event {id}"),
        };
        if self.info.is_empty() { which } else { format!("{which} ({})", self.info) }
    }
}

fn told(why: Remark) -> (&'static str, String) {
    match why {
        Remark::LeftOut(why) => (why.name(), why.words()),
        Remark::Noted(note) => (note.name(), note.words().to_owned()),
        Remark::Warned(action) => {
            let words = match action {
                Action::Downgrade => "it matches, with low confidence, as warninglists have it",
                Action::Inform | Action::Drop => "it matches, but warninglists have it",
            };
            (action.name(), words.to_owned())
        }
        Remark::Idle(usage) => {
            let words = match usage {
                Usage::Matched => "looked for",
                Usage::OptIn => "off by default: name its type in --opt-in",
                Usage::TlsOnly => {
                    "of an https URL only the host is visible: use --tls-url-hosts to look for it"
                }
                Usage::NotYetObserved => "accepted, but nothing reads such values from traffic yet",
            };
            (usage.name(), words.to_owned())
        }
    }
}

fn event_line<'r>(row: &Row, event: &EventRecord, harvest: &'r Harvest<'_>) -> EventLine<'r> {
    let text = |number| harvest.strings.texts.get(number);
    EventLine {
        attribute: if row.uuid.is_some() { row.uuid.to_string() } else { String::new() },
        event: if event.uuid.is_some() { event.uuid.to_string() } else { String::new() },
        event_id: event.id.get(),
        info: text(event.info),
        provider: text(event.provider),
    }
}

/// Returns the event of a source.
pub(in crate::control) fn source_line(source: &Source) -> EventLine<'_> {
    EventLine {
        attribute: source.attribute.clone().unwrap_or_default(),
        event: source.event.clone().unwrap_or_default(),
        event_id: source.event_id.unwrap_or(0),
        info: source.info.as_deref().unwrap_or_default(),
        provider: source.provider.as_deref().unwrap_or_default(),
    }
}

/// Tells whether a number of an event is unknown.
pub(in crate::control) fn is_zero(id: &u64) -> bool {
    *id == 0
}
