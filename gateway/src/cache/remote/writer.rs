//! Writes the queued answers in the background: in batches sent together, over a connection of its
//! own so that no lookup waits behind a large write.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use perijove_core::UnixClock;
use perijove_core::redis as schema;
use redis::{Cmd, RedisError, Script, Value, cmd};
use tokio::time::{Instant, timeout};

use super::codec;
use super::connection_log::ConnectionLog;
use super::failure::{RedisFailure, RedisOperation};
use super::metrics::{RedisMetrics, WriteOutcome};
use super::supervised::{SupervisedConnection, SupervisedState};
use super::write_queue::{PendingWrite, WriteQueue};
use crate::config::{self, RedisMode};

/// Maximum number of writes in flight.
const PORTION: usize = 64;

/// Maximum bytes of a batch, unless a single write is larger.
const PORTION_BYTES: u64 = 1024 * 1024;

/// Time limit of one write.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    link: Arc<SupervisedConnection>,
    /// All supervised connections, including the writer's own.
    links: Vec<Arc<SupervisedConnection>>,
    queue: Arc<WriteQueue>,
    /// The SHA-1 by which the server knows the script.
    script: String,
    compress_from: usize,
    /// Whether another server can become the master.
    follows_master: bool,
    /// Milliseconds since 1970.
    clock: UnixClock,
    metrics: RedisMetrics,
    news: Arc<ConnectionLog>,
}

impl Writer {
    pub(super) fn new(
        link: Arc<SupervisedConnection>,
        links: Vec<Arc<SupervisedConnection>>,
        queue: &Arc<WriteQueue>,
        settings: &config::Redis,
        metrics: &RedisMetrics,
        clock: UnixClock,
    ) -> Self {
        Self {
            link,
            links,
            queue: Arc::clone(queue),
            script: Script::new(schema::NEWER_WINS).get_hash().to_owned(),
            compress_from: settings.compress_from,
            follows_master: settings.mode == RedisMode::Sentinel,
            clock,
            metrics: metrics.clone(),
            news: Arc::default(),
        }
    }

    /// Reports the result of writes to `news`.
    pub(super) fn telling(self, news: &Arc<ConnectionLog>) -> Self {
        let news = Arc::clone(news);
        Self { news, ..self }
    }

    pub(super) fn links(&self) -> &[Arc<SupervisedConnection>] {
        &self.links
    }

    /// Writes whatever is queued; does not return.
    pub(super) async fn run(self) {
        loop {
            // Until there is a connection, writes stay in the queue, where the oldest are dropped.
            self.link.ready().await;
            let writes = self.queue.take(PORTION, PORTION_BYTES).await;
            self.metrics.queued(&self.queue);
            let live = self.link.ready().await;
            let results = join_all(writes.into_iter().map(|write| self.write(&live, write))).await;
            let failure = results.iter().find_map(|result| result.as_ref().err());
            self.news.written(failure.copied(), Instant::now());
        }
    }

    async fn write(&self, live: &SupervisedState, write: PendingWrite) -> Result<(), RedisFailure> {
        let result = self.try_write(live, &write).await;
        self.metrics.write(match result {
            Ok(outcome) => outcome,
            Err(failure) => {
                self.metrics.failure(RedisOperation::Write, failure);
                WriteOutcome::Failed
            }
        });
        // Nobody may wait for it any more.
        write.done.map(|done| done.send(()));
        result.map(drop)
    }

    async fn try_write(
        &self,
        live: &SupervisedState,
        write: &PendingWrite,
    ) -> Result<WriteOutcome, RedisFailure> {
        let lives = write.ends.saturating_duration_since(Instant::now());
        let lives = u64::try_from(lives.as_millis()).unwrap_or(u64::MAX);
        if lives == 0 {
            return Ok(WriteOutcome::Expired);
        }
        let name = schema::answer(write.key.to_bytes());
        let sealed = codec::seal(&name, &write.entry, self.clock.millis(), self.compress_from);
        let Some(value) = sealed else {
            return Ok(WriteOutcome::Unfit);
        };
        let command = |verb, script: &str| {
            let mut command = cmd(verb);
            command
                .arg(script)
                .arg(1)
                .arg(&name)
                .arg(&*value)
                .arg(lives);
            command
        };
        let first = self.ask(live, &command("EVALSHA", &self.script)).await;
        let answer = match first {
            // The server was restarted since. This also loads the script.
            Err(WriteRefusal::NoScript) => {
                self.ask(live, &command("EVAL", schema::NEWER_WINS)).await
            }
            answer => answer,
        };
        match answer {
            Ok(Value::Int(1)) => Ok(WriteOutcome::Written),
            Ok(Value::Int(0)) => Ok(WriteOutcome::Older),
            Ok(_) => {
                live.broken();
                Err(RedisFailure::Protocol)
            }
            Err(WriteRefusal::NoScript) => Err(RedisFailure::Refused),
            Err(WriteRefusal::Other(failure)) => Err(failure),
        }
    }

    async fn ask(&self, live: &SupervisedState, command: &Cmd) -> Result<Value, WriteRefusal> {
        match timeout(PATIENCE, live.ask(command)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.code() == Some("NOSCRIPT") => Err(WriteRefusal::NoScript),
            Ok(Err(error)) => {
                self.conclude(live, &error);
                Err(WriteRefusal::Other(RedisFailure::of(&error)))
            }
            Err(_elapsed) => {
                live.slow();
                Err(WriteRefusal::Other(RedisFailure::Timeout))
            }
        }
    }

    fn conclude(&self, live: &SupervisedState, error: &RedisError) {
        live.failed(error);
        if self.follows_master && error.code() == Some("READONLY") {
            // The master has become a replica. Lookups do not notice, since it still answers them.
            for live in self.links.iter().filter_map(|link| link.live()) {
                live.broken();
            }
        }
    }
}

/// Why the server did not write it.
enum WriteRefusal {
    NoScript,
    Other(RedisFailure),
}
