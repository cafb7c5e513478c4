//! A node that says what the test tells it, over a chain that moves, and counts what it is asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The slot the chain begins with. Every node is there.
pub const BEGIN: u64 = 1_000_000;

/// What it says to a method.
#[derive(Clone, Debug)]
pub enum Says {
    Result(Value),
    Error(i64, String),
    Status(u16),
}

/// An error with Agave's code.
pub fn error(code: i64) -> Says {
    Says::Error(code, "said".to_owned())
}

impl From<Value> for Says {
    fn from(result: Value) -> Self {
        Self::Result(result)
    }
}

impl Says {
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Error(code, _) => Some(*code),
            Self::Result(_) | Self::Status(_) => None,
        }
    }
}

/// A node; ends when dropped.
pub struct Node {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
    begins: Option<u64>,
}

#[derive(Default)]
struct State {
    says: HashMap<String, Says>,
    /// Calls by method, probes not counted.
    hits: HashMap<String, u64>,
}

impl Node {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                // Whoever hangs up needs no answer.
                tokio::spawn(async move { drop(serve(stream, &state).await) });
            }
        });
        Self {
            address,
            state,
            accepting,
            begins: None,
        }
    }

    /// Its ledger begins here, and it says so.
    pub fn begins_at(mut self, slot: u64) -> Self {
        self.begins = Some(slot);
        self.says("getFirstAvailableBlock", json!(slot));
        self.says("minimumLedgerSlot", json!(slot - 2));
        self
    }

    pub fn begins(&self) -> Option<u64> {
        self.begins
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn says(&self, method: &str, says: impl Into<Says>) {
        let mut state = self.state.lock();
        state.says.insert(method.to_owned(), says.into());
    }

    pub fn hits(&self, method: &str) -> u64 {
        self.state.lock().hits.get(method).copied().unwrap_or(0)
    }

    pub fn reset(&self) {
        self.state.lock().hits.clear();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut length, mut probe) = (0, false);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            probe |= line.starts_with("x-perijove-probe:");
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let call: Value = serde_json::from_slice(&body)?;
        let (status, answer) = answer(&call, probe, state);
        let text = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        stream.write_all((head + &text).as_bytes()).await?;
    }
}

fn answer(call: &Value, probe: bool, state: &Mutex<State>) -> (u16, Value) {
    let method = call["method"].as_str().unwrap_or_default();
    let mut state = state.lock();
    if !probe {
        *state.hits.entry(method.to_owned()).or_default() += 1;
    }
    let says = state.says.get(method).cloned();
    let says = says.unwrap_or_else(|| usual(method, &call["params"]));
    match says {
        Says::Result(result) => (
            200,
            json!({"jsonrpc": "2.0", "result": result, "id": call["id"]}),
        ),
        Says::Error(code, message) => {
            let error = json!({"code": code, "message": message});
            (
                200,
                json!({"jsonrpc": "2.0", "error": error, "id": call["id"]}),
            )
        }
        Says::Status(status) => (status, json!("out of order")),
    }
}

/// The chain's slot, 400 ms each.
fn slot() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let passed = START.get_or_init(Instant::now).elapsed().as_millis() / 400;
    BEGIN + 40 + u64::try_from(passed).unwrap_or(0)
}

/// What every node of the chain says.
fn usual(method: &str, params: &Value) -> Says {
    let commitment = params[0]["commitment"].as_str().unwrap_or("finalized");
    let seen = match commitment {
        "processed" => slot(),
        "confirmed" => slot() - 1,
        _ => slot() - 33,
    };
    let epoch = 10_000;
    Says::Result(match method {
        "getSlot" => json!(seen),
        "getBlockHeight" => json!(seen - 50),
        "getMaxShredInsertSlot" => json!(slot() + 1),
        "getHealth" => json!("ok"),
        "getGenesisHash" => json!("4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY"),
        "getEpochInfo" => json!({
            "absoluteSlot": seen,
            "epoch": seen / epoch,
            "slotIndex": seen % epoch,
            "slotsInEpoch": epoch,
        }),
        _ => return error(-32601),
    })
}
