//! Access to single parameters of a call, by position.

use crate::jsonrpc::Cursor;

/// The number at a position.
pub(super) fn number(params: &[u8], position: usize) -> Option<u64> {
    parameter(params, position)?.unsigned()
}

/// Moves before a parameter, if there are that many.
pub(super) fn parameter(params: &[u8], position: usize) -> Option<Cursor<'_>> {
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
