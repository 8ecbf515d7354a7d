//! Writing a compiled set: to a temporary file beside it, synced, then renamed over the old one.

use std::fs::File;
use std::fs::Metadata;
use std::fs::Permissions;
use std::io;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rayon::iter::IntoParallelRefMutIterator;
use rayon::iter::ParallelIterator;
use zerocopy::IntoBytes;

use crate::control::intel::compile::seed;
use crate::control::intel::compiled::OPTED;
use crate::control::intel::compiled::layout::ALIGN;
use crate::control::intel::compiled::layout::BYTE_ORDER;
use crate::control::intel::compiled::layout::FORMAT_VERSION;
use crate::control::intel::compiled::layout::Header;
use crate::control::intel::compiled::layout::MAGIC;
use crate::control::intel::compiled::layout::Section;
use crate::control::intel::compiled::layout::checksum;
use crate::control::intel::compiled::shelve;
use crate::control::intel::set::IndicatorSet;
use crate::pipeline::matcher::table::Item;
use crate::pipeline::matcher::table::Name;
use crate::pipeline::matcher::table::Shelf;
use crate::pipeline::matcher::table::Table;

/// Who may read the file: other sensors' users, too, as far as the umask lets them.
const MODE: u32 = 0o644;

/// Writes a set to a file; whoever has the old one mapped keeps it. Returns its bytes.
///
/// # Errors
/// It cannot be written; the old file is as it was.
pub fn store(set: &IndicatorSet, path: &Path) -> io::Result<u64> {
    let is_plain = |about: Metadata| about.is_file();
    if path.as_os_str() == "-" || !std::fs::symlink_metadata(path).map_or(true, is_plain) {
        return Err(io::Error::other("no plain file, which another could take the place of"));
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        .prefix(".tapsieve-")
        .permissions(Permissions::from_mode(MODE))
        .tempfile_in(folder)?;
    let bytes = write(set, temporary.as_file_mut())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()?;
    Ok(bytes)
}

/// Writes a set's bytes; returns how many.
pub(super) fn write(set: &IndicatorSet, to: &mut impl Write) -> io::Result<u64> {
    let mut gathered = Gathered { parts: Vec::new(), seed: seed(set.version_text()) };
    shelve(set, &mut gathered);
    gathered.write(set, to)
}

/// The tables of a set, to be written.
pub(super) struct Gathered {
    pub(super) parts: Vec<Part>,
    pub(super) seed: u64,
}

/// A section and its bytes.
pub(super) struct Part {
    pub(super) section: Section,
    pub(super) bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
}

struct Kept<T: 'static>(Table<T>);

impl<T: Item> AsRef<[u8]> for Kept<T> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Gathered {
    /// Lays the sections out and writes all.
    pub(super) fn write(mut self, set: &IndicatorSet, to: &mut impl Write) -> io::Result<u64> {
        let head_bytes = size_of::<Header>() + self.parts.len() * size_of::<Section>();
        let mut at = (head_bytes as u64).next_multiple_of(ALIGN);
        for part in &mut self.parts {
            part.section.offset = at;
            at = (at + part.section.bytes).next_multiple_of(ALIGN);
        }
        self.parts.par_iter_mut().for_each(|part| {
            part.section.checksum = checksum((*part.bytes).as_ref());
        });
        let sections = self.parts.iter().map(|part| part.section).collect::<Vec<_>>();
        let mut header = Header {
            magic: MAGIC,
            format: FORMAT_VERSION,
            byte_order: BYTE_ORDER,
            file_bytes: at,
            indicators: set.catalog.len() as u64,
            version: version_bytes(set.version_text()),
            sections: u32::try_from(sections.len()).unwrap_or(u32::MAX),
            spare: 0,
            checksum: [0; 16],
        };
        header.checksum = header.checksum_with(&sections);
        let mut head = header.as_bytes().to_vec();
        head.extend_from_slice(sections.as_bytes());
        write_aligned(&head, to)?;
        for part in &self.parts {
            write_aligned((*part.bytes).as_ref(), to)?;
        }
        to.flush()?;
        Ok(at)
    }
}

impl Shelf for Gathered {
    fn table<T: Item>(&mut self, name: Name, table: &mut Table<T>) {
        let section = Section {
            name: Section::name_of(name),
            // which older builds tell from the indicators that are there
            needed: u16::from(name != OPTED),
            align: u16::try_from(align_of::<T>()).unwrap_or(u16::MAX),
            item_bytes: u32::try_from(size_of::<T>()).unwrap_or(u32::MAX),
            offset: 0,
            bytes: size_of_val::<[T]>(table) as u64,
            checksum: [0; 16],
        };
        self.parts.push(Part { section, bytes: Box::new(Kept(table.clone())) });
    }

    fn seed(&self) -> u64 {
        self.seed
    }
}

/// Writes bytes, and zeros up to where the next section begins.
fn write_aligned(bytes: &[u8], to: &mut impl Write) -> io::Result<()> {
    to.write_all(bytes)?;
    let rest = bytes.len().next_multiple_of(ALIGN as usize) - bytes.len();
    to.write_all([0; ALIGN as usize].get(..rest).unwrap_or_default())
}

fn version_bytes(text: &str) -> [u8; 16] {
    u128::from_str_radix(text, 16).unwrap_or_default().to_be_bytes()
}
