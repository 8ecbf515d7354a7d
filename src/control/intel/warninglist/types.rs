//! The types that MISP has, to tell a type that we do not look for from one that is a slip of the
//! pen.
//!
//! Spec:   MISP's `describeTypes.json`, as PyMISP 2.5.34 has it

/// All types, in the order of their names.
const TYPES: &str = "\
    aba-rtn anonymised AS attachment authentihash azure-application-id bank-account-nr bic bin \
    boolean bro btc campaign-id campaign-name cc-number cdhash chrome-extension-id comment \
    community-id cookie cortex counter country-of-residence cpe dash date-of-birth datetime dkim \
    dkim-signature dns-soa-email dom-hash domain domain|ip edge-extension-id email \
    email-attachment email-body email-dst email-dst-display-name email-header email-message-id \
    email-mime-boundary email-reply-to email-src email-src-display-name email-subject \
    email-thread-index email-x-mailer eppn favicon-mmh3 filename filename-pattern \
    filename|authentihash filename|impfuzzy filename|imphash filename|md5 filename|pehash \
    filename|sha1 filename|sha224 filename|sha256 filename|sha3-224 filename|sha3-256 \
    filename|sha3-384 filename|sha3-512 filename|sha384 filename|sha512 filename|sha512/224 \
    filename|sha512/256 filename|ssdeep filename|tlsh filename|vhash first-name float \
    frequent-flyer-number full-name gender gene git-commit-id github-organisation \
    github-repository github-username hassh-md5 hasshserver-md5 hex hostname hostname|port \
    http-method iban identity-card-number impfuzzy imphash integer ip-dst ip-dst|port ip-src \
    ip-src|port issue-date-of-the-visa ja3-fingerprint-md5 jabber-id jarm-fingerprint \
    kusto-query last-name link mac-address mac-eui-64 malware-sample malware-type md5 \
    middle-name mime-type mobile-application-id mutex nationality onion-address other \
    passenger-name-record-locator-number passport-country passport-expiration passport-number \
    pattern-in-file pattern-in-memory pattern-in-traffic payment-details pdb pehash \
    pgp-private-key pgp-public-key phone-number place-of-birth place-port-of-clearance \
    place-port-of-onward-foreign-destination place-port-of-original-embarkation port \
    primary-residence process-state prtn redress-number regkey regkey|value sha1 sha224 sha256 \
    sha3-224 sha3-256 sha3-384 sha3-512 sha384 sha512 sha512/224 sha512/256 sigma size-in-bytes \
    snort special-service-request ssdeep ssh-fingerprint stix2-pattern suricata target-email \
    target-external target-location target-machine target-org target-user telfhash text \
    threat-actor tlsh travel-details twitter-id uri url user-agent uuid vhash visa-number \
    vulnerability weakness whois-creation-date whois-registrant-email whois-registrant-name \
    whois-registrant-org whois-registrant-phone whois-registrar windows-scheduled-task \
    windows-service-displayname windows-service-name x509-fingerprint-md5 x509-fingerprint-sha1 \
    x509-fingerprint-sha256 xmr yara zeek";

/// The one whose name has a space.
const WITH_A_SPACE: &str = "named pipe";

/// Tells whether MISP has a type of that name.
pub(super) fn is_known(name: &str) -> bool {
    let mut all = TYPES.split_ascii_whitespace().chain([WITH_A_SPACE]);
    all.any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::indicator::IndicatorType;

    #[test]
    fn what_is_looked_for_is_known() {
        // of objects, where they have a type of another name
        let own = ["ja3s", "ja4"];
        let ours = IndicatorType::ALL.iter().map(|ty| ty.name());
        assert!(ours.filter(|name| !own.contains(name)).all(is_known));
        assert!(is_known("named pipe") && !is_known("pipe"));
        assert!(is_known("md5") && is_known("Domain|IP") && !is_known("ipdst"));
    }
}
