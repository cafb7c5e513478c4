//! Step 10: the call is sent to upstreams, when it is its turn and with the caller's plan and
//! deadline.

use super::Request;
use crate::dispatch::{AnswerPayload, CallSummary, Delivered, Dispatch, ReadSession, RpcCall};
use crate::jsonrpc::Call;
use crate::solana::Class;

/// Has a call answered by upstreams: attempts, retries and hedges until the caller's deadline.
pub(super) async fn dispatch(
    request: &Request,
    call: &Call,
    class: &Class,
    session: &ReadSession,
) -> (Delivered<AnswerPayload>, CallSummary) {
    let step = request.context.step("dispatch", class.method.label());
    let _turn = match request.turn(class).await {
        Ok(turn) => turn,
        Err(rejection) => return (Delivered::Rejected(rejection), CallSummary::default()),
    };
    let ask = request.ask(class);
    let (delivered, attempt_summary) = Dispatch {
        operation: RpcCall {
            pool: &request.snapshot.pool,
            memory: &request.pipeline.dispatch_state.rpc,
            call,
            class,
            session,
            ask,
            ledger_only: request.ledger_only,
            deeper: None,
        },
        settings: &request.snapshot.dispatch,
        state: &request.pipeline.dispatch_state,
        context: &request.context,
        span: &step,
        started: request.context.started,
        deadline: request.context.deadline,
    }
    .run()
    .await;
    let answered = matches!(delivered, Delivered::Payload(_));
    request.pipeline.metrics.asked(ask.priority, answered);
    (delivered, attempt_summary)
}
