//! Observations: values seen in traffic, with the place where they were seen (contract §3).

use crate::model::address::Address;
use crate::model::bytes::index;
use crate::model::bytes::narrow;
use crate::model::limits::NOTES_BYTES_MAX;
use crate::model::limits::NOTES_MAX;
use crate::model::limits::VALUE_BYTES_MAX;

/// Makes an enum of names that users see, in the order of the table.
macro_rules! names {
    ($(#[$meta:meta])* $type:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $type { $($(#[$doc])* $variant,)* }

        impl $type {
            /// All, in table order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns its position in `ALL`.
            #[allow(clippy::as_conversions, reason = "an enum without fields to its own number")]
            pub fn position(self) -> usize {
                self as usize
            }

            /// Returns the name that users see.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Returns the one of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
pub(crate) use names;

names! {
    /// What was seen.
    ObservationKind {
        /// A flow: its two ends.
        Flow = "flow",
        /// A DNS question's name.
        DnsQuery = "dns_query",
        /// An address in a DNS answer.
        DnsAnswer = "dns_answer",
        /// A name in a DNS answer.
        DnsName = "dns_name",
        /// A server name in a TLS ClientHello.
        TlsSni = "tls_sni",
        /// A server name in a QUIC ClientHello.
        QuicSni = "quic_sni",
        /// A name in a certificate.
        CertName = "cert_name",
        /// JA3 of a ClientHello.
        Ja3 = "ja3",
        /// JA3S of a ServerHello.
        Ja3s = "ja3s",
        /// JA4 of a ClientHello.
        Ja4 = "ja4",
        /// MD5 of a certificate.
        CertMd5 = "cert_md5",
        /// SHA-1 of a certificate.
        CertSha1 = "cert_sha1",
        /// SHA-256 of a certificate.
        CertSha256 = "cert_sha256",
        /// Host of an HTTP request.
        HttpHost = "http_host",
        /// Absolute URL of an HTTP request.
        HttpUrl = "http_url",
        /// User agent of an HTTP request.
        HttpUserAgent = "http_user_agent",
        /// SSH client's banner.
        SshClient = "ssh_client",
        /// SSH server's banner.
        SshServer = "ssh_server",
        /// HASSH of an SSH client.
        Hassh = "hassh",
        /// HASSH of an SSH server.
        HasshServer = "hassh_server",
    }
}

names! {
    /// Where it was seen.
    Place {
        /// The ends of a flow.
        Flow = "flow",
        /// A DNS question.
        DnsQuestion = "dns.question",
        /// An address record in a DNS message.
        DnsAnswer = "dns.answer",
        /// A name in the data of a DNS record.
        DnsAnswerName = "dns.answer.name",
        /// `server_name` of a TLS ClientHello.
        TlsSni = "tls.sni",
        /// `server_name` of a QUIC ClientHello.
        QuicSni = "quic.sni",
        /// A TLS ClientHello as a whole.
        TlsClientHello = "tls.client_hello",
        /// A QUIC ClientHello as a whole.
        QuicClientHello = "quic.client_hello",
        /// A TLS ServerHello as a whole.
        TlsServerHello = "tls.server_hello",
        /// A TLS certificate.
        TlsCertificate = "tls.certificate",
        /// The host of an HTTP request.
        HttpHost = "http.host",
        /// The URL of an HTTP request.
        HttpUrl = "http.url",
        /// The user agent of an HTTP request.
        HttpUserAgent = "http.user_agent",
        /// An SSH banner.
        SshBanner = "ssh.banner",
        /// An SSH key exchange.
        SshKexinit = "ssh.kexinit",
    }
}

/// A value in its canonical form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Value<'a> {
    /// Text as users see it.
    Text(&'a [u8]),
    /// The same of a URL that a request names whole, as to a proxy: where it has no port its
    /// scheme's counts, not the flow's.
    Absolute(&'a [u8]),
    /// A digest's bytes; users see lower-case hex.
    Digest(&'a [u8]),
    /// An address.
    Address(Address),
}

/// One value seen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Observation<'a> {
    /// What it is.
    pub kind: ObservationKind,
    /// Where it was.
    pub place: Place,
    /// The value.
    pub value: Value<'a>,
}

/// Some kinds of observation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kinds(u32);

const _: () = assert!(ObservationKind::ALL.len() <= 32);

impl Kinds {
    /// None.
    pub const NONE: Self = Self(0);
    /// Every kind.
    pub const ALL: Self = Self(u32::MAX);

    /// Tells whether a kind is among them.
    pub fn has(self, kind: ObservationKind) -> bool {
        self.0 & Self::bit(kind) != 0
    }

    fn bit(kind: ObservationKind) -> u32 {
        u32::try_from(kind.position()).ok().and_then(|n| 1_u32.checked_shl(n)).unwrap_or(0)
    }
}

impl FromIterator<ObservationKind> for Kinds {
    fn from_iter<I: IntoIterator<Item = ObservationKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | Self::bit(kind)))
    }
}

/// Takes observations from a dissector.
pub trait Seen {
    /// Takes one observation; its value is copied.
    fn note(&mut self, observation: Observation<'_>);

    /// Takes that a message went over a bound: not all of it was read.
    fn cut(&mut self) {}
}

/// The observations of one packet or one reassembled stretch, in memory taken once.
#[derive(Debug)]
pub struct Notes {
    notes: Vec<Note>,
    bytes: Vec<u8>,
    refused: u64,
    cut: u64,
}

#[derive(Clone, Copy, Debug)]
struct Note {
    kind: ObservationKind,
    place: Place,
    form: Form,
    at: u32,
    len: u32,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Text,
    Absolute,
    Digest,
    Address,
}

impl Notes {
    /// Takes the memory.
    pub fn new() -> Self {
        Self {
            notes: Vec::with_capacity(NOTES_MAX),
            bytes: Vec::with_capacity(NOTES_BYTES_MAX),
            refused: 0,
            cut: 0,
        }
    }

    /// Forgets the observations; keeps the memory and the count of refused ones.
    pub fn clear(&mut self) {
        self.notes.clear();
        self.bytes.clear();
    }

    /// Tells whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// Returns how many observations did not fit, ever.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Returns how many messages went over a bound, ever.
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Returns the observations in the order seen.
    pub fn iter(&self) -> impl Iterator<Item = Observation<'_>> {
        self.notes.iter().filter_map(|note| {
            let end = index(note.at.saturating_add(note.len));
            let bytes = self.bytes.get(index(note.at)..end)?;
            let value = match note.form {
                Form::Text => Value::Text(bytes),
                Form::Absolute => Value::Absolute(bytes),
                Form::Digest => Value::Digest(bytes),
                Form::Address => Value::Address(Address(*bytes.first_chunk()?)),
            };
            Some(Observation { kind: note.kind, place: note.place, value })
        })
    }
}

impl Default for Notes {
    fn default() -> Self {
        Self::new()
    }
}

impl Seen for Notes {
    fn cut(&mut self) {
        self.cut = self.cut.saturating_add(1);
    }

    fn note(&mut self, observation: Observation<'_>) {
        let (form, value) = match &observation.value {
            Value::Text(text) => (Form::Text, *text),
            Value::Absolute(url) => (Form::Absolute, *url),
            Value::Digest(digest) => (Form::Digest, *digest),
            Value::Address(address) => (Form::Address, &address.0[..]),
        };
        let fits = self.notes.len() < NOTES_MAX
            && value.len() <= VALUE_BYTES_MAX
            && self.bytes.len().saturating_add(value.len()) <= NOTES_BYTES_MAX;
        if !fits {
            self.refused = self.refused.saturating_add(1);
            return;
        }
        self.notes.push(Note {
            kind: observation.kind,
            place: observation.place,
            form,
            at: narrow(self.bytes.len()),
            len: narrow(value.len()),
        });
        self.bytes.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_give_back_what_was_seen() {
        let mut notes = Notes::new();
        let seen = [
            Observation {
                kind: ObservationKind::DnsQuery,
                place: Place::DnsQuestion,
                value: Value::Text(b"evil.example"),
            },
            Observation {
                kind: ObservationKind::DnsAnswer,
                place: Place::DnsAnswer,
                value: Value::Address(Address::from_v4([9, 9, 9, 9])),
            },
        ];
        seen.iter().for_each(|o| notes.note(*o));
        assert_eq!(notes.iter().collect::<Vec<_>>(), seen);
        notes.clear();
        assert!(notes.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_refused_and_counted() {
        let mut notes = Notes::new();
        let long = vec![b'a'; VALUE_BYTES_MAX + 1];
        let observation = |value| Observation {
            kind: ObservationKind::HttpUrl,
            place: Place::HttpUrl,
            value: Value::Text(value),
        };
        notes.note(observation(&long));
        notes.note(observation(long.get(1..).expect("one shorter")));
        assert_eq!((notes.refused(), notes.iter().count()), (1, 1));
    }

    #[test]
    fn names_read_back() {
        for kind in ObservationKind::ALL {
            assert_eq!(ObservationKind::from_name(kind.name()), Some(*kind));
        }
    }
}
