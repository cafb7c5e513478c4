//! What the parameters of a call say about history: where it looks, and for what.

use std::hash::{DefaultHasher, Hash, Hasher};

use perijove_core::Slot;

use super::subject::{History, HistoryPosition, signature_subject};
use crate::jsonrpc::Cursor;
use crate::solana::SlotView;
pub(super) use crate::solana::params::{number, parameter};

/// Default number of signatures on a page.
const PAGE: usize = 1_000;

/// Where a call looks.
pub(super) fn place(history: History, params: &[u8], view: Option<&SlotView>) -> HistoryPosition {
    let slot = match history {
        History::Transaction | History::Statuses | History::Page => None,
        History::Block
        | History::BlockTime
        | History::Commitment
        | History::Blocks
        | History::BlocksWithLimit => number(params, 0),
        History::Rewards => boundary(params, view),
    };
    slot.map_or(HistoryPosition::Anywhere, |slot| {
        HistoryPosition::From(Slot(slot))
    })
}

/// What is requested, as a hash.
pub(super) fn subject(history: History, params: &[u8]) -> u64 {
    if let (History::Transaction, Some(signature)) = (history, text(params, 0)) {
        return signature_subject(signature);
    }
    let mut hasher = DefaultHasher::new();
    (1_u8, history).hash(&mut hasher);
    match history {
        History::Transaction | History::Statuses | History::Rewards => params.hash(&mut hasher),
        // A client that repeatedly asks "since" names another signature each time; it is the same
        // question.
        History::Page => {
            let option = |name: &[u8]| options(params).and_then(|mut o| o.member(name)?.value());
            let since = option(b"until").is_some_and(|until| until != b"null");
            (text(params, 0), option(b"before"), limit(params), since).hash(&mut hasher);
        }
        History::Block | History::BlockTime | History::Commitment => {
            number(params, 0).hash(&mut hasher);
        }
        History::Blocks | History::BlocksWithLimit => {
            (number(params, 0), number(params, 1)).hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// Items on the page a call requests.
pub(super) fn limit(params: &[u8]) -> usize {
    let limit = options(params).and_then(|mut options| options.member(b"limit")?.unsigned());
    limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(PAGE)
}

fn text(params: &[u8], position: usize) -> Option<&[u8]> {
    parameter(params, position)?.string()
}

fn options(params: &[u8]) -> Option<Cursor<'_>> {
    parameter(params, 1)
}

/// The slot in which the rewards of the call's epoch are paid: the first one of the epoch after it.
/// Without an epoch in the call it is the last one. `None` in a cluster with epochs of different
/// lengths.
fn boundary(params: &[u8], view: Option<&SlotView>) -> Option<u64> {
    let (start, end) = (view?.epoch_start?.0, view?.epoch_end?.0);
    let length = (end.checked_sub(start)?).checked_add(1)?;
    let epoch = options(params).and_then(|mut options| options.member(b"epoch")?.unsigned());
    match epoch {
        None => Some(start),
        Some(epoch) if start.is_multiple_of(length) => epoch.checked_add(1)?.checked_mul(length),
        Some(_) => None,
    }
}
