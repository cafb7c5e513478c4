//! What notifications say of where their upstream is.

use perijove_core::Commitment;

use super::*;

#[tokio::test(start_paused = true)]
async fn an_upstream_has_reached_what_it_tells_of_at_the_commitment_of_the_subscription() {
    let (opened, mut nodes) = mpsc::unbounded_channel();
    let dial = Box::new(Scripted(opened));
    let hub = hub_dialling_with(vec![own("a")], dial, |config| {
        config.websocket.feed.track_slots = true;
    });
    hub.start(&Handle::current());
    let (outbox, mut node) = subscribed(&hub, &mut nodes).await;
    let snapshot = hub.published.load();
    let upstream = snapshot.pool.upstream("a").unwrap();
    let finalized = || upstream.state().slot(Commitment::Finalized);
    assert!(finalized() < Some(Slot(1001)));
    node.tells(2, 1001).await;
    assert_eq!(told(&outbox, 1).await, [1001]);
    assert_eq!(finalized(), Some(Slot(1001)));
}
