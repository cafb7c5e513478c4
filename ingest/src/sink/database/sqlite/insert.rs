//! The rows of a batch into their tables, some hundred per statement.

use std::collections::HashSet;

use sqlx::query_builder::Separated;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::project::{Direction, SlotUpdate, Trade, TransactionRow, Transfer};
use crate::sink::database::new_trades::{Name, integer, name, ticks};
use crate::sink::database::slots::merged;
use crate::sink::database::text::clean;
use crate::sink::database::{Committed, DatabaseError, RowBatch};
use crate::sink::tick::is_native;

/// Rows of one statement: it may have 32,766 values.
const ROWS: usize = 500;

pub(super) async fn rows(
    connection: &mut SqliteConnection,
    lane: i32,
    batch: &RowBatch,
    committed: &mut Committed,
) -> Result<(), DatabaseError> {
    let mut fresh = HashSet::new();
    for chunk in batch.trades.chunks(ROWS) {
        trades(connection, lane, committed.batch, chunk, &mut fresh).await?;
    }
    let mut new = fresh.len() as u64;
    committed.ticks = ticks(&batch.trades, fresh);
    for chunk in batch.transfers.chunks(ROWS) {
        new += transfers(connection, chunk).await?;
    }
    for chunk in batch.transactions.chunks(ROWS) {
        new += transactions(connection, chunk).await?;
    }
    for slot in merged(&batch.slots) {
        new += slots(connection, &slot).await?;
    }
    committed.new = new;
    committed.known = (batch.rows() as u64).saturating_sub(new);
    Ok(())
}

async fn trades(
    connection: &mut SqliteConnection,
    lane: i32,
    batch: i64,
    trades: &[Trade],
    fresh: &mut HashSet<Name>,
) -> Result<(), DatabaseError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO dex_trades (lane, batch, slot, transaction_index, instruction, ordinal,
             signature, time, recorded_at, base, quote, base_amount, quote_amount, base_decimals,
             quote_decimals, base_usd, quote_usd, base_unit_usd, quote_unit_usd, base_symbol,
             quote_symbol, price, base_2022, quote_2022, base_multiplier, quote_multiplier, buy, jupiter, native, market, trader, program, protocol, family) ",
    );
    query.push_values(trades, |mut row, trade| {
        row.push_bind(lane).push_bind(batch);
        place(&mut row, trade);
        sides(&mut row, trade);
        rest(&mut row, trade);
    });
    query.push(" ON CONFLICT DO NOTHING RETURNING slot, signature, instruction, ordinal");
    for row in query.build().fetch_all(connection).await? {
        fresh.insert(name(&row)?);
    }
    Ok(())
}

type Values<'q> = Separated<'q, Sqlite, &'static str>;

fn place(row: &mut Values<'_>, trade: &Trade) {
    let origin = &trade.origin;
    row.push_bind(integer(origin.slot.0))
        .push_bind(i64::from(origin.index))
        .push_bind(i64::from(trade.instruction))
        .push_bind(i64::from(trade.ordinal))
        .push_bind(origin.signature.0.to_vec())
        .push_bind(origin.time().0)
        .push_bind(origin.recorded.0);
}

fn sides(row: &mut Values<'_>, trade: &Trade) {
    let (base, quote) = (trade.base(), trade.quote());
    row.push_bind(trade.pair.base.0.to_vec())
        .push_bind(trade.pair.quote.0.to_vec())
        .push_bind(base.amount.raw.to_string())
        .push_bind(quote.amount.raw.to_string())
        .push_bind(base.amount.decimals.map(i16::from))
        .push_bind(quote.amount.decimals.map(i16::from))
        .push_bind(base.usd)
        .push_bind(quote.usd)
        .push_bind(base.unit_usd)
        .push_bind(quote.unit_usd)
        .push_bind(clean(&base.symbol).into_owned())
        .push_bind(clean(&quote.symbol).into_owned())
        .push_bind(trade.price.map(|price| price.to_string()))
        .push_bind(base.extensions.token_2022)
        .push_bind(quote.extensions.token_2022)
        .push_bind(base.extensions.multiplier)
        .push_bind(quote.extensions.multiplier);
}

