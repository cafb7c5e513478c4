//! Reads results of probes.

/// A number that is no less than zero.
pub(super) fn unsigned(result: &[u8]) -> Option<u64> {
    std::str::from_utf8(result).ok()?.trim().parse().ok()
}

/// A JSON string without escapes, as hashes are.
pub(super) fn text(result: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(result).ok()?.trim();
    let text = text.strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains(['"', '\\'])).then_some(text)
}
