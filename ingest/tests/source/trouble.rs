//! What comes at the wrong moment: the end while the group waits for an answer, a reset while
//! partitions move, sinks that are away for longer than the group waits.

use std::time::Duration;

use perijove_ingest::config::{Assignment, Buffer, Kafka};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tokio::time::Instant;

use crate::member::{Member, TOPIC, eventually};
use crate::mock::{Mock, assert_once, partition};
use crate::store::Store;

const GRACE: Duration = Duration::from_secs(5);

fn silent(settings: &Kafka, store: &Store, partitions: &[i32]) -> Member {
    Member::join_silent(settings, store, &Buffer::default(), GRACE, partitions)
}

const BOTH: [Assignment; 2] = [Assignment::CooperativeSticky, Assignment::RoundRobin];

#[tokio::test]
async fn a_source_that_was_not_told_where_to_begin_ends_when_it_is_told_to() {
    for assignment in BOTH {
        let mock = Mock::start(2);
        let settings = Kafka {
            assignment,
            ..mock.settings()
        };
        let member = silent(&settings, &Store::default(), &[0, 1]);
        eventually("its partitions", || {
            member.has_heard("assigned solana.dextrades.proto[1]")
        })
        .await;
        member.control.stop();
        eventually("the end", || member.is_over()).await;
        member.ended().await.unwrap();
    }
}

#[tokio::test]
async fn a_source_that_is_dropped_while_a_partition_is_taken_away_leaves_the_group() {
    for assignment in BOTH {
        let mock = Mock::start(2);
        let store = Store::default();
        let settings = Kafka {
            assignment,
            ..mock.settings()
        };
        let grace = Duration::from_mins(1);
        let first = Member::join_with(&settings, &store, &Buffer::default(), grace);
        eventually("the first to have all", || {
            first.control.status().partitions() == 2
        })
        .await;
        first.store(false);
        for at in 0..2 {
            mock.produce(at, 0..10).await;
        }
        eventually("records under way", || first.budget.bytes() > 0).await;
        let second = Member::join(&settings, &store);
        eventually("a partition to be taken away", || {
            first.metric("kafka_rebalances_total", &[("kind", "revoke")]) >= Some(1.0)
        })
        .await;
        first.abort().await;
        eventually("the second to have stored all", || store.len() == 20).await;
        second.stop().await.unwrap();
        assert_once(&store, 2, 0..10);
    }
}

/// Whether the last thing a member heard of a partition is that it begins.
fn holds(member: &Member, number: i32) -> bool {
    let heard = member.heard.lock();
    let name = partition(number).to_string();
    let last = heard.iter().rfind(|one| one.contains(&name));
    last.is_some_and(|last| last.starts_with("begun"))
}

#[tokio::test]
async fn a_partition_that_is_reset_while_another_arrives_delays_neither() {
    let mock = Mock::start(2);
    let store = Store::default();
    let settings = mock.settings();
    let first = Member::join(&settings, &store);
    let second = Member::join(&settings, &store);
    let share = |member: &Member| member.control.status().partitions();
    eventually("each to have one", || {
        (share(&first), share(&second)) == (1, 1)
    })
    .await;
    let moving = i32::from(holds(&first, 0));
    let staying = 1 - moving;
    for at in 0..2 {
        mock.produce(at, 0..10).await;
    }
    eventually("all to be stored", || store.len() == 20).await;

    // Records of ours are under way when the other's partition comes.
    first.store(false);
    first.answer_all_but(&[moving]);
    mock.produce(staying, 10..11).await;
    eventually("records under way", || first.budget.bytes() > 0).await;
    let assigned = || first.metric("kafka_rebalances_total", &[("kind", "assign")]);
    let before = assigned();
    second.stop().await.unwrap();
    eventually("the other's partition", || assigned() > before).await;
    store.reset(&partition(staying), 5);
    first.store(true);
    let lost = format!("lost {}", partition(staying));
    eventually("the reset to be noticed", || first.has_heard(&lost)).await;
    first.answer_all_but(&[]);
    eventually("it to read again", || {
        store.offsets(&partition(staying)).len() == 16
    })
    .await;
    mock.produce(moving, 10..11).await;
    eventually("the other's partition to be read", || {
        store.next(&partition(moving)) == Some(11)
    })
    .await;
    first.stop().await.unwrap();
}

