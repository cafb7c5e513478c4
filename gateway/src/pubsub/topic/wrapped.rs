//! Values as notifications carry them.

use bytes::Bytes;
use perijove_core::Slot;

/// A value in the form of a notification.
pub(in crate::pubsub) fn wrapped(slot: Slot, value: &[u8]) -> Bytes {
    let mut digits = itoa::Buffer::new();
    let slot = digits.format(slot.0).as_bytes();
    Bytes::from(
        [
            br#"{"context":{"slot":"#,
            slot,
            br#"},"value":"#,
            value,
            b"}",
        ]
        .concat(),
    )
}
