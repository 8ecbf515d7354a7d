//! JA3, JA3S and JA4 of the hellos that the generator writes, from their bytes.
//!
//! Spec:   JA3 (salesforce/ja3 README): MD5 over decimal fields, GREASE left out; JA4 (FoxIO
//!         technical details, the TLS client part, BSD-3-Clause); RFC 8701 (GREASE); RFC 8446
//!         §4.1.2, §4.1.3
//! Reads:  one handshake message with its four-byte header
//! Yields: the fingerprints' text
//! Bounds: none, the messages are our own
//! Leaves: QUIC, DTLS, SSLv2; it panics on a message that the generator could not have written

use md5::Digest;
use md5::Md5;
use sha2::Sha256;

/// The fields of a hello that the fingerprints are made of, GREASE left out.
pub(crate) struct Fields {
    version: u16,
    ciphers: Vec<u16>,
    extensions: Vec<u16>,
    groups: Vec<u16>,
    points: Vec<u8>,
    schemes: Vec<u16>,
    versions: Vec<u16>,
    alpn: Vec<u8>,
}

impl Fields {
    /// Reads a ClientHello.
    pub(crate) fn of_client(message: &[u8]) -> Self {
        assert_eq!(message[0], 1, "a ClientHello begins with 1");
        let mut fields = Self::empty(word(message, 4));
        let mut at = 38 + 1 + usize::from(message[38]);
        let ciphers = usize::from(word(message, at));
        fields.ciphers = words(&message[at + 2..at + 2 + ciphers]);
        at += 2 + ciphers;
        at += 1 + usize::from(message[at]);
        fields.read_extensions(&message[at..]);
        fields
    }

    /// Reads a ServerHello.
    pub(crate) fn of_server(message: &[u8]) -> Self {
        assert_eq!(message[0], 2, "a ServerHello begins with 2");
        let mut fields = Self::empty(word(message, 4));
        let at = 38 + 1 + usize::from(message[38]);
        fields.ciphers = vec![word(message, at)];
        fields.read_extensions(&message[at + 3..]);
        fields
    }

    /// The JA3 of a ClientHello.
    pub(crate) fn ja3(&self) -> String {
        let points: Vec<u16> = self.points.iter().map(|&p| u16::from(p)).collect();
        let lists =
            [&self.ciphers, &self.extensions, &self.groups, &points].map(|list| decimal(list));
        md5_of(&format!("{},{}", self.version, lists.join(",")))
    }

    /// The JA3S of a ServerHello.
    pub(crate) fn ja3s(&self) -> String {
        md5_of(&format!("{},{},{}", self.version, self.ciphers[0], decimal(&self.extensions)))
    }

    /// The JA4 of a ClientHello over TCP.
    pub(crate) fn ja4(&self) -> String {
        let version = match self.versions.iter().max().unwrap_or(&self.version) {
            0x0304 => "13",
            0x0303 => "12",
            0x0302 => "11",
            0x0301 => "10",
            _ => "00",
        };
        let name = if self.extensions.contains(&0) { 'd' } else { 'i' };
        let mut ciphers = self.ciphers.clone();
        ciphers.sort_unstable();
        let mut extensions: Vec<u16> = self.extensions.clone();
        extensions.retain(|&id| id != 0 && id != 16);
        extensions.sort_unstable();
        let mut tail = hexadecimal(&extensions);
        if !self.schemes.is_empty() {
            tail = format!("{tail}_{}", hexadecimal(&self.schemes));
        }
        format!(
            "t{version}{name}{:02}{:02}{}_{}_{}",
            self.ciphers.len().min(99),
            self.extensions.len().min(99),
            alpn_ends(&self.alpn),
            sha256_start(&hexadecimal(&ciphers)),
            sha256_start(&tail),
        )
    }

    fn empty(version: u16) -> Self {
        Self {
            version,
            ciphers: Vec::new(),
            extensions: Vec::new(),
            groups: Vec::new(),
            points: Vec::new(),
            schemes: Vec::new(),
            versions: Vec::new(),
            alpn: Vec::new(),
        }
    }

    fn read_extensions(&mut self, block: &[u8]) {
        if block.is_empty() {
            return;
        }
        let mut at = 2;
        while at < 2 + usize::from(word(block, 0)) {
            let (id, length) = (word(block, at), usize::from(word(block, at + 2)));
            let body = &block[at + 4..at + 4 + length];
            at += 4 + length;
            if is_grease(id) {
                continue;
            }
            self.extensions.push(id);
            match id {
                10 => self.groups = words(&body[2..]),
                11 => self.points = body[1..].to_vec(),
                13 => self.schemes = words(&body[2..]),
                16 if length > 3 => self.alpn = body[3..3 + usize::from(body[2])].to_vec(),
                43 if length > 2 => self.versions = words(&body[1..]),
                _ => {}
            }
        }
    }
}

/// The digest of a text that fingerprints are named by.
pub(crate) fn md5_of(text: &str) -> String {
    hex(&Md5::digest(text.as_bytes()))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_grease(word: u16) -> bool {
    word & 0x0f0f == 0x0a0a && word >> 8 == word & 0xff
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn words(bytes: &[u8]) -> Vec<u16> {
    let all = bytes.chunks_exact(2).map(|pair| word(pair, 0));
    all.filter(|&word| !is_grease(word)).collect()
}

fn decimal(list: &[u16]) -> String {
    list.iter().map(u16::to_string).collect::<Vec<_>>().join("-")
}

fn hexadecimal(list: &[u16]) -> String {
    list.iter().map(|word| format!("{word:04x}")).collect::<Vec<_>>().join(",")
}

/// First and last character of the first ALPN value, `00` where there is none.
fn alpn_ends(alpn: &[u8]) -> String {
    match (alpn.first(), alpn.last()) {
        (Some(&first), Some(&last)) => [char::from(first), char::from(last)].iter().collect(),
        _ => "00".to_owned(),
    }
}

fn sha256_start(text: &str) -> String {
    if text.is_empty() {
        return "000000000000".to_owned();
    }
    hex(&Sha256::digest(text.as_bytes()))[..12].to_owned()
}
