//! Upstreams that confuse their subscriptions: nobody is told of what somebody else has subscribed
//! to.

use super::*;

fn spec(kind: SubscriptionKind, params: &Value) -> SubscriptionSpec {
    let params = params.to_string();
    SubscriptionSpec::read(kind, Some(params.as_bytes())).unwrap()
}

/// Serves every subscription, that of slots aside, under the numbers that `number` gives for its
/// request, and tells each number of one account again and again.
async fn serve_confused(
    mut node: Node,
    number: fn(u64) -> u64,
    method: &'static str,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let mut ticks = interval(Duration::from_millis(400));
    let (mut slot, mut taken) = (1000, BTreeSet::new());
    loop {
        let message = tokio::select! {
            message = node.socket.next() => message,
            _ = ticks.tick() => {
                slot += 1;
                let info = json!({ "slot": slot, "parent": slot - 1, "root": slot - 32 });
                let params = json!({ "result": info, "subscription": 1 });
                node.say(json!({ "method": "slotNotification", "params": params })).await;
                for number in &taken {
                    let value = json!({ "lamports": 5 });
                    let result = json!({ "context": { "slot": slot }, "value": value });
                    let params = json!({ "result": result, "subscription": number });
                    node.say(json!({ "method": method, "params": params })).await;
                }
                continue;
            }
        };
        let Some(Ok(message)) = message else { return };
        let Message::Text(text) = message else {
            continue;
        };
        let request: Value = serde_json::from_str(text.as_str()).unwrap();
        let method = request["method"].as_str().unwrap().to_owned();
        let id = request["id"].as_u64().unwrap();
        let number = if method == "slotSubscribe" {
            1
        } else {
            number(id)
        };
        if number > 1 {
            taken.insert(number);
            asked.lock().push(node.id.clone());
        }
        if method.ends_with("Subscribe") {
            node.say(json!({ "jsonrpc": "2.0", "result": number, "id": id }))
                .await;
        }
    }
}

/// Serves `a` confused, as given, and `b` rightly; who was asked for subscriptions.
fn serve_all(
    mut nodes: mpsc::UnboundedReceiver<Node>,
    number: fn(u64) -> u64,
    method: &'static str,
) -> Arc<Mutex<Vec<String>>> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Some(node) = nodes.recv().await {
            let noted = Arc::clone(&noted);
            if node.id == "a" {
                tokio::spawn(serve_confused(node, number, method, noted));
            } else {
                let (own, known) = (|id| id + 100, "accountNotification");
                tokio::spawn(serve_confused(node, own, known, noted));
            }
        }
    });
    asked
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_gives_one_number_to_two_subscriptions_is_left() {
    let (hub, nodes) = scripted(vec![own("a"), bought("b", false)]);
    let asked = serve_all(nodes, |_| 77, "accountNotification");
    let other = bs58::encode([9; 32]).into_string();
    let mut outboxes = Vec::new();
    for (id, key) in [(7, KEY), (8, other.as_str())] {
        let outbox = Outbox::new(1_000_000);
        let spec = spec(SubscriptionKind::Account, &json!([key]));
        let (topic, joined) = hub.join(&spec, id, &outbox);
        hub.subscribe(&topic, joined, id).await.unwrap();
        outboxes.push(outbox);
    }
    tokio::time::sleep(Duration::from_mins(2)).await;
    // Both have moved to the other one. Later the first one is tried again, ever more seldom.
    let asked = asked.lock().clone();
    assert_eq!(asked[..2], ["a", "a"]);
    let by_b = asked.iter().filter(|id| *id == "b").count();
    assert!((2..=10).contains(&by_b), "{asked:?}");
    assert!(asked.len() < 25, "{asked:?}");
    for outbox in outboxes {
        assert!(outbox.take().is_some(), "told by the other one");
    }
}

#[tokio::test(start_paused = true)]
async fn what_names_another_method_is_not_told_and_its_upstream_is_left() {
    for method in ["programNotification", "logsNotification", "account"] {
        let (hub, nodes) = scripted(vec![own("a"), bought("b", true)]);
        let asked = serve_all(nodes, |id| id, method);
        let outbox = Outbox::new(1_000_000);
        let (topic, joined) = hub.join(&account(), 7, &outbox);
        hub.subscribe(&topic, joined, 7).await.unwrap();
        told(&outbox, 3).await;
        assert_eq!(*asked.lock(), ["a", "b"], "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_the_cluster_cannot_have_reached_hides_no_account() {
    let (hub, mut nodes) = scripted(vec![own("a"), bought("b", false)]);
    let (outbox, mut a) = subscribed(&hub, &mut nodes).await;
    let mut b = nodes.recv().await.unwrap();
    b.takes(1).await;
    // The tip is 1000. A node may be a few slots ahead of the others.
    for slot in [1000, 1008, 1060] {
        a.tells(2, slot).await;
    }
    assert_eq!(b.takes(5).await, "accountSubscribe");
    b.tells(5, 1009).await;
    assert_eq!(told(&outbox, 3).await, [1000, 1008, 1009]);
}

#[tokio::test(start_paused = true)]
async fn a_slot_a_little_ahead_hides_nothing_either_that_the_same_socket_tells() {
    let (hub, mut nodes) = scripted(vec![own("a"), bought("b", false)]);
    let (outbox, mut a) = subscribed(&hub, &mut nodes).await;
    let mut b = nodes.recv().await.unwrap();
    b.takes(1).await;
    for slot in [1000, 1010, 999, 1001, 1000, 1002] {
        a.tells(2, slot).await;
    }
    assert_eq!(told(&outbox, 4).await, [1000, 1010, 1001, 1002]);
    // Another one may merely be late.
    a.tells(2, 1010).await;
    assert_eq!(told(&outbox, 1).await, [1010]);
    drop(a);
    b.takes(5).await;
    for slot in [1003, 1011] {
        b.tells(5, slot).await;
    }
    assert_eq!(told(&outbox, 1).await, [1011]);
}

#[tokio::test(start_paused = true)]
async fn a_socket_goes_on_while_nobody_else_shows_where_the_cluster_is() {
    let (hub, mut nodes) = scripted(vec![own("a")]);
    let (outbox, mut a) = subscribed(&hub, &mut nodes).await;
    // No probe runs here: what time explains is possible.
    for second in 1..=120 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let slot = 1000 + second * 5 / 2;
        let info = json!({ "slot": slot, "parent": slot - 1, "root": slot - 32 });
        let params = json!({ "result": info, "subscription": 1 });
        a.say(json!({ "method": "slotNotification", "params": params }))
            .await;
        a.tells(2, slot).await;
        assert_eq!(told(&outbox, 1).await, [slot]);
    }
}
