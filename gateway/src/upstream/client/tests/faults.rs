//! Each way of failing has its name, and ends after its time.

use super::*;

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
