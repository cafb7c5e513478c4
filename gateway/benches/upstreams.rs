//! What upstreams cost besides their connections: choosing one, going to the next, waiting, statistics, and memory:
//! `cargo bench -p perijove-gateway --bench upstreams`. Prints nanoseconds (the median of several rounds) and bytes,
//! beside the bounds that were asked for.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]

mod timing;

use std::hint::black_box;
use std::sync::Arc;

use perijove_core::UnixClock;
use perijove_core::settings::ProcessEnvironment;
use perijove_gateway::config::{self, BudgetRate, Config, Per};
use perijove_gateway::dispatch::RetryBudget;
use perijove_gateway::limit::{BudgetRegistry, UpstreamBudgets};
use perijove_gateway::solana::{
    Blame, Class, FaultKind, Method, Penalty, Retry, Scope, Verdict, classify,
};
use perijove_gateway::upstream::{
    AttemptOutcome, CallRequirements, Choices, Connectors, Health, Pool, SharedParts,
    UpstreamMetrics,
};
use perijove_tests::gateway::{Endpoint, GatewayConfig};
use perijove_tests::sandbox::Sandbox;
use perijove_tests::wait::until;
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::time::{Duration, Instant};

use timing::{tell, tell_bytes, timed};

/// As the program has it, since memory is measured.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const METHOD: &str = "getBalance";
/// Upstreams for times, as a large deployment has them.
const CHOICE: usize = 8;

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let quick = std::env::args().any(|word| word == "--test");
    let calls = if quick { 100 } else { 100_000 };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let sandbox = Sandbox::start(CHOICE).await.unwrap();
        let pool = healthy(&sandbox).await;
        let class = classify(METHOD, None);
        tell(
            "one of eight upstreams selected",
            "1 ms",
            selected(&pool, &class, calls),
        );
        tell(
            "an outcome added to the statistics",
            "2 ms",
            counted(&pool, &class, calls),
        );
        tell(
            "the statistics of eight upstreams read",
            "2 ms",
            read(&pool, calls / 100),
        );
        tell(
            "a failure noted and the next upstream selected",
            "50 ms",
            failover(&pool, &class, calls),
        );
        tell(
            "a pause noted, and how long it lasts",
            "0.1 ms",
            paused(&pool, &class, calls),
        );
        tell(
            "a retry paid from the retry budget",
            "0.1 ms",
            retried(calls),
        );
    });
    let (pools, many) = if quick { (1, 10) } else { (20, 200) };
    memory(pools, many);
}

fn parse(config: &GatewayConfig) -> Config {
    config::parse(&config.text(), &ProcessEnvironment::new("."))
        .unwrap()
        .config
}

fn parts() -> SharedParts {
    SharedParts {
        connectors: Connectors::default(),
        metrics: UpstreamMetrics::register(&Registry::new()).unwrap(),
        clock: UnixClock::new(|| 1_790_000_000),
        jupiter_budgets: Arc::default(),
        budgets: Arc::default(),
    }
}

/// All probed, none metered.
async fn healthy(sandbox: &Sandbox) -> Pool {
    let validators = sandbox.validators().iter();
    let config = validators.fold(GatewayConfig::new(), |config, one| config.upstream(one));
    let pool = Pool::compile(&parse(&config), None, &parts()).unwrap();
    pool.start(&Handle::current(), None);
    until("all upstreams to be healthy", || async {
        let mut all = pool.upstreams().iter();
        all.all(|one| one.health() == Health::Healthy).then_some(())
    })
    .await;
    pool
}

fn good(class: &Class) -> AttemptOutcome<'_> {
    AttemptOutcome::Good {
        class,
        method: METHOD,
        latency: Duration::from_millis(3),
        slot: None,
    }
}

fn selected(pool: &Pool, class: &Class, calls: usize) -> f64 {
    timed(calls, || {
        let mut candidates = pool.candidates(CallRequirements::of(class, METHOD));
        drop(black_box(candidates.next(Instant::now())).unwrap());
    })
}

