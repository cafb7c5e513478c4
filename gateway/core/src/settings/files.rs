//! The files a configuration was read from, and whether any of them has changed.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// Files with a fingerprint of what was in each, or of why it could not be read. Equal exactly when
/// they are the same files with the same contents; times and other attributes do not count.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Files(BTreeMap<PathBuf, u64>);

impl Files {
    /// Looks at these files.
    pub fn look_at(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        let mut files = Self::default();
        for path in paths {
            let path = path.into();
            let contents = super::read_text(&path);
            files.note(path, &contents);
        }
        files
    }

    /// Looks at the same files again.
    #[must_use]
    pub fn look_again(&self) -> Self {
        Self::look_at(self.paths())
    }

    /// Records what was read of a file.
    pub(super) fn note(&mut self, path: PathBuf, contents: &io::Result<String>) {
        let mut hasher = DefaultHasher::new();
        contents.as_ref().map_err(io::Error::kind).hash(&mut hasher);
        self.0.insert(path, hasher.finish());
    }

    /// The fingerprint of one of the files.
    pub(super) fn fingerprint(&self, path: &Path) -> Option<u64> {
        self.0.get(path).copied()
    }

    /// Adds the records of other files; for the same ones, those of `newer` count.
    pub fn extend(&mut self, newer: Self) {
        self.0.extend(newer.0);
    }

    /// Where they are.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }
}

/// Without the fingerprints, which depend on secrets.
impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn only_what_is_in_them_counts() {
        let folder = TempDir::new().unwrap();
        let (file, missing) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&file, "one").unwrap();
        let before = Files::look_at([&file, &missing]);
        fs::write(&file, "one").unwrap();
        fs::write(folder.path().join("log"), "a line").unwrap();
        assert_eq!(before.look_again(), before);
        fs::write(&file, "two").unwrap();
        let changed = before.look_again();
        assert_ne!(changed, before);
        fs::write(&missing, "").unwrap();
        assert_ne!(changed.look_again(), changed, "a file that is there now");
        fs::remove_file(&file).unwrap();
        assert_ne!(before.look_again(), before, "a file that is gone");
        assert!(!format!("{before:?}").contains(&before.0[&file].to_string()));
    }
}
