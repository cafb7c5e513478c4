//! Recordings whole, cut and damaged.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::record::{Place, Record, UnixMillis};

fn record(offset: i64, payload: &'static [u8]) -> Record {
    Record {
        place: Place {
            topic: "solana.dextrades.proto".into(),
            partition: 3,
            offset,
        },
        timestamp: Some(UnixMillis(1_760_000_000_000)),
        key: Some(Bytes::from_static(b"373108745")),
        payload: Some(Bytes::from_static(payload)),
    }
}

fn written(records: &[Record]) -> Vec<u8> {
    let mut writer = RecordingWriter::new(Vec::new()).unwrap();
    for record in records {
        writer.write(record).unwrap();
    }
    writer.finish().unwrap()
}

/// Two records, and where the second begins.
fn two() -> (Vec<u8>, usize) {
    let first = written(&[record(1, b"first")]);
    (
        written(&[record(1, b"first"), record(2, b"second")]),
        first.len(),
    )
}

#[test]
fn what_is_read_is_what_was_written() {
    let mut bare = record(i64::MAX, b"");
    (bare.timestamp, bare.key, bare.payload) = (None, None, None);
    let records = [record(0, b"one"), record(-1, b""), bare];
    let file = written(&records);
    let mut reader = RecordingReader::new(file.as_slice()).unwrap();
    let read: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
    assert_eq!(read, records);
    assert_eq!(reader.truncated(), None);
    assert_eq!(written(&[]), *b"PJSTRM\n\x01");
}

#[test]
fn a_file_that_was_still_being_written_gives_what_is_whole_and_says_so() {
    let (file, second) = two();
    for end in second + 1..file.len() {
        let mut reader = RecordingReader::new(&file[..end]).unwrap();
        let read: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
        assert_eq!(read, [record(1, b"first")], "cut at {end}");
        let truncated = reader.truncated().unwrap();
        assert_eq!((truncated.at, truncated.records), (second as u64, 1));
        assert_eq!(
            truncated.to_string(),
            format!(
                "ends in the middle of a record at byte {second}: its writer was stopped; the 1 records \
                 before it are complete"
            )
        );
    }
}

#[test]
fn a_damaged_byte_anywhere_in_a_record_is_an_error_and_the_end() {
    let (file, second) = two();
    for at in second..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 0x40;
        let mut reader = RecordingReader::new(damaged.as_slice()).unwrap();
        assert_eq!(reader.next().unwrap().unwrap(), record(1, b"first"));
        match reader.next() {
            Some(Err(RecordingError::Damaged { at: found, .. })) => {
                assert_eq!(found, second as u64);
            }

            // A length that points beyond the end cannot be told from a file that was cut.
            None => assert!(reader.truncated().is_some() && at < second + 4),
            other => panic!("damage at {at} gives {other:?}"),
        }
        assert!(reader.next().is_none());
    }
}

#[test]
fn zeros_at_the_end_are_damage_and_no_records() {
    let (mut file, _) = two();
    file.extend([0; 64]);
    let mut reader = RecordingReader::new(file.as_slice()).unwrap();
    assert_eq!(reader.by_ref().flatten().count(), 2);
    let last = RecordingReader::new(file.as_slice())
        .unwrap()
        .last()
        .unwrap();
    assert!(last.unwrap_err().to_string().starts_with("damaged at byte"));
}

#[test]
fn what_is_no_recording_is_refused_at_once() {
    for (file, expected) in [
        (b"".as_slice(), "not a recording: the header is missing"),
        (b"PJSTRM", "not a recording: the header is missing"),
        (b"{\"slot\":1}", "not a recording: the header is missing"),
        (
            b"PJSTRM\n\x02",
            "recording format version 2 is not supported",
        ),
    ] {
        let error = RecordingReader::new(file).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn topics_share_their_name() {
    let (file, _) = two();
    let records: Vec<_> = RecordingReader::new(file.as_slice())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(std::sync::Arc::ptr_eq(
        &records[0].place.topic,
        &records[1].place.topic
    ));
}

proptest! {
    #[test]
    fn nothing_that_is_read_panics(file in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut whole = written(&[]);
        whole.extend(file);
        for record in RecordingReader::new(whole.as_slice()).unwrap() {
            drop(record);
        }
    }
}
