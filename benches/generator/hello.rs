//! ClientHello and ServerHello messages as the programs in use write them.
//!
//! Spec: RFC 8446 §4.1.2, §4.1.3, §4.2; RFC 5246 §7.4.1; RFC 6066 §3; RFC 8701 (GREASE); IANA
//!       tls-extensiontype-values

use super::random::Random;
use super::template::TEMPLATES;
use super::template::Template;

const SERVER_NAME: u16 = 0;
const STATUS_REQUEST: u16 = 5;
const GROUPS: u16 = 10;
const POINTS: u16 = 11;
const SCHEMES: u16 = 13;
const HEARTBEAT: u16 = 15;
const ALPN: u16 = 16;
const STATUS_REQUEST_V2: u16 = 17;
const PADDING: u16 = 21;
const COMPRESS: u16 = 27;
const RECORD_LIMIT: u16 = 28;
const DELEGATED: u16 = 34;
const TICKET: u16 = 35;
const VERSIONS: u16 = 43;
const PSK_MODES: u16 = 45;
const SCHEMES_CERT: u16 = 50;
const KEY_SHARE: u16 = 51;
const APPLICATION_SETTINGS: u16 = 17_513;
const ENCRYPTED_HELLO: u16 = 65_037;
const RENEGOTIATION: u16 = 65_281;

/// X25519MLKEM768: a key share of 1,216 bytes, so that the hello does not fit one segment.
const HYBRID: u16 = 0x11ec;
/// The size that padding brings a hello of more than 255 bytes to (RFC 7685 §4).
const PADDED_BYTES: usize = 512;

/// A ClientHello before it is written.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) version: u16,
    pub(crate) ciphers: Vec<u16>,
    pub(crate) extensions: Vec<u16>,
    groups: Vec<u16>,
    schemes: &'static [u16],
    versions: Vec<u16>,
    alpn: &'static [&'static str],
    pub(crate) name: Option<String>,
    grease: Option<u64>,
    ticket_bytes: usize,
}

impl Hello {
    /// The hello of one of the programs, drawn at random.
    pub(crate) fn draw(random: &mut Random, name: Option<&str>) -> Self {
        let template = random.pick(&TEMPLATES);
        Self::of(template, random, name)
    }

    /// The hello of a small device: few ciphers, few extensions.
    pub(crate) fn brief(random: &mut Random, name: Option<&str>) -> Self {
        Self::of(&TEMPLATES[TEMPLATES.len() - 1], random, name)
    }

    /// The hello of a program; one in three has no ALPN, one in three no session ticket.
    pub(crate) fn of(template: &Template, random: &mut Random, name: Option<&str>) -> Self {
        let mut extensions = template.extensions.to_vec();
        match random.below(3) {
            0 => extensions.retain(|&id| id != ALPN && id != APPLICATION_SETTINGS),
            1 => extensions.retain(|&id| id != TICKET),
            _ => {}
        }
        if name.is_none() {
            extensions.retain(|&id| id != SERVER_NAME);
        }
        if template.permute {
            random.shuffle(&mut extensions);
        }
        let mut hello = Self {
            version: template.version,
            ciphers: template.ciphers.to_vec(),
            extensions,
            groups: template.groups.to_vec(),
            schemes: template.schemes,
            versions: template.versions.to_vec(),
            alpn: template.alpn,
            name: name.map(str::to_owned),
            grease: template.grease.then(|| random.draw()),
            ticket_bytes: if random.percent(25) { 192 } else { 0 },
        };
        hello.add_grease();
        hello
    }

    /// Whether TLS 1.3 is offered.
    pub(crate) fn offers_13(&self) -> bool {
        self.versions.contains(&0x0304)
    }

    /// Takes TLS 1.3 out of the offer, so that the certificate is seen.
    pub(crate) fn without_13(mut self) -> Self {
        let gone = [VERSIONS, KEY_SHARE, PSK_MODES];
        self.extensions.retain(|id| !gone.contains(id));
        self.versions.clear();
        self.ciphers.retain(|cipher| cipher >> 8 != 0x13);
        self
    }

