//! Partitions of tables by slot: made when their first row comes, dropped when their last is old.
//! Neither holds up writers for long while somebody reads the table, such as a backup.

use perijove_core::Slot;

use super::Postgres;
use crate::record::UnixMillis;
use crate::sink::database::new_trades::integer;
use crate::sink::database::{DatabaseError, PARTITION_SLOTS, RowBatch};

const TRADES: &str = "dex_trades";
const TRANSFERS: &str = "transfers";
const TRANSACTIONS: &str = "transactions";
const SLOTS: &str = "slots";

/// SQLSTATE of a lock that was not had in time.
const LOCKED: &str = "55P03";

impl Postgres {
    /// Makes the partitions for the rows of a batch, before the batch's own transaction: other
    /// lanes need them as well.
    pub(super) async fn make_room(&self, batch: &RowBatch) -> Result<(), DatabaseError> {
        let mut missing = Vec::new();
        {
            let known = self.partitions.lock();
            let mut need = |table: &'static str, slot: Slot| {
                let slot = integer(slot.0);
                let partition = (table, slot - slot.rem_euclid(PARTITION_SLOTS));
                if !known.contains(&partition) && !missing.contains(&partition) {
                    missing.push(partition);
                }
            };
            batch
                .trades
                .iter()
                .for_each(|row| need(TRADES, row.origin.slot));
            batch
                .transfers
                .iter()
                .for_each(|row| need(TRANSFERS, row.origin.slot));
            batch
                .transactions
                .iter()
                .for_each(|row| need(TRANSACTIONS, row.origin.slot));
            batch.slots.iter().for_each(|row| need(SLOTS, row.slot));
        }
        for (table, low) in missing {
            sqlx::query("SELECT add_partition($1, $2, $3)")
                .bind(table)
                .bind(low)
                .bind(low.saturating_add(PARTITION_SLOTS))
                .execute(&self.pool)
                .await?;
            self.partitions.lock().insert((table, low));
        }
        Ok(())
    }

    /// Another process has dropped a partition that was known to be there.
    pub(super) fn forget_room(&self) {
        self.partitions.lock().clear();
    }

    /// Drops partitions whose rows are all from before a time. Says how many. Those of a table that
    /// somebody reads for long stay until the next time.
    pub(in crate::sink::database) async fn forget(
        &self,
        before: UnixMillis,
    ) -> Result<u64, DatabaseError> {
        let mut dropped = 0;
        for table in [TRADES, TRANSFERS, TRANSACTIONS, SLOTS] {
            dropped += self.forget_rows_of(table, before).await?;
        }
        Ok(dropped)
    }

    async fn forget_rows_of(
        &self,
        table: &'static str,
        before: UnixMillis,
    ) -> Result<u64, DatabaseError> {
        let old: Vec<String> =
            sqlx::query_scalar("SELECT old_partitions($1, to_timestamp($2::float8 / 1000))")
                .bind(table)
                .bind(before.0)
                .fetch_all(&self.pool)
                .await?;
        let mut dropped = 0;
        for partition in &old {
            let done: Result<bool, _> = sqlx::query_scalar(
                "SELECT drop_partition($1, $2, to_timestamp($3::float8 / 1000))",
            )
            .bind(table)
            .bind(partition)
            .bind(before.0)
            .fetch_one(&self.pool)
            .await;
            // What is dropped may be wanted again: an old recording, replayed.
            self.forget_room();
            match done {
                Ok(done) => dropped += u64::from(done),
                Err(error) if is_locked(&error) => {
                    tracing::info!(partition, "somebody reads it; it is removed later");
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(dropped)
    }
}

fn is_locked(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some(LOCKED)
}
