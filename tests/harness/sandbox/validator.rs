//! One validator: its port, its faults, its counts, and its view of the cluster.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};

use super::accounts::Accounts;
use super::afflictions::Afflictions;
use super::answer::Node;
use super::body::Body;
use super::chain;
use super::clock::Clock;
use super::connection::Connection;
use super::counts::{Counts, Seen, Tally};
use super::failure::Failure;
use super::fault::{Fault, HANDSHAKE, Kind};
use super::http::Request;
use super::ledger::Ledger;
use super::pubsub::{self, Desk, Offer};
use super::rpc::Incoming;
use super::sight::Sight;
use super::transaction::{self, Transaction};
use super::{StartError, start_error};

/// What all validators share.
#[derive(Debug)]
pub struct Cluster {
    pub clock: Clock,
    pub ledger: Ledger,
    pub accounts: Accounts,
    pub size: usize,
}

impl Cluster {
    /// Takes a transaction in as if a client had sent it to some validator: it lands in the next
    /// slot. Gives its signature; `None` if the bytes are no transaction.
    pub fn land(&self, bytes: &[u8]) -> Option<String> {
        self.land_with(bytes, None)
    }

    /// The same for one that is processed and fails with `err`, if any.
    pub fn land_with(&self, bytes: &[u8], err: Option<Value>) -> Option<String> {
        let signature = Transaction::read(bytes)?.signature;
        let next = self.clock.tip().saturating_add(1);
        self.ledger
            .land_with(&signature, transaction::encoded(bytes), next, err);
        Some(signature)
    }
}

/// A validator of the sandbox cluster.
#[derive(Debug)]
pub struct Validator {
    index: usize,
    address: SocketAddr,
    cluster: Arc<Cluster>,
    faults: Afflictions,
    counts: Arc<Counts>,
    /// Bound but never listening: keeps the port ours while the validator is down.
    port: TcpSocket,
    /// Likewise for the port after it, if the validator speaks WebSocket.
    next_port: Option<TcpSocket>,
    offer: Offer,
    desk: Arc<Desk>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

/// What the control port shows of a validator.
#[derive(Debug, Serialize)]
pub struct Report {
    pub index: usize,
    pub url: String,
    pub websocket_url: String,
    pub identity: String,
    pub up: bool,
    pub processed: u64,
    pub faults: Vec<Fault>,
    pub open_connections: usize,
    #[serde(flatten)]
    pub tally: Tally,
    pub pubsub: pubsub::Tally,
}

impl Validator {
    /// Takes the port (0 = any free one) and starts listening.
    pub(super) fn start(
        index: usize,
        address: SocketAddr,
        cluster: Arc<Cluster>,
        offer: Offer,
    ) -> Result<Arc<Self>, StartError> {
        let (port, next_port) = ports(address, offer.websocket)?;
        let address = port.local_addr().map_err(start_error(address))?;
        let validator = Arc::new(Self {
            index,
            address,
            cluster,
            faults: Afflictions::default(),
            counts: Arc::new(Counts::default()),
            port,
            next_port,
            offer,
            desk: Arc::default(),
            accepting: Mutex::new(None),
        });
        validator.listen()?;
        Ok(validator)
    }

    /// Its number, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its URL for WebSockets, where clients look for it: the port after that for HTTP.
    pub fn websocket_url(&self) -> String {
        format!("ws://{}", next(self.address))
    }

    /// What it offers over WebSocket.
    pub fn offer(&self) -> Offer {
        self.offer
    }

    /// The ids and counts of its WebSockets.
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// What its WebSockets did.
    pub fn pubsub(&self) -> pubsub::Tally {
        self.desk.tally()
    }

    pub(super) fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Its identity key.
    pub fn identity(&self) -> String {
        chain::identity(self.index)
    }

    /// What it has seen, after its faults.
    pub fn sight(&self) -> Sight {
        self.sight_behind(0)
    }

    /// What it saw so many slots ago.
    pub(super) fn sight_behind(&self, slots: u64) -> Sight {
        let distortion = self.faults.distortion();
        let clock = &self.cluster.clock;
        let seen = clock.tip().saturating_sub(distortion.lag);
        let seen = seen.saturating_sub(slots);
        let seen = distortion.stopped_at.map_or(seen, |slot| slot.min(seen));
        let sight = Sight::of(seen)
            .rooted_at_most(clock.root())
            .rooted_at_most(distortion.rooted);
        match distortion.fork {
            Some(fork) => sight.on_fork(fork.line, fork.ahead),
            None => sight,
        }
    }

    /// Adds a fault. `down` takes effect when the accepting task has been cut, a moment later.
    pub fn fault(&self, fault: impl Into<Fault>) {
        let fault = fault.into();
        let down = fault.kind == Kind::Down;
        self.faults.add(fault, self.sight().processed);
        if down {
            self.close();
        }
    }

    /// Takes all faults away; a validator that was down listens again.
    pub fn heal(self: &Arc<Self>) -> Result<(), StartError> {
        self.faults.clear();
        self.listen()
    }

    /// Closes the port and every connection, and waits until that has happened.
    pub async fn down(&self) {
        self.faults.add(Kind::Down.into(), self.sight().processed);
        let accepting = self.close();
        if let Some(task) = accepting {
            // It ends by being cut, which is no error here.
            task.await.unwrap_or_default();
        }
    }

    /// Its active faults.
    pub fn faults(&self) -> &Afflictions {
        &self.faults
    }

    /// Its counters.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Calls of this method, probes not counted.
    pub fn hits(&self, method: &str) -> u64 {
        let tally = self.counts.tally();
        tally.hits.get(method).copied().unwrap_or(0)
    }

