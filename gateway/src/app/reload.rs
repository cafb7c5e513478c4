//! Applies a changed configuration while requests run: on a file change, on SIGHUP, and on request
//! of the admin port. An invalid configuration changes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use perijove_core::Secret;
use perijove_core::telemetry::{Telemetry, json};
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use tokio::runtime::Handle;

use super::descriptors::Descriptors;
use super::memory_limit;
use crate::cache::Prepared;
use crate::config::{self, Digest, Files, Loaded, Outline};
use crate::edge::{ConfigStatus, GatewayStatus, ReloadOutcome};
use crate::pipeline::Pipeline;
use crate::snapshot::{Published, Snapshot};
use crate::upstream::{ApiMetrics, ApiPool, Pool, SharedParts};

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
                "1 while the configuration in the file is active, 0 after one that was rejected",
            )?,
            revision: gauge(
                "perijove_config_revision",
                "Revision of the active configuration",
            )?,
            restart_required: gauge(
                "perijove_config_restart_required",
                "Keys whose value in the file takes effect only after a restart",
            )?,
        };
        metrics.successful.set(1);
        metrics.revision.set(1);
        Ok(metrics)
    }
}

/// The runtimes of everything besides the listeners.
#[derive(Debug)]
pub(super) struct Runtimes {
    /// Probes, health checks and reloads.
    pub background: Handle,
    /// The calls themselves, and the connections they wait for.
    pub calls: Handle,
}

/// Reloads one file.
pub(super) struct Reloader {
    /// `None`: the embedded default, which cannot change.
    pub path: Option<PathBuf>,
    pub published: Arc<Published>,
    pub pipeline: Arc<Pipeline>,
    /// The shared cache of the initial configuration, until it is started.
    pub prepared: Option<Prepared>,
    pub descriptors: Descriptors,
    pub parts: SharedParts,
    pub api_metrics: ApiMetrics,
    pub metrics: ReloadMetrics,
    /// The configuration file and the files it refers to, as last read.
    pub files: Files,
    pub telemetry: Telemetry,
    /// Of the active configuration: what it was read from, and a fingerprint.
    pub text: Secret,
    pub digest: Digest,
    /// Also of the active configuration, to list what changed.
    pub outline: Outline,
    pub status: Arc<GatewayStatus>,
    /// The configuration at process start; restart-only keys are compared with it.
    pub started_with: config::Config,
}

impl Reloader {
    /// Starts what runs beside the calls.
    pub(super) fn start(&mut self, runtimes: &Runtimes) {
        let snapshot = self.published.load();
        self.tell(Vec::new(), Vec::new());
        snapshot.pool.start(&runtimes.background, None);
        let jupiter = &snapshot.jupiter;
        jupiter.start(&runtimes.background, &snapshot.pool, None);
        if let Some(prepared) = self.prepared.take() {
            self.pipeline
                .cache
                .adopt(&snapshot.config, prepared, &runtimes.calls);
        }
    }

    /// Reloads if the content of any file has changed.
    pub(super) fn look(&mut self, runtimes: &Runtimes) {
        let files = self.files.look_again();
        if files != self.files {
            self.files = files;
            drop(self.reload(runtimes));
        }
    }

    /// Reads the file again, and publishes it if it is valid and differs.
    pub(super) fn reload(&mut self, runtimes: &Runtimes) -> ReloadOutcome {
        let current = self.published.load();
        let Some(path) = &self.path else {
            return self.outcome(&current, false, Vec::new());
        };
        match config::load_again(path) {
            Err(error) => {
                // Also the files of the active configuration: changing one of them may be the fix.
                self.files.extend(error.files);
                let errors = error.violations.iter().map(ToString::to_string);
                self.follow_files(&current, runtimes);
                self.refuse(&self.published.load(), errors.collect())
            }
            Ok(loaded) if self.is_in_force(&loaded) => {
                self.files = loaded.files;
                self.metrics.reloads.with_label_values(&["unchanged"]).inc();
                // The key may have been allowed at the provider.
                current.pool.try_keys_again();
                self.hold();
                self.outcome(&current, false, Vec::new())
            }
            Ok(loaded) => {
                let outcome = self.publish(&current, loaded, runtimes);
                if outcome.errors.is_empty() {
                    self.hold();
                }
                outcome
            }
        }
    }

