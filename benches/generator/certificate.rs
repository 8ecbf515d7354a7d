//! X.509 certificates that parse as real ones do; the signature is noise.
//!
//! Spec: RFC 5280 §4.1 (Certificate), §4.2.1 (extensions); X.690 (DER)

use super::random::Random;

const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const OID_SHA256_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const OID_COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const OID_ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
const OID_COUNTRY: &[u8] = &[0x55, 0x04, 0x06];
const OID_SUBJECT_KEY: &[u8] = &[0x55, 0x1d, 0x0e];
const OID_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const OID_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const OID_BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const OID_AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];

const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const UTC_TIME: u8 = 0x17;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// Who signs the background's certificates.
const AUTHORITIES: [&str; 6] = [
    "Meridian Trust DV CA 3",
    "Global Anchor RSA TLS 2024",
    "Open Encryption R10",
    "Northlight Issuing CA G2",
    "Harbour Secure Server CA",
    "Atlas OV TLS CA 1",
];

/// A chain of two for a server: its own certificate, and that of who signed it.
pub(crate) fn chain(seed: u64, host: &str) -> Vec<Vec<u8>> {
    let number = host.bytes().fold(7u64, |sum, b| sum.wrapping_mul(131).wrapping_add(u64::from(b)));
    let mut random = Random::of(seed, 21, number);
    let at = random.below(AUTHORITIES.len());
    vec![leaf(&mut random, host, &[host.to_owned()], AUTHORITIES[at]), authority(seed, at)]
}

/// A server's certificate with the names it is good for.
pub(crate) fn leaf(random: &mut Random, common: &str, names: &[String], issuer: &str) -> Vec<u8> {
    let list: Vec<u8> = names.iter().flat_map(|name| tlv(0x82, &[name.as_bytes()])).collect();
    let extensions = [
        extension(OID_KEY_USAGE, &tlv(BITS, &[&[5, 0xa0]])),
        extension(OID_BASIC_CONSTRAINTS, &tlv(SEQUENCE, &[])),
        extension(OID_SUBJECT_KEY, &tlv(OCTETS, &[&random.bytes(20)])),
        extension(OID_AUTHORITY_KEY, &tlv(SEQUENCE, &[&tlv(0x80, &[&random.bytes(20)])])),
        extension(OID_ALTERNATIVE_NAME, &tlv(SEQUENCE, &[&list])),
    ];
    certificate(random, (common, issuer), &extensions.concat())
}

/// The certificate of the background's signer with an index.
fn authority(seed: u64, at: usize) -> Vec<u8> {
    signer(&mut Random::of(seed, 22, at as u64), AUTHORITIES[at])
}

/// A signer's certificate.
pub(crate) fn signer(random: &mut Random, common: &str) -> Vec<u8> {
    let extensions = [
        extension(OID_KEY_USAGE, &tlv(BITS, &[&[1, 0x06]])),
        extension(OID_BASIC_CONSTRAINTS, &tlv(SEQUENCE, &[&[1, 1, 0xff]])),
        extension(OID_SUBJECT_KEY, &tlv(OCTETS, &[&random.bytes(20)])),
    ];
    certificate(random, (common, "Meridian Root X1"), &extensions.concat())
}

fn certificate(random: &mut Random, names: (&str, &str), extensions: &[u8]) -> Vec<u8> {
    let algorithm = tlv(SEQUENCE, &[&tlv(OID, &[OID_SHA256_RSA]), &[5, 0]]);
    let mut serial = random.bytes(16);
    serial[0] = serial[0] & 0x7f | 0x40;
    let validity = [tlv(UTC_TIME, &[b"240301000000Z"]), tlv(UTC_TIME, &[b"260301235959Z"])];
    let body = tlv(
        SEQUENCE,
        &[
            &[0xa0, 3, 2, 1, 2],
            &tlv(INTEGER, &[&serial]),
            &algorithm,
            &distinguished(names.1, "Meridian Trust Services"),
            &tlv(SEQUENCE, &[&validity.concat()]),
            &distinguished(names.0, "Example Hosting"),
            &public_key(random),
            &tlv(0xa3, &[&tlv(SEQUENCE, &[extensions])]),
        ],
    );
    tlv(SEQUENCE, &[&body, &algorithm, &tlv(BITS, &[&[0], &random.bytes(256)])])
}

fn distinguished(common: &str, organization: &str) -> Vec<u8> {
    let part = |oid: &[u8], tag: u8, text: &str| {
        tlv(SET, &[&tlv(SEQUENCE, &[&tlv(OID, &[oid]), &tlv(tag, &[text.as_bytes()])])])
    };
    let parts = [
        part(OID_COUNTRY, PRINTABLE, "CH"),
        part(OID_ORGANIZATION, UTF8, organization),
        part(OID_COMMON_NAME, UTF8, common),
    ];
    tlv(SEQUENCE, &[&parts.concat()])
}

fn public_key(random: &mut Random) -> Vec<u8> {
    let mut modulus = random.bytes(257);
    modulus[0] = 0;
    modulus[1] |= 0x80;
    let key = tlv(SEQUENCE, &[&tlv(INTEGER, &[&modulus]), &[2, 3, 1, 0, 1]]);
    let algorithm = tlv(SEQUENCE, &[&tlv(OID, &[OID_RSA]), &[5, 0]]);
    tlv(SEQUENCE, &[&algorithm, &tlv(BITS, &[&[0], &key])])
}

fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[&tlv(OID, &[oid]), &tlv(OCTETS, &[value])])
}

/// One DER element: tag, length in the shortest form, contents.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 4);
    out.push(tag);
    match length {
        0..0x80 => out.push(length as u8),
        0x80..0x100 => out.extend_from_slice(&[0x81, length as u8]),
        _ => out.extend_from_slice(&[0x82, (length >> 8) as u8, length as u8]),
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}
