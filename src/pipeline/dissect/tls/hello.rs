//! ClientHello and ServerHello: split into fields at once, their contents read when asked for.
//!
//! Spec:   RFC 8446 §4.1 (hellos), RFC 5246 §7.4.1, RFC 6101 §5.6.1; RFC 6066 §3 (server_name);
//!         RFC 7301 §3.1 (ALPN); RFC 8422 §5.1 (groups, point formats); RFC 8701 (GREASE);
//!         IANA tls-extensiontype-values
//! Reads:  one handshake message body, whole; of TLS, QUIC or DTLS (without its cookie)
//! Yields: nothing: fields for fingerprints and names
//! Bounds: the body's length; nothing is copied
//! Leaves: what is encrypted in an encrypted ClientHello; key shares, tickets

use crate::model::bytes::Cursor;

/// Extension `server_name`.
pub const SERVER_NAME: u16 = 0;
/// Extension `supported_groups`.
const SUPPORTED_GROUPS: u16 = 10;
/// Extension `ec_point_formats`.
const EC_POINT_FORMATS: u16 = 11;
/// Extension `signature_algorithms`.
const SIGNATURE_ALGORITHMS: u16 = 13;
/// Extension `application_layer_protocol_negotiation`.
pub const ALPN: u16 = 16;
/// Extension `supported_versions`.
const SUPPORTED_VERSIONS: u16 = 43;

/// `host_name`, RFC 6066 §3.
const HOST_NAME: u8 = 0;

/// The random of a HelloRetryRequest: SHA-256 of its name, RFC 8446 §4.1.3.
const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// A ClientHello's fields.
#[derive(Clone, Copy, Debug)]
pub struct ClientHello<'a> {
    /// `legacy_version`.
    pub version: u16,
    ciphers: Cursor<'a>,
    extensions: Cursor<'a>,
}

impl<'a> ClientHello<'a> {
    /// Splits the message into its fields; `None` when a length runs past the end.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let mut c = Cursor::new(body);
        let version = c.u16()?;
        let _random = c.take(32)?;
        let _session_id = c.vec8()?;
        let ciphers = c.vec16()?;
        let _compressions = c.vec8()?;
        let extensions = if c.is_empty() { c } else { c.vec16()? };
        Some(Self { version, ciphers, extensions })
    }

    /// Returns the cipher suites in the order sent.
    pub fn ciphers(self) -> impl Iterator<Item = u16> + Clone {
        numbers(self.ciphers)
    }

    /// Returns the extensions in the order sent; ends at the first that does not fit.
    pub fn extensions(self) -> impl Iterator<Item = (u16, Cursor<'a>)> + Clone {
        extensions(self.extensions)
    }

    /// Returns the first host name of `server_name`.
    pub fn server_name(self) -> Option<&'a [u8]> {
        let mut list = self.extension(SERVER_NAME)?.vec16()?;
        std::iter::from_fn(|| Some((list.u8()?, list.vec16()?)))
            .find(|(kind, _)| *kind == HOST_NAME)
            .map(|(_, name)| name.rest())
    }

    /// Returns the first protocol of `application_layer_protocol_negotiation`.
    pub fn protocol(self) -> Option<&'a [u8]> {
        self.extension(ALPN)?.vec16()?.vec8().map(Cursor::rest)
    }

    /// Returns the supported groups in the order sent.
    pub fn groups(self) -> impl Iterator<Item = u16> + Clone {
        numbers(self.list16(SUPPORTED_GROUPS))
    }

    /// Returns the point formats in the order sent.
    pub fn point_formats(self) -> impl Iterator<Item = u8> + Clone {
        self.list8(EC_POINT_FORMATS).rest().iter().copied()
    }

    /// Returns the signature algorithms in the order sent; those for certificates alone are another
    /// extension.
    pub fn signature_algorithms(self) -> impl Iterator<Item = u16> + Clone {
        numbers(self.list16(SIGNATURE_ALGORITHMS))
    }

    /// Returns the supported versions in the order sent.
    pub fn versions(self) -> impl Iterator<Item = u16> + Clone {
        numbers(self.list8(SUPPORTED_VERSIONS))
    }

    fn extension(self, id: u16) -> Option<Cursor<'a>> {
        self.extensions().find(|(other, _)| *other == id).map(|(_, body)| body)
    }

    fn list8(self, id: u16) -> Cursor<'a> {
        self.extension(id).and_then(|mut body| body.vec8()).unwrap_or_default()
    }

    fn list16(self, id: u16) -> Cursor<'a> {
        self.extension(id).and_then(|mut body| body.vec16()).unwrap_or_default()
    }
}

/// A ServerHello's fields; a HelloRetryRequest is one by form.
#[derive(Clone, Copy, Debug)]
pub struct ServerHello<'a> {
    /// `legacy_version`; drafts of TLS 1.3 put theirs here, `0x7f` and the draft's number.
    pub version: u16,
    /// The cipher suite chosen.
    pub cipher: u16,
    random: [u8; 32],
    extensions: Cursor<'a>,
}

impl<'a> ServerHello<'a> {
    /// Splits the message into its fields; `None` when a length runs past the end.
    pub fn parse(body: &'a [u8]) -> Option<Self> {
        let mut c = Cursor::new(body);
        let version = c.u16()?;
        let random = c.array()?;
        let short = is_short_draft(version);
        if !short {
            let _session_id = c.vec8()?;
        }
        let cipher = c.u16()?;
        if !short {
            let _compression = c.u8()?;
        }
        let extensions = if c.is_empty() { c } else { c.vec16()? };
        Some(Self { version, cipher, random, extensions })
    }

