//! One DNS message: its header, its names however compressed, the records that name hosts.
//!
//! Spec:   RFC 1035 §4.1; RFC 3596 §2.1 (AAAA); RFC 2782 (SRV); RFC 6672 §2.1 (DNAME); RFC 9460
//!         §2.2 (SVCB);
//!         RFC 6762 §5.4 (QU bit); RFC 2136 §2 (update)
//! Reads:  one message, whole or cut
//! Yields: `dns.question`, `dns.answer`, `dns.answer.name`
//! Bounds: `limits::DNS_RECORDS_MAX`, `limits::DNS_POINTERS_MAX`, 255 octets a name
//! Leaves: owner names, TTLs, EDNS, the data of all other types

use crate::model::address::Address;
use crate::model::bytes::Cursor;
use crate::model::domain::Domain;
use crate::model::domain::NAME_WIRE_BYTES_MAX;
use crate::model::limits::DNS_POINTERS_MAX;
use crate::model::limits::DNS_RECORDS_MAX;
use crate::model::observation::Observation;
use crate::model::observation::ObservationKind;
use crate::model::observation::Place;
use crate::model::observation::Seen;
use crate::model::observation::Value;
use crate::pipeline::dissect::Guess;

/// Bytes of the header, RFC 1035 §4.1.1.
pub(super) const HEADER_BYTES: usize = 12;

/// Bytes of the smallest record: root, type, class, TTL, no data.
const RECORD_BYTES_MIN: usize = 11;

/// Bytes up to the end of the first entry's class.
const FIRST_ENTRY_BYTES_MAX: usize = HEADER_BYTES + NAME_WIRE_BYTES_MAX + 4;

/// Record types, IANA dns-parameters.
mod kind {
    pub(super) const A: u16 = 1;
    pub(super) const NS: u16 = 2;
    pub(super) const CNAME: u16 = 5;
    pub(super) const PTR: u16 = 12;
    pub(super) const MX: u16 = 15;
    pub(super) const AAAA: u16 = 28;
    pub(super) const SRV: u16 = 33;
    pub(super) const DNAME: u16 = 39;
    pub(super) const OPT: u16 = 41;
    pub(super) const SVCB: u16 = 64;
    pub(super) const HTTPS: u16 = 65;
}

/// Service parameters that carry addresses, RFC 9460 §7.3.
mod param {
    pub(super) const IPV4HINT: u16 = 4;
    pub(super) const IPV6HINT: u16 = 6;
}

/// The header: an id, flags, and how many entries follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    flags: u16,
    questions: u16,
    records: usize,
}

impl Header {
    const RESPONSE: u16 = 0x8000;
    const RESERVED: u16 = 0x0040;

    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let mut c = Cursor::new(message);
        let _id = c.u16()?;
        let (flags, questions) = (c.u16()?, c.u16()?);
        let sections = [c.u16()?, c.u16()?, c.u16()?];
        let records = sections.into_iter().map(usize::from).fold(0, usize::saturating_add);
        Some(Self { flags, questions, records })
    }

    /// Tells whether flags are such as programs send: a known opcode (RFC 6895 §2.2), the reserved
    /// bit clear.
    pub(super) fn is_sound(self) -> bool {
        let opcode = (self.flags >> 11) & 0xf;
        matches!(opcode, 0..=2 | 4..=6) && self.flags & Self::RESERVED == 0
    }

    /// Tells whether, besides, it asks or answers something.
    pub(super) fn is_plausible(self) -> bool {
        let answers = self.flags & Self::RESPONSE != 0 && self.records > 0;
        self.is_sound() && (self.questions > 0 || answers)
    }
}

/// How far a message could be read, and how odd it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    ended: bool,
    rest_bytes: usize,
    oddities: usize,
}

impl Reading {
    /// Tells whether every entry was read.
    pub(super) fn has_ended(self) -> bool {
        self.ended
    }

    /// Tells whether every entry was read, sound, and nothing was left.
    pub(super) fn is_flawless(self) -> bool {
        self.ended && self.rest_bytes == 0 && self.oddities == 0
    }
}