fn counted(pool: &Pool, class: &Class, calls: usize) -> f64 {
    let mut candidates = pool.candidates(CallRequirements::of(class, METHOD));
    let mut candidate = candidates.next(Instant::now()).unwrap();
    timed(calls, || {
        let state = candidate.upstream().state();
        state.observe_latency(Method::GetBalance, Duration::from_millis(3), 0.9);
        candidate.record(&good(class));
    })
}

fn read(pool: &Pool, calls: usize) -> f64 {
    timed(calls.max(1), || drop(black_box(pool.status())))
}

/// With the good answers that keep the breakers closed.
fn failover(pool: &Pool, class: &Class, calls: usize) -> f64 {
    let verdict = Verdict {
        kind: FaultKind::FirstByteTimeout,
        blame: Blame::Upstream,
        retry: Retry::Elsewhere,
        penalty: Penalty::Failure,
    };
    let failed = AttemptOutcome::Fault {
        class,
        method: METHOD,
        verdict: &verdict,
        status: None,
    };
    timed(calls, || {
        let mut candidates = pool.candidates(CallRequirements::of(class, METHOD));
        let mut first = candidates.next(Instant::now()).unwrap();
        first.record(&failed);
        let mut next = black_box(candidates.next(Instant::now())).unwrap();
        next.record(&good(class));
        first.record(&good(class));
    })
}

fn paused(pool: &Pool, class: &Class, calls: usize) -> f64 {
    let verdict = Verdict {
        kind: FaultKind::RateLimited,
        blame: Blame::Upstream,
        retry: Retry::Elsewhere,
        penalty: Penalty::HoldOff {
            scope: Scope::Upstream,
            at_least: None,
            credits: false,
        },
    };
    let limited = AttemptOutcome::Fault {
        class,
        method: METHOD,
        verdict: &verdict,
        status: Some(429),
    };
    let mut candidates = pool.candidates(CallRequirements::of(class, METHOD));
    let mut candidate = candidates.next(Instant::now()).unwrap();
    timed(calls, || {
        candidate.record(&limited);
        let paused = black_box(candidates.paused(Instant::now()));
        assert!(paused.limited.is_some());
    })
}

fn retried(calls: usize) -> f64 {
    let budget = RetryBudget::new(Instant::now());
    timed(calls, || {
        for _ in 0..5 {
            budget.deposit();
        }
        black_box(budget.withdraw(0.2, 10, Instant::now()));
    })
}

/// Upstreams in as many pools, with all that is kept of each: state, statistics, metrics, balancer.
fn memory(pools: usize, many: usize) {
    let parts = parts();
    let config = |pool: usize| {
        let ids = (0..many).map(|number| format!("upstream-{pool}-{number}"));
        let all = ids.map(|id| Endpoint::at(&id, "http://127.0.0.1:1"));
        parse(&all.fold(GatewayConfig::new(), GatewayConfig::endpoint))
    };
    let configs: Vec<Config> = (0..pools).map(config).collect();
    let compile = |config| Pool::compile(config, None, &parts).unwrap();
    let before = resident();
    let compiled: Vec<Pool> = configs.iter().map(compile).collect();
    let count = pools * many;
    tell_bytes("an upstream", "5 KB", (resident() - before) / count);
    let budget = config::BudgetSettings {
        rate: BudgetRate {
            requests: 3_000,
            per: Per::Hour,
            burst: 10,
            reserve: 10,
            sliding: false,
        },
        costs: std::collections::BTreeMap::new(),
        groups: Vec::new(),
        organisation: None,
    };
    let before = resident();
    let registry = BudgetRegistry::default();
    let budgets = (0..count).map(|number| {
        let budgets = UpstreamBudgets::default();
        budgets.set(&format!("provider-{number}"), Some(&budget), &registry);
        budgets
    });
    let budgets: Vec<_> = budgets.collect();
    tell_bytes("a provider's budget", "2 KB", (resident() - before) / count);
    drop((compiled, budgets));
}

/// Bytes of this process in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().next().unwrap();
    1024 * kilobytes.parse::<usize>().unwrap()
}
