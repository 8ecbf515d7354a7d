//! Why an indicator's text gives no pattern: stable names for counting, plain words for people.

/// Makes the enum, its names, its words and the list of all.
macro_rules! refusals {
    ($($variant:ident = $name:literal, $words:literal;)*) => {
        /// Why an indicator's text gives no pattern.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
        pub enum Refusal { $(#[doc = $words] #[error($words)] $variant,)* }

        impl Refusal {
            /// All, in table order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the stable name that counts and listings carry.
            pub fn reason(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

refusals! {
    Empty = "empty", "the value is empty";
    TooLong = "too_long", "the value is longer than any that is matched";
    TooShort = "too_short", "the value is so short that it would match nearly everything";
    SeveralValues = "several_values",
        "several values, or more beside one: give each alone, in its own attribute or line";
    BadAddress = "bad_address", "not an IPv4 or IPv6 address or prefix";
    AddressRange = "address_range", "a range of addresses: give prefixes";
    LeadingZero = "leading_zero", "an octet with a leading zero may be octal: write it in decimal";
    ZoneId = "zone_id", "an address with a zone belongs to one host alone";
    SpecialPurpose = "special_purpose",
        "a special-purpose address or prefix (RFC 6890): allow these if your traffic needs them";
    OwnNetwork = "own_network", "an address or prefix of your own networks, or around them";
    PublicSuffix = "public_suffix",
        "a public suffix or top-level domain, under which anyone may have a name";
    BadPort = "bad_port", "not a port from 1 to 65535";
    BadName = "bad_name", "not a domain name";
    AddressInName = "address_in_name", "an address where a name belongs: use ip-dst";
    UrlInName = "url_in_name", "a URL where a name belongs: use url";
    Wildcard = "wildcard", "a wildcard where one name belongs: use domain";
    BadUrl = "bad_url", "not a URL with a host";
    UnsupportedScheme = "unsupported_scheme", "a URL of a scheme other than http and https";
    PathOnly = "path_only", "a path without a host would match on every server";
    BadDigest = "bad_digest", "not as many hexadecimal digits as the digest has";
    BadFingerprint = "bad_fingerprint", "not a JA4 fingerprint (a_b_c) of a client";
    BadCommunityId = "bad_community_id", "not a community id of version 1";
    BadNumber = "bad_number", "not a number of this type";
    BadText = "bad_text", "not a value of this type";
    NoColumn = "no_column", "a line of CSV without the column that is to hold its value";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Refusal;

    #[test]
    fn reasons_are_distinct_snake_case() {
        let reasons: BTreeSet<_> = Refusal::ALL.iter().map(|refusal| refusal.reason()).collect();
        assert_eq!(reasons.len(), Refusal::ALL.len());
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(reasons.iter().all(|reason| reason.chars().all(plain)));
    }
}
