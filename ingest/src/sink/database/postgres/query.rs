//! What is read back.

use std::collections::HashSet;
use std::ops::Range;

use futures::TryStreamExt;
use perijove_core::Pubkey;
use perijove_core::market::Pair;
use sqlx::Row;

use super::Postgres;
use crate::sink::database::DatabaseError;
use crate::sink::database::export::{ExportedTrade, exported};
use crate::sink::database::new_trades::{Name, name};
use crate::sink::database::place::{ROWS, Table};
use crate::sink::database::read::{
    DECIMALS, HourTotals, StoredTick, TickQuery, Touched, decimals, pair, stored,
};

macro_rules! last_rows {
    ($table:literal) => {
        concat!(
            "SELECT slot, (extract(epoch FROM time) * 1000)::bigint FROM ",
            $table,
            " WHERE time <= to_timestamp($1::float8 / 1000) ORDER BY time DESC LIMIT $2"
        )
    };
}

impl Postgres {
    pub(in crate::sink::database) async fn ticks(
        &self,
        ticks: &TickQuery<'_>,
        mut each: impl FnMut(StoredTick) + Send,
    ) -> Result<(), DatabaseError> {
        let column = |of: fn(&Pair) -> [u8; 32]| ticks.pairs.iter().map(of).collect::<Vec<_>>();
        let rows = if ticks.pairs.is_empty() {
            sqlx::query(
                "SELECT lane, batch, slot, transaction_index, instruction, ordinal, signature,
                     (extract(epoch FROM time) * 1000)::bigint, market, base, quote,
                     base_amount::text, base_decimals, quote_amount::text, quote_decimals,
                     base_unit_usd, quote_unit_usd, buy, jupiter
                 FROM dex_trades
                 WHERE time >= to_timestamp($1::float8 / 1000) AND ($2::integer IS NULL OR lane = $2)
                     AND market IS NOT NULL",
            )
            .bind(ticks.from)
            .bind(ticks.lane)
        } else {
            sqlx::query(
                "SELECT lane, batch, slot, transaction_index, instruction, ordinal, signature,
                     (extract(epoch FROM time) * 1000)::bigint, market, t.base, t.quote,
                     base_amount::text, base_decimals, quote_amount::text, quote_decimals,
                     base_unit_usd, quote_unit_usd, buy, jupiter
                 FROM unnest($3::bytea[], $4::bytea[]) AS pair (base, quote)
                 JOIN dex_trades t ON t.base = pair.base AND t.quote = pair.quote
                 WHERE time >= to_timestamp($1::float8 / 1000) AND ($2::integer IS NULL OR lane = $2)
                     AND market IS NOT NULL",
            )
            .bind(ticks.from)
            .bind(ticks.lane)
            .bind(column(|pair| pair.base.0))
            .bind(column(|pair| pair.quote.0))
        };
        let mut rows = rows.fetch(&self.pool);
        while let Some(row) = rows.try_next().await? {
            each(stored(&row)?);
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
             WHERE batch = $1 AND lane = $2",
        )
        .bind(batch)
        .bind(lane)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(name).collect()
    }

    pub(in crate::sink::database) async fn last_batches(
        &self,
    ) -> Result<Vec<(i32, i64)>, DatabaseError> {
        let rows = sqlx::query_as("SELECT lane, batch FROM kafka_offsets");
        Ok(rows.fetch_all(&self.pool).await?)
    }

    pub(in crate::sink::database) async fn ticks_after(
        &self,
        batch: i64,
        lanes: &[i32],
        mut each: impl FnMut(StoredTick) + Send,
    ) -> Result<(), DatabaseError> {
        let rows = sqlx::query(
            "SELECT lane, batch, slot, transaction_index, instruction, ordinal, signature,
                 (extract(epoch FROM time) * 1000)::bigint, market, base, quote,
                 base_amount::text, base_decimals, quote_amount::text, quote_decimals,
                 base_unit_usd, quote_unit_usd, buy, jupiter
             FROM dex_trades WHERE batch > $1 AND lane = ANY($2) AND market IS NOT NULL",
        );
        let mut rows = rows.bind(batch).bind(lanes).fetch(&self.pool);
        while let Some(row) = rows.try_next().await? {
            each(stored(&row)?);
        }
        Ok(())
    }

