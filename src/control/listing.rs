//! `tapsieve intel list`: one line for each indicator, in order of type and value.

use std::io;
use std::io::BufWriter;
use std::io::Write;

use clap::Args;
use serde::Serialize;

use crate::control::cli::DAMAGED;
use crate::control::cli::DONE;
use crate::control::cli::Failure;
use crate::control::explain::row::EventLine;
use crate::control::explain::row::source_line;
use crate::control::intel::IntelArguments;
use crate::control::intel::catalog::Catalog;
use crate::control::output;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::IndicatorType;
use crate::model::mark::Mark;
use crate::model::plain::plain;

/// Lists indicators.
#[derive(Args, Debug)]
pub struct ListArguments {
    #[command(flatten)]
    intel: IntelArguments,
    /// Only indicators of this MISP type; repeatable
    #[arg(long = "type", value_name = "TYPE", value_parser = indicator_type)]
    types: Vec<IndicatorType>,
    /// Write JSON lines
    #[arg(long)]
    json: bool,
}

/// An indicator, for programs.
#[derive(Serialize)]
pub(in crate::control) struct Indicator<'c> {
    r#type: &'c str,
    value: &'c str,
    sources: Vec<Told<'c>>,
}

/// Who tells of it.
#[derive(Serialize)]
struct Told<'c> {
    #[serde(flatten)]
    event: EventLine<'c>,
    tags: &'c [String],
}

/// Lists the indicators that the inputs give.
///
/// # Errors
/// Nothing usable is in the inputs, or the output cannot be written.
pub fn run(arguments: &ListArguments) -> Result<u8, Failure> {
    let compiled = arguments.intel.compile()?.verified()?;
    output::say_all(&compiled.damages);
    write(&compiled.set.catalog, arguments).map_err(Failure::Told)?;
    Ok(if compiled.damages.is_empty() { DONE } else { DAMAGED })
}

fn write(catalog: &Catalog, arguments: &ListArguments) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let is_wanted = |ty| arguments.types.is_empty() || arguments.types.contains(&ty);
    for (ty, ids) in catalog.by_type().filter(|(ty, _)| is_wanted(*ty)) {
        for id in ids.map(IndicatorId) {
            match arguments.json {
                true => json(&mut out, catalog, (ty, id))?,
                false => line(&mut out, catalog, (ty, id))?,
            }
        }
    }
    out.flush()
}

fn json(
    out: &mut impl Write,
    catalog: &Catalog,
    (ty, id): (IndicatorType, IndicatorId),
) -> io::Result<()> {
    let mut sources = catalog.sources(id);
    sources.iter_mut().for_each(|source| source.tags.retain(|tag| Mark::of(tag).is_none()));
    let told = sources.iter().map(|source| Told { event: source_line(source), tags: &source.tags });
    let line = Indicator { r#type: ty.name(), value: catalog.value(id), sources: told.collect() };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

/// Writes type, value, events, UUIDs and tags, between tabs.
fn line(
    out: &mut impl Write,
    catalog: &Catalog,
    (ty, id): (IndicatorType, IndicatorId),
) -> io::Result<()> {
    let sources = catalog.sources(id);
    let joined = |mut all: Vec<String>| {
        all.sort();
        all.dedup();
        plain(&all.join(", ")).into_owned()
    };
    let events = joined(sources.iter().map(|source| source_line(source).told()).collect());
    let uuids = joined(sources.iter().filter_map(|source| source.attribute.clone()).collect());
    let tags = sources.iter().flat_map(|source| &source.tags);
    let tags = joined(tags.filter(|tag| Mark::of(tag).is_none()).cloned().collect());
    let (ty, value) = (ty.name(), plain(catalog.value(id)));
    writeln!(out, "{ty}\t{value}\t{events}\t{uuids}\t{tags}")
}

fn indicator_type(name: &str) -> Result<IndicatorType, String> {
    let known = |ty: &&IndicatorType| ty.name().eq_ignore_ascii_case(name.trim());
    IndicatorType::ALL.iter().find(known).copied().ok_or_else(|| {
        let names = IndicatorType::ALL.iter().map(|ty| ty.name()).collect::<Vec<_>>();
        format!("not a type that is looked for: give one of {}", names.join(", "))
    })
}
