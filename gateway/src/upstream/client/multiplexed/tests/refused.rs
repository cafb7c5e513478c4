//! Streams that the upstream refuses, resets or leaves out: what was sent, and what is sent again.

use super::*;

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
    assert_eq!(text(reply), "hello");
    assert_eq!(server.calls(), 2);
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

/// `NO_ERROR` follows a whole answer (RFC 9113 §8.1), and makes none of a part.
#[tokio::test]
async fn an_answer_that_is_broken_off_without_an_error_is_not_whole() {
    for length in [None, Some(5)] {
        let server = Server::start(100, move |mut call| async move {
            let mut head = Response::builder();
            if let Some(length) = length {
                head = head.header("content-length", length);
            }
            let head = head.body(()).unwrap();
            let mut stream = call.answer.send_response(head, false).unwrap();
            stream.send_data(Bytes::from_static(b"hel"), false).unwrap();
            // A reset takes with it what has not left yet.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            stream.send_reset(Reason::NO_ERROR);
        })
        .await;
        let fault = call(&server.pool(), &limits()).await.unwrap_err();
        assert_eq!(fault, TransportFault::after(FaultKind::Truncated));
    }
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
