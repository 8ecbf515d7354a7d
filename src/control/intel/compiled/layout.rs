//! The layout of a compiled set.
//!
//! A header, a table of sections, then the sections, each at a multiple of 64 bytes with zeros
//! between. Numbers are of the byte order that the header shows. A section is one table of the
//! index or the catalog, named after it; the index comes first, the stories last.
//!
//! Within a format, later builds may add sections. Who does not know one skips it, unless it is
//! marked as needed; who misses one takes it as empty. A table whose items change gets another
//! name.

use xxhash_rust::xxh3::Xxh3;
use xxhash_rust::xxh3::xxh3_128;
use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;

/// The first bytes: no text, and broken by whatever changes line ends.
pub(super) const MAGIC: [u8; 8] = *b"\x89tapset\n";

/// The format of files that are read and written.
pub(super) const FORMAT_VERSION: u32 = 1;

/// A number that shows the byte order.
pub(super) const BYTE_ORDER: u32 = 0x0102_0304;

/// Where sections may begin: a cache line.
pub(super) const ALIGN: u64 = 64;

/// The header.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: [u8; 8],
    pub(super) format: u32,
    pub(super) byte_order: u32,
    /// Bytes of the whole file.
    pub(super) file_bytes: u64,
    /// Indicators in the set.
    pub(super) indicators: u64,
    /// The set's version.
    pub(super) version: [u8; 16],
    pub(super) sections: u32,
    pub(super) spare: u32,
    /// XXH3-128 of the header, zeros here, and of the table of sections.
    pub(super) checksum: [u8; 16],
}

/// A section, as the table has it.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Section {
    /// `group/part`, zeros behind it.
    pub(super) name: [u8; 24],
    /// 1: who does not know it must not use the file.
    pub(super) needed: u16,
    /// What its items are aligned to.
    pub(super) align: u16,
    /// Bytes of one item.
    pub(super) item_bytes: u32,
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// Its bytes.
    pub(super) bytes: u64,
    /// XXH3-128 of its bytes.
    pub(super) checksum: [u8; 16],
}

const _: () = assert!(size_of::<Header>() == 72 && size_of::<Section>() == 64);

impl Header {
    /// Returns the checksum that it should have with a table of sections.
    pub(super) fn checksum_with(&self, sections: &[Section]) -> [u8; 16] {
        let mut hash = Xxh3::new();
        hash.update(Self { checksum: [0; 16], ..*self }.as_bytes());
        hash.update(sections.as_bytes());
        hash.digest128().to_le_bytes()
    }
}

impl Section {
    /// Returns its name.
    pub(super) fn name(&self) -> String {
        String::from_utf8_lossy(&self.name).trim_end_matches('\0').to_owned()
    }

    /// Returns a name as the table has it; what is too long for it is cut.
    pub(super) fn name_of([group, part]: [&str; 2]) -> [u8; 24] {
        let mut name = [0; 24];
        let bytes = group.bytes().chain(*b"/").chain(part.bytes());
        name.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        name
    }
}

/// Returns the checksum of a section's bytes.
pub(super) fn checksum(bytes: &[u8]) -> [u8; 16] {
    xxh3_128(bytes).to_le_bytes()
}
