//! What the program needs around it: Kafka, PostgreSQL, Redis, and a configuration that names them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use perijove_ingest::config::{self, StoreUrl};
use perijove_ingest::sink::database::Database;
use perijove_ingest::sink::market::{RedisConnection, audit};
use perijove_tests::kafka::{Kafka, Listener};
use perijove_tests::ports;
use perijove_tests::postgres::Postgres;
use perijove_tests::redis::Redis;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use sqlx::postgres::PgPool;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::messages::Ledger;
use crate::program::{PATIENCE, Program, Said, command};

pub const TOPIC: &str = "solana.dextrades.proto";
pub const PARTITIONS: i32 = 4;
pub const GROUP: &str = "tests";

#[derive(Debug)]
pub struct World {
    pub kafka: Kafka,
    pub postgres: Postgres,
    pub redis: Redis,
    /// Whether members keep their names when they are started again, which needs another assignment.
    named: bool,
    folder: TempDir,
}

impl World {
    pub async fn start() -> Self {
        Self::with(false).await
    }

    /// One in which members have names, or none.
    pub async fn with(named: bool) -> Self {
        let kafka = Kafka::start().await;
        kafka.create_topic(TOPIC, PARTITIONS).await;
        Self {
            kafka,
            // Killed, but never with the whole machine.
            postgres: Postgres::alone(&["-c", "fsync=off"]).await,
            redis: Redis::start().await,
            named,
            folder: TempDir::new().unwrap(),
        }
    }

    /// Starts the program; of those with a name there is one at a time. Where names count, its
    /// partitions stay its own when it is started again.
    pub fn program(&self, member: Option<&str>) -> Program {
        self.program_with(member, "{rows: 300, wait: 20ms}")
    }

    /// The same with another topic.
    pub fn program_of(&self, topic: &str) -> Program {
        let port = ports::take();
        let file = self.folder.path().join("member.yaml");
        let settings = self.settings(None, port, "{rows: 300, wait: 20ms}");
        std::fs::write(&file, settings.replace(TOPIC, topic)).unwrap();
        Program::start(&file, port)
    }

    /// The same with other batches.
    pub fn program_with(&self, member: Option<&str>, batch: &str) -> Program {
        let port = ports::take();
        let file = self
            .folder
            .path()
            .join(format!("{}.yaml", member.unwrap_or("member")));
        std::fs::write(&file, self.settings(member, port, batch)).unwrap();
        Program::start(&file, port)
    }

    /// One with settings of its own, made of the usual ones.
    pub fn program_as(&self, name: &str, settings: impl FnOnce(String) -> String) -> Program {
        let port = ports::take();
        let file = self.folder.path().join(format!("{name}.yaml"));
        let usual = self.settings(None, port, "{rows: 300, wait: 20ms}");
        std::fs::write(&file, settings(usual)).unwrap();
        Program::start(&file, port)
    }

    /// The same by way of another program, which becomes this one.
    pub fn program_by(
        &self,
        wrapper: Command,
        name: &str,
        settings: impl FnOnce(String) -> String,
    ) -> Program {
        let port = ports::take();
        let file = self.folder.path().join(format!("{name}.yaml"));
        let usual = self.settings(None, port, "{rows: 300, wait: 20ms}");
        std::fs::write(&file, settings(usual)).unwrap();
        Program::start_by(wrapper, &file, port)
    }

    /// Runs a command with a configuration made of the usual one.
    pub async fn command_as(
        &self,
        settings: impl FnOnce(String) -> String,
        words: &[&str],
    ) -> Said {
        let usual = self.settings(None, 1, "{rows: 300, wait: 20ms}");
        let folder = self.folder.path();
        std::fs::write(folder.join("as.yaml"), settings(usual)).unwrap();
        let words = [words, &["--config", "as.yaml"]].concat();
        command(folder, &words).await
    }

