//! Attempts against scripted HTTP/2 upstreams in the clear.

mod connections;
mod refused;
mod streams;

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, Notify};

use super::*;
use crate::config::HttpVersion;
use crate::limit::PermitRequest;
use crate::solana::{Priority, classify};
use crate::upstream::client::reply::AttemptLimits;
use crate::upstream::client::{RpcReply, RpcRequest};
use crate::upstream::testing::{pool, settings};
use crate::upstream::{CallRequirements, Candidate, Choices, ChosenPeer, Pool};

/// One request as a script sees it.
struct Call {
    /// Which connection it came on, from 0.
    connection: usize,
    request: Request<RecvStream>,
    answer: SendResponse<Bytes>,
}

impl Call {
    async fn body(&mut self) -> Vec<u8> {
        let body = self.request.body_mut();
        let mut all = Vec::new();
        while let Some(Ok(bytes)) = body.data().await {
            all.extend_from_slice(&bytes);
            body.flow_control().release_capacity(bytes.len()).unwrap();
        }
        all
    }

    fn say(mut self, text: &str) {
        let mut stream = self.answer.send_response(json(), false).unwrap();
        let text = Bytes::copy_from_slice(text.as_bytes());
        stream.send_data(text, true).unwrap();
    }
}

fn json() -> Response<()> {
    let response = Response::builder().header("content-type", "application/json");
    response.body(()).unwrap()
}

/// An upstream that counts its connections and gives each request to a script.
#[derive(Clone)]
struct Server {
    url: String,
    connections: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl Server {
    /// With so many streams on each connection.
    async fn start<F>(streams: u32, script: impl Fn(Call) -> F + Clone + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            url: format!("http://{}/key?a=b", listener.local_addr().unwrap()),
            connections: Arc::default(),
            calls: Arc::default(),
        };
        let counts = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counts.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(
                    stream,
                    number,
                    streams,
                    counts.clone(),
                    script.clone(),
                ));
            }
        });
        server
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn pool(&self) -> Arc<Pool> {
        self.bounded(20, 1024)
    }

    fn bounded(&self, kept: usize, ceiling: usize) -> Arc<Pool> {
        let mut settings = settings("a", &self.url);
        settings.http = HttpVersion::Two;
        settings.connections = kept;
        settings.connections_ceiling = ceiling;
        pool(vec![settings])
    }
}

async fn serve<F>(
    stream: TcpStream,
    number: usize,
    streams: u32,
    counts: Server,
    script: impl Fn(Call) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(streams);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
        return;
    };
    while let Some(Ok((request, answer))) = connection.accept().await {
        counts.calls.fetch_add(1, Ordering::SeqCst);
        let call = Call {
            connection: number,
            request,
            answer,
        };
        tokio::spawn(script(call));
    }
}

fn limits() -> AttemptLimits {
    AttemptLimits {
        deadline: Instant::now() + Duration::from_secs(25),
        queue: Instant::now() + Duration::from_secs(20),
        first_byte: Duration::from_secs(20),
        progress: Duration::from_secs(10),
        answer_buffer: 64 * 1024,
        replayable: true,
        ask: PermitRequest::own(Priority::Medium),
        urgency: None,
        headers: None,
    }
}

fn once() -> AttemptLimits {
    AttemptLimits {
        replayable: false,
        ..limits()
    }
}

fn candidate(pool: &Pool) -> Candidate {
    let class = classify("getSlot", None);
    let requirements = CallRequirements::of(&class, "getSlot");
    pool.candidates(requirements).next(Instant::now()).unwrap()
}

