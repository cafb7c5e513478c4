//! How long a message takes when there is no backlog.

use std::time::Duration;

use perijove_ingest::generator::{Generator, Plan};
use perijove_ingest::record::{Record, UnixMillis};
use tokio::time::{MissedTickBehavior, interval};

use crate::Size;
use crate::backlog::plan;
use crate::place::{PARTITIONS, Place, Program, quantile, send};
use crate::usage::cpu;

/// Messages of each step, about 25 trades in each, and how often there is a step.
const STEPS: [usize; 2] = [2, 8];
const EVERY: Duration = Duration::from_millis(50);

pub async fn measure(size: Size) {
    println!("### Without a backlog\n");
    println!(
        "| trades/s | arrival to commit, p50 | p99 | record time to Redis, p50 | p99 | cores |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: |");
    for messages in STEPS {
        at(size, messages).await;
    }
    println!("\nA batch waits up to 100 ms for more, or for 1,000 rows; that is part of it.\n");
}

async fn at(size: Size, together: usize) {
    let place = Place::make().await;
    let program = place.program();
    let producer = place.producer();
    let steps = u128::from(size.steady) * 1000 / EVERY.as_millis();
    // No message says the block's time, as few of the real ones do: the record's counts.
    let mut stream = Generator::new(Plan {
        messages_per_block: u32::MAX,
        duplicates: 0.0,
        ..plan()
    });
    let mut made: Vec<Vec<Record>> = (0..steps)
        .map(|_| stream.by_ref().take(together).collect())
        .collect();
    // What the start costs is not of the stream.
    let first = made.pop().unwrap_or_default();
    send(&producer, stamped(first)).await;
    processed(&program, together).await;
    let (before, taken) = (program.metrics().await, cpu(program.pid()));
    let mut times = interval(EVERY);
    times.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let begun = tokio::time::Instant::now();
    let mut sent = together;
    for records in made {
        times.tick().await;
        sent += send(&producer, stamped(records)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let used = cpu(program.pid()) - taken;
    processed(&program, sent).await;
    let metrics = program.metrics().await;
    let rows = |metrics: &perijove_tests::metrics::Metrics| {
        metrics.sum("perijove_ingest_rows_total", &[("outcome", "new")])
    };
    let (duration, delay) = (
        "message_processing_duration_seconds",
        "perijove_ingest_end_to_end_seconds",
    );
    println!(
        "| {:.0} | {} | {} | {} | {} | {:.2} |",
        (rows(&metrics) - rows(&before)) / seconds,
        quantile(&before, &metrics, duration, 0.5),
        quantile(&before, &metrics, duration, 0.99),
        quantile(&before, &metrics, delay, 0.5),
        quantile(&before, &metrics, delay, 0.99),
        used / seconds,
    );
    program.leave().await;
}

async fn processed(program: &Program, messages: usize) {
    while (program.metrics().await.sum("messages_processed_total", &[]) as usize) < messages {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// With the time of now, and one partition after the other.
fn stamped(records: Vec<Record>) -> impl Iterator<Item = Record> {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    let now = UnixMillis(since.as_millis() as i64);
    (0..PARTITIONS)
        .cycle()
        .zip(records)
        .map(move |(partition, mut record)| {
            record.place.partition = partition;
            record.timestamp = Some(now);
            record
        })
}
