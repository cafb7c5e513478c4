//! Whether an answer about history is complete, and if not, where in history the call looked.
//! Whether the upstream that gave it could know is not decided here: that takes its oldest slot.
//!
//! The methods concerned, and what a node without the history answers (Agave 4.5):
//!
//! | method | nothing, or less |
//! |---|---|
//! | `getTransaction` | `null` |
//! | `getSignatureStatuses` with `searchTransactionHistory` | `null` for a signature |
//! | `getSignaturesForAddress` | a page shorter than its limit; it ends at the node's oldest slot |
//! | `getBlock`, `getBlockTime` | `null` |
//! | `getBlocks`, `getBlocksWithLimit` | a list that begins at the node's oldest slot, or `[]` |
//! | `getBlockCommitment` | a `commitment` of `null` |
//! | `getInflationReward` | `null` for every address |
//!
//! and the errors of [`AbsenceWording`]. The old names (`getConfirmedBlock` …) are read like the
//! new ones. Leader schedules and block production come from the bank and are the same everywhere.

use perijove_core::Slot;
use smallvec::SmallVec;

use super::SlotView;
use crate::jsonrpc::{Answer, Cursor, ErrorObject, Token};

mod merge;
mod params;
mod subject;

pub use subject::{History, HistoryPosition, signature_subject};

#[cfg(test)]
mod tests;

/// A list of blocks that begins at most this many slots late may do so because slots were skipped.
const SKIPPED_IN_A_ROW: u64 = 32;

/// How an answer says that something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsenceWording {
    /// By a result that is empty, or shorter than it might be.
    Empty,
    /// -32007, -32009: the slot was skipped, or is missing. The error itself leaves open which.
    Skipped,
    /// The node says that it does not have this (any more, or at this moment): -32001, -32004,
    /// -32011, -32014, -32018, -32019, -32020.
    Refused,
}

/// What an answer leaves open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryGap {
    /// How it was said.
    pub word: AbsenceWording,
    /// Where the call looked.
    pub place: HistoryPosition,
    /// How many items were returned all the same.
    pub found: usize,
    /// Skipped slots explain the late beginning of the list as well as a short ledger.
    pub slight: bool,
    /// Where the list begins, if that is so late that only a short ledger explains it.
    pub begins: Option<Slot>,
    /// The refusal may be a different one in a moment.
    pub passing: bool,
    /// Hashes of what is missing, the same for every encoding and commitment.
    pub subjects: SmallVec<[u64; 1]>,
}

impl History {
    /// What an answer leaves open; `None` if it is complete, or fails for another reason. `view`
    /// knows where epochs begin.
    pub fn lack(
        self,
        params: Option<&[u8]>,
        answer: &Answer,
        view: Option<&SlotView>,
    ) -> Option<HistoryGap> {
        let params = params.unwrap_or_default();
        match (answer.result(), answer.error()) {
            (Some(result), _) => self.of_result(params, result, view),
            (None, Some(error)) => self.of_error(params, error, view),
            (None, None) => None,
        }
    }

    /// The same for the beginning of an answer that is too large to be buffered. Only a list of
    /// blocks shows there that it is incomplete.
    pub fn lack_of_head(self, params: Option<&[u8]>, head: &[u8]) -> Option<HistoryGap> {
        if !matches!(self, Self::Blocks | Self::BlocksWithLimit) {
            return None;
        }
        let mut cursor = Cursor::new(head);
        let first = first_item(cursor.member(b"result")?)?.ok()?;
        self.late(params.unwrap_or_default(), first, usize::MAX)
    }

    fn of_result(
        self,
        params: &[u8],
        result: &[u8],
        view: Option<&SlotView>,
    ) -> Option<HistoryGap> {
        let mut cursor = Cursor::new(result);
        match self {
            Self::Transaction | Self::Block | Self::BlockTime => {
                let nothing = cursor.token() == Some(Token::Null);
                nothing.then(|| self.nothing(params, view)).flatten()
            }
            Self::Commitment => {
                let commitment = cursor.member(b"commitment")?;
                let nothing = commitment.token() == Some(Token::Null);
                nothing.then(|| self.nothing(params, view)).flatten()
            }
            Self::Statuses => statuses(params, cursor),
            Self::Page => page(params, &mut cursor),
            Self::Blocks | Self::BlocksWithLimit => match first_item(&mut cursor)? {
                Ok(first) => {
                    let found = count(&mut Cursor::new(result))?;
                    self.late(params, first, found)
                }
                Err(EmptyList) => self.nothing(params, view),
            },
            Self::Rewards => {
                let nothing = all_null(&mut cursor)?;
                nothing.then(|| self.nothing(params, view)).flatten()
            }
        }
    }

