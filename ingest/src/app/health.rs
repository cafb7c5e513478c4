//! Health of the program, for people and for service managers.

use std::borrow::Cow;
use std::sync::Arc;

use parking_lot::RwLock;
use perijove_core::BreakerState;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::app::kind_check::{KindCheck, WrongKind};
use crate::app::shared_breaker::SharedBreaker;
use crate::source::{Control, SourceError, SourceStatus};

/// The parts of health.
#[derive(Clone, Debug)]
pub(super) struct Health {
    /// Empty until the database is open.
    pub(super) source: Arc<RwLock<Option<Control>>>,
    pub(super) database: Arc<SharedBreaker>,
    /// None without Redis.
    pub(super) redis: Option<Arc<SharedBreaker>>,
    pub(super) kinds: Arc<KindCheck>,
    pub(super) stopping: watch::Receiver<bool>,
    pub(super) started: Instant,
}

impl Health {
    /// From now on this source is reported.
    pub(super) fn follow(&self, control: &Control) {
        *self.source.write() = Some(control.clone());
    }

    fn source<T>(&self, of: impl FnOnce(&SourceStatus) -> T) -> Option<T> {
        self.source
            .read()
            .as_ref()
            .map(|control| of(control.status()))
    }

    fn fault(&self) -> Option<SourceError> {
        self.source(SourceStatus::fault).flatten()
    }

    fn partitions(&self) -> usize {
        self.source(SourceStatus::partitions).unwrap_or(0)
    }

    /// Why no messages are being stored; `None` if they are, or would be.
    pub(super) fn not_ready(&self) -> Option<Cow<'static, str>> {
        if self.database.state() == BreakerState::Open
            && !*self.stopping.borrow()
            && self.source.read().is_some()
            && let Some(answer) = self.database.refusal()
        {
            return Some(format!("the database refuses: {answer}").into());
        }
        self.not_ready_otherwise().map(Cow::Borrowed)
    }

    fn not_ready_otherwise(&self) -> Option<&'static str> {
        if *self.stopping.borrow() {
            Some("shutting down")
        } else if self.source.read().is_none() {
            Some("the database is not open yet")
        } else if self.database.state() == BreakerState::Open {
            Some("the database does not answer")
        } else if !self.source(SourceStatus::is_connected).unwrap_or(false) {
            Some("no broker is connected")
        } else if self.has_lasting_fault() && self.partitions() == 0 {
            Some("a topic or the group is missing or forbidden; see last_error")
        } else if self.kinds.nothing_fits() {
            Some("no topic has messages of its configured kind; see wrong_kinds")
        } else {
            None
        }
    }

    fn has_lasting_fault(&self) -> bool {
        self.fault().is_some_and(|fault| fault.kind.is_lasting())
    }

    /// The full report. `status` is `healthy` if everything works, else `degraded`.
    pub(super) fn tell(&self) -> Value {
        let redis = self.redis.as_ref().map(|breaker| breaker.state());
        let not_ready = self.not_ready();
        let wrong_kinds = self.kinds.all_wrong();
        let wrong_kinds: Vec<String> = wrong_kinds.iter().map(WrongKind::to_string).collect();
        let unread = self.source(SourceStatus::unread).unwrap_or_default();
        let healthy = not_ready.is_none()
            && wrong_kinds.is_empty()
            && unread.is_empty()
            && !self.has_lasting_fault()
            && redis.is_none_or(|state| state == BreakerState::Closed);
        json!({
            "status": if healthy { "healthy" } else { "degraded" },
            "kafka_connected": self.source(SourceStatus::is_connected).unwrap_or(false),
            "partitions": self.partitions(),
            "unread_partitions": unread,
            "database": self.database.state().label(),
            "redis": redis.map_or("none", BreakerState::label),
            "ready": not_ready.is_none(),
            "reason": not_ready,
            "wrong_kinds": wrong_kinds,
            "last_error": self.fault().map(|fault| fault.to_string()),
            "shutting_down": *self.stopping.borrow(),
            "uptime_seconds": self.started.elapsed().as_secs(),
            "version": env!("CARGO_PKG_VERSION"),
        })
    }
}
