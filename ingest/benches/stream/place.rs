//! Kafka, PostgreSQL and Redis as the program finds them in production, the program itself, and
//! messages for it.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use futures::future::join_all;
use perijove_ingest::record::Record;
use perijove_tests::kafka::{Kafka, Listener};
use perijove_tests::metrics::Metrics;
use perijove_tests::ports;
use perijove_tests::postgres::Postgres;
use perijove_tests::redis::Redis;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use sqlx::postgres::PgPool;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

pub const TOPIC: &str = "solana.dextrades.proto";
pub const PARTITIONS: i32 = 4;
const GROUP: &str = "bench";

/// Messages that are sent before their delivery is waited for.
const TOGETHER: usize = 2000;

/// What anybody sets who has a database of their own; it is as durable as by default.
const POSTGRES: [&str; 6] = [
    "-c",
    "shared_buffers=1GB",
    "-c",
    "max_wal_size=8GB",
    "-c",
    "checkpoint_timeout=15min",
];

pub struct Place {
    pub kafka: Kafka,
    pub postgres: Postgres,
    pub redis: Redis,
    folder: TempDir,
}

impl Place {
    pub async fn make() -> Self {
        let kafka = Kafka::start().await;
        kafka.create_topic(TOPIC, PARTITIONS).await;
        Self {
            kafka,
            postgres: Postgres::alone(&POSTGRES).await,
            redis: Redis::start().await,
            folder: TempDir::new().unwrap(),
        }
    }

    /// A producer that compresses as Bitquery's does.
    pub fn producer(&self) -> FutureProducer {
        let mut config = self.kafka.client(Listener::Plaintext);
        config
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .set("batch.size", "1000000")
            .set("queue.buffering.max.kbytes", "1000000");
        config.create().unwrap()
    }

    /// Starts the program with every default that has to do with speed.
    pub fn program(&self) -> Program {
        let (port, file) = (ports::take(), self.folder.path().join("ingest.yaml"));
        let brokers = self.kafka.servers(Listener::Plaintext);
        let (database, redis) = (self.postgres.url(), self.redis.url());
        let text = format!(
            "http: {{listen: 127.0.0.1:{port}}}
log: {{level: warn}}
kafka:
  brokers: [\"{brokers}\"]
  security: plaintext
  start: earliest
  group: {{id: {GROUP}}}
streams: [{{topic: {TOPIC}, kind: trades}}]
database: {{url: \"{database}\"}}
redis: {{url: \"{redis}\"}}
breaker: {{open: 1s}}
"
        );
        std::fs::write(&file, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_perijove-ingest"))
            .args(["run", "--config"])
            .arg(&file)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Program { child, port }
    }

    pub async fn pool(&self) -> PgPool {
        PgPool::connect(&self.postgres.url()).await.unwrap()
    }

    /// How far all partitions together are stored, and the number of trades if asked.
    pub async fn stored(&self, pool: &PgPool) -> i64 {
        let sum =
            sqlx::query_scalar("SELECT coalesce(sum(next_offset), 0)::bigint FROM kafka_offsets");
        sum.fetch_one(pool).await.unwrap_or(0)
    }

    pub async fn trades(&self, pool: &PgPool) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM dex_trades");
        count.fetch_one(pool).await.unwrap()
    }

    /// Waits until so many messages are stored. Says how long it took from the first of them.
    pub async fn stored_from_first(&self, pool: &PgPool, messages: i64) -> (Instant, Duration) {
        let mut first = None;
        loop {
            let stored = self.stored(pool).await;
            if stored > 0 && first.is_none() {
                first = Some(Instant::now());
            }
            if let Some(first) = first.filter(|_| stored >= messages) {
                return (first, first.elapsed());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A running program; killed when dropped.
pub struct Program {
    child: Child,
    port: u16,
}

impl Program {
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub async fn metrics(&self) -> Metrics {
        let url = format!("http://127.0.0.1:{}/metrics", self.port);
        loop {
            if let Ok(answer) = reqwest::get(&url).await
                && let Ok(text) = answer.text().await
            {
                return Metrics::parse(&text);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Tells it to end, and waits until both sinks have everything.
    pub async fn leave(mut self) {
        let sent = std::process::Command::new("kill")
            .arg(self.pid().to_string())
            .status();
        assert!(sent.unwrap().success());
        assert!(self.child.wait().await.unwrap().success());
    }
}

/// Sends records to their partitions, some thousands at a time.
pub async fn send(producer: &FutureProducer, records: impl IntoIterator<Item = Record>) -> usize {
    let mut records = records.into_iter();
    let mut count = 0;
    loop {
        let some: Vec<Record> = records.by_ref().take(TOGETHER).collect();
        if some.is_empty() {
            break;
        }
        count += some.len();
        let sent = some.iter().map(|record| {
            let message = FutureRecord::<[u8], [u8]>::to(TOPIC)
                .partition(record.place.partition)
                .timestamp(record.timestamp.unwrap().0)
                .payload(record.payload.as_deref().unwrap());
            let sent = producer.send_result(message);
            sent.map_err(|(error, _)| error).unwrap()
        });
        let sent: Vec<_> = sent.collect();
        for delivered in join_all(sent).await {
            delivered.unwrap().map_err(|(error, _)| error).unwrap();
        }
    }
    producer.flush(Duration::from_mins(1)).unwrap();
    count
}

/// A quantile of a histogram of the program, of what came between two scrapes: between which of its
/// bounds it is.
pub fn quantile(before: &Metrics, after: &Metrics, name: &str, share: f64) -> String {
    let bucket = format!("{name}_bucket");
    let between =
        |name: &str, labels: &[(&str, &str)]| after.sum(name, labels) - before.sum(name, labels);
    let mut counts = BTreeMap::new();
    for bound in after.label_values(&bucket, "le") {
        let count = between(&bucket, &[("le", &bound)]);
        let bound: f64 = bound.parse().unwrap_or(f64::INFINITY);
        counts.insert((bound * 1e4) as u64, (bound, count));
    }
    let all = between(&format!("{name}_count"), &[]);
    let mut below = 0.0;
    for (bound, count) in counts.values() {
        if *count >= all * share {
            return format!("{:.0}–{:.0} ms", below * 1e3, bound * 1e3);
        }
        below = *bound;
    }
    "?".to_owned()
}
