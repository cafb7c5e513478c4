//! Keeps budgets up to date: leases requests from budgets shared by replicas, and saves what is
//! used up in a file that is read after a restart.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use perijove_core::telemetry::{json, seconds};
use pingora::server::ShutdownWatch;
use pingora::services::background::BackgroundService;
use prometheus::{IntGauge, Registry};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::wall_clock::WALL_CLOCK;
use crate::cache::{BucketLease, RedisCache};
use crate::config::{self, BudgetTimes};
use crate::limit::{Budget, BudgetRegistry, LeaseAnswer};
use crate::pipeline::Pipeline;
use crate::snapshot::Published;
use crate::upstream::SharedParts;

/// How often requests are leased.
const LOOK: Duration = Duration::from_millis(100);
/// Unanswered lease attempts in a row after which a gateway falls back to its own share.
const LOOKS: u32 = 3;
/// How often gateways are counted and the file is written.
const COUNT: Duration = Duration::from_secs(3);
const WRITE: Duration = Duration::from_secs(10);
/// The same while the gateway stops.
const WRITE_LAST: Duration = Duration::from_secs(1);

/// What the names of the budgets of Jupiter's upstreams begin with, in the file and in Redis.
const OF_JUPITER: &str = "jupiter/";

pub(super) struct BudgetKeeper {
    kept: KeptBudgets,
    published: Arc<Published>,
    pipeline: Arc<Pipeline>,
    metrics: BudgetMetrics,
    /// Identifies this gateway among the others.
    id: String,
}

/// The budgets that are shared, and that the file keeps.
#[derive(Debug, Default)]
pub(super) struct KeptBudgets {
    pub(super) rpc: Arc<BudgetRegistry>,
    pub(super) jupiter: Arc<BudgetRegistry>,
}

#[derive(Clone, Debug)]
struct BudgetMetrics {
    lost: IntGauge,
    replicas: IntGauge,
}

impl BudgetMetrics {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name, text| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, text)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        Ok(Self {
            lost: gauge(
                "perijove_budget_sharing_lost",
                "1 while budgets.shared is on but Redis does not answer, so that this gateway uses \
                 only its own share",
            )?,
            replicas: gauge(
                "perijove_budget_replicas",
                "Gateways that share their budgets, this one included, at the last count",
            )?,
        })
    }
}

/// State of the sharing.
#[derive(Debug)]
struct SharingState {
    unanswered: u32,
    alone_since: Option<Instant>,
    replicas: u64,
    counted: Option<Instant>,
}

impl BudgetKeeper {
    pub(super) fn new(
        parts: &SharedParts,
        published: &Arc<Published>,
        pipeline: &Arc<Pipeline>,
        registry: &Registry,
    ) -> prometheus::Result<Self> {
        Ok(Self {
            kept: KeptBudgets {
                rpc: Arc::clone(&parts.budgets),
                jupiter: Arc::clone(&parts.jupiter_budgets),
            },
            published: Arc::clone(published),
            pipeline: Arc::clone(pipeline),
            metrics: BudgetMetrics::register(registry)?,
            id: format!("{:032x}", fastrand::u128(..)),
        })
    }

    async fn share(&self, sharing: &mut SharingState) {
        let remote = self.pipeline.cache.remote();
        let answered = match &remote {
            Some(remote) => {
                self.count(remote, sharing).await && self.lease(remote, sharing.replicas).await
            }
            None => false,
        };
        if answered {
            sharing.unanswered = 0;
            if let Some(since) = sharing.alone_since.take() {
                self.metrics.lost.set(0);
                tracing::info!(
                    alone_seconds = seconds(since.elapsed()),
                    "budget sharing restored"
                );
            }
            return;
        }
        sharing.unanswered = sharing.unanswered.saturating_add(1);
        if sharing.unanswered < LOOKS {
            return;
        }
        let now = Instant::now();
        if sharing.alone_since.is_none() {
            sharing.alone_since = Some(now);
            self.metrics.lost.set(1);
            tracing::warn!(
                replicas = sharing.replicas,
                "budget sharing lost: no usable answer from Redis; each replica keeps to its own share"
            );
        }
        for (_, budget) in self.kept.all() {
            budget.go_alone(sharing.replicas, now);
        }
    }

    /// Returns whether Redis answered, or nothing had to be asked.
    async fn lease(&self, remote: &Arc<RedisCache>, replicas: u64) -> bool {
        let now = Instant::now();
        let asked = self.kept.all().map(|(name, budget)| {
            let remote = Arc::clone(remote);
            async move {
                let Some(demand) = budget.demand(now) else {
                    return true;
                };
                if budget.is_leased() && demand.is_nothing() {
                    return true;
                }
                let lease = BucketLease {
                    interval: demand.interval,
                    burst: demand.burst,
                    want: demand.want,
                    sent: demand.sent,
                    number: demand.number,
                    answered: demand.answered,
                };
                let Some((granted, beyond)) = remote.lease(&name, &self.id, &lease).await else {
                    return false;
                };
                budget.is_shared_by(replicas);
                budget.granted(&demand, LeaseAnswer { granted, beyond });
                true
            }
        });
        join_all(asked).await.into_iter().all(|answered| answered)
    }

