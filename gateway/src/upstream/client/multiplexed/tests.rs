//! Attempts against scripted HTTP/2 upstreams in the clear.

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
use crate::upstream::client::RpcRequest;
use crate::upstream::client::reply::{AttemptLimits, UpstreamReply};
use crate::upstream::testing::{pool, settings};
use crate::upstream::{CallRequirements, Candidate, Pool, attempt};

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

async fn call(pool: &Pool, limits: &AttemptLimits) -> Result<UpstreamReply, TransportFault> {
    let request = RpcRequest::new(Bytes::from_static(br#"{"id":"#), false);
    attempt(&candidate(pool), &request, limits).await
}

async fn call_ok(pool: &Pool) -> String {
    text(call(pool, &limits()).await.unwrap())
}

fn text(reply: UpstreamReply) -> String {
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
async fn many_calls_at_once_share_a_connection() {
    let all_here = Arc::new(Barrier::new(80));
    let server = Server::start(1000, move |call| {
        let all_here = Arc::clone(&all_here);
        async move {
            all_here.wait().await;
            call.say("hello");
        }
    })
    .await;
    let pool = server.pool();
    assert_eq!(all(&pool, 80).await, ["hello"; 80]);
    assert_eq!(server.connections(), 1);
    assert_eq!(pool.upstreams()[0].state().open_connections(), (0, 1));
    let status = &pool.status().upstreams[0];
    assert_eq!((status.connections_busy, status.connections_idle), (0, 1));
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
async fn when_all_streams_are_used_another_connection_is_opened() {
    let all_here = Arc::new(Barrier::new(6));
    let calls = Arc::new(AtomicUsize::new(0));
    let server = Server::start(2, move |call| {
        let first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        let all_here = Arc::clone(&all_here);
        async move {
            if !first {
                all_here.wait().await;
            }
            call.say("hello");
        }
    })
    .await;
    // What is kept is no bound: no call waits for another as long as a connection can be opened.
    let pool = server.bounded(1, 100);
    assert_eq!(call_ok(&pool).await, "hello");
    assert_eq!(all(&pool, 6).await, ["hello"; 6]);
    assert!(server.connections() >= 3, "{}", server.connections());
}

/// Six calls, of which the first has opened a connection before the others begin.
async fn call_first(pool: &Arc<Pool>, server: &Server) -> usize {
    let first = call_ok(pool);
    let others = async {
        while server.calls() == 0 {
            tokio::task::yield_now().await;
        }
        all(pool, 5).await
    };
    let (_, others) = tokio::join!(first, others);
    others.len() + 1
}

#[tokio::test]
async fn at_the_ceiling_calls_wait_and_are_counted() {
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let server = Server::start(1, move |call| {
        let gate = Arc::clone(&opened);
        async move {
            gate.notified().await;
            call.say("hello");
        }
    })
    .await;
    let pool = server.bounded(1, 1);
    let live = Arc::clone(pool.upstreams()[0].state());
    let calls = call_first(&pool, &server);
    let gatekeeper = async {
        while !live.all_busy() {
            tokio::task::yield_now().await;
        }
        loop {
            gate.notify_one();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        calls = calls => assert_eq!(calls, 6),
        () = gatekeeper => {}
    }
    assert_eq!(server.connections(), 1);
    assert!(live.metrics.saturated.get() >= 1);
    assert!(!live.all_busy());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_stream_ends_and_is_not_the_upstreams_fault() {
    let server = Server::start(1, |call| async move {
        std::future::pending::<()>().await;
        drop(call);
    })
    .await;
    let pool = server.bounded(1, 1);
    let patient = limits();
    let first = call(&pool, &patient);
    let second = async {
        while server.calls() == 0 {
            tokio::task::yield_now().await;
        }
        let impatient = AttemptLimits {
            queue: Instant::now() + Duration::from_millis(100),
            ..limits()
        };
        call(&pool, &impatient).await.unwrap_err()
    };
    tokio::select! {
        fault = second => assert_eq!(fault, TransportFault::before(FaultKind::Saturated)),
        _ = first => panic!("nothing answers"),
    }
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_whatever_it_holds() {
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    let server = Server::start(100, move |mut call| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                call.answer.send_reset(Reason::REFUSED_STREAM);
            } else {
                call.say("hello");
            }
        }
    })
    .await;
    let reply = call(&server.pool(), &once()).await.unwrap();
    assert!(!reply.resent, "the first was not looked at");
    assert_eq!(text(reply), "hello");
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn when_the_name_leads_elsewhere_calls_go_there_and_those_under_way_end() {
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let old = Server::start(100, move |call| {
        let gate = Arc::clone(&opened);
        async move {
            gate.notified().await;
            call.say("old");
        }
    })
    .await;
    let new = Server::start(100, |call| async move { call.say("new") }).await;
    let pool = old.pool();
    let slow = call_ok(&pool);
    let moves = async {
        while old.calls() == 0 {
            tokio::task::yield_now().await;
        }
        let address = new.url.split('/').nth(2).unwrap().parse().unwrap();
        let addresses = &pool.upstreams()[0].state().addresses;
        addresses.pretend(vec![address]);
        assert_eq!(all(&pool, 5).await, ["new"; 5]);
        gate.notify_one();
    };
    let (under_way, ()) = tokio::join!(slow, moves);
    assert_eq!(under_way, "old");
    assert_eq!((old.calls(), old.connections()), (1, 1));
    assert_eq!((new.calls(), new.connections()), (5, 1));
    // The connection that nobody uses any more is closed.
    pool.upstreams()[0]
        .state()
        .prune_connections(Instant::now());
    assert_eq!(pool.upstreams()[0].state().open_connections(), (0, 1));
}

#[tokio::test]
async fn where_http_2_is_told_to_be_spoken_its_refusal_is_the_upstreams_fault() {
    let server = Server::start(100, |mut call| async move {
        call.answer.send_reset(Reason::HTTP_1_1_REQUIRED);
    })
    .await;
    let fault = call(&server.pool(), &once()).await.unwrap_err();
    assert_eq!(fault, TransportFault::before(FaultKind::BadHttp));
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn an_upstream_that_refuses_every_stream_is_left_and_has_seen_nothing() {
    let server = Server::start(100, |mut call| async move {
        call.answer.send_reset(Reason::REFUSED_STREAM);
    })
    .await;
    let fault = call(&server.pool(), &once()).await.unwrap_err();
    assert_eq!(fault, TransportFault::before(FaultKind::Reset));
    assert_eq!(server.calls(), 4);
}

#[tokio::test]
async fn what_was_refused_opens_no_connections_and_is_forgotten_with_answers() {
    let (gate, all_here) = (Arc::new(Notify::new()), Arc::new(Barrier::new(5)));
    let (calls, opened) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&gate));
    let server = Server::start(100, move |mut call| {
        let number = calls.fetch_add(1, Ordering::SeqCst);
        let (gate, all_here) = (Arc::clone(&opened), Arc::clone(&all_here));
        async move {
            match number {
                1 => gate.notified().await,
                2 => return call.answer.send_reset(Reason::REFUSED_STREAM),
                14.. => {
                    all_here.wait().await;
                }
                _ => {}
            }
            call.say("hello");
        }
    })
    .await;
    let pool = server.pool();
    assert_eq!(call_ok(&pool).await, "hello");
    let until = async |reached: &dyn Fn() -> bool| {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    let refused = async {
        until(&|| server.calls() == 2).await;
        call_ok(&pool).await
    };
    let gatekeeper = async {
        until(&|| pool.upstreams()[0].state().all_busy()).await;
        assert_eq!(server.calls(), 3, "it waits for the one that was taken");
        gate.notify_one();
    };
    let (first, second, ()) = tokio::join!(call_ok(&pool), refused, gatekeeper);
    assert_eq!((first, second), ("hello".to_owned(), "hello".to_owned()));
    for _ in 0..10 {
        assert_eq!(call_ok(&pool).await, "hello");
    }
    assert_eq!(all(&pool, 5).await, ["hello"; 5]);
    assert_eq!(server.connections(), 1);
}

/// Answers once, and is gone with the second request.
async fn vanishing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (_request, mut answer) = connection.accept().await.unwrap().unwrap();
        let mut stream = answer.send_response(json(), false).unwrap();
        stream
            .send_data(Bytes::from_static(b"hello"), true)
            .unwrap();
        let second = connection.accept().await;
        drop(listener);
        drop((second, connection));
    });
    url
}

#[tokio::test]
async fn what_was_sent_to_an_upstream_that_is_gone_stays_sent() {
    let mut settings = settings("a", &vanishing().await);
    settings.http = HttpVersion::Two;
    let pool = pool(vec![settings]);
    assert_eq!(call_ok(&pool).await, "hello");
    assert_eq!(
        call_fault(&pool).await,
        TransportFault::after(FaultKind::ConnectRefused)
    );
    assert_eq!(
        call_fault(&pool).await,
        TransportFault::before(FaultKind::ConnectRefused)
    );
}

/// Says GOAWAY to the first request of its first connection, with nothing looked at.
async fn leaving(server: &Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let behind = server.url.trim_start_matches("http://");
    let behind = behind.trim_end_matches("/key?a=b").to_owned();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        stream.write_all(&settings).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"}") {
            stream.read_buf(&mut seen).await.unwrap();
        }
        let mut goaway = vec![0, 0, 8, 7];
        goaway.resize(9 + 8, 0);
        stream.write_all(&goaway).await.unwrap();
        while let Ok((mut next, _)) = listener.accept().await {
            let mut to = TcpStream::connect(&behind).await.unwrap();
            drop(tokio::io::copy_bidirectional(&mut next, &mut to).await);
        }
        drop(stream);
    });
    url
}

