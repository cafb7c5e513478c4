//! How many streams and connections there are, and who waits for one.

use super::*;

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
