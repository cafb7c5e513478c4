//! Accounts and programs as they are now, read through the pipeline.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use perijove_core::Slot;
use serde_json::{Map, Value, json};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use super::ask::{AskFault, RepairAnswer, ask};
use super::base58::Base58Form;
use super::pace::Pace;
use super::set_aside::SetAside;
use super::values;
use crate::pubsub::collected::CollectedAnswer;
use crate::pubsub::delivered::{NotificationVerdict, UnknownAccount};
use crate::pubsub::feed_message::with_context;
use crate::pubsub::hub::Hub;
use crate::pubsub::params::SubscriptionSpec;
use crate::pubsub::subscription_kind::SubscriptionKind;
use crate::pubsub::topic::{NotificationOutcome, Topic};

#[cfg(test)]
mod tests;

/// Time limit for reading, and for clients to accept what has changed.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long all wait for those that read slowly before these get it at a pace of their own.
const TOGETHER: Duration = Duration::from_millis(100);
/// How long a client that has joined may take to accept the current values.
const REPLAY_PATIENCE: Duration = Duration::from_mins(1);
/// Pauses between attempts grow between these: a scan is dear, and may fail again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Most accounts of a program that are delivered although nothing is known of what they were
/// before: few of them will have changed.
pub(super) const MOST_UNKNOWN: usize = 256;

/// Accounts converted at once: a program may have very many, and others want the thread.
const CONVERTED: usize = 256;

/// An account, or the accounts of a program.
pub(super) struct FreshRead {
    pub(super) slot: Slot,
    pub(super) values: Vec<Bytes>,
    /// The upstream that gave it.
    pub(super) by: Option<String>,
    held: Arc<CollectedAnswer>,
}

impl FreshRead {
    /// Reads account or program at the topic's commitment, again and again until it succeeds, can
    /// never succeed, or nobody is subscribed any more. Its time begins with its first turn.
    pub(super) async fn of(hub: &Arc<Hub>, topic: &Topic, at_least: Option<Slot>) -> Option<Self> {
        let mut end = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let turn = hub.repair_turns.next(topic.kind()).await;
            if topic.has_ended() || topic.is_idle() {
                return None;
            }
            let end = *end.get_or_insert_with(|| Instant::now() + PATIENCE);
            let read = once(hub, topic, at_least, end).await;
            drop(turn);
            match read {
                Ok(read) => return Some(read),
                Err(AskFault::Final) => return None,
                Err(AskFault::NotNow) if Instant::now() + pause >= end => return None,
                Err(AskFault::NotNow) => sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Tells all subscribers what has changed, as it seems; those that read slowly go on being told
    /// afterwards. Returns how many notifications that were, and whether nothing can be missing: of
    /// too many accounts nothing may be known.
    pub(super) async fn tell(&self, hub: &Arc<Hub>, topic: &Arc<Topic>) -> (usize, bool) {
        let read = hub.next_id();
        let mut aside = SetAside::of(read);
        let mut pace = Pace::until(Instant::now() + TOGETHER);
        let mut told = 0;
        let mut count = |heard: &NotificationOutcome| {
            hub.metrics.told(topic.kind(), heard.told);
            told += heard.told;
        };
        let mut unknown = Vec::new();
        for value in &self.values {
            aside.add(topic, pace.room_for_all(topic, read, value.len()).await);
            let heard = match topic.kind() {
                SubscriptionKind::Account => topic.read(read, self.slot, value),
                _ => topic.read_of_program(read, self.slot, value, UnknownAccount::Ask),
            };
            match heard.verdict {
                NotificationVerdict::Unknown => unknown.push(value),
                NotificationVerdict::Tell => {
                    pace.told(value.len());
                    aside.told(value);
                }
                _ => {}
            }
            count(&heard);
        }
        let are_few = unknown.len() <= MOST_UNKNOWN;
        let treatment = if are_few {
            UnknownAccount::Tell
        } else {
            UnknownAccount::Remember
        };
        for value in unknown {
            aside.add(topic, pace.room_for_all(topic, read, value.len()).await);
            let heard = topic.read_of_program(read, self.slot, value, treatment);
            if heard.verdict == NotificationVerdict::Tell {
                pace.told(value.len());
                aside.told(value);
            }
            count(&heard);
        }
        aside.catch_up(topic, (self.slot, &self.held), PATIENCE);
        (told, are_few)
    }

    /// Tells one client that has just joined what there is.
    pub(super) async fn tell_one(&self, topic: &Topic, id: u64) {
        let mut pace = Pace::until(Instant::now() + REPLAY_PATIENCE);
        for value in &self.values {
            pace.room(topic, id, value.len()).await;
            if !topic.tell_one(id, self.slot, value) {
                return;
            }
            pace.told(value.len());
        }
    }
}

async fn once(
    hub: &Arc<Hub>,
    topic: &Topic,
    at_least: Option<Slot>,
    end: Instant,
) -> Result<FreshRead, AskFault> {
    let spec = &topic.spec;
    let (method, params, base58) = request(spec, at_least).ok_or(AskFault::Final)?;
    let RepairAnswer { result, by, held } = ask(hub, method, &params, end).await?;
    let (slot, value) = with_context(&result).ok_or(AskFault::NotNow)?;
    if at_least.is_some_and(|at_least| slot < at_least) {
        return Err(AskFault::NotNow);
    }
    let read = match spec.kind {
        SubscriptionKind::Account => vec![value],
        _ => values::list(&value).ok_or(AskFault::NotNow)?,
    };
    let mut values = read;
    if let Some(form) = base58 {
        for values in values.chunks_mut(CONVERTED) {
            for value in values {
                *value = form.told(value).ok_or(AskFault::NotNow)?;
            }
            yield_now().await;
        }
    }
    if spec.kind == SubscriptionKind::Account {
        // An account that never existed has not changed.
        let never_was = topic.newest().is_none();
        values.retain(|value| !never_was || &**value != b"null");
        for value in &mut values {
            *value = values::account(value, &spec.config());
        }
    }
    Ok(FreshRead {
        slot,
        values,
        by,
        held: Arc::new(held),
    })
}

/// The call that reads what a subscription is of, and how what it gives is told if not as it comes.
fn request(
    spec: &SubscriptionSpec,
    at_least: Option<Slot>,
) -> Option<(&'static str, Value, Option<Base58Form>)> {
    let mut config: Map<String, Value> = spec.config();
    let base58 = Base58Form::of(&config);
    if base58.is_some() {
        config.insert("encoding".to_owned(), "base64".into());
    }
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
    Some((method, json!([spec.subject, config]), base58))
}
