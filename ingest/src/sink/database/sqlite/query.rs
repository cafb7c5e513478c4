//! What is read back, and what is removed.

use std::collections::HashSet;
use std::ops::Range;

use futures::TryStreamExt;
use perijove_core::Pubkey;
use perijove_core::market::Pair;
use sqlx::Row;

use super::Sqlite;
use crate::project::{USDC, USDT};
use crate::record::UnixMillis;
use crate::sink::database::DatabaseError;
use crate::sink::database::export::{ExportedTrade, exported};
use crate::sink::database::new_trades::{Name, name};
use crate::sink::database::place::{self, Table};
use crate::sink::database::read::{
    DECIMALS, HourTotals, StoredTick, TickQuery, Touched, decimals, pair, stored,
};

/// Rows that are removed at once; the lanes write in between.
const ROWS: i64 = 20_000;

macro_rules! stored_columns {
    () => {
        "SELECT lane, batch, slot, transaction_index, instruction, ordinal, signature, time, market,
             base, quote, base_amount, base_decimals, quote_amount, quote_decimals, base_unit_usd,
             quote_unit_usd, buy, jupiter
         FROM dex_trades "
    };
}

macro_rules! last_rows {
    ($table:literal) => {
        concat!(
            "SELECT slot, time FROM ",
            $table,
            " WHERE time <= ?1 ORDER BY time DESC LIMIT ?2"
        )
    };
}

impl Sqlite {
    pub(in crate::sink::database) async fn ticks(
        &self,
        ticks: &TickQuery<'_>,
        mut each: impl FnMut(StoredTick) + Send,
    ) -> Result<(), DatabaseError> {
        if ticks.pairs.is_empty() {
            let query = sqlx::query(concat!(
                stored_columns!(),
                "WHERE time >= ?1 AND (?2 IS NULL OR lane = ?2) AND market IS NOT NULL"
            ));
            let query = query.bind(ticks.from).bind(ticks.lane);
            let mut rows = query.fetch(&self.readers);
            while let Some(row) = rows.try_next().await? {
                each(stored(&row)?);
            }
            return Ok(());
        }
        for pair in ticks.pairs {
            let query = sqlx::query(concat!(
                stored_columns!(),
                "WHERE base = ?3 AND quote = ?4 AND time >= ?1 AND (?2 IS NULL OR lane = ?2)
                 AND market IS NOT NULL"
            ));
            let query = query.bind(ticks.from).bind(ticks.lane);
            let query = query.bind(pair.base.0.to_vec()).bind(pair.quote.0.to_vec());
            let mut rows = query.fetch(&self.readers);
            while let Some(row) = rows.try_next().await? {
                each(stored(&row)?);
            }
        }
        Ok(())
    }

