//! All upstreams of one configuration. A new pool adopts what an earlier one learned.

use std::sync::Arc;
use std::time::Duration;

use perijove_core::{Commitment, Slot, UnixClock};
use pingora::connectors::TransportConnector;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::config;
use crate::limit::BudgetRegistry;
use crate::solana::{Method, SlotView};
use crate::upstream::Upstream;
use crate::upstream::health::cluster::ObservedCluster;
use crate::upstream::selection::given::MOST_UPSTREAMS;
use crate::upstream::selection::readiness::{self, HealthReport};
use crate::upstream::selection::requirements::CallRequirements;
use crate::upstream::selection::select::Candidates;
use crate::upstream::state::endpoint_state::EndpointState;
use crate::upstream::state::history::DeeperUpstreams;
use crate::upstream::state::member::Member;
use crate::upstream::state::method_rules::MethodRules;
use crate::upstream::state::metrics::UpstreamMetrics;
use crate::upstream::state::status::PoolStatus;
use crate::upstream::state::upstream_policy::UpstreamPolicy;
use crate::upstream::transport::connect_settings::ConnectSettings;
use crate::upstream::transport::connector::{Connectors, TrustError};
use crate::upstream::transport::endpoint::{BadHeader, Endpoint};

#[cfg(test)]
mod tests;

/// What all pools of the process share.
pub struct SharedParts {
    pub connectors: Connectors,
    pub metrics: UpstreamMetrics,
    pub clock: UnixClock,
    pub budgets: Arc<BudgetRegistry>,
    /// Those of Jupiter's upstreams.
    pub jupiter_budgets: Arc<BudgetRegistry>,
}

/// Upstreams that cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    #[error("more than {MOST_UPSTREAMS} upstreams")]
    TooMany,
    #[error("upstream {upstream}: {source}")]
    Trust {
        upstream: String,
        source: TrustError,
    },
    #[error(transparent)]
    Header(#[from] BadHeader),
}

/// The upstreams of a snapshot.
pub struct Pool {
    /// Best tier first, in the order of the configuration within a tier.
    upstreams: Vec<Arc<Upstream>>,
    cluster: Arc<ObservedCluster>,
    policy: Arc<UpstreamPolicy>,
}

impl Pool {
    /// Builds the pool, adopting from `previous` each unchanged upstream, and what was learned
    /// about each endpoint that is still the same. Nothing runs before
    /// [`Pool::start`], and `previous` stays as it is.
    pub fn compile(
        config: &config::Config,
        previous: Option<&Self>,
        parts: &SharedParts,
    ) -> Result<Self, PoolError> {
        if config.upstreams.len() > MOST_UPSTREAMS {
            return Err(PoolError::TooMany);
        }
        let policy = Arc::new(UpstreamPolicy::of(config));
        let cluster = previous
            .map(|pool| &pool.cluster)
            .filter(|cluster| cluster.is(&config.cluster))
            .map_or_else(|| ObservedCluster::new(&config.cluster), Arc::clone);
        // Everything that can fail comes first: a rejected pool leaves no traces, not even in the
        // metrics.
        let reaches = config
            .upstreams
            .iter()
            .map(|settings| prepare(settings, parts))
            .collect::<Result<Vec<_>, _>>()?;
        let mut upstreams: Vec<_> = config
            .upstreams
            .iter()
            .zip(reaches)
            .map(|(settings, reach)| {
                let before = previous.and_then(|pool| pool.upstream(&settings.id));
                compile_upstream(settings, reach, before, &policy, &cluster, parts)
            })
            .collect();
        // Stable: the order of the configuration stays within a tier.
        upstreams.sort_by_key(|upstream| upstream.tier());
        Ok(Self {
            upstreams,
            cluster,
            policy,
        })
    }

    /// Starts the background tasks of each new upstream, and ends the metrics of those that
    /// `previous` had and this pool has not. Their tasks end with the last call that uses them.
    pub fn start(&self, handle: &Handle, previous: Option<&Self>) {
        let members = self
            .upstreams
            .iter()
            .map(|upstream| Arc::clone(upstream.state()));
        self.cluster.replace(members.collect());
        for upstream in &self.upstreams {
            upstream.start(handle);
        }
        if previous.is_some() {
            self.try_keys_again();
        }
        let displaced = previous
            .map(|pool| pool.upstreams.as_slice())
            .unwrap_or_default();
        for upstream in displaced {
            if self.upstream(upstream.id()).is_none() {
                upstream.state().metrics.end();
            }
        }
    }

    /// The configuration was loaded again, even if nothing in it has changed: upstreams that refuse
    /// the gateway's key are asked at once whether they take it now.
    pub fn try_keys_again(&self) {
        for upstream in &self.upstreams {
            upstream.member.try_key_again(Instant::now());
        }
    }

    #[cfg(test)]
    pub(in crate::upstream) fn cluster(&self) -> &ObservedCluster {
        &self.cluster
    }

    pub fn upstreams(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }

