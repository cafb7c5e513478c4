//! Recovers what was missed while a subscription moved from one upstream to another, by asking for
//! it through the pipeline as a client would.
//!
//! An account or a program is read afresh, at a slot that the new upstream has reached at least:
//! later changes it reports itself. A signature is looked up. Slots and roots are filled in from
//! the list of blocks. Events that leave no state behind (logs, blocks) cannot be recovered; the
//! next notification says so.

mod ask;
mod base58;
mod fresh_read;
pub(super) mod outcome;
mod pace;
mod set_aside;
pub(super) mod statuses;
pub(super) mod turns;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use perijove_core::{Commitment, Slot};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use self::ask::{AskFault, RepairAnswer, ask};
use self::fresh_read::{FreshRead, PATIENCE};
use self::outcome::RepairOutcome;
use super::feed_message::SlotInfo;
use super::hub::Hub;
use super::subscription_kind::SubscriptionKind;
use super::topic::{MissedRange, Topic};
use crate::upstream::Upstream;

#[cfg(test)]
mod tests;

/// Time limit for recovering what was missed while notifications are held for it. Slots are useless when they are old.
const SHORT: Duration = Duration::from_millis(1500);
const SHORT_FOR_ROOTS: Duration = Duration::from_secs(3);
/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(200);
/// When a signature is looked up: the upstream that answers may be behind the one that notified.
const LOOKS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];
/// Most slots that are filled in.
const MOST_SLOTS: u64 = 2000;

/// A topic that has moved.
pub(super) struct Repair {
    pub(super) hub: Arc<Hub>,
    pub(super) topic: Arc<Topic>,
    /// The upstream that serves it now.
    pub(super) upstream: Arc<Upstream>,
    /// The newest slot that its socket has reported.
    pub(super) slot: Arc<AtomicU64>,
    /// The newest slot that was delivered when it moved: something after it may be missing.
    pub(super) after: Slot,
}

impl Repair {
    pub(super) async fn run(self) {
        let outcome = match self.topic.kind() {
            SubscriptionKind::Account | SubscriptionKind::Program => self.read().await,
            SubscriptionKind::Signature => self.look_up().await,
            // Requested when the first notification shows what was missed.
            SubscriptionKind::Slot | SubscriptionKind::Root => return,
            SubscriptionKind::Logs
            | SubscriptionKind::Block
            | SubscriptionKind::Vote
            | SubscriptionKind::SlotsUpdates => RepairOutcome::Impossible,
        };
        if outcome == RepairOutcome::Failed {
            self.topic.has_gap(self.after);
        }
        self.hub.metrics.feed.repaired(self.topic.kind(), outcome);
    }

    /// The slot from which on the new upstream reports everything.
    fn reached(&self) -> Slot {
        let commitment = self.topic.spec.commitment;
        let tracked = self.upstream.state().slot(commitment);
        let told = match commitment {
            Commitment::Processed => Slot(self.slot.load(Ordering::Acquire)),
            _ => Slot(0),
        };
        let newest = self.topic.newest().unwrap_or(Slot(0));
        tracked.unwrap_or(Slot(0)).max(told).max(newest)
    }

    async fn read(&self) -> RepairOutcome {
        let (at_least, mut told) = (Some(self.reached()), 0);
        // A read from another upstream may be older than what was delivered.
        let mut settled = false;
        loop {
            let Some(read) = FreshRead::of(&self.hub, &self.topic, at_least).await else {
                break if self.topic.has_ended() || self.topic.is_idle() {
                    RepairOutcome::Nothing
                } else {
                    RepairOutcome::Failed
                };
            };
            let (heard, is_whole) = read.tell(&self.hub, &self.topic).await;
            told += heard;
            if !is_whole {
                break RepairOutcome::Failed;
            }
            if settled || read.by.as_deref() == Some(self.upstream.id()) {
                break if told > 0 {
                    RepairOutcome::Told
                } else {
                    RepairOutcome::Nothing
                };
            }
            drop(read);
            settled = true;
            sleep(Duration::from_secs(1)).await;
        }
    }

