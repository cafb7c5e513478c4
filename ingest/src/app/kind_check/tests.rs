//! What is taken for another kind, and what is not.

use prometheus::Opts;

use super::*;
use crate::generator::{Generator, Plan};

const AUTO: Encoding = Encoding::Auto;

fn check(kind: Kind) -> KindCheck {
    let stream = Stream {
        topic: Plan::default().topic.to_string(),
        kind,
        ..Stream::trades()
    };
    let metric = IntGaugeVec::new(Opts::new("wrong_kind", "wrong"), &["topic"]).unwrap();
    KindCheck::new(&[stream], metric)
}

fn records(count: usize) -> Vec<Record> {
    Generator::new(Plan::default()).take(count).collect()
}

impl KindCheck {
    /// Gives a record as the converter would.
    fn give(&self, record: &Record, said: Kind, encoding: Encoding) {
        let limits = Limits::default();
        match decode(said, encoding, record.payload.as_ref(), &limits) {
            Ok(message) if has_substance(&message) => self.note_usable(&record.place.topic),
            Ok(_) => self.note_unusable(record, (said, encoding), &limits, None),
            Err(error) => self.note_unusable(record, (said, encoding), &limits, Some(&error)),
        }
    }

    fn text(&self) -> Option<String> {
        let all = self.all_wrong();
        let gauge = self.metric.with_label_values(&[&Plan::default().topic]);
        assert_eq!(gauge.get() == 1, !all.is_empty());
        all.first().map(WrongKind::to_string)
    }
}

#[test]
fn messages_of_another_kind_are_noticed_at_the_fifth() {
    let trades = records(5);
    for said in [Kind::Transfers, Kind::Transactions] {
        let kinds = check(said);
        for record in &trades[..4] {
            kinds.give(record, said, AUTO);
        }
        assert_eq!(kinds.text(), None);
        assert!(kinds.undecided_until(&trades[0].place.topic).is_some());
        kinds.give(&trades[4], said, AUTO);
        let text = kinds.text().unwrap();
        assert!(text.contains("set `kind: trades`"), "{text}");
        assert!(kinds.nothing_fits());
        assert_eq!(kinds.undecided_until(&trades[0].place.topic), None);
    }
}

#[test]
fn another_encoding_is_told_from_another_kind() {
    let kinds = check(Kind::Trades);
    for record in &records(5) {
        kinds.give(record, Kind::Trades, Encoding::Json);
    }
    let text = kinds.text().unwrap();
    assert!(text.contains("set `encoding: protobuf`"), "{text}");
}

#[test]
fn what_is_of_no_kind_is_noticed_at_the_fiftieth_and_described() {
    let record = records(1).remove(0);
    for (payload, looks) in [
        (&b"no message"[..], "look like text"),
        (br#"{"a": 1}"#, "look like JSON"),
        (&[0xff, 0xff, 0, 1], "none of Bitquery's"),
        (
            &[10, 2, 8, 7, 26, 1, 0],
            "blocks of a kind that is not supported",
        ),
    ] {
        let kinds = check(Kind::Transfers);
        let record = Record {
            payload: Some(Bytes::from_static(payload)),
            ..record.clone()
        };
        let broken = Record {
            payload: Some("no message".into()),
            ..record.clone()
        };
        for _ in 0..49 {
            kinds.give(&broken, Kind::Transfers, AUTO);
        }
        assert_eq!(kinds.text(), None);
        let error = DecodeError::NoSlot;
        kinds.note_unusable(
            &record,
            (Kind::Transfers, AUTO),
            &Limits::default(),
            Some(&error),
        );
        let text = kinds.text().unwrap();
        assert!(text.contains(looks), "{text}");
    }
}

#[test]
fn bad_messages_among_good_ones_and_large_ones_are_not_the_wrong_kind() {
    let kinds = check(Kind::Trades);
    let good = records(1).remove(0);
    let with = |payload: Option<Bytes>| Record {
        payload,
        ..good.clone()
    };
    for _ in 0..100 {
        kinds.give(&with(None), Kind::Trades, AUTO);
    }
    assert_eq!(kinds.undecided_until(&good.place.topic), None);
    for _ in 0..10 {
        for _ in 0..49 {
            kinds.give(&with(Some("no message".into())), Kind::Trades, AUTO);
        }
        kinds.give(&good, Kind::Trades, AUTO);
        assert_eq!(kinds.undecided_until(&good.place.topic), None);
    }
    assert_eq!(kinds.text(), None);
}

#[test]
fn a_topic_that_changes_is_noticed_too() {
    let kinds = check(Kind::Trades);
    let good = records(1).remove(0);
    kinds.give(&good, Kind::Trades, AUTO);
    let bad = Record {
        payload: Some("no message".into()),
        ..good
    };
    for _ in 0..50 {
        kinds.give(&bad, Kind::Trades, AUTO);
    }
    assert!(kinds.text().is_some());
}
