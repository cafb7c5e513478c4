//! Upstreams that send and read nothing.

use bytes::Bytes;

use super::*;

#[tokio::test(start_paused = true)]
async fn of_an_upstream_that_sends_pings_and_reads_nothing_little_is_read_and_it_is_left() {
    let (hub, mut nodes) = scripted(vec![own("a")]);
    let outbox = Outbox::new(1000);
    let _joined = hub.join(&account(), 7, &outbox);
    let mut node = nodes.recv().await.unwrap();
    let ping = Message::Ping(Bytes::from_static(&[b'x'; 125]));
    let mut sent = 0;
    // Until the socket has ended.
    while sent < 100_000 && node.socket.send(ping.clone()).await.is_ok() {
        sent += 1;
    }
    assert!(sent < 10_000, "{sent} pings were read");
}
