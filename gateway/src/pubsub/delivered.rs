//! What was delivered to the subscribers of one subscription, and whether a notification adds to
//! it. Pure: no clock, no I/O. This is what makes a move to another upstream invisible: a repeated
//! notification is delivered once, and one older than what was delivered is dropped.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use perijove_core::Slot;
use serde_json::Value;

use super::feed_message::{SlotInfo, with_context};
use super::subscription_kind::SubscriptionKind;

#[cfg(test)]
mod tests;

/// Slots, signatures and the like that are remembered, to recognise repetitions.
const REMEMBERED: usize = 4096;
/// Accounts of a program that are remembered.
const ACCOUNTS: usize = 65_536;

/// What to do with a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotificationVerdict {
    Tell,
    /// Delivered already.
    Repeated,
    /// A newer one was delivered.
    Outdated,
    /// Invalid.
    Garbled,
    /// Others before it may have been missed: after one slot, and until another, except skipped
    /// ones.
    Missing {
        after: u64,
        until: u64,
    },
}

/// What was delivered of one kind of subscription.
#[derive(Debug)]
pub(super) enum DeliveredHistory {
    Account {
        slot: Slot,
        value: Option<Bytes>,
    },
    Program {
        newest: Slot,
        accounts: HashMap<String, (Slot, u64)>,
        order: VecDeque<String>,
    },
    Signature {
        received: bool,
        ended: bool,
    },
    Slots {
        first: Option<u64>,
        newest: Option<SlotInfo>,
        told: RecentHashes,
        /// It has moved since the newest was delivered.
        moved: bool,
        /// What is missing before the next one cannot be recovered.
        whole: bool,
    },
    Roots {
        newest: Option<u64>,
        moved: bool,
    },
    /// Events without a state.
    Events {
        kind: SubscriptionKind,
        newest: Slot,
        told: RecentHashes,
    },
}

/// Hashes of the last few that were delivered.
#[derive(Debug, Default)]
pub(super) struct RecentHashes {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl RecentHashes {
    fn has(&self, hash: u64) -> bool {
        self.known.contains(&hash)
    }

