//! Whether a result has as many items as its call requested. A shorter or longer list is the answer
//! to another question, or truncated: clients match items by position.
//!
//! Lists of slots and leaders are counted by their commas, and accounts as Agave writes them are
//! skipped in two steps each; other lists are read item by item.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::Method;
use super::params::{number, parameter};
use super::shape::value_of;
use crate::jsonrpc::{Cursor, Token};

/// What Agave returns at most if the call specifies no number.
const LARGEST: u64 = 20;
const SAMPLES: u64 = 720;
/// The most slots between the ends of a range.
const RANGE: u64 = 500_000;
/// Signatures on a page, and the most that a call may ask for.
const PAGE: u64 = 1_000;

/// The required number of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    /// One for each requested item.
    Exactly(u64),
    AtMost(u64),
}

impl Length {
    const fn holds(self, items: u64) -> bool {
        match self {
            Self::Exactly(asked) => items == asked,
            Self::AtMost(most) => items <= most,
        }
    }

    /// When counting can end.
    const fn most(self) -> u64 {
        match self {
            Self::Exactly(most) | Self::AtMost(most) => most,
        }
    }
}

/// Whether the raw JSON of a whole result is as long as the raw JSON of the parameters requires. If
/// the parameters cannot be interpreted, the upstream is trusted.
pub fn is_as_long_as_asked(method: Method, params: Option<&[u8]>, result: &[u8]) -> bool {
    let params = params.unwrap_or_default();
    let Some(length) = asked(method, params) else {
        return true;
    };
    match method {
        Method::GetBlocks | Method::GetBlocksWithLimit => {
            length.holds(listed(result)) && lies_within(params, method, result)
        }
        Method::GetSlotLeaders => length.holds(listed(result)),
        Method::GetSignaturesForAddress => {
            // Keys are not found in other members: there the quotes around them are escaped.
            static SIGNATURE: LazyLock<Finder<'static>> =
                LazyLock::new(|| Finder::new(br#""signature":""#));
            let found = SIGNATURE.find_iter(result).count() as u64;
            length.holds(found) || holds(length, Cursor::new(result), false)
        }
        Method::GetMultipleAccounts => {
            value_of(result).is_some_and(|value| holds(length, value, true))
        }
        Method::SimulateTransaction => {
            let Some(mut value) = value_of(result) else {
                return false;
            };
            let Some(accounts) = value.member(b"accounts") else {
                return true;
            };
            // Old nodes return none for a failed transaction.
            accounts.token() != Some(Token::Array) || holds(length, accounts.clone(), true)
        }
        method if method.profile().wrapped => {
            value_of(result).is_some_and(|value| holds(length, value, false))
        }
        _ => holds(length, Cursor::new(result), false),
    }
}

/// What a call requests; `None` if that cannot be decided here.
fn asked(method: Method, params: &[u8]) -> Option<Length> {
    use Method as M;
    match method {
        M::GetMultipleAccounts | M::GetSignatureStatuses | M::GetInflationReward => {
            names(&parameter(params, 0)?).map(Length::Exactly)
        }
        M::SimulateTransaction => {
            let mut config = parameter(params, 1)?;
            let accounts = config.member(b"accounts")?;
            names(accounts.member(b"addresses")?).map(Length::Exactly)
        }
        M::GetSlotLeaders => number(params, 1).map(Length::Exactly),
        M::GetBlocksWithLimit => number(params, 1).map(Length::AtMost),
        M::GetBlocks => {
            let start = number(params, 0)?;
            let end = number(params, 1).unwrap_or(start.saturating_add(RANGE));
            let slots = end.checked_sub(start).map_or(0, |further| further + 1);
            Some(Length::AtMost(slots))
        }
        M::GetSignaturesForAddress => {
            let limit = parameter(params, 1)?.member(b"limit")?.unsigned()?;
            // No node returns more than the maximum, and such a page is long: it is not counted.
            (limit < PAGE).then_some(Length::AtMost(limit))
        }
        M::GetRecentPerformanceSamples => {
            Some(Length::AtMost(number(params, 0).unwrap_or(SAMPLES)))
        }
        M::GetTokenLargestAccounts | M::GetLargestAccounts => Some(Length::AtMost(LARGEST)),
        _ => None,
    }
}

/// Number of names in a list in the parameters: addresses or signatures, without commas or brackets
/// where a node accepts that.
fn names(list: &Cursor<'_>) -> Option<u64> {
    let text = list.rest().trim_ascii_start();
    let end = memchr::memchr(b']', text)?;
    text.starts_with(b"[")
        .then(|| listed(text.get(..=end).unwrap_or_default()))
}

/// How many items an array of numbers or plain strings has.
fn listed(array: &[u8]) -> u64 {
    let inside = array
        .strip_prefix(b"[")
        .and_then(|array| array.strip_suffix(b"]"));
    match inside {
        Some(inside) if inside.trim_ascii().is_empty() => 0,
        _ => memchr::memchr_iter(b',', array).count() as u64 + 1,
    }
}

/// Whether slots, which come in order, are in the requested range.
fn lies_within(params: &[u8], method: Method, result: &[u8]) -> bool {
    let (Some(start), end) = (number(params, 0), number(params, 1)) else {
        return true;
    };
    let end = end.filter(|_| method == Method::GetBlocks);
    let inside = result
        .strip_prefix(b"[")
        .and_then(|array| array.strip_suffix(b"]"));
    let inside = inside.unwrap_or_default().trim_ascii();
    if inside.is_empty() {
        return true;
    }
    let last = memchr::memrchr(b',', inside).map_or(0, |comma| comma + 1);
    let slot = |text: &[u8]| Cursor::new(text).unsigned();
    let (first, last) = (slot(inside), slot(inside.get(last..).unwrap_or_default()));
    first >= Some(start) && last.is_some() && end.is_none_or(|end| last <= Some(end))
}

/// Whether an array has the required number of items. One that cannot be read has not.
fn holds(length: Length, mut array: Cursor<'_>, accounts: bool) -> bool {
    let mut items = 0;
    if !array.eat(b'[') {
        return false;
    }
    loop {
        match array.item(items == 0) {
            Ok(true) => items += 1,
            Ok(false) => return length.holds(items),
            Err(_) => return false,
        }
        if items > length.most() {
            return false;
        }
        match account(array.rest()).filter(|_| accounts) {
            Some(bytes) => array.skip(bytes),
            None if array.value().is_none() => return false,
            None => {}
        }
    }
}

/// Length of an account as Agave writes it: its data first, and after it neither a brace nor a
/// comma in a string. Quotes within its data are escaped.
fn account(text: &[u8]) -> Option<usize> {
    const DATA: &[u8] = br#"{"data":"#;
    static BEHIND_DATA: LazyLock<Finder<'static>> =
        LazyLock::new(|| Finder::new(br#","executable":"#));
    if !text.starts_with(DATA) {
        return None;
    }
    let behind = BEHIND_DATA.find(text)?;
    let length = behind + memchr::memchr(b'}', text.get(behind..)?)? + 1;
    matches!(text.get(length), Some(b',' | b']')).then_some(length)
}

#[cfg(test)]
mod tests;
