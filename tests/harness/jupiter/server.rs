//! One server: its port, its paths, its faults, its counts.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use super::fault::{Fault, Faults, Kind, delay};
use super::limits::{Windows, admit};
use super::market::Market;
use super::products::{Issued, labels, request_id};
use super::quote::query;
use super::reply::Reply;
use super::{Chain, Settings, Shape};
use crate::sandbox::{StartError, start_error};

/// Requests kept word for word.
const KEPT: usize = 512;

/// A server of the swap API.
#[derive(Debug)]
pub struct Server {
    index: usize,
    settings: Settings,
    address: SocketAddr,
    market: Arc<Market>,
    chain: Arc<Chain>,
    faults: Faults,
    windows: Windows,
    state: Mutex<State>,
    /// Bound but never listening: keeps the port ours while the server is down.
    _port: TcpSocket,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct State {
    up_since: Instant,
    tally: Tally,
    seen: VecDeque<Seen>,
    orders: HashMap<String, Issued>,
}

/// Totals since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Requests by path.
    pub hits: BTreeMap<String, u64>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests that a limit refused.
    pub limited: u64,
    /// Orders executed, and those executed more than once.
    pub executed: u64,
    pub executed_again: u64,
    /// Connections accepted.
    pub accepted: u64,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

/// What the control port shows of a server.
#[derive(Debug, Serialize)]
pub struct Report {
    pub index: usize,
    pub url: String,
    pub up: bool,
    pub faults: Vec<Fault>,
    #[serde(flatten)]
    pub tally: Tally,
}

type Answer = http::Response<UnsyncBoxBody<Bytes, io::Error>>;

impl Server {
    /// Takes the port and starts listening.
    pub(super) fn start(
        index: usize,
        settings: Settings,
        market: Arc<Market>,
        chain: Arc<Chain>,
    ) -> Result<Arc<Self>, StartError> {
        let fail = start_error(settings.address);
        let port = socket(settings.address).map_err(&fail)?;
        let address = port.local_addr().map_err(&fail)?;
        let server = Arc::new(Self {
            index,
            settings,
            address,
            market,
            chain,
            faults: Faults::default(),
            windows: Windows::default(),
            state: Mutex::new(State {
                up_since: Instant::now(),
                tally: Tally::default(),
                seen: VecDeque::new(),
                orders: HashMap::new(),
            }),
            _port: port,
            accepting: Mutex::new(None),
        });
        server.listen()?;
        Ok(server)
    }

    /// Its number.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Where it is, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it was started.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The market it trades on.
    pub fn market(&self) -> &Market {
        &self.market
    }

    pub(super) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Adds a fault. Needs the chain's slot, hence `async`; `down` has taken effect at the end.
    pub async fn fault(&self, fault: impl Into<Fault>) {
        let fault = fault.into();
        let down = fault.kind == Kind::Down;
        let now = self.chain.slot().await.unwrap_or(0);
        self.faults.add(fault, now);
        if down && let Some(task) = self.close() {
            // It ends by being cut, which is no error here.
            task.await.unwrap_or_default();
        }
    }

    /// Takes all faults away; a server that was down listens again, cold as after any start.
    pub fn heal(self: &Arc<Self>) -> Result<(), StartError> {
        self.faults.clear();
        self.listen()
    }

    /// Requests to this path.
    pub fn hits(&self, path: &str) -> u64 {
        self.tally().hits.get(path).copied().unwrap_or(0)
    }

    /// The totals.
    pub fn tally(&self) -> Tally {
        self.state.lock().tally.clone()
    }

    /// The last requests to this path, oldest first.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        let state = self.state.lock();
        let asked = |seen: &&Seen| seen.target.split('?').next() == Some(path);
        state.seen.iter().filter(asked).cloned().collect()
    }

    /// Starts counting from zero.
    pub fn reset_counts(&self) {
        let mut state = self.state.lock();
        state.tally = Tally::default();
        state.seen.clear();
    }

    /// What the control port shows.
    pub fn report(&self) -> Report {
        Report {
            index: self.index,
            url: self.url(),
            up: self.accepting.lock().is_some(),
            faults: self.faults.list(),
            tally: self.tally(),
        }
    }

    /// What a quote asked for at a slot must have said.
    pub fn said_at(&self, slot: u64, target: &str) -> Result<Value, Reply> {
        let request = super::quote::Request::read(&query(target))?;
        request.answer(&self.market, slot, &self.settings)
    }