    fn of_error(
        self,
        params: &[u8],
        error: &ErrorObject,
        view: Option<&SlotView>,
    ) -> Option<HistoryGap> {
        let (word, passing) = match error.code {
            -32007 | -32009 => (AbsenceWording::Skipped, false),
            -32001 | -32011 | -32018 | -32020 => (AbsenceWording::Refused, false),
            -32004 | -32014 | -32019 => (AbsenceWording::Refused, true),
            // Agave's error if long-term storage fails for a range.
            -32602 if error.message.contains("BigTable query failed") => {
                (AbsenceWording::Refused, true)
            }
            _ => return None,
        };
        Some(HistoryGap {
            word,
            place: params::place(self, params, view),
            found: 0,
            slight: false,
            begins: None,
            passing,
            subjects: SmallVec::from_elem(params::subject(self, params), 1),
        })
    }

    fn nothing(self, params: &[u8], view: Option<&SlotView>) -> Option<HistoryGap> {
        let place = params::place(self, params, view);
        // If the epoch's slots are not known, an address without rewards is the likelier reason.
        if self == Self::Rewards && place == HistoryPosition::Anywhere {
            return None;
        }
        Some(HistoryGap {
            word: AbsenceWording::Empty,
            place,
            found: 0,
            slight: false,
            begins: None,
            passing: false,
            subjects: SmallVec::from_elem(params::subject(self, params), 1),
        })
    }

    /// A list of slots that begins later than requested.
    fn late(self, params: &[u8], first: u64, found: usize) -> Option<HistoryGap> {
        let start = params::number(params, 0)?;
        let missing = first.checked_sub(start).filter(|missing| *missing > 0)?;
        Some(HistoryGap {
            word: AbsenceWording::Empty,
            place: HistoryPosition::From(Slot(start)),
            found,
            slight: missing <= SKIPPED_IN_A_ROW,
            begins: (missing > SKIPPED_IN_A_ROW).then_some(Slot(first)),
            passing: false,
            subjects: SmallVec::from_elem(params::subject(self, params), 1),
        })
    }
}

/// The first block that a node has, from its refusal of an older one (-32001).
pub fn first_available(error: &ErrorObject) -> Option<Slot> {
    if error.code != -32001 {
        return None;
    }
    let (_, rest) = error.message.split_once("First available block: ")?;
    let end = rest
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(rest.len());
    rest.get(..end)?.parse().ok().map(Slot)
}

/// The list has no items.
struct EmptyList;

/// The first number of an array. `None` if there is no array of numbers.
fn first_item(cursor: &mut Cursor<'_>) -> Option<Result<u64, EmptyList>> {
    if !cursor.eat(b'[') {
        return None;
    }
    if cursor.item(true).ok()? {
        cursor.unsigned().map(Ok)
    } else {
        Some(Err(EmptyList))
    }
}

/// How many items an array has.
fn count(cursor: &mut Cursor<'_>) -> Option<usize> {
    if !cursor.eat(b'[') {
        return None;
    }
    let mut items = 0;
    while cursor.item(items == 0).ok()? {
        cursor.value()?;
        items += 1;
    }
    Some(items)
}

/// Whether an array has items and all of them are `null`.
fn all_null(cursor: &mut Cursor<'_>) -> Option<bool> {
    if !cursor.eat(b'[') {
        return None;
    }
    let mut first = true;
    while cursor.item(first).ok()? {
        if cursor.value()? != b"null" {
            return Some(false);
        }
        first = false;
    }
    Some(!first)
}

/// A page that is shorter than its limit.
fn page(params: &[u8], cursor: &mut Cursor<'_>) -> Option<HistoryGap> {
    let found = count(cursor)?;
    let limit = params::limit(params);
    (found < limit).then(|| HistoryGap {
        word: AbsenceWording::Empty,
        place: HistoryPosition::Anywhere,
        found,
        slight: false,
        begins: None,
        passing: false,
        subjects: SmallVec::from_elem(params::subject(History::Page, params), 1),
    })
}

/// Statuses of which some are `null`.
fn statuses(params: &[u8], mut cursor: Cursor<'_>) -> Option<HistoryGap> {
    let mut signatures = params::parameter(params, 0)?;
    let values = cursor.member(b"value")?;
    if !signatures.eat(b'[') || !values.eat(b'[') {
        return None;
    }
    let (mut found, mut subjects) = (0, SmallVec::new());
    let mut first = true;
    while signatures.item(first).ok()? && values.item(first).ok()? {
        first = false;
        let signature = signatures.string()?;
        if values.value()? == b"null" {
            subjects.push(signature_subject(signature));
        } else {
            found += 1;
        }
    }
    (!subjects.is_empty()).then_some(HistoryGap {
        word: AbsenceWording::Empty,
        place: HistoryPosition::Anywhere,
        found,
        slight: false,
        begins: None,
        passing: false,
        subjects,
    })
}
