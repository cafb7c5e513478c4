//! A message that waits for a client.

use std::sync::Arc;

use bytes::Bytes;

use super::notification_head::NotificationHead;
use super::shown_slot::ShownSlot;

/// Cost of a message besides its own bytes.
const OVERHEAD: usize = 64;

/// One message.
#[derive(Clone, Debug)]
pub(super) enum OutboxMessage {
    /// The answer to a call.
    Answer(Bytes),
    /// A notification, whose subscribers share the head, and each has an id of its own appended.
    Notification {
        head: Arc<NotificationHead>,
        id: u64,
    },
}

impl OutboxMessage {
    pub(super) fn cost(&self) -> usize {
        self.length() + OVERHEAD
    }

    /// Of its text, but for what is appended to a head.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Answer(text) => text.len(),
            Self::Notification { head, .. } => head.text().len(),
        }
    }

    /// Its part in the total of all clients: the shared bytes of a notification are counted there
    /// already.
    pub(super) fn own(&self) -> usize {
        match self {
            Self::Answer(_) => self.cost(),
            Self::Notification { .. } => OVERHEAD,
        }
    }

    /// Of its whole text.
    pub(super) fn whole_length(&self) -> usize {
        match self {
            Self::Answer(text) => text.len(),
            Self::Notification { head, id } => head.length_with_id(*id),
        }
    }

    pub(super) fn is_notification(&self) -> bool {
        matches!(self, Self::Notification { .. })
    }

    /// What it shows its client of the chain; answers to calls are noted by who gives them.
    pub(super) fn shows(&self) -> Option<ShownSlot> {
        match self {
            Self::Answer(_) => None,
            Self::Notification { head, .. } => head.shows(),
        }
    }

    /// The whole text.
    pub(super) fn into_text(self) -> Bytes {
        match self {
            Self::Answer(text) => text,
            Self::Notification { head, id } => head.with_id(id),
        }
    }
}
