//! Topics that are deleted and made anew, with at least as many records as were read of the old one.

use perijove_ingest::config::{Assignment, Kafka};
use perijove_ingest::position::RecordMark;
use perijove_ingest::record::{Place, Record};
use perijove_ingest::source::SourceErrorKind;
use perijove_tests::kafka::{Kafka as Cluster, Listener};

use crate::cluster::{cluster, produce, through};
use crate::member::{Member, TOPIC, eventually};
use crate::mock::{Mock, partition};
use crate::store::Store;

const BOTH: [Assignment; 2] = [Assignment::CooperativeSticky, Assignment::RoundRobin];

/// Writes so many records to the new topic.
async fn produce_new(cluster: &Cluster, count: i64) {
    let payloads = (0..count).map(|number| format!("new/{number}"));
    cluster.produce(TOPIC, 0, payloads).await;
}

/// What is stored of the new topic.
fn new(store: &Store) -> Vec<String> {
    let rows = store.rows().into_iter();
    let texts = rows.map(|row| String::from_utf8(row.payload).unwrap());
    let mut new: Vec<String> = texts.filter(|text| text.starts_with("new/")).collect();
    // The store cannot tell that a row is there already, as the database can.
    let number = |text: &String| text.rsplit('/').next().unwrap().parse::<i64>().unwrap();
    new.sort_by_key(number);
    new.dedup();
    new
}

fn expected(count: i64) -> Vec<String> {
    (0..count).map(|number| format!("new/{number}")).collect()
}

async fn all_of_the_new(member: Member, store: &Store, count: i64, read: i64) {
    eventually("all of the new topic to be stored", || {
        new(store) == expected(count)
    })
    .await;
    let counted = |name| member.metric(name, &[("topic", TOPIC)]);
    assert_eq!(counted("kafka_gaps_total"), Some(1.0));
    let records = counted("kafka_gap_records_total");
    assert!(records.is_none_or(|records| records < 0.5), "{records:?}");
    member.stop().await.unwrap();
    let gaps: Vec<_> = store.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!((gaps[0].1.start, gaps[0].1.end), (read, 0));
    assert_eq!(store.next(&partition(0)), Some(count));
}

#[tokio::test]
async fn a_topic_made_anew_while_nobody_reads_is_read_from_its_beginning() {
    for assignment in BOTH {
        for count in [5, 30] {
            let cluster = cluster(1, 1).await;
            produce(&cluster, 0, 0..5).await;
            let store = Store::default();
            let settings = Kafka {
                assignment,
                ..through(&cluster, Listener::Plaintext)
            };
            let member = Member::join(&settings, &store);
            eventually("all to be stored", || store.len() == 5).await;
            member.stop().await.unwrap();
            cluster.delete_topic(TOPIC).await;
            cluster.create_topic(TOPIC, 1).await;
            produce_new(&cluster, count).await;
            let member = Member::join(&settings, &store);
            all_of_the_new(member, &store, count, 5).await;
        }
    }
}

#[tokio::test]
async fn a_topic_made_anew_while_it_is_read_is_read_from_its_beginning() {
    for assignment in BOTH {
        for noticed in [true, false] {
            let cluster = cluster(1, 1).await;
            produce(&cluster, 0, 0..5).await;
            let store = Store::default();
            let settings = Kafka {
                assignment,
                ..through(&cluster, Listener::Plaintext)
            };
            let member = Member::join(&settings, &store);
            eventually("all to be stored", || store.len() == 5).await;
            cluster.delete_topic(TOPIC).await;
            if noticed {
                eventually("the fault", || {
                    let fault = member.control.status().fault();
                    fault.is_some_and(|fault| fault.kind == SourceErrorKind::Topic)
                })
                .await;
            }
            cluster.create_topic(TOPIC, 1).await;
            produce_new(&cluster, 30).await;
            all_of_the_new(member, &store, 30, 5).await;
        }
    }
}

/// A store that has read so many records of the mock cluster, the last of which was this one.
fn having_read(next: i64, last: &Record) -> Store {
    let store = Store::default();
    let epoch = store.claim(&partition(0)).epoch;
    let mark = RecordMark::of(last);
    assert!(store.commit(&partition(0), epoch, Vec::new(), next, Some(mark)));
    store
}

#[tokio::test]
async fn the_same_topic_is_read_on_wherever_its_last_record_was() {
    let mock = Mock::start(1);
    mock.produce(0, 0..50).await;
    let store = Store::default();
    let settings = mock.settings();
    let member = Member::join(&settings, &store);
    eventually("all to be stored", || store.len() == 50).await;
    member.stop().await.unwrap();
    let payload = store.rows()[49].payload.clone();
    for count in 1..5 {
        let member = Member::join(&settings, &store);
        let next = 49 + count;
        mock.produce(0, next..next + 1).await;
        let all = usize::try_from(next + 1).unwrap();
        eventually("the next to be stored", || store.len() == all).await;
        member.stop().await.unwrap();
    }
    assert_eq!(store.gaps(), []);
    assert_eq!(store.rows()[49].payload, payload);
}

#[tokio::test]
async fn another_record_at_the_last_offset_is_another_topic() {
    let mock = Mock::start(1);
    mock.produce(0, 0..50).await;
    let last = Record {
        place: Place {
            topic: TOPIC.into(),
            partition: 0,
            offset: 19,
        },
        timestamp: None,
        key: None,
        payload: None,
    };
    let store = having_read(20, &last);
    let member = Member::join(&mock.settings(), &store);
    eventually("all to be stored", || store.len() >= 50).await;
    let counted = member.metric("kafka_gaps_total", &[("topic", TOPIC)]);
    assert_eq!(counted, Some(1.0));
    member.stop().await.unwrap();
    assert_eq!(store.offsets(&partition(0)), (0..50).collect::<Vec<_>>());
}
