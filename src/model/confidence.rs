//! Confidence: how sure whoever told of an indicator is, from 0 to 100, as tags say.
//!
//! Spec:   MISP taxonomies misp, admiralty-scale, estimative-language and false-positive, with
//!         their numerical values; STIX 2.1 appendix A (None/Low/Med/High)

/// Tags in lower case and what they say.
const TAGS: &[(&str, u8)] = &[
    ("misp:confidence-level=\"completely-confident\"", 100),
    ("misp:confidence-level=\"usually-confident\"", 75),
    ("misp:confidence-level=\"fairly-confident\"", 50),
    ("misp:confidence-level=\"rarely-confident\"", 25),
    ("misp:confidence-level=\"unconfident\"", 0),
    ("admiralty-scale:source-reliability=\"a\"", 100),
    ("admiralty-scale:source-reliability=\"b\"", 75),
    ("admiralty-scale:source-reliability=\"c\"", 50),
    ("admiralty-scale:source-reliability=\"d\"", 25),
    ("admiralty-scale:source-reliability=\"e\"", 0),
    ("admiralty-scale:source-reliability=\"g\"", 0),
    ("admiralty-scale:information-credibility=\"1\"", 100),
    ("admiralty-scale:information-credibility=\"2\"", 75),
    ("admiralty-scale:information-credibility=\"3\"", 50),
    ("admiralty-scale:information-credibility=\"4\"", 25),
    ("admiralty-scale:information-credibility=\"5\"", 0),
    ("estimative-language:confidence-in-analytic-judgment=\"high\"", 95),
    ("estimative-language:confidence-in-analytic-judgment=\"moderate\"", 55),
    ("estimative-language:confidence-in-analytic-judgment=\"low\"", 20),
    ("estimative-language:likelihood-probability=\"almost-certain\"", 95),
    ("estimative-language:likelihood-probability=\"very-likely\"", 80),
    ("estimative-language:likelihood-probability=\"likely\"", 55),
    ("estimative-language:likelihood-probability=\"roughly-even-chance\"", 45),
    ("estimative-language:likelihood-probability=\"unlikely\"", 20),
    ("estimative-language:likelihood-probability=\"very-unlikely\"", 5),
    ("estimative-language:likelihood-probability=\"almost-no-chance\"", 0),
    ("false-positive:risk=\"low\"", 75),
    ("false-positive:risk=\"medium\"", 50),
    ("false-positive:risk=\"high\"", 25),
    ("false-positive:confirmed=\"true\"", 0),
];

/// Returns what some tags say; where they disagree, the least.
pub fn of<'t>(tags: impl IntoIterator<Item = &'t str>) -> Option<u8> {
    let says = |tag: &str| {
        let known = TAGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(tag));
        known.map(|(_, confidence)| *confidence)
    };
    tags.into_iter().filter_map(says).min()
}

/// Returns the word of the Elastic Common Schema, which is STIX's.
pub fn word(confidence: u8) -> &'static str {
    match confidence {
        0 => "None",
        1..30 => "Low",
        30..70 => "Medium",
        _ => "High",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_confidence_counts() {
        for (tags, confidence, told) in [
            (&["misp:confidence-level=\"usually-confident\""][..], Some(75), "High"),
            (
                &["admiralty-scale:Source-Reliability=\"B\"", "false-positive:risk=\"high\""],
                Some(25),
                "Low",
            ),
            (&["estimative-language:likelihood-probability=\"likely\"", "x"], Some(55), "Medium"),
            (&["misp:confidence-level=\"unconfident\""], Some(0), "None"),
            (&["admiralty-scale:source-reliability=\"f\""], None, "None"),
        ] {
            assert_eq!(of(tags.iter().copied()), confidence);
            assert_eq!(word(confidence.unwrap_or(0)), told);
        }
        assert!(TAGS.iter().all(|(tag, _)| tag.to_ascii_lowercase() == *tag));
    }
}
