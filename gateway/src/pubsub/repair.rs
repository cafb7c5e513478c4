//! Recovers what was missed while a subscription moved from one upstream to another, by asking for
//! it through the pipeline as a client would.
//!
//! An account or a program is read afresh, at a slot that the new upstream has reached at least:
//! later changes it reports itself. A signature is looked up. Slots and roots are filled in from
//! the list of blocks. Events that leave no state behind (logs, blocks) cannot be recovered; the
//! next notification says so.

mod ask;
pub(super) mod outcome;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use perijove_core::{Commitment, Slot};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use self::ask::{RepairAnswer, ask};
use self::outcome::RepairOutcome;
use super::feed_message::{SlotInfo, with_context};
use super::hub::Hub;
use super::subscription_kind::SubscriptionKind;
use super::topic::{MissedRange, Topic};
use crate::upstream::Upstream;

#[cfg(test)]
mod tests;

/// Time limit for recovering what was missed.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same while notifications are held for it. Slots are useless when they are old.
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
            self.topic.has_gap();
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
        let _turn = self.hub.metrics.feed.repairs.acquire().await;
        let (end, at_least) = (Instant::now() + PATIENCE, self.reached());
        let mut told = 0;
        // A read from another upstream may be older than what was delivered.
        let mut settled = false;
        loop {
            if self.topic.has_ended() || self.topic.is_idle() {
                return RepairOutcome::Nothing;
            }
            match read(&self.hub, &self.topic, Some(at_least)).await {
                Some((slot, values, by)) => {
                    told += tell(&self.hub, &self.topic, slot, &values);
                    let same = by.as_deref() == Some(self.upstream.id());
                    if same || settled {
                        break;
                    }
                    settled = true;
                    sleep(Duration::from_secs(1)).await;
                }
                None if Instant::now() >= end => return RepairOutcome::Failed,
                None => sleep(AGAIN).await,
            }
        }
        if told > 0 {
            RepairOutcome::Told
        } else {
            RepairOutcome::Nothing
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
            let Some(RepairAnswer { result, .. }) =
                ask(&self.hub, "getSignatureStatuses", &params).await
            else {
                continue;
            };
            answered = true;
            if let Some(last) = values::signature(&result, self.topic.spec.commitment) {
                let heard = self.topic.found(&last);
                let (metrics, kind) = (&self.hub.metrics, self.topic.kind());
                metrics.told(kind, heard.told);
                metrics.unsubscribed(kind, heard.left);
                if heard.ended {
                    self.hub.end(&self.topic);
                    return RepairOutcome::Told;
                }
                return RepairOutcome::Nothing;
            }
        }
        if answered {
            RepairOutcome::Nothing
        } else {
            RepairOutcome::Failed
        }
    }
}

/// Reads account or program at the topic's commitment: the slot, the values, and the upstream that
/// answered.
async fn read(
    hub: &Arc<Hub>,
    topic: &Topic,
    at_least: Option<Slot>,
) -> Option<(Slot, Vec<Bytes>, Option<String>)> {
    let spec = &topic.spec;
    let mut config: Map<String, Value> = spec.config();
    if let Some(Slot(slot)) = at_least.filter(|slot| slot.0 > 0) {
        config.insert("minContextSlot".to_owned(), slot.into());
    }
    let method = match spec.kind {
        SubscriptionKind::Account => "getAccountInfo",
        SubscriptionKind::Program => {
            config.insert("withContext".to_owned(), true.into());
            "getProgramAccounts"
        }
        _ => return None,
    };
    let params = json!([spec.subject, config]);
    let RepairAnswer { result, by } = ask(hub, method, &params).await?;
    let (slot, value) = with_context(&result)?;
    if at_least.is_some_and(|at_least| slot < at_least) {
        return None;
    }
    let values = match spec.kind {
        // An account that never existed has not changed.
        SubscriptionKind::Account if &*value == b"null" && topic.newest().is_none() => Vec::new(),
        SubscriptionKind::Account => vec![values::account(&value, &spec.config())],
        _ => values::list(&value)?,
    };
    Some((slot, values, by))
}

fn tell(hub: &Hub, topic: &Topic, slot: Slot, values: &[Bytes]) -> usize {
    let mut told = 0;
    for value in values {
        let heard = match topic.kind() {
            SubscriptionKind::Account => topic.read(slot, value),
            _ => topic.read_of_program(slot, value),
        };
        hub.metrics.told(topic.kind(), heard.told);
        told += heard.told;
    }
    told
}

/// A client that has joined an existing subscription gets the current value.
pub(super) async fn replay(hub: Arc<Hub>, topic: Arc<Topic>, id: u64) {
    if !matches!(
        topic.kind(),
        SubscriptionKind::Account | SubscriptionKind::Program
    ) || topic.replay(id)
    {
        return;
    }
    let at_least = topic.newest();
    if let Some((slot, values, _)) = read(&hub, &topic, at_least).await {
        for value in values {
            topic.tell_one(id, slot, &value);
        }
    }
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
    loop {
        if until - after > MOST_SLOTS {
            return None;
        }
        let known = blocks(hub, topic.kind(), after, until).await;
        let late = Instant::now() >= end;
        match known {
            // The last one has a block: an upstream that does not have it is behind.
            Some(slots) if slots.last() == Some(&until) => return Some(slots),
            // Which of the newest are skipped is unknown; most are not.
            Some(mut slots) if late && !roots => {
                let known = slots.last().map_or(after, |last| *last);
                slots.extend(known + 1..=until);
                return Some(slots);
            }
            _ if late => return None,
            _ => sleep(AGAIN).await,
        }
    }
}

/// The slots with a block after one and until another, as far as known.
async fn blocks(
    hub: &Arc<Hub>,
    kind: SubscriptionKind,
    after: u64,
    until: u64,
) -> Option<Vec<u64>> {
    let commitment = match kind {
        SubscriptionKind::Root => Commitment::Finalized,
        _ => Commitment::Confirmed,
    };
    let params = json!([after + 1, until, { "commitment": commitment }]);
    let RepairAnswer { result, .. } = ask(hub, "getBlocks", &params).await?;
    let mut slots: Vec<u64> = serde_json::from_slice(&result).ok()?;
    slots.retain(|slot| (after + 1..=until).contains(slot));
    Some(slots)
}