#[tokio::test]
async fn a_reset_is_obeyed_also_while_kafka_takes_no_commits() {
    let mock = Mock::start(1);
    mock.produce(0, 0..10).await;
    let store = Store::default();
    let member = Member::join(&mock.settings(), &store);
    eventually("all to be stored", || store.len() == 10).await;
    let busy = RDKafkaRespErr::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS;
    mock.cluster
        .request_errors(RDKafkaApiKey::OffsetCommit, &[busy; 1000]);
    store.reset(&partition(0), 7);
    mock.produce(0, 10..11).await;
    eventually("it to read again", || {
        store.offsets(&partition(0)).len() == 14
    })
    .await;
    member.stop().await.unwrap();
}

#[tokio::test]
async fn the_lag_grows_while_nothing_is_fetched() {
    let mock = Mock::start(1);
    mock.produce(0, 0..5).await;
    let store = Store::default();
    let member = Member::join(&mock.settings(), &store);
    eventually("the first records", || store.len() == 5).await;
    member.control.hold(true);
    eventually("it to pause", || {
        member.metric("kafka_paused_partitions", &[]) == Some(1.0)
    })
    .await;
    mock.produce(0, 5..12).await;
    let lag = || {
        member.metric(
            "kafka_consumer_lag",
            &[("topic", TOPIC), ("partition", "0")],
        )
    };
    eventually("the lag to be seen", || lag() == Some(7.0)).await;
    member.control.hold(false);
    eventually("no lag", || lag() == Some(0.0)).await;
    member.stop().await.unwrap();
}

#[tokio::test]
async fn sinks_that_are_away_for_longer_than_the_poll_interval_cost_no_partition() {
    let mock = Mock::start(2);
    let store = Store::default();
    let limit = Duration::from_secs(5);
    let settings = Kafka {
        session_timeout: limit,
        max_poll_interval: limit,
        ..mock.settings()
    };
    let buffer = Buffer {
        messages: 10,
        ..Buffer::default()
    };
    let member = Member::join_with(&settings, &store, &buffer, GRACE);
    eventually("its partitions", || {
        member.control.status().partitions() == 2
    })
    .await;
    member.store(false);
    for at in 0..2 {
        mock.produce(at, 0..50).await;
    }
    eventually("both to be paused", || {
        member.metric("kafka_paused_partitions", &[]) == Some(2.0)
    })
    .await;
    let since = Instant::now();
    eventually("more than the limit to pass", || {
        since.elapsed() > 2 * limit
    })
    .await;
    member.store(true);
    eventually("all to be stored", || store.len() == 100).await;
    let kinds = |kind| member.metric("kafka_rebalances_total", &[("kind", kind)]);
    assert_eq!((kinds("revoke"), kinds("lose")), (Some(0.0), Some(0.0)));
    member.stop().await.unwrap();
    assert_once(&store, 2, 0..50);
}

#[tokio::test]
async fn a_partition_without_a_leader_holds_up_no_other() {
    for assignment in BOTH {
        let mock = Mock::start(3);
        for at in 0..3 {
            mock.produce(at, 0..10).await;
        }
        mock.cluster.partition_leader(TOPIC, 1, None).unwrap();
        let store = Store::default();
        let settings = Kafka {
            assignment,
            ..mock.settings()
        };
        let member = Member::join(&settings, &store);
        eventually("the others to be stored", || store.len() == 20).await;
        assert_eq!(store.next(&partition(1)), None);
        mock.cluster.partition_leader(TOPIC, 1, Some(1)).unwrap();
        eventually("all to be stored", || store.len() == 30).await;
        for at in 0..3 {
            mock.produce(at, 10..20).await;
        }
        eventually("what comes later", || store.len() == 60).await;
        member.stop().await.unwrap();
        assert_once(&store, 3, 0..20);
    }
}