    /// Where configurations are, and where commands run.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn settings(&self, member: Option<&str>, port: u16, batch: &str) -> String {
        let brokers = self.kafka.servers(Listener::Plaintext);
        let (database, redis) = (self.postgres.url(), self.redis.url());
        let assignment = if self.named {
            "roundrobin"
        } else {
            "cooperative-sticky"
        };
        let mut text = format!(
            "http: {{listen: 127.0.0.1:{port}}}
streams: [{{topic: {TOPIC}, kind: trades}}]
batch: {batch}
database: {{url: \"{database}\", timeout: 2s, connect: 1s}}
redis: {{url: \"{redis}\", connect: 500ms, timeout: 1s}}
breaker: {{open: 500ms}}
shutdown: {{grace: 2s}}
kafka:
  brokers: [\"{brokers}\"]
  security: plaintext
  start: earliest
  session_timeout: 3s
  heartbeat: 1s
  max_poll_interval: 10s
  commit_interval: 1s
  assignment: {assignment}
  group:
    id: {GROUP}
"
        );
        if let Some(member) = member.filter(|_| self.named) {
            writeln!(text, "    member: {member}").unwrap();
        }
        text
    }

    /// Runs a command with the configuration of the member without a name, which must end well.
    pub async fn command(&self, words: &[&str]) -> String {
        let words = [words, &["--config", "member.yaml"]].concat();
        command(self.folder.path(), &words).await.well()
    }

    /// The database as tests ask it.
    pub async fn pool(&self) -> PgPool {
        PgPool::connect(&self.postgres.url()).await.unwrap()
    }

    /// How far each partition is stored, by what the database says.
    pub async fn stored(&self, pool: &PgPool) -> Result<BTreeMap<i32, i64>, sqlx::Error> {
        let rows: Vec<(i32, Option<i64>)> = sqlx::query_as(
            "SELECT partition, next_offset FROM kafka_offsets
             WHERE consumer_group = $1 AND topic = $2",
        )
        .bind(GROUP)
        .bind(TOPIC)
        .fetch_all(pool)
        .await?;
        let rows = rows.into_iter();
        Ok(rows
            .map(|(partition, next)| (partition, next.unwrap_or(0)))
            .collect())
    }

    /// How far Kafka has been told that each partition is read.
    pub async fn committed(&self) -> BTreeMap<i32, i64> {
        let mut client = self.kafka.client(Listener::Plaintext);
        let client: BaseConsumer = client.set("group.id", GROUP).create().unwrap();
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(TOPIC, 0, PARTITIONS - 1);
        let told = spawn_blocking(move || client.committed_offsets(asked, PATIENCE)).await;
        let told = told.unwrap().unwrap();
        let offset = |element: &TopicPartitionListElem<'_>| match element.offset() {
            Offset::Offset(offset) => Some((element.partition(), offset)),
            _ => None,
        };
        told.elements().iter().filter_map(offset).collect()
    }

    /// Waits until everything that was sent is stored.
    pub async fn all_stored(&self, pool: &PgPool, ledger: &Ledger) {
        let ends = ledger.ends();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stored = self.stored(pool).await;
            if stored.as_ref().is_ok_and(|stored| *stored == ends) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "waited in vain for {ends:?} to be stored, not {stored:?}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Redis holds what the trades in the database come to, and nothing else. Says how many keys
    /// that were.
    pub async fn redis_equals_the_database(&self) -> usize {
        redis_equals(&self.database().await, &self.redis).await
    }

    /// Waits until it does. Nothing more may be sent.
    pub async fn until_redis_equals_the_database(&self) {
        let database = self.database().await;
        let deadline = Instant::now() + PATIENCE;
        while let Some(different) = differences(&database, &self.redis).await.err() {
            assert!(Instant::now() < deadline, "waited in vain: {different}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// The database as the program opens it.
    pub async fn database(&self) -> Database {
        let settings = config::Database {
            url: StoreUrl::parse(&self.postgres.url(), &["postgres"]).unwrap(),
            ..config::Database::default()
        };
        Database::open(&settings).await.unwrap()
    }
}

/// The same for any database.
pub async fn redis_equals(database: &Database, redis: &Redis) -> usize {
    differences(database, redis).await.unwrap()
}

/// How many keys are as they should be, or what is not.
async fn differences(database: &Database, redis: &Redis) -> Result<usize, String> {
    let url = StoreUrl::parse(&redis.url(), &["redis"]).unwrap();
    let patient = config::Redis {
        connect: PATIENCE,
        timeout: PATIENCE,
        ..config::Redis::at(url)
    };
    let mut link = RedisConnection::new(&patient).unwrap();
    let found = audit(database, &mut link, 0).await.unwrap();
    let few: Vec<&String> = found.differences.iter().take(20).collect();
    let all = found.differences.len();
    if few.is_empty() {
        Ok(found.compared)
    } else {
        Err(format!("{all} of {}: {few:#?}", found.compared))
    }
}
