//! Messages of an upstream, parsed as far as the gateway needs; results remain the upstream's
//! bytes.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use perijove_core::Slot;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::subscription_kind::SubscriptionKind;
use crate::jsonrpc::RpcError;

/// In bytes.
const LONGEST_WORD: usize = 32;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FeedMessage {
    Notification(FeedNotification),
    /// The answer to a request of the gateway.
    Answer {
        id: u64,
        result: Result<Bytes, RpcError>,
    },
}

/// A notification as an upstream sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FeedNotification {
    /// The upstream's number of the subscription.
    pub(super) subscription: u64,
    /// By the method that it names; `None`: that of no notification, or none at all.
    pub(super) kind: Option<SubscriptionKind>,
    pub(super) result: Bytes,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<Params<'a>>,
    id: Option<u64>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<RawError<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    result: &'a RawValue,
    subscription: u64,
}

#[derive(Deserialize)]
struct RawError<'a> {
    code: i64,
    message: String,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// `None`: nothing that was requested.
pub(super) fn read(text: &Bytes) -> Option<FeedMessage> {
    let raw: Raw<'_> = serde_json::from_slice(text).ok()?;
    if let Some(params) = raw.params {
        let kind = raw.method.as_deref().and_then(SubscriptionKind::notified);
        return Some(FeedMessage::Notification(FeedNotification {
            subscription: params.subscription,
            kind,
            result: text.slice_ref(params.result.get().as_bytes()),
        }));
    }
    let id = raw.id?;
    let result = match (raw.result, raw.error) {
        (_, Some(error)) => Err(RpcError {
            code: error.code,
            message: error.message.into(),
            data: error
                .data
                .map(|data| Bytes::copy_from_slice(data.get().as_bytes())),
        }),
        (Some(result), None) => Ok(text.slice_ref(result.get().as_bytes())),
        (None, None) => return None,
    };
    Some(FeedMessage::Answer { id, result })
}

/// Whether a message is not JSON. A single word, with which some upstreams keep their sockets
/// alive, does not count.
pub(super) fn is_garbage(text: &[u8]) -> bool {
    let is_word = text.len() <= LONGEST_WORD && text.iter().all(u8::is_ascii_alphanumeric);
    !is_word && serde_json::from_slice::<IgnoredAny>(text).is_err()
}

#[derive(Deserialize)]
struct Context {
    slot: u64,
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    context: Context,
    #[serde(borrow)]
    value: &'a RawValue,
}

/// The slot and the value of a result with a context.
pub(super) fn with_context(result: &Bytes) -> Option<(Slot, Bytes)> {
    let wrapped: Wrapped<'_> = serde_json::from_slice(result).ok()?;
    let value = result.slice_ref(wrapped.value.get().as_bytes());
    Some((Slot(wrapped.context.slot), value))
}

/// The slot of a notification; `None` if it names none.
pub(super) fn slot(result: &[u8]) -> Option<Slot> {
    #[derive(Deserialize)]
    struct Named {
        context: Option<Context>,
        slot: Option<u64>,
    }
    if result.first().is_some_and(u8::is_ascii_digit) {
        return serde_json::from_slice(result).ok().map(Slot);
    }
    let Named { context, slot } = serde_json::from_slice(result).ok()?;
    context.map(|context| context.slot).or(slot).map(Slot)
}

/// The content of a `slotSubscribe` notification.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct SlotInfo {
    pub(super) slot: u64,
    pub(super) parent: u64,
    pub(super) root: u64,
}

impl SlotInfo {
    pub(super) fn read(result: &Bytes) -> Option<Self> {
        serde_json::from_slice(result).ok()
    }

    pub(super) fn to_bytes(self) -> Bytes {
        let Self { slot, parent, root } = self;
        // In the order of a node's members.
        Bytes::from(format!(
            r#"{{"slot":{slot},"parent":{parent},"root":{root}}}"#
        ))
    }
}