    /// Returns whether Redis answered, now or a moment ago.
    async fn count(&self, remote: &RedisCache, sharing: &mut SharingState) -> bool {
        if sharing.counted.is_some_and(|at| at.elapsed() < COUNT) {
            return true;
        }
        let counted = remote.be_counted(&self.id, WALL_CLOCK.seconds()).await;
        sharing.counted = counted.map(|_replicas| Instant::now());
        if let Some(replicas) = counted {
            sharing.replicas = replicas.max(1);
            let replicas = i64::try_from(sharing.replicas).unwrap_or(i64::MAX);
            self.metrics.replicas.set(replicas);
        }
        counted.is_some()
    }

    /// Ends sharing: each gateway uses its own share again.
    fn stop_sharing(&self) {
        for (_, budget) in self.kept.all() {
            budget.go_alone(1, Instant::now());
        }
        self.metrics.lost.set(0);
    }

    fn write(&self, file: &Path) {
        let (now, unix) = (Instant::now(), WALL_CLOCK.millis());
        let full_at: BudgetTimes = self
            .kept
            .all()
            .map(|(name, budget)| {
                let used_up = budget.used_up(now).as_millis();
                (
                    name,
                    unix.saturating_add(u64::try_from(used_up).unwrap_or(0)),
                )
            })
            .filter(|(_, full_at)| *full_at > unix)
            .collect();
        if let Err(error) = replace(file, &full_at) {
            tracing::warn!(error, file = %file.display(), "budget file not written");
        }
    }
}

impl KeptBudgets {
    /// All, by names that are different.
    fn all(&self) -> impl Iterator<Item = (String, Arc<Budget>)> {
        let jupiter = self.jupiter.all().into_iter();
        let jupiter = jupiter.map(|(name, budget)| (format!("{OF_JUPITER}{name}"), budget));
        self.rpc.all().into_iter().chain(jupiter)
    }
}

/// Replaces the file at a stroke, unless it is something else.
fn replace(file: &Path, full_at: &BudgetTimes) -> Result<(), String> {
    config::read_budget_file(file)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(".new");
    let draft = file.with_file_name(name);
    serde_json::to_vec(full_at)
        .map_err(std::io::Error::from)
        .and_then(|text| std::fs::write(&draft, text))
        .and_then(|()| std::fs::rename(&draft, file))
        .map_err(|error| error.to_string())
}

#[async_trait]
impl BackgroundService for BudgetKeeper {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sharing: Option<SharingState> = None;
        let mut written = Instant::now();
        let mut period = WRITE;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = shutdown.wait_for(|stopping| *stopping), if period == WRITE => {
                    // Calls go on for a while.
                    period = WRITE_LAST;
                    written = Instant::now().checked_sub(WRITE).unwrap_or(written);
                }
            }
            let settings = self.published.load().config.budgets.clone();
            if settings.shared {
                let sharing = sharing.get_or_insert(SharingState {
                    unanswered: 0,
                    alone_since: None,
                    replicas: 1,
                    counted: None,
                });
                self.share(sharing).await;
            } else if sharing.take().is_some() {
                self.stop_sharing();
            }
            if let Some(file) = &settings.file
                && written.elapsed() >= period
            {
                written = Instant::now();
                self.write(file);
            }
        }
    }
}

impl KeptBudgets {
    /// Restores what an earlier process had used up. A missing file is not an error.
    pub(super) fn resume(&self, file: Option<&Path>) {
        let Some(file) = file else { return };
        let full_at = match config::read_budget_file(file) {
            Ok(full_at) => full_at,
            Err(error) => {
                tracing::warn!(error, file = %file.display(),
                    "budget file not readable; budgets start full");
                return;
            }
        };
        if full_at.is_empty() {
            return;
        }
        let unix = WALL_CLOCK.millis();
        let used_up = full_at.into_iter().filter_map(|(name, full_at)| {
            let left = full_at.checked_sub(unix).filter(|left| *left > 0)?;
            Some((name, Duration::from_millis(left)))
        });
        let used_up: Vec<(String, Duration)> = used_up.collect();
        let names: Vec<&str> = used_up.iter().map(|(name, _)| name.as_str()).collect();
        tracing::info!(
            budgets = json(&names).as_slice(),
            "budgets restored from the budget file"
        );
        let (jupiter, rpc): (Vec<_>, Vec<_>) = used_up
            .into_iter()
            .partition(|(name, _)| name.starts_with(OF_JUPITER));
        self.rpc.resume(rpc);
        let own = |name: &str| name.strip_prefix(OF_JUPITER).unwrap_or(name).to_owned();
        let jupiter = jupiter.into_iter();
        self.jupiter
            .resume(jupiter.map(|(name, used_up)| (own(&name), used_up)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_something_else_is_not_replaced() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("budgets.json");
        let times = BudgetTimes::from([("upstream/a".to_owned(), 5)]);
        replace(&file, &times).unwrap();
        assert_eq!(config::read_budget_file(&file), Ok(times.clone()));
        for text in ["keys: []\n", r#"{"upstreams": []}"#, "no JSON"] {
            std::fs::write(&file, text).unwrap();
            replace(&file, &times).unwrap_err();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        }
        // Nor anything that happens to lie beside it.
        let beside = folder.path().join("budgets.new");
        std::fs::write(&beside, "mine").unwrap();
        std::fs::remove_file(&file).unwrap();
        replace(&file, &times).unwrap();
        assert_eq!(std::fs::read_to_string(&beside).unwrap(), "mine");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
