//! Verifying a compiled set: every byte is what was written, every look-up finds what is there, and
//! the contents are those that the version stands for.

use rayon::iter::IntoParallelRefIterator;
use rayon::iter::ParallelIterator;

use crate::control::intel::compile::version;
use crate::control::intel::compiled::CompiledError;
use crate::control::intel::compiled::layout::Header;
use crate::control::intel::compiled::layout::Section;
use crate::control::intel::compiled::layout::checksum;
use crate::control::intel::compiled::open::Opened;
use crate::control::intel::compiled::open::head;
use crate::model::bytes::narrow;

impl Opened {
    /// Reads the whole file and checks it. It is meant for the background before a set is put in
    /// force, and brings the file's pages into memory as well.
    ///
    /// # Errors
    /// What is damaged.
    pub fn verify(&self) -> Result<(), CompiledError> {
        let (_, sections) = head(&self.file)?;
        let is_damaged = |section: &&Section| {
            let bytes = self.bytes_of(section);
            bytes.is_none_or(|bytes| checksum(bytes) != section.checksum)
        };
        if let Some(section) = sections.par_iter().find_first(is_damaged) {
            return Err(damaged(section.name(), "its checksum is another"));
        }
        if !has_only_sections(&self.file, sections) {
            return Err(CompiledError::Between);
        }
        let catalog = &self.set.catalog;
        let ids = narrow(catalog.len());
        let wrong = |(table, what): (&'static str, _)| damaged(table.to_owned(), what);
        self.set.index.verify(ids).map_err(wrong)?;
        catalog.verify().map_err(|what| damaged("catalog".to_owned(), what))?;
        // the version speaks of types, too, and a later build may know more of them
        let all_known = catalog.types.iter().all(|(ty, _)| ty.is_some());
        let version = || version::of(catalog, &self.set.policy, &self.set.asked);
        if all_known && version() != self.set.version {
            return Err(CompiledError::Version);
        }
        Ok(())
    }

    fn bytes_of(&self, section: &Section) -> Option<&[u8]> {
        let end = section.offset.checked_add(section.bytes)?;
        self.file.get(usize::try_from(section.offset).ok()?..usize::try_from(end).ok()?)
    }
}

/// Tells whether nothing lies between the sections, which follow each other.
fn has_only_sections(file: &[u8], sections: &[Section]) -> bool {
    let head = size_of::<Header>() + size_of_val(sections);
    let starts = sections.iter().map(|section| section.offset as usize);
    let starts = starts.chain(std::iter::once(file.len()));
    let ends = sections.iter().map(|section| (section.offset + section.bytes) as usize);
    let mut gaps = std::iter::once(head).chain(ends).zip(starts);
    gaps.all(|(from, to)| file.get(from..to).is_some_and(|gap| gap.iter().all(|byte| *byte == 0)))
}

fn damaged(section: String, what: &'static str) -> CompiledError {
    CompiledError::Section { section, what }
}