    /// Returns the extensions in the order sent; ends at the first that does not fit.
    pub fn extensions(self) -> impl Iterator<Item = (u16, Cursor<'a>)> + Clone {
        extensions(self.extensions)
    }

    /// Tells whether the client is asked for another ClientHello.
    pub fn is_retry(self) -> bool {
        self.random == RETRY_RANDOM
    }

    /// Tells whether what this side sends next is encrypted: TLS 1.3 or a draft of it.
    pub fn is_encrypted_next(self) -> bool {
        let mut chosen = self.extensions().filter(|(id, _)| *id == SUPPORTED_VERSIONS);
        let version = chosen.find_map(|(_, mut body)| body.u16()).unwrap_or(self.version);
        !self.is_retry() && (version == 0x0304 || version >> 8 == 0x7f || version >> 8 == 0x7e)
    }
}

/// Tells whether a value means nothing and is sent to keep receivers tolerant, RFC 8701 §2.
pub fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// Tells whether a ServerHello of this version has neither session id nor compression: TLS 1.3
/// before draft 22.
fn is_short_draft(version: u16) -> bool {
    (0x7f00..0x7f16).contains(&version)
}

fn numbers(mut c: Cursor<'_>) -> impl Iterator<Item = u16> + Clone {
    std::iter::from_fn(move || c.u16())
}

fn extensions(mut c: Cursor<'_>) -> impl Iterator<Item = (u16, Cursor<'_>)> + Clone {
    std::iter::from_fn(move || Some((c.u16()?, c.vec16()?)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::ClientHello;
    use super::ServerHello;
    use super::is_grease;

    /// A ClientHello's body.
    pub(in crate::pipeline::dissect::tls) fn client(
        version: u16,
        ciphers: &[u16],
        extensions: &[(u16, Vec<u8>)],
    ) -> Vec<u8> {
        let head = [&version.to_be_bytes()[..], &[7; 32], &[2, 9, 9]].concat();
        [&head, &list16(ciphers)[..], &[1, 0], &block(extensions)].concat()
    }

    /// A ServerHello's body.
    pub(in crate::pipeline::dissect::tls) fn server(
        version: u16,
        cipher: u16,
        extensions: &[(u16, Vec<u8>)],
    ) -> Vec<u8> {
        let head = [&version.to_be_bytes()[..], &[7; 32], &[0]].concat();
        [&head, &cipher.to_be_bytes()[..], &[0], &block(extensions)].concat()
    }

    /// Numbers behind their length in bytes.
    pub(in crate::pipeline::dissect::tls) fn list16(values: &[u16]) -> Vec<u8> {
        vec16(&values.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<_>>())
    }

    fn vec16(bytes: &[u8]) -> Vec<u8> {
        let len = u16::try_from(bytes.len()).expect("16 bits");
        [&len.to_be_bytes()[..], bytes].concat()
    }

    fn block(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let one = |(id, body): &(u16, Vec<u8>)| [&id.to_be_bytes()[..], &vec16(body)].concat();
        if extensions.is_empty() {
            return Vec::new();
        }
        vec16(&extensions.iter().flat_map(one).collect::<Vec<_>>())
    }

    fn check(extension: &[u8], name: Option<&[u8]>) {
        let body = client(0x0303, &[1], &[(0, extension.to_vec())]);
        assert_eq!(ClientHello::parse(&body).expect("whole").server_name(), name);
    }

    #[test]
    fn the_first_host_name_is_the_server_name() {
        check(b"\x00\x06\x00\x00\x03a.b", Some(b"a.b"));
        check(b"\x00\x0b\x07\x00\x02zz\x00\x00\x03a.b", Some(b"a.b"));
        check(b"\x00\x0c\x00\x00\x03a.b\x00\x00\x03c.d", Some(b"a.b"));
        check(b"\x00\x05\x07\x00\x02zz", None);
        check(b"\x00\x06\x00\x00\x04a.b", None);
        check(b"\x00\x07\x00\x00\x03a.b", None);
        check(b"", None);
    }

    #[test]
    fn every_cut_is_survived() {
        let extensions = [(0, b"\x00\x06\x00\x00\x03a.b".to_vec()), (43, vec![2, 3, 4])];
        let whole = client(0x0303, &[1, 2], &extensions);
        let parsed: Vec<_> = (0..whole.len()).map(|n| ClientHello::parse(&whole[..n])).collect();
        // An SSL 3.0 hello ends before the extensions.
        let short = client(0x0303, &[1, 2], &[]).len();
        assert!(parsed.iter().enumerate().all(|(n, hello)| hello.is_some() == (n == short)));
        let whole = server(0x0303, 1, &extensions);
        let short = server(0x0303, 1, &[]).len();
        let parsed: Vec<_> = (0..whole.len()).map(|n| ServerHello::parse(&whole[..n])).collect();
        assert!(parsed.iter().enumerate().all(|(n, hello)| hello.is_some() == (n == short)));
    }

    #[test]
    fn drafts_of_tls_13_have_a_shorter_server_hello() {
        let body = [&[0x7f, 0x12][..], &[7; 32], &[0x13, 0x01], &[0, 4, 0, 40, 0, 0]].concat();
        let hello = ServerHello::parse(&body).expect("whole");
        assert_eq!((hello.cipher, hello.extensions().count()), (0x1301, 1));
        assert!(hello.is_encrypted_next());
    }

    #[test]
    fn grease_is_sixteen_values() {
        assert_eq!((0..=u16::MAX).filter(|value| is_grease(*value)).count(), 16);
        assert!(is_grease(0x0a0a) && is_grease(0xfafa) && !is_grease(0x0a1a));
    }
}
