//! What a notification shows of the chain: that a commitment has reached a slot, whose state its client
//! may read from now on. Pure.

use bytes::Bytes;
use perijove_core::{Commitment, Slot};

use super::feed_message::SlotInfo;
use super::subscription_kind::SubscriptionKind;
use crate::solana;

/// A slot that a commitment has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShownSlot {
    pub(super) slot: Slot,
    pub(super) commitment: Commitment,
}

impl ShownSlot {
    /// `None` where a node that has sent it may still answer from before the slot it names.
    pub(super) fn of(
        kind: SubscriptionKind,
        commitment: Commitment,
        result: &Bytes,
    ) -> Option<Self> {
        let slot = match kind {
            // The slot that a transaction was received in is not processed yet.
            SubscriptionKind::Signature if is_received(result) => return None,
            SubscriptionKind::Signature
            | SubscriptionKind::Account
            | SubscriptionKind::Program
            | SubscriptionKind::Logs
            | SubscriptionKind::Block => solana::context_slot(result)?,
            // It has begun when its parent was processed.
            SubscriptionKind::Slot => Slot(SlotInfo::read(result)?.parent),
            // A node's own root is ahead of what the cluster has finalized.
            SubscriptionKind::Root | SubscriptionKind::Vote | SubscriptionKind::SlotsUpdates => {
                return None;
            }
        };
        Some(Self { slot, commitment })
    }
}

/// Whether it says that a transaction was received.
fn is_received(result: &[u8]) -> bool {
    memchr::memmem::find(result, b"\"receivedSignature\"").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_a_node_would_not_answer_from_before() {
        let context = r#"{"context":{"apiVersion":"2.0.1","slot":7},"value":"#;
        let wrapped = |value: &str| format!("{context}{value}}}");
        let (account, failed) = (wrapped(r#"{"lamports":1}"#), wrapped(r#"{"err":null}"#));
        let received = wrapped(r#""receivedSignature""#);
        let slot = r#"{"slot":7,"parent":5,"root":1}"#;
        for (kind, result, shown) in [
            (SubscriptionKind::Account, account.as_str(), Some(7)),
            (SubscriptionKind::Program, account.as_str(), Some(7)),
            (SubscriptionKind::Logs, account.as_str(), Some(7)),
            (SubscriptionKind::Block, account.as_str(), Some(7)),
            (SubscriptionKind::Signature, failed.as_str(), Some(7)),
            (SubscriptionKind::Signature, received.as_str(), None),
            (SubscriptionKind::Slot, slot, Some(5)),
            (SubscriptionKind::Root, "7", None),
            (SubscriptionKind::SlotsUpdates, slot, None),
            (SubscriptionKind::Vote, slot, None),
            (SubscriptionKind::Account, "{}", None),
        ] {
            let result = Bytes::copy_from_slice(result.as_bytes());
            let found = ShownSlot::of(kind, Commitment::Confirmed, &result);
            let expected = shown.map(|slot| ShownSlot {
                slot: Slot(slot),
                commitment: Commitment::Confirmed,
            });
            assert_eq!(found, expected, "{kind:?} {result:?}");
        }
    }
}
