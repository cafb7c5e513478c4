//! What becomes of a call whose kept connection dies, and of the connection after its answer.

use super::*;

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
