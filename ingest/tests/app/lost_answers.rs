//! The database commits, and the connection breaks before its answer arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use perijove_ingest::generator::{Generator, Plan};
use perijove_ingest::record::Record;
use perijove_tests::wait::until_within;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::messages::{Ledger, plan};
use crate::program::PATIENCE;
use crate::world::World;

/// How PostgreSQL is asked to commit.
const COMMIT: &[u8] = b"COMMIT\0";

/// Between the program and PostgreSQL.
struct Wire {
    port: u16,
    /// Commits whose answers are still to be lost.
    losing: Arc<AtomicUsize>,
}

impl Wire {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self {
            port: listener.local_addr().unwrap().port(),
            losing: Arc::default(),
        };
        let losing = Arc::clone(&wire.losing);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(carry(client, server, Arc::clone(&losing)));
            }
        });
        wire
    }
}

/// Until one of them leaves, or an answer is lost.
async fn carry(mut client: TcpStream, mut server: TcpStream, losing: Arc<AtomicUsize>) {
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let carried = tokio::select! {
            Ok(read @ 1..) = client.read(&mut asked) => {
                let sent = server.write_all(&asked[..read]).await;
                if asked[..read].ends_with(COMMIT) && take(&losing) {
                    // It is done now, and nobody hears of it.
                    drop(server.read(&mut answered).await);
                    return;
                }
                sent
            }
            Ok(read @ 1..) = server.read(&mut answered) => {
                client.write_all(&answered[..read]).await
            }
            else => return,
        };
        if carried.is_err() {
            return;
        }
    }
}

fn take(losing: &AtomicUsize) -> bool {
    let less = |count: usize| count.checked_sub(1);
    losing
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, less)
        .is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_unheard_is_counted_and_priced() {
    let world = World::start().await;
    let url = world.postgres.url();
    let direct = url.rsplit_once(':').unwrap().1.split_once('/').unwrap().0;
    let wire = Wire::to(direct.parse().unwrap()).await;
    let program = world.program_as("wired", |text| {
        text.replace(
            &format!("127.0.0.1:{direct}/"),
            &format!("127.0.0.1:{}/", wire.port),
        )
    });
    program
        .healthy_when("all partitions", |health| health["status"] == "healthy")
        .await;
    let pool = world.pool().await;
    let poisoned = Plan {
        poison: 0.2,
        ..plan(31)
    };
    let mut records: Vec<Record> = Generator::new(poisoned).take(80).collect();
    let (producer, mut ledger) = (world.kafka.producer(), Ledger::default());
    let later = records.split_off(40);
    ledger.send(&producer, records).await;
    world.all_stored(&pool, &ledger).await;
    wire.losing.store(2, Ordering::Release);
    ledger.send(&producer, later).await;
    world.all_stored(&pool, &ledger).await;
    assert_eq!(wire.losing.load(Ordering::Acquire), 0);
    let (trades, letters) = (ledger.trades().len(), ledger.poison().len());
    assert!(letters > 0);
    until_within(PATIENCE, "everything to be counted", || async {
        let metrics = program.metrics().await;
        let rows = metrics.sum("perijove_ingest_rows_total", &[("outcome", "new")]);
        let counted = metrics.sum("dead_letters_total", &[]);
        ((rows as usize, counted as usize) == (trades, letters)).then_some(())
    })
    .await;
    program.leave().await;
    world.redis_equals_the_database().await;
}
