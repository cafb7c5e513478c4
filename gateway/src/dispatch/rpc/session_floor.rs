//! An answer below its client's floor, where no upstream has a newer one: a bare number is replaced by
//! the floor itself, which is a value the cluster really had; answers that carry more than the number
//! are delivered unchanged.

use super::RpcCall;
use super::answer_payload::AnswerPayload;
use super::own_answer::own_answer;
use crate::dispatch::operation::LastResort;
use crate::jsonrpc::Answer;
use crate::solana::Heads;

impl RpcCall<'_> {
    /// What an answer says of the head of the chain. Of one that streams, its beginning is looked
    /// at.
    pub(super) fn heads(&self, payload: &AnswerPayload) -> Heads {
        let result = payload.result();
        result.map_or_else(Heads::default, |result| self.session.heads(result))
    }

    /// The last resort for an answer that is below the floor: the client's own floor instead.
    pub(super) fn hold_floor(&self, payload: AnswerPayload) -> LastResort<AnswerPayload> {
        let heads = self.heads(&payload);
        let bare = matches!(&payload, AnswerPayload::Whole(answer) if is_number(answer));
        if !bare || !self.session.goes_backwards(&heads) {
            return LastResort::AsItCame(payload);
        }
        let mut named = heads.named();
        let told = named.find_map(|(head, _)| self.session.told(head));
        match told.and_then(|told| own_answer(&told.to_string())) {
            Some(held) => LastResort::Own(held),
            None => LastResort::AsItCame(payload),
        }
    }
}

fn is_number(answer: &Answer) -> bool {
    answer
        .result()
        .is_some_and(|result| result.iter().all(u8::is_ascii_digit))
}
