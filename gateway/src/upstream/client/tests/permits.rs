//! How many connections there are, and who waits for one.

use super::*;

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
