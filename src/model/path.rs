//! Paths of files, as people write them.

use std::path::Path;

/// Returns the folder that a name is in: of a bare name the one where the program runs.
pub fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_in_a_folder() {
        for (path, folder) in [("a", "."), ("a/b", "a"), ("/b", "/"), ("/", "."), ("", ".")] {
            assert_eq!(folder_of(Path::new(path)), Path::new(folder), "{path}");
        }
    }
}
