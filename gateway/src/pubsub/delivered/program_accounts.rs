//! What was delivered of the accounts of a program, each in slot order.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use perijove_core::Slot;
use serde_json::Value;

use super::content::{hash, meaning};
use super::last_told::is_ahead;
use super::verdict::NotificationVerdict;
use crate::pubsub::feed_message::with_context;
use crate::pubsub::subscription_kind::SubscriptionKind;

/// Most accounts that are remembered.
pub(super) const ACCOUNTS: usize = 65_536;

/// Most accounts of which it is remembered that their slot was ahead of the cluster.
const DOUBTFUL: usize = 4096;

/// The accounts of a program that are known.
#[derive(Debug, Default)]
pub(in crate::pubsub) struct ProgramAccounts {
    newest: Option<Slot>,
    accounts: HashMap<Arc<str>, KnownAccount>,
    /// The oldest first.
    order: VecDeque<Arc<str>>,
    /// What counted before, of accounts whose slot was ahead of the cluster, until the subscription
    /// moves. At most [`DOUBTFUL`].
    doubtful: HashMap<Arc<str>, Option<Slot>>,
}

#[derive(Clone, Copy, Debug)]
struct KnownAccount {
    /// At which it was delivered. `None`: it was only read, so that no notification is too old.
    told_at: Option<Slot>,
    /// Hash of its content.
    mark: u64,
}

/// What to do with an account that is read afresh and of which nothing is known: whether it has
/// changed cannot be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pubsub) enum UnknownAccount {
    /// Nothing yet: the verdict is [`NotificationVerdict::Unknown`].
    Ask,
    /// It is delivered.
    Tell,
    /// It is remembered, if there is room, so that a later change shows.
    Remember,
}

impl ProgramAccounts {
    /// The newest slot that was delivered.
    pub(super) fn newest(&self) -> Option<Slot> {
        self.newest
    }

    /// From now on another socket is heard, which may merely be behind.
    pub(super) fn moves(&mut self) {
        self.doubtful = HashMap::new();
    }

    /// A notification, while the cluster has reached this slot. If it is to be delivered, it counts
    /// as delivered from here on.
    pub(super) fn hear(
        &mut self,
        at: Slot,
        keyed: &[u8],
        reach: Option<Slot>,
    ) -> NotificationVerdict {
        let Some((key, mark)) = read(keyed) else {
            return NotificationVerdict::Garbled;
        };
        match self.accounts.get(key.as_str()) {
            Some(known) if Some(at) < self.standing(&key, known, reach) => {
                NotificationVerdict::Outdated
            }
            Some(known) if known.mark == mark && known.told_at == Some(at) => {
                NotificationVerdict::Repeated
            }
            known => {
                let before = known.and_then(|known| self.standing(&key, known, reach));
                let verdict = self.tell(key.clone(), at, mark);
                self.doubt(&key, at, before, reach);
                verdict
            }
        }
    }

    /// The slot before which all of an account is outdated.
    fn standing(&self, key: &str, known: &KnownAccount, reach: Option<Slot>) -> Option<Slot> {
        let told_at = known.told_at?;
        let before = is_ahead(told_at, reach).then(|| self.doubtful.get(key));
        before.flatten().map_or(Some(told_at), |before| *before)
    }

    /// It was told at this slot.
    fn doubt(&mut self, key: &str, at: Slot, before: Option<Slot>, reach: Option<Slot>) {
        if !is_ahead(at, reach) {
            self.doubtful.remove(key);
        } else if self.doubtful.len() < DOUBTFUL
            && let Some((key, _)) = self.accounts.get_key_value(key)
        {
            self.doubtful.insert(Arc::clone(key), before);
        }
    }

    /// An account as read afresh. Unlike a notification this does not imply that it has changed.
    pub(super) fn read(
        &mut self,
        at: Slot,
        keyed: &[u8],
        unknown: UnknownAccount,
    ) -> NotificationVerdict {
        let Some((key, mark)) = read(keyed) else {
            return NotificationVerdict::Garbled;
        };
        match (self.accounts.get(key.as_str()), unknown) {
            (Some(known), _) if Some(at) < known.told_at => NotificationVerdict::Outdated,
            (Some(known), _) if known.mark == mark => NotificationVerdict::Repeated,
            (Some(_), _) | (None, UnknownAccount::Tell) => self.tell(key, at, mark),
            (None, UnknownAccount::Ask) => NotificationVerdict::Unknown,
            (None, UnknownAccount::Remember) => {
                // It must not displace one that was delivered.
                if self.order.len() < ACCOUNTS {
                    let told_at = None;
                    self.remember(key, KnownAccount { told_at, mark });
                }
                NotificationVerdict::Unknown
            }
        }
    }

    /// Whether all subscribers have been notified of this account at this slot or a later one, or
    /// of something else at this slot.
    pub(super) fn is_ahead_of(&self, at: Slot, keyed: &[u8]) -> bool {
        let Some((key, mark)) = read(keyed) else {
            return false;
        };
        let known = self.accounts.get(key.as_str());
        known.is_some_and(|known| {
            Some(at) < known.told_at || (Some(at) == known.told_at && known.mark != mark)
        })
    }

