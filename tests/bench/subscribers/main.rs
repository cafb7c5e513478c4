//! Clients that subscribe and read: many for the benchmark, which says how long after the first of
//! them each was told, or one that prints what it is told.

#![allow(
    clippy::print_stdout,
    reason = "a program of benchmarks and demo: what it hears is its output"
)]

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use futures::stream::{self, StreamExt};
use futures::{SinkExt, TryStreamExt};
use parking_lot::Mutex;
use perijove_tests::client::deflating::DeflatingSocket;
use perijove_tests::sandbox::accounts::{Nature, keys};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Sockets that are opened at the same time.
const AT_ONCE: usize = 64;
/// Read and written at once: a client should cost little here.
const BUFFER: usize = 2048;

#[derive(Debug, Parser)]
struct Arguments {
    /// Where to subscribe, such as `127.0.0.1:8899`.
    address: String,
    #[arg(long, default_value = "slotSubscribe")]
    method: String,
    /// Parameters, a JSON array.
    #[arg(long, default_value = "[]", value_parser = json_text)]
    params: Value,
    #[arg(long, default_value_t = 1)]
    clients: usize,
    /// Each client follows a moving account of its own, instead.
    #[arg(long)]
    distinct: bool,
    /// They offer permessage-deflate, and what they are told is not decompressed.
    #[arg(long)]
    compressed: bool,
    /// How long they listen once all have subscribed.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Prints what each is told.
    #[arg(long)]
    print: bool,
}

fn json_text(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(text)
}

/// An open socket, subscribed.
enum Socket {
    Plain(Box<WebSocketStream<TcpStream>>),
    Compressed(DeflatingSocket),
}

/// What was heard, by all.
#[derive(Debug, Default)]
struct Heard {
    counts: bool,
    notifications: u64,
    /// When the first client was told something, by its hash.
    first: HashMap<u64, Instant>,
    /// Microseconds between the first and each other client.
    behind: Vec<u64>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = Arguments::parse();
    let keys = keys(
        Nature::Moving,
        if given.distinct { given.clients } else { 0 },
    );
    let sockets: Vec<Socket> = stream::iter(0..given.clients)
        .map(|client| subscribe(&given, keys.get(client)))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    say(&json!({ "event": "subscribed", "clients": sockets.len() }))?;
    let heard = Arc::new(Mutex::new(Heard::default()));
    let mut listening = JoinSet::new();
    for socket in sockets {
        listening.spawn(listen(socket, Arc::clone(&heard), given.print));
    }
    // What piled up while others subscribed does not count.
    sleep(Duration::from_secs(1)).await;
    heard.lock().counts = true;
    say(&json!({ "event": "measuring" }))?;
    tokio::select! {
        () = sleep(Duration::from_secs(given.seconds)) => {}
        Some(ended) = listening.join_next() => return Err(format!("a socket ended: {ended:?}").into()),
    }
    let mut heard = std::mem::take(&mut *heard.lock());
    heard.behind.sort_unstable();
    say(&json!({
        "event": "done",
        "notifications": heard.notifications,
        "different": heard.first.len(),
        "p50": percentile(&heard.behind, 50),
        "p99": percentile(&heard.behind, 99),
    }))?;
    Ok(())
}

async fn subscribe(given: &Arguments, key: Option<&String>) -> Result<Socket, Error> {
    let (method, params) = match key {
        Some(key) => (
            "accountSubscribe",
            json!([key, { "commitment": "processed", "encoding": "base64" }]),
        ),
        None => (given.method.as_str(), given.params.clone()),
    };
    if given.compressed {
        let address = given.address.parse().map_err(io::Error::other)?;
        let mut socket = DeflatingSocket::open(address, &["permessage-deflate"]).await;
        let answer = socket.call(method, &params).await;
        if !answer.text.contains("\"result\"") {
            return Err(io::Error::other(answer.text).into());
        }
        return Ok(Socket::Compressed(socket));
    }
    let stream = TcpStream::connect(&given.address).await?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(0);
    let url = format!("ws://{}/", given.address);
    let (mut socket, _) = client_async_with_config(url, stream, Some(config)).await?;
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    socket.send(Message::text(call.to_string())).await?;
    loop {
        let answer = socket.next().await.ok_or(Error::ConnectionClosed)??;
        let answer = answer.to_text().unwrap_or_default();
        if answer.contains("\"error\"") {
            return Err(io::Error::other(answer.to_owned()).into());
        }
        if answer.contains("\"id\":1") {
            return Ok(Socket::Plain(Box::new(socket)));
        }
    }
}

async fn listen(socket: Socket, heard: Arc<Mutex<Heard>>, print: bool) -> Result<(), Error> {
    let mut socket = match socket {
        Socket::Plain(socket) => socket,
        Socket::Compressed(socket) => return listen_compressed(socket, &heard).await,
    };
    while let Some(message) = socket.next().await {
        let message = message?;
        let Ok(text) = message.to_text() else {
            continue;
        };
        if !text.contains("\"params\"") {
            continue;
        }
        if print {
            writeln!(io::stdout().lock(), "{text}")?;
        }
        // All but the id of the client's subscription, with which it ends.
        let shared = text.rsplit_once(',').map_or(text, |(shared, _)| shared);
        heard.lock().add(shared.as_bytes());
    }
    Ok(())
}

/// What is told stays compressed: what decompressing costs clients is not measured here.
async fn listen_compressed(mut socket: DeflatingSocket, heard: &Mutex<Heard>) -> Result<(), Error> {
    loop {
        let payload = socket.frame().await.payload;
        // The id of the client's subscription is at the end.
        let shared = payload.len().saturating_sub(32);
        heard.lock().add(payload.get(..shared).unwrap_or_default());
    }
}

impl Heard {
    fn add(&mut self, shared: &[u8]) {
        if !self.counts {
            return;
        }
        self.notifications += 1;
        let now = Instant::now();
        let mut hasher = DefaultHasher::new();
        shared.hash(&mut hasher);
        let first = *self.first.entry(hasher.finish()).or_insert(now);
        let behind = now.saturating_duration_since(first).as_micros();
        self.behind.push(u64::try_from(behind).unwrap_or(u64::MAX));
    }
}

fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let place = (sorted.len() * percent).div_ceil(100);
    sorted.get(place.checked_sub(1)?).copied()
}

fn say(what: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what}")?;
    out.flush()
}