#[tokio::test]
async fn a_member_that_ends_settles_what_it_has_also_when_another_joins_meanwhile() {
    for assignment in BOTH {
        let mock = Mock::start(2);
        let store = Store::default();
        let settings = Kafka {
            assignment,
            ..mock.settings()
        };
        let grace = Duration::from_mins(1);
        let first = Member::join_with(&settings, &store, &Buffer::default(), grace);
        eventually("the first to have all", || {
            first.control.status().partitions() == 2
        })
        .await;
        first.store(false);
        for at in 0..2 {
            mock.produce(at, 0..10).await;
        }
        eventually("records under way", || first.budget.bytes() > 0).await;
        first.control.stop();
        eventually("it to read no more", || {
            first.control.status().partitions() == 0
        })
        .await;
        let revoked = || first.metric("kafka_rebalances_total", &[("kind", "revoke")]);
        let second = Member::join(&settings, &store);
        eventually("the group to want a partition", || revoked() >= Some(1.0)).await;
        first.store(true);
        eventually("all to be stored", || store.len() == 20).await;
        let heard = std::sync::Arc::clone(&first.heard);
        first.ended().await.unwrap();
        second.stop().await.unwrap();
        let heard = heard.lock().clone();
        let unwanted = |one: &String| one.starts_with("lost") || one.starts_with("fenced");
        assert!(!heard.iter().any(unwanted), "{heard:?}");
        assert_once(&store, 2, 0..10);
    }
}

/// Kafka is away for longer than a member may be.
async fn away(mock: &Mock, member: &Member, settings: &Kafka) {
    for broker in 1..=3 {
        mock.cluster.broker_down(broker).unwrap();
    }
    eventually("it to notice", || !member.control.status().is_connected()).await;
    let since = Instant::now();
    let enough = settings.session_timeout + Duration::from_secs(2);
    eventually("the group to forget it", || since.elapsed() > enough).await;
    for broker in 1..=3 {
        mock.cluster.broker_up(broker).unwrap();
    }
    eventually("it to notice", || member.control.status().is_connected()).await;
}

#[tokio::test]
async fn a_member_that_waits_for_its_database_while_kafka_is_away_reads_on() {
    for assignment in BOTH {
        let mock = Mock::start(2);
        let store = Store::default();
        let settings = Kafka {
            assignment,
            ..mock.settings()
        };
        let member = silent(&settings, &store, &[0, 1]);
        eventually("its partitions", || {
            member.has_heard("assigned solana.dextrades.proto[1]")
        })
        .await;
        away(&mock, &member, &settings).await;
        member.answer_all_but(&[]);
        for at in 0..2 {
            mock.produce(at, 0..10).await;
        }
        eventually("all to be stored", || store.len() == 20).await;
        member.stop().await.unwrap();
        assert_once(&store, 2, 0..10);
    }
}

#[tokio::test]
async fn a_member_that_has_batches_under_way_while_kafka_is_away_stores_them_once() {
    for assignment in BOTH {
        let mock = Mock::start(2);
        let store = Store::default();
        let settings = Kafka {
            assignment,
            ..mock.settings()
        };
        let member = Member::join(&settings, &store);
        eventually("its partitions", || {
            member.control.status().partitions() == 2
        })
        .await;
        member.store(false);
        for at in 0..2 {
            mock.produce(at, 0..10).await;
        }
        eventually("records under way", || member.budget.bytes() > 0).await;
        away(&mock, &member, &settings).await;
        member.store(true);
        for at in 0..2 {
            mock.produce(at, 10..20).await;
        }
        eventually("all to be stored", || store.len() == 40).await;
        member.stop().await.unwrap();
        assert_once(&store, 2, 0..20);
    }
}
