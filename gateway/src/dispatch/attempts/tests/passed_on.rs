//! Attempts know no protocol: a `GET` whose answer is passed on, status and body, has the same ones as a
//! call.

use super::*;
use crate::dispatch::attempts::Attempts;
use crate::dispatch::operation::{Demands, Judge, JudgedAttempt, Operation};
use crate::solana::{
    Blame, Class, Extension, FaultKind, Idempotency, Method, Penalty, Retry, Verdict,
};
use crate::upstream::{
    ApiRequest, AttemptOutcome, CallRequirements, Candidate, Candidates, FailureReporter,
    ReplyBody, ReplyTo, TransportFault, Upstream,
};

/// Counted as this.
const NAME: &str = "GET /thing";

/// What goes on: the status, and the body as it came.
type PassedOn = (u16, Bytes);

#[derive(Clone, Copy)]
struct PathRead {
    pool: &'static Pool,
    class: &'static Class,
}

impl PathRead {
    fn of(scene: &Scene) -> Self {
        Self {
            pool: Box::leak(Box::new(Arc::clone(&scene.pool))),
            class: Box::leak(Box::new(Class::foreign(Some(Extension::Read)))),
        }
    }

    fn broken(&self, candidate: &mut Candidate, verdict: Verdict) -> JudgedAttempt<PassedOn, ()> {
        candidate.record(&AttemptOutcome::Fault {
            class: self.class,
            method: NAME,
            verdict: &verdict,
            status: None,
        });
        JudgedAttempt::Bad {
            verdict,
            answer: None,
            page: None,
        }
    }
}

impl Judge for PathRead {
    type Chosen = Candidate;
    type Request = ApiRequest;
    type Answer = PassedOn;
    type Freshness = ();

    fn judge(
        &self,
        candidate: &mut Candidate,
        reply: Result<ReplyTo<ApiRequest>, TransportFault>,
    ) -> JudgedAttempt<PassedOn, ()> {
        let reply = match reply {
            Err(fault) => {
                let verdict = Verdict::transport(fault.kind, self.class, fault.bytes_sent);
                return self.broken(candidate, verdict);
            }
            Ok(reply) => reply,
        };
        let ReplyBody::Complete(body) = reply.body else {
            panic!("a short answer");
        };
        if reply.status >= 500 {
            let verdict = Verdict {
                kind: FaultKind::ServerError,
                blame: Blame::Upstream,
                retry: Retry::Elsewhere,
                penalty: Penalty::Failure,
            };
            return self.broken(candidate, verdict);
        }
        candidate.record(&AttemptOutcome::Good {
            class: self.class,
            method: NAME,
            latency: reply.latency,
            slot: None,
        });
        JudgedAttempt::Good {
            answer: (reply.status, body),
            latency: reply.latency,
            freshness: (),
        }
    }

    fn observe_latency(&self, upstream: &Upstream, latency: Duration, quantile: f64) {
        let live = upstream.state();
        live.observe_latency(Method::Extension, latency, quantile);
    }

    fn hold_against(&self, upstream: &Upstream, kind: FaultKind) {
        upstream.refused(NAME, None, kind);
    }

    fn never_answered(&self, _witness: &FailureReporter, _served: bool) {}
}

impl Operation for PathRead {
    type Detached = Self;
    type Choices = Candidates<'static>;
    type Notes = ();

    fn detach(&self) -> Self {
        *self
    }

    fn demands(&self) -> Demands {
        Demands {
            idempotency: Idempotency::Read,
            heavy: false,
            may_hedge: true,
            counted: false,
            hedges_cost: false,
            ask: PermitRequest::own(Priority::Medium),
        }
    }

    fn verb(&self) -> &'static str {
        "GET"
    }

    fn request(&self, _to: &Upstream) -> ApiRequest {
        ApiRequest {
            method: http::Method::GET,
            target: "/thing?a=1".to_owned(),
            fields: Vec::new(),
            body: Bytes::new(),
        }
    }

    fn candidates(&self) -> Candidates<'static> {
        self.pool.candidates(CallRequirements::of(self.class, NAME))
    }

    fn usual_latency(&self) -> Option<(Duration, bool)> {
        self.pool.usual_latency(Method::Extension)
    }

    fn nobody(&self) -> Rejection {
        Rejection::NoUpstream { reason: "nobody" }
    }
}

/// What came of it, and who was asked at which millisecond.
async fn read(scene: &Scene) -> (String, String) {
    let started = Instant::now();
    let dispatch = Dispatch {
        operation: PathRead::of(scene),
        settings: &scene.settings,
        state: &scene.live,
        context: &RequestContext::internal(7, started, started + Duration::from_secs(30)),
        span: &tracing::Span::none(),
        started,
        deadline: started + Duration::from_secs(30),
    };
    let delivered = Attempts::new(&dispatch).run().await.delivered;
    let said = match delivered {
        Delivered::Payload((status, body)) => {
            format!("{status} {}", std::str::from_utf8(&body).unwrap())
        }
        Delivered::Rejected(Rejection::NoUpstream { .. }) => "nobody".to_owned(),
        Delivered::Rejected(other) => panic!("{other:?}"),
    };
    let asked: Vec<_> = script::asked(started)
        .into_iter()
        .map(|(who, at)| format!("{who}@{at}"))
        .collect();
    (said, asked.join(" "))
}

fn page(after: u64, status: u16, body: &str) -> Act {
    Act::Say(after, status, body.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_get_is_passed_on_with_its_status() {
    let scene = Scene::new(&["own", "paid"]);
    for (status, body) in [(200, "{ \"a\" : 1 }"), (404, "not here"), (200, "")] {
        script::set("own", page(0, status, body));
        let expected = format!("{status} {body}");
        assert_eq!(read(&scene).await, was(&expected, "own@0"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_get_that_fails_or_hangs_goes_to_the_next_upstream() {
    for (failure, asked) in [
        (page(0, 503, "down"), "own@0 paid@0"),
        (Act::Break(10), "own@0 paid@10"),
        (Act::Hang, "own@0 paid@500"),
    ] {
        let scene = Scene::new(&["own", "paid"]);
        script::set("own", failure);
        script::set("paid", page(0, 200, "well"));
        assert_eq!(read(&scene).await, was("200 well", asked));
    }
}

#[tokio::test(start_paused = true)]
async fn gets_that_fail_everywhere_are_bounded_by_the_same_budget() {
    let scene = Scene::broke(&["own"]);
    script::set("own", page(0, 503, "down"));
    assert_eq!(read(&scene).await, was("nobody", "own@0"));
}
