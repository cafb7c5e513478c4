//! What a program's settings have to be able to do.

use serde_json::Value;

use crate::settings::reading::{Reading, Section};

/// All settings of a program in one file.
pub trait Configuration: Sized {
    /// Reads everything from the top of the file; errors are left with the section.
    fn read(section: &mut Section<'_>) -> Self;

    /// Warns of what is valid but probably not intended. Only called for a valid configuration.
    fn look_for_doubts(&self, reading: &Reading<'_>);

    /// A file in which every list and every mapping of free names has one item, so that all keys
    /// are read.
    fn of_every_list() -> Value {
        Value::Null
    }
}
