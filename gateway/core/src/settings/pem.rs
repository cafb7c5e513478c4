//! Paths of PEM files: checks that they can be read and contain the right kind of block, not that
//! it is valid.

use std::path::{Path, PathBuf};

use crate::settings::reading::Section;

/// A required path of a PEM file; None has been reported.
pub fn required_pem(section: &mut Section<'_>, key: &'static str, block: &str) -> Option<PathBuf> {
    let file: PathBuf = section.required(key)?;
    pem_file(section, key, &file, block)
}

/// The resolved path of a PEM file, which must have at least one block of the wanted kind.
pub fn pem_file(section: &Section<'_>, key: &str, file: &Path, block: &str) -> Option<PathBuf> {
    let contents = section.contents(key, file)?;
    let file = section.resolve(file);
    if !contents.contains(&format!("{block}-----")) {
        section.violation(
            key,
            format_args!("{} has no {block} in PEM form", file.display()),
        );
    }
    Some(file)
}
