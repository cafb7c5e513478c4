//! The clients: each has a key and a connection of its own, asks one request after the other, and
//! writes down what it asked, how the cluster stood before and after, and what it was told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use perijove_tests::client::{self, Reply};
use perijove_tests::sandbox::Sandbox;
use perijove_tests::sandbox::sight::Sight;
use serde_json::{Value, json};

use super::questions::{Asker, Question};

/// One question and its answer.
#[derive(Debug, Clone)]
pub struct Record {
    pub client: usize,
    pub question: Question,
    /// How a validator without faults saw the cluster when the request left.
    pub sent: Sight,
    /// The same when the answer had come.
    pub received: Sight,
    /// The answer: an object with `result` or `error`.
    pub answer: Value,
    /// The header `x-perijove-cache`.
    pub cache: String,
    /// Whether the client asked to go past the cache.
    pub bypass: bool,
    /// Requests of this client before this one.
    pub round: usize,
    /// Whether it was one of several calls in a request.
    pub batched: bool,
}

/// Where and for how long a client asks.
#[derive(Debug, Clone)]
pub struct Errand {
    pub cluster: Arc<Sandbox>,
    pub url: String,
    pub client: usize,
    /// The key of a consumer, which makes it a client of its own.
    pub key: String,
    pub calls: usize,
    /// Set when the last change of the weather is over.
    pub done: Arc<AtomicBool>,
}

impl Errand {
    /// Asks until enough was asked and the weather is over.
    pub async fn run(self, mut asker: Asker) -> Vec<Record> {
        let http = client::keep_alive();
        let mut records = Vec::with_capacity(self.calls);
        let mut round = 0;
        while records.len() < self.calls || !self.done.load(Ordering::Relaxed) {
            self.round(&http, &mut asker, round, &mut records).await;
            round += 1;
            // Bursts and pauses, so that questions meet both in flight and after the slot has moved.
            if asker.chance().u8(..4) == 0 {
                let pause = asker.chance().u64(1..40);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
        records
    }

    async fn round(
        &self,
        http: &reqwest::Client,
        asker: &mut Asker,
        round: usize,
        records: &mut Vec<Record>,
    ) {
        let sent = self.sight();
        let batched = asker.chance().u8(..5) == 0;
        let count = if batched {
            1 + asker.chance().usize(..6)
        } else {
            1
        };
        let questions: Vec<_> = (0..count).map(|_| asker.ask(sent)).collect();
        let bypass = asker.chance().u8(..12) == 0;
        let calls: Vec<_> = questions
            .iter()
            .zip(0..)
            .map(|(question, place)| written(question, &id(round, place)))
            .collect();
        let body = if batched {
            format!("[{}]", calls.join(","))
        } else {
            calls.concat()
        };
        let mut request = http
            .post(&self.url)
            .header("content-type", "application/json")
            .header("x-api-key", &self.key)
            .body(body);
        if bypass {
            request = if asker.chance().bool() {
                request.header("cache-control", "no-cache")
            } else {
                request.header("x-perijove-cache", "bypass")
            };
        }
        let reply = Reply::read(request.send().await.unwrap()).await.unwrap();
        let received = self.sight();
        let json = reply.json();
        let answers = if batched {
            json.as_array().unwrap_or_else(|| panic!("{json}")).clone()
        } else {
            vec![json]
        };
        assert_eq!(answers.len(), questions.len(), "{}", reply.text());
        for (place, (question, answer)) in (0..).zip(questions.into_iter().zip(answers)) {
            assert_eq!(answer["id"], id(round, place), "{}", reply.text());
            records.push(Record {
                client: self.client,
                question,
                sent,
                received,
                answer,
                cache: reply.cache().to_owned(),
                bypass,
                round,
                batched,
            });
        }
    }

    fn sight(&self) -> Sight {
        let clock = &self.cluster.cluster().clock;
        Sight::of(clock.tip()).rooted_at_most(clock.root())
    }
}

/// Numbers, as web3.js writes none and solana-py does, and strings, as kit does.
fn id(round: usize, place: usize) -> Value {
    if round.is_multiple_of(2) {
        json!(round * 10 + place)
    } else {
        json!(format!("{round}-{place}"))
    }
}

fn written(question: &Question, id: &Value) -> String {
    let (method, params) = (question.method, &question.spelled);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#)
}
