//! Trades as they are exported: whole rows, window by window.

use perijove_core::{Pubkey, Signature};
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::sink::database::DatabaseError;

/// A row of `dex_trades`, aggregators' sums too.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedTrade {
    /// In milliseconds since 1970.
    pub time: i64,
    pub slot: i64,
    pub transaction_index: i64,
    pub instruction: i64,
    pub ordinal: i64,
    pub signature: Signature,
    pub market: Option<Pubkey>,
    pub trader: Option<Pubkey>,
    pub program: Option<Pubkey>,
    pub base: Pubkey,
    pub quote: Pubkey,
    pub base_amount: u64,
    pub quote_amount: u64,
    pub base_decimals: Option<i16>,
    pub quote_decimals: Option<i16>,
    pub price: Option<f64>,
    pub base_usd: Option<f32>,
    pub quote_usd: Option<f32>,
    pub buy: bool,
    pub jupiter: bool,
    pub protocol: String,
    pub family: String,
    pub base_symbol: String,
    pub quote_symbol: String,
    pub base_multiplier: Option<f64>,
    pub quote_multiplier: Option<f64>,
}

const FOREIGN: DatabaseError = DatabaseError::Foreign("dex_trades");

/// Reads a row of the columns that both databases select in the order of the fields.
pub(super) fn exported<'r, R>(row: &'r R) -> Result<ExportedTrade, DatabaseError>
where
    R: Row,
    usize: ColumnIndex<R>,
    i16: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    f32: Decode<'r, R::Database> + Type<R::Database>,
    f64: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
    &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
{
    let key = |column: usize| -> Result<Option<Pubkey>, DatabaseError> {
        let bytes: Option<&[u8]> = row.try_get(column)?;
        let key = bytes.map(Pubkey::try_from).transpose();
        key.map_err(|_error| FOREIGN)
    };
    let amount = |column: usize| -> Result<u64, DatabaseError> {
        let text: &str = row.try_get(column)?;
        text.parse().map_err(|_error| FOREIGN)
    };
    let price: Option<&str> = row.try_get(15)?;
    let price = price.map(str::parse).transpose();
    Ok(ExportedTrade {
        time: row.try_get(0)?,
        slot: row.try_get(1)?,
        transaction_index: row.try_get(2)?,
        instruction: row.try_get(3)?,
        ordinal: row.try_get(4)?,
        signature: Signature::try_from(row.try_get::<&[u8], _>(5)?).map_err(|_error| FOREIGN)?,
        market: key(6)?,
        trader: key(7)?,
        program: key(8)?,
        base: key(9)?.ok_or(FOREIGN)?,
        quote: key(10)?.ok_or(FOREIGN)?,
        base_amount: amount(11)?,
        quote_amount: amount(12)?,
        base_decimals: row.try_get(13)?,
        quote_decimals: row.try_get(14)?,
        price: price.map_err(|_error| FOREIGN)?,
        base_usd: row.try_get(16)?,
        quote_usd: row.try_get(17)?,
        buy: row.try_get(18)?,
        jupiter: row.try_get(19)?,
        protocol: row.try_get(20)?,
        family: row.try_get(21)?,
        base_symbol: row.try_get(22)?,
        quote_symbol: row.try_get(23)?,
        base_multiplier: row.try_get(24)?,
        quote_multiplier: row.try_get(25)?,
    })
}
