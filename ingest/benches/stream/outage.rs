//! The database is away while messages keep coming: how much memory that takes, and how long until
//! nothing waits any more.

use std::time::Duration;

use perijove_ingest::generator::{Generator, Plan};
use tokio::time::{Instant, sleep};

use crate::Size;
use crate::backlog::plan;
use crate::place::{Place, send};
use crate::usage::memory;

pub async fn measure(size: Size) {
    let place = Place::make().await;
    let program = place.program();
    let pool = place.pool().await;
    // Small messages, so that a million of them fit on a disk.
    let mut stream = Generator::new(Plan {
        transactions: 1,
        trades: 1,
        ballast: 0,
        duplicates: 0.0,
        // Kafka takes none from too far in the future.
        messages_per_block: 200,
        ..plan()
    });
    let producer = place.producer();
    let warm = send(&producer, stream.by_ref().take(2000)).await;
    place.stored_from_first(&pool, warm as i64).await;
    let (before, _) = memory(program.pid());
    let trades = place.trades(&pool).await;

    place.postgres.kill().await;
    let gone = Instant::now();
    let waiting = send(&producer, stream.take(size.waiting)).await;
    sleep(Duration::from_secs(size.away)).await;
    let (during, most) = memory(program.pid());
    place.postgres.restart().await;
    let away = gone.elapsed();
    let back = Instant::now();
    let all = (warm + waiting) as i64;
    while place.stored(&pool).await < all {
        sleep(Duration::from_millis(50)).await;
    }
    let caught_up = back.elapsed();
    program.leave().await;
    let in_redis = back.elapsed();
    let trades = place.trades(&pool).await - trades;
    println!(
        "### While the database is away\n\n{waiting} messages came during {:.0} s without the database. \
         CandleCache was {before:.0} MB before, {during:.0} MB at the end of it, {most:.0} MB at most. \
         {:.0} s after the database was back everything was stored ({:.0} trades/s), {:.0} s after it \
         Redis had it too.\n",
        away.as_secs_f64(),
        caught_up.as_secs_f64(),
        trades as f64 / caught_up.as_secs_f64(),
        in_redis.as_secs_f64(),
    );
}
