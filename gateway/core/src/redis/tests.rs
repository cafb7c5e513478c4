use proptest::prelude::*;

use super::*;
use crate::Slot;

const KEY: &str = "pj:v1:answer:00000000000000000000000000000001";

fn stamp(slot: u64) -> Stamp {
    Stamp {
        slot: Slot(slot),
        written: 1_763_731_200_123,
    }
}

fn sealed(body: &[u8]) -> Vec<u8> {
    seal(KEY, stamp(7), body, 1024).unwrap()
}

#[test]
fn an_answer_is_called_by_its_hash() {
    assert_eq!(
        answer(0xab_cdef_u128.to_be_bytes()),
        "pj:v1:answer:00000000000000000000000000abcdef"
    );
}

#[test]
fn scripts_that_read_values_know_the_version_that_is_written() {
    let version = sealed(b"body")[2];
    assert!(PAIR.contains(&format!(r"'PJ\{version}'")));
}

#[test]
fn the_layout_is_what_other_versions_and_the_script_rely_on() {
    let value = seal(KEY, stamp(0x0102_0304_0506_0708), b"body", usize::MAX).unwrap();
    assert_eq!(value[..3], *b"PJ\x02");
    assert_eq!(value[3..11], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(value[11..19], 1_763_731_200_123_u64.to_be_bytes());
    assert_eq!(value[19..24], [0, 0, 0, 0, 4]);
    assert_eq!(value[HEADER..], *b"body");
    // Values of running programs are read after an upgrade.
    assert_eq!(
        value[24..HEADER],
        [0x23, 0xfe, 0x69, 0x0c, 0xde, 0x4f, 0x42, 0x63]
    );
}

#[test]
fn the_script_compares_where_the_slot_stands() {
    // Lua counts from 1.
    assert!(NEWER_WINS.contains("for place = 4, 11 do"));
    assert!(NEWER_WINS.contains("'GETRANGE', KEYS[1], 0, 10"));
}

#[test]
fn long_bodies_are_stored_shorter() {
    let body = br#"{"lamports":1,"owner":"11111111111111111111111111111111"},"#.repeat(200);
    let value = sealed(&body);
    assert!(value.len() < body.len() / 10, "{}", value.len());
    let (_, opened) = open(KEY, &value, body.len()).unwrap();
    assert_eq!(opened, body);
}

#[test]
fn bodies_that_do_not_compress_are_stored_as_they_are() {
    let body: Vec<u8> = blake3::hash(b"noise").as_bytes().to_vec();
    let value = seal(KEY, stamp(7), &body, 0).unwrap();
    assert_eq!(value.len(), HEADER + body.len());
    assert_eq!(open(KEY, &value, 32).unwrap().1, body);
}

#[test]
fn what_is_not_ours_is_told_apart() {
    let value = sealed(b"body");
    let changed = |place: usize, byte: u8| {
        let mut changed = value.clone();
        changed[place] = byte;
        changed
    };
    for (found, reason) in [
        (Vec::new(), Unreadable::Foreign),
        (b"PJ".to_vec(), Unreadable::Foreign),
        (
            b"an old friend of many words, longer than a header".to_vec(),
            Unreadable::Foreign,
        ),
        (value[..HEADER - 1].to_vec(), Unreadable::Foreign),
        (value[..HEADER].to_vec(), Unreadable::Damaged),
        (value[..value.len() - 1].to_vec(), Unreadable::Damaged),
        (changed(2, 1), Unreadable::Version),
        (changed(10, 8), Unreadable::Damaged),
        (changed(19, 1), Unreadable::Damaged),
        (changed(20, 1), Unreadable::TooLong),
        (changed(HEADER, b'B'), Unreadable::Damaged),
    ] {
        assert_eq!(open(KEY, &found, 1000).unwrap_err(), reason, "{found:?}");
    }
}

#[test]
fn a_value_is_no_other_keys() {
    let value = sealed(b"body");
    let other = "pj:v1:answer:00000000000000000000000000000002";
    assert_eq!(open(other, &value, 1000), Err(Unreadable::Damaged));
}

#[test]
fn what_would_unpack_to_more_than_is_wanted_is_not_unpacked() {
    let body = vec![b'x'; 100_000];
    let value = sealed(&body);
    assert!(value.len() < 1000);
    assert_eq!(open(KEY, &value, body.len() - 1), Err(Unreadable::TooLong));
    assert!(open(KEY, &value, body.len()).is_ok());
}

#[test]
fn a_length_that_is_not_the_bodys_is_refused_although_the_checksum_holds() {
    for (compressed, told) in [(1_u8, 99_u32), (1, 101), (0, 99), (0, 101), (1, 0)] {
        let body = [b'x'; 100];
        let mut value = seal(KEY, stamp(7), &body, if compressed == 1 { 0 } else { 200 }).unwrap();
        assert_eq!(value[19], compressed);
        value[20..24].copy_from_slice(&told.to_be_bytes());
        let (head, stored) = (value[..24].to_vec(), value[HEADER..].to_vec());
        value[24..HEADER].copy_from_slice(&value::checksum(KEY, &head, &stored));
        assert_eq!(open(KEY, &value, 1000), Err(Unreadable::Damaged), "{told}");
    }
}

#[test]
fn nothing_is_sealed_that_could_not_be_opened() {
    assert!(seal(KEY, stamp(7), &vec![0; LONGEST], 0).is_some());
    assert!(seal(KEY, stamp(7), &vec![0; LONGEST + 1], 0).is_none());
}

proptest! {
    #[test]
    fn what_is_sealed_opens_again(
        slot: u64, written: u64, body: Vec<u8>, repeat in 1_usize..50, from in 0_usize..4096
    ) {
        let body = body.repeat(repeat);
        let stamp = Stamp { slot: Slot(slot), written };
        let value = seal(KEY, stamp, &body, from).unwrap();
        prop_assert!(value.len() <= HEADER + body.len());
        let (told, opened) = open(KEY, &value, body.len()).unwrap();
        prop_assert_eq!(told, stamp);
        prop_assert_eq!(&*opened, &body[..]);
    }

    #[test]
    fn slots_compare_as_their_bytes_do(one: u64, other: u64) {
        let [a, b] = [one, other].map(|slot| seal(KEY, stamp(slot), b"", 0).unwrap());
        prop_assert_eq!(a[3..11].cmp(&b[3..11]), one.cmp(&other));
    }

    #[test]
    fn no_changed_bit_goes_unnoticed(body: Vec<u8>, place: prop::sample::Index, bit in 0_u32..8) {
        let mut value = seal(KEY, stamp(7), &body.repeat(9), 64).unwrap();
        let place = place.index(value.len());
        value[place] ^= 1_u8 << bit;
        prop_assert!(open(KEY, &value, 1 << 20).is_err());
    }

    #[test]
    fn no_bytes_whatsoever_do_harm(bytes: Vec<u8>, ours: bool) {
        let mut value = bytes;
        if ours && value.len() >= 3 {
            value[..3].copy_from_slice(b"PJ\x02");
        }
        prop_assert!(open(KEY, &value, 1 << 20).is_err());
    }
}