/// A notification up to the id of its subscription, with which it ends.
pub(super) fn head(kind: SubscriptionKind, result: &[u8], missed: Option<Slot>) -> Bytes {
    let method = kind.notification().as_bytes();
    let mut head = BytesMut::with_capacity(result.len() + method.len() + 96);
    head.put_slice(br#"{"jsonrpc":"2.0","method":""#);
    head.put_slice(method);
    head.put_slice(br#"","params":{"#);
    if let Some(Slot(after)) = missed {
        head.put_slice(br#""gap":{"afterSlot":"#);
        head.put_slice(itoa::Buffer::new().format(after).as_bytes());
        head.put_slice(b"},");
    }
    head.put_slice(br#""result":"#);
    head.put_slice(result);
    head.put_slice(br#","subscription":"#);
    head.freeze()
}

/// A request to an upstream.
pub(super) fn request(id: u64, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_passed_on_of_any_message_is_json(
            parts in proptest::collection::vec(prop::sample::select(PARTS.to_vec()), 0..12),
            noise in proptest::collection::vec(any::<u8>(), 0..3),
        ) {
            let text = Bytes::from([parts.concat().as_bytes(), &noise].concat());
            let _checked = is_garbage(&text);
            for whole in [text.clone(), wrapped(&text)] {
                if let Some(FeedMessage::Notification(FeedNotification { result, .. })) = read(&whole) {
                    let (_, _, _) = (slot(&result), with_context(&result), SlotInfo::read(&result));
                    let told = [&head(SubscriptionKind::Logs, &result, None)[..], b"7}}"].concat();
                    prop_assert!(serde_json::from_slice::<IgnoredAny>(&told).is_ok());
                }
            }
        }
    }

    /// What messages are made of.
    const PARTS: [&str; 14] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"context\":",
        "\"slot\":",
        "\"value\":",
        "\"id\":",
        "\"error\":",
        "7",
        "-1e400",
        "null",
        "\"\\u0000\"",
    ];

    /// A notification with this for its result.
    fn wrapped(result: &[u8]) -> Bytes {
        let (head, tail) = (
            &b"{\"params\":{\"subscription\":1,\"result\":"[..],
            &b"}}"[..],
        );
        Bytes::from([head, result, tail].concat())
    }

    #[test]
    fn notifications_and_answers_are_told_apart() {
        let notification = Bytes::from_static(
            br#"{"jsonrpc":"2.0","method":"slotNotification","params":{"result":{"slot":5,"parent":4,"root":1},"subscription":3}}"#,
        );
        let Some(FeedMessage::Notification(FeedNotification {
            subscription: 3,
            kind: Some(SubscriptionKind::Slot),
            result,
        })) = read(&notification)
        else {
            panic!()
        };
        let info = SlotInfo::read(&result).unwrap();
        assert_eq!((info.slot, info.parent, info.root), (5, 4, 1));
        assert_eq!(info.to_bytes(), result);

        let answer = Bytes::from_static(br#"{"jsonrpc":"2.0","result":42,"id":7}"#);
        assert_eq!(
            read(&answer),
            Some(FeedMessage::Answer {
                id: 7,
                result: Ok(Bytes::from_static(b"42"))
            })
        );
        let refusal = Bytes::from_static(
            br#"{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":8}"#,
        );
        let Some(FeedMessage::Answer {
            id: 8,
            result: Err(error),
        }) = read(&refusal)
        else {
            panic!()
        };
        assert_eq!(error.code, -32601);
        for garbage in ["", "{", "[]", "7", r#"{"id":"x"}"#, r#"{"params":{}}"#] {
            assert_eq!(
                read(&Bytes::from_static(garbage.as_bytes())),
                None,
                "{garbage}"
            );
        }
    }

    #[test]
    fn a_notification_is_of_the_kind_that_its_method_says() {
        let kind = |method: &str| {
            let text = format!(r#"{{{method}"params":{{"result":5,"subscription":3}}}}"#);
            match read(&Bytes::from(text)) {
                Some(FeedMessage::Notification(notification)) => notification.kind,
                other => panic!("{method}: {other:?}"),
            }
        };
        for known in SubscriptionKind::ALL {
            let method = format!(r#""method":"{}","#, known.notification());
            assert_eq!(kind(&method), Some(known));
        }
        let spelled = r#""method":"\u0072ootNotification","#;
        assert_eq!(kind(spelled), Some(SubscriptionKind::Root));
        for none in ["", r#""method":"x","#, r#""method":"slotSubscribe","#] {
            assert_eq!(kind(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_no_json_is_garbage_but_for_a_word() {
        for garbage in ["<<", "{\"jsonrpc\":", "two words", "\u{fffd}", "{}{}"] {
            assert!(is_garbage(garbage.as_bytes()), "{garbage}");
        }
        assert!(is_garbage(&[0xff, 0x00, 0xfe]));
        for other in ["", "ping", "{\"status\":\"ok\"}", "[]", "7"] {
            assert!(!is_garbage(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn numbers_of_64_bits_pass() {
        let result = Bytes::from_static(
            br#"{"context":{"slot":9},"value":{"rentEpoch":18446744073709551615}}"#,
        );
        let (slot, value) = with_context(&result).unwrap();
        assert_eq!(slot, Slot(9));
        assert_eq!(value, &br#"{"rentEpoch":18446744073709551615}"#[..]);
    }

    #[test]
    fn a_gap_stands_beside_the_result() {
        let text = [
            &head(SubscriptionKind::Logs, b"{}", Some(Slot(5)))[..],
            b"8}}",
        ]
        .concat();
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(value["params"]["gap"]["afterSlot"], 5);
        assert_eq!(value["params"]["subscription"], 8);
        assert_eq!(value["method"], "logsNotification");
    }
}