    /// The slot its market is at.
    pub(super) async fn market_slot(&self) -> Result<u64, Reply> {
        let now = self.chain.slot().await;
        let now = now.ok_or_else(|| Reply::text(500, "the node does not answer"))?;
        Ok(self.faults.market_slot(now))
    }

    /// Remembers an order and gives its id.
    pub(super) fn issue(&self, quote: &Value) -> String {
        let mut state = self.state.lock();
        let id = request_id(self.index, state.orders.len() as u64);
        let issued = Issued {
            quote: quote.clone(),
            executed: 0,
        };
        state.orders.insert(id.clone(), issued);
        id
    }

    /// Counts the execution of an order; `None` if another server made the order, or none did.
    pub(super) fn executed(&self, id: &str) -> Option<Issued> {
        let mut state = self.state.lock();
        let issued = state.orders.get_mut(id)?;
        issued.executed += 1;
        let issued = issued.clone();
        state.tally.executed += 1;
        state.tally.executed_again += u64::from(issued.executed > 1);
        Some(issued)
    }

    /// Listens unless it does already.
    fn listen(self: &Arc<Self>) -> Result<(), StartError> {
        let mut accepting = self.accepting.lock();
        if accepting.is_some() {
            return Ok(());
        }
        let fail = start_error(self.address);
        let socket = socket(self.address).map_err(&fail)?;
        let listener = socket.listen(1_024).map_err(&fail)?;
        self.state.lock().up_since = Instant::now();
        *accepting = Some(tokio::spawn(accept(listener, Arc::clone(self))));
        Ok(())
    }

    /// Cuts the accepting task, and with it the connections it owns.
    pub(super) fn close(&self) -> Option<JoinHandle<()>> {
        let task = self.accepting.lock().take()?;
        task.abort();
        Some(task)
    }

