//! The canonical form of a call: calls with the same meaning have the same canonical bytes, others
//! do not. Commitment and `minContextSlot` are not part of it (the class holds them).
//!
//! Equal forms let a caller get another's answer, so whatever is not certain stays in it: an
//! unknown member, a `null` or a commitment no node is known to ignore. [`parameters`] knows what a
//! method's parameters mean; [`spelling`], how bytes are written.

use super::{Class, Idempotency, Method, class::takes_config};
use crate::jsonrpc::{Cursor, Token};

mod account;
mod config;
mod parameters;
mod spelling;

pub(super) use account::AccountSpelling;
use config::config;
use parameters::{members, positions};
use spelling::Spelling;

/// A call in its canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Canonical(Vec<u8>);

impl Canonical {
    /// Prefix-free: no canonical call is the beginning of another.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The canonical form; `None` if the meaning is not certain enough to equal any other: a member
/// given twice, parameters that are not an array or more than the method has, a method that is not
/// Agave's or that writes.
pub fn canonical(class: &Class, params: Option<&[u8]>) -> Option<Canonical> {
    let method = class.method;
    if class.profile().idempotency != Idempotency::Read || method.is_foreign() {
        return None;
    }
    let params = params.unwrap_or(b"[]");
    let mut spelling = Spelling::call(method, params.len());
    let mut cursor = Cursor::new(params);
    if !cursor.eat(b'[') {
        return None;
    }
    let most = positions(method);
    let mut position = 0;
    // Nulls count only if another parameter follows them.
    let mut nulls = 0;
    let mut configured = false;
    while cursor.item(position == 0).ok()? {
        let token = cursor.token()?;
        if position == most || (configured && token != Token::Null) {
            return None;
        }
        if token == Token::Null {
            cursor.value()?;
            nulls += usize::from(!configured);
        } else if token == Token::Object && takes_config(method, class.profile(), position) {
            spelling.end_positions();
            config(
                &mut spelling,
                class,
                members(method),
                None,
                Some(&mut cursor),
            )?;
            configured = true;
        } else if token == Token::String && position == 1 && takes_encoding(method) {
            spelling.end_positions();
            bare_encoding(&mut spelling, method, cursor.string()?);
            configured = true;
        } else {
            spelling.nulls(nulls);
            nulls = 0;
            spelling.value(&mut cursor)?;
        }
        position += 1;
    }
    if !configured {
        spelling.end_positions();
        spelling.no_config();
    }
    cursor.at_end().then(|| Canonical(spelling.finish()))
}

/// Whether a string in place of the configuration is its encoding, an older form.
const fn takes_encoding(method: Method) -> bool {
    matches!(method, Method::GetTransaction | Method::GetBlock)
}

/// Writes `"base64"` as `{"encoding":"base64"}`.
fn bare_encoding(spelling: &mut Spelling, method: Method, raw: &[u8]) {
    const NAME: &[u8] = b"encoding";
    let start = spelling.open();
    spelling.text(NAME);
    let value = spelling.length();
    spelling.text(raw);
    let known = members(method).iter().find(|known| known.is(NAME));
    if known.is_some_and(|known| known.is_default(spelling.since(value))) {
        spelling.cut(start);
        spelling.no_config();
    } else {
        spelling.close();
    }
}

#[cfg(test)]
mod tests;
