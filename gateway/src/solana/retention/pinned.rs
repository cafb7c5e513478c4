//! Answers about one slot: which slot that is.

use perijove_core::Slot;

use super::duration::{EPOCH_SLOTS, Retention};
use crate::jsonrpc::{Cursor, Token};

/// How long the history of a slot that is not final yet may be reused: it changes only if the slot
/// is forked away, which has not happened to a confirmed one so far.
pub(super) const HISTORY_SLOTS: u32 = 4;

/// `getTransaction`: the result's `slot`. Nodes put it before or after the transaction's logs, so
/// kilobytes may have to be skipped.
///
/// A `blockTime` of `null` is one that the node has not stored yet: not to be kept permanently.
pub(super) fn transaction(result: &[u8]) -> Retention {
    match slot_and_time(result) {
        Some((slot, true)) => Retention::Pinned {
            about: slot,
            slots: HISTORY_SLOTS,
        },
        Some((_, false)) => Retention::Head { slots: 1 },
        None => Retention::Never,
    }
}

/// A transaction's slot, and whether its time is known.
fn slot_and_time(result: &[u8]) -> Option<(Slot, bool)> {
    let mut cursor = Cursor::new(result);
    if !cursor.eat(b'{') {
        return None;
    }
    let (mut slot, mut timed) = (None, None);
    let mut first = true;
    while let Some(key) = cursor.key(first).ok()? {
        first = false;
        match key {
            b"slot" => slot = Some(Slot(cursor.unsigned()?)),
            b"blockTime" => timed = Some(cursor.value()? != b"null"),
            _ => {
                cursor.value()?;
            }
        }
        if let (Some(slot), Some(timed)) = (slot, timed) {
            return Some((slot, timed));
        }
    }
    Some((slot?, true))
}

/// `getBlock`: the slot in the call. The block itself, megabytes of it, does not contain its slot.
pub(super) fn block(slot: Option<Slot>, token: Token) -> Retention {
    match (slot, token) {
        (Some(about), Token::Object) => Retention::Pinned {
            about,
            slots: HISTORY_SLOTS,
        },
        _ => Retention::Never,
    }
}

/// `getBlockTime`: the slot in the call, which may be of any fork while it is not final.
pub(super) fn block_time(slot: Option<Slot>, token: Token) -> Retention {
    match (slot, token) {
        (Some(about), Token::Number) => Retention::Rooted { about, slots: 1 },
        _ => Retention::Never,
    }
}

/// `getInflationReward` for a given epoch: paid when the last of its rewards is. `None` while one
/// is missing: the payments take some slots.
pub(super) fn rewards(params: Option<&[u8]>, result: &[u8]) -> Option<Retention> {
    parameter(params?, 1)?.member(b"epoch")?.unsigned()?;
    let mut cursor = Cursor::new(result);
    if !cursor.eat(b'[') {
        return None;
    }
    let mut last = None;
    while cursor.item(last.is_none()).ok()? {
        let reward = cursor.value()?;
        let slot = Cursor::new(reward).member(b"effectiveSlot")?.unsigned()?;
        last = last.max(Some(Slot(slot)));
    }
    Some(Retention::Pinned {
        about: last?,
        slots: 1,
    })
}

/// `getLeaderSchedule`: of the epoch of the slot in the call, or of the current epoch.
pub(super) fn leaders(params: Option<&[u8]>, token: Token) -> Retention {
    let slot = params
        .and_then(|params| parameter(params, 0))
        .and_then(|mut cursor| cursor.unsigned());
    if token != Token::Object {
        return Retention::Never;
    }
    match slot {
        Some(slot) => Retention::Pinned {
            about: Slot(slot),
            slots: EPOCH_SLOTS,
        },
        None => Retention::Epoch { slots: EPOCH_SLOTS },
    }
}

/// Before a parameter, if there are so many.
fn parameter(params: &[u8], position: usize) -> Option<Cursor<'_>> {
    let mut cursor = Cursor::new(params);
    if !cursor.eat(b'[') {
        return None;
    }
    for before in 0..position {
        if !cursor.item(before == 0).ok()? {
            return None;
        }
        cursor.value()?;
    }
    cursor.item(position == 0).ok()?.then_some(cursor)
}
