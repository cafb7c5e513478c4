//! Dead letters that are counted are those that are stored, whatever their class, and each is told once.

use std::collections::BTreeMap;

use perijove_tests::wait::until_within;
use serde_json::Value;
use sqlx::postgres::PgPool;

use crate::commands::poisoned;
use crate::messages::Ledger;
use crate::program::{PATIENCE, Program};
use crate::world::World;

/// The database refuses the trades of some slots, as it would rows that break a rule of it.
const REFUSES: [&str; 2] = [
    "CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF NEW.slot % 11 = 3 THEN RAISE 'not this one' USING ERRCODE = '22023'; END IF;
         RETURN NEW; END $$",
    "CREATE TRIGGER refuses BEFORE INSERT ON dex_trades FOR EACH ROW EXECUTE FUNCTION refuses()",
];

async fn stored(pool: &PgPool) -> BTreeMap<String, i64> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT class, count(*) FROM dead_letters GROUP BY class")
            .fetch_all(pool)
            .await
            .unwrap();
    rows.into_iter().collect()
}

/// Counted by a metric, by class; those that are zero left out.
async fn counted(program: &Program, name: &str, label: &str) -> BTreeMap<String, i64> {
    let metrics = program.metrics().await;
    let classes = metrics.label_values(name, label);
    let counts = classes.into_iter().map(|class| {
        let count = metrics.sum(name, &[(label, &class)]) as i64;
        (class, count)
    });
    counts.filter(|(_, count)| *count > 0).collect()
}

/// The places that the log tells of as dead letters.
fn told(program: &Program) -> Vec<String> {
    let log = program.log();
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let letters = lines.filter(|line| line["message"] == "dead letter");
    letters.map(|line| line["place"].to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_that_are_counted_are_those_that_are_stored() {
    let world = World::start().await;
    let program = world.program(None);
    let (mut ledger, pool) = (Ledger::default(), world.pool().await);
    program
        .healthy_when("the tables", |health| health["status"] == "healthy")
        .await;
    for statement in REFUSES {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    ledger
        .send(&world.kafka.producer(), poisoned(41, 400))
        .await;
    world.all_stored(&pool, &ledger).await;

    let letters = stored(&pool).await;
    let all: i64 = letters.values().sum();
    assert!(letters["refused"] > 0 && letters.len() > 1, "{letters:?}");
    assert_eq!(
        counted(&program, "dead_letters_total", "class").await,
        letters
    );
    assert_eq!(
        counted(&program, "processing_errors_total", "kind").await,
        letters
    );
    let mut places = told(&program);
    places.sort_unstable();
    let lines = places.len();
    places.dedup();
    let each = usize::try_from(all).unwrap();
    assert_eq!((places.len(), lines), (each, each));

    // Read again, they are the same letters.
    let processed = || async {
        let metrics = program.metrics().await;
        metrics.sum("messages_processed_total", &[]) as usize
    };
    world
        .command(&["offsets", "reset", "--to", "earliest"])
        .await;
    until_within(PATIENCE, "everything to be read again", || async {
        (processed().await >= 2 * ledger.len()).then_some(())
    })
    .await;
    assert_eq!(stored(&pool).await, letters);
    assert_eq!(
        counted(&program, "dead_letters_total", "class").await,
        letters
    );
    program.leave().await;
}
