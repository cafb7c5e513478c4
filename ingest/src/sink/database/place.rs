//! Where the stream was, by the rows of a table.

use perijove_core::Slot;

use crate::record::UnixMillis;

/// A table of the stream, for its last rows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Table {
    Trades,
    Transfers,
    Transactions,
}

/// In the order in which they are asked.
pub(super) const TABLES: [Table; 3] = [Table::Trades, Table::Transfers, Table::Transactions];

/// Rows that tell where the stream was: those of some slots.
pub(super) const ROWS: i64 = 1_000;

/// Later than any row, in milliseconds since 1970: the end of the year 9999.
pub(super) const EVER: i64 = 253_402_300_799_000;

/// The row in the middle, by slots: a few odd ones do not move it.
pub(super) fn middle(mut rows: Vec<(i64, i64)>) -> Option<(Slot, UnixMillis)> {
    rows.sort_unstable();
    let (slot, time) = rows.get(rows.len() / 2)?;
    Some((Slot(slot.unsigned_abs()), UnixMillis(*time)))
}