    /// Calls of any method, probes not counted.
    pub fn hits_total(&self) -> u64 {
        self.counts.tally().hits.values().sum()
    }

    /// Probes of this method.
    pub fn probe_hits(&self, method: &str) -> u64 {
        let tally = self.counts.tally();
        tally.probes.get(method).copied().unwrap_or(0)
    }

    /// Probes of any method.
    pub fn probes(&self) -> u64 {
        self.counts.tally().probes.values().sum()
    }

    /// What the control port shows.
    pub fn report(&self) -> Report {
        Report {
            index: self.index,
            url: self.url(),
            websocket_url: self.websocket_url(),
            identity: self.identity(),
            up: self.accepting.lock().is_some(),
            processed: self.sight().processed,
            faults: self.faults.list(),
            open_connections: self.counts.open(),
            tally: self.counts.tally(),
            pubsub: self.desk.tally(),
        }
    }

    pub(super) fn version(&self) -> Result<Body, Failure> {
        self.node().answer("getVersion", None)
    }

    /// Counts a handshake and the connection that it takes over.
    pub(super) fn upgraded(&self, request: Request) {
        self.counts.upgraded();
        self.counts.handshake(Seen {
            target: request.target,
            headers: request.headers,
            body: request.body,
            methods: vec![HANDSHAKE.to_owned()],
            probe: false,
        });
    }

    pub(super) fn health_word(&self) -> &'static str {
        self.node().health_word()
    }

    pub(super) fn count(&self, request: Request, methods: Vec<String>, probe: bool) {
        self.counts.request(Seen {
            target: request.target,
            headers: request.headers,
            body: request.body,
            methods,
            probe,
        });
    }

    /// Answers a request, each call meeting the faults meant for calls.
    pub(super) fn answer(&self, incoming: &Incoming, probe: bool, widen: u64) -> Body {
        let node = self.node();
        incoming.answer(|call| {
            let fault = self.faults.take_for_call(&call.method, probe);
            if let Some(Kind::RpcError {
                code,
                message,
                data,
            }) = fault
            {
                let typical = Failure::typical(code, node.sight.processed);
                return Err(Failure {
                    code,
                    message: message.unwrap_or(typical.message),
                    data: data.or(typical.data),
                });
            }
            let result = node.answer(&call.method, call.params.as_deref())?;
            Ok(result.widened(widen))
        })
    }

    fn node(&self) -> Node<'_> {
        Node {
            index: self.index,
            validators: self.cluster.size,
            sight: self.sight(),
            tip: self.cluster.clock.tip(),
            distortion: self.faults.distortion(),
            ledger: &self.cluster.ledger,
            accounts: self.cluster.accounts,
        }
    }

    /// Listens unless it does already.
    fn listen(self: &Arc<Self>) -> Result<(), StartError> {
        let mut accepting = self.accepting.lock();
        if accepting.is_some() {
            return Ok(());
        }
        let listener = listener(self.address)?;
        let beside = match self.next_port {
            Some(_) => Some(self::listener(next(self.address))?),
            None => None,
        };
        let accepting_both = accept(listener, beside, Arc::clone(self));
        *accepting = Some(tokio::spawn(accepting_both));
        Ok(())
    }

    /// Cuts the accepting task, and with it the connections it owns.
    pub(super) fn close(&self) -> Option<JoinHandle<()>> {
        let task = self.accepting.lock().take()?;
        task.abort();
        Some(task)
    }

    /// The port, for messages when it was chosen by the system.
    pub fn port(&self) -> u16 {
        self.port
            .local_addr()
            .map_or_else(|_| self.address.port(), |address| address.port())
    }
}

/// A socket that may share its port with this validator's other one.
fn socket(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    Ok(socket)
}

fn listener(address: SocketAddr) -> Result<TcpListener, StartError> {
    let fail = start_error(address);
    let socket = socket(address).map_err(&fail)?;
    socket.bind(address).map_err(&fail)?;
    socket.listen(1024).map_err(&fail)
}

/// The same address with the port after it.
fn next(mut address: SocketAddr) -> SocketAddr {
    address.set_port(address.port().saturating_add(1));
    address
}

/// Takes the port and, if it is wanted, the one after it. Where any will do, pairs are tried until
/// both are free.
fn ports(address: SocketAddr, both: bool) -> Result<(TcpSocket, Option<TcpSocket>), StartError> {
    const TRIES: usize = 500;
    let taken = |address: SocketAddr| {
        let port = socket(address)?;
        port.bind(address)?;
        Ok(port)
    };
    let mut tried = Vec::new();
    loop {
        let port = taken(address).map_err(start_error(address))?;
        if !both {
            return Ok((port, None));
        }
        let beside = next(port.local_addr().map_err(start_error(address))?);
        // Sockets that share their port would share it with strangers too.
        let free = std::net::TcpListener::bind(beside).map(drop);
        match free.and_then(|()| taken(beside)) {
            Ok(beside) => return Ok((port, Some(beside))),
            Err(_) if address.port() == 0 && tried.len() < TRIES => tried.push(port),
            Err(error) => return Err(start_error(beside)(error)),
        }
    }
}

/// Accepts connections and owns their tasks: when this future is dropped, all of them end.
async fn accept(listener: TcpListener, beside: Option<TcpListener>, validator: Arc<Validator>) {
    let mut connections = JoinSet::new();
    let next = async || match &beside {
        Some(beside) => beside.accept().await,
        None => std::future::pending().await,
    };
    loop {
        let (accepted, only_websocket) = tokio::select! {
            accepted = listener.accept() => (accepted, false),
            accepted = next() => (accepted, true),
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else { continue };
        let open = validator.counts.connection();
        let connection = Connection::new(stream, Arc::clone(&validator), open, only_websocket);
        connections.spawn(connection.serve());
    }
}
