//! Why a pattern, or one way of fitting it, is no attribute: stable names for counting, plain words
//! for people.

/// Makes the enum, its names, its words and the list of all.
macro_rules! reasons {
    ($($variant:ident = $name:literal, $words:literal;)*) => {
        /// Why a pattern, or one way of fitting it, is no attribute.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
        pub enum Inexact { $(#[doc = $words] #[error($words)] $variant,)* }

        impl Inexact {
            /// All, in table order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the stable name that counts and listings carry.
            pub fn reason(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    And = "pattern_and", "a pattern that asks for several things at once, as no type does";
    Not = "pattern_not", "a pattern that asks for what is not there";
    Operator = "pattern_operator",
        "a pattern that compares by other than =, IN and ISSUBSET: give the values";
    Sequence = "pattern_sequence",
        "a pattern that asks for several observations: only one is looked for at a time";
    Qualifier = "pattern_qualifier",
        "a pattern that is bound to times or repetitions: START, WITHIN, REPEATS";
    Binary = "pattern_binary",
        "a pattern that compares with bytes (b'…', h'…'), as no name or address is: give text";
    Syntax = "pattern_syntax", "no pattern of STIX";
    Size = "pattern_size", "a pattern that is too long, too deep, or has too many alternatives";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn reasons_are_distinct_snake_case() {
        let reasons = Inexact::ALL.iter().map(|why| why.reason()).collect::<BTreeSet<_>>();
        assert_eq!(reasons.len(), Inexact::ALL.len());
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(reasons.iter().all(|reason| reason.chars().all(plain)));
    }
}
