//! What was delivered of the accounts of a program, each in slot order.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use perijove_core::Slot;
use serde_json::Value;

use super::content::{hash, meaning};
use super::verdict::NotificationVerdict;
use crate::pubsub::feed_message::with_context;
use crate::pubsub::subscription_kind::SubscriptionKind;

/// Most accounts that are remembered.
pub(super) const ACCOUNTS: usize = 65_536;

/// The accounts of a program that are known.
#[derive(Debug, Default)]
pub(in crate::pubsub) struct ProgramAccounts {
    newest: Option<Slot>,
    accounts: HashMap<Arc<str>, KnownAccount>,
    /// The oldest first.
    order: VecDeque<Arc<str>>,
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

    /// A notification. If it is to be delivered, it counts as delivered from here on.
    pub(super) fn hear(&mut self, at: Slot, keyed: &[u8]) -> NotificationVerdict {
        let Some((key, mark)) = read(keyed) else {
            return NotificationVerdict::Garbled;
        };
        match self.accounts.get(key.as_str()) {
            Some(known) if Some(at) < known.told_at => NotificationVerdict::Outdated,
            Some(known) if known.mark == mark && known.told_at == Some(at) => {
                NotificationVerdict::Repeated
            }
            _ => self.tell(key, at, mark),
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
        program.hear(Slot(5), &keyed(0, 1));
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
        let repeated = program.hear(Slot(5), &keyed(0, 1));
        assert_eq!(repeated, NotificationVerdict::Repeated, "it is still known");
    }

    #[test]
    fn what_was_only_read_makes_no_notification_too_old() {
        let mut program = ProgramAccounts::default();
        let read = program.read(Slot(20), &keyed(1, 7), UnknownAccount::Remember);
        assert_eq!(read, NotificationVerdict::Unknown);
        // Its subscription is a little behind the read.
        assert_eq!(
            program.hear(Slot(19), &keyed(1, 7)),
            NotificationVerdict::Tell
        );
        let again = program.read(Slot(30), &keyed(1, 7), UnknownAccount::Ask);
        assert_eq!(again, NotificationVerdict::Repeated);
        let changed = program.read(Slot(30), &keyed(1, 8), UnknownAccount::Ask);
        assert_eq!(changed, NotificationVerdict::Tell);
    }
}