    /// Returns whether it is new.
    fn add(&mut self, hash: u64) -> bool {
        if !self.known.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Values of two nodes are equal if they mean the same, however they are encoded.
fn meaning(value: &[u8]) -> Option<Value> {
    serde_json::from_slice(value).ok()
}

fn same(one: &[u8], other: &[u8]) -> bool {
    one == other || meaning(one) == meaning(other)
}

impl DeliveredHistory {
    pub(super) fn of(kind: SubscriptionKind) -> Self {
        match kind {
            SubscriptionKind::Account => Self::Account {
                slot: Slot(0),
                value: None,
            },
            SubscriptionKind::Program => Self::Program {
                newest: Slot(0),
                accounts: HashMap::new(),
                order: VecDeque::new(),
            },
            SubscriptionKind::Signature => Self::Signature {
                received: false,
                ended: false,
            },
            SubscriptionKind::Slot => Self::Slots {
                first: None,
                newest: None,
                told: RecentHashes::default(),
                moved: false,
                whole: false,
            },
            SubscriptionKind::Root => Self::Roots {
                newest: None,
                moved: false,
            },
            kind @ (SubscriptionKind::Logs
            | SubscriptionKind::Block
            | SubscriptionKind::Vote
            | SubscriptionKind::SlotsUpdates) => Self::Events {
                kind,
                newest: Slot(0),
                told: RecentHashes::default(),
            },
        }
    }

    /// From now on another upstream serves it.
    pub(super) fn moves(&mut self) {
        match self {
            Self::Slots { moved, whole, .. } => (*moved, *whole) = (true, false),
            Self::Roots { moved, .. } => *moved = true,
            _ => {}
        }
    }

    /// The newest slot that was delivered; `None` before the first.
    pub(super) fn newest(&self) -> Option<Slot> {
        match self {
            Self::Account { slot, .. }
            | Self::Program { newest: slot, .. }
            | Self::Events { newest: slot, .. } => Some(*slot).filter(|slot| slot.0 > 0),
            Self::Signature { .. } => None,
            Self::Slots { newest, .. } => newest.map(|info| Slot(info.slot)),
            Self::Roots { newest, .. } => newest.map(Slot),
        }
    }

    /// Whether this was the last notification there is.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Signature { ended: true, .. })
    }

    /// A notification from an upstream. If it is to be delivered, it counts as delivered from here
    /// on.
    pub(super) fn hear(&mut self, result: &Bytes) -> NotificationVerdict {
        match self {
            Self::Account { slot, value } => {
                let Some((told_at, told)) = with_context(result) else {
                    return NotificationVerdict::Garbled;
                };
                if told_at < *slot {
                    return NotificationVerdict::Outdated;
                }
                if told_at == *slot && value.as_ref().is_some_and(|value| same(value, &told)) {
                    return NotificationVerdict::Repeated;
                }
                *slot = told_at;
                *value = Some(told);
                NotificationVerdict::Tell
            }
            Self::Program { .. } => {
                let Some((slot, value)) = with_context(result) else {
                    return NotificationVerdict::Garbled;
                };
                self.hear_account(slot, &value, false)
            }
            Self::Signature { received, ended } => {
                let Some((_, value)) = with_context(result) else {
                    return NotificationVerdict::Garbled;
                };
                let first = &*value == br#""receivedSignature""#;
                if *ended || (first && *received) {
                    return NotificationVerdict::Repeated;
                }
                *(if first { received } else { ended }) = true;
                NotificationVerdict::Tell
            }
            Self::Slots {
                first,
                newest,
                told,
                moved,
                whole,
            } => {
                let Some(info) = SlotInfo::read(result) else {
                    return NotificationVerdict::Garbled;
                };
                // What has overtaken it was the first notification.
                if info.slot < *first.get_or_insert(info.slot) {
                    return NotificationVerdict::Outdated;
                }
                hear_slot(newest, told, (moved, whole), info)
            }
            Self::Roots { newest, moved } => hear_root(newest, moved, result),
            Self::Events { kind, newest, told } => {
                let Some((slot, mark)) = mark(*kind, result) else {
                    return NotificationVerdict::Garbled;
                };
                *newest = (*newest).max(slot);
                if told.add(mark) {
                    NotificationVerdict::Tell
                } else {
                    NotificationVerdict::Repeated
                }
            }
        }
    }

    /// The account as read afresh. Unlike a notification this does not imply that anything has
    /// changed.
    pub(super) fn read_account(&mut self, at: Slot, read: &Bytes) -> NotificationVerdict {
        let Self::Account { slot, value } = self else {
            return NotificationVerdict::Garbled;
        };
        if at < *slot {
            return NotificationVerdict::Outdated;
        }
        if value.as_ref().is_some_and(|value| same(value, read)) {
            return NotificationVerdict::Repeated;
        }
        *slot = at;
        *value = Some(read.clone());
        NotificationVerdict::Tell
    }

    /// An account of the program as read afresh, `{"pubkey":…,"account":…}`.
    pub(super) fn read_account_of_program(
        &mut self,
        at: Slot,
        account: &Bytes,
    ) -> NotificationVerdict {
        self.hear_account(at, account, true)
    }

    fn hear_account(&mut self, at: Slot, keyed: &[u8], read: bool) -> NotificationVerdict {
        let Self::Program {
            newest,
            accounts,
            order,
        } = self
        else {
            return NotificationVerdict::Garbled;
        };
        let Some(keyed) = meaning(keyed) else {
            return NotificationVerdict::Garbled;
        };
        let (Some(pubkey), Some(account)) = (
            keyed.get("pubkey").and_then(Value::as_str),
            keyed.get("account"),
        ) else {
            return NotificationVerdict::Garbled;
        };
        let mark = hash(&account.to_string());
        if let Some((slot, told)) = accounts.get(pubkey) {
            if at < *slot {
                return NotificationVerdict::Outdated;
            }
            if *told == mark && (read || at == *slot) {
                return NotificationVerdict::Repeated;
            }
        }
        *newest = (*newest).max(at);
        if accounts.insert(pubkey.to_owned(), (at, mark)).is_none() {
            order.push_back(pubkey.to_owned());
            if order.len() > ACCOUNTS
                && let Some(oldest) = order.pop_front()
            {
                accounts.remove(&oldest);
            }
        }
        NotificationVerdict::Tell
    }

    /// Slots in order, if nothing is missing before any of them, whichever arrived first.
    pub(super) fn in_order(&self, held: &[Bytes]) -> Option<Vec<Bytes>> {
        let Self::Slots {
            newest: Some(newest),
            ..
        } = self
        else {
            return None;
        };
        let infos = held.iter().map(|one| Some((SlotInfo::read(one)?, one)));
        let mut infos: Vec<_> = infos.collect::<Option<_>>()?;
        infos.sort_by_key(|(info, _)| info.slot);
        let mut last = newest.slot;
        for (info, _) in &infos {
            if info.slot > last && info.parent > last {
                return None;
            }
            last = last.max(info.slot);
        }
        Some(infos.into_iter().map(|(_, one)| one.clone()).collect())
    }

    /// What was missed is being delivered, or cannot be recovered: nothing is missing before what
    /// comes next.
    pub(super) fn is_complete(&mut self) {
        match self {
            Self::Slots { moved, whole, .. } => (*moved, *whole) = (false, true),
            Self::Roots { moved, .. } => *moved = false,
            _ => {}
        }
    }
}

fn hear_slot(
    newest: &mut Option<SlotInfo>,
    told: &mut RecentHashes,
    (moved, whole): (&mut bool, &mut bool),
    info: SlotInfo,
) -> NotificationVerdict {
    if told.has(info.slot) {
        return NotificationVerdict::Repeated;
    }
    match *newest {
        Some(last) if info.slot > last.slot => {
            // A node reports a slot after its parent: one was missed, or was overtaken.
            if !*whole && info.parent > last.slot {
                return NotificationVerdict::Missing {
                    after: last.slot,
                    until: info.parent,
                };
            }
            *moved = false;
            *whole = false;
        }
        // An upstream that is behind reports what another has skipped, or what was never seen here
        // because it is on another fork: it is not waited for.
        Some(_) if *moved => return NotificationVerdict::Outdated,
        _ => {}
    }
    told.add(info.slot);
    if newest.is_none_or(|last| info.slot > last.slot) {
        *newest = Some(info);
    }
    NotificationVerdict::Tell
}

fn hear_root(newest: &mut Option<u64>, moved: &mut bool, result: &Bytes) -> NotificationVerdict {
    let Ok(root) = serde_json::from_slice::<u64>(result) else {
        return NotificationVerdict::Garbled;
    };
    match *newest {
        Some(last) if root <= last => return NotificationVerdict::Repeated,
        Some(last) if *moved && root > last + 1 => {
            return NotificationVerdict::Missing {
                after: last,
                until: root,
            };
        }
        _ => {}
    }
    *moved = false;
    *newest = Some(root);
    NotificationVerdict::Tell
}

/// What distinguishes one event from another, with its slot.
fn mark(kind: SubscriptionKind, result: &Bytes) -> Option<(Slot, u64)> {
    match kind {
        SubscriptionKind::Logs => {
            let (slot, value) = with_context(result)?;
            let value = meaning(&value)?;
            Some((slot, hash(&value.get("signature")?.as_str()?)))
        }
        SubscriptionKind::Block => {
            let (slot, _) = with_context(result)?;
            Some((slot, slot.0))
        }
        SubscriptionKind::SlotsUpdates => {
            let update = meaning(result)?;
            let slot = update.get("slot")?.as_u64()?;
            Some((Slot(slot), hash(&(slot, update.get("type")?.as_str()?))))
        }
        _ => Some((Slot(0), hash(&result))),
    }
}
