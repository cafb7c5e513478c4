//! Whatever the call and the cluster's slot, the sandbox answers, and in JSON. Its numbers come
//! from callers, the control port and a hash, so every sum may overflow.

use fastrand::Rng;
use serde_json::{Value, json};

use super::{KEY, SIGNATURE, methods};
use crate::sandbox::accounts::{Accounts, Nature, keys};
use crate::sandbox::afflictions::{Distortion, Fork};
use crate::sandbox::answer::Node;
use crate::sandbox::chain::{self, Line};
use crate::sandbox::ledger::Ledger;
use crate::sandbox::sight::{Level, Sight};

/// The largest answer that is looked at whole.
const LARGEST: u64 = 8 << 20;

/// Slots and amounts at which sums go wrong.
const NUMBERS: [u64; 12] = [
    0,
    1,
    33,
    431_999,
    432_000,
    300_000_100,
    (1 << 53) + 1,
    u64::MAX / 1_200 + 1,
    u64::MAX / 2,
    u64::MAX - 432_000,
    u64::MAX - 1,
    u64::MAX,
];

fn number(random: &mut Rng) -> u64 {
    let listed = random.choice(NUMBERS).unwrap_or_default();
    match random.u8(..4) {
        0 => random.u64(..),
        1 => listed.saturating_add(random.u64(..200)),
        2 => listed.saturating_sub(random.u64(..200)),
        _ => listed,
    }
}

fn key(random: &mut Rng) -> String {
    let natures = [
        Nature::Moving,
        Nature::Still,
        Nature::Absent,
        Nature::Fleeting,
    ];
    match random.u8(..8) {
        0 => KEY.to_owned(),
        1 => SIGNATURE.to_owned(),
        2 => "1".repeat(random.usize(..50)),
        3 => "z".repeat(100_000),
        4 => "Vote111111111111111111111111111111111111111".to_owned(),
        5 => {
            let nature = random.choice(natures).unwrap_or(Nature::Moving);
            keys(nature, 1).pop().unwrap_or_default()
        }
        _ => chain::hash32(random.u64(..), random.u64(..)),
    }
}

fn value(random: &mut Rng, depth: u8) -> Value {
    match random.u8(..if depth == 0 { 7 } else { 9 }) {
        0 => Value::Null,
        1 => json!(random.bool()),
        2 => json!(-random.i64(1..)),
        3 => json!(random.f64() * 1e300),
        4 => json!(key(random)),
        5 => json!("\u{0}\"\\\u{1f980} {}"),
        6 => json!(number(random)),
        7 => {
            let count = random.usize(..4);
            (0..count).map(|_| value(random, depth - 1)).collect()
        }
        _ => config(random, depth - 1),
    }
}

/// An object with members that methods look for.
fn config(random: &mut Rng, depth: u8) -> Value {
    let mut members = serde_json::Map::new();
    for name in [
        "commitment",
        "preflightCommitment",
        "encoding",
        "minContextSlot",
        "dataSlice",
        "filters",
        "limit",
        "epoch",
        "identity",
        "mint",
        "skipPreflight",
        "withContext",
        "transactionDetails",
    ] {
        if random.u8(..4) > 0 {
            continue;
        }
        let fitting = match name {
            "commitment" | "preflightCommitment" => {
                json!(random.choice(Level::ALL).map(Level::label))
            }
            "encoding" => json!(random.choice(["base58", "base64", "base64+zstd", "jsonParsed"])),
            "dataSlice" => json!({"offset": number(random), "length": number(random)}),
            "minContextSlot" | "limit" | "epoch" => json!(number(random)),
            _ => json!(key(random)),
        };
        let fits = random.u8(..4) > 0;
        let member = if fits { fitting } else { value(random, depth) };
        members.insert(name.to_owned(), member);
    }
    Value::Object(members)
}

/// Parameters of which some are right for the method.
fn params(random: &mut Rng, right: &Value) -> Value {
    let mut list: Vec<_> = right.as_array().cloned().unwrap_or_default();
    for place in &mut list {
        match random.u8(..4) {
            0 => *place = value(random, 2),
            1 if place.is_u64() => *place = json!(number(random)),
            1 if place.is_string() => *place = json!(key(random)),
            _ => {}
        }
    }
    if random.bool() {
        list.push(config(random, 2));
    }
    if random.u8(..16) == 0 {
        list.truncate(random.usize(..=list.len()));
    }
    json!(list)
}

fn node<'a>(random: &mut Rng, ledger: &'a Ledger) -> Node<'a> {
    let tip = number(random).max(33);
    let lag = if random.bool() { 0 } else { number(random) };
    let fork = random.bool().then(|| Fork {
        line: Line::fork(number(random)),
        ahead: number(random),
    });
    let root = random.bool().then(|| number(random));
    let seen = Sight::of(tip.saturating_sub(lag)).rooted_at_most(root);
    Node {
        index: random.usize(..3),
        validators: random.usize(..4),
        sight: fork.map_or(seen, |fork| seen.on_fork(fork.line, fork.ahead)),
        tip,
        distortion: Distortion {
            lag,
            fork,
            shred_gap: number(random),
            height_is_slot: random.bool(),
            ..Distortion::default()
        },
        ledger,
        accounts: if random.bool() {
            Accounts::Moving
        } else {
            Accounts::Still
        },
    }
}

/// Asks, and reads the answer as JSON.
fn answered(node: &Node<'_>, method: &str, params: &str) -> Result<Value, String> {
    let mut body = match node.answer(method, Some(params)) {
        Ok(body) if body.len() > LARGEST => return Ok(Value::Null),
        Ok(body) => body,
        Err(failure) => failure.json().into(),
    };
    let mut text = Vec::new();
    while !body.is_empty() {
        text.extend_from_slice(&body.take(64 * 1024));
    }
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

#[test]
fn every_call_is_answered_in_json_wherever_the_cluster_stands() {
    let all = methods();
    for seed in 0..120 {
        let mut random = Rng::with_seed(seed);
        let ledger = Ledger::default();
        for _ in 0..random.usize(..3) {
            ledger.airdrop(&key(&mut random), number(&mut random), number(&mut random));
        }
        let node = node(&mut random, &ledger);
        for (method, right) in &all {
            let params = params(&mut random, right).to_string();
            let said = answered(&node, method, &params);
            assert!(said.is_ok(), "seed {seed}: {method} {params}: {said:?}");
        }
    }
}

#[test]
fn every_account_is_told_of_at_every_slot() {
    let ledger = Ledger::default();
    let mut random = Rng::with_seed(7);
    for index in 0..4_000 {
        let key = chain::hash32(index, 0);
        let mut node = node(&mut random, &ledger);
        node.accounts = Accounts::Moving;
        let params = json!([key, {"commitment": "processed"}]).to_string();
        for method in ["getBalance", "getTokenLargestAccounts", "getAccountInfo"] {
            let said = answered(&node, method, &params);
            assert!(said.is_ok(), "{method} {params}: {said:?}");
        }
    }
}

#[test]
fn a_string_of_any_length_can_be_asked_for() {
    let ledger = Ledger::default();
    let node = node(&mut Rng::with_seed(1), &ledger);
    for bytes in NUMBERS {
        let params = json!([{ "bytes": bytes }]).to_string();
        let mut body = node.answer("sandboxPad", Some(&params)).unwrap();
        assert!(body.len() >= bytes);
        assert_eq!(body.take(1), "\"");
    }
}
