//! The filter: which attributes match by what is said around them, as tags, markings, whether their
//! event is published, and their age.

use std::fmt;

use crate::control::intel::gate::LeftOut;
use crate::model::marking::Tlp;
use crate::model::validity::AsOf;
use crate::model::validity::Validity;

/// What an operator asks of what is said around attributes; by default nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Which tags of an attribute or its event it needs (one of them) or must not have.
    pub tags: Vec<TagRule>,
    /// The strictest marking that is taken; what has none is taken.
    pub tlp_max: Option<Tlp>,
    /// Takes nothing of events that are not published.
    pub published_only: bool,
    /// Takes nothing whose time is over by all of MISP's decaying models.
    pub exclude_decayed: bool,
    /// How old an attribute may be.
    pub validity: Validity,
}

/// A tag that is needed or must not be there; `*` stands for anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagRule {
    /// In lower case.
    pattern: String,
    is_refusing: bool,
}

/// What is said around an attribute.
#[derive(Clone, Copy, Debug)]
pub struct Around<'t> {
    /// Its tags and its event's.
    pub tags: &'t [&'t str],
    /// Its event is published; unknown where nothing says.
    pub published: Option<bool>,
    /// Seconds since 1970 when it was last seen, or else changed; 0 where unknown.
    pub last_secs: u32,
    /// Seconds since 1970 now.
    pub now_secs: u32,
}

impl Filter {
    /// Tells whether what an event says may leave its attributes out.
    pub fn asks_events(&self) -> bool {
        let ages = self.validity.counts_as_of(AsOf::Now);
        self.asks_tags() || self.published_only || ages
    }

    /// Tells whether tags and markings may leave attributes out.
    pub fn asks_tags(&self) -> bool {
        !self.tags.is_empty() || self.tlp_max.is_some()
    }

    /// Says which rule of tags leaves an attribute out, where one does.
    pub fn refusal(&self, tags: &[&str]) -> Option<String> {
        let (refusing, needed) = self.tags.iter().partition::<Vec<_>, _>(|rule| rule.is_refusing);
        let has = |rule: &TagRule| tags.iter().any(|tag| rule.fits(tag));
        if let Some(tag) = tags.iter().find(|tag| refusing.iter().any(|rule| rule.fits(tag))) {
            return Some(format!("it has {tag}"));
        }
        let lacks = !needed.is_empty() && !needed.iter().any(|rule| has(rule));
        let names = || needed.iter().map(|rule| rule.pattern.as_str()).collect::<Vec<_>>();
        lacks.then(|| format!("it has none of {}", names().join(", ")))
    }

    /// Says why an attribute is left out, where it is.
    ///
    /// # Errors
    /// The reason.
    pub fn check(&self, around: &Around<'_>) -> Result<(), LeftOut> {
        if self.refusal(around.tags).is_some() {
            return Err(LeftOut::Tags);
        }
        let tags = around.tags.iter().copied();
        if self.tlp_max.is_some() && Tlp::strictest(tags) > self.tlp_max {
            return Err(LeftOut::Tlp);
        }
        if self.published_only && around.published == Some(false) {
            return Err(LeftOut::Unpublished);
        }
        let is_aged = self.validity.counts_as_of(AsOf::Now)
            && self.validity.is_over(around.last_secs, around.now_secs);
        if is_aged { Err(LeftOut::Expired) } else { Ok(()) }
    }
}

impl fmt::Display for TagRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_refusing { "!" } else { "" }, self.pattern)
    }
}

