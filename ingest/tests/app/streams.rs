//! Streams of the other kinds, and topics that are of another kind than somebody wrote.

#![expect(clippy::unnecessary_wraps, reason = "as the messages have their parts")]

use bytes::Bytes;
use perijove_core::Pubkey;
use perijove_ingest::decode::wire;
use perijove_ingest::generator::Generator;
use perijove_ingest::project::{JUPITER, TOKEN_2022};
use perijove_tests::wait::until_within;
use prost::Message as _;
use serde_json::json;
use sqlx::postgres::PgPool;

use crate::messages::{Ledger, plan};
use crate::program::PATIENCE;
use crate::world::{TOPIC, World};

const TRANSFERS: &str = "solana.tokens.proto";
const TRANSACTIONS: &str = "solana.transactions.proto";

fn key(byte: u8) -> Bytes {
    vec![byte; 32].into()
}

fn header(slot: u64) -> Option<wire::BlockHeader> {
    Some(wire::BlockHeader {
        slot,
        timestamp: std::time::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_secs()
            .cast_signed(),
        ..Default::default()
    })
}

fn account(byte: u8) -> Option<wire::Account> {
    Some(wire::Account {
        address: key(byte),
        token: Some(wire::TokenInfo {
            mint: key(9),
            owner: key(byte + 100),
            decimals: 8,
        }),
    })
}

/// A block with one transfer of a token of Token-2022 whose amounts are shown scaled, and of which a
/// fee was withheld.
fn transfers(slot: u64) -> Vec<u8> {
    let transfer = wire::Transfer {
        instruction_index: 3,
        amount: u64::MAX,
        sender: account(1),
        receiver: account(2),
        currency: Some(wire::Currency {
            symbol: "SCALED".to_owned(),
            decimals: 8,
            mint_address: key(9),
            program_address: TOKEN_2022.0.to_vec().into(),
            multiplier: 1.25,
            ..Default::default()
        }),
        ..Default::default()
    };
    let block = wire::TokenBlockMessage {
        header: header(slot),
        transactions: vec![wire::ParsedTokenTransaction {
            signature: vec![slot as u8; 64].into(),
            status: success(),
            header: Some(wire::TransactionHeader {
                accounts: vec![wire::AccountKey { address: key(2) }],
                ..Default::default()
            }),
            transfers: vec![transfer],
            balance_updates: vec![wire::CurrencyBalanceUpdate {
                balance_update: Some(wire::BalanceUpdate {
                    pre_balance: 0,
                    post_balance: u64::MAX - 5,
                    account_index: 0,
                }),
                currency: Some(wire::CurrencyKey {
                    mint_address: key(9),
                }),
            }],
            ..Default::default()
        }],
    };
    block.encode_to_vec()
}

fn success() -> Option<wire::TransactionStatus> {
    Some(wire::TransactionStatus {
        success: true,
        ..Default::default()
    })
}

