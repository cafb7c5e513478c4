//! Messages that were sent, and what they should come to.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use perijove_ingest::decode::{Encoding, Kind, Limits, decode};
use perijove_ingest::generator::Plan;
use perijove_ingest::project::{Trade, project};
use perijove_ingest::record::{Record, UnixMillis};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::world::TOPIC;

/// What a trade is named by: slot, signature, instruction, ordinal.
pub type Name = (i64, Vec<u8>, i64, i64);

/// Every record that Kafka has taken, at its place there.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Vec<Record>);

/// Few pairs, so that candles are shared by many batches; duplicates; and everything recent.
pub fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        pairs: 12,
        transactions: 6,
        duplicates: 0.1,
        ballast: 0,
        start: UnixMillis(now() - 15 * 60_000),
        ..Plan::default()
    }
}

fn now() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

impl Ledger {
    /// Of records that stand where they say, as in a recording.
    pub fn of(records: Vec<Record>) -> Self {
        Self(records)
    }

    /// Bytes of keys and payloads.
    pub fn bytes(&self) -> usize {
        let length = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
        let sizes = self.0.iter();
        sizes
            .map(|record| length(&record.key) + length(&record.payload))
            .sum()
    }

    /// Sends records, each to its partition, and notes where they came to stand.
    pub async fn send(&mut self, producer: &FutureProducer, records: Vec<Record>) {
        let sent = records.iter().map(|record| {
            let mut message = FutureRecord::<[u8], [u8]>::to(TOPIC)
                .partition(record.place.partition)
                .timestamp(record.timestamp.unwrap().0);
            message.key = record.key.as_deref();
            message.payload = record.payload.as_deref();
            let sent = producer.send_result(message);
            sent.map_err(|(error, _)| error).unwrap()
        });
        let sent: Vec<_> = sent.collect();
        for (mut record, delivered) in records.into_iter().zip(join_all(sent).await) {
            let delivered = delivered.unwrap().map_err(|(error, _)| error).unwrap();
            assert_eq!(delivered.partition, record.place.partition);
            record.place.offset = delivered.offset;
            self.0.push(record);
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The end of each partition that has anything.
    pub fn ends(&self) -> BTreeMap<i32, i64> {
        let mut ends = BTreeMap::new();
        for record in &self.0 {
            let end = ends.entry(record.place.partition).or_insert(0);
            *end = (record.place.offset + 1).max(*end);
        }
        ends
    }

    /// The trades, and how often each was sent.
    pub fn trades(&self) -> BTreeMap<Name, i64> {
        let mut trades = BTreeMap::new();
        for trade in self.0.iter().flat_map(self::trades) {
            *trades.entry(name(&trade)).or_insert(0) += 1;
        }
        trades
    }

    /// All trades as they were sent.
    pub fn all(&self) -> Vec<Trade> {
        self.0.iter().flat_map(trades).collect()
    }

    /// How many of the trades are aggregators' sums, which count in no volume.
    pub fn sums(&self) -> usize {
        let mut names = BTreeSet::new();
        for trade in self.0.iter().flat_map(trades) {
            if trade.market.is_none() {
                names.insert(name(&trade));
            }
        }
        names.len()
    }

    /// Partition and offset of the records of which something cannot be used.
    pub fn poison(&self) -> BTreeSet<(i32, i64)> {
        let poisoned = self.0.iter().filter(|record| {
            let payload = record.payload.as_ref();
            match decode(Kind::Trades, Encoding::Auto, payload, &Limits::default()) {
                Ok(message) => !project(message, record.timestamp.unwrap())
                    .poisoned
                    .is_empty(),
                Err(_) => true,
            }
        });
        poisoned
            .map(|record| (record.place.partition, record.place.offset))
            .collect()
    }
}

fn name(trade: &Trade) -> Name {
    (
        i64::try_from(trade.origin.slot.0).unwrap(),
        trade.origin.signature.0.to_vec(),
        i64::from(trade.instruction),
        i64::from(trade.ordinal),
    )
}

/// None when nothing of it can be used.
fn trades(record: &Record) -> Vec<Trade> {
    let payload = record.payload.as_ref();
    let message = decode(Kind::Trades, Encoding::Auto, payload, &Limits::default());
    message.map_or_else(
        |_poison| Vec::new(),
        |message| project(message, record.timestamp.unwrap()).trades,
    )
}
