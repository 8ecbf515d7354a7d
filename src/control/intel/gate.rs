//! The gate: what an attribute means to matching, or why it means nothing (design, indicators and
//! what they mean).

use crate::control::intel::Attribute;
use crate::control::intel::IntelOptions;
use crate::control::intel::Sibling;
use crate::control::intel::stix::inexact::Inexact;
use crate::model::indicator::IndicatorType;
use crate::model::refusal::Refusal;

/// Objects whose fingerprints match whatever their `to_ids` says: their templates' types switch it
/// off.
const FINGERPRINT_OBJECTS: &[&str] = &["ja4-plus", "ja3", "ja3s"];

/// Relations of those fingerprints; attribute searches give the relation without the object's name.
const FINGERPRINT_RELATIONS: &[&str] =
    &["ja4-fingerprint", "ja3-fingerprint-md5", "ja3s-fingerprint-md5"];

/// Why an attribute does not match anything.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LeftOut {
    /// Soft-deleted in MISP.
    Deleted,
    /// Nothing in traffic shows such a value, or we do not look for it.
    Unsupported,
    /// A digest in a list that does not say of what.
    UnknownDigest,
    /// A JA4+ fingerprint other than JA4.
    OtherJa4,
    /// MISP says that it is not for detection.
    NotForIds,
    /// Its source calls it benign, and nothing else.
    Benign,
    /// Its type matches only when opted in.
    OptIn,
    /// It is a port, and looked for with an address of its object.
    OfAddress,
    /// Its tags, or its event's, are not those that are asked for.
    Tags,
    /// Its marking is stricter than what is taken.
    Tlp,
    /// Its event is not published.
    Unpublished,
    /// Its server lists its event under none of what it was asked for.
    OtherEvent,
    /// Its time is over by MISP's decaying models.
    Decayed,
    /// It was last seen, or else changed, too long ago.
    Expired,
    /// A warninglist names it that is to drop what it names.
    Warninglist,
    /// Its source says that its time is over.
    Ended,
    /// Its source sets it an end that is no time.
    BadEnd,
    /// Its source has taken it back.
    Revoked,
    /// Its file has a newer version of it.
    Superseded,
    /// It is a pattern that says more, or other, than an attribute can.
    Pattern(Inexact),
    /// Its value is none of its type.
    Refused(Refusal),
}

impl LeftOut {
    /// Returns the stable name that counts and listings carry.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Unsupported => "unsupported",
            Self::UnknownDigest => "unknown_digest",
            Self::OtherJa4 => "other_ja4",
            Self::NotForIds => "not_for_ids",
            Self::Benign => "benign",
            Self::OptIn => "opt_in",
            Self::OfAddress => "of_address",
            Self::Tags => "tags",
            Self::Tlp => "tlp",
            Self::Unpublished => "unpublished",
            Self::OtherEvent => "other_event",
            Self::Decayed => "decayed",
            Self::Expired => "expired",
            Self::Warninglist => "warninglist",
            Self::Ended => "ended",
            Self::BadEnd => "bad_end",
            Self::Revoked => "revoked",
            Self::Superseded => "superseded",
            Self::Pattern(why) => why.reason(),
            Self::Refused(refusal) => refusal.reason(),
        }
    }

    /// Says what is wrong and what would help.
    pub fn words(self) -> String {
        match self {
            Self::Deleted => "deleted in MISP: it never matches",
            Self::Unsupported => "values of this type are not looked for in traffic",
            Self::UnknownDigest => {
                "a list does not say what a digest is of: give it as CSV with its type"
            }
            Self::OtherJa4 => {
                "of the JA4+ family only JA4 is looked for: the others carry another licence"
            }
            Self::NotForIds => "to_ids is false: set it in MISP, or use --include-non-ids",
            Self::Benign => "its source calls it benign: --include-non-ids takes it anyhow",
            Self::OptIn => "off by default: name its type in --opt-in",
            Self::OfAddress => "looked for with an address of its object, and not alone",
            Self::Tags => "its tags, or its event's, are not those of --tag",
            Self::Tlp => "its marking is stricter than --max-tlp",
            Self::Unpublished => "its event is not published on its server",
            Self::OtherEvent => "its server does not list its event among those it was asked for",
            Self::Decayed => "by MISP's decaying models its time is over: see --exclude-decayed",
            Self::Expired => "last seen, or else changed, longer ago than --max-age-days",
            Self::Warninglist => "warninglists have it: use --warninglist-action to keep it",
            Self::Ended => {
                "its source says that its time is over (valid_until): --as-of off takes it anyhow"
            }
            Self::BadEnd => {
                "its source sets it an end (valid_until) that is no time after 1970: write it in \
                 RFC 3339"
            }
            Self::Revoked => "its source has taken it back: it never matches",
            Self::Superseded => "its file has a newer version of it, which counts",
            Self::Pattern(why) => return why.to_string(),
            Self::Refused(Refusal::SpecialPurpose) => {
                "a special-purpose address or prefix (RFC 6890): use --allow-special"
            }
            Self::Refused(Refusal::PublicSuffix) => {
                "a public suffix or top-level domain: all names under it would match; give the \
                 name as hostname, or use --allow-public-suffix"
            }
            Self::Refused(refusal) => return refusal.to_string(),
        }
        .to_owned()
    }
}

