//! X.509 certificates: the names they are for, read where they lie.
//!
//! Spec:   RFC 5280 §4.1 (certificate), §4.1.2.6 (subject), §4.2.1.6 (subjectAltName); X.520 §6.2.2
//!         (commonName)
//! Reads:  one DER certificate, whole
//! Yields: `cert_name`; the digests are of the bytes
//! Bounds: the certificate's length; nothing is copied but names in UTF-16
//! Leaves: signatures, validity, names of other kinds than DNS, names of the issuer

use x509_parser::asn1_rs::Any;
use x509_parser::asn1_rs::Class;
use x509_parser::asn1_rs::FromDer;
use x509_parser::asn1_rs::Tag;

use crate::model::limits::NAME_TEXT_BYTES_MAX;

/// `id-at-commonName`, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// `id-ce-subjectAltName`, 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// Tag of `extensions` in a `TBSCertificate`.
const EXTENSIONS: Tag = Tag(3);
/// Tag of `dNSName` in a `GeneralName`.
const DNS_NAME: Tag = Tag(2);

/// Tells the common names of the subject, then its DNS alternative names; those before the first
/// byte that is not DER.
///
/// ```text
/// Certificate    SEQUENCE { TBSCertificate, algorithm, signature }
/// TBSCertificate SEQUENCE { [0] version?, serial, algorithm, issuer, validity, subject, key,
///                           [1]? [2]? [3] extensions? }
/// ```
pub fn names(der: &[u8], mut each: impl FnMut(&[u8])) -> Option<()> {
    let certificate = Elements(der).next()?;
    let mut fields = Elements(Elements(certificate.data).next()?.data);
    let first = fields.next()?;
    let _serial = if is_context(&first, Tag(0)) { fields.next()? } else { first };
    let _algorithm = fields.next()?;
    let _issuer = fields.next()?;
    let _validity = fields.next()?;
    let subject = fields.next()?;
    common_names(subject.data, &mut each);
    let extensions = fields.find(|field| is_context(field, EXTENSIONS))?;
    let list = Elements(extensions.data).next()?;
    Elements(list.data).for_each(|extension| {
        let _damaged = alternative_names(extension.data, &mut each);
    });
    Some(())
}

/// The elements of a DER sequence or set; ends at the first that does not fit.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = Any<'a>;

    fn next(&mut self) -> Option<Any<'a>> {
        let (rest, element) = Any::from_der(self.0).ok()?;
        self.0 = rest;
        Some(element)
    }
}

fn is_context(element: &Any<'_>, tag: Tag) -> bool {
    element.class() == Class::ContextSpecific && element.tag() == tag
}

/// `RDNSequence SEQUENCE OF SET OF SEQUENCE { type, value }`.
fn common_names(subject: &[u8], each: &mut impl FnMut(&[u8])) {
    for pair in Elements(subject).flat_map(|set| Elements(set.data)) {
        let mut pair = Elements(pair.data);
        let (Some(kind), Some(value)) = (pair.next(), pair.next()) else { continue };
        if kind.data != COMMON_NAME {
            continue;
        }
        if value.tag() == Tag::BmpString {
            utf16(value.data, each);
        } else {
            each(value.data);
        }
    }
}

/// `Extension SEQUENCE { id, critical BOOLEAN?, value OCTET STRING }`; the value is a
/// `SEQUENCE OF GeneralName`.
fn alternative_names(extension: &[u8], each: &mut impl FnMut(&[u8])) -> Option<()> {
    let mut fields = Elements(extension);
    if fields.next()?.data != SUBJECT_ALT_NAME {
        return Some(());
    }
    let value = fields.find(|field| field.tag() == Tag::OctetString)?;
    let names = Elements(value.data).next()?;
    Elements(names.data).filter(|name| is_context(name, DNS_NAME)).for_each(|name| each(name.data));
    Some(())
}

/// Tells a `BMPString` as UTF-8; one longer than a name may be is left out.
fn utf16(value: &[u8], each: &mut impl FnMut(&[u8])) {
    let mut space = [0; NAME_TEXT_BYTES_MAX];
    let mut len = 0_usize;
    let (units, _odd) = value.as_chunks::<2>();
    for unit in char::decode_utf16(units.iter().map(|unit| u16::from_be_bytes(*unit))) {
        let unit = unit.unwrap_or(char::REPLACEMENT_CHARACTER);
        let end = len.saturating_add(unit.len_utf8());
        let Some(place) = space.get_mut(len..end) else { return };
        unit.encode_utf8(place);
        len = end;
    }
    each(space.get(..len).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::FromDer;
    use x509_parser::prelude::GeneralName;
    use x509_parser::prelude::X509Certificate;

    use super::names;
    use crate::pipeline::dissect::tls::samples;

    /// The server's certificate of the recorded connection: behind record, message and list
    /// headers.
    fn sample() -> Vec<u8> {
        samples::bytes(samples::SERVER_12)[70 + 5 + 4 + 3 + 3..574].to_vec()
    }

    fn told(der: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        let _damaged = names(der, |name| all.push(String::from_utf8_lossy(name).into_owned()));
        all
    }

    /// The same names by the library's own reading.
    fn oracle(der: &[u8]) -> Vec<String> {
        let (_, certificate) = X509Certificate::from_der(der).expect("a certificate");
        let common = certificate.subject().iter_common_name();
        let mut all: Vec<String> =
            common.map(|name| name.as_str().expect("text").to_owned()).collect();
        let names = certificate.subject_alternative_name().expect("well-formed");
        for name in names.into_iter().flat_map(|names| &names.value.general_names) {
            if let GeneralName::DNSName(name) = name {
                all.push((*name).to_owned());
            }
        }
        all
    }

    #[test]
    fn names_are_those_of_the_library() {
        let expected = ["Server.Example.ORG", "www.example.org", "*.Example.net"];
        assert_eq!(told(&sample()), expected);
        assert_eq!(oracle(&sample()), expected);
    }

    #[test]
    fn every_cut_and_every_damaged_byte_is_survived() {
        let whole = sample();
        for at in 0..whole.len() {
            assert!(told(&whole[..at]).len() <= 3);
            for value in [0, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                let _names = told(&damaged);
            }
        }
    }

    #[test]
    fn utf_16_names_are_told_as_utf_8() {
        let mut all = Vec::new();
        super::utf16(&[0, b'a', 0, 0xe9, 0xd8, 0x00], &mut |name| all.push(name.to_vec()));
        assert_eq!(all, ["aé\u{fffd}".as_bytes()]);
        super::utf16(&[0; 5_000], &mut |_| panic!("too long"));
    }
}
