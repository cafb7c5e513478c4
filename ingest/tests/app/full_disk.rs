//! SQLite on a disk that is full: while it is, the program waits and can be ended; when there is room, it
//! goes on, and nothing is missing or there twice.

use perijove_ingest::config::{self, StoreUrl};
use perijove_ingest::generator::Generator;
use perijove_ingest::sink::database::Database;
use perijove_tests::wait::until_within;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::disk::Disk;
use crate::messages::{Ledger, plan};
use crate::program::{PATIENCE, Program};
use crate::world::{PARTITIONS, World};

const FILE: &str = "perijove.db";

struct Scene {
    world: World,
    disk: Disk,
    ledger: Ledger,
    stream: Generator,
}

impl Scene {
    async fn set(disk: Disk) -> Self {
        Self {
            world: World::start().await,
            disk,
            ledger: Ledger::default(),
            stream: Generator::new(plan(61)),
        }
    }

    /// Starts the program with its database on the disk.
    fn start(&self) -> Program {
        let url = format!("sqlite:{}", self.disk.path().join(FILE).display());
        let ours = self.world.postgres.url();
        let settings = |text: String| text.replace(&ours, &url);
        self.world.program_by(self.disk.wrapper(), "full", settings)
    }

    async fn send(&mut self, count: usize) {
        let some = self.stream.by_ref().take(count).collect();
        let producer = self.world.kafka.producer();
        self.ledger.send(&producer, some).await;
    }

    /// Fills the disk, and sends trades until the program notices.
    async fn fill(&mut self, program: &Program) {
        self.disk.fill(program.pid());
        timeout(PATIENCE, async {
            while program.health().await["database"] != "open" {
                self.send(20).await;
            }
        })
        .await
        .expect("the database cannot be written to");
        assert_eq!(program.ask("/ready").await.0, 503);
    }

    async fn all_stored(&self, program: &Program) {
        until_within(PATIENCE, "everything to be stored", || async {
            let metrics = program.metrics().await;
            let partitions = metrics.label_values("kafka_consumer_lag", "partition");
            let lag = metrics.sum("kafka_consumer_lag", &[]);
            let all = metrics.sum("messages_processed_total", &[]) > 0.0;
            (all && partitions.len() == PARTITIONS as usize && lag == 0.0).then_some(())
        })
        .await;
        program
            .healthy_when("health", |health| health["status"] == "healthy")
            .await;
    }
}

async fn goes_on_when_there_is_room(disk: Disk) {
    let mut scene = Scene::set(disk).await;
    let program = scene.start();
    scene.send(60).await;
    scene.all_stored(&program).await;
    scene.fill(&program).await;
    scene.disk.free(program.pid());
    scene.all_stored(&program).await;

    // Full again: it can be ended meanwhile, and loses nothing.
    scene.fill(&program).await;
    let pid = program.pid();
    let mut program = program;
    program.terminate();
    let status = program.ended().await;
    assert!(status.success(), "{status}: {}", program.log());
    assert!(!program.log().contains("transaction depth"));
    if matches!(scene.disk, Disk::Mounted { .. }) {
        scene.disk.free(pid);
    }
    let program = scene.start();
    scene.all_stored(&program).await;
    program.leave().await;

    let copies = TempDir::new().unwrap();
    let file = scene.disk.copy_database(FILE, copies.path());
    let settings = config::Database {
        url: StoreUrl::parse(&format!("sqlite:{}", file.display()), &["sqlite"]).unwrap(),
        ..config::Database::default()
    };
    let database = Database::open(&settings).await.unwrap();
    let hours = database.hours(0, i64::MAX).await.unwrap();
    let trades: u64 = hours.iter().map(|hour| hour.trades).sum();
    let expected = scene.ledger.trades().len() - scene.ledger.sums();
    assert_eq!(trades as usize, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_on_a_full_disk_goes_on_when_there_is_room() {
    goes_on_when_there_is_room(Disk::mounted().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_whose_files_may_not_grow_goes_on_when_they_may() {
    goes_on_when_there_is_room(Disk::limited()).await;
}
