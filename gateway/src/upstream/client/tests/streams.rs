//! Answers that are too long to be held are streamed.

use super::*;

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
