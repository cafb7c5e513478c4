//! What is read back: trades for market data, and what was stored in which hour.

use perijove_core::market::{Amount, Pair, Position};
use perijove_core::{Pubkey, Signature, Slot};
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::sink::database::DatabaseError;
use crate::sink::tick::Tick;

/// Which trades of pools are read.
#[derive(Clone, Debug, Default)]
pub struct TickQuery<'p> {
    /// Only those of this lane.
    pub lane: Option<i32>,
    /// Only those of these pairs, if there are any.
    pub pairs: &'p [Pair],
    /// From this time on, in milliseconds since 1970.
    pub from: i64,
}

/// A trade and the batch it came with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoredTick {
    pub lane: i32,
    pub batch: i64,
    pub tick: Tick,
}

/// Pairs, and the time of the first trade of each.
pub(crate) type Touched = Vec<(Pair, i64)>;

/// What was stored in one hour.
#[derive(Clone, Debug, PartialEq)]
pub struct HourTotals {
    /// When it begins, in milliseconds since 1970.
    pub start: i64,
    pub trades: u64,
    /// In dollars, of the trades with a known value: from the stream, or from USDC and USDT in
    /// them.
    pub volume_usd: f64,
}

/// Trades of a token of which the decimals are looked at.
pub(super) const DECIMALS: i64 = 64;

/// Reads what a trade says of the decimals of its base: that, the slot and the number.
pub(super) fn decimals<'r, R>(row: &'r R) -> Result<(Pubkey, u64, u8), DatabaseError>
where
    R: Row,
    usize: ColumnIndex<R>,
    i16: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
{
    let mint = Pubkey::try_from(row.try_get::<&[u8], _>(0)?).map_err(|_error| FOREIGN)?;
    let slot: i64 = row.try_get(1)?;
    let number = u8::try_from(row.try_get::<i16, _>(2)?).map_err(|_error| FOREIGN)?;
    Ok((mint, slot.cast_unsigned(), number))
}

/// Reads a row of the columns that both databases select in this order: lane, batch, slot,
/// `transaction_index`, instruction, ordinal, signature, time, market, base, quote, `base_amount`,
/// `base_decimals`, `quote_amount`, `quote_decimals`, `base_unit_usd`, `quote_unit_usd`, buy,
/// jupiter.
pub(super) fn stored<'r, R>(row: &'r R) -> Result<StoredTick, DatabaseError>
where
    R: Row,
    usize: ColumnIndex<R>,
    i16: Decode<'r, R::Database> + Type<R::Database>,
    i32: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    f32: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
    &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
{
    let number = |column: usize| -> Result<u32, DatabaseError> {
        u32::try_from(row.try_get::<i64, _>(column)?).map_err(|_error| FOREIGN)
    };
    let amount = |column: usize| -> Result<Amount, DatabaseError> {
        let decimals: Option<i16> = row.try_get(column + 1)?;
        Ok(Amount {
            raw: row
                .try_get::<&str, _>(column)?
                .parse()
                .map_err(|_error| FOREIGN)?,
            decimals: decimals
                .map(u8::try_from)
                .transpose()
                .map_err(|_error| FOREIGN)?,
        })
    };
    let key = |column: usize| -> Result<Pubkey, DatabaseError> {
        Pubkey::try_from(row.try_get::<&[u8], _>(column)?).map_err(|_error| FOREIGN)
    };
    let slot: i64 = row.try_get(2)?;
    let signature: &[u8] = row.try_get(6)?;
    Ok(StoredTick {
        lane: row.try_get(0)?,
        batch: row.try_get(1)?,
        tick: Tick {
            position: Position {
                slot: Slot(slot.cast_unsigned()),
                transaction: number(3)?,
                instruction: number(4)?,
                ordinal: number(5)?,
            },
            signature: Signature::try_from(signature).map_err(|_error| FOREIGN)?,
            time: row.try_get(7)?,
            pool: key(8)?,
            pair: pair(row, 9)?,
            base: amount(11)?,
            quote: amount(13)?,
            base_usd: row.try_get(15)?,
            quote_usd: row.try_get(16)?,
            buy: row.try_get(17)?,
            jupiter: row.try_get(18)?,
        },
    })
}

/// Reads two columns with the addresses of a pair.
pub(super) fn pair<'r, R>(row: &'r R, column: usize) -> Result<Pair, DatabaseError>
where
    R: Row,
    usize: ColumnIndex<R>,
    &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
{
    let key = |column: usize| -> Result<Pubkey, DatabaseError> {
        Pubkey::try_from(row.try_get::<&[u8], _>(column)?).map_err(|_error| FOREIGN)
    };
    Ok(Pair {
        base: key(column)?,
        quote: key(column + 1)?,
    })
}

const FOREIGN: DatabaseError = DatabaseError::Foreign("dex_trades");
