//! Which index answers what people ask: by name, as both databases plan it.

use std::collections::BTreeSet;

use perijove_ingest::config;
use serde_json::Value;
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row};

use crate::questions::file;
use crate::scene::{filled, on_postgres, on_sqlite, server};

/// What is asked, and the index that has to answer.
struct Question {
    asked: String,
    postgres: &'static str,
    sqlite: &'static str,
}

/// A question that an index of one name answers in both databases.
fn by(index: &'static str, asked: String) -> Question {
    Question {
        asked,
        postgres: index,
        sqlite: index,
    }
}

/// The newest time of a table. SQLite's index has had it from the start.
fn newest(table: &str, postgres: &'static str, sqlite: &'static str) -> Question {
    Question {
        asked: format!("SELECT max(time) FROM {table}"),
        postgres,
        sqlite,
    }
}

/// All of them, with a key of each kind in the database's own notation.
fn questions(key: &str, signature: &str) -> Vec<Question> {
    let last = "ORDER BY time DESC LIMIT 20";
    let trades = |column: &str| format!("SELECT * FROM dex_trades WHERE {column} = {key} {last}");
    let signed = |table: &str| format!("SELECT * FROM {table} WHERE signature = {signature}");
    vec![
        by("dex_trades_by_base", trades("base")),
        by("dex_trades_by_market", trades("market")),
        by("dex_trades_by_trader", trades("trader")),
        by("dex_trades_by_signature", signed("dex_trades")),
        newest("dex_trades", "dex_trades_newest", "dex_trades_by_time"),
        by(
            "dex_trades_by_trader",
            format!("SELECT * FROM wallet_trades WHERE wallet = {key} {last}"),
        ),
        by(
            "dex_trades_by_base",
            format!("SELECT * FROM ohlc_minutes WHERE base = {key}"),
        ),
        by(
            "dex_trades_by_market",
            format!("SELECT * FROM pool_hours WHERE market = {key}"),
        ),
        by(
            "transfers_by_mint",
            format!("SELECT * FROM transfers WHERE mint = {key} {last}"),
        ),
        by("transfers_by_signature", signed("transfers")),
        newest("transfers", "transfers_newest", "transfers_by_time"),
        by("transactions_by_signature", signed("transactions")),
        newest(
            "transactions",
            "transactions_newest",
            "transactions_by_time",
        ),
    ]
}

/// Puts the names of all indexes of a plan, and of its parts, into a set.
fn indexes_of(plan: &Value, found: &mut BTreeSet<String>) {
    match plan {
        Value::Object(members) => {
            if let Some(Value::String(index)) = members.get("Index Name") {
                found.insert(index.clone());
            }
            members.values().for_each(|part| indexes_of(part, found));
        }
        Value::Array(parts) => parts.iter().for_each(|part| indexes_of(part, found)),
        _ => {}
    }
}

/// The indexes of whole tables that PostgreSQL plans to use, and the plan. Small tables it would rather read as a
/// whole.
async fn planned(pool: &PgPool, asked: &str) -> (BTreeSet<String>, Value) {
    let mut connection = pool.acquire().await.unwrap();
    sqlx::raw_sql("SET enable_seqscan = off")
        .execute(&mut *connection)
        .await
        .unwrap();
    let explained = AssertSqlSafe(format!("EXPLAIN (FORMAT JSON) {asked}"));
    let plan: Value = sqlx::query_scalar(explained)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    let mut parts = BTreeSet::new();
    indexes_of(&plan, &mut parts);
    (parents(&mut connection, &parts).await, plan)
}

/// Of which tables' indexes these parts are.
async fn parents(connection: &mut PgConnection, parts: &BTreeSet<String>) -> BTreeSet<String> {
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT inhparent::regclass::text FROM pg_inherits
         WHERE inhrelid = ANY (SELECT to_regclass(part) FROM unnest($1::text[]) AS part)",
    )
    .bind(parts)
    .fetch_all(connection)
    .await
    .unwrap();
    names.into_iter().collect()
}

/// A token and a signature of the trades that are stored, in hexadecimal.
async fn key_and_signature(settings: &config::Database) -> (String, String) {
    let batch = filled(settings).await;
    let trade = &batch.trades[0];
    let hex = |bytes: &[u8]| hex::encode(bytes);
    (hex(&trade.pair.base.0), hex(&trade.origin.signature.0))
}

#[tokio::test]
async fn postgres_answers_each_question_by_its_index() {
    on_postgres(async |settings| {
        let (key, signature) = key_and_signature(&settings).await;
        let pool = server(&settings).await;
        for table in ["transfers", "transactions"] {
            sqlx::query("SELECT add_partition($1, 372978000, 373032000)")
                .bind(table)
                .execute(&pool)
                .await
                .unwrap();
        }
        let bytes = |hex: String| format!("'\\x{hex}'::bytea");
        for question in questions(&bytes(key), &bytes(signature)) {
            let (indexes, plan) = planned(&pool, &question.asked).await;
            let expected = BTreeSet::from([question.postgres.to_owned()]);
            assert_eq!(indexes, expected, "{}\n{plan:#}", question.asked);
        }
    })
    .await;
}

/// The steps of SQLite's plan that touch a table's rows.
async fn steps(pool: &SqlitePool, asked: &str) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {asked}")))
        .fetch_all(pool)
        .await
        .unwrap();
    let steps = rows.iter().map(|row| row.get::<String, _>("detail"));
    let of_tables = |step: &String| {
        ["dex_trades", "transfers", "transactions"]
            .iter()
            .any(|table| step.contains(table))
    };
    steps.filter(of_tables).collect()
}

#[tokio::test]
async fn sqlite_answers_each_question_by_its_index() {
    on_sqlite(async |settings| {
        let (key, signature) = key_and_signature(&settings).await;
        let pool = file(&settings).await;
        let bytes = |hex: String| format!("X'{hex}'");
        for question in questions(&bytes(key), &bytes(signature)) {
            let steps = steps(&pool, &question.asked).await;
            let [step] = &*steps else {
                panic!("{}: {steps:?}", question.asked);
            };
            // It looks up; a scan of an index reads all of it.
            let words: Vec<&str> = step.split_whitespace().collect();
            let index = words.iter().position(|word| *word == "INDEX");
            let index = index.and_then(|at| words.get(at + 1));
            assert_eq!(words[0], "SEARCH", "{}: {step}", question.asked);
            assert_eq!(index, Some(&question.sqlite), "{}: {step}", question.asked);
        }
    })
    .await;
}
