//! Step 6: whether a caller's plan lets a request go on, and with which class.

use std::net::IpAddr;
use std::time::Duration;

use super::{Pipeline, Request, Response};
use crate::auth::ConsumerId;
use crate::error::Rejection;
use crate::jsonrpc::{Entry, Id, Payload};
use crate::limit::{Admitted, Ask, Refused};
use crate::snapshot::Snapshot;
use crate::solana::Class;

/// How long who has too much under way is told to wait.
const MOMENT: Duration = Duration::from_secs(1);

impl Pipeline {
    /// Lets so many calls of a caller go on, at once or after a short wait. `None` where nothing is
    /// limited.
    ///
    /// # Errors
    /// The refusal to be told.
    pub async fn admit(
        &self,
        snapshot: &Snapshot,
        consumer: Option<&ConsumerId>,
        address: Option<IpAddr>,
        calls: usize,
    ) -> Result<Option<Admitted>, Rejection> {
        let Some(plan) = snapshot.plan(consumer) else {
            return Ok(None);
        };
        let allowance = match (consumer, address) {
            (Some(consumer), _) => self.allowances.of_consumer(consumer, plan),
            (None, Some(address)) => self.allowances.of_address(address, plan),
            (None, None) => return Ok(None),
        };
        let admitted = allowance.admit(calls).await;
        admitted.map(Some).map_err(|refused| {
            self.metrics.refused_by_plan(&plan.id, refused.label());
            match refused {
                Refused::Rate {
                    retry_after,
                    remaining,
                } => Rejection::OverLimit {
                    reason: "your plan allows no more calls for now",
                    retry_after,
                    remaining: Some(remaining),
                },
                Refused::Concurrency => Rejection::OverLimit {
                    reason: "your plan allows no more calls at the same time",
                    retry_after: MOMENT,
                    remaining: None,
                },
                Refused::Batch { most } => Rejection::TooManyCalls {
                    calls,
                    limit: usize::try_from(most).unwrap_or(usize::MAX),
                },
            }
        })
    }
}

impl Request {
    /// The same for what a body holds; batches count by their calls.
    pub(super) async fn admit(&self, payload: &Payload) -> Result<Option<Admitted>, Response> {
        let calls = match payload {
            Payload::Single(_) => 1,
            Payload::Batch(batch) => batch.len(),
        };
        let (consumer, pipeline) = (self.consumer.as_ref(), &self.pipeline);
        let admitted = pipeline
            .admit(&self.snapshot, consumer, self.address, calls)
            .await;
        admitted.map_err(|rejection| {
            pipeline.metrics.no_call(rejection.label());
            let null = Id::null();
            match payload {
                Payload::Single(Entry::Call(call)) => {
                    let id = call.id.as_ref().unwrap_or(&null);
                    Response::rejected(&rejection, id, "other")
                }
                Payload::Single(Entry::Invalid(_)) => {
                    Response::rejected(&rejection, &null, "other")
                }
                Payload::Batch(_) => Response::rejected(&rejection, &null, "batch"),
            }
        })
    }

    /// Most calls of a batch.
    pub(super) fn max_batch(&self) -> usize {
        let plan = self.snapshot.plan(self.consumer.as_ref());
        let of_plan = plan.and_then(|plan| plan.max_batch);
        let of_all = self.snapshot.config.limits.max_batch;
        of_plan
            .unwrap_or(usize::MAX)
            .min(of_all.unwrap_or(usize::MAX))
    }

    /// Whether the caller's plan has this method.
    pub(super) fn may_call(&self, method: &str) -> bool {
        let plan = self.snapshot.plan(self.consumer.as_ref());
        plan.is_none_or(|plan| plan.allows(method))
    }

    /// Who goes first where places are short: by the plan, else by the method, unless the caller asks
    /// for another class, up to the plan's ceiling.
    pub(super) fn ask(&self, class: &Class) -> Ask {
        let profile = class.profile();
        let plan = self.snapshot.plan(self.consumer.as_ref());
        let given = plan.and_then(|plan| plan.priority);
        let wanted = self.priority.or(given).unwrap_or(profile.priority);
        Ask {
            priority: plan.map_or(wanted, |plan| wanted.min(plan.ceiling)),
            consumer: self.client,
            heavy: profile.heavy,
        }
    }
}
