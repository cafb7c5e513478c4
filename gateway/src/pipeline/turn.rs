//! When a call may be sent to an upstream: its turn at `limits.calls`.

use tokio::time::Instant;

use super::request::Request;
use super::shared::Pipeline;
use crate::error::Rejection;
use crate::limit::{GatePermit, PermitClaim};
use crate::snapshot::Snapshot;

impl Pipeline {
    /// Waits until a call may be sent to an upstream. `None` without a limit.
    ///
    /// # Errors
    /// It is refused.
    pub fn turn(
        &self,
        snapshot: &Snapshot,
        claim: PermitClaim<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Option<GatePermit>, Rejection>> {
        let limits = &snapshot.config.limits;
        self.metrics.turns.turn(limits, claim, deadline)
    }

    /// Updates the gauges when metrics are scraped.
    pub fn tell_metrics(&self) {
        self.metrics.turns.tell_metrics();
    }

    /// For `/status`; null without a limit.
    pub fn admission_status(&self, snapshot: &Snapshot) -> serde_json::Value {
        self.metrics.turns.status(&snapshot.config.limits)
    }
}

impl Request {
    /// Waits for the turn of one of its calls.
    pub(super) async fn turn(
        &self,
        claim: PermitClaim<'_>,
    ) -> Result<Option<GatePermit>, Rejection> {
        if self.snapshot.config.limits.calls.is_none() {
            return Ok(None);
        }
        let turn = self
            .pipeline
            .turn(&self.snapshot, claim, self.context.deadline);
        Box::pin(turn).await
    }
}