    /// The handshake message.
    pub(crate) fn write(&self, random: &mut Random) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend_from_slice(&random.bytes(32));
        let session = if self.offers_13() || self.ticket_bytes > 0 { 32 } else { 0 };
        vec8(&mut body, &random.bytes(session));
        vec16(&mut body, &words(&self.ciphers));
        vec8(&mut body, &[0]);
        let mut block = Vec::with_capacity(512);
        for &id in &self.extensions {
            if id == PADDING {
                // Still to come: the message's header (4), the block's length (2), and this
                // extension's own header (4).
                let size = body.len() + block.len() + 6;
                if !(256..PADDED_BYTES - 4).contains(&size) {
                    continue;
                }
                block.extend_from_slice(&PADDING.to_be_bytes());
                vec16(&mut block, &vec![0; PADDED_BYTES - 4 - size]);
                continue;
            }
            block.extend_from_slice(&id.to_be_bytes());
            vec16(&mut block, &self.extension(id, random));
        }
        vec16(&mut body, &block);
        message(1, &body)
    }

    fn extension(&self, id: u16, random: &mut Random) -> Vec<u8> {
        let mut out = Vec::new();
        match id {
            SERVER_NAME => {
                let name = self.name.as_deref().unwrap_or_default();
                let mut entry = vec![0];
                vec16(&mut entry, name.as_bytes());
                vec16(&mut out, &entry);
            }
            STATUS_REQUEST => out.extend_from_slice(&[1, 0, 0, 0, 0]),
            STATUS_REQUEST_V2 => out.extend_from_slice(&[0, 7, 2, 0, 4, 0, 0, 0, 0]),
            GROUPS => vec16(&mut out, &words(&self.groups)),
            POINTS => vec8(&mut out, &[0]),
            SCHEMES | SCHEMES_CERT => vec16(&mut out, &words(self.schemes)),
            DELEGATED => vec16(&mut out, &words(&[0x0403, 0x0503, 0x0603, 0x0203])),
            HEARTBEAT => out.push(1),
            COMPRESS => out.extend_from_slice(&[2, 0, 2]),
            ALPN | APPLICATION_SETTINGS => {
                let names = if id == ALPN { self.alpn } else { &["h2"] };
                let mut list = Vec::new();
                names.iter().for_each(|name| vec8(&mut list, name.as_bytes()));
                vec16(&mut out, &list);
            }
            RECORD_LIMIT => out.extend_from_slice(&0x4001_u16.to_be_bytes()),
            TICKET => out = random.bytes(self.ticket_bytes),
            VERSIONS => vec8(&mut out, &words(&self.versions)),
            PSK_MODES => vec8(&mut out, &[1]),
            KEY_SHARE => vec16(&mut out, &self.shares(random)),
            ENCRYPTED_HELLO => {
                out.extend_from_slice(&[0, 0, 1, 0, 1, random.draw() as u8]);
                vec16(&mut out, &random.bytes(32));
                vec16(&mut out, &random.bytes(176));
            }
            RENEGOTIATION => out.push(0),
            _ => {}
        }
        out
    }

    /// Key shares for the first groups: what browsers do.
    fn shares(&self, random: &mut Random) -> Vec<u8> {
        let mut out = Vec::new();
        for &group in &self.groups {
            let size = match group {
                HYBRID => 1_216,
                0x001d => 32,
                0x0017 if !self.groups.contains(&0x001d) => 65,
                _ if group & 0x0f0f == 0x0a0a => 1,
                _ => continue,
            };
            out.extend_from_slice(&group.to_be_bytes());
            vec16(&mut out, &random.bytes(size));
        }
        out
    }

    /// Puts reserved values where Chrome and Safari do.
    fn add_grease(&mut self) {
        let Some(bits) = self.grease else { return };
        let value = |n: u64| ((bits >> (4 * n)) as u16 & 0xf) * 0x1010 + 0x0a0a;
        self.ciphers.insert(0, value(0));
        self.groups.insert(0, value(1));
        self.versions.insert(0, value(2));
        self.extensions.insert(0, value(3));
        let last = if value(4) == value(3) { value(3) ^ 0x1010 } else { value(4) };
        let before_padding = self.extensions.iter().position(|&id| id == PADDING);
        self.extensions.insert(before_padding.unwrap_or(self.extensions.len()), last);
    }
}

/// A ServerHello before it is written.
#[derive(Clone, Debug)]
pub(crate) struct ServerHello {
    pub(crate) version: u16,
    pub(crate) cipher: u16,
    pub(crate) extensions: Vec<u16>,
}

impl ServerHello {
    /// What an ordinary server answers.
    pub(crate) fn draw(random: &mut Random, hello: &Hello) -> Self {
        if hello.offers_13() {
            let extensions = if random.percent(70) { vec![51, 43] } else { vec![43, 51] };
            return Self {
                version: 0x0303,
                cipher: *random.pick(&[0x1301, 0x1302, 0x1303]),
                extensions,
            };
        }
        if hello.version < 0x0303 {
            return Self {
                version: hello.version,
                cipher: 0xc014,
                extensions: vec![65_281, 0, 11],
            };
        }
        let lists: [&[u16]; 4] =
            [&[65_281, 0, 11, 35, 23], &[65_281, 11, 16], &[0, 65_281, 11], &[65_281, 23]];
        let cipher = *random.pick(&[0xc02f, 0xc030, 0xc02b, 0x009c]);
        Self { version: 0x0303, cipher, extensions: random.pick(&lists).to_vec() }
    }

    /// The handshake message.
    pub(crate) fn write(&self, random: &mut Random) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend_from_slice(&random.bytes(32));
        vec8(&mut body, &random.bytes(32));
        body.extend_from_slice(&self.cipher.to_be_bytes());
        body.push(0);
        let mut block = Vec::new();
        for &id in &self.extensions {
            block.extend_from_slice(&id.to_be_bytes());
            let content: Vec<u8> = match id {
                POINTS => vec![1, 0],
                ALPN => vec![0, 3, 2, b'h', b'2'],
                VERSIONS => vec![3, 4],
                KEY_SHARE => [&[0, 0x1d, 0, 32][..], &random.bytes(32)].concat(),
                RENEGOTIATION => vec![0],
                _ => Vec::new(),
            };
            vec16(&mut block, &content);
        }
        vec16(&mut body, &block);
        message(2, &body)
    }
}

/// A handshake message: its type and three bytes of length go first.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&[kind, length[1], length[2], length[3]], body].concat()
}

fn vec8(out: &mut Vec<u8>, content: &[u8]) {
    out.push(content.len() as u8);
    out.extend_from_slice(content);
}

fn vec16(out: &mut Vec<u8>, content: &[u8]) {
    out.extend_from_slice(&(content.len() as u16).to_be_bytes());
    out.extend_from_slice(content);
}

fn words(list: &[u16]) -> Vec<u8> {
    list.iter().flat_map(|word| word.to_be_bytes()).collect()
}
