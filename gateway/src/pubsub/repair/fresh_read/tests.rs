//! What is told of accounts that are read afresh, to whom, and how fast.

use super::*;
use crate::pubsub::outbox::Outbox;
use crate::pubsub::outbox_message::OutboxMessage;
use crate::pubsub::testing::{hub, hub_dialling_with};
use crate::pubsub::upstream_socket::dial::NetworkDialer;
use crate::upstream::testing::settings;

const KEY: &str = "3qri489hLgWkzeAw76pCNPwRF2RiCmi5iQgKpLioeJz2";

fn topic_of(hub: &Hub, kind: SubscriptionKind) -> Arc<Topic> {
    let params = json!([KEY, { "encoding": "base64" }]).to_string();
    let spec = SubscriptionSpec::read(kind, Some(params.as_bytes())).unwrap();
    Arc::new(Topic::new(1, spec, &hub.total))
}

/// A topic with one client, that has been told of so many accounts at slot 10.
fn program(hub: &Hub, outbox: &Arc<Outbox>, known: u64) -> Arc<Topic> {
    let topic = topic_of(hub, SubscriptionKind::Program);
    topic.join(7, outbox);
    topic.taken(1);
    for key in 0..known {
        tells(&topic, 1, 10, key);
    }
    topic
}

fn keyed(key: u64, lamports: u64) -> Bytes {
    let data = "x".repeat(200);
    Bytes::from(
        json!({ "pubkey": key.to_string(), "account": { "lamports": lamports, "data": data } })
            .to_string(),
    )
}

/// A socket reports an account as it was before the move.
fn tells(topic: &Topic, source: u64, slot: u64, key: u64) {
    let result = crate::pubsub::topic::wrapped(Slot(slot), &keyed(key, 1));
    topic.hear(source, &result);
}

fn read_at(hub: &Hub, slot: u64, values: Vec<Bytes>) -> FreshRead {
    FreshRead {
        slot: Slot(slot),
        values,
        by: None,
        held: Arc::new(hub.collected.begin(&hub.own_share)),
    }
}

