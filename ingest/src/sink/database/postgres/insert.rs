//! The rows of a batch into their tables.

use std::collections::HashSet;

use sqlx::PgConnection;

use super::columns::{TradeColumns, bytes};
use crate::project::{SlotUpdate, Trade, TransactionRow, Transfer};
use crate::sink::database::new_trades::{Name, integer, name, ticks};
use crate::sink::database::slots::merged;
use crate::sink::database::text::clean;
use crate::sink::database::{Committed, DatabaseError, RowBatch};

pub(super) async fn rows(
    connection: &mut PgConnection,
    lane: i32,
    batch: &RowBatch,
    committed: &mut Committed,
) -> Result<(), DatabaseError> {
    let mut new = 0;
    if !batch.trades.is_empty() {
        let fresh = trades(connection, lane, committed.batch, &batch.trades).await?;
        new += fresh.len() as u64;
        committed.ticks = ticks(&batch.trades, fresh);
    }
    if !batch.transfers.is_empty() {
        new += transfers(connection, &batch.transfers).await?;
    }
    if !batch.transactions.is_empty() {
        new += transactions(connection, &batch.transactions).await?;
    }
    if !batch.slots.is_empty() {
        new += slots(connection, &batch.slots).await?;
    }
    committed.new = new;
    committed.known = (batch.rows() as u64).saturating_sub(new);
    Ok(())
}

#[expect(clippy::too_many_lines, reason = "a line for each column")]
async fn trades(
    connection: &mut PgConnection,
    lane: i32,
    batch: i64,
    trades: &[Trade],
) -> Result<HashSet<Name>, DatabaseError> {
    let columns = TradeColumns::of(trades);
    let inserted = sqlx::query(
        "INSERT INTO dex_trades (lane, batch, slot, transaction_index, instruction, ordinal, time,
             recorded_at, base_decimals, quote_decimals, base_usd, quote_usd, base_unit_usd,
             quote_unit_usd, buy, jupiter, native, signature, base, quote, market, trader, program,
             base_amount, quote_amount, price, protocol, family, base_symbol, quote_symbol, base_2022,
             quote_2022, base_multiplier, quote_multiplier)
         SELECT $1, $2, slot, transaction_index, instruction, ordinal,
             to_timestamp(time::float8 / 1000), to_timestamp(recorded_at::float8 / 1000),
             base_decimals, quote_decimals, base_usd, quote_usd, base_unit_usd, quote_unit_usd, buy,
             jupiter, native, signature, base, quote, market, trader, program,
             base_amount::numeric, quote_amount::numeric, price::numeric, protocol, family,
             base_symbol, quote_symbol, base_2022, quote_2022, base_multiplier, quote_multiplier
         FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
             $8::bigint[], $9::smallint[], $10::smallint[], $11::real[], $12::real[], $13::real[],
             $14::real[], $15::boolean[], $16::boolean[], $17::boolean[], $18::bytea[], $19::bytea[],
             $20::bytea[], $21::bytea[], $22::bytea[], $23::bytea[], $24::text[], $25::text[],
             $26::text[], $27::text[], $28::text[], $29::text[], $30::text[], $31::boolean[],
             $32::boolean[], $33::float8[], $34::float8[])
         AS new (slot, transaction_index, instruction, ordinal, time, recorded_at, base_decimals,
             quote_decimals, base_usd, quote_usd, base_unit_usd, quote_unit_usd, buy, jupiter,
             native, signature, base, quote, market, trader, program, base_amount, quote_amount,
             price, protocol, family, base_symbol, quote_symbol, base_2022, quote_2022,
             base_multiplier, quote_multiplier)
         ON CONFLICT DO NOTHING
         RETURNING slot, signature, instruction, ordinal",
    )
    .bind(lane)
    .bind(batch)
    .bind(columns.slot)
    .bind(columns.transaction)
    .bind(columns.instruction)
    .bind(columns.ordinal)
    .bind(columns.time)
    .bind(columns.recorded)
    .bind(columns.base_decimals)
    .bind(columns.quote_decimals)
    .bind(columns.base_usd)
    .bind(columns.quote_usd)
    .bind(columns.base_unit_usd)
    .bind(columns.quote_unit_usd)
    .bind(columns.buy)
    .bind(columns.jupiter)
    .bind(columns.native)
    .bind(columns.signature)
    .bind(columns.base)
    .bind(columns.quote)
    .bind(columns.market)
    .bind(columns.trader)
    .bind(columns.program)
    .bind(columns.base_amount)
    .bind(columns.quote_amount)
    .bind(columns.price)
    .bind(columns.protocol)
    .bind(columns.family)
    .bind(columns.base_symbol)
    .bind(columns.quote_symbol)
    .bind(columns.base_2022)
    .bind(columns.quote_2022)
    .bind(columns.base_multiplier)
    .bind(columns.quote_multiplier)
    .fetch_all(connection)
    .await?;
    inserted.iter().map(name).collect()
}

