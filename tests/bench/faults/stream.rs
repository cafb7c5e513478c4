//! The load: an open loop, in which calls leave at their time whether or not earlier ones were
//! answered, and every answer is judged as it comes. Latency counts from the moment a call was due.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use perijove_tests::client::{self, Reply};
use perijove_tests::sandbox::Sandbox;
use perijove_tests::sandbox::sight::{Level, Sight};
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::judge::{Asked, Verdict};
use crate::questions::{Asker, Question};

/// Calls under way at most; further ones are lost.
const OPEN: usize = 6_000;
/// How long a client waits for an answer: longer than the gateway lets it.
const PATIENCE: Duration = Duration::from_secs(40);

/// One call and what became of it.
#[derive(Debug, Clone)]
pub struct Record {
    /// When it was due, from the start of the load.
    pub due: Duration,
    pub latency: Duration,
    pub method: &'static str,
    pub verdict: Verdict,
    /// Slots that its answer is older than one that had come before the call left.
    pub back: u64,
    /// Who answered, if it was no cache.
    pub upstream: Option<String>,
}

/// Calls per second.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    pub reads: u32,
    pub writes: u32,
    pub scans: u32,
}

/// A load under way.
#[derive(Debug)]
pub struct Stream {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    generators: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    cluster: Arc<Sandbox>,
    client: reqwest::Client,
    url: String,
    start: Instant,
    asker: Mutex<Asker>,
    records: Mutex<Vec<Record>>,
    ids: AtomicU64,
    /// The newest slot that was told so far, by level.
    told: [AtomicU64; 3],
    open: Semaphore,
}

#[derive(Debug, Clone, Copy)]
enum Ask {
    Read,
    Write,
    Scan,
}

impl Stream {
    /// Starts calling.
    pub fn start(cluster: Arc<Sandbox>, url: String, rates: Rates) -> reqwest::Result<Self> {
        let client = client::builder()
            .timeout(PATIENCE)
            .pool_max_idle_per_host(512)
            .build()?;
        let shared = Arc::new(Shared {
            asker: Mutex::new(Asker::new(&cluster)),
            cluster,
            client,
            url,
            start: Instant::now(),
            records: Mutex::new(Vec::new()),
            ids: AtomicU64::new(1),
            told: Default::default(),
            open: Semaphore::new(OPEN),
        });
        let (stop, stopped) = watch::channel(false);
        let mut generators = JoinSet::new();
        for (ask, rate) in [
            (Ask::Read, rates.reads),
            (Ask::Write, rates.writes),
            (Ask::Scan, rates.scans),
        ] {
            if rate > 0 {
                let period = Duration::from_secs(1) / rate;
                let shared = Arc::clone(&shared);
                generators.spawn(shared.generate(ask, period, stopped.clone()));
            }
        }
        Ok(Self {
            shared,
            stop,
            generators,
        })
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        self.shared.start.elapsed()
    }

    /// Waits until this long after the start.
    pub async fn until(&self, time: Duration) {
        sleep_until(self.shared.start + time).await;
    }

    /// Looks at the calls that have ended so far.
    pub fn look<T>(&self, at: impl FnOnce(&[Record]) -> T) -> T {
        at(&self.shared.records.lock())
    }

    /// Stops, waits for every answer and gives all calls in the order in which they were due.
    pub async fn stop(mut self) -> Vec<Record> {
        self.stop.send_replace(true);
        while self.generators.join_next().await.is_some() {}
        let mut records = std::mem::take(&mut *self.shared.records.lock());
        records.sort_by_key(|record| record.due);
        records
    }
}

impl Shared {
    async fn generate(
        self: Arc<Self>,
        ask: Ask,
        period: Duration,
        mut stopped: watch::Receiver<bool>,
    ) {
        let mut due = self.start + period;
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                _ = stopped.changed() => break,
                () = sleep_until(due) => {}
            }
            under_way.spawn(Arc::clone(&self).call(ask, due));
            due += period;
            while under_way.try_join_next().is_some() {}
        }
        while under_way.join_next().await.is_some() {}
    }

    async fn call(self: Arc<Self>, ask: Ask, due: Instant) {
        let sent = self.sight();
        let question = self.question(ask, sent);
        let told = self.told(question.level).load(Ordering::Relaxed);
        let (verdict, upstream) = match self.open.try_acquire() {
            Ok(_permit) => self.exchange(&question, sent).await,
            Err(_) => (Verdict::Lost("too many calls under way".to_owned()), None),
        };
        let back = match verdict {
            Verdict::Good { at: Some(at), .. } => {
                self.told(question.level).fetch_max(at, Ordering::Relaxed);
                told.saturating_sub(at)
            }
            _ => 0,
        };
        let record = Record {
            due: due - self.start,
            latency: due.elapsed(),
            method: question.method,
            verdict,
            back,
            upstream,
        };
        self.records.lock().push(record);
    }

    fn question(&self, ask: Ask, sent: Sight) -> Question {
        let mut asker = self.asker.lock();
        match ask {
            Ask::Read => asker.read(sent),
            Ask::Write => asker.write(sent),
            Ask::Scan => asker.scan(),
        }
    }

    async fn exchange(&self, question: &Question, sent: Sight) -> (Verdict, Option<String>) {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let body = json!({
            "jsonrpc": "2.0",
            "id": id,
            "method": question.method,
            "params": question.params,
        });
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .body(body.to_string());
        let outcome = match request.send().await {
            Ok(response) => Reply::read(response).await,
            Err(error) => Err(error),
        };
        let outcome = outcome.map_err(|error| words(&error));
        let received = self.sight();
        let upstream = outcome.as_ref().ok().and_then(|reply| {
            let name = reply.header("x-perijove-upstream")?;
            // Whoever filled the cache did not answer this call.
            (!matches!(reply.cache(), "hit" | "coalesced" | "stale")).then(|| name.to_owned())
        });
        let asked = Asked {
            question,
            id,
            sent,
            received,
        };
        (asked.judge(&self.cluster, &outcome), upstream)
    }

    fn told(&self, level: Level) -> &AtomicU64 {
        let [processed, confirmed, finalized] = &self.told;
        match level {
            Level::Processed => processed,
            Level::Confirmed => confirmed,
            Level::Finalized => finalized,
        }
    }

    /// How a node without faults sees the cluster now.
    fn sight(&self) -> Sight {
        Sight::of(self.cluster.cluster().clock.tip())
    }
}

/// An error with its causes, which reqwest leaves out.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    // The address differs from row to row.
    text.replace("error sending request for url", "no answer")
}