fn rest(row: &mut Values<'_>, trade: &Trade) {
    row.push_bind(trade.direction() == Direction::Buy)
        .push_bind(trade.jupiter)
        .push_bind(is_native(trade))
        .push_bind(trade.market.map(|key| key.0.to_vec()))
        .push_bind(trade.trader.map(|key| key.0.to_vec()))
        .push_bind(trade.dex.program.map(|key| key.0.to_vec()))
        .push_bind(clean(&trade.dex.protocol).into_owned())
        .push_bind(clean(&trade.dex.family).into_owned());
}

async fn transfers(
    connection: &mut SqliteConnection,
    rows: &[Transfer],
) -> Result<u64, DatabaseError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO transfers (slot, transaction_index, instruction, ordinal, time, recorded_at,
             decimals, usd, signature, mint, sender, sender_owner, receiver, receiver_owner,
             authority, amount, symbol, token_2022, multiplier, received) ",
    );
    query.push_values(rows, |mut values, row| {
        values
            .push_bind(integer(row.origin.slot.0))
            .push_bind(i64::from(row.origin.index))
            .push_bind(i64::from(row.instruction))
            .push_bind(i64::from(row.ordinal))
            .push_bind(row.origin.time().0)
            .push_bind(row.origin.recorded.0)
            .push_bind(row.amount.decimals.map(i16::from))
            .push_bind(row.usd)
            .push_bind(row.origin.signature.0.to_vec())
            .push_bind(row.mint.0.to_vec())
            .push_bind(row.sender.account.map(|key| key.0.to_vec()))
            .push_bind(row.sender.owner.map(|key| key.0.to_vec()))
            .push_bind(row.receiver.account.map(|key| key.0.to_vec()))
            .push_bind(row.receiver.owner.map(|key| key.0.to_vec()))
            .push_bind(row.authority.map(|key| key.0.to_vec()))
            .push_bind(row.amount.raw.to_string())
            .push_bind(clean(&row.symbol).into_owned())
            .push_bind(row.extensions.token_2022)
            .push_bind(row.extensions.multiplier)
            .push_bind(row.received.map(|raw| raw.to_string()));
    });
    query.push(" ON CONFLICT DO NOTHING");
    let done = query.build().execute(connection).await?;
    Ok(done.rows_affected())
}

async fn transactions(
    connection: &mut SqliteConnection,
    rows: &[TransactionRow],
) -> Result<u64, DatabaseError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO transactions (slot, transaction_index, time, recorded_at, instructions,
             fee_usd, success, jupiter, signature, fee_payer, signer, programs, fee, error) ",
    );
    query.push_values(rows, |mut values, row| {
        let programs: Vec<u8> = row.programs.iter().flat_map(|key| key.0).collect();
        values
            .push_bind(integer(row.origin.slot.0))
            .push_bind(i64::from(row.origin.index))
            .push_bind(row.origin.time().0)
            .push_bind(row.origin.recorded.0)
            .push_bind(integer(row.instructions as u64))
            .push_bind(row.fee_usd)
            .push_bind(row.success)
            .push_bind(row.jupiter)
            .push_bind(row.origin.signature.0.to_vec())
            .push_bind(row.fee_payer.map(|key| key.0.to_vec()))
            .push_bind(row.signer.map(|key| key.0.to_vec()))
            .push_bind(programs)
            .push_bind(row.fee.to_string())
            .push_bind(clean(&row.error).into_owned());
    });
    query.push(" ON CONFLICT DO NOTHING");
    let done = query.build().execute(connection).await?;
    Ok(done.rows_affected())
}

/// Fills in what was not known before. Counts a slot of which nothing was known.
async fn slots(connection: &mut SqliteConnection, row: &SlotUpdate) -> Result<u64, DatabaseError> {
    let slot = integer(row.slot.0);
    let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM slots WHERE slot = ?)")
        .bind(slot)
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO slots (slot, parent, height, time, block_time, hash) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (slot) DO UPDATE SET
             parent = coalesce(parent, excluded.parent),
             height = coalesce(height, excluded.height),
             block_time = coalesce(block_time, excluded.block_time),
             hash = coalesce(hash, excluded.hash)",
    )
    .bind(slot)
    .bind(row.parent.map(|slot| integer(slot.0)))
    .bind(row.height.map(integer))
    .bind(row.block_time.unwrap_or(row.recorded).0)
    .bind(row.block_time.map(|time| time.0))
    .bind((!row.hash.is_empty()).then(|| row.hash.to_vec()))
    .execute(connection)
    .await?;
    Ok(u64::from(!known))
}