async fn transfers(connection: &mut PgConnection, rows: &[Transfer]) -> Result<u64, DatabaseError> {
    let done = sqlx::query(
        "INSERT INTO transfers (slot, transaction_index, instruction, ordinal, time, recorded_at,
             decimals, usd, signature, mint, sender, sender_owner, receiver, receiver_owner,
             authority, amount, symbol, token_2022, multiplier, received)
         SELECT slot, transaction_index, instruction, ordinal, to_timestamp(time::float8 / 1000),
             to_timestamp(recorded_at::float8 / 1000), decimals, usd, signature, mint, sender,
             sender_owner, receiver, receiver_owner, authority, amount::numeric, symbol,
             token_2022, multiplier, received::numeric
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
             $6::bigint[], $7::smallint[], $8::real[], $9::bytea[], $10::bytea[], $11::bytea[],
             $12::bytea[], $13::bytea[], $14::bytea[], $15::bytea[], $16::text[], $17::text[],
             $18::boolean[], $19::float8[], $20::text[])
         AS new (slot, transaction_index, instruction, ordinal, time, recorded_at, decimals, usd,
             signature, mint, sender, sender_owner, receiver, receiver_owner, authority, amount,
             symbol, token_2022, multiplier, received)
         ON CONFLICT DO NOTHING",
    )
    .bind(column(rows, |row| integer(row.origin.slot.0)))
    .bind(column(rows, |row| i64::from(row.origin.index)))
    .bind(column(rows, |row| i64::from(row.instruction)))
    .bind(column(rows, |row| i64::from(row.ordinal)))
    .bind(column(rows, |row| row.origin.time().0))
    .bind(column(rows, |row| row.origin.recorded.0))
    .bind(column(rows, |row| row.amount.decimals.map(i16::from)))
    .bind(column(rows, |row| row.usd))
    .bind(column(rows, |row| row.origin.signature.0))
    .bind(column(rows, |row| row.mint.0))
    .bind(column(rows, |row| bytes(row.sender.account)))
    .bind(column(rows, |row| bytes(row.sender.owner)))
    .bind(column(rows, |row| bytes(row.receiver.account)))
    .bind(column(rows, |row| bytes(row.receiver.owner)))
    .bind(column(rows, |row| bytes(row.authority)))
    .bind(column(rows, |row| row.amount.raw.to_string()))
    .bind(column(rows, |row| clean(&row.symbol).into_owned()))
    .bind(column(rows, |row| row.extensions.token_2022))
    .bind(column(rows, |row| row.extensions.multiplier))
    .bind(column(rows, |row| row.received.map(|raw| raw.to_string())))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

async fn transactions(
    connection: &mut PgConnection,
    rows: &[TransactionRow],
) -> Result<u64, DatabaseError> {
    let done = sqlx::query(
        "INSERT INTO transactions (slot, transaction_index, time, recorded_at, instructions,
             fee_usd, success, jupiter, signature, fee_payer, signer, programs, fee, error)
         SELECT slot, transaction_index, to_timestamp(time::float8 / 1000),
             to_timestamp(recorded_at::float8 / 1000), instructions, fee_usd, success, jupiter,
             signature, fee_payer, signer, programs, fee::numeric, error
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
             $6::real[], $7::boolean[], $8::boolean[], $9::bytea[], $10::bytea[], $11::bytea[],
             $12::bytea[], $13::text[], $14::text[])
         AS new (slot, transaction_index, time, recorded_at, instructions, fee_usd, success,
             jupiter, signature, fee_payer, signer, programs, fee, error)
         ON CONFLICT DO NOTHING",
    )
    .bind(column(rows, |row| integer(row.origin.slot.0)))
    .bind(column(rows, |row| i64::from(row.origin.index)))
    .bind(column(rows, |row| row.origin.time().0))
    .bind(column(rows, |row| row.origin.recorded.0))
    .bind(column(rows, |row| integer(row.instructions as u64)))
    .bind(column(rows, |row| row.fee_usd))
    .bind(column(rows, |row| row.success))
    .bind(column(rows, |row| row.jupiter))
    .bind(column(rows, |row| row.origin.signature.0))
    .bind(column(rows, |row| bytes(row.fee_payer)))
    .bind(column(rows, |row| bytes(row.signer)))
    .bind(column(rows, |row| {
        row.programs
            .iter()
            .flat_map(|key| key.0)
            .collect::<Vec<u8>>()
    }))
    .bind(column(rows, |row| row.fee.to_string()))
    .bind(column(rows, |row| clean(&row.error).into_owned()))
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Fills in what was not known before. Only counts slots of which nothing was known.
async fn slots(connection: &mut PgConnection, rows: &[SlotUpdate]) -> Result<u64, DatabaseError> {
    // One statement must not meet the same row twice.
    let rows = merged(rows);
    let numbers = column(&rows, |row| integer(row.slot.0));
    let known: i64 = sqlx::query_scalar("SELECT count(*) FROM slots WHERE slot = ANY($1)")
        .bind(&numbers)
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO slots AS s (slot, parent, height, time, block_time, hash)
         SELECT slot, parent, height, to_timestamp(time::float8 / 1000),
             to_timestamp(block_time::float8 / 1000), hash
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
             $6::bytea[])
         AS new (slot, parent, height, time, block_time, hash)
         ON CONFLICT (slot) DO UPDATE SET
             parent = coalesce(s.parent, excluded.parent),
             height = coalesce(s.height, excluded.height),
             block_time = coalesce(s.block_time, excluded.block_time),
             hash = coalesce(s.hash, excluded.hash)",
    )
    .bind(numbers)
    .bind(column(&rows, |row| row.parent.map(|slot| integer(slot.0))))
    .bind(column(&rows, |row| row.height.map(integer)))
    .bind(column(&rows, |row| {
        row.block_time.unwrap_or(row.recorded).0
    }))
    .bind(column(&rows, |row| row.block_time.map(|time| time.0)))
    .bind(column(&rows, |row| {
        (!row.hash.is_empty()).then(|| row.hash.to_vec())
    }))
    .execute(connection)
    .await?;
    Ok((rows.len() as u64).saturating_sub(known.unsigned_abs()))
}

fn column<R, T>(rows: &[R], value: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}
