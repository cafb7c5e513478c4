//! When a connection is left, and when it is closed.

use super::*;

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
        _ = candidate.attempt(&hanging, &limits) => panic!("nothing answers"),
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
    assert_eq!(pool.upstreams()[0].state().metrics.broken.get(), 1);
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
