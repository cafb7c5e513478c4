//! All upstreams of Jupiter's API, and the order in which one request goes to them.

use std::collections::HashMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use perijove_core::essential::essential;
use pingora_load_balancing::Backend;
use pingora_load_balancing::selection::consistent::KetamaHashing;
use pingora_load_balancing::selection::{BackendIter, BackendSelection};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::metrics::ApiMetrics;
use super::organisation::Organisation;
use super::state::ApiState;
use super::{ApiStatus, ApiUpstream, canary};
use crate::config::{self, Config, Tier};
use crate::jupiter::{Api, Product};
use crate::upstream::Pool;
use crate::upstream::selection::pool::{PoolError, SharedParts};
use crate::upstream::state::breaker::Admission;

/// Points of a ring examined for one order.
const MOST_POINTS: usize = 4096;

/// The upstreams of a configuration.
#[derive(Default)]
pub struct ApiPool {
    /// In the order of the configuration.
    upstreams: Vec<Arc<ApiUpstream>>,
    rings: Vec<Ring>,
    fee_fallback: bool,
    slow_start: Duration,
    tasks: Mutex<Vec<AbortHandle>>,
    /// None where there are no upstreams.
    metrics: Option<ApiMetrics>,
}

/// The upstreams of a tier on Pingora's ketama ring: a consumer stays with one of them, and only
/// the consumers of a removed one move.
struct Ring {
    hashing: Arc<KetamaHashing>,
    members: Vec<(SocketAddr, Arc<ApiUpstream>)>,
}

/// Where a request goes.
#[derive(Debug, Default)]
pub struct ApiChoice {
    /// The best first.
    pub order: Vec<Arc<ApiUpstream>>,
    /// The upstream that it would go to if all were healthy.
    pub usual: Option<Arc<ApiUpstream>>,
    /// Until a rate-limited one may be asked again.
    pub wait: Option<Duration>,
    /// One is held off since it refuses the gateway.
    pub refused: bool,
    /// Some upstream serves this part of the API.
    pub served: bool,
}

impl ApiPool {
    /// Builds the pool, adopting what `previous` has learned. Nothing runs before
    /// [`ApiPool::start`].
    ///
    /// # Errors
    /// Certificates that cannot be used.
    pub fn compile(
        config: &Config,
        previous: Option<&Self>,
        parts: &SharedParts,
        metrics: &ApiMetrics,
    ) -> Result<Self, PoolError> {
        let known = |id: &str| {
            let pool = previous?;
            pool.upstreams.iter().find(|known| known.id() == id)
        };
        let mut organisations: HashMap<String, Arc<Organisation>> = HashMap::new();
        let upstreams = config.jupiter.upstreams.iter().map(|settings| {
            let state = known(&settings.id)
                .map(|known| Arc::clone(&known.state))
                .filter(|state| state.is_of(settings))
                .unwrap_or_else(|| ApiState::new(settings, metrics));
            let name = organisation_of(settings);
            let organisation = organisations.entry(name.clone()).or_insert_with(|| {
                let previous = previous.into_iter().flat_map(|pool| &pool.upstreams);
                let mut same = previous.filter(|known| organisation_of(known.settings()) == name);
                same.next().map_or_else(
                    || Organisation::new(parts.jupiter_budgets.named(&name)),
                    |known| Arc::clone(&known.organisation),
                )
            });
            let learned = (state, Arc::clone(organisation));
            ApiUpstream::new(settings, config, learned, parts).map(Arc::new)
        });
        let upstreams: Vec<_> = upstreams.collect::<Result<_, _>>()?;
        Ok(Self {
            rings: Tier::ALL
                .into_iter()
                .map(|tier| Ring::of(tier, &upstreams))
                .collect(),
            upstreams,
            fee_fallback: config.jupiter.fee_fallback,
            slow_start: config.jupiter.health.slow_start,
            tasks: Mutex::default(),
            metrics: Some(metrics.clone()),
        })
    }

    /// Starts the canaries; their slots are compared with those of `rpc`.
    pub fn start(&self, handle: &Handle, rpc: &Arc<Pool>, previous: Option<&Self>) {
        let mut tasks = self.tasks.lock();
        for upstream in &self.upstreams {
            let is_same =
                |one: &&Arc<ApiUpstream>| Arc::ptr_eq(&one.organisation, &upstream.organisation);
            let upstreams = self.upstreams.iter().filter(is_same).count();
            upstream
                .organisation
                .set(self.budget_of(upstream), upstreams);
            upstream.state.used_with(upstream.settings());
            let watch = canary::watch(Arc::clone(upstream), Arc::clone(rpc));
            let watch = handle.spawn(essential("Jupiter canary", watch));
            tasks.push(watch.abort_handle());
        }
        if let Some(previous) = previous {
            previous.stop();
            let gone = |old: &&Arc<ApiUpstream>| self.by_id(old.id()).is_none();
            for old in previous.upstreams.iter().filter(gone) {
                if let Some(metrics) = &self.metrics {
                    metrics.forget(old.id());
                }
            }
        }
    }

    /// The budget of an upstream's organisation, as configured by one of its upstreams.
    fn budget_of(&self, upstream: &ApiUpstream) -> Option<&config::BudgetSettings> {
        let same = |one: &&Arc<ApiUpstream>| {
            organisation_of(one.settings()) == organisation_of(upstream.settings())
        };
        let mut all = self.upstreams.iter().filter(same);
        all.find_map(|one| one.settings().budget.as_ref())
    }

    fn stop(&self) {
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }

