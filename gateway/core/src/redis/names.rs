//! What keys are called.

/// The beginning of every key. The number changes when old and new programs can no longer share
/// keys.
pub const PREFIX: &str = "pj:v1:";

/// The key of an answer to a call, by the call's hash. The gateway writes and reads it.
pub fn answer(hash: [u8; 16]) -> String {
    format!("{PREFIX}answer:{:032x}", u128::from_be_bytes(hash))
}
