//! Dead letters.

use perijove_ingest::config;
use perijove_ingest::dead_letter::DeadLetter;
use perijove_ingest::project::{Poisoned, ProjectError};
use perijove_ingest::record::{Record, UnixMillis};
use perijove_ingest::sink::database::{DeadLetterFilter, RowBatch};

use crate::scene::{on_both, open, record, unusable};

on_both!(
    dead_letters_are_kept_until_they_can_be_used,
    every_record_at_a_place_is_a_letter_of_its_own,
    letters_of_an_earlier_version_are_recognized,
);

async fn dead_letters_are_kept_until_they_can_be_used(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 2).await.unwrap();
    let poisoned = |place| Poisoned {
        transaction: place,
        fault: ProjectError::Missing("signature"),
    };
    let letter =
        |record: &Record, place| DeadLetter::of_transaction(record.clone(), &poisoned(place));
    let (one, other) = (record(1, b"one\0"), record(2, b"other"));
    let batch = RowBatch {
        next_offset: Some(3),
        dead_letters: vec![letter(&one, 4), letter(&one, 6), letter(&other, 0)],
        ..RowBatch::default()
    };
    database.commit(&mut lane, &batch).await.unwrap();
    database.commit(&mut lane, &batch).await.unwrap();
    let all = DeadLetterFilter {
        most: 10,
        ..DeadLetterFilter::default()
    };
    let letters = database.dead_letters(&all).await.unwrap();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0].record, one);
    assert_eq!(letters[1].record, other);
    assert_eq!(letters[0].class, "missing");
    assert_eq!(
        letters[0].error,
        "transaction 4: signature is missing; transaction 6: signature is missing"
    );
    assert_eq!(letters[0].replayed, None);
    let summaries = database.dead_letter_summaries(&all).await.unwrap();
    let first = &summaries[0];
    assert_eq!(summaries.len(), 2);
    assert_eq!((first.id, first.bytes), (letters[0].id, 4));
    assert_eq!(
        (&first.place, &first.error),
        (&one.place, &letters[0].error)
    );
    assert!(!first.replayed && first.class == "missing");

    let batch = RowBatch {
        replayed: vec![letters[0].id],
        ..RowBatch::default()
    };
    database.commit(&mut lane, &batch).await.unwrap();
    let ids = |filter: DeadLetterFilter| {
        let database = database.clone();
        async move {
            let letters = database.dead_letters(&filter).await.unwrap();
            letters.iter().map(|letter| letter.id).collect::<Vec<_>>()
        }
    };
    let (first, second) = (letters[0].id, letters[1].id);
    for (filter, expected) in [
        (all.clone(), vec![second]),
        (
            DeadLetterFilter {
                replayed: true,
                ..all.clone()
            },
            vec![first, second],
        ),
        (
            DeadLetterFilter {
                replayed: true,
                most: 1,
                ..all.clone()
            },
            vec![first],
        ),
        (
            DeadLetterFilter {
                replayed: true,
                after: first,
                ..all.clone()
            },
            vec![second],
        ),
        (
            DeadLetterFilter {
                id: Some(second),
                ..all.clone()
            },
            vec![second],
        ),
        (
            DeadLetterFilter {
                class: Some("json".to_owned()),
                ..all.clone()
            },
            vec![],
        ),
    ] {
        assert_eq!(ids(filter.clone()).await, expected, "{filter:?}");
    }
}

async fn every_record_at_a_place_is_a_letter_of_its_own(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 2).await.unwrap();
    let all = DeadLetterFilter {
        replayed: true,
        most: 10,
        ..DeadLetterFilter::default()
    };
    let old = record(7, b"before the topic was recreated");
    let batch = |record: &Record| RowBatch {
        dead_letters: vec![unusable(record.clone())],
        ..RowBatch::default()
    };
    database.commit(&mut lane, &batch(&old)).await.unwrap();
    let id = database.dead_letters(&all).await.unwrap()[0].id;
    let replayed = RowBatch {
        replayed: vec![id],
        ..RowBatch::default()
    };
    database.commit(&mut lane, &replayed).await.unwrap();

    let new = record(7, b"afterwards");
    let later = Record {
        timestamp: Some(UnixMillis(1_760_000_000_002)),
        ..new.clone()
    };
    let keyed = Record {
        key: Some(bytes::Bytes::from_static(b"key")),
        ..new.clone()
    };
    for record in [&new, &later, &keyed] {
        let committed = database.commit(&mut lane, &batch(record)).await.unwrap();
        assert_eq!(committed.dead_letters, ["missing"], "{record:?}");
        let again = database.commit(&mut lane, &batch(record)).await.unwrap();
        assert!(again.dead_letters.is_empty(), "{record:?}");
    }
    let letters = database.dead_letters(&all).await.unwrap();
    let records: Vec<&Record> = letters.iter().map(|letter| &letter.record).collect();
    assert_eq!(records, [&old, &new, &later, &keyed]);
    let replayed: Vec<bool> = letters.iter().map(|one| one.replayed.is_some()).collect();
    assert_eq!(replayed, [true, false, false, false]);
}

async fn letters_of_an_earlier_version_are_recognized(settings: config::Database) {
    let database = open(&settings).await;
    let mut lane = database.claim("group", "topic", 2).await.unwrap();
    let known = record(7, b"known");
    let batch = |record: &Record| RowBatch {
        dead_letters: vec![unusable(record.clone())],
        ..RowBatch::default()
    };
    database.commit(&mut lane, &batch(&known)).await.unwrap();
    let url = settings.url.expose().to_string();
    if settings.is_sqlite() {
        let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
        let earlier = sqlx::query("UPDATE dead_letters SET fingerprint = X''");
        earlier.execute(&pool).await.unwrap();
    } else {
        let pool = sqlx::PgPool::connect(&url).await.unwrap();
        let earlier = sqlx::query("UPDATE dead_letters SET fingerprint = ''");
        earlier.execute(&pool).await.unwrap();
    }
    for (record, new) in [(record(7, b"other"), 1), (known, 0)] {
        let committed = database.commit(&mut lane, &batch(&record)).await.unwrap();
        assert_eq!(committed.dead_letters.len(), new, "{record:?}");
    }
}
