//! Converts answers of a node to the shape of its notifications. Pure.

use bytes::Bytes;
use perijove_core::{Commitment, Slot};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::pubsub::feed_message::{SlotInfo, with_context};
use crate::pubsub::topic::wrapped;

/// What zstd makes of nothing, in base64.
const EMPTY_FRAME: &str = "KLUv/QBYAQAA";

/// A deleted account is notified as an empty one, as by a node.
pub(super) fn account(value: &Bytes, config: &Map<String, Value>) -> Bytes {
    if &**value != b"null" {
        return value.clone();
    }
    let data = match config.get("encoding").and_then(Value::as_str) {
        None | Some("binary") => json!(""),
        Some("jsonParsed") => json!(["", "base64"]),
        Some(encoding @ "base64+zstd") => json!([EMPTY_FRAME, encoding]),
        Some(encoding) => json!(["", encoding]),
    };
    let empty = json!({
        "lamports": 0,
        "data": data,
        "owner": "11111111111111111111111111111111",
        "executable": false,
        "rentEpoch": 0,
        "space": 0,
    });
    Bytes::from(empty.to_string())
}

/// The members of a list.
pub(super) fn list(value: &Bytes) -> Option<Vec<Bytes>> {
    let members: Vec<&RawValue> = serde_json::from_slice(value).ok()?;
    let slice = |member: &&RawValue| value.slice_ref(member.get().as_bytes());
    Some(members.iter().map(slice).collect())
}

/// The last notification of the signature at this place in the call, if its status shows that the
/// commitment is reached.
pub(super) fn signature(result: &Bytes, place: usize, commitment: Commitment) -> Option<Bytes> {
    let (context, value) = with_context(result)?;
    let statuses: Vec<Value> = serde_json::from_slice(&value).ok()?;
    let status = statuses.get(place)?;
    let reached = reached(status)?;
    if reached < commitment {
        return None;
    }
    let slot = status.get("slot").and_then(Value::as_u64);
    let error = status.get("err").cloned().unwrap_or(Value::Null);
    let value = json!({ "err": error }).to_string();
    Some(wrapped(slot.map_or(context, Slot), value.as_bytes()))
}

/// The commitment of a status. Nodes of old name none: what has no confirmations left to count is
/// finalized, and what has more than one is confirmed.
fn reached(status: &Value) -> Option<Commitment> {
    match status.get("confirmationStatus") {
        None | Some(Value::Null) => match status.as_object()?.get("confirmations")? {
            Value::Null => Some(Commitment::Finalized),
            count if count.as_u64() > Some(1) => Some(Commitment::Confirmed),
            _ => Some(Commitment::Processed),
        },
        Some(named) => named.as_str().and_then(Commitment::parse),
    }
}

/// Notifications of the slots before `next`, each the child of the one before it. Their roots
/// follow at the same distance as that of `next`.
pub(super) fn slots(after: u64, slots: &[u64], next: SlotInfo) -> Vec<Bytes> {
    let distance = next.slot.saturating_sub(next.root);
    let mut parent = after;
    slots
        .iter()
        .map(|slot| {
            let info = SlotInfo {
                slot: *slot,
                parent,
                root: slot.saturating_sub(distance),
            };
            parent = *slot;
            info.to_bytes()
        })
        .collect()
}