    async fn exchange(&self, request: http::Request<Incoming>) -> io::Result<Answer> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let path = head.uri.path().to_owned();
        let seen = Seen {
            method: head.method.to_string(),
            target: head.uri.to_string(),
            headers: head.headers,
            body,
        };
        self.count(&path, &seen);
        let kinds = self.faults.take(&path);
        match delay(&kinds) {
            Some(delay) => sleep(delay).await,
            None => std::future::pending().await,
        }
        let closes = |kind: &Kind| kinds.contains(kind);
        if closes(&Kind::Close) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let reply = self.reply(&path, &seen, &kinds).await;
        if closes(&Kind::Swallow) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let mut state = self.state.lock();
        *state.tally.statuses.entry(reply.status).or_default() += 1;
        drop(state);
        answer(reply, closes(&Kind::Cut))
    }

    fn count(&self, path: &str, seen: &Seen) {
        let mut state = self.state.lock();
        *state.tally.hits.entry(path.to_owned()).or_default() += 1;
        if state.seen.len() >= KEPT {
            state.seen.pop_front();
        }
        state.seen.push_back(seen.clone());
    }

    /// The answer, with what comes before an API and what goes with every answer.
    async fn reply(&self, path: &str, seen: &Seen, kinds: &[Kind]) -> Reply {
        let key = seen.headers.get("x-api-key");
        let key = key.and_then(|key| key.to_str().ok());
        let mut reply = match self.refused(kinds) {
            Some(refusal) => refusal,
            None => self.served(path, seen, key).await,
        };
        if self.settings.shape == Shape::Hosted {
            let number = self.state.lock().seen.len() as u64;
            reply.header("x-api-gateway-request-id", request_id(self.index, number));
        }
        reply
    }

    /// What the faults answer in place of the API.
    fn refused(&self, kinds: &[Kind]) -> Option<Reply> {
        let faulty = kinds.iter().find_map(|kind| match kind {
            Kind::RateLimit { firewall: true } => Some(Reply::gateway(429, "Too many requests")),
            Kind::RateLimit { firewall: false } => {
                Some(Reply::gateway(429, "[API Gateway] Too many requests"))
            }
            Kind::HttpStatus { status, body } => {
                let usual = format!("{status}\n");
                Some(Reply::text(*status, body.as_ref().unwrap_or(&usual)))
            }
            Kind::Firewall => Some(Reply::gateway(403, "Request blocked by firewall")),
            Kind::Cold => Some(cold()),
            Kind::NoRoute => Some(Reply::refusal(
                "Could not find any route",
                "COULD_NOT_FIND_ANY_ROUTE",
            )),
            Kind::Error { error, code } => Some(Reply::refusal(error, code)),
            Kind::Garbage => Some(Reply {
                body: "<<not json>>{\"inputMint\":".to_owned(),
                ..Reply::ok(&Value::Null)
            }),
            _ => None,
        });
        let up_since = self.state.lock().up_since;
        let warm = up_since.elapsed() >= self.settings.cold;
        faulty.or_else(|| (!warm).then(cold))
    }

    async fn served(&self, path: &str, seen: &Seen, key: Option<&str>) -> Reply {
        if let Err(refusal) = admit(key, &self.settings) {
            return refusal;
        }
        // Executing has a window of its own, which no test has filled yet.
        let counted = !path.ends_with("/execute") && path != "/health";
        let standing = counted
            .then(|| self.windows.count(key.unwrap_or(""), &self.settings))
            .flatten();
        if let Some(standing) = standing.filter(super::limits::Standing::exceeded) {
            self.state.lock().tally.limited += 1;
            let mut reply = Reply::gateway(429, "[API Gateway] Too many requests");
            standing.tell(&mut reply);
            return reply;
        }
        let (Ok(mut reply) | Err(mut reply)) = self.route(path, seen).await;
        if reply.status == 200
            && let Some(standing) = standing
        {
            standing.tell(&mut reply);
        }
        reply
    }

    async fn route(&self, path: &str, seen: &Seen) -> Result<Reply, Reply> {
        let query = query(&seen.target);
        let own = match self.settings.shape {
            Shape::SelfHosted => path,
            Shape::Hosted => path.strip_prefix("/swap/v1").unwrap_or(""),
        };
        match (seen.method.as_str(), own) {
            ("GET", "/quote") => return self.quote(&query).await,
            ("POST", "/swap") => return self.swap(&seen.body, false).await,
            ("POST", "/swap-instructions") => return self.swap(&seen.body, true).await,
            ("GET", "/program-id-to-label") => return Ok(labels()),
            ("GET", "/health") if self.settings.shape == Shape::SelfHosted => {
                return Ok(Reply::text(200, "OK"));
            }
            _ => {}
        }
        let missing = || Reply::gateway(404, "Route not found");
        if self.settings.shape == Shape::SelfHosted {
            return Err(Reply::text(404, ""));
        }
        match (seen.method.as_str(), path) {
            ("GET", "/ultra/v1/order" | "/swap/v2/order") => self.order(&query).await,
            ("POST", "/ultra/v1/execute" | "/swap/v2/execute") => self.execute(&seen.body).await,
            ("GET", "/price/v3") => self.prices(&query).await,
            ("GET", _) => match path.strip_prefix("/tokens/v2/") {
                Some(rest) => self.tokens(rest, &query).await?.ok_or_else(missing),
                None => Err(missing()),
            },
            _ => Err(missing()),
        }
    }
}

fn cold() -> Reply {
    Reply::text(503, "Service Unavailable\n")
}

fn answer(reply: Reply, cut: bool) -> io::Result<Answer> {
    let bytes = Bytes::from(reply.body);
    let mut response = http::Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let body = if cut {
        let half = bytes.slice(..bytes.len() / 2);
        response = response.header("content-length", bytes.len());
        let parts = [
            Ok(Frame::data(half)),
            Err(io::ErrorKind::ConnectionAborted.into()),
        ];
        // The half is to reach the peer before the end does.
        let parts = stream::iter(parts).then(async |part| {
            if part.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
            part
        });
        StreamBody::new(parts.boxed()).boxed_unsync()
    } else {
        Full::new(bytes)
            .map_err(|never| match never {})
            .boxed_unsync()
    };
    response.body(body).map_err(io::Error::other)
}

/// A socket that may share its port with this server's other one.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Accepts connections and owns their tasks: when this future is dropped, all of them end.
async fn accept(listener: TcpListener, server: Arc<Server>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                server.state.lock().tally.accepted += 1;
                connections.spawn(serve(stream, Arc::clone(&server)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, server: Arc<Server>) {
    let service = service_fn(|request| {
        let server = Arc::clone(&server);
        async move { server.exchange(request).await }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // The peer sees how it ended; there is nobody else to tell.
    connection.unwrap_or_default();
}