impl TagRule {
    /// Reads a rule: a tag that is needed, or, after `!`, one that must not be there.
    ///
    /// # Errors
    /// It names no tag.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (is_refusing, tag) = match text.strip_prefix('!') {
            Some(tag) => (true, tag.trim()),
            None => (false, text),
        };
        if tag.is_empty() {
            return Err(
                "a tag is wanted, as tlp:*, or !tlp:red for one that must not be there".to_owned()
            );
        }
        Ok(Self { pattern: tag.to_lowercase(), is_refusing })
    }

    /// Tells whether a tag is one of those meant.
    fn fits(&self, tag: &str) -> bool {
        let tag = tag.to_lowercase();
        let Some((head, rest)) = self.pattern.split_once('*') else { return tag == self.pattern };
        let Some(mut left) = tag.strip_prefix(head) else { return false };
        let mut parts = rest.split('*').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return left.ends_with(part);
            }
            let Some((_, after)) = left.split_once(part) else { return false };
            left = after;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::intel::IntelOptions;
    use crate::control::intel::compile::compile;
    use crate::model::indicator::IndicatorType;

    /// An event whose attributes come before what is said of it, as PyMISP writes them.
    const EVENTS: &str = r#"{"response":[
        {"Event":{"Attribute":[
            {"type":"domain","value":"red.example","to_ids":true,"timestamp":"100",
             "Tag":[{"name":"tlp:red"}]},
            {"type":"domain","value":"green.example","to_ids":true,"last_seen":"2026-01-01T00:00:00Z"},
            {"type":"domain","value":"gone.example","to_ids":true,"Sighting":[{"type":"0"}],
             "decay_score":[{"decayed":true}]},
            {"type":"md5","value":"d41d8cd98f00b204e9800998ecf8427e","to_ids":true}],
         "Tag":[{"name":"tlp:green"},{"name":"tapsieve:decayed"}],"info":"X","published":false}}]}"#;

    /// Compiles the events under a filter; returns the values that match, and why others do not.
    fn compiled(filter: Filter) -> (Vec<String>, Vec<(&'static str, u64)>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("events.json");
        std::fs::write(&path, EVENTS).expect("a temporary file");
        let options = IntelOptions { filter, ..IntelOptions::default() };
        let compiled = match compile(&[path], &options) {
            Ok(compiled) => compiled,
            Err(error) => return (vec![error.to_string()], Vec::new()),
        };
        let ledger = &compiled.ledger;
        assert_eq!(ledger.seen, ledger.accepted_total() + ledger.left_out_total());
        let catalog = &compiled.set.catalog;
        let values = catalog.ids().map(|id| catalog.value(id).to_owned()).collect();
        let left = ledger.left_out.iter().map(|(why, kinds)| (why.name(), kinds.values().sum()));
        (values, left.collect())
    }

    #[test]
    fn what_an_event_says_after_its_attributes_counts() {
        let all = ["gone.example", "green.example", "red.example"];
        let unsupported = ("unsupported", 1);
        for (filter, values, left) in [
            (Filter::default(), &all[..], vec![unsupported]),
            (rules(&["tlp:green"]), &all[..], vec![unsupported]),
            (rules(&["tlp:*", "!tlp:red"]), &all[..2], vec![unsupported, ("tags", 1)]),
            (
                Filter { tlp_max: Some(Tlp::Amber), ..Filter::default() },
                &all[..2],
                vec![unsupported, ("tlp", 1)],
            ),
            (
                Filter { exclude_decayed: true, ..Filter::default() },
                &all[1..],
                vec![unsupported, ("decayed", 1)],
            ),
            (
                Filter {
                    validity: Validity { as_of: AsOf::Now, days_max: Some(36_000) },
                    ..Filter::default()
                },
                &all[..],
                vec![unsupported],
            ),
            (
                Filter {
                    validity: Validity { as_of: AsOf::Now, days_max: Some(10_000) },
                    ..Filter::default()
                },
                &all[..2],
                vec![unsupported, ("expired", 1)],
            ),
        ] {
            let told = format!("{filter:?}");
            let got = compiled(filter);
            assert_eq!(got, (values.iter().map(|v| (*v).to_owned()).collect(), left), "{told}");
        }
        let published = Filter { published_only: true, ..Filter::default() };
        let (error, _) = compiled(published);
        assert!(error[0].contains("3 unpublished, 1 unsupported"), "{error:?}");
    }

    #[test]
    fn feeds_have_no_say_in_our_namespace() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("events.json");
        std::fs::write(&path, EVENTS).expect("a temporary file");
        let compiled = compile(&[path], &IntelOptions::default()).expect("usable");
        let catalog = &compiled.set.catalog;
        let tags = |value: &str| {
            let id = catalog.find(IndicatorType::Domain, value).expect(value);
            catalog.sources(id).remove(0).tags
        };
        assert_eq!(tags("red.example"), ["tlp:green", "tlp:red"]);
        let marks = ["tapsieve:decayed", "tapsieve:sightings=\"1\"", "tlp:green"];
        assert_eq!(tags("gone.example"), marks);
    }

    fn check(filter: &Filter, around: &Around<'_>, want: Result<(), LeftOut>) {
        assert_eq!(filter.check(around), want, "{filter:?} {around:?}");
    }

    const AROUND: Around<'_> =
        Around { tags: &[], published: None, last_secs: 0, now_secs: 2_000_000_000 };

    fn rules(rules: &[&str]) -> Filter {
        let tags = rules.iter().map(|rule| TagRule::from_text(rule).expect("a rule"));
        Filter { tags: tags.collect(), ..Filter::default() }
    }

    #[test]
    fn tags_are_needed_or_refused() {
        let out = Err(LeftOut::Tags);
        for (asked, tags, want) in [
            (&[][..], &[][..], Ok(())),
            (&["tlp:*"], &["TLP:Green"], Ok(())),
            (&["tlp:*"], &["x"], out),
            (&["tlp:*", "!tlp:red"], &["tlp:green", "tlp:red"], out),
            (&["!tlp:red"], &[], Ok(())),
            (&["a", "b"], &["b"], Ok(())),
            (&["misp-galaxy:*=\"apt*\""], &["misp-galaxy:threat-actor=\"APT 28\""], Ok(())),
            (&["a*b*c"], &["axxbyyc"], Ok(())),
            (&["a*b*c"], &["axxcyyb"], out),
            (&["a*a"], &["a"], out),
            (&["*"], &["a"], Ok(())),
        ] {
            check(&rules(asked), &Around { tags, ..AROUND }, want);
        }
        assert!(TagRule::from_text(" ! ").is_err());
    }

    #[test]
    fn markings_publication_and_age_are_bounded() {
        let red = Around { tags: &["tlp:green", "tlp:red"], ..AROUND };
        let amber = Filter { tlp_max: Some(Tlp::Amber), ..Filter::default() };
        check(&amber, &red, Err(LeftOut::Tlp));
        check(&amber, &Around { tags: &["tlp:amber"], ..AROUND }, Ok(()));
        check(&amber, &AROUND, Ok(()));
        let published = Filter { published_only: true, ..Filter::default() };
        check(&published, &Around { published: Some(false), ..AROUND }, Err(LeftOut::Unpublished));
        check(&published, &AROUND, Ok(()));
        check(&Filter::default(), &Around { published: Some(false), ..AROUND }, Ok(()));
        let old = Around { last_secs: 1_000_000_000, ..AROUND };
        for (as_of, want) in
            [(AsOf::Now, Err(LeftOut::Expired)), (AsOf::Packet, Ok(())), (AsOf::Off, Ok(()))]
        {
            let validity = Validity { as_of, days_max: Some(30) };
            check(&Filter { validity, ..Filter::default() }, &old, want);
        }
    }
}
