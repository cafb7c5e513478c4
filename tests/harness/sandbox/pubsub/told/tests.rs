//! What events mean for subscriptions.

use std::time::Duration;

use super::*;
use crate::sandbox::accounts::{Accounts, Nature, keys};
use crate::sandbox::chain::{Line, Moment};
use crate::sandbox::clock::Clock;
use crate::sandbox::ledger::Ledger;
use crate::sandbox::params::Params;
use crate::sandbox::transaction;

const SLOT: u64 = 300_000_100;

fn cluster(accounts: Accounts) -> Cluster {
    Cluster {
        clock: Clock::start(SLOT, Duration::from_secs(1)),
        ledger: Ledger::default(),
        accounts,
        size: 1,
    }
}

fn at(level: Level, slot: u64) -> Event {
    Event {
        level,
        moment: Moment {
            slot,
            line: Line::MAIN,
        },
        parent: chain::block_at_or_before(slot - 1),
        root: slot - 31,
    }
}

fn told(cluster: &Cluster, stem: &str, params: &Value, event: &Event) -> Vec<Value> {
    let params = Params::parse(Some(&params.to_string())).unwrap();
    results(cluster, &Subscription::read(stem, &params).unwrap(), event)
}

/// The slots from here that have blocks.
fn blocks(count: usize) -> Vec<u64> {
    let all = (SLOT..).filter(|slot| !chain::skipped(*slot));
    all.take(count).collect()
}

#[test]
fn an_account_is_told_whenever_it_changed_and_only_at_its_commitment() {
    let cluster = cluster(Accounts::Moving);
    let config = json!({"commitment": "confirmed", "encoding": "base64"});
    let changes = |nature| {
        let key = keys(nature, 1).pop().unwrap();
        let params = json!([key, config]);
        let slots = blocks(64).into_iter();
        let told = slots.map(|slot| {
            assert!(told(&cluster, "account", &params, &at(Level::Processed, slot)).is_empty());
            told(&cluster, "account", &params, &at(Level::Confirmed, slot))
        });
        told.flatten().collect::<Vec<_>>()
    };
    assert_eq!(changes(Nature::Moving).len(), 64);
    assert!(changes(Nature::Still).is_empty());
    assert!(changes(Nature::Absent).is_empty());
    let fleeting = changes(Nature::Fleeting);
    let closed = fleeting.iter().filter(|one| one["value"]["lamports"] == 0);
    assert!((1..=3).contains(&closed.count()));
    for one in &fleeting {
        assert_eq!(one["context"].as_object().unwrap().len(), 1);
    }
}

#[test]
fn lamports_that_come_are_told_in_a_cluster_at_rest_too() {
    let cluster = cluster(Accounts::Still);
    let key = accounts::made_up(1);
    cluster.ledger.airdrop(&key, 7, SLOT + 2);
    let told = |slot| {
        let event = at(Level::Finalized, slot);
        told(&cluster, "account", &json!([key]), &event).len()
    };
    assert_eq!([told(SLOT + 1), told(SLOT + 2), told(SLOT + 3)], [0, 1, 0]);
}

#[test]
fn the_accounts_of_a_program_are_told_one_by_one_as_far_as_they_pass_the_filters() {
    let cluster = cluster(Accounts::Moving);
    let key = accounts::made_up(1);
    let slot = blocks(1)[0];
    let count = |filters: Value| {
        let params = json!([key, {"filters": filters, "encoding": "base64"}]);
        let told = told(&cluster, "program", &params, &at(Level::Finalized, slot));
        for one in &told {
            assert_eq!(one["context"]["slot"], slot);
            assert_eq!(one["value"]["account"]["owner"], json!(key));
        }
        told.len()
    };
    assert!(count(json!([])) > 0);
    assert_eq!(count(json!([{"dataSize": 96}])), count(json!([])));
    assert_eq!(count(json!([{"dataSize": 97}])), 0);
}

#[test]
fn logs_name_every_transaction_of_a_block_once() {
    let cluster = cluster(Accounts::Moving);
    let slot = blocks(1)[0];
    let bytes = transaction::sample(9, "");
    let signature = Transaction::read(&bytes).unwrap().signature;
    cluster.ledger.land_with(
        &signature,
        transaction::encoded(&bytes),
        slot,
        Some(json!("AccountNotFound")),
    );
    let told = |filter: Value| {
        let event = at(Level::Finalized, slot);
        told(&cluster, "logs", &json!([filter]), &event)
    };
    let all = told(json!("all"));
    assert_eq!(all.len(), 2);
    assert_eq!(all[1]["value"]["signature"], json!(signature));
    assert_eq!(all[1]["value"]["err"], "AccountNotFound");
    assert_eq!(told(json!({"mentions": [mentioned_in(slot)]})), all[..1]);
    let payer = Transaction::read(&bytes).unwrap().accounts[0].clone();
    assert_eq!(told(json!({"mentions": [payer]})), all[1..]);
    assert!(told(json!({"mentions": [mentioned_in(slot + 1)]})).is_empty());
}

#[test]
fn slots_roots_and_blocks_follow_their_levels() {
    let cluster = cluster(Accounts::Moving);
    let slot = blocks(1)[0];
    let told = |stem, params: &Value, level| told(&cluster, stem, params, &at(level, slot));
    let slots = told("slot", &json!([]), Level::Processed);
    assert_eq!(
        slots,
        [json!({"slot": slot, "parent": chain::block_at_or_before(slot - 1), "root": slot - 31})]
    );
    assert!(told("slot", &json!([]), Level::Finalized).is_empty());
    assert_eq!(told("root", &json!([]), Level::Finalized), [json!(slot)]);
    let updates = told("slotsUpdates", &json!([]), Level::Processed);
    let kinds: Vec<_> = updates
        .iter()
        .map(|one| one["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["firstShredReceived", "createdBank", "completed", "frozen"]
    );
    let blocks = told("block", &json!(["all"]), Level::Finalized);
    assert_eq!(blocks[0]["value"]["slot"], slot);
    assert_eq!(
        blocks[0]["value"]["block"]["blockhash"],
        json!(chain::blockhash(slot))
    );
}