    /// The trades, aggregators' sums too, that came with a batch of a lane.
    pub(in crate::sink::database) async fn stored_with(
        &self,
        lane: i32,
        batch: i64,
    ) -> Result<HashSet<Name>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT slot, signature, instruction, ordinal FROM dex_trades
             WHERE batch = ?1 AND lane = ?2",
        )
        .bind(batch)
        .bind(lane)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(name).collect()
    }

    pub(in crate::sink::database) async fn last_batches(
        &self,
    ) -> Result<Vec<(i32, i64)>, DatabaseError> {
        let rows = sqlx::query_as("SELECT lane, batch FROM kafka_offsets");
        Ok(rows.fetch_all(&self.readers).await?)
    }

    pub(in crate::sink::database) async fn ticks_after(
        &self,
        batch: i64,
        lanes: &[i32],
        mut each: impl FnMut(StoredTick) + Send,
    ) -> Result<(), DatabaseError> {
        let query = sqlx::query(concat!(
            stored_columns!(),
            "WHERE batch > ?1 AND market IS NOT NULL"
        ));
        let mut rows = query.bind(batch).fetch(&self.readers);
        while let Some(row) = rows.try_next().await? {
            let stored = stored(&row)?;
            if lanes.contains(&stored.lane) {
                each(stored);
            }
        }
        Ok(())
    }

    pub(in crate::sink::database) async fn touched(
        &self,
        lane: i32,
        after: i64,
    ) -> Result<Touched, DatabaseError> {
        let rows = sqlx::query(
            "SELECT base, quote, min(time) FROM dex_trades
             WHERE batch > ? AND lane = ? AND market IS NOT NULL GROUP BY base, quote",
        )
        .bind(after)
        .bind(lane)
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| Ok((pair(row, 0)?, row.try_get(2)?)))
            .collect()
    }

    pub(in crate::sink::database) async fn traded(
        &self,
        lane: i32,
        from: i64,
    ) -> Result<Vec<Pair>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT DISTINCT base, quote FROM dex_trades
             WHERE time >= ? AND lane = ? AND market IS NOT NULL",
        )
        .bind(from)
        .bind(lane)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(|row| pair(row, 0)).collect()
    }

    pub(in crate::sink::database) async fn newest(&self) -> Result<Option<i64>, DatabaseError> {
        let time = sqlx::query_scalar("SELECT max(time) FROM dex_trades");
        Ok(time.fetch_one(&self.readers).await?)
    }

    /// Slots and times of the last rows of a table up to a time.
    pub(in crate::sink::database) async fn last_rows(
        &self,
        table: Table,
        until: i64,
    ) -> Result<Vec<(i64, i64)>, DatabaseError> {
        let asked = match table {
            Table::Trades => last_rows!("dex_trades"),
            Table::Transfers => last_rows!("transfers"),
            Table::Transactions => last_rows!("transactions"),
        };
        let rows = sqlx::query_as(asked).bind(until).bind(place::ROWS);
        Ok(rows.fetch_all(&self.readers).await?)
    }

    /// How many trades there are between two times, as far as `enough`.
    pub(in crate::sink::database) async fn count(
        &self,
        times: &Range<i64>,
        enough: u64,
    ) -> Result<u64, DatabaseError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM (
                 SELECT 1 FROM dex_trades
                 WHERE time >= ?1 AND time < ?2
                 LIMIT ?3)",
        )
        .bind(times.start)
        .bind(times.end)
        .bind(i64::try_from(enough).unwrap_or(i64::MAX))
        .fetch_one(&self.readers)
        .await?;
        Ok(count.unsigned_abs())
    }

    pub(in crate::sink::database) async fn between(
        &self,
        from: i64,
        to: i64,
    ) -> Result<Vec<ExportedTrade>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT time, slot, transaction_index, instruction, ordinal, signature, market, trader, program,
                 base, quote, base_amount, quote_amount, base_decimals, quote_decimals, price, base_usd,
                 quote_usd, buy, jupiter, protocol, family, base_symbol, quote_symbol,
                 base_multiplier, quote_multiplier
             FROM dex_trades WHERE time >= ? AND time < ?
             ORDER BY slot, transaction_index, instruction, ordinal, signature",
        )
        .bind(from)
        .bind(to)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(exported).collect()
    }

    pub(in crate::sink::database) async fn hours(
        &self,
        from: i64,
        to: i64,
    ) -> Result<Vec<HourTotals>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT time - time % 3600000 AS start, count(*), sum(CASE
                     WHEN quote IN (?3, ?4) THEN CAST(quote_amount AS REAL) / 1e6
                     WHEN base IN (?3, ?4) THEN CAST(base_amount AS REAL) / 1e6
                     ELSE coalesce(quote_usd, base_usd, 0.0)
                 END)
             FROM dex_trades WHERE time >= ?1 AND time < ?2 AND market IS NOT NULL
             GROUP BY start ORDER BY start",
        )
        .bind(from)
        .bind(to)
        .bind(USDC.0.to_vec())
        .bind(USDT.0.to_vec())
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(HourTotals {
                    start: row.try_get(0)?,
                    trades: row.try_get::<i64, _>(1)?.unsigned_abs(),
                    volume_usd: row.try_get(2)?,
                })
            })
            .collect()
    }

    pub(in crate::sink::database) async fn decimals(
        &self,
        mints: &[Pubkey],
    ) -> Result<Vec<(Pubkey, u64, u8)>, DatabaseError> {
        let mut found = Vec::new();
        for mint in mints {
            let rows = sqlx::query(
                "SELECT base, slot, base_decimals FROM dex_trades
                 WHERE base = ? AND base_decimals IS NOT NULL ORDER BY time DESC LIMIT ?",
            );
            let rows = rows.bind(mint.0.to_vec()).bind(DECIMALS);
            for row in rows.fetch_all(&self.readers).await? {
                found.push(decimals(&row)?);
            }
        }
        Ok(found)
    }

    pub(in crate::sink::database) async fn forget(
        &self,
        before: UnixMillis,
    ) -> Result<u64, DatabaseError> {
        let mut removed = 0;
        for statement in [
            "DELETE FROM dex_trades WHERE rowid IN
                 (SELECT rowid FROM dex_trades WHERE time < ? LIMIT ?)",
            "DELETE FROM transfers WHERE rowid IN
                 (SELECT rowid FROM transfers WHERE time < ? LIMIT ?)",
            "DELETE FROM transactions WHERE rowid IN
                 (SELECT rowid FROM transactions WHERE time < ? LIMIT ?)",
            "DELETE FROM slots WHERE rowid IN (SELECT rowid FROM slots WHERE time < ? LIMIT ?)",
        ] {
            loop {
                let query = sqlx::query(statement).bind(before.0).bind(ROWS);
                let rows = query.execute(&self.writer).await?.rows_affected();
                removed += rows;
                if rows < ROWS.unsigned_abs() {
                    break;
                }
            }
        }
        Ok(removed)
    }
}
