//! Clients that send and read nothing: whatever is owed to them is bounded, and they are closed.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::pubsub::testing::hub;

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
