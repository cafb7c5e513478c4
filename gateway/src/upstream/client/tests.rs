//! Attempts against small servers that do exactly what a test needs, byte by byte.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::steps::MOST_ROOM;
use super::*;
use crate::config::Selection;
use crate::jsonrpc::MalformedKind;
use crate::solana::{Priority, classify};
use crate::upstream::client::stream::CHUNK;
use crate::upstream::testing::{pool, settings};
use crate::upstream::{CallRequirements, Candidate, Pool, attempt};

/// A listener that counts its connections and hands each to a script.
struct Server {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start<F>(script: impl Fn(usize, TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(number, stream));
            }
        });
        Self { url, connections }
    }

    /// Answers every request on every connection with these bytes.
    async fn answering(response: impl Into<Vec<u8>>) -> Self {
        let response: Arc<Vec<u8>> = Arc::new(response.into());
        Self::start(move |_, mut stream| {
            let response = Arc::clone(&response);
            async move {
                while read_request(&mut stream).await.is_some() {
                    stream.write_all(&response).await.unwrap();
                }
            }
        })
        .await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn pool(&self) -> Arc<Pool> {
        pool(vec![settings("a", &self.url)])
    }
}

/// Reads one request to its end; None if the client is gone.
async fn read_request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            if body.len() >= length {
                return Some(bytes);
            }
        }
    }
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn limits() -> AttemptLimits {
    AttemptLimits {
        deadline: Instant::now() + Duration::from_secs(5),
        queue: Instant::now() + Duration::from_secs(5),
        first_byte: Duration::from_secs(4),
        progress: Duration::from_secs(1),
        answer_buffer: 64 * 1024,
        replayable: true,
        ask: PermitRequest::own(Priority::Medium),
        headers: None,
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

#[tokio::test]
async fn calls_after_each_other_share_one_connection() {
    let server = Server::answering(ok("hello")).await;
    let pool = server.pool();
    for _ in 0..10 {
        assert_eq!(call_ok(&pool).await, "hello");
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(pool.upstreams()[0].state().connections.idle(), 1);
}

#[tokio::test]
async fn the_request_goes_out_in_one_piece_and_the_hints_come_back() {
    let server = Server::start(|_, mut stream| async move {
        let mut bytes = vec![0; 4096];
        let read = stream.read(&mut bytes).await.unwrap();
        let request = String::from_utf8_lossy(&bytes[..read]);
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let id = body
            .strip_prefix("{\"id\":")
            .unwrap()
            .strip_suffix('}')
            .unwrap();
        assert!(id.parse::<u64>().is_ok(), "{body}");
        assert!(head.ends_with(&format!("\r\ncontent-length: {}", body.len())));
        let refusal =
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(refusal.as_bytes()).await.unwrap();
    })
    .await;
    let reply = call(&server.pool(), &limits()).await.unwrap();
    assert_eq!(reply.status, 429);
    assert_eq!(reply.hints.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(text(reply), "");
}

#[tokio::test]
async fn every_framing_gives_the_same_body() {
    for (response, reusable) in [
        (ok("hello world"), true),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n".to_owned(),
            true,
        ),
        ("HTTP/1.1 100 Continue\r\n\r\n".to_owned() + &ok("hello world"), true),
        (
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 11\r\n\r\nhello world".to_owned(),
            false,
        ),
    ] {
        let server = Server::answering(response.clone()).await;
        let pool = server.pool();
        assert_eq!(call_ok(&pool).await, "hello world", "{response}");
        assert_eq!(call_ok(&pool).await, "hello world", "{response}");
        assert_eq!(server.connections() == 1, reusable, "{response}");
    }
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        let response = b"HTTP/1.1 200 OK\r\n\r\nhello world";
        stream.write_all(response).await.unwrap();
    })
    .await;
    assert_eq!(call_ok(&server.pool()).await, "hello world");
}

#[tokio::test]
async fn each_way_of_failing_has_its_name() {
    for (response, kind) in [
        ("", FaultKind::Reset),
        ("HTTP/1.1 200 OK\r\ncontent-le", FaultKind::Truncated),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
            FaultKind::Truncated,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel",
            FaultKind::Truncated,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nhello\r\n",
            FaultKind::BadHttp,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 0\r\n\r\n",
            FaultKind::BadHttp,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
            FaultKind::BadHttp,
        ),
        ("garbage\r\n\r\n", FaultKind::BadHttp),
    ] {
        let server = Server::start(move |_, mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(response.as_bytes()).await.unwrap();
        })
        .await;
        let fault = call(&server.pool(), &limits()).await.unwrap_err();
        assert_eq!(fault, TransportFault::after(kind), "{response:?}");
        assert_eq!(server.connections(), 1, "a fresh connection is not retried");
    }
}