    /// The configuration's own file is broken. What it names counts as it is now all the same, above
    /// all a keys file or a set of token keys from which something was withdrawn.
    fn follow_files(&mut self, current: &Snapshot, runtimes: &Runtimes) {
        let Some(path) = &self.path else { return };
        let Ok(mut loaded) = config::parse_again(path, self.text.expose()) else {
            return;
        };
        if self.is_in_force(&loaded) {
            return;
        }
        let mut files = self.files.clone();
        files.extend(loaded.files);
        loaded.files = files;
        drop(self.publish(current, loaded, runtimes));
    }

    /// Whether it equals the active configuration; comments may differ.
    fn is_in_force(&self, loaded: &Loaded) -> bool {
        loaded.digest == self.digest || loaded.outline == self.outline
    }

    fn publish(
        &mut self,
        current: &Snapshot,
        mut loaded: Loaded,
        runtimes: &Runtimes,
    ) -> ReloadOutcome {
        self.descriptors.fit(&mut loaded.config);
        memory_limit::check_cache(&loaded.config);
        self.files = std::mem::take(&mut loaded.files);
        let config = &loaded.config;
        let others = config.price.enabled || config.jupiter.is_served() || config.budgets.shared;
        let prepared = self.pipeline.cache.prepare(&loaded.config.cache, others);
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return self.refuse(current, vec![format!("cache.redis: {error}")]),
        };
        let jupiter = ApiPool::compile(
            &loaded.config,
            Some(&current.jupiter),
            &self.parts,
            &self.api_metrics,
        );
        let jupiter = match jupiter {
            Ok(jupiter) => Arc::new(jupiter),
            Err(error) => return self.refuse(current, vec![format!("jupiter: {error}")]),
        };
        // Last, because from here on what the pools share follows the new settings.
        let pool = match Pool::compile(&loaded.config, Some(&current.pool), &self.parts) {
            Ok(pool) => Arc::new(pool),
            Err(error) => return self.refuse(current, vec![error.to_string()]),
        };
        for warning in &loaded.warnings {
            tracing::warn!(%warning, "configuration warning");
        }
        pool.start(&runtimes.background, Some(&current.pool));
        jupiter.start(&runtimes.background, &pool, Some(&current.jupiter));
        if let Err(error) = self.telemetry.set_filter(&loaded.config.log.level) {
            tracing::warn!(%error, "log level not changed");
        }
        self.pipeline
            .cache
            .adopt(&loaded.config, prepared, &runtimes.calls);
        let changed = self.outline.differences(&loaded.outline);
        self.text = loaded.text;
        self.digest = loaded.digest;
        self.outline = loaded.outline;
        let next = Snapshot::new(loaded.config, pool, current.revision + 1).with_jupiter(jupiter);
        let next = self.published.publish(next);
        self.metrics.reloads.with_label_values(&["changed"]).inc();
        self.metrics
            .revision
            .set(i64::try_from(next.revision).unwrap_or(i64::MAX));
        let outcome = ReloadOutcome {
            settings: changed,
            ..self.outcome(&next, true, Vec::new())
        };
        say(&outcome);
        outcome
    }

    /// The configuration in the file is the active one.
    fn hold(&self) {
        if self.metrics.successful.get() == 0 {
            tracing::info!("configuration is valid again");
        }
        self.metrics.successful.set(1);
    }

    fn refuse(&self, current: &Snapshot, errors: Vec<String>) -> ReloadOutcome {
        self.metrics.reloads.with_label_values(&["refused"]).inc();
        self.metrics.successful.set(0);
        for error in &errors {
            tracing::error!(%error, revision = current.revision,
                "configuration rejected; the previous one stays in force");
        }
        self.outcome(current, false, errors)
    }

    fn tell(&self, errors: Vec<String>, restart_required: Vec<&'static str>) {
        self.status.config.store(Arc::new(ConfigStatus {
            file: self.path.clone(),
            errors,
            restart_required,
        }));
    }

    fn outcome(&self, snapshot: &Snapshot, changed: bool, errors: Vec<String>) -> ReloadOutcome {
        let restart_required = config::restart_only_changes(&self.started_with, &snapshot.config);
        self.metrics
            .restart_required
            .set(i64::try_from(restart_required.len()).unwrap_or(i64::MAX));
        self.tell(errors.clone(), restart_required.clone());
        ReloadOutcome {
            revision: snapshot.revision,
            changed,
            settings: Vec::new(),
            restart_required,
            errors,
        }
    }
}

fn say(outcome: &ReloadOutcome) {
    tracing::info!(
        revision = outcome.revision,
        changed = json(&outcome.settings).as_slice(),
        "configuration reloaded"
    );
    if !outcome.restart_required.is_empty() {
        tracing::warn!(
            restart_required = json(&outcome.restart_required).as_slice(),
            "restart required: a reload does not apply all changed settings"
        );
    }
}
