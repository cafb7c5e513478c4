//! One validator: its port, its faults, its counts, and its view of the cluster.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use parking_lot::Mutex;
use serde::Serialize;
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
use super::fault::{Fault, Kind};
use super::http::Request;
use super::ledger::Ledger;
use super::rpc::Incoming;
use super::sight::Sight;
use super::transaction::Transaction;
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
        let signature = Transaction::read(bytes)?.signature;
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        self.ledger
            .land(&signature, text, self.clock.tip().saturating_add(1));
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
    accepting: Mutex<Option<JoinHandle<()>>>,
}

/// What the control port tells about a validator.
#[derive(Debug, Serialize)]
pub struct Report {
    pub index: usize,
    pub url: String,
    pub identity: String,
    pub up: bool,
    pub processed: u64,
    pub faults: Vec<Fault>,
    pub open_connections: usize,
    #[serde(flatten)]
    pub tally: Tally,
}

impl Validator {
    /// Takes the port (0 = any free one) and starts listening.
    pub(super) fn start(
        index: usize,
        address: SocketAddr,
        cluster: Arc<Cluster>,
    ) -> Result<Arc<Self>, StartError> {
        let port = socket(address).map_err(start_error(address))?;
        port.bind(address).map_err(start_error(address))?;
        let address = port.local_addr().map_err(start_error(address))?;
        let validator = Arc::new(Self {
            index,
            address,
            cluster,
            faults: Afflictions::default(),
            counts: Arc::new(Counts::default()),
            port,
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

    /// Its identity key.
    pub fn identity(&self) -> String {
        chain::identity(self.index)
    }

    /// What it has seen, after its faults.
    pub fn sight(&self) -> Sight {
        let distortion = self.faults.distortion();
        let clock = &self.cluster.clock;
        let seen = clock.tip().saturating_sub(distortion.lag);
        let seen = distortion.stopped_at.map_or(seen, |slot| slot.min(seen));
        let sight = Sight::of(seen).rooted_at_most(clock.root());
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

    /// Probes of any method.
    pub fn probes(&self) -> u64 {
        self.counts.tally().probes.values().sum()
    }

    /// What the control port shows.
    pub fn report(&self) -> Report {
        Report {
            index: self.index,
            url: self.url(),
            identity: self.identity(),
            up: self.accepting.lock().is_some(),
            processed: self.sight().processed,
            faults: self.faults.list(),
            open_connections: self.counts.open(),
            tally: self.counts.tally(),
        }
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
        let fail = start_error(self.address);
        let socket = socket(self.address).map_err(&fail)?;
        socket.bind(self.address).map_err(&fail)?;
        let listener = socket.listen(1024).map_err(&fail)?;
        *accepting = Some(tokio::spawn(accept(listener, Arc::clone(self))));
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

/// Accepts connections and owns their tasks: when this future is dropped, all of them end.
async fn accept(listener: TcpListener, validator: Arc<Validator>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let open = validator.counts.connection();
                let connection = Connection::new(stream, Arc::clone(&validator));
                connections.spawn(async move {
                    let served = connection.serve().await;
                    drop(open);
                    served
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
