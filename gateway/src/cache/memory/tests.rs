use std::sync::Barrier;
use std::thread;

use bytes::Bytes;
use perijove_core::Slot;
use prometheus::Registry;

use super::*;
use crate::cache::Lifetime;
use crate::jsonrpc::Answer;

const MIB: usize = 1024 * 1024;

fn memory(shards: usize, bytes: usize) -> MemoryCache {
    let metrics = CacheMetrics::register(&Registry::new()).unwrap();
    MemoryCache::with_shards(shards, bytes, metrics)
}

fn key(number: u64) -> CacheKey {
    CacheKey::from_bytes(
        *blake3::hash(&number.to_be_bytes())
            .as_bytes()
            .first_chunk()
            .unwrap(),
    )
}

fn entry(read_at: u64, length: usize) -> Arc<CacheEntry> {
    let body = format!(
        r#"{{"jsonrpc":"2.0","result":"{}","id":1}}"#,
        "x".repeat(length)
    );
    Arc::new(CacheEntry {
        answer: Answer::scan(Bytes::from(body)).unwrap().template(),
        read_at: Slot(read_at),
        dated: true,
        lifetime: Lifetime::Permanent,
        upstream: "v0".into(),
    })
}

#[test]
fn what_is_put_is_found_until_it_is_removed() {
    let memory = memory(1, MIB);
    assert_eq!(memory.get(&key(1)), None);
    memory.put(key(1), entry(7, 10));
    assert_eq!(memory.get(&key(1)), Some(entry(7, 10)));
    assert_eq!(memory.get(&key(2)), None);
    memory.remove(&key(1));
    assert_eq!(memory.get(&key(1)), None);
    assert_eq!(memory.entries.held(), (0, 0));
}

#[test]
fn the_newer_of_two_stays_and_of_equals_the_later_one() {
    let memory = memory(1, MIB);
    for (read_at, length, stays) in [(7, 1, 1), (6, 2, 1), (7, 3, 3), (8, 4, 4), (0, 5, 4)] {
        memory.put(key(1), entry(read_at, length));
        let found = memory.get(&key(1)).unwrap();
        assert_eq!(found.result().unwrap().len(), stays + 2, "{read_at}");
    }
    assert_eq!(memory.metrics.evictions().get(), 0);
}

#[test]
fn whoever_writes_last_of_many_threads_the_newest_stays() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 2000;
    const KEYS: usize = 3;
    let memory = memory(4, MIB);
    let keys: [CacheKey; KEYS] = std::array::from_fn(|number| key(number as u64));
    let entries: Vec<_> = (0..THREADS * ROUNDS)
        .map(|slot| entry(slot as u64, 1))
        .collect();
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (memory, keys, entries, start) = (&memory, &keys, &entries, &start);
            scope.spawn(move || {
                start.wait();
                let mut seen = [Slot(0); KEYS];
                for round in 0..ROUNDS {
                    // Every thread writes slots of its own, in no order.
                    let slot = (round * 7919 % ROUNDS) * THREADS + thread;
                    let at = slot % KEYS;
                    memory.put(keys[at], Arc::clone(&entries[slot]));
                    let found = memory.get(&keys[at]).unwrap().read_at;
                    assert!(found >= Slot(slot as u64) && found >= seen[at]);
                    seen[at] = found;
                }
            });
        }
    });
    for (at, key) in keys.iter().enumerate() {
        let newest = (0..THREADS * ROUNDS).rev().find(|slot| slot % KEYS == at);
        let found = memory.get(key).unwrap().read_at;
        assert_eq!(Some(found), newest.map(|slot| Slot(slot as u64)));
    }
}

#[test]
fn it_never_holds_more_than_it_may_and_counts_what_had_to_go() {
    let memory = memory(4, MIB);
    for number in 0..5000 {
        memory.put(key(number), entry(number, 1000));
        assert!(memory.entries.weight() <= MIB as u64);
    }
    let (bytes, entries) = memory.entries.held();
    assert!(bytes > MIB as u64 * 9 / 10, "{bytes}");
    let gone = memory.metrics.evictions().get();
    assert_eq!(gone, 5000 - entries as u64);
}

#[test]
fn what_is_in_use_survives_a_scan_of_ten_times_the_capacity() {
    let memory = memory(4, 4 * MIB);
    let weight = usize::try_from(entry(0, 1000).weight()).unwrap();
    let room = 4 * MIB as u64 / weight as u64;
    let mut scanned = 1_000_000;
    let mut scan = |entries: u64| {
        for number in scanned..scanned + entries {
            memory.put(key(number), entry(1, 1000));
        }
        scanned += entries;
    };
    // Nothing is free any more when what is going to be in use comes.
    scan(2 * room);
    let hot = 0..room / 3;
    for number in hot.clone() {
        memory.put(key(number), entry(1, 1000));
        for _ in 0..2 {
            assert!(memory.get(&key(number)).is_some());
        }
    }
    scan(10 * room);
    let held = |number: &u64| memory.get(&key(*number)).is_some();
    assert_eq!(hot.clone().filter(held).count(), hot.count());
}

#[test]
fn an_entry_that_would_drive_out_a_good_part_of_its_shard_is_not_kept() {
    let memory = memory(4, 4 * MIB);
    for number in 0..3000 {
        memory.put(key(number), entry(1, 1000));
    }
    let before = memory.entries.held();
    memory.put(key(1_000_000), entry(1, MIB / 4));
    assert_eq!(memory.get(&key(1_000_000)), None);
    assert_eq!(memory.entries.held(), before);
    memory.put(key(1_000_000), entry(1, MIB / 5));
    assert!(memory.get(&key(1_000_000)).is_some());
}

#[test]
fn less_room_takes_effect_at_once_and_more_is_used() {
    let memory = memory(4, 4 * MIB);
    let fill = || {
        for number in 0..8000 {
            memory.put(key(number), entry(1, 1000));
        }
        memory.entries.weight()
    };
    assert!(fill() > 3 * MIB as u64);
    memory.resize(MIB);
    assert!(memory.entries.weight() <= MIB as u64);
    memory.resize(8 * MIB);
    assert!(fill() > 7 * MIB as u64);
}

#[test]
fn shards_are_neither_more_than_useful_nor_too_small() {
    for (bytes, cores, expected) in [
        (MIB, 8, 1),
        (3 * MIB, 8, 2),
        (256 * MIB, 1, 4),
        (256 * MIB, 3, 8),
        (256 * MIB, 64, 32),
        (1, 1, 1),
    ] {
        assert_eq!(shards(bytes, cores), expected, "{bytes} {cores}");
    }
}

#[test]
fn keys_spread_over_the_shards() {
    let memory = memory(32, 256 * MIB);
    let mut found = [0_usize; 32];
    for number in 0..3200 {
        found[memory.entries.shard_index(&key(number))] += 1;
    }
    assert!(
        found.iter().all(|keys| (40..200).contains(keys)),
        "{found:?}"
    );
}