/// What is to be said of an attribute that matches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Note {
    /// It is a pair of which only the name is looked for.
    NameAlone,
    /// A time of it cannot be read.
    BadTime,
    /// A flag of it cannot be read.
    BadFlag,
}

impl Note {
    /// Returns the stable name that counts and listings carry.
    pub fn name(self) -> &'static str {
        match self {
            Self::NameAlone => "name_alone",
            Self::BadTime => "bad_time",
            Self::BadFlag => "bad_flag",
        }
    }

    /// Says what it is, and what would help.
    pub fn words(self) -> &'static str {
        match self {
            Self::NameAlone => {
                "only its name is looked for, as the address is of special purpose (RFC 6890), \
                 where --allow-special helps, or of an own network"
            }
            Self::BadTime => {
                "a time of it cannot be read and does not count, so --max-age-days may keep it: \
                 write it as 2026-01-31T12:00:00Z or in seconds since 1970"
            }
            Self::BadFlag => {
                "its to_ids, deleted or decayed is neither yes nor no and does not count: write 1 \
                 or 0"
            }
        }
    }
}

/// The indicator types that an attribute's value counts as: one, or for an old JA3S object perhaps
/// a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meaning {
    /// The type.
    pub first: IndicatorType,
    /// Another that it may be.
    pub second: Option<IndicatorType>,
}

/// Says what an attribute means, its value aside.
///
/// # Errors
/// Why it matches nothing.
pub fn meaning(attribute: &Attribute<'_>, options: &IntelOptions) -> Result<Meaning, LeftOut> {
    if let Some(why) = attribute.left_out {
        return Err(why);
    }
    if attribute.deleted {
        return Err(LeftOut::Deleted);
    }
    let meaning = types_of(attribute)?;
    let ty = meaning.first;
    if ty.is_opt_in() && !options.policy.opt_in.contains(&ty) {
        return Err(LeftOut::OptIn);
    }
    if attribute.decayed && options.filter.exclude_decayed {
        return Err(LeftOut::Decayed);
    }
    if !attribute.to_ids && !options.include_non_ids && !is_object_fingerprint(attribute, ty) {
        return Err(LeftOut::NotForIds);
    }
    Ok(meaning)
}

fn types_of(attribute: &Attribute<'_>) -> Result<Meaning, LeftOut> {
    use IndicatorType as T;
    let one = |first| Ok(Meaning { first, second: None });
    match (attribute.kind, attribute.relation, attribute.sibling) {
        ("text", "ja4-fingerprint", Sibling::Ja4Type(ty)) if !is_ja4(ty) => Err(LeftOut::OtherJa4),
        ("text", "ja4-fingerprint", _) => one(T::Ja4),
        ("ja3-fingerprint-md5", "ja3s-fingerprint-md5", _) => one(T::Ja3s),
        ("ja3-fingerprint-md5", _, sibling) if attribute.object == "ja3s" => match sibling {
            Sibling::Ja3s => one(T::Ja3),
            Sibling::Unknown => Ok(Meaning { first: T::Ja3, second: Some(T::Ja3s) }),
            _ => one(T::Ja3s),
        },
        ("digest", ..) => Err(LeftOut::UnknownDigest),
        (kind, ..) => T::from_name(kind).map_or(Err(LeftOut::Unsupported), one),
    }
}

