//! How a socket is closed that the gateway closes.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::pubsub::testing::hub;

#[tokio::test(start_paused = true)]
async fn a_client_hears_of_the_end_at_once_and_may_go_on_sending_for_a_while() {
    let hub = hub();
    let (mut near, far) = tokio::io::duplex(1024);
    let session = SubscriberSession::new(Arc::clone(&hub), far, Vec::new(), tests::client()).await;
    let serving = tokio::spawn(session.serve());
    hub.leave_all();
    // It has not replied to the close frame, and yet there is nothing more to wait for.
    let mut heard = Vec::new();
    near.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard.first(), Some(&0x88), "a close frame: {heard:?}");
    assert_eq!(heard.get(2..4), Some(&1012_u16.to_be_bytes()[..]));
    // What it sends before it knows is no error.
    for _ in 0..100 {
        near.write_all(&[0x89, 0x80, 1, 2, 3, 4]).await.unwrap();
    }
    assert!(!serving.is_finished());
    drop(near);
    assert_eq!(serving.await.unwrap().end, SocketEnd::Leaving);
}
