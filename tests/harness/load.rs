//! An open-loop load generator: requests leave on schedule whether or not earlier ones were
//! answered, and every outcome is kept. Latency counts from the scheduled moment, so a stall shows
//! in every request it delayed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::client::{self, Reply};

/// How a request of a load ended.
#[derive(Debug, Clone)]
pub struct Sent {
    /// When it was due, from the start of the load.
    pub at: Duration,
    pub latency: Duration,
    /// The reply, or what went wrong below HTTP.
    pub outcome: Result<Reply, String>,
}

impl Sent {
    /// Whether it was answered with a result.
    pub fn is_good(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|reply| {
            reply.status == 200
                && serde_json::from_slice::<serde_json::Value>(&reply.body)
                    .is_ok_and(|json| json.get("result").is_some())
        })
    }

    /// What was wrong, in a line.
    pub fn complaint(&self) -> String {
        match &self.outcome {
            Ok(reply) => format!("{:?}: {} {}", self.at, reply.status, reply.text().trim()),
            Err(error) => format!("{:?}: {error}", self.at),
        }
    }
}

/// A load under way.
#[derive(Debug)]
pub struct Load {
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
    sent: Arc<Mutex<Vec<Sent>>>,
    started: Arc<AtomicU64>,
}

/// What a load did.
#[derive(Debug)]
pub struct Outcomes {
    pub sent: Vec<Sent>,
}

impl Load {
    /// Sends `body` to `url` `rate` times a second until stopped.
    pub fn start(url: &str, rate: u32, body: &str) -> Self {
        Self::with_client(&client::keep_alive(), url, rate, body)
    }

    /// The same with a client of the caller's.
    pub fn with_client(client: &reqwest::Client, url: &str, rate: u32, body: &str) -> Self {
        let (stop, stopped) = watch::channel(false);
        let sent = Arc::new(Mutex::new(Vec::new()));
        let started = Arc::new(AtomicU64::new(0));
        let request = client
            .post(url)
            .header("content-type", "application/json")
            .body(body.to_owned());
        let running = tokio::spawn(generate(
            request,
            Duration::from_secs(1) / rate.max(1),
            stopped,
            Arc::clone(&sent),
            Arc::clone(&started),
        ));
        Self {
            stop,
            running,
            sent,
            started,
        }
    }

    /// Requests sent so far, answered or not.
    pub fn started(&self) -> u64 {
        self.started.load(Ordering::Relaxed)
    }

    /// Requests that have ended so far.
    pub fn ended(&self) -> usize {
        self.sent.lock().len()
    }

    /// Stops sending, waits for every answer and gives all outcomes.
    pub async fn stop(self) -> Outcomes {
        self.stop.send_replace(true);
        // A panic of the generator would show as missing outcomes.
        self.running.await.unwrap_or_default();
        let mut sent = std::mem::take(&mut *self.sent.lock());
        sent.sort_by_key(|one| one.at);
        Outcomes { sent }
    }
}

async fn generate(
    request: reqwest::RequestBuilder,
    period: Duration,
    mut stopped: watch::Receiver<bool>,
    sent: Arc<Mutex<Vec<Sent>>>,
    started: Arc<AtomicU64>,
) {
    let start = Instant::now();
    let mut due = start;
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = stopped.changed() => break,
            () = sleep_until(due) => {}
        }
        let Some(request) = request.try_clone() else {
            break;
        };
        let sent = Arc::clone(&sent);
        started.fetch_add(1, Ordering::Relaxed);
        under_way.spawn(async move {
            let outcome = exchange(request).await;
            sent.lock().push(Sent {
                at: due - start,
                latency: due.elapsed(),
                outcome,
            });
        });
        due += period;
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

async fn exchange(request: reqwest::RequestBuilder) -> Result<Reply, String> {
    let response = request.send().await.map_err(|error| words(&error))?;
    Reply::read(response).await.map_err(|error| words(&error))
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
    text
}

impl Outcomes {
    /// What did not end with a result.
    pub fn lost(&self) -> Vec<&Sent> {
        self.sent.iter().filter(|one| !one.is_good()).collect()
    }

    /// The latency below which this share of the requests stayed.
    pub fn quantile(&self, share: f64) -> Duration {
        quantile(self.sent.iter().map(|one| one.latency).collect(), share)
    }

    /// Fails the test if anything was lost, naming the first few.
    ///
    /// # Panics
    /// If anything was lost, or nothing was sent.
    pub fn assert_nothing_lost(&self) {
        assert!(!self.sent.is_empty(), "the load sent nothing");
        let lost = self.lost();
        let few: Vec<_> = lost.iter().take(5).map(|one| one.complaint()).collect();
        assert!(
            lost.is_empty(),
            "lost {} of {}: {few:#?}",
            lost.len(),
            self.sent.len()
        );
    }
}

/// The latency below which this share of `latencies` stays; zero if there are none.
pub fn quantile(mut latencies: Vec<Duration>, share: f64) -> Duration {
    latencies.sort();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a list of measured requests"
    )]
    let index = (latencies.len().saturating_sub(1) as f64 * share).round() as usize;
    latencies.get(index).copied().unwrap_or_default()
}
