//! Opening a compiled set: header, sizes and table of sections are checked, bodies are not read.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use memmap2::Mmap;
use zerocopy::FromBytes;

use crate::control::intel::catalog::Catalog;
use crate::control::intel::compile::seed;
use crate::control::intel::compiled::ASKED;
use crate::control::intel::compiled::CompiledError;
use crate::control::intel::compiled::OPTED;
use crate::control::intel::compiled::TAKEN;
use crate::control::intel::compiled::layout::ALIGN;
use crate::control::intel::compiled::layout::BYTE_ORDER;
use crate::control::intel::compiled::layout::FORMAT_VERSION;
use crate::control::intel::compiled::layout::Header;
use crate::control::intel::compiled::layout::MAGIC;
use crate::control::intel::compiled::layout::Section;
use crate::control::intel::set::IndicatorSet;
use crate::control::memory;
use crate::model::indicator::IndicatorType;
use crate::model::policy::Policy;
use crate::pipeline::matcher::Index;
use crate::pipeline::matcher::table::Item;
use crate::pipeline::matcher::table::Name;
use crate::pipeline::matcher::table::Shelf;
use crate::pipeline::matcher::table::Table;

/// A compiled set that is mapped.
#[derive(Debug)]
pub struct Opened {
    /// The set.
    pub set: Arc<IndicatorSet>,
    /// The file.
    pub path: PathBuf,
    /// Bytes of the file.
    pub bytes: u64,
    /// Sections that later builds know.
    pub unknown: Vec<String>,
    pub(super) file: Arc<Mmap>,
    /// Device and inode.
    id: Option<(u64, u64)>,
}

impl Opened {
    /// Tells whether the file at its path is still the one that is mapped, and not another that
    /// took its place.
    pub fn is_still_there(&self) -> bool {
        self.id.is_some() && id(&self.path) == self.id
    }
}

fn id(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|about| (about.dev(), about.ino()))
}

/// Opens a compiled set.
///
/// # Errors
/// Why it cannot be used.
pub fn open(path: &Path) -> Result<Opened, CompiledError> {
    open_mapped(path, memory::map(path)?)
}

/// Opens a compiled set in memory.
///
/// # Errors
/// Why it cannot be used.
#[cfg(any(test, fuzzing))]
pub fn open_bytes(bytes: &[u8]) -> Result<Opened, CompiledError> {
    let mut map = memmap2::MmapMut::map_anon(bytes.len().max(1))?;
    map.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    open_mapped(Path::new("(memory)"), Arc::new(map.make_read_only()?))
}

fn open_mapped(path: &Path, file: Arc<Mmap>) -> Result<Opened, CompiledError> {
    let (header, sections) = head(&file)?;
    let version = header.version.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut reader = Reader {
        file: &file,
        sections,
        known: vec![false; sections.len()],
        wrong: None,
        seed: seed(&version),
    };
    let index = Index::open(&mut reader).map_err(CompiledError::Index)?;
    let mut taken = [0_u32; 2];
    reader.value(TAKEN, &mut taken);
    let mut opted = Table::<u8>::default();
    reader.table(OPTED, &mut opted);
    let mut asked = Table::<u8>::default();
    reader.table(ASKED, &mut asked);
    let catalog = Catalog::open(&mut reader);
    let (known, wrong) = (reader.known, reader.wrong);
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    let mut unknown = Vec::new();
    for (section, known) in sections.iter().zip(known) {
        match (known, section.needed) {
            (true, _) => {}
            (false, 0) => unknown.push(section.name()),
            (false, _) => return Err(CompiledError::Needed(section.name())),
        }
    }
    if catalog.len() as u64 != header.indicators {
        return Err(CompiledError::Header);
    }
    let opted = String::from_utf8_lossy(&opted);
    let is_opted = |ty: &IndicatorType| {
        let is_there = catalog.by_type().any(|(known, _)| known == *ty);
        ty.is_opt_in() && (is_there || opted.lines().any(|name| name == ty.name()))
    };
    let opt_in = IndicatorType::ALL.iter().copied().filter(is_opted).collect();
    let [allow_special, tls_url_hosts] = taken.map(|taken| taken != 0);
    // what the others refuse was left out when it was compiled
    let policy = Policy { allow_special, tls_url_hosts, opt_in, ..Policy::wide() };
    let asked = String::from_utf8_lossy(&asked).into_owned();
    let set = Arc::new(IndicatorSet { index: Arc::new(index), catalog, version, policy, asked });
    let bytes = header.file_bytes;
    Ok(Opened { set, path: path.to_owned(), bytes, unknown, file, id: id(path) })
}

/// Reads header and table of sections, and checks that they are what was written.
pub(super) fn head(file: &[u8]) -> Result<(&Header, &[Section]), CompiledError> {
    if !file.starts_with(&MAGIC) {
        return Err(CompiledError::NotOne);
    }
    let have = file.len() as u64;
    let (header, rest) = Header::ref_from_prefix(file)
        .map_err(|_| CompiledError::Cut { have, want: size_of::<Header>() as u64 })?;
    match (header.format, header.byte_order) {
        (FORMAT_VERSION, BYTE_ORDER) => {}
        (_, order) if order == BYTE_ORDER.swap_bytes() => return Err(CompiledError::ByteOrder),
        (FORMAT_VERSION, _) => return Err(CompiledError::Header),
        (format, _) => return Err(CompiledError::OtherFormat(format)),
    }
    if header.file_bytes != have {
        return Err(CompiledError::Cut { have, want: header.file_bytes });
    }
    let sections = <[Section]>::ref_from_prefix_with_elems(rest, header.sections as usize);
    let (sections, _) = sections.map_err(|_| CompiledError::Header)?;
    if header.checksum != header.checksum_with(sections) {
        return Err(CompiledError::Header);
    }
    for section in sections {
        let end = section.offset.checked_add(section.bytes);
        if section.offset % ALIGN != 0 || end.is_none_or(|end| end > have) {
            let (section, what) = (section.name(), "it lies outside of the file");
            return Err(CompiledError::Section { section, what });
        }
    }
    Ok((header, sections))
}

/// Takes tables out of a mapped file.
struct Reader<'f> {
    file: &'f Arc<Mmap>,
    sections: &'f [Section],
    known: Vec<bool>,
    wrong: Option<CompiledError>,
    seed: u64,
}

impl Shelf for Reader<'_> {
    fn table<T: Item>(&mut self, name: Name, table: &mut Table<T>) {
        *table = Table::default();
        let wanted = Section::name_of(name);
        let mut named = self.sections.iter().zip(&mut self.known);
        let Some((section, known)) = named.find(|(section, _)| section.name == wanted) else {
            return;
        };
        *known = true;
        let place = section.offset as usize..(section.offset + section.bytes) as usize;
        let is_same = section.item_bytes as usize == size_of::<T>();
        match Table::mapped(self.file, place).filter(|_| is_same) {
            Some(mapped) => *table = mapped,
            None => {
                let (section, what) = (section.name(), "its items are of another size");
                self.wrong.get_or_insert(CompiledError::Section { section, what });
            }
        }
    }

    fn seed(&self) -> u64 {
        self.seed
    }
}
