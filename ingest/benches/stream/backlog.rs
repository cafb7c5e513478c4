//! As fast as it goes: a topic full of messages as large as real ones.

use perijove_ingest::generator::{Generator, Plan};
use perijove_ingest::record::{Record, UnixMillis};
use tokio::time::Instant;

use crate::Size;
use crate::place::{PARTITIONS, Place, send};
use crate::reading::{Pass, bare, decoding};
use crate::usage::{cpu, cpu_of_family, memory};

/// Different messages that decoding goes around.
const IN_MEMORY: usize = 500;

/// Transactions of 11 kB, as in Bitquery's sample, and duplicates.
pub fn plan() -> Plan {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    let now = since.as_millis() as i64;
    Plan {
        partitions: PARTITIONS as u32,
        ballast: 10_000,
        start: UnixMillis(now - 3_600_000),
        ..Plan::default()
    }
}

pub async fn measure(size: Size) {
    let place = Place::make().await;
    let sent = send(&place.producer(), Generator::new(plan()).take(size.backlog)).await;
    let read = bare(&place, sent);
    let records: Vec<Record> = Generator::new(plan()).take(IN_MEMORY.min(sent)).collect();
    let decoded = decoding(&records, 3);

    let pool = place.pool().await;
    let of_postgres = || async { cpu_of_family(place.postgres.pid().await) };
    let before = (of_postgres().await, cpu(place.redis.pid()));
    let program = place.program();
    let (first, took) = place.stored_from_first(&pool, sent as i64).await;
    let (own, (_, most)) = (cpu(program.pid()), memory(program.pid()));
    let used = (
        of_postgres().await - before.0,
        cpu(place.redis.pid()) - before.1,
    );
    let stored = Instant::now();
    program.leave().await;
    let redis_later = stored.elapsed();
    let trades = place.trades(&pool).await;
    let through = Pass {
        messages: sent,
        trades: trades as usize,
        bytes: read.bytes,
        seconds: took.as_secs_f64(),
        cpu: own,
    };
    let whole = first.elapsed();

    println!(
        "### As fast as it goes\n\n{sent} messages of {:.0} kB and {:.1} trades, lz4, {PARTITIONS} \
         partitions, all defaults; PostgreSQL durable.\n",
        read.bytes as f64 / sent as f64 / 1e3,
        trades as f64 / sent as f64,
    );
    println!("| | messages/s | trades/s | MB/s | CPU µs per message | CPU µs per trade |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    row("bare rdkafka consumer, only reads", read);
    row("decode and project only, one thread", decoded);
    row("Kafka to PostgreSQL and Redis", through);
    println!(
        "\nBeside the program's {own:.1} s of processor time PostgreSQL took {:.1} s and Redis {:.1} s. \
         Redis had the last trade at most {:.1} s after the database (the end of the program, {:.1} s \
         after the first commit). Memory at most {most:.0} MB.\n",
        used.0,
        used.1,
        redis_later.as_secs_f64(),
        whole.as_secs_f64(),
    );
}

fn row(name: &str, pass: Pass) {
    let per = |count: usize| match count {
        0 => "–".to_owned(),
        count => format!("{:.1}", pass.cpu * 1e6 / count as f64),
    };
    let rate = |count: usize| match count {
        0 => "–".to_owned(),
        count => format!("{:.0}", count as f64 / pass.seconds),
    };
    println!(
        "| {name} | {} | {} | {:.0} | {} | {} |",
        rate(pass.messages),
        rate(pass.trades),
        pass.bytes as f64 / pass.seconds / 1e6,
        per(pass.messages),
        per(pass.trades),
    );
}
