//! `tapsieve intel explain`: which attributes do not match and why, or what a value would match.

mod probe;
pub(in crate::control) mod row;
mod until;

use std::io;
use std::io::Write;

use crate::control::explain::probe::COVERS;
use crate::control::explain::probe::Probe;
use crate::control::explain::row::Lines;
use crate::control::intel::IntelArguments;
use crate::control::intel::IntelError;
use crate::control::intel::IntelOptions;
use crate::control::intel::catalog::Catalog;
use crate::control::intel::compile::compile;
use crate::control::intel::compiled;
use crate::control::intel::harvest::Harvest;
use crate::control::intel::harvest::Purpose;
use crate::control::intel::harvest::Row;
use crate::control::intel::ledger::Damage;
use crate::control::intel::ledger::Ledger;
use crate::control::intel::survey::survey;
use crate::model::indicator::IndicatorId;
use crate::model::indicator::IndicatorType;
use crate::model::pattern::Pattern;
use crate::model::policy::Policy;
use crate::model::policy::Usage;

/// Explains what indicators do not match, or what a value would match.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ExplainArguments {
    /// The indicators
    #[command(flatten)]
    pub intel: IntelArguments,

    /// Write JSON lines
    #[arg(long)]
    pub json: bool,

    /// An address, name, URL, digest, fingerprint or user agent: what would match it, or why
    /// nothing does
    pub value: Option<String>,
}