fn is_ja4(ty: &str) -> bool {
    ty.trim().is_empty() || ty.trim().eq_ignore_ascii_case("ja4")
}

fn is_object_fingerprint(attribute: &Attribute<'_>, ty: IndicatorType) -> bool {
    let fingerprint = matches!(ty, IndicatorType::Ja3 | IndicatorType::Ja3s | IndicatorType::Ja4);
    let object = match attribute.object {
        "" => FINGERPRINT_RELATIONS.contains(&attribute.relation),
        name => FINGERPRINT_OBJECTS.contains(&name),
    };
    fingerprint && object
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::control::intel::filter::Filter;
    use crate::model::policy::Policy;

    fn check(attribute: &Attribute<'_>, want: Result<IndicatorType, LeftOut>) {
        let got = meaning(attribute, &IntelOptions::default()).map(|meaning| meaning.first);
        assert_eq!(got, want, "{attribute:?}");
    }

    const PLAIN: Attribute<'_> = Attribute {
        kind: "domain",
        value: "evil.example",
        relation: "",
        object: "",
        sibling: Sibling::Unknown,
        to_ids: true,
        deleted: false,
        decayed: false,
        sightings: [0; 2],
        uuid: crate::control::intel::uuid::Uuid([0; 16]),
        timestamp_secs: 0,
        first_seen: "",
        last_seen: "",
        valid_until: "",
        confidence: None,
        comment: "",
        tags: 0,
        spot: crate::control::intel::ledger::Spot::File,
        left_out: None,
        unread: crate::control::intel::Unread { time: false, flag: false },
    };

    #[test]
    fn plain_types_and_flags() {
        use IndicatorType as T;
        check(&PLAIN, Ok(T::Domain));
        check(&Attribute { deleted: true, ..PLAIN }, Err(LeftOut::Deleted));
        check(&Attribute { to_ids: false, ..PLAIN }, Err(LeftOut::NotForIds));
        let decayed = Attribute { decayed: true, ..PLAIN };
        check(&decayed, Ok(T::Domain));
        let filter = Filter { exclude_decayed: true, ..Filter::default() };
        let options = IntelOptions { filter, ..IntelOptions::default() };
        assert_eq!(meaning(&decayed, &options), Err(LeftOut::Decayed));
        check(&Attribute { kind: "md5", ..PLAIN }, Err(LeftOut::Unsupported));
        check(&Attribute { kind: "digest", ..PLAIN }, Err(LeftOut::UnknownDigest));
        check(&Attribute { kind: "user-agent", ..PLAIN }, Err(LeftOut::OptIn));
        check(&Attribute { kind: "ja4", ..PLAIN }, Ok(T::Ja4));
        check(&Attribute { kind: "text", ..PLAIN }, Err(LeftOut::Unsupported));
    }

    #[test]
    fn asked_for_they_match() {
        let policy = Policy { opt_in: vec![IndicatorType::UserAgent], ..Policy::default() };
        let options = IntelOptions { policy, include_non_ids: true, ..IntelOptions::default() };
        let agent = Attribute { kind: "user-agent", to_ids: false, ..PLAIN };
        assert_eq!(meaning(&agent, &options).map(|m| m.first), Ok(IndicatorType::UserAgent));
        let port = Attribute { kind: "port", ..PLAIN };
        assert_eq!(meaning(&port, &options), Err(LeftOut::OptIn));
    }

    #[test]
    fn every_row_of_the_table_of_meanings() {
        let types = |names: &'static str| names.split_whitespace();
        for kind in types(
            "ip-src ip-dst ip-src|port ip-dst|port domain hostname domain|ip hostname|port url uri \
             ja3-fingerprint-md5 hassh-md5 hasshserver-md5 x509-fingerprint-md5 \
             x509-fingerprint-sha1 x509-fingerprint-sha256 community-id",
        ) {
            check(&Attribute { kind, ..PLAIN }, Ok(IndicatorType::from_name(kind).expect(kind)));
        }
        for kind in types("user-agent port mac-address AS cookie http-method") {
            check(&Attribute { kind, ..PLAIN }, Err(LeftOut::OptIn));
        }
        for kind in types(
            "link jarm-fingerprint pattern-in-traffic snort suricata yara sigma zeek bro md5 sha1 \
             sha256 filename filename|md5 malware-sample email-src email-dst email-subject text \
             comment other attachment mutex regkey regkey|value vulnerability ssh-fingerprint \
             favicon-mmh3 onion-address dkim btc iban phone-number",
        ) {
            check(&Attribute { kind, ..PLAIN }, Err(LeftOut::Unsupported));
        }
    }

    proptest! {
        #[test]
        fn flags_decide_as_the_plain_rule_says(
            [deleted, to_ids, decayed, non_ids, exclude_decayed] in any::<[bool; 5]>(),
            opted_in in any::<bool>(),
            kind in prop::sample::select(vec!["domain", "user-agent", "md5", "ja3-fingerprint-md5"]),
            object in prop::sample::select(vec!["", "ja3", "network-connection"]),
        ) {
            let attribute = Attribute { kind, object, deleted, to_ids, decayed, ..PLAIN };
            let opt_in = if opted_in { vec![IndicatorType::UserAgent] } else { Vec::new() };
            let filter = Filter { exclude_decayed, ..Filter::default() };
            let options = IntelOptions {
                policy: Policy { opt_in, ..Policy::default() },
                include_non_ids: non_ids,
                filter,
                ..IntelOptions::default()
            };
            let is_wanted = to_ids || non_ids || (kind == "ja3-fingerprint-md5" && object == "ja3");
            let matches = !deleted
                && kind != "md5"
                && (kind != "user-agent" || opted_in)
                && !(decayed && exclude_decayed)
                && is_wanted;
            prop_assert_eq!(meaning(&attribute, &options).is_ok(), matches);
        }
    }

    #[test]
    fn fingerprints_in_objects() {
        use IndicatorType as T;
        let ja4 = Attribute { kind: "text", relation: "ja4-fingerprint", to_ids: false, ..PLAIN };
        let of = |ty| Attribute { object: "ja4-plus", sibling: Sibling::Ja4Type(ty), ..ja4 };
        check(&ja4, Ok(T::Ja4));
        check(&of("JA4"), Ok(T::Ja4));
        check(&of(""), Ok(T::Ja4));
        check(&of("JA4S"), Err(LeftOut::OtherJa4));
        check(&Attribute { object: "other", ..ja4 }, Err(LeftOut::NotForIds));
        check(&Attribute { relation: "ja4-type", ..ja4 }, Err(LeftOut::Unsupported));
        let md5 = Attribute { kind: "ja3-fingerprint-md5", to_ids: false, ..PLAIN };
        check(&md5, Err(LeftOut::NotForIds));
        check(&Attribute { object: "ja3", ..md5 }, Ok(T::Ja3));
        check(&Attribute { relation: "ja3s-fingerprint-md5", ..md5 }, Ok(T::Ja3s));
        let inside = Attribute { object: "ja3s", relation: "ja3-fingerprint-md5", ..md5 };
        check(&Attribute { sibling: Sibling::Ja3s, ..inside }, Ok(T::Ja3));
        check(&Attribute { sibling: Sibling::Silent, ..inside }, Ok(T::Ja3s));
        let second = meaning(&inside, &IntelOptions::default()).map(|meaning| meaning.second);
        assert_eq!(second, Ok(Some(T::Ja3s)));
        let address = Attribute { kind: "ip-src", object: "ja4-plus", to_ids: false, ..PLAIN };
        check(&address, Err(LeftOut::NotForIds));
    }
}