/// Tells what a message shows, up to what cannot be read.
pub(super) fn read(message: &[u8], seen: &mut impl Seen) -> Reading {
    let mut walk = Walk::new(message);
    let ended = walk.entries(seen).is_some();
    Reading { ended, rest_bytes: walk.c.len(), oddities: walk.oddities }
}

/// Judges the first bytes of a message of `length` bytes by its header and its first entry.
pub(super) fn guess(shown: &[u8], length: usize) -> Guess {
    let mut c = Cursor::new(shown);
    let (_id, Some(flags)) = (c.u16(), c.u16()) else { return Guess::Maybe };
    let flags_alone = Header { flags, questions: 0, records: 0 };
    if !flags_alone.is_sound() {
        return Guess::No;
    }
    let Some(header) = Header::parse(shown) else { return Guess::Maybe };
    let records_max = length / RECORD_BYTES_MIN;
    if !header.is_plausible() || header.questions > 1 || header.records > records_max {
        return Guess::No;
    }
    let mut walk = Walk::new(shown);
    match walk.first_class(header) {
        Some(class) if is_class(class) => Guess::Yes,
        None if shown.len() < length.min(FIRST_ENTRY_BYTES_MAX) => Guess::Maybe,
        _ => Guess::No,
    }
}

/// The way through one message.
struct Walk<'a> {
    message: &'a [u8],
    c: Cursor<'a>,
    name: Domain,
    oddities: usize,
}

impl<'a> Walk<'a> {
    fn new(message: &'a [u8]) -> Self {
        Self { message, c: Cursor::new(message), name: Domain::root(), oddities: 0 }
    }

    fn entries(&mut self, seen: &mut impl Seen) -> Option<()> {
        let header = Header::parse(self.message)?;
        self.c.take(HEADER_BYTES)?;
        if header.records > DNS_RECORDS_MAX {
            seen.cut();
        }
        for _ in 0..usize::from(header.questions).min(DNS_RECORDS_MAX) {
            self.question(seen)?;
        }
        for _ in 0..header.records.min(DNS_RECORDS_MAX) {
            self.record(seen)?;
        }
        Some(())
    }

    fn question(&mut self, seen: &mut impl Seen) -> Option<()> {
        let at = self.message.len().saturating_sub(self.c.len());
        let end = self.spell(at)?;
        self.c = Cursor::new(self.message.get(end..)?);
        self.note_name(ObservationKind::DnsQuery, Place::DnsQuestion, seen);
        let _kind = self.c.u16()?;
        self.judge_class()
    }

    fn record(&mut self, seen: &mut impl Seen) -> Option<()> {
        self.skip_name()?;
        let kind = self.c.u16()?;
        match kind {
            kind::OPT => _ = self.c.u16()?, // there it is a size, RFC 6891 §6.1.2
            _ => self.judge_class()?,
        }
        let _ttl = self.c.u32()?;
        let data = self.c.vec16()?;
        if !data.is_empty() && self.data(kind, data, seen).is_none() {
            self.oddities = self.oddities.saturating_add(1);
        }
        Some(())
    }

    /// Tells what the data of a record show; `None` if they do not fit their type. Empty data name
    /// nothing (RFC 2136 §2.5.2).
    fn data(&mut self, kind: u16, mut data: Cursor<'a>, seen: &mut impl Seen) -> Option<()> {
        match kind {
            kind::A => {
                let octets = data.array()?;
                data.is_empty().then(|| note_address(Address::from_v4(octets), seen))
            }
            kind::AAAA => {
                let octets = data.array()?;
                data.is_empty().then(|| note_address(Address::from_v6(octets), seen))
            }
            kind::NS | kind::CNAME | kind::PTR | kind::DNAME => {
                self.target(data, 0, seen).map(drop)
            }
            kind::MX => self.target(data, 2, seen).map(drop),
            kind::SRV => self.target(data, 6, seen).map(drop),
            kind::SVCB | kind::HTTPS => {
                let params = self.target(data, 2, seen)?;
                note_hints(params, seen)
            }
            _ => Some(()),
        }
    }

