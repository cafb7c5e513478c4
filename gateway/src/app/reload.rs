//! Puts a changed configuration in force while requests run: on a file change, on SIGHUP, and when
//! the admin port is asked to. A configuration that does not hold changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use perijove_core::telemetry::{Telemetry, json};
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use tokio::runtime::Handle;

use super::descriptors::Descriptors;
use crate::cache::Prepared;
use crate::config::{self, Digest, Loaded};
use crate::edge::ReloadOutcome;
use crate::pipeline::Pipeline;
use crate::snapshot::{Published, Snapshot};
use crate::upstream::{Parts, Pool};

/// Counts and the state of the last reload.
#[derive(Clone, Debug)]
pub(super) struct ReloadMetrics {
    reloads: IntCounterVec,
    successful: IntGauge,
    revision: IntGauge,
    restart_required: IntGauge,
}

impl ReloadMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let reloads = IntCounterVec::new(
            Opts::new(
                "perijove_config_reloads_total",
                "Reloads, by outcome: changed, unchanged, refused",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(reloads.clone()))?;
        for outcome in ["changed", "unchanged", "refused"] {
            reloads.with_label_values(&[outcome]);
        }
        let gauge = |name, text| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, text)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let metrics = Self {
            reloads,
            successful: gauge(
                "perijove_config_last_reload_successful",
                "1 while the file's configuration is in force, 0 after one that was refused",
            )?,
            revision: gauge(
                "perijove_config_revision",
                "Revision of the configuration in force",
            )?,
            restart_required: gauge(
                "perijove_config_restart_required",
                "Keys whose value in the file only a restart applies",
            )?,
        };
        metrics.successful.set(1);
        metrics.revision.set(1);
        Ok(metrics)
    }
}

/// Where what runs besides the calls runs.
#[derive(Debug)]
pub(super) struct Runtimes {
    /// Probes, health checks and reloads.
    pub upkeep: Handle,
    /// The calls themselves, and the connections they wait for.
    pub calls: Handle,
}

/// Reloads one file.
pub(super) struct Reloader {
    /// `None`: the embedded default, which cannot change.
    pub path: Option<PathBuf>,
    pub published: Arc<Published>,
    pub pipeline: Arc<Pipeline>,
    /// The shared cache of the configuration the process was started with, until it is started.
    pub prepared: Option<Prepared>,
    pub descriptors: Descriptors,
    pub parts: Parts,
    pub metrics: ReloadMetrics,
    /// Files the configuration refers to, which are watched with it.
    pub files: Vec<PathBuf>,
    pub telemetry: Telemetry,
    /// Of the configuration in force.
    pub digest: Digest,
    /// What the process was started with; restart-only keys are compared with it.
    pub started_with: config::Config,
}

impl Reloader {
    /// The files a change of which may change the configuration.
    pub(super) fn watched(&self) -> impl Iterator<Item = &Path> {
        self.path.iter().chain(&self.files).map(PathBuf::as_path)
    }

    /// Starts what runs besides the calls.
    pub(super) fn start(&mut self, runtimes: &Runtimes) {
        let snapshot = self.published.load();
        snapshot.pool.start(&runtimes.upkeep, None);
        if let Some(prepared) = self.prepared.take() {
            let settings = &snapshot.config.cache;
            self.pipeline
                .cache
                .adopt(settings, prepared, &runtimes.calls);
        }
    }

    /// Reads the file again and publishes it if it holds and differs.
    pub(super) fn reload(&mut self, runtimes: &Runtimes) -> ReloadOutcome {
        let current = self.published.load();
        let Some(path) = &self.path else {
            return self.outcome(&current, false, Vec::new());
        };
        match config::load(path) {
            Err(error) => self.refuse(
                &current,
                error.violations.iter().map(ToString::to_string).collect(),
            ),
            Ok(loaded) if loaded.digest == self.digest => {
                self.metrics.reloads.with_label_values(&["unchanged"]).inc();
                self.metrics.successful.set(1);
                self.outcome(&current, false, Vec::new())
            }
            Ok(loaded) => self.publish(&current, loaded, runtimes),
        }
    }

    fn publish(
        &mut self,
        current: &Snapshot,
        mut loaded: Loaded,
        runtimes: &Runtimes,
    ) -> ReloadOutcome {
        self.descriptors.fit(&mut loaded.config);
        let pool = match Pool::compile(&loaded.config, Some(&current.pool), &self.parts) {
            Ok(pool) => Arc::new(pool),
            Err(error) => return self.refuse(current, vec![error.to_string()]),
        };
        let prepared = self
            .pipeline
            .cache
            .prepare(&loaded.config.cache, loaded.config.price.enabled);
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return self.refuse(current, vec![format!("cache.redis: {error}")]),
        };
        for warning in &loaded.warnings {
            tracing::warn!(%warning, "configuration");
        }
        pool.start(&runtimes.upkeep, Some(&current.pool));
        if let Err(error) = self.telemetry.set_filter(&loaded.config.log.level) {
            tracing::warn!(%error, "the log level stays as it was");
        }
        self.pipeline
            .cache
            .adopt(&loaded.config.cache, prepared, &runtimes.calls);
        self.digest = loaded.digest;
        self.files = loaded.files;
        let next = Snapshot::new(loaded.config, pool, current.revision + 1);
        let next = self.published.publish(next);
        self.metrics.reloads.with_label_values(&["changed"]).inc();
        self.metrics.successful.set(1);
        self.metrics
            .revision
            .set(i64::try_from(next.revision).unwrap_or(i64::MAX));
        let outcome = self.outcome(&next, true, Vec::new());
        tracing::info!(
            revision = outcome.revision,
            restart_required = json(&outcome.restart_required).as_slice(),
            "configuration reloaded"
        );
        outcome
    }

    fn refuse(&self, current: &Snapshot, errors: Vec<String>) -> ReloadOutcome {
        self.metrics.reloads.with_label_values(&["refused"]).inc();
        self.metrics.successful.set(0);
        for error in &errors {
            tracing::error!(%error, revision = current.revision, "configuration refused, the old one serves on");
        }
        self.outcome(current, false, errors)
    }

    fn outcome(&self, snapshot: &Snapshot, changed: bool, errors: Vec<String>) -> ReloadOutcome {
        let restart_required = config::restart_only_changes(&self.started_with, &snapshot.config);
        self.metrics
            .restart_required
            .set(i64::try_from(restart_required.len()).unwrap_or(i64::MAX));
        ReloadOutcome {
            revision: snapshot.revision,
            changed,
            restart_required,
            errors,
        }
    }
}
