//! An upstream of Jupiter's API that answers as a test tells it to, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Version;
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub const SOL: &str = "So11111111111111111111111111111111111111112";
pub const USDC: &str = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v";
/// The amount that canaries ask for; tests ask for others.
pub const CANARY: &str = "amount=10000000&";
pub const POOL: &str = "5BKxfWMbmYBAEWvyPZS9esPducUba9GqyMjtLCfbaqyF";

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub version: Version,
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// Path and query.
    pub fn target(&self) -> String {
        match self.query.as_str() {
            "" => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    pub after: Duration,
}

impl Answer {
    pub fn json(value: &Value) -> Self {
        Self::text(200, &value.to_string()).with("content-type", "application/json")
    }

    pub fn refused(status: u16, value: &Value) -> Self {
        Self {
            status,
            ..Self::json(value)
        }
    }

    pub fn text(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
            after: Duration::ZERO,
        }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

type Script = Box<dyn Fn(&Asked) -> Option<Answer> + Send + Sync>;

struct Shared {
    asked: Mutex<Vec<Asked>>,
    script: Mutex<Script>,
    /// Of the quotes that it gives by itself.
    slot: Mutex<Box<dyn Fn() -> u64 + Send + Sync>>,
    held: watch::Sender<bool>,
}

/// A running one; ends when dropped.
pub struct Scripted {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: Mutex<Option<JoinHandle<()>>>,
}

impl Scripted {
    /// One that quotes as Jupiter does, from markets at `slot`, and knows nothing else.
    pub async fn start(slot: u64) -> Self {
        let shared = Arc::new(Shared {
            asked: Mutex::default(),
            script: Mutex::new(Box::new(|_| None)),
            slot: Mutex::new(Box::new(move || slot)),
            held: watch::Sender::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let upstream = Self {
            address,
            shared,
            serving: Mutex::default(),
        };
        upstream.serve(listener);
        upstream
    }

    fn serve(&self, listener: TcpListener) {
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&self.shared));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        *self.serving.lock() = Some(serving);
    }

    /// From now on this is answered where it is not `None`.
    pub fn answers(&self, script: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static) {
        *self.shared.script.lock() = Box::new(script);
    }

    /// From now on everything, canaries as well, is answered so.
    pub fn always(&self, answer: Answer) {
        self.answers(move |_| Some(answer.clone()));
    }

    /// The slot of its markets.
    pub fn at(&self, slot: u64) {
        self.follows(move || slot);
    }

    /// Its markets are always as new as this says.
    pub fn follows(&self, slot: impl Fn() -> u64 + Send + Sync + 'static) {
        *self.shared.slot.lock() = Box::new(slot);
    }

    /// Nothing but canaries is answered until it is released.
    pub fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    pub fn release(&self) {
        self.shared.held.send_replace(false);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked, canaries left out.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().clone()
    }

    /// How often a path was asked for, canaries left out.
    pub fn hits(&self, path: &str) -> usize {
        let asked = self.shared.asked.lock();
        asked.iter().filter(|asked| asked.path == path).count()
    }

    pub fn forget(&self) {
        self.shared.asked.lock().clear();
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.lock().take() {
            serving.abort();
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 24)
        .await
        .unwrap_or_default();
    let asked = Asked {
        version: head.version,
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    if !asked.query.contains(CANARY) {
        shared.asked.lock().push(asked.clone());
        let mut held = shared.held.subscribe();
        // The other end is in the same hands.
        drop(held.wait_for(|held| !held).await);
    }
    let scripted = shared.script.lock()(&asked);
    let answer = scripted.unwrap_or_else(|| usual(&shared, &asked));
    tokio::time::sleep(answer.after).await;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).unwrap()
}

fn usual(shared: &Shared, asked: &Asked) -> Answer {
    if !asked.path.ends_with("/quote") {
        return Answer::text(404, "404 page not found");
    }
    let parameter = |name: &str| {
        let mut pairs = asked
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value.to_owned())
    };
    let amount: u64 = parameter("amount").unwrap_or_default().parse().unwrap_or(0);
    let slot = shared.slot.lock()();
    Answer::json(&quote(slot, amount, 150))
}

/// A quote as Jupiter writes it.
pub fn quote(slot: u64, amount: u64, price: u64) -> Value {
    let out = (amount * price / 1000).to_string();
    json!({
        "inputMint": SOL, "inAmount": amount.to_string(),
        "outputMint": USDC, "outAmount": out, "otherAmountThreshold": out,
        "swapMode": "ExactIn", "slippageBps": 50, "platformFee": null, "priceImpactPct": "0",
        "routePlan": [{
            "swapInfo": {
                "ammKey": POOL, "label": "Meteora DLMM", "inputMint": SOL, "outputMint": USDC,
                "inAmount": amount.to_string(), "outAmount": out, "feeAmount": "1", "feeMint": SOL,
            },
            "percent": 100,
        }],
        "contextSlot": slot, "timeTaken": 0.015,
    })
}