    /// Tells the name that stands `skip` bytes into `data`, which end where the message is read;
    /// returns what follows.
    fn target(
        &mut self,
        data: Cursor<'a>,
        skip: usize,
        seen: &mut impl Seen,
    ) -> Option<Cursor<'a>> {
        let data_end = self.message.len().saturating_sub(self.c.len());
        let at = data_end.saturating_sub(data.len()).saturating_add(skip);
        let end = self.spell(at)?;
        let rest = self.message.get(end..data_end)?;
        self.note_name(ObservationKind::DnsName, Place::DnsAnswerName, seen);
        Some(Cursor::new(rest))
    }

    /// Writes the name that begins at `at` into `self.name`; returns where its own bytes end.
    /// A pointer leads before the labels it ends (RFC 1035 §4.1.4: "prior occurrence"), so there is
    /// no loop.
    fn spell(&mut self, at: usize) -> Option<usize> {
        self.name.clear();
        let (mut run_at, mut octets, mut pointers) = (at, 1_usize, 0_usize);
        let mut end = None;
        let mut c = Cursor::new(self.message.get(at..)?);
        loop {
            let length = c.u8()?;
            match length {
                0 => break,
                1..=0x3f => {
                    let label = c.take(usize::from(length))?;
                    octets = octets.saturating_add(label.len()).saturating_add(1);
                    if octets > NAME_WIRE_BYTES_MAX {
                        return None;
                    }
                    self.name.push(label)?;
                }
                0xc0.. => {
                    let target = usize::from(u16::from_be_bytes([length & 0x3f, c.u8()?]));
                    end = end.or(Some(self.message.len().saturating_sub(c.len())));
                    pointers = pointers.saturating_add(1);
                    if target >= run_at || pointers > DNS_POINTERS_MAX {
                        return None;
                    }
                    run_at = target;
                    c = Cursor::new(self.message.get(target..)?);
                }
                _ => return None,
            }
        }
        end.or(Some(self.message.len().saturating_sub(c.len())))
    }

    fn skip_name(&mut self) -> Option<()> {
        loop {
            match self.c.u8()? {
                0 => return Some(()),
                length @ 1..=0x3f => _ = self.c.take(usize::from(length))?,
                0xc0.. => return self.c.u8().map(drop),
                _ => return None,
            }
        }
    }

    fn judge_class(&mut self) -> Option<()> {
        if !is_class(self.c.u16()?) {
            self.oddities = self.oddities.saturating_add(1);
        }
        Some(())
    }

    fn first_class(&mut self, header: Header) -> Option<u16> {
        self.c.take(HEADER_BYTES)?;
        self.skip_name()?;
        let kind = self.c.u16()?;
        let class = self.c.u16()?;
        let is_size = header.questions == 0 && kind == kind::OPT;
        Some(if is_size { CLASS_IN } else { class })
    }

    fn note_name(&self, kind: ObservationKind, place: Place, seen: &mut impl Seen) {
        if !self.name.is_root() {
            seen.note(Observation { kind, place, value: Value::Text(self.name.as_bytes()) });
        }
    }
}

const CLASS_IN: u16 = 1;

/// IN, CH, HS, NONE, ANY (RFC 6895 §3.2), whatever the bit that mDNS takes from them.
fn is_class(class: u16) -> bool {
    matches!(class & 0x7fff, CLASS_IN | 3 | 4 | 254 | 255)
}

fn note_hints(mut params: Cursor<'_>, seen: &mut impl Seen) -> Option<()> {
    while !params.is_empty() {
        let key = params.u16()?;
        let mut value = params.vec16()?;
        match key {
            param::IPV4HINT => {
                while let Some(octets) = value.array() {
                    note_address(Address::from_v4(octets), seen);
                }
            }
            param::IPV6HINT => {
                while let Some(octets) = value.array() {
                    note_address(Address::from_v6(octets), seen);
                }
            }
            _ => {}
        }
    }
    Some(())
}

fn note_address(address: Address, seen: &mut impl Seen) {
    seen.note(Observation {
        kind: ObservationKind::DnsAnswer,
        place: Place::DnsAnswer,
        value: Value::Address(address),
    });
}
