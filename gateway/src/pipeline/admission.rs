//! Step 6: whether a caller's plan admits a request, and with which class.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Pipeline, Request, Response};
use crate::auth::{self, ConsumerId};
use crate::config::Plan;
use crate::error::Rejection;
use crate::jsonrpc::{Id, RequestEntry, RequestPayload};
use crate::limit::{AdmittedRequest, Allowance, PermitRequest, PlanRefusal, Remaining};
use crate::snapshot::Snapshot;
use crate::solana::{self, Class};

/// Wait time reported to a caller with too many concurrent requests.
const MOMENT: Duration = Duration::from_secs(1);

impl Pipeline {
    /// Admits a number of calls of a caller, at once or after a short wait. `None` without limits.
    ///
    /// # Errors
    /// The refusal.
    pub async fn admit(
        &self,
        snapshot: &Snapshot,
        consumer: Option<&ConsumerId>,
        address: Option<IpAddr>,
        calls: usize,
    ) -> Result<Option<AdmittedRequest>, Rejection> {
        let Some(allowance) = self.allowance(snapshot, consumer, address)? else {
            return Ok(None);
        };
        let admitted = allowance.admit(calls).await;
        admitted.map(Some).map_err(|refused| {
            let plan = &allowance.plan().id;
            self.metrics.refused_by_plan(plan, refused.label());
            match refused {
                PlanRefusal::Rate {
                    retry_after,
                    remaining,
                } => Rejection::OverLimit {
                    reason: "your plan allows no more calls for now",
                    retry_after,
                    remaining: Some(remaining),
                },
                PlanRefusal::Concurrency => Rejection::OverLimit {
                    reason: "your plan allows no more calls at the same time",
                    retry_after: MOMENT,
                    remaining: allowance.remaining(),
                },
                PlanRefusal::Bytes { retry_after } => Rejection::OverLimit {
                    reason: "your plan allows no more bytes of answers for now",
                    retry_after,
                    remaining: allowance.remaining(),
                },
                PlanRefusal::Batch { most } => Rejection::OverBurst { calls, burst: most },
            }
        })
    }

    /// What is left of a caller's plan, for answers that took nothing of it. `None` without limits.
    pub fn remaining(
        &self,
        snapshot: &Snapshot,
        consumer: Option<&ConsumerId>,
        address: Option<IpAddr>,
    ) -> Option<Remaining> {
        let allowance = self.allowance(snapshot, consumer, address);
        allowance.ok().flatten()?.remaining()
    }

    /// The caller's allowance. A consumer that was removed, as may happen on a long-lived socket,
    /// is refused.
    fn allowance(
        &self,
        snapshot: &Snapshot,
        consumer: Option<&ConsumerId>,
        address: Option<IpAddr>,
    ) -> Result<Option<Arc<Allowance>>, Rejection> {
        match (snapshot.plan(consumer), consumer, address) {
            (Some(plan), Some(consumer), _) => Ok(Some(match auth::plan_of_token(consumer) {
                None => self.allowances.of_consumer(consumer, plan),
                Some(_) => self.allowances.of_stranger(consumer, plan),
            })),
            (Some(plan), None, Some(address)) => {
                Ok(Some(self.allowances.of_address(address, plan)))
            }
            (None, Some(_), _) => Err(Rejection::Unauthorised),
            (_, None, _) => Ok(None),
        }
    }
}

impl Request {
    /// The caller's plan; `None` without limits.
    pub(super) fn plan(&self) -> Option<&Arc<Plan>> {
        if self.context.is_internal() {
            return None;
        }
        self.snapshot.plan(self.context.consumer.as_ref())
    }

    /// The same for the content of a body; its calls count as the plan says.
    pub(super) async fn admit(
        &self,
        payload: &RequestPayload,
    ) -> Result<Option<AdmittedRequest>, Response> {
        let plan = self.plan().filter(|plan| !plan.costs.is_empty());
        let cost = |entry: &RequestEntry| match (entry, plan) {
            (RequestEntry::Call(call), Some(plan)) => {
                usize::try_from(plan.cost(call.method())).unwrap_or(usize::MAX)
            }
            _ => 1,
        };
        let calls = match payload {
            RequestPayload::Single(entry) => cost(entry),
            RequestPayload::Batch(batch) if plan.is_none() => batch.len(),
            RequestPayload::Batch(batch) => {
                let costs = batch.clone().map(|entry| cost(&entry));
                costs.fold(0, usize::saturating_add)
            }
        };
        let (consumer, pipeline) = (self.context.consumer.as_ref(), &self.pipeline);
        let admitted = pipeline
            .admit(&self.snapshot, consumer, self.context.address, calls)
            .await;
        admitted.map_err(|rejection| {
            pipeline.metrics.no_call(rejection.label());
            let null = Id::null();
            match payload {
                RequestPayload::Single(RequestEntry::Call(call)) => {
                    let id = call.id.as_ref().unwrap_or(&null);
                    let method = solana::classify(call.method(), None).method;
                    Response::rejected(&rejection, id, method.label())
                }
                RequestPayload::Single(RequestEntry::Invalid(_)) => {
                    Response::rejected(&rejection, &null, "other")
                }
                RequestPayload::Batch(_) => Response::rejected(&rejection, &null, "batch"),
            }
        })
    }

    /// Whether the caller's plan includes this method.
    pub(super) fn may_call(&self, method: &str) -> bool {
        self.plan().is_none_or(|plan| plan.allows(method))
    }

    /// The class of a call: by the plan, else by the method, unless the caller requests another, up
    /// to the plan's ceiling.
    pub(super) fn ask(&self, class: &Class) -> PermitRequest {
        let profile = class.profile();
        let (consumer, usual) = (self.context.consumer.as_ref(), profile.priority);
        PermitRequest {
            priority: self
                .snapshot
                .priority(consumer, self.context.priority, usual),
            consumer: self.context.client,
            weight: self.snapshot.weight(consumer),
            heavy: profile.heavy,
        }
    }
}