/// What has been sent: the account, its lamports, and whether a gap was mentioned.
fn told(outbox: &Outbox) -> Vec<(u64, u64, bool)> {
    std::iter::from_fn(|| outbox.take())
        .map(|item| {
            let text: Value = serde_json::from_slice(&item.into_text()).unwrap();
            let value = &text["params"]["result"]["value"];
            let key = value["pubkey"].as_str().unwrap().parse().unwrap();
            let lamports = value["account"]["lamports"].as_u64().unwrap();
            (key, lamports, text["params"].get("gap").is_some())
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn of_a_large_program_only_what_has_changed_is_told_and_what_may_be_missing() {
    let (hub, outbox) = (hub(), Outbox::new(4 * 1024 * 1024));
    let topic = program(&hub, &outbox, 20);
    told(&outbox);
    topic.taken(2);
    // Of 20 000 accounts ten of the known ones have changed; of most nothing is known.
    let changed = |key: u64| if key < 10 { 2 } else { 1 };
    let all = || (0..20_000).map(|key| keyed(key, changed(key))).collect();
    let (heard, is_whole) = read_at(&hub, 20, all()).tell(&hub, &topic).await;
    assert_eq!((heard, is_whole), (10, false));
    let sent = told(&outbox);
    let expected: Vec<_> = (0..10).map(|key| (key, 2, false)).collect();
    assert_eq!(sent, expected);
    // From now on all of them are known.
    let (heard, is_whole) = read_at(&hub, 30, all()).tell(&hub, &topic).await;
    assert_eq!((heard, is_whole), (0, true));
    let one = vec![keyed(15_000, 3)];
    let (heard, is_whole) = read_at(&hub, 40, one).tell(&hub, &topic).await;
    assert_eq!((heard, is_whole), (1, true));
}

#[tokio::test(start_paused = true)]
async fn of_a_small_program_nothing_is_missing() {
    let (hub, outbox) = (hub(), Outbox::new(4 * 1024 * 1024));
    let topic = program(&hub, &outbox, 2);
    told(&outbox);
    let all = (0..MOST_UNKNOWN as u64 + 2).map(|key| keyed(key, 1));
    let (heard, is_whole) = read_at(&hub, 20, all.collect()).tell(&hub, &topic).await;
    assert_eq!((heard, is_whole), (MOST_UNKNOWN, true));
}

/// Reads an outbox as fast as a slow client does, until so many messages have come.
async fn reads_slowly(outbox: &Outbox, mut count: usize) {
    while count > 0 {
        assert!(!outbox.has_overflowed(), "{count} have yet to come");
        count -= usize::from(outbox.take().is_some());
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_is_not_closed_for_what_is_recovered() {
    let (hub, outbox) = (hub(), Outbox::new(64 * 1024));
    let topic = topic_of(&hub, SubscriptionKind::Program);
    topic.join(7, &outbox);
    topic.taken(1);
    for key in 0..3000 {
        tells(&topic, 1, 10, key);
        outbox.take().unwrap();
    }
    let changed: Vec<_> = (0..3000).map(|key| keyed(key, 2)).collect();
    let read = read_at(&hub, 20, changed);
    let ((), (heard, _)) = tokio::join!(reads_slowly(&outbox, 3000), read.tell(&hub, &topic));
    assert_eq!(heard, 3000);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_client_that_does_not_read_and_it_misses_nothing() {
    let hub = hub();
    let [fast, slow] = [(); 2].map(|()| Outbox::new(64 * 1024));
    let topic = program(&hub, &fast, 0);
    for key in 0..3000 {
        tells(&topic, 1, 10, key);
        fast.take().unwrap();
    }
    topic.join(8, &slow);
    let changed: Vec<_> = (0..3000).map(|key| keyed(key, 2)).collect();
    let read = read_at(&hub, 20, changed);
    let begun = Instant::now();
    let (heard, _) = {
        let telling = read.tell(&hub, &topic);
        tokio::join!(reads_slowly(&fast, 3000), telling).1
    };
    assert_eq!(heard, 6000);
    // One message each millisecond is as fast as this client gets.
    assert!(begun.elapsed() < Duration::from_millis(3200));
    assert!(!slow.has_overflowed() && !slow.is_empty());
    // Meanwhile the last account changes, and the slow client is told at once.
    let newer = crate::pubsub::topic::wrapped(Slot(21), &keyed(2999, 3));
    assert_eq!(topic.hear(1, &newer).told, 2);
    fast.take().unwrap();
    let mut all = Vec::new();
    while all.len() < 3000 {
        assert!(!slow.has_overflowed(), "{} were told", all.len());
        all.extend(told(&slow));
        sleep(Duration::from_millis(1)).await;
    }
    let value = |key| (key, if key == 2999 { 3 } else { 2 }, false);
    let before: Vec<_> = all
        .iter()
        .filter(|(key, ..)| *key != 2999)
        .copied()
        .collect();
    assert_eq!(before, (0..2999).map(value).collect::<Vec<_>>());
    assert!(all.contains(&value(2999)));
    // From then on it is told with the others.
    sleep(Duration::from_secs(1)).await;
    let read = read_at(&hub, 40, vec![keyed(5, 9)]);
    assert_eq!(read.tell(&hub, &topic).await, (2, true));
    assert_eq!(
        [told(&fast), told(&slow)],
        [[(5, 9, false)], [(5, 9, false)]]
    );
}

#[tokio::test(start_paused = true)]
async fn who_joins_a_large_program_gets_all_of_it_at_its_pace_and_nobody_else_does() {
    let hub = hub();
    let [first, late] = [(); 2].map(|()| Outbox::new(64 * 1024));
    let topic = program(&hub, &first, 0);
    topic.join(8, &late);
    let read = read_at(&hub, 20, (0..3000).map(|key| keyed(key, 1)).collect());
    tokio::join!(reads_slowly(&late, 3000), read.tell_one(&topic, 8));
    assert!(first.is_empty());
    // One that leaves is not waited for.
    topic.leave(8);
    read.tell_one(&topic, 8).await;
    assert!(late.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_read_for_one_that_joins_never_follows_something_newer() {
    let (hub, outbox) = (hub(), Outbox::new(64 * 1024));
    let topic = topic_of(&hub, SubscriptionKind::Account);
    topic.join(7, &outbox);
    topic.taken(1);
    let lamports = |lamports: u64| Bytes::from(json!({ "lamports": lamports }).to_string());
    let read = read_at(&hub, 20, vec![lamports(1)]);
    topic.hear(1, &crate::pubsub::topic::wrapped(Slot(21), &lamports(2)));
    read.tell_one(&topic, 7).await;
    let sent = std::iter::from_fn(|| outbox.take()).map(OutboxMessage::into_text);
    let sent: Vec<Value> = sent
        .map(|text| serde_json::from_slice(&text).unwrap())
        .collect();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0]["params"]["result"]["value"]["lamports"], 2);

    // Likewise for each account of a program.
    let topic = program(&hub, &outbox, 0);
    topic.join(8, &outbox);
    tells(&topic, 1, 21, 5);
    told(&outbox);
    let read = read_at(&hub, 20, vec![keyed(4, 9), keyed(5, 9), keyed(6, 9)]);
    read.tell_one(&topic, 8).await;
    assert_eq!(told(&outbox), [(4, 9, false), (6, 9, false)]);
}

/// A hub in front of an upstream that takes no connections, with a method that clients may not call.
fn hub_in_vain() -> Arc<Hub> {
    let upstream = settings("gone", "http://127.0.0.1:9");
    hub_dialling_with(vec![upstream], Box::new(NetworkDialer), |config| {
        config.methods.deny = vec!["getAccountInfo".to_owned()];
    })
}

#[tokio::test(start_paused = true)]
async fn methods_denied_to_clients_are_not_denied_to_repairs_and_refusals_end_them() {
    let hub = hub_in_vain();
    let end = || Instant::now() + PATIENCE;
    let denied = ask(&hub, "getAccountInfo", &json!([KEY]), end()).await;
    // Nobody is there to ask.
    assert_eq!(denied.err(), Some(AskFault::NotNow));
    // No node lists blocks that are merely processed.
    let params = json!([1, 2, { "commitment": "processed" }]);
    let refused = ask(&hub, "getBlocks", &params, end()).await;
    assert_eq!(refused.err(), Some(AskFault::Final));
}

#[test]
fn what_a_node_would_refuse_to_read_in_base58_is_read_in_base64() {
    for (encoding, asked) in [
        (json!({}), "base64"),
        (json!({"encoding": "base58"}), "base64"),
        (json!({"encoding": "base64+zstd"}), "base64+zstd"),
        (json!({"encoding": "jsonParsed"}), "jsonParsed"),
    ] {
        for (kind, method) in [
            (SubscriptionKind::Account, "getAccountInfo"),
            (SubscriptionKind::Program, "getProgramAccounts"),
        ] {
            let params = json!([KEY, encoding]).to_string();
            let spec = SubscriptionSpec::read(kind, Some(params.as_bytes())).unwrap();
            let (named, params, form) = request(&spec, Some(Slot(7))).unwrap();
            assert_eq!((named, &params[0]), (method, &json!(KEY)));
            assert_eq!(params[1]["encoding"], asked, "{encoding}");
            assert_eq!(params[1]["minContextSlot"], 7);
            assert_eq!(form.is_some(), asked == "base64", "{encoding}");
        }
    }
}
