//! An answer belongs to the request whose id it carries.

use super::*;

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