/// Why nothing could be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The indicators cannot be read.
    #[error(transparent)]
    Intel(#[from] IntelError),
    /// The listing cannot be written.
    #[error("cannot write the listing: {0}")]
    Write(#[from] io::Error),
}

/// Writes the explanation; returns the damage of the inputs, for the exit code.
///
/// # Errors
/// No input was given, or the output cannot be written.
pub fn run(
    args: &ExplainArguments,
    out: &mut (impl Write + Send),
) -> Result<Vec<Damage>, ExplainError> {
    if args.intel.intel.is_empty() {
        return Err(IntelError::NoInput.into());
    }
    let options = compiled::options_for(&args.intel.intel, args.intel.options());
    let mut lines = Lines::new(out, args.json, args.intel.validity());
    let ledger = match &args.value {
        None => {
            let ledger = list((args, &options), &mut lines, |_| true)?;
            if ledger.seen > 0 || ledger.damage.is_empty() {
                lines.totals(&ledger)?;
            }
            ledger
        }
        Some(value) => explain_value((args, &options), value, &mut lines)?,
    };
    let what = match ledger.damage.as_slice() {
        [only] if ledger.seen == 0 => only.to_string(),
        [first, rest @ ..] if ledger.seen == 0 => format!("{first}, and {} more", rest.len()),
        _ => return Ok(ledger.damage),
    };
    Err(IntelError::Unreadable(what).into())
}

fn explain_value<W: Write + Send>(
    (args, options): (&ExplainArguments, &IntelOptions),
    value: &str,
    lines: &mut Lines<'_, W>,
) -> Result<Ledger, ExplainError> {
    let probe = Probe::new(value);
    let mut named = 0;
    let compiled = match compile(&args.intel.intel, options) {
        Ok(compiled) => {
            let catalog = &compiled.set.catalog;
            for (found, seen_as) in probe.ask(&compiled.set, &options.policy) {
                named += 1;
                lines.match_of(catalog, found, seen_as)?;
            }
            Some(compiled)
        }
        Err(IntelError::NothingUsable { .. } | IntelError::Unreadable(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let mut told = 0;
    let ledger = list((args, options), lines, |row| {
        let is_same = probe.is_same(&row.value);
        told += u64::from(is_same);
        is_same
    })?;
    if named + told == 0 && (ledger.seen > 0 || ledger.damage.is_empty()) {
        lines.nothing(value, &ledger)?;
        for catalog in compiled.iter().map(|compiled| &compiled.set.catalog) {
            for (id, lacks) in nearby(catalog, &probe, &options.policy) {
                lines.near(catalog, id, lacks)?;
            }
        }
        let near = |row: &Row| {
            let ty = IndicatorType::from_name(&row.kind);
            ty.is_some_and(|ty| probe.near(ty, &row.value).is_some())
        };
        list((args, options), lines, near)?;
    }
    Ok(ledger)
}

/// Returns the indicators that concern the host of a value which nothing names; those that are not
/// looked for are told as rows.
fn nearby<'c>(
    catalog: &'c Catalog,
    probe: &'c Probe,
    policy: &'c Policy,
) -> impl Iterator<Item = (IndicatorId, &'static str)> {
    let all = catalog.by_type().flat_map(|(ty, ids)| ids.map(move |id| (ty, IndicatorId(id))));
    all.filter_map(move |(ty, id)| {
        let value = catalog.value(id);
        let lacks = probe.near(ty, value).filter(|lacks| *lacks != COVERS)?;
        let pattern = Pattern::from_text(ty, value, policy).ok()?;
        (pattern.usage(policy) == Usage::Matched).then_some((id, lacks))
    })
}

/// Reads the inputs in order and writes the rows that are wanted.
fn list<W: Write + Send>(
    (args, options): (&ExplainArguments, &IntelOptions),
    lines: &mut Lines<'_, W>,
    wanted: impl FnMut(&Row) -> bool + Send,
) -> Result<Ledger, ExplainError> {
    let mut listing = Listing { lines, wanted, written: Ok(()) };
    let inputs = &args.intel.intel;
    let ledger = survey(inputs, options, Purpose::Explain, |harvest| listing.take(harvest));
    listing.written?;
    Ok(ledger)
}

/// Writes rows as harvests come.
struct Listing<'l, 'o, W: Write, F> {
    lines: &'l mut Lines<'o, W>,
    wanted: F,
    written: io::Result<()>,
}

impl<W: Write, F: FnMut(&Row) -> bool> Listing<'_, '_, W, F> {
    fn take(&mut self, harvest: Harvest<'_>) -> Ledger {
        for row in harvest.rows.iter().filter(|row| (self.wanted)(row)) {
            if self.written.is_ok() {
                self.written = self.lines.row(row, &harvest);
            }
        }
        harvest.ledger
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::path::PathBuf;

    use super::*;
    use crate::control::intel::warninglist::Action;

    fn explain(file: &Path, json: bool, value: Option<&str>) -> String {
        let intel =
            IntelArguments { intel: vec![PathBuf::from(file)], ..IntelArguments::default() };
        let args = ExplainArguments { intel, json, value: value.map(str::to_owned) };
        let mut out = Vec::new();
        run(&args, &mut out).expect("a readable input");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn inputs_that_give_nothing_are_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let missing = ["a", "b"].map(|name| folder.path().join(name));
        for (missing, value) in [(1, None), (2, None), (1, Some("x")), (2, Some("x"))]
            .map(|(n, value)| (missing.iter().take(n).cloned().collect::<Vec<_>>(), value))
        {
            let many = missing.len() > 1;
            let intel = IntelArguments { intel: missing, ..IntelArguments::default() };
            let args = ExplainArguments { intel, json: false, value: value.map(str::to_owned) };
            let error = run(&args, &mut Vec::new()).expect_err("nothing was read").to_string();
            assert_eq!(error.ends_with(", and 1 more"), many, "{error}");
        }
    }

    fn feed(folder: &Path) -> PathBuf {
        let path = folder.join("event.csv");
        let rows = "uuid,event_id,type,value,to_ids\n\
            2d72a64d-a1bc-5bf6-915e-215bdbf26eaf,7,domain,evil.example,1\n\
            ,7,domain,quiet.example,0\n\
            ,7,ip-dst,8.8.4.0/22,1\n\
            ,7,ip-dst,10.1.2.3,1\n\
            ,7,md5,d41d8cd98f00b204e9800998ecf8427e,1\n\
            ,7,user-agent,EvilBot 1.0,1\n\
            ,7,community-id,1:LQU9qZlK+B5F3KDmev6m5PMibrg=,1\n\
            ,7,hassh-md5,ec7378c1a92f5a8dde7e8b7a1ddf33d1,1\n";
        std::fs::write(&path, rows).expect("a temporary file");
        path
    }

    #[test]
    fn what_does_not_match_is_listed_with_totals() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = explain(&feed(folder.path()), false, None);
        for want in [
            "not_for_ids\tdomain\tquiet.example\tevent 7\t",
            "special_purpose\tip-dst\t10.1.2.3\t",
            "unsupported\tmd5\t",
            "opt_in\tuser-agent\tEvilBot 1.0\t",
            "not_yet_observed\thassh-md5\t",
            "8 attributes in 1 file: 4 accepted, 4 left out",
        ] {
            assert!(text.contains(want), "{want:?} in {text}");
        }
        assert!(!text.contains("evil.example"));
    }

    #[test]
    fn a_value_is_explained() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let feed = feed(folder.path());
        for (value, want) in [
            ("www.evil.example", "match\tdomain\tevil.example\tsubdomain\t"),
            ("EVIL[.]example", "match\tdomain\tevil.example\texact\t"),
            ("http://evil.example/x", "match\tdomain\tevil.example\texact\t"),
            ("8.8.5.1", "match\tip-dst\t8.8.4.0/22\tcidr\t"),
            ("8.8.5.1:53", "match\tip-dst\t8.8.4.0/22\tcidr\t"),
            ("quiet.example", "not_for_ids\tdomain\tquiet.example\t"),
            ("10.1.2.3", "special_purpose\tip-dst\t10.1.2.3\t"),
            ("ec7378c1a92f5a8dde7e8b7a1ddf33d1", "not_yet_observed\thassh-md5\t"),
            ("1:LQU9qZlK+B5F3KDmev6m5PMibrg=", "match\tcommunity-id\t"),
            ("other.example", "nothing in 8 attributes names other.example"),
            ("8.8.5.1", "\tflow\t"),
            ("evil.example", "\tdns_query, tls_sni, http_host or cert_name\t"),
        ] {
            let text = explain(&feed, false, Some(value));
            assert!(text.contains(want), "{value}: {want:?} in {text:?}");
        }
    }

    #[test]
    fn a_name_with_a_port_is_told_where_it_is_seen() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("pair.csv");
        std::fs::write(&path, "type,value\nhostname|port,h.com|80\n").expect("a temporary file");
        for (value, want) in [
            ("h.com", "near\thostname|port\th.com|80\tneeds_port\t"),
            ("http://h.com:8080/", "near\thostname|port\th.com|80\tneeds_port\t"),
            ("h.com|80", "\ttls_sni, http_host or, of a proxy's client, http_url\t"),
            ("http://h.com/a", "\ttls_sni, http_host or, of a proxy's client, http_url\t"),
        ] {
            let text = explain(&path, false, Some(value));
            assert!(text.contains(want), "{value}: {want:?} in {text:?}");
        }
    }

    #[test]
    fn what_is_near_is_told_where_nothing_names_the_value() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("near.csv");
        let rows = "type,value,to_ids\nip-dst|port,9.9.9.9|53,1\nhostname,evil.example,1\n\
            url,http://bad.example/x,1\nip-dst,10.0.0.0/8,1\ndomain,quiet.example,0\n\
            url,https://safe.example/x,1\n";
        std::fs::write(&path, rows).expect("a temporary file");
        for (value, want) in [
            ("9.9.9.9", "near\tip-dst|port\t9.9.9.9|53\tneeds_port\t"),
            ("a.evil.example", "near\thostname\tevil.example\tneeds_name\t"),
            ("bad.example", "near\turl\thttp://bad.example/x\tneeds_url\t"),
            ("10.1.2.3", "special_purpose\tip-dst\t10.0.0.0/8\t"),
            ("a.quiet.example", "not_for_ids\tdomain\tquiet.example\t"),
            ("safe.example", "tls_only\turl\thttps://safe.example/x\t"),
        ] {
            let text = explain(&path, false, Some(value));
            assert!(text.starts_with("nothing in 6 attributes names "), "{text}");
            assert!(text.contains(want), "{value}: {want:?} in {text:?}");
            assert_eq!(text.lines().count(), 2, "{text}");
            let json = explain(&path, true, Some(value));
            for line in json.lines() {
                serde_json::from_str::<serde_json::Value>(line).expect(line);
            }
        }
        let exact = explain(&path, false, Some("evil.example"));
        assert_eq!(exact.lines().count(), 1, "{exact}");
        assert_eq!(explain(&path, false, Some("9.9.9.8")).lines().count(), 1);
    }

    #[test]
    fn lines_are_numbered_whatever_ends_them() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("ends.csv");
        for end in ["\n", "\r\n"] {
            let rows = ["type,value", "", "md5,a", "md5,\"b\nc\"", "", "md5,d", ""].join(end);
            std::fs::write(&path, rows).expect("a temporary file");
            let text = explain(&path, false, None);
            for want in ["csv:line 3\t", "csv:line 4\t", "csv:line 7\t"] {
                assert!(text.contains(want), "{want:?} in {text:?}");
            }
        }
    }

    #[test]
    fn warninglists_are_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let rows = "type,value\ndomain,google.com\nip-dst,9.9.9.9\ndomain,evil.example\n";
        let feed = folder.path().join("feed.csv");
        std::fs::write(&feed, rows).expect("a temporary file");
        let list = |name: &str, mode: &str, entry: &str| {
            let text = format!(r#"{{"name":"{name}","type":"{mode}","list":["{entry}"]}}"#);
            let path = folder.path().join(format!("{name}.json"));
            std::fs::write(&path, text).expect("a temporary file");
            path
        };
        let lists = vec![
            (list("Top sites", "hostname", "google.com"), None),
            (list("Resolvers", "cidr", "9.9.9.9"), Some(Action::Downgrade)),
        ];
        for (value, json, want) in [
            (None, false, "warninglist\tdomain\tgoogle.com\t"),
            (None, false, "keep it (Top sites: drop)\n"),
            (None, false, "downgrade\tip-dst\t9.9.9.9\t"),
            (None, false, "3 attributes in 1 file: 2 accepted, 1 left out"),
            (None, false, "  warninglist drop\tTop sites\t1\n"),
            (None, false, "  warninglist downgrade\tResolvers\t1\n"),
            (None, true, r#""warninglists":{"downgrade":{"Resolvers":1},"drop":{"Top sites":1}}"#),
            (Some("google.com"), true, r#""warninglists":["Top sites"]"#),
            (Some("9.9.9.9"), false, "match\tip-dst\t9.9.9.9\texact\t"),
            (Some("9.9.9.9"), false, "have it (Resolvers: downgrade)\n"),
        ] {
            let intel = IntelArguments {
                intel: vec![feed.clone()],
                warninglists: lists.clone(),
                ..IntelArguments::default()
            };
            let args = ExplainArguments { intel, json, value: value.map(str::to_owned) };
            let mut out = Vec::new();
            run(&args, &mut out).expect("a readable input");
            let text = String::from_utf8(out).expect("text");
            assert!(text.contains(want), "{value:?}: {want:?} in {text:?}");
        }
    }

    #[test]
    fn json_lines_are_json() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let feed = feed(folder.path());
        for value in [None, Some("evil.example"), Some("quiet.example"), Some("other.example")] {
            let text = explain(&feed, true, value);
            assert!(!text.is_empty());
            for line in text.lines() {
                serde_json::from_str::<serde_json::Value>(line).expect(line);
            }
        }
    }
}
