//! What admission costs: `cargo bench -p perijove-gateway --bench limit`. Prints nanoseconds, the median of
//! several rounds, beside the bounds that were asked for.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]

use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;

use perijove_gateway::config::{self, BudgetRate, Per};
use perijove_gateway::limit::{Allowances, BudgetRegistry, Gate, PermitRequest, UpstreamBudgets};
use perijove_gateway::solana::Priority;
use tokio::time::{Duration, Instant};

const ROUNDS: usize = 9;
/// How long a call may wait for a place.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let quick = std::env::args().any(|word| word == "--test");
    let calls = if quick { 100 } else { 100_000 };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        tell(
            "a permit: a place taken and given back",
            "1 ms",
            permit(calls),
        );
        tell(
            "a call queued by priority behind a thousand, and let on",
            "5 ms",
            queued(calls / 100).await,
        );
        tell(
            "a plan's allowance, by consumer",
            "1 ms",
            allowance(calls).await,
        );
        tell("the same, by address", "1 ms", by_address(calls).await);
        tell("a budget looked at and taken from", "1 ms", budget(calls));
        tell("no budget looked at and taken from", "-", no_budget(calls));
    });
}

fn tell(what: &str, bound: &str, nanos: f64) {
    drop(writeln!(
        std::io::stdout().lock(),
        "{nanos:>12.1} ns  {what} (asked for: {bound})"
    ));
}

/// The median of some rounds.
fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "a benchmark")]
fn each(begun: Instant, calls: usize) -> f64 {
    begun.elapsed().as_nanos() as f64 / calls as f64
}

fn timed(calls: usize, mut one: impl FnMut()) -> f64 {
    let round = |_| {
        let begun = Instant::now();
        for _ in 0..calls {
            one();
        }
        each(begun, calls)
    };
    median((0..ROUNDS).map(round).collect())
}

fn permit(calls: usize) -> f64 {
    let gate = Gate::new(64, 1024);
    let ask = PermitRequest::own(Priority::Medium);
    timed(calls, || drop(black_box(gate.try_place(ask))))
}

/// Includes the hand-over: a place is given back, and goes to the one that was queued last but is first by
/// class.
async fn queued(calls: usize) -> f64 {
    let gate = Gate::new(1, 10_000);
    let mut held = gate
        .try_place(PermitRequest::own(Priority::Critical))
        .unwrap();
    let waiting: Vec<_> = (0..1000)
        .map(|consumer| {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move {
                let ask = PermitRequest {
                    consumer,
                    ..PermitRequest::own(Priority::Low)
                };
                gate.place(ask, PATIENCE).await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..calls {
            let mut next = Box::pin(gate.place(PermitRequest::own(Priority::Critical), PATIENCE));
            // Now it is in the queue.
            assert!(futures::poll!(next.as_mut()).is_pending());
            drop(held);
            held = next.await.unwrap();
        }
        rounds.push(each(begun, calls));
    }
    for one in waiting {
        one.abort();
    }
    median(rounds)
}

fn plan() -> Arc<config::Plan> {
    Arc::new(config::Plan {
        requests_per_minute: Some(u32::MAX),
        burst: 1_000_000,
        ..config::Plan::default()
    })
}

async fn allowance(calls: usize) -> f64 {
    let (allowances, plan) = (Allowances::default(), plan());
    let consumer: Arc<str> = "bots".into();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..calls {
            let allowance = allowances.of_consumer(&consumer, &plan);
            drop(black_box(allowance.admit(1).await));
        }
        rounds.push(each(begun, calls));
    }
    median(rounds)
}

async fn by_address(calls: usize) -> f64 {
    let (allowances, plan) = (Allowances::default(), plan());
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for number in 0..calls {
            let address = u32::try_from(number % 10_000).unwrap();
            let address = std::net::IpAddr::from(address.to_be_bytes());
            let allowance = allowances.of_address(address, &plan);
            drop(black_box(allowance.admit(1).await));
        }
        rounds.push(each(begun, calls));
    }
    median(rounds)
}

fn budget(calls: usize) -> f64 {
    let budgets = UpstreamBudgets::default();
    let settings = config::BudgetSettings {
        rate: BudgetRate {
            requests: 1_000_000_000,
            per: Per::Second,
            burst: 1_000_000_000,
            reserve: 10,
            sliding: false,
        },
        costs: std::collections::BTreeMap::new(),
        groups: Vec::new(),
        organisation: None,
    };
    budgets.set("one", Some(&settings), &BudgetRegistry::default());
    taken(&budgets, calls)
}

fn no_budget(calls: usize) -> f64 {
    taken(&UpstreamBudgets::default(), calls)
}

fn taken(budgets: &UpstreamBudgets, calls: usize) -> f64 {
    let now = Instant::now();
    timed(calls, || {
        black_box(budgets.wait("getBalance", Priority::Medium, now));
        drop(black_box(budgets.take("getBalance", Priority::Medium, now)));
    })
}
