//! What a client was told by notifications binds the answers to its calls.

use perijove_core::{Commitment, Slot};

use super::*;
use crate::dispatch::ReadSession;
use crate::pubsub::notification_head::NotificationHead;
use crate::pubsub::shown_slot::ShownSlot;
use crate::pubsub::testing::hub;
use crate::solana::{Heads, classify};

/// Whether an answer that was read at this slot would take the client back.
fn goes_back(hub: &Hub, client: u64, commitment: Commitment, slot: u64) -> bool {
    let params = format!(r#"["x",{{"commitment":"{}"}}]"#, commitment.label());
    let class = classify("getBalance", Some(params.as_bytes()));
    let snapshot = hub.published.load();
    let selection = &snapshot.config.selection;
    let memory = &hub.pipeline.dispatch_state.rpc;
    let session = ReadSession::of(memory, client, &class, selection, Instant::now());
    session.goes_backwards(&Heads::at(Slot(slot)))
}

#[tokio::test]
async fn an_answer_from_before_a_notification_goes_back_once_it_was_told_and_for_its_client_alone()
{
    let (near, far) = tokio::io::duplex(1024);
    let hub = hub();
    let client = tests::client();
    let key = client.context.client;
    let session = SubscriberSession::new(Arc::clone(&hub), far, Vec::new(), client).await;
    let outbox = Arc::clone(&session.outbox);
    let mut socket = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    let head = |slot, commitment| {
        let shows = ShownSlot {
            slot: Slot(slot),
            commitment,
        };
        let text = Bytes::from_static(br#"{"params":{"result":1,"subscription":"#);
        NotificationHead::showing(text, Some(shows), &hub.total)
    };
    assert!(outbox.notify(&head(100, Commitment::Confirmed), 7));
    assert!(
        !goes_back(&hub, key, Commitment::Confirmed, 99),
        "it was not told yet"
    );
    tokio::spawn(session.serve());
    tests::text(&mut socket).await;
    for (commitment, slot, expected) in [
        (Commitment::Confirmed, 99, true),
        (Commitment::Confirmed, 100, false),
        // A node has processed what is confirmed.
        (Commitment::Processed, 99, true),
        (Commitment::Finalized, 60, false),
    ] {
        let goes_back = goes_back(&hub, key, commitment, slot);
        assert_eq!(goes_back, expected, "{commitment:?} {slot}");
    }
    assert!(
        !goes_back(&hub, key + 1, Commitment::Confirmed, 99),
        "another client"
    );
    // A later one at another commitment, and an older one, which counts for nothing.
    for (slot, commitment) in [(102, Commitment::Processed), (98, Commitment::Confirmed)] {
        assert!(outbox.notify(&head(slot, commitment), 7));
        tests::text(&mut socket).await;
    }
    assert!(goes_back(&hub, key, Commitment::Processed, 101));
    assert!(goes_back(&hub, key, Commitment::Confirmed, 99));
    assert!(!goes_back(&hub, key, Commitment::Confirmed, 100));
}
