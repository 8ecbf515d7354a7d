//! Until when an indicator alerts: what its sources say of their end, and how old the operator
//! takes them, where both are judged at the packet's time.

use jiff::SignedDuration;
use jiff::Timestamp;

use crate::model::mark::Said;
use crate::model::story::Source;
use crate::model::validity::AsOf;
use crate::model::validity::Validity;

/// Returns the time after which packets give no alert; `None` where one source has no end.
pub(super) fn until(sources: &[Source], validity: Validity) -> Option<String> {
    if validity.as_of != AsOf::Packet {
        return None;
    }
    let ends = sources.iter().map(|source| end(source, validity)).collect::<Option<Vec<_>>>()?;
    ends.into_iter().max().map(|end| end.to_string())
}

fn end(source: &Source, validity: Validity) -> Option<Timestamp> {
    let said = Said::of(source.tags.iter().map(String::as_str)).valid_until;
    let said = said.and_then(|until| until.parse::<Timestamp>().ok());
    let time = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
    let last: Option<Timestamp> = time(&source.last_seen).or_else(|| time(&source.modified));
    let age = validity.days_max.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
    let aged = last.zip(age).and_then(|(last, age)| last.checked_add(age).ok());
    said.into_iter().chain(aged).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_all_sources_ends_an_indicator() {
        let source = |until: &str, last: &str| Source {
            tags: if until.is_empty() {
                Vec::new()
            } else {
                vec![format!("tapsieve:valid-until=\"{until}T00:00:00Z\"")]
            },
            last_seen: (!last.is_empty()).then(|| format!("{last}T00:00:00Z")),
            ..Source::default()
        };
        let days = |days_max| Validity { as_of: AsOf::Packet, days_max };
        for (sources, days_max, want) in [
            (vec![source("2024-01-01", "")], None, Some("2024-01-01T00:00:00Z")),
            (vec![source("2024-01-01", "2023-01-01")], Some(31), Some("2023-02-01T00:00:00Z")),
            (
                vec![source("2024-01-01", ""), source("2025-01-01", "")],
                None,
                Some("2025-01-01T00:00:00Z"),
            ),
            (vec![source("2024-01-01", ""), source("", "")], None, None),
            (vec![source("", "2023-01-01")], None, None),
        ] {
            assert_eq!(until(&sources, days(days_max)).as_deref(), want, "{sources:?}");
        }
        let off = Validity { as_of: AsOf::Off, days_max: None };
        assert_eq!(until(&[source("2024-01-01", "")], off), None);
    }
}