/// A block with one transaction that went through Jupiter.
fn transactions(slot: u64) -> Vec<u8> {
    let program = |key: &Pubkey| wire::ParsedIdlInstruction {
        program: Some(wire::Program {
            address: key.0.to_vec().into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let block = wire::ParsedIdlBlockMessage {
        header: header(slot),
        transactions: vec![wire::ParsedIdlTransaction {
            index: 7,
            signature: vec![slot as u8; 64].into(),
            status: success(),
            header: Some(wire::TransactionHeader {
                fee: 5000,
                fee_payer: key(1),
                signer: key(1),
                ..Default::default()
            }),
            parsed_idl_instructions: vec![program(&JUPITER[0]), program(&TOKEN_2022)],
            ..Default::default()
        }],
    };
    block.encode_to_vec()
}

async fn count(pool: &PgPool, table: &str) -> i64 {
    let query = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap_or(0)
}

async fn until_stored(pool: &PgPool, topic: &str, next: i64) {
    until_within(PATIENCE, "a topic to be stored", || async {
        let stored: Option<i64> = sqlx::query_scalar(
            "SELECT next_offset FROM kafka_offsets WHERE topic = $1 AND partition = 0",
        )
        .bind(topic)
        .fetch_optional(pool)
        .await
        .ok()?
        .flatten();
        (stored == Some(next)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transfers_and_transactions_go_from_kafka_into_their_tables_once() {
    let world = World::start().await;
    for topic in [TRANSFERS, TRANSACTIONS] {
        world.kafka.create_topic(topic, 1).await;
    }
    let program = world.program_as("kinds", |text| {
        text.replace(
            &format!("streams: [{{topic: {TOPIC}, kind: trades}}]"),
            &format!(
                "streams: [{{topic: {TRANSFERS}, kind: transfers}}, {{topic: {TRANSACTIONS}, kind: transactions}}]"
            ),
        )
    });
    // Each twice, as Bitquery sends some.
    let slots = [373_000_001, 373_000_002, 373_000_001];
    world
        .kafka
        .produce(TRANSFERS, 0, slots.map(transfers))
        .await;
    world
        .kafka
        .produce(TRANSACTIONS, 0, slots.map(transactions))
        .await;
    let pool = world.pool().await;
    for topic in [TRANSFERS, TRANSACTIONS] {
        until_stored(&pool, topic, 3).await;
    }
    assert_eq!(count(&pool, "transfers").await, 2);
    assert_eq!(count(&pool, "transactions").await, 2);
    assert_eq!(count(&pool, "dead_letters").await, 0);
    let transfer: (String, String, i16, bool, f64, Vec<u8>, Vec<u8>, String) = sqlx::query_as(
        "SELECT amount::text, received::text, decimals, token_2022, multiplier, sender_owner, receiver_owner, symbol
         FROM transfers WHERE slot = 373000001",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    let expected = (
        u64::MAX.to_string(),
        (u64::MAX - 5).to_string(),
        8,
        true,
        1.25,
        vec![101; 32],
        vec![102; 32],
        "SCALED".to_owned(),
    );
    assert_eq!(transfer, expected);
    let transaction: (i64, String, bool, bool, Vec<u8>) = sqlx::query_as(
        "SELECT instructions, fee::text, success, jupiter, programs
         FROM transactions WHERE slot = 373000002",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    let programs = [JUPITER[0].0, TOKEN_2022.0].concat();
    assert_eq!(transaction, (2, "5000".to_owned(), true, true, programs));
    program.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_another_kind_is_stopped_and_the_others_go_on() {
    let world = World::start().await;
    world.kafka.create_topic(TRANSFERS, 1).await;
    let mut ledger = Ledger::default();
    let records = Generator::new(plan(21)).take(400).collect();
    ledger.send(&world.kafka.producer(), records).await;
    let slots = [373_000_001, 373_000_002];
    world
        .kafka
        .produce(TRANSFERS, 0, slots.map(transfers))
        .await;
    let pool = world.pool().await;
    let streams = format!("streams: [{{topic: {TOPIC}, kind: trades}}]");
    for kind in ["transfers", "transactions"] {
        let program = world.program_as(kind, |text| {
            text.replace(
                &streams,
                &format!("streams: [{{topic: {TOPIC}, kind: {kind}}}, {{topic: {TRANSFERS}, kind: transfers}}]"),
            )
        });
        let health = program
            .healthy_when("the wrong kind to be noticed", |health| {
                health["wrong_kinds"] != json!([])
            })
            .await;
        assert_eq!(health["status"], "degraded");
        let reason = health["wrong_kinds"][0].as_str().unwrap().to_owned();
        for part in [TOPIC, kind, "set `kind: trades` for it"] {
            assert!(reason.contains(part), "{reason}");
        }
        assert!(program.log().contains("set `kind: trades` for it"));
        let metrics = program.metrics().await;
        let wrong = |topic| metrics.sum("perijove_ingest_wrong_kind", &[("topic", topic)]);
        assert_eq!((wrong(TOPIC), wrong(TRANSFERS)), (1.0, 0.0));
        until_stored(&pool, TRANSFERS, 2).await;
        program.leave().await;
    }
    assert_eq!(count(&pool, "dead_letters").await, 0);
    assert!(world.committed().await.values().all(|offset| *offset == 0));
    // Corrected, it begins at the first message.
    let program = world.program(None);
    world.all_stored(&pool, &ledger).await;
    let health = program.health().await;
    assert_eq!(health["status"], json!("healthy"), "{health}");
    assert_eq!(health["wrong_kinds"], json!([]));
    program.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_nothing_can_read_is_stopped_without_a_dead_letter() {
    let world = World::start().await;
    let program = world.program(None);
    for _ in 0..10 {
        let messages = [(); 20].map(|()| b"no message".to_vec());
        world.kafka.produce(TOPIC, 0, messages).await;
    }
    let health = program
        .healthy_when("it to be noticed", |health| {
            health["wrong_kinds"] != json!([])
        })
        .await;
    let reason = health["wrong_kinds"][0].as_str().unwrap();
    assert!(reason.contains("they look like text"), "{reason}");
    let (status, reason) = program.ask("/ready").await;
    assert_eq!((status, reason.contains("wrong_kinds")), (503, true));
    program.leave().await;
    let pool = world.pool().await;
    assert_eq!(count(&pool, "dead_letters").await, 0);
    let stored = world.stored(&pool).await.unwrap();
    assert!(stored.values().all(|next| *next == 0), "{stored:?}");
}
