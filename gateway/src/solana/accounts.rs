//! `getMultipleAccounts` as several calls of `getAccountInfo`, and answers composed of parts: so
//! that the two methods share what is kept.
//!
//! A node answers both from one bank with the same encoder, so an account read with the same
//! encoding, slice and commitment at the same slot has the same bytes in both. The cache decides
//! which parts may be combined.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Canonical, Class, Method, canonical::AccountSpelling};
use crate::jsonrpc::{Cursor, PLACEHOLDER_ID, Token};

/// The most accounts a node answers for by default. Calls for more are not handled here: an
/// upstream may refuse what would be answered from parts.
const MAX_ACCOUNTS: usize = 100;

/// One call of `getMultipleAccounts`, by its accounts.
#[derive(Clone, Debug)]
pub struct AccountReads {
    /// The parameters as received.
    params: Box<[u8]>,
    /// Positions of the accounts in them, quotes included.
    accounts: Vec<Range<usize>>,
    /// Position after the list of accounts.
    after: usize,
    spelled: Vec<Canonical>,
}

/// Parses a call of `getMultipleAccounts`; `None` for any other, and for one with no account, with
/// more than a node has to answer for, or without a canonical form.
pub fn account_reads(class: &Class, params: Option<&[u8]>) -> Option<AccountReads> {
    if class.method != Method::GetMultipleAccounts {
        return None;
    }
    let params = params?;
    let mut cursor = Cursor::new(params);
    if !cursor.eat(b'[') || !cursor.item(true).ok()? {
        return None;
    }
    let accounts = accounts(&mut cursor)?;
    let after = cursor.position();
    let spelling = if cursor.item(false).ok()? {
        let spelling = match cursor.token()? {
            Token::Null => {
                cursor.value()?;
                AccountSpelling::new(class, None)?
            }
            Token::Object => AccountSpelling::new(class, Some(&mut cursor))?,
            _ => return None,
        };
        if !cursor.eat(b']') {
            return None;
        }
        spelling
    } else {
        AccountSpelling::new(class, None)?
    };
    let spelled = |account: &Range<usize>| {
        let quoted = params.get(account.clone()).unwrap_or_default();
        spelling.of(quoted
            .get(1..quoted.len().saturating_sub(1))
            .unwrap_or_default())
    };
    cursor.at_end().then(|| AccountReads {
        spelled: accounts.iter().map(spelled).collect(),
        params: params.into(),
        accounts,
        after,
    })
}

fn accounts(cursor: &mut Cursor<'_>) -> Option<Vec<Range<usize>>> {
    let mut accounts = Vec::new();
    if !cursor.eat(b'[') {
        return None;
    }
    while cursor.item(accounts.is_empty()).ok()? {
        if cursor.token()? != Token::String || accounts.len() == MAX_ACCOUNTS {
            return None;
        }
        let start = cursor.position();
        cursor.string()?;
        accounts.push(start..cursor.position());
    }
    (!accounts.is_empty()).then_some(accounts)
}

impl AccountReads {
    /// The call of `getAccountInfo` for one account, by its position in the call.
    pub fn spelled(&self, position: usize) -> Option<&Canonical> {
        self.spelled.get(position)
    }

    /// Number of requested accounts, at least one.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// The parameters for only some of the accounts, by position; the configuration stays as the
    /// caller wrote it.
    pub fn rest(&self, missing: &[usize]) -> Bytes {
        let accounts: Vec<_> = missing
            .iter()
            .filter_map(|position| self.params.get(self.accounts.get(*position)?.clone()))
            .collect();
        let after = self.params.get(self.after..).unwrap_or_default();
        let mut params = BytesMut::with_capacity(1 + listed(&accounts) + after.len());
        params.put_u8(b'[');
        put_list(&mut params, &accounts);
        params.put_slice(after);
        params.freeze()
    }
}

/// A wrapped result with a list as its value, split into its parts, each raw JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Values<'a> {
    context: &'a [u8],
    values: Vec<&'a [u8]>,
}

impl<'a> Values<'a> {
    /// The context: at which slot it was read.
    pub fn context(&self) -> &'a [u8] {
        self.context
    }

    /// The values, in the order of the call.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.values.iter().copied()
    }
}

/// Splits a result of `getMultipleAccounts`; `None` if it does not have Agave's shape.
pub fn values(result: &[u8]) -> Option<Values<'_>> {
    let (context, list) = wrapped_parts(result)?;
    let mut cursor = Cursor::new(list);
    if !cursor.eat(b'[') {
        return None;
    }
    let mut values = Vec::new();
    while cursor.item(values.is_empty()).ok()? {
        values.push(cursor.value()?);
    }
    Some(Values { context, values })
}

/// The context and the value of a wrapped result in Agave's shape, as raw JSON.
pub fn wrapped_parts(result: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut cursor = Cursor::new(result);
    if !cursor.eat(b'{') || cursor.key(true).ok()?? != b"context" {
        return None;
    }
    let context = cursor.value()?;
    if cursor.key(false).ok()?? != b"value" {
        return None;
    }
    let value = cursor.value()?;
    (cursor.key(false).ok()?.is_none() && cursor.at_end()).then_some((context, value))
}

const HEAD: &[u8] = br#"{"jsonrpc":"2.0","result":{"context":"#;
const VALUE: &[u8] = br#","value":"#;
const ID: &[u8] = br#"},"id":"#;

/// A complete answer of `getMultipleAccounts` from raw JSON parts, as Agave would write it for a
/// call of the gateway.
pub fn compose(context: &[u8], values: &[&[u8]]) -> Bytes {
    answer(context, listed(values), |body| put_list(body, values))
}

/// A whole answer of `getAccountInfo`, likewise.
pub fn single(context: &[u8], value: &[u8]) -> Bytes {
    answer(context, value.len(), |body| body.put_slice(value))
}

fn answer(context: &[u8], length: usize, put_value: impl FnOnce(&mut BytesMut)) -> Bytes {
    let length =
        HEAD.len() + context.len() + VALUE.len() + length + ID.len() + PLACEHOLDER_ID.len() + 1;
    let mut body = BytesMut::with_capacity(length);
    body.put_slice(HEAD);
    body.put_slice(context);
    body.put_slice(VALUE);
    put_value(&mut body);
    body.put_slice(ID);
    body.put_slice(PLACEHOLDER_ID);
    body.put_u8(b'}');
    body.freeze()
}

/// The length of a list of raw JSON.
fn listed(items: &[&[u8]]) -> usize {
    let text: usize = items.iter().map(|item| item.len()).sum();
    text + items.len().saturating_sub(1) + 2
}

fn put_list(out: &mut BytesMut, items: &[&[u8]]) {
    out.put_u8(b'[');
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            out.put_u8(b',');
        }
        out.put_slice(item);
    }
    out.put_u8(b']');
}

#[cfg(test)]
mod tests;
