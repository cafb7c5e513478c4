//! Partitions of tables by slot: made when their first row comes, dropped when their last is old.

use perijove_core::Slot;

use super::Postgres;
use crate::record::UnixMillis;
use crate::sink::database::new_trades::integer;
use crate::sink::database::{DatabaseError, PARTITION_SLOTS, RowBatch};

const TRADES: &str = "dex_trades";
const TRANSFERS: &str = "transfers";
const TRANSACTIONS: &str = "transactions";
const SLOTS: &str = "slots";

impl Postgres {
    /// Makes the partitions for the rows of a batch. That needs the whole table for a moment, so it
    /// is done before the batch's own transaction.
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

    /// Drops partitions whose rows are all from before a time. Says how many.
    pub(in crate::sink::database) async fn forget(
        &self,
        before: UnixMillis,
    ) -> Result<u64, DatabaseError> {
        let mut dropped = 0;
        for table in [TRADES, TRANSFERS, TRANSACTIONS, SLOTS] {
            // What is dropped may be wanted again: an old recording, replayed.
            self.partitions.lock().clear();
            let count: i32 =
                sqlx::query_scalar("SELECT drop_partitions($1, to_timestamp($2::float8 / 1000))")
                    .bind(table)
                    .bind(before.0)
                    .fetch_one(&self.pool)
                    .await?;
            self.partitions.lock().clear();
            dropped += u64::from(count.unsigned_abs());
        }
        Ok(dropped)
    }
}
