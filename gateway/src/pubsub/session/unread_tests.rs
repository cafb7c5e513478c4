//! Clients that send and read nothing: whatever is owed to them is bounded, and they are closed.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::pubsub::testing::{hub, hub_with};

/// A ping of 125 bytes.
fn ping() -> Vec<u8> {
    let payload = [b'x'; 125];
    [&[0x89, 0xfd, 0, 0, 0, 0][..], &payload].concat()
}

#[tokio::test(start_paused = true)]
async fn of_a_client_that_sends_pings_and_reads_nothing_little_is_read_and_it_is_closed() {
    let hub = hub();
    let started = Instant::now();
    let (mut near, far) = tokio::io::duplex(4096);
    let session = SubscriberSession::new(Arc::clone(&hub), far, Vec::new(), tests::client()).await;
    let patience = session.write_timeout;
    let serving = tokio::spawn(session.serve());
    let mut sent = 0;
    // Until the session has ended.
    while sent < 1_000_000 && near.write_all(&ping()).await.is_ok() {
        sent += ping().len();
    }
    assert!(sent < 100_000, "{sent} bytes of pings were read");
    assert_eq!(serving.await.unwrap().end, SocketEnd::Slow);
    assert!(started.elapsed() >= patience);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_gets_an_answer_to_every_ping() {
    let (mut near, far) = tokio::io::duplex(4096);
    let session = SubscriberSession::new(hub(), far, Vec::new(), tests::client()).await;
    let serving = tokio::spawn(session.serve());
    for _ in 0..1_000 {
        near.write_all(&ping()).await.unwrap();
        let mut pong = [0; 127];
        near.read_exact(&mut pong).await.unwrap();
        assert_eq!(pong[..3], [0x8a, 125, b'x']);
    }
    assert!(!serving.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_client_to_which_nobody_listens_while_its_calls_are_in_progress_is_not_silent() {
    let hub = hub_with(|config| {
        config.websocket.calls = 1;
        config.websocket.ping_interval = Duration::from_secs(1);
    });
    let (mut socket, serving) = tests::pair(&hub).await;
    // No upstream is there, and the answer takes ten times as long.
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"slotSubscribe"}"#;
    socket.send(Message::text(call)).await.unwrap();
    let answer = tests::text(&mut socket).await;
    assert!(answer.contains("-32005"), "{answer}");
    // One that answers nothing is.
    assert_eq!(serving.await.unwrap().end, SocketEnd::Silent);
}
