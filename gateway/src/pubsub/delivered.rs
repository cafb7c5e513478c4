//! What was delivered to the subscribers of one subscription, and whether a notification adds to
//! it. Pure: no clock, no I/O. This is what makes a move to another upstream invisible: a repeated
//! notification is delivered once, and one older than what was delivered is dropped.

mod content;
mod program_accounts;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use perijove_core::Slot;

use self::content::{hash, meaning, same};
use self::program_accounts::ProgramAccounts;
pub(super) use self::program_accounts::{UnknownAccount, ValueMark};
pub(super) use self::verdict::NotificationVerdict;
use super::feed_message::{SlotInfo, with_context};
use super::subscription_kind::SubscriptionKind;

/// Slots, signatures and the like that are remembered, to recognise repetitions.
const REMEMBERED: usize = 4096;

/// What was delivered of one kind of subscription.
#[derive(Debug)]
pub(super) enum DeliveredHistory {
    Account {
        slot: Slot,
        value: Option<Bytes>,
    },
    Program(ProgramAccounts),
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

impl DeliveredHistory {
    pub(super) fn of(kind: SubscriptionKind) -> Self {
        match kind {
            SubscriptionKind::Account => Self::Account {
                slot: Slot(0),
                value: None,
            },
            SubscriptionKind::Program => Self::Program(ProgramAccounts::default()),
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
            Self::Account { slot, .. } | Self::Events { newest: slot, .. } => {
                Some(*slot).filter(|slot| slot.0 > 0)
            }
            Self::Program(accounts) => accounts.newest(),
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
            Self::Program(accounts) => {
                let Some((slot, value)) = with_context(result) else {
                    return NotificationVerdict::Garbled;
                };
                accounts.hear(slot, &value)
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
        account: &[u8],
        unknown: UnknownAccount,
    ) -> NotificationVerdict {
        match self {
            Self::Program(accounts) => accounts.read(at, account, unknown),
            _ => NotificationVerdict::Garbled,
        }
    }

    /// Whether a client that joined before this was read knows something as new, because it was
    /// notified meanwhile.
    pub(super) fn is_ahead_of(&self, at: Slot, read: &[u8]) -> bool {
        match self {
            // Nothing was known when the client joined, or it would not have been read.
            Self::Account { value, .. } => value.is_some(),
            Self::Program(accounts) => accounts.is_ahead_of(at, read),
            _ => false,
        }
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