    pub fn upstreams(&self) -> &[Arc<ApiUpstream>] {
        &self.upstreams
    }

    pub fn by_id(&self, id: &str) -> Option<&Arc<ApiUpstream>> {
        self.upstreams.iter().find(|upstream| upstream.id() == id)
    }

    pub fn is_empty(&self) -> bool {
        self.upstreams.is_empty()
    }

    /// The fee of the upstreams that serve a part of the API, unless a request falls back to
    /// others: that of the first which serves it.
    pub fn fee(&self, api: Api) -> Option<u32> {
        let first = self.upstreams.iter().find(|upstream| upstream.has(api))?;
        Some(first.settings().platform_fee_bps)
    }

    /// Where a request of the consumer with this key goes. `origin`: the upstream that it should
    /// stay with, if healthy.
    pub fn choose(
        &self,
        api: Api,
        product: Product,
        key: u64,
        origin: Option<&str>,
        now: Instant,
    ) -> ApiChoice {
        let Some(fee) = self.fee(api) else {
            return ApiChoice::default();
        };
        let mut usual = None;
        let (mut wait, mut refused) = (None::<Duration>, false);
        let mut ranked: Vec<(ApiRank, Arc<ApiUpstream>)> = Vec::new();
        for upstream in self.rings.iter().flat_map(|ring| ring.order(key)) {
            let other_fee = upstream.settings().platform_fee_bps != fee;
            if !upstream.has(api) || (other_fee && !self.fee_fallback) {
                continue;
            }
            usual.get_or_insert_with(|| Arc::clone(upstream));
            if upstream.state.refuses(product, now).is_some() {
                refused = true;
                continue;
            }
            if let Some(left) = upstream.organisation.wait(product, now) {
                wait = Some(wait.map_or(left, |known| known.min(left)));
                continue;
            }
            let rank = ApiRank {
                other_fee,
                unfit: !upstream.state.is_usable()
                    || upstream.state.admission(now, &upstream.breaker) == Admission::Refused,
                starting: !upstream.state.takes(key % 1000, now, self.slow_start),
                not_origin: origin.is_some_and(|origin| origin != upstream.id()),
            };
            ranked.push((rank, Arc::clone(upstream)));
        }
        // Stable: within a rank, by tier and by place on the ring.
        ranked.sort_by_key(|(rank, _)| rank.order());
        ApiChoice {
            order: ranked.into_iter().map(|(_, upstream)| upstream).collect(),
            served: usual.is_some(),
            usual,
            wait,
            refused,
        }
    }

    /// For people.
    pub fn status(&self) -> Vec<ApiStatus> {
        let now = Instant::now();
        let all = self.upstreams.iter();
        all.map(|upstream| upstream.status(now)).collect()
    }
}

impl Drop for ApiPool {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for ApiPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.upstreams).finish()
    }
}

/// The name under which an upstream's limits are counted. Ids have no slash.
fn organisation_of(settings: &config::JupiterUpstream) -> String {
    match &settings.organisation {
        Some(name) => format!("organisation/{name}"),
        None => settings.id.clone(),
    }
}

/// What speaks against an upstream, the weightiest first.
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that do not depend on each other"
)]
#[derive(Clone, Copy, Debug)]
struct ApiRank {
    unfit: bool,
    other_fee: bool,
    not_origin: bool,
    /// It has just recovered, and this consumer is not among its share yet.
    starting: bool,
}

impl ApiRank {
    fn order(self) -> [bool; 4] {
        [self.unfit, self.other_fee, self.not_origin, self.starting]
    }
}

impl Ring {
    fn of(tier: Tier, upstreams: &[Arc<ApiUpstream>]) -> Self {
        let members: Vec<_> = upstreams
            .iter()
            .filter(|upstream| upstream.settings().tier == tier)
            .map(|upstream| (place(upstream.id()), Arc::clone(upstream)))
            .collect();
        let backends = members.iter().filter_map(|(place, upstream)| {
            let weight = usize::try_from(upstream.settings().weight).unwrap_or(1);
            Backend::new_with_weight(&place.to_string(), weight).ok()
        });
        Self {
            hashing: Arc::new(KetamaHashing::build(&backends.collect())),
            members,
        }
    }

    /// The upstreams of this tier in the order of a key.
    fn order(&self, key: u64) -> Vec<&Arc<ApiUpstream>> {
        let mut order: Vec<&Arc<ApiUpstream>> = Vec::with_capacity(self.members.len());
        let mut ring = self.hashing.iter(&key.to_be_bytes());
        // Each has many points on the ring; nearly always the first few show all.
        for _ in 0..MOST_POINTS {
            if order.len() == self.members.len() {
                break;
            }
            let Some(backend) = ring.next() else { break };
            let address = backend.addr.as_inet();
            let mut members = self.members.iter();
            let found = members.find(|(place, _)| Some(place) == address);
            if let Some((_, found)) = found
                && !order.iter().any(|known| Arc::ptr_eq(known, found))
            {
                order.push(found);
            }
        }
        for (_, upstream) in &self.members {
            if !order.iter().any(|known| Arc::ptr_eq(known, upstream)) {
                order.push(upstream);
            }
        }
        order
    }
}

/// An upstream's place on the ring, which accepts only addresses: derived from its name, so that
/// neither its address nor its place in the configuration moves consumers. Never connected to.
fn place(id: &str) -> SocketAddr {
    let mut bytes = [0; 16];
    let mut hasher = blake3::Hasher::new();
    hasher.update(id.as_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    SocketAddr::from((Ipv6Addr::from(bytes), 1))
}
