//! Replaces the network in tests: what each upstream answers and after how long, with a record of
//! when it was asked. Each test has its own thread, and so its own script.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};

use crate::jsonrpc::RequestId;
use crate::solana::{FaultKind, ReplyHints};
use crate::upstream::{
    AttemptLimits, ReplyBody, ReplyTo, TransportFault, UpstreamReply, WireRequest,
};
use crate::upstream::{ChosenPeer, Peer};

/// What an upstream does with every call.
#[derive(Clone, Debug)]
pub(in crate::dispatch) enum Act {
    /// A status and a body, after so many milliseconds.
    Say(u64, u16, String),
    /// The connection breaks after the call was sent.
    Break(u64),
    /// The connection breaks after the call was sent, and then nobody listens.
    Vanish,
    /// Nothing: it runs into its time limit.
    Hang,
    /// The call waits for a connection, for ever.
    Queue,
    /// So many calls wait for a connection that this one may not.
    Full,
    /// The call waits for a connection, which is free so many milliseconds after the scene began, and
    /// is then answered with this body.
    Crowded(u64, String),
}

#[derive(Default)]
struct Script {
    acts: BTreeMap<String, Act>,
    asked: Vec<(String, Instant)>,
    begun: Option<Instant>,
}

thread_local! {
    static SCRIPT: RefCell<Script> = RefCell::default();
}

/// Resets all upstreams to their positions at the start of a scene.
pub(in crate::dispatch) fn begin() {
    SCRIPT.with_borrow_mut(|script| script.begun = None);
}

/// From now on `upstream` does this.
pub(in crate::dispatch) fn set(upstream: &str, act: Act) {
    SCRIPT.with_borrow_mut(|script| script.acts.insert(upstream.to_owned(), act));
}

/// Who was asked since the last look, and how many milliseconds after `start`.
pub(in crate::dispatch) fn asked(start: Instant) -> Vec<(String, u128)> {
    let asked = SCRIPT.with_borrow_mut(|script| std::mem::take(&mut script.asked));
    let after = |at: Instant| at.saturating_duration_since(start).as_millis();
    asked
        .into_iter()
        .map(|(who, at)| (who, after(at)))
        .collect()
}

/// In a body, the slot that upstreams have reached by now.
const SLOT: &str = "$slot";

/// Where upstreams stand when the first of them is asked.
const FIRST_SLOT: u128 = 1000;

fn body(text: &str) -> Bytes {
    let now = Instant::now();
    let begun = SCRIPT.with_borrow_mut(|script| *script.begun.get_or_insert(now));
    let slot = FIRST_SLOT + now.saturating_duration_since(begun).as_millis() / 400;
    Bytes::from(text.replace(SLOT, &slot.to_string()))
}

fn reply<R: WireRequest>(status: u16, text: &str, begun: Instant) -> ReplyTo<R> {
    UpstreamReply {
        status,
        hints: ReplyHints::default(),
        fields: R::fields_of(&http::HeaderMap::new()),
        body: ReplyBody::Complete(R::read(body(text), RequestId::from(1))),
        latency: begun.elapsed(),
    }
}

/// Answers to calls have the id 1.
pub(super) async fn play<R: WireRequest, C: ChosenPeer>(
    candidate: &C,
    limits: &AttemptLimits,
) -> Result<ReplyTo<R>, TransportFault> {
    let id = candidate.peer().name().to_string();
    let (act, begun) = (
        SCRIPT.with_borrow(|script| script.acts.get(&id).cloned()),
        Instant::now(),
    );
    SCRIPT.with_borrow_mut(|script| script.asked.push((id, begun)));
    if !matches!(act, Some(Act::Queue | Act::Full | Act::Crowded(..))) {
        candidate.write();
    }
    match act {
        Some(Act::Say(after, status, body)) => {
            sleep(Duration::from_millis(after)).await;
            Ok(reply::<R>(status, &body, begun))
        }
        Some(Act::Break(after)) => {
            sleep(Duration::from_millis(after)).await;
            Err(TransportFault {
                kind: FaultKind::Reset,
                bytes_sent: true,
            })
        }
        Some(Act::Vanish) => Err(TransportFault {
            kind: FaultKind::ConnectRefused,
            bytes_sent: true,
        }),
        Some(Act::Hang) => {
            let until = limits.deadline.min(begun + limits.first_byte);
            sleep_until(until).await;
            Err(TransportFault {
                kind: FaultKind::FirstByteTimeout,
                bytes_sent: true,
            })
        }
        Some(Act::Crowded(free, body)) => {
            let first = SCRIPT.with_borrow_mut(|script| *script.begun.get_or_insert(begun));
            let free = first + Duration::from_millis(free);
            if free > limits.queue {
                sleep_until(limits.queue).await;
                return Err(TransportFault {
                    kind: FaultKind::Saturated,
                    bytes_sent: false,
                });
            }
            sleep_until(free).await;
            candidate.write();
            Ok(reply::<R>(200, &body, begun))
        }
        Some(Act::Full) => Err(TransportFault {
            kind: FaultKind::Saturated,
            bytes_sent: false,
        }),
        Some(Act::Queue) | None => std::future::pending().await,
    }
}