    pub fn upstream(&self, id: &str) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.id() == id)
    }

    /// The upstreams for a call, best first, each at most once.
    pub fn candidates<'a>(&'a self, requirements: CallRequirements<'a>) -> Candidates<'a> {
        Candidates::new(&self.upstreams, requirements)
    }

    /// How long the quickest healthy upstream usually takes for a method, and whether more than one
    /// is known well enough to say so.
    pub fn usual_latency(&self, method: Method) -> Option<(Duration, bool)> {
        let mut known = self
            .upstreams
            .iter()
            .map(|upstream| upstream.state())
            .filter(|live| live.is_clear())
            .filter_map(|live| live.latencies.estimate(method));
        let first = known.next()?;
        Some(known.fold((first, false), |(least, _), next| (least.min(next), true)))
    }

    /// Whether the settings allow any upstream to serve this method.
    pub fn allows(&self, method: &str) -> bool {
        self.upstreams
            .iter()
            .any(|upstream| upstream.member.methods.allow(method))
    }

    /// Whether the settings name this method as one that an upstream serves.
    pub fn names(&self, method: &str) -> bool {
        self.upstreams
            .iter()
            .any(|upstream| upstream.settings().allow.iter().any(|name| name == method))
    }

    /// The newest slot of the cluster, if known.
    pub fn tip(&self, commitment: Commitment) -> Option<Slot> {
        self.cluster.tip(commitment, Instant::now())
    }

    /// The newest slot that the cluster can have reached by now, given that something has shown this
    /// one then; `None` before any upstream has reported one.
    pub fn furthest(&self, seen: Option<(Slot, Instant)>) -> Option<Slot> {
        let tip = self.tip(Commitment::Processed)?;
        // It is no faster than twice its usual speed, or the measured one.
        let cluster = &self.cluster;
        let fastest = cluster.usual_pace().max(cluster.pace()).percent(200);
        let reached = seen.map_or(Slot(0), |(slot, at)| {
            Slot(slot.0.saturating_add(fastest.slots(at.elapsed())))
        });
        Some(tip.max(reached))
    }

    /// The current slots of the cluster; `None` before any upstream has reported one.
    pub fn slots(&self) -> Option<SlotView> {
        self.cluster.clock.view(Instant::now())
    }

    /// A block height that the cluster has certainly passed; `None` before any upstream has shown one.
    pub fn block_height(&self) -> Option<u64> {
        self.cluster.heights.passed(&self.cluster.members())
    }

    /// The genesis hash the upstreams must have, once it is known.
    pub fn genesis(&self) -> Option<Arc<String>> {
        self.cluster.genesis()
    }

    /// Increases whenever an upstream was found to belong to another cluster, and whenever the
    /// cluster's genesis hash changes. Answers and slot floors of an earlier generation must be
    /// forgotten. Also changes across reloads if the cluster changed.
    pub fn generation(&self) -> u64 {
        self.cluster.generation()
    }

    /// Whether any upstream may have history that another lacks, healthy or not.
    pub fn any_deeper(&self, elsewhere: &DeeperUpstreams<'_>, method: &str) -> bool {
        let now = Instant::now();
        self.upstreams.iter().any(|upstream| {
            upstream.member.methods.allow(method) && elsewhere.accepts(upstream, now)
        })
    }

    /// Whether calls are likely to be answered; `/ready` says so.
    pub fn can_serve(&self) -> bool {
        readiness::can_serve(&self.upstreams, Instant::now())
    }

    /// What a node in the gateway's place would say of its health.
    pub fn health(&self) -> HealthReport {
        HealthReport::of(&self.upstreams, Instant::now())
    }

    /// Everything known, for the status page.
    pub fn status(&self) -> PoolStatus {
        PoolStatus::of(&self.upstreams, &self.cluster, &self.policy, Instant::now())
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.upstreams).finish()
    }
}

/// What is needed to connect to an upstream.
type SlotReach = (Arc<TransportConnector>, Endpoint);

fn prepare(
    settings: &config::UpstreamSettings,
    parts: &SharedParts,
) -> Result<SlotReach, PoolError> {
    let connector = parts
        .connectors
        .of(settings)
        .map_err(|source| PoolError::Trust {
            upstream: settings.id.clone(),
            source,
        })?;
    Ok((connector, Endpoint::new(settings)?))
}

fn compile_upstream(
    settings: &config::UpstreamSettings,
    (connector, endpoint): SlotReach,
    before: Option<&Arc<Upstream>>,
    policy: &Arc<UpstreamPolicy>,
    cluster: &Arc<ObservedCluster>,
    parts: &SharedParts,
) -> Arc<Upstream> {
    if let Some(before) = before {
        let member = &before.member;
        let unchanged = *member.settings == *settings
            && *member.policy == **policy
            && Arc::ptr_eq(&member.cluster, cluster)
            && Arc::ptr_eq(&member.wire.connector, &connector);
        if unchanged {
            return Arc::clone(before);
        }
    }
    let live = before
        .map(|before| before.state())
        .filter(|live| live.is(settings))
        .map_or_else(|| EndpointState::new(settings, &parts.metrics), Arc::clone);
    let wire = Arc::new(ConnectSettings {
        endpoint,
        addresses: Arc::clone(&live.addresses),
        timeouts: settings.timeouts.clone(),
        connector,
    });
    let budget = settings.budget.as_ref();
    live.budget.set(&settings.id, budget, &parts.budgets);
    Arc::new(Upstream::new(Arc::new(Member {
        settings: Arc::new(settings.clone()),
        policy: Arc::clone(policy),
        methods: MethodRules::new(settings),
        live,
        wire,
        cluster: Arc::clone(cluster),
        clock: parts.clock,
    })))
}
