//! HTTP/2 over TLS in front of a validator, as most providers have it: it counts connections and
//! streams, adds the latency it is configured with, and fails in the ways that only HTTP/2 has.

#![expect(clippy::expect_used, reason = "a harness fails the test it is used in")]

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::Identity;
use crate::client::keep_alive;
use crate::sandbox::Validator;

type Pieces = Vec<Result<Frame<Bytes>, h2::Error>>;
type Body = StreamBody<stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, h2::Error>>>>;

/// A TLS listener that offers HTTP/2 and nothing else, unless it is a reluctant one.
#[derive(Debug)]
pub struct Http2Front {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    validator: String,
    client: reqwest::Client,
    delay: Duration,
    /// Connections that carried a call; probes are not counted.
    used: AtomicUsize,
    calls: AtomicU64,
    /// So many calls more are refused before they are looked at.
    refuse: AtomicUsize,
    /// So many answers more break off in their middle.
    break_off: AtomicUsize,
    leave: watch::Sender<u64>,
    /// Calls are taken in HTTP/1.1 only, which is offered as well.
    reluctant: bool,
    /// Calls that came in HTTP/1.1.
    older: AtomicU64,
}

impl Http2Front {
    /// Listens on a free port. Each answer takes `delay`, and a connection carries `streams` calls.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start(
        identity: &Identity,
        validator: &Validator,
        delay: Duration,
        streams: u32,
    ) -> Self {
        Self::start_as(identity, validator, delay, streams, false).await
    }

    /// The same of one that offers HTTP/2 and HTTP/1.1, and refuses calls in HTTP/2
    /// (`HTTP_1_1_REQUIRED`).
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start_reluctant(identity: &Identity, validator: &Validator) -> Self {
        Self::start_as(identity, validator, Duration::ZERO, 250, true).await
    }

    async fn start_as(
        identity: &Identity,
        validator: &Validator,
        delay: Duration,
        streams: u32,
        reluctant: bool,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let mut config = identity.server();
        config.alpn_protocols = vec![b"h2".to_vec()];
        if reluctant {
            config.alpn_protocols.push(b"http/1.1".to_vec());
        }
        let shared = Arc::new(Shared {
            validator: validator.url(),
            client: keep_alive(),
            delay,
            used: AtomicUsize::new(0),
            calls: AtomicU64::new(0),
            refuse: AtomicUsize::new(0),
            break_off: AtomicUsize::new(0),
            leave: watch::Sender::new(0),
            reluctant,
            older: AtomicU64::new(0),
        });
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let accepting = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared), streams));
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Where it is, by the name of the certificate.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/", self.address.port())
    }

    /// Connections that carried a call so far.
    pub fn connections(&self) -> usize {
        self.shared.used.load(Ordering::SeqCst)
    }

    /// Calls so far, those included that were refused.
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::SeqCst)
    }

    /// Calls that came in HTTP/1.1 so far.
    pub fn older_calls(&self) -> u64 {
        self.shared.older.load(Ordering::SeqCst)
    }

    /// Refuses the next calls unseen (`REFUSED_STREAM`).
    pub fn refuse(&self, calls: usize) {
        self.shared.refuse.store(calls, Ordering::SeqCst);
    }

    /// Breaks off the next answers in their middle.
    pub fn break_off(&self, answers: usize) {
        self.shared.break_off.store(answers, Ordering::SeqCst);
    }

    /// Leaves all connections (`GOAWAY`), as a server does that is replaced by a newer one.
    pub fn leave(&self) {
        self.shared.leave.send_modify(|times| *times += 1);
    }
}

impl Drop for Http2Front {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>, streams: u32) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(serve(stream, tls, shared, streams));
    }
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>, streams: u32) {
    let Ok(stream) = tls.accept(stream).await else {
        return;
    };
    let older = stream.get_ref().1.alpn_protocol() != Some(b"h2");
    let mut leave = shared.leave.subscribe();
    let carried = Arc::new(AtomicUsize::new(0));
    let service =
        service_fn(move |request| answer(request, Arc::clone(&shared), Arc::clone(&carried)));
    if older {
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // However it ends, the gateway tells what it made of it.
        drop(connection.await);
        return;
    }
    let connection = http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(streams)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    loop {
        tokio::select! {
            _ended = connection.as_mut() => return,
            changed = leave.changed() => {
                if changed.is_err() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    carried: Arc<AtomicUsize>,
) -> Result<Response<Body>, h2::Error> {
    let probe = request.headers().contains_key("x-perijove-probe");
    if !probe {
        shared.calls.fetch_add(1, Ordering::SeqCst);
        if request.version() != Version::HTTP_2 {
            shared.older.fetch_add(1, Ordering::SeqCst);
        } else if shared.reluctant {
            return Err(h2::Reason::HTTP_1_1_REQUIRED.into());
        }
        if carried.fetch_add(1, Ordering::SeqCst) == 0 {
            shared.used.fetch_add(1, Ordering::SeqCst);
        }
        if one_of(&shared.refuse) {
            return Err(h2::Reason::REFUSED_STREAM.into());
        }
        tokio::time::sleep(shared.delay).await;
    }
    let (status, body) = forward(request, &shared, probe).await;
    let mut pieces: Pieces = vec![Ok(Frame::data(body.clone()))];
    if !probe && one_of(&shared.break_off) {
        let half = body.slice(..body.len() / 2);
        pieces = vec![
            Ok(Frame::data(half)),
            Err(h2::Reason::INTERNAL_ERROR.into()),
        ];
    }
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    Ok(response
        .body(StreamBody::new(stream::iter(pieces)))
        .expect("a response"))
}

/// The validator's answer, or a 502.
async fn forward(request: Request<Incoming>, shared: &Shared, probe: bool) -> (u16, Bytes) {
    let Ok(body) = request.into_body().collect().await else {
        return (400, Bytes::new());
    };
    let mut call = shared
        .client
        .post(&shared.validator)
        .header("content-type", "application/json");
    if probe {
        call = call.header("x-perijove-probe", "1");
    }
    match call.body(body.to_bytes()).send().await {
        Ok(response) => {
            let status = response.status().as_u16();
            (status, response.bytes().await.unwrap_or_default())
        }
        Err(_) => (502, Bytes::new()),
    }
}

fn one_of(left: &AtomicUsize) -> bool {
    let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        left.checked_sub(1)
    });
    taken.is_ok()
}
