//! Times as 32 bits of milliseconds, which wrap around after seven weeks.

/// The milliseconds between two readings of a clock that wraps around.
pub(super) fn elapsed(from: u32, to: u32) -> u32 {
    let elapsed = to.wrapping_sub(from);
    // Another thread may have read it slightly "later".
    if elapsed > u32::MAX / 2 { 0 } else { elapsed }
}