    pub(in crate::sink::database) async fn touched(
        &self,
        lane: i32,
        after: i64,
    ) -> Result<Touched, DatabaseError> {
        let rows = sqlx::query(
            "SELECT base, quote, (extract(epoch FROM min(time)) * 1000)::bigint FROM dex_trades
             WHERE batch > $2 AND lane = $1 AND market IS NOT NULL GROUP BY base, quote",
        )
        .bind(lane)
        .bind(after)
        .fetch_all(&self.pool)
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
             WHERE time >= to_timestamp($2::float8 / 1000) AND lane = $1 AND market IS NOT NULL",
        )
        .bind(lane)
        .bind(from)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| pair(row, 0)).collect()
    }

    pub(in crate::sink::database) async fn newest(&self) -> Result<Option<i64>, DatabaseError> {
        let time = sqlx::query_scalar(
            "SELECT (extract(epoch FROM max(time)) * 1000)::bigint FROM dex_trades",
        );
        Ok(time.fetch_one(&self.pool).await?)
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
        let rows = sqlx::query_as(asked).bind(until).bind(ROWS);
        Ok(rows.fetch_all(&self.pool).await?)
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
                 WHERE time >= to_timestamp($1::float8 / 1000) AND time < to_timestamp($2::float8 / 1000)
                 LIMIT $3) AS few",
        )
        .bind(times.start)
        .bind(times.end)
        .bind(i64::try_from(enough).unwrap_or(i64::MAX))
        .fetch_one(&self.pool)
        .await?;
        Ok(count.unsigned_abs())
    }

    pub(in crate::sink::database) async fn between(
        &self,
        from: i64,
        to: i64,
    ) -> Result<Vec<ExportedTrade>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT (extract(epoch FROM time) * 1000)::bigint, slot, transaction_index, instruction, ordinal,
                 signature, market, trader, program, base, quote, base_amount::text, quote_amount::text,
                 base_decimals, quote_decimals, price::text, base_usd, quote_usd, buy, jupiter, protocol,
                 family, base_symbol, quote_symbol, base_multiplier, quote_multiplier
             FROM dex_trades
             WHERE time >= to_timestamp($1::float8 / 1000) AND time < to_timestamp($2::float8 / 1000)
             ORDER BY slot, transaction_index, instruction, ordinal, signature",
        )
        .bind(from)
        .bind(to)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(exported).collect()
    }

    pub(in crate::sink::database) async fn decimals(
        &self,
        mints: &[Pubkey],
    ) -> Result<Vec<(Pubkey, u64, u8)>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT token.mint, told.slot, told.base_decimals
             FROM unnest($1::bytea[]) AS token (mint)
             CROSS JOIN LATERAL (
                 SELECT slot, base_decimals FROM dex_trades
                 WHERE base = token.mint AND base_decimals IS NOT NULL
                 ORDER BY time DESC LIMIT $2
             ) AS told",
        )
        .bind(mints.iter().map(|mint| mint.0).collect::<Vec<_>>())
        .bind(DECIMALS)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(decimals).collect()
    }

    pub(in crate::sink::database) async fn hours(
        &self,
        from: i64,
        to: i64,
    ) -> Result<Vec<HourTotals>, DatabaseError> {
        let rows = sqlx::query(
            "SELECT (extract(epoch FROM date_trunc('hour', time)) * 1000)::bigint AS start, count(*),
                 coalesce(sum(CASE
                     WHEN quote IN ($3, $4) THEN quote_amount / 1e6
                     WHEN base IN ($3, $4) THEN base_amount / 1e6
                     ELSE coalesce(quote_usd, base_usd, 0)
                 END), 0)::float8
             FROM dex_trades
             WHERE time >= to_timestamp($1::float8 / 1000) AND time < to_timestamp($2::float8 / 1000)
                 AND market IS NOT NULL
             GROUP BY start ORDER BY start",
        )
        .bind(from)
        .bind(to)
        .bind(crate::project::USDC.0)
        .bind(crate::project::USDT.0)
        .fetch_all(&self.pool)
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
}