async fn call(pool: &Pool, limits: &AttemptLimits) -> Result<RpcReply, TransportFault> {
    let request = RpcRequest::new(Bytes::from_static(br#"{"id":"#), false);
    candidate(pool).attempt(&request, limits).await
}

async fn call_ok(pool: &Pool) -> String {
    text(call(pool, &limits()).await.unwrap())
}

fn text(reply: RpcReply) -> String {
    match reply.body {
        ReplyBody::Complete(answer) => {
            // Words are no answers; they come back as what was wrong.
            let words = answer.map_or_else(|bad| bad.excerpt, |answer| answer.body().clone());
            String::from_utf8(words.to_vec()).unwrap()
        }
        ReplyBody::Streaming { .. } => panic!("streamed"),
    }
}

async fn all(pool: &Arc<Pool>, calls: usize) -> Vec<String> {
    let calls = (0..calls).map(|_| call_ok(pool));
    futures::future::join_all(calls).await
}

#[tokio::test]
async fn the_request_is_that_of_http_1_and_the_hints_come_back() {
    let server = Server::start(10, |mut call| async move {
        let body = call.body().await;
        assert!(body.starts_with(br#"{"id":"#) && body.ends_with(b"}"));
        let head = &call.request;
        assert_eq!(head.method(), "POST");
        assert_eq!(head.uri().path_and_query().unwrap(), "/key?a=b");
        assert!(head.uri().authority().is_some() && !head.headers().contains_key("host"));
        assert_eq!(head.headers()["content-length"], body.len().to_string());
        assert_eq!(head.headers()["content-type"], "application/json");
        let refusal = Response::builder().status(429).header("retry-after", "7");
        let refusal = refusal.body(()).unwrap();
        call.answer.send_response(refusal, true).unwrap();
    })
    .await;
    let reply = call(&server.pool(), &limits()).await.unwrap();
    assert_eq!(reply.status, 429);
    assert_eq!(reply.hints.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(text(reply), "");
}

#[tokio::test]
async fn a_date_until_which_to_wait_is_understood_as_over_http_1() {
    let server = Server::start(10, |mut call| async move {
        let refusal = Response::builder().status(429);
        let refusal = refusal.header("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT");
        let refusal = refusal.header("x-ratelimit-method-limit", "-1");
        let refusal = refusal.body(()).unwrap();
        call.answer.send_response(refusal, true).unwrap();
    })
    .await;
    let hints = call(&server.pool(), &limits()).await.unwrap().hints;
    assert_eq!(hints.retry_at_unix, Some(784_111_777));
    assert_eq!(hints.method_limit, Some(-1));
}

#[tokio::test]
async fn an_answer_that_stalls_is_given_up_after_its_progress_time() {
    for begun in ["", r#"{"jsonrpc":"2.0","#] {
        let server = Server::start(10, move |mut call| async move {
            let mut stream = call.answer.send_response(json(), false).unwrap();
            if !begun.is_empty() {
                stream
                    .send_data(Bytes::from_static(begun.as_bytes()), false)
                    .unwrap();
                // A trickle is no better.
                while stream.send_data(Bytes::from_static(b" "), false).is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            std::future::pending::<()>().await;
        })
        .await;
        let impatient = AttemptLimits {
            progress: Duration::from_millis(200),
            ..limits()
        };
        let fault = call(&server.pool(), &impatient).await.unwrap_err();
        assert_eq!(fault, TransportFault::after(FaultKind::Stalled), "{begun}");
    }
}

#[tokio::test]
async fn a_long_answer_is_sent_only_as_fast_as_it_is_taken() {
    const LENGTH: usize = 8 * 1024 * 1024;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let server = Server::start(100, move |mut call| {
        let sent = Arc::clone(&count);
        async move {
            let mut stream = call.answer.send_response(json(), false).unwrap();
            let mut left = LENGTH;
            while left > 0 {
                stream.reserve_capacity(left.min(16 * 1024));
                let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
                let room = room.unwrap().unwrap().min(left);
                left -= room;
                sent.fetch_add(room, Ordering::SeqCst);
                stream
                    .send_data(vec![b'x'; room].into(), left == 0)
                    .unwrap();
            }
        }
    })
    .await;
    let pool = server.pool();
    let reply = call(&pool, &limits()).await.unwrap();
    let ReplyBody::Streaming { head, mut rest, .. } = reply.body else {
        panic!("not streamed");
    };
    // Nobody takes more: the upstream comes to a halt.
    let mut before = usize::MAX;
    while before != sent.load(Ordering::SeqCst) {
        before = sent.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(before < 1024 * 1024, "{before} bytes ahead");
    // Others are not held up by it.
    let small = call(&pool, &limits()).await.unwrap();
    drop(small);
    let mut length = head.len();
    while let Some(piece) = rest.next().await {
        length += piece.unwrap().len();
    }
    assert_eq!(length, LENGTH);
    assert_eq!(server.connections(), 1);
}
