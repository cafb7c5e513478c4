//! What happens to the cluster while the clients ask: upstreams fall behind and catch up, answers
//! take slots to arrive, one upstream leaves on a fork and comes back, finality stalls, and
//! transactions land all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use perijove_tests::sandbox::chain::Line;
use perijove_tests::sandbox::sight::Sight;
use perijove_tests::sandbox::{Fault, Kind, Sandbox, transaction};

/// Slots the last validator trails at most.
pub const LAG: u64 = 3;
/// Slots a fork runs ahead.
pub const AHEAD: u64 = 1;

/// What happened that matters for what was right to say.
#[derive(Debug, Clone, Default)]
pub struct Weather {
    /// The forks there were, each with the first and the last slot of the cluster at which an
    /// upstream was on it.
    pub forks: Vec<(Line, u64, u64)>,
    /// When finality stood still: where, and from which slot of the cluster to which.
    pub stalls: Vec<(u64, u64, u64)>,
}

impl Weather {
    /// What a validator without faults saw when the cluster was at a slot.
    pub fn sight(&self, tip: u64) -> Sight {
        let stall = self
            .stalls
            .iter()
            .find(|(_, from, to)| (*from..=*to).contains(&tip));
        Sight::of(tip).rooted_at_most(stall.map(|(root, _, _)| *root))
    }
}

/// Lands a transaction about every slot, and remembers its signature.
pub async fn transactions(
    cluster: Arc<Sandbox>,
    signatures: Arc<Mutex<Vec<String>>>,
    done: Arc<AtomicBool>,
) {
    let pause = cluster.cluster().clock.slot_time();
    let mut mark = 0;
    while !done.load(Ordering::Relaxed) {
        mark += 1;
        let signature = cluster.cluster().land(&transaction::sample(mark, ""));
        signatures.lock().extend(signature);
        tokio::time::sleep(pause).await;
    }
}

/// Goes through all changes once, in this many slots each, and tells what there was.
pub async fn changes(
    cluster: Arc<Sandbox>,
    slots: u32,
    forks: bool,
    done: Arc<AtomicBool>,
) -> Weather {
    let clock = &cluster.cluster().clock;
    let phase = clock.slot_time() * slots;
    let last = cluster.validators().last().unwrap();
    let mut weather = Weather::default();
    for lag in [0, LAG, 1, 2] {
        last.fault(Fault::lag(lag));
        tokio::time::sleep(phase).await;
        last.heal().unwrap();
    }
    // Answers that are old when they have come.
    let middle = cluster.validator(1);
    let under_way = clock.slot_time().as_millis() * 5 / 2;
    let ms = u64::try_from(under_way).unwrap();
    middle.fault(Fault::from(Kind::SlowBody { ms }).sparing_probes());
    tokio::time::sleep(phase).await;
    middle.heal().unwrap();
    if forks {
        let first = cluster.validator(0);
        for _ in 0..6 {
            first.fault(Kind::Fork { ahead: AHEAD });
            let line = first.sight().line;
            let from = clock.tip();
            tokio::time::sleep(phase / 3).await;
            // The last slot at which somebody may have asked it is the one after it is healed.
            first.heal().unwrap();
            weather.forks.push((line, from, clock.tip() + AHEAD));
            tokio::time::sleep(phase / 3).await;
        }
    }
    let (from, root) = (clock.tip(), clock.stall_finality());
    tokio::time::sleep(phase).await;
    clock.resume_finality();
    weather.stalls.push((root, from, clock.tip()));
    tokio::time::sleep(phase).await;
    clock.set_slot_time(clock.slot_time() * 2);
    tokio::time::sleep(phase).await;
    clock.set_slot_time(clock.slot_time() / 2);
    tokio::time::sleep(Duration::from_millis(50)).await;
    done.store(true, Ordering::Relaxed);
    weather
}
