//! What the gateway's own cache subscribes to.

use super::bounds::account_of;
use super::*;
use crate::pubsub::topic::Subscriber;

/// Serves all sockets; the upstreams that were asked for accounts.
fn serve_all(mut nodes: mpsc::UnboundedReceiver<Node>) -> Arc<Mutex<Vec<String>>> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Some(node) = nodes.recv().await {
            tokio::spawn(serve(node, false, Arc::clone(&noted)));
        }
    });
    asked
}

const WHILE: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn no_upstream_is_paid_for_what_no_client_has_subscribed_to() {
    let (hub, nodes) = scripted(vec![bought("b", true)]);
    let asked = serve_all(nodes);
    let outbox = Outbox::new(1_000_000);
    let (hot, _soon) = hub.join(&account(), 1, Subscriber::cache(&outbox));
    tokio::time::sleep(WHILE).await;
    assert!(asked.lock().is_empty());
    let (topic, joined) = hub.join(&account(), 7, &outbox);
    assert_eq!(hub.subscribe(&topic, joined, 7).await, Ok(()));
    assert_eq!(*asked.lock(), ["b"]);
    assert!(Arc::ptr_eq(&hot, &topic) && !hot.has_ended());
    // The last client has left.
    hub.leave(&topic, 7);
    tokio::time::sleep(WHILE).await;
    assert!(hot.has_ended());
    assert_eq!(hub.status()["subscriptions"], 0);
    assert_eq!(hub.status()["upstreams"]["sockets"][0]["subscriptions"], 0);
}

#[tokio::test(start_paused = true)]
async fn what_clients_subscribe_to_takes_the_place_of_what_is_subscribed_to_for_the_cache() {
    let (opened, nodes) = mpsc::unbounded_channel();
    let upstreams = vec![own("a"), bought("b", true)];
    let hub = hub_dialling_with(upstreams, Box::new(Scripted(opened)), |config| {
        config.websocket.feed.sockets = 1;
        config.websocket.feed.subscriptions = 3;
    });
    hub.start(&Handle::current());
    let asked = serve_all(nodes);
    let outbox = Outbox::new(1_000_000);
    let hot = [0, 1, 2].map(|id| {
        let (topic, _soon) = hub.join(&account_of(id), id, Subscriber::cache(&outbox));
        topic
    });
    tokio::time::sleep(WHILE).await;
    // The third finds no room, and takes none.
    assert_eq!(*asked.lock(), ["a", "a"]);
    for id in [10, 11] {
        let (topic, joined) = hub.join(&account_of(id), id, &outbox);
        assert_eq!(hub.subscribe(&topic, joined, id).await, Ok(()));
    }
    assert_eq!(*asked.lock(), ["a", "a", "a", "a"]);
    let ended = hot.map(|topic| topic.has_ended());
    assert_eq!(ended, [true, true, false]);
    tokio::time::sleep(WHILE).await;
    assert_eq!(hub.status()["upstreams"]["waiting"], 0, "nobody waits");
}