#[tokio::test]
async fn nobody_listening_is_refused_before_anything_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let pool = pool(vec![settings("a", &url)]);
    let fault = call(&pool, &limits()).await.unwrap_err();
    assert_eq!(fault, TransportFault::before(FaultKind::ConnectRefused));
}

#[tokio::test]
async fn a_name_with_a_dead_address_is_served_by_the_other() {
    let server = Server::answering(ok("hello")).await;
    let url = server.url.replace("127.0.0.1", "localhost");
    let pool = pool(vec![settings("a", &url)]);
    assert_eq!(call_ok(&pool).await, "hello");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_at_the_first_byte_limit() {
    let start = Instant::now();
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let fault = call(&server.pool(), &limits()).await.unwrap_err();
    assert_eq!(fault, TransportFault::after(FaultKind::FirstByteTimeout));
    assert_eq!(start.elapsed().as_secs(), 4);
}

/// Sends the beginning of an answer and then single bytes, every so often.
async fn trickling(begun: &'static str, every: Option<Duration>) -> Server {
    Server::start(move |_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(begun.as_bytes()).await.unwrap();
        loop {
            match every {
                None => std::future::pending().await,
                Some(every) => tokio::time::sleep(every).await,
            }
            if stream.write_all(b"1").await.is_err() {
                return;
            }
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_stalls_or_trickles_is_given_up_after_its_progress_time() {
    for begun in [
        "HTTP/1.1 200 OK\r\nx: ",
        "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"jsonrpc\"",
        "HTTP/1.1 200 OK\r\ncontent-length: 5000000\r\n\r\n{\"jsonrpc\"",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5000\r\n{\"jsonrpc\"",
    ] {
        for every in [None, Some(Duration::from_millis(300))] {
            let start = Instant::now();
            let server = trickling(begun, every).await;
            let fault = call(&server.pool(), &limits()).await.unwrap_err();
            assert_eq!(fault, TransportFault::after(FaultKind::Stalled), "{begun}");
            assert_eq!(start.elapsed().as_secs(), 1, "{begun} {every:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_that_comes_slowly_arrives() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            stream.write_all(&[b'x'; 3000]).await.unwrap();
        }
    })
    .await;
    let start = Instant::now();
    assert_eq!(call_ok(&server.pool()).await.len(), 512);
    assert_eq!(start.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_last_upstream_may_take_all_of_the_time() {
    let server = trickling("HTTP/1.1 200 OK\r\n", None).await;
    let patient = AttemptLimits {
        progress: Duration::from_mins(1),
        ..limits()
    };
    let start = Instant::now();
    let fault = call(&server.pool(), &patient).await.unwrap_err();
    assert_eq!(fault, TransportFault::after(FaultKind::TotalTimeout));
    assert_eq!(start.elapsed().as_secs(), 5);
}

/// Answers the first request of its first connection, then lets that one die.
async fn dying(how: impl Fn(TcpStream) + Send + Sync + 'static) -> Server {
    let how = Arc::new(how);
    Server::start(move |number, mut stream| {
        let how = Arc::clone(&how);
        async move {
            let mut answers = 0;
            while read_request(&mut stream).await.is_some() {
                if number == 0 && answers == 1 {
                    return how(stream);
                }
                answers += 1;
                stream.write_all(ok("hello").as_bytes()).await.unwrap();
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_kept_connection_that_dies_under_a_read_is_replaced_silently() {
    let server = dying(drop).await;
    let pool = server.pool();
    for _ in 0..3 {
        assert_eq!(call_ok(&pool).await, "hello");
    }
    assert_eq!(server.connections(), 2);
    assert_eq!(pool.upstreams()[0].state().metrics.broken.get(), 1);
}

#[tokio::test]
async fn what_was_sent_to_an_upstream_that_is_gone_stays_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await.unwrap();
        stream.write_all(ok("hello").as_bytes()).await.unwrap();
        read_request(&mut stream).await.unwrap();
        drop(listener);
        drop(stream);
    });
    let pool = pool(vec![settings("a", &url)]);
    assert_eq!(call_ok(&pool).await, "hello");
    let fault = call(&pool, &limits()).await.unwrap_err();
    assert_eq!(fault, TransportFault::after(FaultKind::ConnectRefused));
    let fault = call(&pool, &limits()).await.unwrap_err();
    assert_eq!(fault, TransportFault::before(FaultKind::ConnectRefused));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_caller_had_no_time_for_is_not_the_upstreams_fault() {
    let (limits, start) = (limits(), Instant::now());
    let until = |milliseconds| Http1Exchange {
        request: b"",
        limits: &limits,
        start,
        total: start + Duration::from_millis(milliseconds),
    };
    let connect = start + Duration::from_secs(1);
    tokio::time::advance(Duration::from_secs(1)).await;
    let cut = |milliseconds, kind| until(milliseconds).cut(kind, connect);
    assert_eq!(cut(100, FaultKind::ConnectTimeout), FaultKind::NoTime);
    assert_eq!(
        cut(2000, FaultKind::ConnectTimeout),
        FaultKind::ConnectTimeout
    );
    assert_eq!(
        cut(100, FaultKind::ConnectRefused),
        FaultKind::ConnectRefused
    );
}

#[tokio::test]
async fn a_call_that_must_not_happen_twice_is_reported_instead() {
    let server = dying(drop).await;
    let pool = server.pool();
    let once = AttemptLimits {
        replayable: false,
        ..limits()
    };
    assert!(call(&pool, &once).await.is_ok());
    let fault = call(&pool, &once).await.unwrap_err();
    assert_eq!(fault, TransportFault::after(FaultKind::Reset));
    assert_eq!(server.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_must_not_happen_twice_avoids_connections_that_rested() {
    let server = Server::answering(ok("hello")).await;
    let pool = server.pool();
    call_ok(&pool).await;
    tokio::time::advance(Duration::from_secs(2)).await;
    let once = AttemptLimits {
        replayable: false,
        ..limits()
    };
    assert!(call(&pool, &once).await.is_ok());
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_answer_that_began_is_never_asked_for_again() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        stream.write_all(ok("hello").as_bytes()).await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200").await.unwrap();
    })
    .await;
    let pool = server.pool();
    call_ok(&pool).await;
    let fault = call(&pool, &limits()).await.unwrap_err();
    assert_eq!(fault, TransportFault::after(FaultKind::Truncated));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn bytes_after_an_answer_make_the_connection_useless() {
    let server = Server::answering(ok("hello") + "HTTP/1.1 200 OK\r\n").await;
    let pool = server.pool();
    call_ok(&pool).await;
    call_ok(&pool).await;
    assert_eq!(server.connections(), 2);
}

/// The id of a request as it was written.
fn id_of(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let id = text.rsplit("\"id\":").next().unwrap();
    id.strip_suffix('}').unwrap().to_owned()
}

fn answer(result: u32, id: &str) -> String {
    ok(&format!(
        r#"{{"jsonrpc":"2.0","result":{result},"id":{id}}}"#
    ))
}

async fn called(pool: &Pool) -> Result<Bytes, MalformedKind> {
    match call(pool, &limits()).await.unwrap().body {
        ReplyBody::Complete(answer) => answer
            .map(|answer| Bytes::copy_from_slice(answer.result().unwrap()))
            .map_err(|malformed| malformed.kind),
        ReplyBody::Streaming { .. } => panic!("streamed"),
    }
}

#[tokio::test]
async fn no_two_requests_have_the_same_id() {
    let seen = Arc::new(parking_lot::Mutex::new(std::collections::HashSet::new()));
    let ids = Arc::clone(&seen);
    let server = Server::start(move |_, mut stream| {
        let ids = Arc::clone(&ids);
        async move {
            while let Some(request) = read_request(&mut stream).await {
                let id = id_of(&request);
                stream.write_all(answer(1, &id).as_bytes()).await.unwrap();
                assert!(ids.lock().insert(id));
            }
        }
    })
    .await;
    let pool = server.pool();
    for _ in 0..20 {
        assert!(called(&pool).await.is_ok());
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(seen.lock().len(), 20);
}

#[tokio::test]
async fn an_answer_to_another_request_closes_the_connection() {
    for wrong in ["777", "null", "\"x\"", "1"] {
        let server = Server::start(move |number, mut stream| async move {
            while let Some(request) = read_request(&mut stream).await {
                let id = if number == 0 {
                    wrong.to_owned()
                } else {
                    id_of(&request)
                };
                stream.write_all(answer(1, &id).as_bytes()).await.unwrap();
            }
        })
        .await;
        let pool = server.pool();
        assert_eq!(called(&pool).await, Err(MalformedKind::WrongId), "{wrong}");
        let connections = &pool.upstreams()[0].state().connections;
        assert_eq!((connections.busy(), connections.idle()), (0, 0), "{wrong}");
        assert!(called(&pool).await.is_ok());
        assert_eq!(server.connections(), 2);
    }
}

#[tokio::test]
async fn a_second_answer_that_comes_late_is_not_taken_for_the_next_one() {
    let server = Server::start(|number, mut stream| async move {
        let mut before = None;
        while let Some(request) = read_request(&mut stream).await {
            let id = id_of(&request);
            if let Some(before) = before.filter(|_| number == 0) {
                // It was on its way when the next request came.
                let late: String = before;
                stream.write_all(answer(1, &late).as_bytes()).await.unwrap();
                return;
            }
            stream.write_all(answer(2, &id).as_bytes()).await.unwrap();
            before = Some(id);
        }
    })
    .await;
    let pool = server.pool();
    assert_eq!(called(&pool).await.as_deref(), Ok(&b"2"[..]));
    assert_eq!(called(&pool).await, Err(MalformedKind::WrongId));
    assert_eq!(called(&pool).await.as_deref(), Ok(&b"2"[..]));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn of_two_answers_in_one_piece_the_first_counts_and_the_connection_is_left() {
    let server = Server::start(|_, mut stream| async move {
        while let Some(request) = read_request(&mut stream).await {
            let id = id_of(&request);
            let both = answer(1, &id) + &answer(2, &id);
            stream.write_all(both.as_bytes()).await.unwrap();
        }
    })
    .await;
    let pool = server.pool();
    for calls in 1..4 {
        assert_eq!(called(&pool).await.as_deref(), Ok(&b"1"[..]));
        assert_eq!(server.connections(), calls);
    }
}

#[tokio::test]
async fn a_stream_that_nobody_vouches_for_closes_its_connection() {
    let server = sending(1_000_000, false, Arc::default()).await;
    let pool = server.pool();
    let reply = call(&pool, &limits()).await.unwrap();
    let ReplyBody::Streaming { mut rest, .. } = reply.body else {
        panic!("not streamed");
    };
    while rest.next().await.is_some() {}
    rest.broken(FaultKind::WrongId);
    let live = pool.upstreams()[0].state();
    assert_eq!((live.connections.busy(), live.connections.idle()), (0, 0));
    assert_eq!(live.score.in_flight(), 0);
}

#[tokio::test]
async fn connections_are_bounded_and_further_calls_wait() {
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let server = Server::start(move |_, mut stream| {
        let gate = Arc::clone(&opened);
        async move {
            while read_request(&mut stream).await.is_some() {
                gate.notified().await;
                stream.write_all(ok("hello").as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let mut settings = settings("a", &server.url);
    settings.connections_ceiling = 2;
    let pool = pool(vec![settings]);
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { call_ok(&pool).await })
        })
        .collect();
    for _ in 0..6 {
        gate.notify_one();
        tokio::task::yield_now().await;
    }
    while calls.iter().any(|call| !call.is_finished()) {
        gate.notify_one();
        tokio::task::yield_now().await;
    }
    for call in calls {
        assert_eq!(call.await.unwrap(), "hello");
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_connection_ends_and_is_not_the_upstreams_fault() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut settings = settings("a", &server.url);
    settings.connections_ceiling = 1;
    let pool = pool(vec![settings]);
    let first = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { call(&pool, &limits()).await.map(|_| ()) }
    });
    while pool.upstreams()[0].state().connections.busy() == 0 {
        tokio::task::yield_now().await;
    }
    let impatient = AttemptLimits {
        queue: Instant::now() + Duration::from_secs(3),
        ..limits()
    };
    let fault = call(&pool, &impatient).await.unwrap_err();
    assert_eq!(fault, TransportFault::before(FaultKind::Saturated));
    assert!(first.await.unwrap().is_err());
}

#[tokio::test]
async fn a_dropped_attempt_closes_its_connection_and_frees_its_place() {
    let closed = Arc::new(Notify::new());
    let seen = Arc::clone(&closed);
    let server = Server::start(move |_, mut stream| {
        let closed = Arc::clone(&seen);
        async move {
            read_request(&mut stream).await;
            assert!(read_request(&mut stream).await.is_none());
            closed.notify_one();
        }
    })
    .await;
    let pool = server.pool();
    let task = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { call(&pool, &limits()).await.map(|_| ()) }
    });
    while server.connections() == 0 {
        tokio::task::yield_now().await;
    }
    task.abort();
    closed.notified().await;
    let live = pool.upstreams()[0].state();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!((live.connections.busy(), live.connections.idle()), (0, 0));
    assert_eq!(live.score.in_flight(), 0);
}

/// Sends `size` bytes, in chunks or with their length, and counts what was taken from it.
async fn sending(size: usize, chunked: bool, sent: Arc<AtomicUsize>) -> Server {
    Server::start(move |_, mut stream| {
        let sent = Arc::clone(&sent);
        async move {
            while read_request(&mut stream).await.is_some() {
                let head = if chunked {
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned()
                } else {
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n")
                };
                stream.write_all(head.as_bytes()).await.unwrap();
                let block = vec![b'x'; 50_000];
                for _ in 0..size / block.len() {
                    if chunked {
                        let line = format!("{:x}\r\n", block.len());
                        stream.write_all(line.as_bytes()).await.unwrap();
                    }
                    if stream.write_all(&block).await.is_err() {
                        return;
                    }
                    sent.fetch_add(block.len(), Ordering::SeqCst);
                    if chunked {
                        stream.write_all(b"\r\n").await.unwrap();
                    }
                }
                if chunked {
                    stream.write_all(b"0\r\n\r\n").await.unwrap();
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_large_answer_streams_in_bounded_pieces_and_gives_its_connection_back() {
    for chunked in [false, true] {
        let size = 50_000_000;
        let server = sending(size, chunked, Arc::default()).await;
        let pool = server.pool();
        let reply = call(&pool, &limits()).await.unwrap();
        let ReplyBody::Streaming {
            head,
            length,
            mut rest,
        } = reply.body
        else {
            panic!("not streamed");
        };
        assert_eq!(length, (!chunked).then_some(size as u64));
        assert!(!head.is_empty() && head.len() <= limits().answer_buffer + CHUNK);
        let live = pool.upstreams()[0].state();
        assert_eq!(live.score.in_flight(), 1);
        let mut total = head.len();
        while let Some(piece) = rest.next().await {
            let piece = piece.unwrap();
            assert!(piece.len() <= MOST_ROOM);
            total += piece.len();
        }
        assert_eq!(total, size);
        rest.complete();
        assert_eq!(live.score.in_flight(), 0);
        assert_eq!((live.connections.busy(), live.connections.idle()), (0, 1));
        let again = call(&pool, &limits()).await.unwrap();
        assert!(matches!(again.body, ReplyBody::Streaming { .. }));
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn a_stream_is_read_only_as_fast_as_it_is_consumed() {
    let sent = Arc::new(AtomicUsize::new(0));
    let size = 50_000_000;
    let server = sending(size, false, Arc::clone(&sent)).await;
    let pool = server.pool();
    let reply = call(&pool, &limits()).await.unwrap();
    let mut before = usize::MAX;
    while before != sent.load(Ordering::SeqCst) {
        before = sent.load(Ordering::SeqCst);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
    assert!(before < size / 2, "{before} bytes left the upstream");
    drop(reply);
    let live = pool.upstreams()[0].state();
    assert_eq!((live.connections.busy(), live.connections.idle()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_that_stalls_before_its_caller_has_seen_any_of_it_is_a_failed_attempt() {
    for chunked in [false, true] {
        for sent in [0, 50, 5_000, 60_000] {
            let server = Server::start(move |_, mut stream| async move {
                read_request(&mut stream).await;
                let head = if chunked {
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10000\r\n"
                } else {
                    "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n"
                };
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(&vec![b'x'; sent]).await.unwrap();
                std::future::pending::<()>().await;
            })
            .await;
            let fault = call(&server.pool(), &limits()).await.unwrap_err();
            let stalled = TransportFault::after(FaultKind::Stalled);
            assert_eq!(fault, stalled, "chunked: {chunked}, {sent}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_trickles_ends_with_a_fault() {
    let server = Server::start(|_, mut stream| async move {
        read_request(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        stream.write_all(&vec![b'x'; 100_000]).await.unwrap();
        while stream.write_all(&[b'x'; 200]).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    let pool = server.pool();
    let reply = call(&pool, &limits()).await.unwrap();
    let ReplyBody::Streaming { mut rest, .. } = reply.body else {
        panic!("not streamed");
    };
    let mut fault = None;
    while let Some(piece) = rest.next().await {
        fault = piece.err();
    }
    assert_eq!(fault, Some(TransportFault::after(FaultKind::Stalled)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_or_falls_silent_ends_with_a_fault() {
    for (silent, kind) in [(false, FaultKind::Truncated), (true, FaultKind::Stalled)] {
        let server = Server::start(move |_, mut stream| async move {
            read_request(&mut stream).await;
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
            stream.write_all(head).await.unwrap();
            stream.write_all(&vec![b'x'; 100_000]).await.unwrap();
            if silent {
                std::future::pending::<()>().await;
            }
        })
        .await;
        let pool = server.pool();
        let reply = call(&pool, &limits()).await.unwrap();
        let ReplyBody::Streaming { mut rest, .. } = reply.body else {
            panic!("not streamed");
        };
        let fault = loop {
            match rest.next().await {
                Some(Ok(_)) => {}
                other => break other,
            }
        };
        assert_eq!(fault, Some(Err(TransportFault::after(kind))));
        assert_eq!(rest.next().await, None);
        let live = pool.upstreams()[0].state();
        let failures = live
            .score
            .failure_share(Instant::now(), &Selection::default());
        assert!(failures > 0.0, "the upstream is none the worse for it");
        assert_eq!(live.score.in_flight(), 0);
    }
}
