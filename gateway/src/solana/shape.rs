//! What a method's result can be: its outermost type, and whether it may be `null`. A node with any
//! other result does not answer the question. Sources: the return types of Agave 4.5.

mod kinds;
mod members;
#[cfg(test)]
mod tests;

use self::kinds::{Shape, ValueKind, items, shape};
use self::members::{ShapeMember, item_members, members, needs_all};
use super::Method;
use super::context::{trailing_slot, usual_context};
use crate::jsonrpc::{Cursor, Token};

/// Whether the raw JSON of a whole result is possible for the method. Reads it only up to the first
/// member it knows.
pub(super) fn is_possible(method: Method, result: &[u8]) -> bool {
    match shape(method) {
        Shape::Plain(ValueKind::Any) => true,
        Shape::Plain(ValueKind::ArrayOrObject) if result.trim_ascii_start().starts_with(b"{") => {
            value_of(result).is_some_and(|value| is_value(method, ValueKind::Array, value))
        }
        Shape::Plain(kind) => is_value(method, kind, Cursor::new(result)),
        Shape::Wrapped(kind) => value_of(result).is_some_and(|value| is_value(method, kind, value)),
    }
}

/// Position of the value of a wrapped result; `None` if its slot is impossible.
pub(super) fn value_of(result: &[u8]) -> Option<Cursor<'_>> {
    if let Some((context, value)) = usual(result) {
        return has_slot(context).then(|| Cursor::new(value));
    }
    let mut whole = Cursor::new(result);
    let context = whole.member(b"context")?.value()?;
    if !has_slot(context) {
        return None;
    }
    let mut whole = Cursor::new(result);
    whole.member(b"value")?;
    Some(whole)
}

fn has_slot(context: &[u8]) -> bool {
    trailing_slot(context).is_some()
        || Cursor::new(context)
            .member(b"slot")
            .and_then(Cursor::unsigned)
            .is_some()
}

fn is_value(method: Method, kind: ValueKind, mut value: Cursor<'_>) -> bool {
    let Some(token) = value.token().filter(|token| kind.takes(*token)) else {
        return false;
    };
    match token {
        // No count is negative, and no block time is.
        Token::Number => value.unsigned().is_some(),
        Token::Array => {
            value.eat(b'[');
            match value.item(true) {
                Ok(true) => is_item(method, value),
                Ok(false) => true,
                Err(_) => false,
            }
        }
        Token::Object if method == Method::GetLeaderSchedule => names_leaders(value),
        Token::Object => has(value, members(method), needs_all(method)),
        Token::String => value.string().is_some_and(|text| !text.is_empty()),
        Token::Bool | Token::Null => true,
    }
}

/// Whether an array of the method may begin with this item.
fn is_item(method: Method, mut item: Cursor<'_>) -> bool {
    let token = item.token().filter(|token| items(method).takes(*token));
    match token {
        None => false,
        Some(Token::Object) => has(item, item_members(method), false),
        Some(_) => true,
    }
}

/// Whether an object has one of these members, or all of them. The value of each that is looked at
/// is of its kind.
fn has(mut object: Cursor<'_>, members: &[ShapeMember], all: bool) -> bool {
    let mut missing = if all { members.len() } else { 1 };
    let mut first = true;
    object.eat(b'{');
    while let Ok(Some(key)) = object.key(first) {
        first = false;
        let member = members.iter().find(|(name, _)| *name == key);
        if let Some((_, kind)) = member {
            if !is_of(*kind, object.clone()) {
                return false;
            }
            missing -= 1;
            if missing == 0 {
                return true;
            }
        }
        if object.value().is_none() {
            return false;
        }
    }
    false
}

/// Whether a value is of this kind. No count is negative.
fn is_of(kind: ValueKind, mut value: Cursor<'_>) -> bool {
    let Some(token) = value.token().filter(|token| kind.takes(*token)) else {
        return false;
    };
    match token {
        Token::Number if matches!(kind, ValueKind::Number | ValueKind::NumberOrNull) => {
            value.unsigned().is_some()
        }
        Token::String if kind == ValueKind::String => {
            value.string().is_some_and(|text| !text.is_empty())
        }
        _ => true,
    }
}

/// Whether the members of an object are leaders, if there are any: there are none if the requested
/// validator does not lead.
fn names_leaders(mut object: Cursor<'_>) -> bool {
    /// Digits of the shortest address in base58.
    const SHORTEST: usize = 32;
    object.eat(b'{');
    let first = object.key(true);
    first.is_ok_and(|key| key.is_none_or(|key| key.len() >= SHORTEST))
}

/// The context of a wrapped result of the usual form, and the text from the value on.
fn usual(result: &[u8]) -> Option<(&[u8], &[u8])> {
    const BEGIN: usize = br#"{"context":"#.len();
    const VALUE: &[u8] = br#","value":"#;
    let context = usual_context(result)?;
    let rest = result.get(BEGIN + context.len()..)?;
    Some((context, rest.strip_prefix(VALUE)?))
}

/// The same for the beginning of a result.
pub fn may_begin(method: Method, token: Token) -> bool {
    match shape(method) {
        Shape::Plain(kind) => kind.takes(token),
        Shape::Wrapped(_) => token == Token::Object,
    }
}
