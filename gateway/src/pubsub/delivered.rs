//! What was delivered to the subscribers of one subscription, and whether a notification adds to
//! it. Pure: no clock, no I/O. This is what makes a move to another upstream invisible: a repeated
//! notification is delivered once, and one older than what was delivered is dropped.

mod content;
mod last_told;
mod program_accounts;
mod recent_hashes;
#[cfg(test)]
mod tests;
mod verdict;

use bytes::Bytes;
use perijove_core::Slot;

use self::content::same;
use self::last_told::LastTold;
pub(super) use self::last_told::is_ahead;
use self::program_accounts::ProgramAccounts;
pub(super) use self::program_accounts::{UnknownAccount, ValueMark};
use self::recent_hashes::{RecentHashes, mark};
pub(super) use self::verdict::NotificationVerdict;
use super::feed_message::{SlotInfo, with_context};
use super::subscription_kind::SubscriptionKind;

/// What was delivered of one kind of subscription.
#[derive(Debug)]
pub(super) enum DeliveredHistory {
    Account {
        last: LastTold,
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
        newest: Option<LastTold>,
        moved: bool,
    },
    /// Events without a state.
    Events {
        kind: SubscriptionKind,
        newest: Slot,
        told: RecentHashes,
    },
}

impl DeliveredHistory {
    pub(super) fn of(kind: SubscriptionKind) -> Self {
        match kind {
            SubscriptionKind::Account => Self::Account {
                last: LastTold::default(),
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
            Self::Roots { newest, moved } => {
                *moved = true;
                if let Some(last) = newest {
                    last.moves();
                }
            }
            Self::Account { last, .. } => last.moves(),
            Self::Program(accounts) => accounts.moves(),
            _ => {}
        }
    }

    /// The newest slot that was delivered; `None` before the first.
    pub(super) fn newest(&self) -> Option<Slot> {
        match self {
            Self::Account {
                last: LastTold { slot, .. },
                ..
            }
            | Self::Events { newest: slot, .. } => Some(*slot).filter(|slot| slot.0 > 0),
            Self::Program(accounts) => accounts.newest(),
            Self::Signature { .. } => None,
            Self::Slots { newest, .. } => newest.map(|info| Slot(info.slot)),
            Self::Roots { newest, .. } => newest.map(|last| last.slot),
        }
    }

    /// Whether this was the last notification there is.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Signature { ended: true, .. })
    }

    /// A notification. If it is to be delivered, it counts as delivered from here on.
    pub(super) fn hear(&mut self, result: &Bytes) -> NotificationVerdict {
        self.hear_within(result, None)
    }

    /// The same from an upstream, while the cluster has reached this slot at the commitment of the
    /// subscription; `None`: nobody knows. One with a slot far beyond it hides nothing that its
    /// socket tells later.
    pub(super) fn hear_within(
        &mut self,
        result: &Bytes,
        reach: Option<Slot>,
    ) -> NotificationVerdict {
        match self {
            Self::Account { last, value } => {
                let Some((told_at, told)) = with_context(result) else {
                    return NotificationVerdict::Garbled;
                };
                if told_at < last.standing(reach) {
                    return NotificationVerdict::Outdated;
                }
                if told_at == last.slot && value.as_ref().is_some_and(|value| same(value, &told)) {
                    return NotificationVerdict::Repeated;
                }
                last.tell(told_at, reach);
                *value = Some(told);
                NotificationVerdict::Tell
            }
            Self::Program(accounts) => {
                let Some((slot, value)) = with_context(result) else {
                    return NotificationVerdict::Garbled;
                };
                accounts.hear(slot, &value, reach)
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
            Self::Roots { newest, moved } => hear_root(newest, moved, (result, reach)),
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
        let Self::Account { last, value } = self else {
            return NotificationVerdict::Garbled;
        };
        if at < last.slot {
            return NotificationVerdict::Outdated;
        }
        if value.as_ref().is_some_and(|value| same(value, read)) {
            return NotificationVerdict::Repeated;
        }
        last.tell(at, None);
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

    /// The account as it was delivered last; `None` if it was not.
    pub(super) fn account(&self) -> Option<(Slot, &Bytes)> {
        match self {
            Self::Account { last, value } => Some((last.slot, value.as_ref()?)),
            _ => None,
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

fn hear_root(
    newest: &mut Option<LastTold>,
    moved: &mut bool,
    (result, reach): (&Bytes, Option<Slot>),
) -> NotificationVerdict {
    let Ok(root) = serde_json::from_slice::<u64>(result) else {
        return NotificationVerdict::Garbled;
    };
    match newest.map(|last| last.standing(reach).0) {
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
    newest.get_or_insert_default().tell(Slot(root), reach);
    NotificationVerdict::Tell
}
