//! Names the operator gives: what they may look like, and that none is given twice.

use crate::settings::reading::Section;

/// The longest id. It appears in metric labels and headers.
const LONGEST_ID: usize = 64;

/// The `id` of a list's item; `None` has been reported.
pub fn required_id(section: &mut Section<'_>) -> Option<String> {
    required_name(section, "id")
}

/// A name that is an id, or refers to one; `None` has been reported.
pub fn required_name(section: &mut Section<'_>, key: &'static str) -> Option<String> {
    let id: String = section.required(key)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(is_plain) {
        section.violation(
            key,
            format_args!("must be 1 to {LONGEST_ID} of A-Z a-z 0-9 - _ ."),
        );
        return None;
    }
    Some(id)
}

/// Reports each value that an earlier place has already; the value itself is not shown, since it
/// may be secret.
pub fn refuse_doubles<'a, T: PartialEq + 'a>(
    section: &Section<'_>,
    values: impl Iterator<Item = (&'a str, Option<&'a T>)>,
) {
    let mut seen: Vec<(&str, &T)> = Vec::new();
    for (path, value) in values {
        let Some(value) = value else { continue };
        match seen.iter().find(|(_, other)| *other == value) {
            Some((first, _)) => section.violation_at(path, format_args!("is the same as {first}")),
            None => seen.push((path, value)),
        }
    }
}