    async fn look_up(&self) -> RepairOutcome {
        let Some(signature) = self.topic.spec.subject.as_deref() else {
            return RepairOutcome::Impossible;
        };
        let mut answered = false;
        for pause in LOOKS {
            sleep(pause).await;
            if self.topic.has_ended() || self.topic.is_idle() {
                return RepairOutcome::Nothing;
            }
            let params = json!([[signature], { "searchTransactionHistory": true }]);
            let end = Instant::now() + PATIENCE;
            let result = match ask(&self.hub, "getSignatureStatuses", &params, end).await {
                Ok(RepairAnswer { result, .. }) => result,
                Err(AskFault::NotNow) => continue,
                Err(AskFault::Final) => break,
            };
            answered = true;
            if let Some(last) = values::signature(&result, 0, self.topic.spec.commitment) {
                return if statuses::tell(&self.hub, &self.topic, &last) {
                    RepairOutcome::Told
                } else {
                    RepairOutcome::Nothing
                };
            }
        }
        if answered {
            RepairOutcome::Nothing
        } else {
            RepairOutcome::Failed
        }
    }
}

/// A client that has joined an existing subscription gets the current value.
pub(super) async fn replay(hub: Arc<Hub>, topic: Arc<Topic>, id: u64) {
    if !matches!(
        topic.kind(),
        SubscriptionKind::Account | SubscriptionKind::Program
    ) {
        return;
    }
    if !topic.replay(id) {
        let at_least = topic.newest();
        if let Some(read) = FreshRead::of(&hub, &topic, at_least).await {
            read.tell_one(&topic, id).await;
        }
    }
    topic.ends_replay(id);
}

/// Finds out which slots or roots there were between two that were reported.
pub(super) async fn fill(hub: Arc<Hub>, topic: Arc<Topic>, missing: MissedRange) {
    let mut next = Some(missing);
    while let Some(missing) = next {
        let missed = missed(&hub, &topic, &missing).await;
        let outcome = match &missed {
            None => RepairOutcome::Failed,
            Some(_) => RepairOutcome::Told,
        };
        let missed = missed.map(|slots| match topic.kind() {
            SubscriptionKind::Root => {
                let roots = slots.iter();
                roots.map(|slot| Bytes::from(slot.to_string())).collect()
            }
            _ => match SlotInfo::read(&missing.next) {
                Some(info) => values::slots(missing.after, &slots, info),
                None => Vec::new(),
            },
        });
        let (told, more) = topic.fill(&missing.next, missed);
        hub.metrics.told(topic.kind(), told);
        hub.metrics.feed.repaired(topic.kind(), outcome);
        next = more;
    }
}

async fn missed(hub: &Arc<Hub>, topic: &Topic, missing: &MissedRange) -> Option<Vec<u64>> {
    let (after, until) = (missing.after, missing.until);
    let roots = topic.kind() == SubscriptionKind::Root;
    let end = Instant::now() + if roots { SHORT_FOR_ROOTS } else { SHORT };
    if until - after > MOST_SLOTS {
        return None;
    }
    let mut known = None;
    loop {
        match blocks(hub, topic.kind(), (after, until), end).await {
            // The last one has a block: an upstream that does not have it is behind.
            Some(slots) if slots.last() == Some(&until) => return Some(slots),
            Some(slots) => known = Some(slots),
            None => {}
        }
        if Instant::now() >= end {
            break;
        }
        sleep_until(end.min(Instant::now() + AGAIN)).await;
    }
    // Which of the newest are skipped is unknown; most are not.
    let mut slots = known.filter(|_| !roots)?;
    let newest = slots.last().map_or(after, |last| *last);
    slots.extend(newest + 1..=until);
    Some(slots)
}

/// The slots with a block after one and until another, as far as known.
async fn blocks(
    hub: &Arc<Hub>,
    kind: SubscriptionKind,
    (after, until): (u64, u64),
    end: Instant,
) -> Option<Vec<u64>> {
    let commitment = match kind {
        SubscriptionKind::Root => Commitment::Finalized,
        _ => Commitment::Confirmed,
    };
    let params = json!([after + 1, until, { "commitment": commitment }]);
    let answer = ask(hub, "getBlocks", &params, end).await;
    let RepairAnswer { result, .. } = answer.ok()?;
    let mut slots: Vec<u64> = serde_json::from_slice(&result).ok()?;
    slots.retain(|slot| (after + 1..=until).contains(slot));
    Some(slots)
}