    fn tell(&mut self, key: String, at: Slot, mark: u64) -> NotificationVerdict {
        self.newest = self.newest.max(Some(at));
        let told_at = Some(at);
        self.remember(key, KnownAccount { told_at, mark });
        NotificationVerdict::Tell
    }

    fn remember(&mut self, key: String, account: KnownAccount) {
        if let Some(known) = self.accounts.get_mut(key.as_str()) {
            *known = account;
            return;
        }
        let key: Arc<str> = key.into();
        self.accounts.insert(Arc::clone(&key), account);
        self.order.push_back(key);
        if self.order.len() > ACCOUNTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.accounts.remove(&oldest);
        }
    }
}

/// What tells one value of one account from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pubsub) struct ValueMark {
    /// 0 if there is only one account.
    pub(in crate::pubsub) account: u64,
    pub(in crate::pubsub) content: u64,
}

impl ValueMark {
    /// That of a notification with its slot, if its kind has values.
    pub(in crate::pubsub) fn of(kind: SubscriptionKind, result: &Bytes) -> Option<(Slot, Self)> {
        let (slot, value) = with_context(result)?;
        let mark = match kind {
            SubscriptionKind::Account => Self {
                account: 0,
                content: hash(&meaning(&value)?.to_string()),
            },
            SubscriptionKind::Program => {
                let (key, content) = read(&value)?;
                let account = hash(&key);
                Self { account, content }
            }
            _ => return None,
        };
        Some((slot, mark))
    }
}

/// The key and the hash of `{"pubkey":…,"account":…}`.
fn read(keyed: &[u8]) -> Option<(String, u64)> {
    let keyed = meaning(keyed)?;
    let key = keyed.get("pubkey").and_then(Value::as_str)?;
    Some((key.to_owned(), hash(&keyed.get("account")?.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(key: usize, lamports: u64) -> Vec<u8> {
        format!(r#"{{"pubkey":"{key}","account":{{"lamports":{lamports}}}}}"#).into_bytes()
    }

    #[test]
    fn a_read_of_more_accounts_than_are_remembered_tells_nobody_and_displaces_none() {
        let mut program = ProgramAccounts::default();
        program.hear(Slot(5), &keyed(0, 1), None);
        for slot in [10, 11] {
            for key in 1..ACCOUNTS + 1000 {
                let verdict = program.read(Slot(slot), &keyed(key, 1), UnknownAccount::Remember);
                assert!(
                    [NotificationVerdict::Unknown, NotificationVerdict::Repeated]
                        .contains(&verdict),
                    "{key}: {verdict:?}"
                );
            }
        }
        assert_eq!(program.accounts.len(), ACCOUNTS);
        let repeated = program.hear(Slot(5), &keyed(0, 1), None);
        assert_eq!(repeated, NotificationVerdict::Repeated, "it is still known");
    }

    #[test]
    fn what_was_only_read_makes_no_notification_too_old() {
        let mut program = ProgramAccounts::default();
        let read = program.read(Slot(20), &keyed(1, 7), UnknownAccount::Remember);
        assert_eq!(read, NotificationVerdict::Unknown);
        // Its subscription is a little behind the read.
        assert_eq!(
            program.hear(Slot(19), &keyed(1, 7), None),
            NotificationVerdict::Tell
        );
        let again = program.read(Slot(30), &keyed(1, 7), UnknownAccount::Ask);
        assert_eq!(again, NotificationVerdict::Repeated);
        let changed = program.read(Slot(30), &keyed(1, 8), UnknownAccount::Ask);
        assert_eq!(changed, NotificationVerdict::Tell);
    }

    #[test]
    fn a_slot_ahead_of_the_cluster_hides_nothing_of_its_account_and_of_no_other() {
        let mut program = ProgramAccounts::default();
        let mut hear = |slot, key, lamports, reach| {
            program.hear(Slot(slot), &keyed(key, lamports), Some(Slot(reach)))
        };
        for (slot, key, lamports, reach, expected) in [
            (100, 1, 1, 100, NotificationVerdict::Tell),
            (100, 2, 1, 100, NotificationVerdict::Tell),
            (116, 1, 2, 100, NotificationVerdict::Tell),
            (116, 1, 2, 100, NotificationVerdict::Repeated),
            (99, 1, 3, 101, NotificationVerdict::Outdated),
            (99, 2, 3, 101, NotificationVerdict::Outdated),
            (101, 1, 4, 101, NotificationVerdict::Tell),
            (100, 1, 5, 101, NotificationVerdict::Outdated),
            // It may have been true by now.
            (120, 1, 6, 104, NotificationVerdict::Tell),
            (119, 1, 7, 118, NotificationVerdict::Outdated),
            // New ones, too.
            (130, 3, 1, 118, NotificationVerdict::Tell),
            (119, 3, 2, 119, NotificationVerdict::Tell),
        ] {
            assert_eq!(
                hear(slot, key, lamports, reach),
                expected,
                "{key} at {slot}"
            );
        }
        // What another socket tells may merely be late.
        program.hear(Slot(140), &keyed(1, 8), Some(Slot(120)));
        program.moves();
        let late = program.hear(Slot(121), &keyed(1, 9), Some(Slot(121)));
        assert_eq!(late, NotificationVerdict::Outdated);
    }
}
