//! How many sockets and subscriptions an upstream may have, and how fast.

use super::*;

/// One of many accounts.
pub(super) fn account_of(number: u64) -> SubscriptionSpec {
    let key = bs58::encode([u8::try_from(number).unwrap() + 1; 32]).into_string();
    let params = json!([key]).to_string();
    SubscriptionSpec::read(SubscriptionKind::Account, Some(params.as_bytes())).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_upstream_is_subscribed_to_at_a_bounded_rate() {
    let (opened, mut nodes) = mpsc::unbounded_channel();
    let dial = Box::new(Scripted(opened));
    let hub = hub_dialling_with(vec![own("a")], dial, |config| {
        config.websocket.feed.rate = 20;
    });
    hub.start(&Handle::current());
    let outbox = Outbox::new(100_000);
    for id in 0..41 {
        hub.join(&account_of(id), id, &outbox);
    }
    let mut node = nodes.recv().await.unwrap();
    node.takes(1).await;
    let mut times = Vec::new();
    for number in 0..41 {
        assert_eq!(node.takes(2 + number).await, "accountSubscribe");
        times.push(Instant::now());
    }
    // A tenth of a second's worth may come at once, and time is told to the millisecond.
    let within = |second: Instant| {
        let lasts = second..second + Duration::from_millis(998);
        times.iter().filter(|time| lasts.contains(time)).count()
    };
    let most = times.iter().map(|time| within(*time)).max();
    assert!(most <= Some(22), "{most:?}");
}

/// A hub that may open so many sockets to an upstream, for two subscriptions each besides the slots.
fn bounded(sockets: usize, dial: Box<dyn SocketDialer>) -> Arc<Hub> {
    let upstreams = vec![own("a"), bought("b", true)];
    hub_dialling_with(upstreams, dial, |config| {
        config.websocket.feed.sockets = sockets;
        config.websocket.feed.subscriptions = 3;
    })
}

/// Long enough for an upstream to be proven better than another, many times.
const PROVEN_LONG: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn where_the_better_upstream_is_full_the_other_has_no_more_than_it_may_and_room_is_used() {
    let (opened, mut nodes) = mpsc::unbounded_channel();
    let hub = bounded(1, Box::new(Scripted(opened)));
    hub.start(&Handle::current());
    let sockets = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (opened, noted) = (Arc::clone(&sockets), Arc::clone(&asked));
    tokio::spawn(async move {
        while let Some(node) = nodes.recv().await {
            opened.lock().push(node.id.clone());
            tokio::spawn(serve(node, false, Arc::clone(&noted)));
        }
    });
    let outbox = Outbox::new(1_000_000);
    let subscribe = async |id: u64| {
        let (topic, joined) = hub.join(&account_of(id), id, &outbox);
        let taken = hub.subscribe(&topic, joined, id).await;
        (topic, taken.map_err(|error| error.code))
    };
    let mut topics = Vec::new();
    for id in 0..4 {
        let (topic, taken) = subscribe(id).await;
        assert_eq!(taken, Ok(()), "{id}");
        topics.push(topic);
    }
    tokio::time::sleep(PROVEN_LONG).await;
    // All are full.
    let (topic, taken) = subscribe(4).await;
    assert_eq!(taken, Err(-32005));
    hub.leave(&topic, 4);
    assert_eq!(*asked.lock(), ["a", "a", "b", "b"]);
    // Its topics would move to the better one, and yet this socket has room.
    hub.leave(&topics[3], 3);
    let (_topic, taken) = subscribe(5).await;
    assert_eq!(taken, Ok(()));
    assert_eq!(*asked.lock(), ["a", "a", "b", "b", "b"]);
    assert_eq!(*sockets.lock(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_is_behind_is_given_subscriptions_only_if_no_other_may_be_opened() {
    for (sockets, stays) in [(1, true), (2, false)] {
        let (opened, _nodes) = mpsc::unbounded_channel();
        let hub = bounded(sockets, Box::new(Scripted(opened)));
        let mut feeds = Feeds::new(Arc::clone(&hub));
        let snapshot = hub.published.load();
        let now = Instant::now();
        let [own, bought] = [0, 1].map(|place| {
            let line = feeds.open(&snapshot.pool.upstreams()[place], now);
            feeds.opened(line);
            line
        });
        // The other one is full.
        feeds
            .lines
            .get_mut(&bought)
            .unwrap()
            .topics
            .extend([100, 101]);
        feeds.lines.get_mut(&own).unwrap().leaves = Some(MoveCause::Unfit);
        if sockets > 1 {
            let full = feeds.open(&snapshot.pool.upstreams()[1], now);
            feeds
                .lines
                .get_mut(&full)
                .unwrap()
                .topics
                .extend([102, 103]);
        }
        feeds.add(Arc::new(Topic::new(1, account(), &hub.total)));
        let next = feeds.topics[&1].next;
        assert_eq!(next == Some(own), stays, "{sockets}: {next:?}");
        assert!(next.is_some(), "{sockets}");
    }
}
