//! What admission costs: `cargo bench -p perijove-gateway --bench limit`. Prints nanoseconds, the median of
//! several rounds, beside the bounds that were asked for.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]

mod timing;

use std::hint::black_box;
use std::sync::Arc;

use futures::FutureExt;
use perijove_gateway::config::{self, BudgetRate, Per};
use perijove_gateway::limit::{
    Allowances, BudgetRegistry, Gate, GatePermit, PermitRequest, UpstreamBudgets,
};
use perijove_gateway::solana::Priority;
use tokio::time::{Duration, Instant};

use timing::{ROUNDS, each, median, tell, timed};

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
            "a call put into a queue of a thousand, and taken out",
            "5 ms",
            inserted(calls / 100).await,
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
    let waiting = thousand(&gate);
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

/// A thousand calls that wait, each of another consumer.
fn thousand(gate: &Arc<Gate>) -> Vec<tokio::task::JoinHandle<Option<GatePermit>>> {
    (0..1000)
        .map(|consumer| {
            let gate = Arc::clone(gate);
            tokio::spawn(async move {
                let ask = PermitRequest {
                    consumer,
                    ..PermitRequest::own(Priority::Low)
                };
                gate.place(ask, PATIENCE).await
            })
        })
        .collect()
}

/// Nothing is given away meanwhile.
async fn inserted(calls: usize) -> f64 {
    let gate = Gate::new(1, 10_000);
    let _held = gate.try_place(PermitRequest::own(Priority::Critical));
    let waiting = thousand(&gate);
    tokio::task::yield_now().await;
    let time = timed(calls, || {
        let mut next = Box::pin(gate.place(PermitRequest::own(Priority::Medium), PATIENCE));
        assert!(next.as_mut().now_or_never().is_none());
    });
    for one in waiting {
        one.abort();
    }
    time
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
