//! Which trades of a batch were not in the database before.

use std::collections::HashSet;

use perijove_core::Signature;
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::project::{RowKey, Trade};
use crate::sink::database::DatabaseError;
use crate::sink::tick::Tick;

/// What a row is named by. The slot is part of it: what lands again after a fork is another event.
pub(super) type Name = (i64, RowKey);

/// The trades of pools whose names are in `fresh`, each once.
pub(super) fn ticks(trades: &[Trade], mut fresh: HashSet<Name>) -> Vec<Tick> {
    trades
        .iter()
        .filter(|trade| fresh.remove(&(integer(trade.origin.slot.0), trade.key())))
        .filter_map(Tick::of)
        .collect()
}

/// Reads slot, signature, instruction and ordinal.
pub(super) fn name<'r, R>(row: &'r R) -> Result<Name, DatabaseError>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
{
    let signature: &[u8] = row.try_get(1)?;
    let number = |column: usize| -> Result<u32, DatabaseError> {
        u32::try_from(row.try_get::<i64, _>(column)?).map_err(|_error| FOREIGN)
    };
    let key = RowKey {
        signature: Signature::try_from(signature).map_err(|_error| FOREIGN)?,
        instruction: number(2)?,
        ordinal: number(3)?,
    };
    Ok((row.try_get(0)?, key))
}

const FOREIGN: DatabaseError = DatabaseError::Foreign("dex_trades");

/// A number as both databases store it: at most the greatest `i64`, which no slot reaches.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
