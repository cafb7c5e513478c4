//! The active configuration, compiled: everything a request needs of it, loaded once per request
//! and never changed in place.
//!
//! Compiling may fail and then changes nothing; publishing cannot fail. State that outlives a
//! snapshot (scores, breakers, connections, floors) belongs to its owners and is found by id.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::auth::{self, ConsumerId, Consumers};
use crate::cache;
use crate::config::{Config, DEFAULT_PLAN, Plan};
use crate::dispatch;
use crate::solana::Priority;
use crate::trace::Sampling;
use crate::upstream::{ApiPool, Pool};

/// One compiled configuration.
#[derive(Debug)]
pub struct Snapshot {
    /// 1 at the start, incremented by each reload that changed something.
    pub revision: u64,
    pub config: Config,
    pub consumers: Consumers,
    pub pool: Arc<Pool>,
    /// The upstreams of Jupiter's API; often none.
    pub jupiter: Arc<ApiPool>,
    pub dispatch: dispatch::Settings,
    pub cache: cache::CachePolicy,
    denied: HashSet<String>,
    reads: HashSet<String>,
    plans: HashMap<ConsumerId, Arc<Plan>>,
    /// By name; empty if no tokens are accepted.
    plans_by_token: HashMap<String, Arc<Plan>>,
    anonymous_plan: Option<Arc<Plan>>,
    /// Which requests have spans, and whether their traces go on anywhere.
    pub sampling: Sampling,
}

impl Snapshot {
    /// Compiles `config` around an already compiled pool.
    pub fn new(config: Config, pool: Arc<Pool>, revision: u64) -> Self {
        let plans: HashMap<&str, Arc<Plan>> = config
            .plans
            .iter()
            .map(|plan| (plan.id.as_str(), Arc::new(plan.clone())))
            .collect();
        let consumers = config.consumers.iter();
        let of_consumers = consumers.filter_map(|consumer| {
            let plan = plans.get(consumer.plan.as_str())?;
            Some((consumer.id.as_str().into(), Arc::clone(plan)))
        });
        let of_consumers = of_consumers.collect();
        let with_tokens = config.plans.iter().filter(|_| config.jwt.is_some());
        let with_tokens = with_tokens.filter_map(|plan| plans.get_key_value(plan.id.as_str()));
        let with_tokens = with_tokens.map(|(id, plan)| ((*id).to_owned(), Arc::clone(plan)));
        let with_tokens = with_tokens.collect();
        let anonymous = config.anonymous_plan.as_deref();
        let anonymous = anonymous.or(config.has_keys().then_some(DEFAULT_PLAN));
        let anonymous_plan = anonymous.and_then(|name| plans.get(name)).cloned();
        Self {
            sampling: sampling(&config),
            plans: of_consumers,
            plans_by_token: with_tokens,
            anonymous_plan,
            revision,
            consumers: Consumers::new(&config),
            dispatch: dispatch::Settings {
                retry: config.retry.clone(),
                hedge: config.hedge.clone(),
                history: config.history.clone(),
                selection: config.selection.clone(),
                answer_buffer: config.limits.answer_buffer,
            },
            cache: cache::CachePolicy::new(&config.cache),
            denied: config.methods.deny.iter().cloned().collect(),
            reads: config.methods.read.iter().cloned().collect(),
            pool,
            jupiter: Arc::default(),
            config,
        }
    }

    /// The same with the upstreams of Jupiter's API.
    #[must_use]
    pub fn with_jupiter(self, jupiter: Arc<ApiPool>) -> Self {
        Self { jupiter, ..self }
    }

    /// Whether the operator denies this method to everybody.
    pub fn denies(&self, method: &str) -> bool {
        !self.denied.is_empty() && self.denied.contains(method)
    }

    /// Maximum number of calls in a batch, for callers with this plan.
    pub fn max_batch(&self, plan: Option<&Arc<Plan>>) -> usize {
        let of_plan = plan.and_then(|plan| plan.max_batch);
        let of_all = self.config.limits.max_batch;
        of_plan
            .unwrap_or(usize::MAX)
            .min(of_all.unwrap_or(usize::MAX))
    }

    /// The caller's plan; `None` without limits.
    #[inline]
    pub fn plan(&self, consumer: Option<&ConsumerId>) -> Option<&Arc<Plan>> {
        match consumer {
            Some(consumer) => self.plan_of(consumer),
            None => self.anonymous_plan.as_ref(),
        }
    }

    fn plan_of(&self, consumer: &ConsumerId) -> Option<&Arc<Plan>> {
        self.plans.get(consumer).or_else(|| {
            let plan = auth::plan_of_token(consumer)?;
            self.plans_by_token.get(plan)
        })
    }

    /// The class of a call: what its caller requests, else what the plan says, else that of the
    /// method; never above the plan's ceiling.
    pub fn priority(
        &self,
        consumer: Option<&ConsumerId>,
        asked: Option<Priority>,
        usual: Priority,
    ) -> Priority {
        let plan = self.plan(consumer);
        let given = plan.and_then(|plan| plan.priority);
        let wanted = asked.or(given).unwrap_or(usual);
        plan.map_or(wanted, |plan| wanted.min(plan.ceiling))
    }

    /// A caller's turns in a row where places are short.
    pub fn weight(&self, consumer: Option<&ConsumerId>) -> u32 {
        self.plan(consumer).map_or(1, |plan| plan.weight)
    }

    /// Whether the configuration declares this method a read.
    pub fn reads(&self, method: &str) -> bool {
        self.reads.contains(method)
    }
}

fn sampling(config: &Config) -> Sampling {
    let rpc = config.upstreams.iter().map(|upstream| upstream.propagate);
    let api = config.jupiter.upstreams.iter();
    let api = api.map(|upstream| upstream.propagate);
    let otlp = config.telemetry.otlp.as_ref();
    Sampling {
        exports: otlp.is_some(),
        ratio: otlp.map_or(0.0, |otlp| otlp.ratio),
        by_parent: otlp.is_some_and(|otlp| otlp.by_parent),
        propagates: rpc.chain(api).any(|propagate| propagate.trace),
    }
}

/// The active snapshot. Requests load it once and keep it.
#[derive(Debug)]
pub struct Published {
    current: ArcSwap<Snapshot>,
    /// The active revision.
    changes: watch::Sender<u64>,
}

impl Published {
    pub fn new(first: Snapshot) -> Self {
        Self {
            changes: watch::Sender::new(first.revision),
            current: ArcSwap::from_pointee(first),
        }
    }

    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Announces snapshots published from now on, for tasks that outlive a request.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Replaces the snapshot for all requests that start from now on.
    pub fn publish(&self, next: Snapshot) -> Arc<Snapshot> {
        let next = Arc::new(next);
        self.current.store(Arc::clone(&next));
        self.changes.send_replace(next.revision);
        next
    }
}
