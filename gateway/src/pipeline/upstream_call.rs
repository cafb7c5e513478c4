//! Step 10: the call is sent to upstreams, when it is its turn and with the caller's plan and
//! deadline.

use super::Request;
use crate::dispatch::{AttemptSummary, Delivered, Dispatch, ReadSession};
use crate::jsonrpc::Call;
use crate::solana::Class;

/// Has a call answered by upstreams: attempts, retries and hedges until the caller's deadline.
pub(super) async fn dispatch(
    request: &Request,
    call: &Call,
    class: &Class,
    session: &ReadSession,
) -> (Delivered, AttemptSummary) {
    let _turn = match request.turn(class).await {
        Ok(turn) => turn,
        Err(rejection) => return (Delivered::Rejected(rejection), AttemptSummary::default()),
    };
    let ask = request.ask(class);
    let (delivered, attempt_summary) = Dispatch {
        pool: &request.snapshot.pool,
        settings: &request.snapshot.dispatch,
        state: &request.pipeline.dispatch_state,
        call,
        class,
        session,
        ask,
        started: request.started,
        deadline: request.deadline,
        ledger_only: request.ledger_only,
        deeper: None,
    }
    .run()
    .await;
    let answered = matches!(delivered, Delivered::Payload(_));
    request.pipeline.metrics.asked(ask.priority, answered);
    (delivered, attempt_summary)
}