#[tokio::test]
async fn a_stream_that_goaway_leaves_out_is_sent_on_another_connection() {
    let server = Server::start(100, |call| async move { call.say("hello") }).await;
    let mut settings = settings("a", &leaving(&server).await);
    settings.http = HttpVersion::Two;
    let pool = pool(vec![settings]);
    let reply = call(&pool, &once()).await.unwrap();
    assert!(!reply.resent);
    assert_eq!(text(reply), "hello");
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn each_way_of_failing_has_its_name() {
    type Script = fn(Call);
    let scripts: [(Script, FaultKind); 5] = [
        (
            |mut call| call.answer.send_reset(Reason::INTERNAL_ERROR),
            FaultKind::Reset,
        ),
        (
            |mut call| {
                let mut stream = call.answer.send_response(json(), false).unwrap();
                stream.send_data(Bytes::from_static(b"hel"), false).unwrap();
                stream.send_reset(Reason::INTERNAL_ERROR);
            },
            FaultKind::Reset,
        ),
        (
            |mut call| {
                let head = Response::builder().header("content-length", "10");
                let head = head.body(()).unwrap();
                let mut stream = call.answer.send_response(head, false).unwrap();
                stream
                    .send_data(Bytes::from_static(b"hello"), true)
                    .unwrap();
            },
            FaultKind::Truncated,
        ),
        (
            |mut call| {
                let head = Response::builder().header("content-encoding", "br");
                let head = head.body(()).unwrap();
                call.answer.send_response(head, true).unwrap();
            },
            FaultKind::BadHttp,
        ),
        (
            |mut call| {
                let head = Response::builder().header("content-length", "x");
                let head = head.body(()).unwrap();
                call.answer.send_response(head, true).unwrap();
            },
            FaultKind::BadHttp,
        ),
    ];
    for (script, kind) in scripts {
        let server = Server::start(100, move |call| async move { script(call) }).await;
        let fault = call(&server.pool(), &limits()).await.unwrap_err();
        assert_eq!(fault, TransportFault::after(kind));
        assert_eq!(server.calls(), 1, "{kind:?}: the upstream had it");
    }
}

#[tokio::test]
async fn a_dropped_attempt_resets_its_stream_and_leaves_the_connection_to_others() {
    let reset = Arc::new(Notify::new());
    let seen = Arc::clone(&reset);
    let server = Server::start(100, move |mut call| {
        let reset = Arc::clone(&seen);
        async move {
            call.body().await;
            if call.request.headers().contains_key("x-bigtable") {
                let ended = std::future::poll_fn(|context| call.answer.poll_reset(context)).await;
                assert_eq!(ended.unwrap(), Reason::CANCEL);
                reset.notify_one();
            } else {
                call.say("hello");
            }
        }
    })
    .await;
    let pool = server.pool();
    let limits = limits();
    let hanging = RpcRequest::new(Bytes::from_static(br#"{"id":"#), true);
    let candidate = candidate(&pool);
    tokio::select! {
        _ = attempt(&candidate, &hanging, &limits) => panic!("nothing answers"),
        () = async {
            while server.calls() == 0 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    reset.notified().await;
    drop(candidate);
    assert_eq!(call_ok(&pool).await, "hello");
    assert_eq!(server.connections(), 1);
    assert_eq!(pool.upstreams()[0].state().open_connections(), (0, 1));
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

#[tokio::test(start_paused = true)]
async fn a_connection_that_went_silent_is_replaced_under_its_calls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut number = 0;
        while let Ok((stream, _)) = listener.accept().await {
            number += 1;
            let silent = number == 1;
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let mut calls = 0;
                while let Some(Ok((request, mut answer))) = connection.accept().await {
                    calls += 1;
                    if silent && calls == 2 {
                        // As if the cable was cut: nothing is read or written any more.
                        std::future::pending::<()>().await;
                    }
                    let mut stream = answer.send_response(json(), false).unwrap();
                    stream
                        .send_data(Bytes::from_static(b"hello"), true)
                        .unwrap();
                    drop(request);
                }
            });
        }
    });
    let mut settings = settings("a", &url);
    settings.http = HttpVersion::Two;
    let pool = pool(vec![settings]);
    assert_eq!(call_ok(&pool).await, "hello");
    let reply = call(&pool, &limits()).await.unwrap();
    assert!(reply.resent);
    assert!(
        (5..=6).contains(&reply.latency.as_secs()),
        "{:?}",
        reply.latency
    );
    assert_eq!(text(reply), "hello");
}

#[tokio::test]
async fn an_answer_to_another_question_is_broken_and_its_connection_is_left() {
    let server = Server::start(100, |mut call| async move {
        let asked: serde_json::Value = serde_json::from_slice(&call.body().await).unwrap();
        let id = if call.connection == 0 {
            &7.into()
        } else {
            &asked["id"]
        };
        let answer = format!(r#"{{"jsonrpc":"2.0","result":1,"id":{id}}}"#);
        call.say(&answer);
    })
    .await;
    let pool = server.pool();
    for right in [false, true, true] {
        let reply = call(&pool, &limits()).await.unwrap();
        let ReplyBody::Complete(answer) = reply.body else {
            panic!("streamed");
        };
        assert_eq!(answer.is_ok(), right);
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_nobody_needs_is_closed() {
    let server = Server::start(100, |call| async move { call.say("hello") }).await;
    let pool = server.pool();
    assert_eq!(call_ok(&pool).await, "hello");
    let live = pool.upstreams()[0].state();
    live.prune_connections(Instant::now() + Duration::from_secs(59));
    assert_eq!(live.open_connections(), (0, 1));
    live.prune_connections(Instant::now() + Duration::from_secs(61));
    assert_eq!(live.open_connections(), (0, 0));
    assert_eq!(call_ok(&pool).await, "hello");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn nobody_listening_is_refused_before_anything_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings("a", &format!("http://{}/", listener.local_addr().unwrap()));
    drop(listener);
    settings.http = HttpVersion::Two;
    let pool = pool(vec![settings]);
    let calls = (0..20).map(|_| call_fault(&pool));
    for fault in futures::future::join_all(calls).await {
        assert_eq!(fault, TransportFault::before(FaultKind::ConnectRefused));
    }
}

async fn call_fault(pool: &Pool) -> TransportFault {
    call(pool, &limits()).await.unwrap_err()
}
